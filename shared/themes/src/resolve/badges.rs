//! `badges.yaml`: badges and their rules.

use std::sync::Arc;

use arrakis_domain::{ACTIVITY_WINDOW_DAYS, Badge, BadgeRule};

use super::known::Known;
use super::reader::Reader;
use crate::art;
use crate::document::{Badges, EarnedBy};
use crate::folder::ThemeFolder;
use crate::problem::Problem;

/// Longest tenure: 100 years.
pub(crate) const LONGEST_TENURE_DAYS: u32 = 36_500;
/// Largest number of first members.
const MAX_FIRST_MEMBERS: u32 = 10_000_000;

pub(crate) fn read(document: &Badges, known: &Known<'_>, reader: &mut Reader<'_>) -> Vec<Badge> {
    let mut badges: Vec<Badge> = Vec::new();
    for entry in &document.badges {
        let id = reader.unique(&entry.id, "badge", badges.iter().map(|badge| badge.id.clone()));
        let name = reader.name(&entry.name);
        let emoji = reader.name(&entry.emoji);
        let description = reader.sentence(&entry.description);
        let earned_by = read_rule(&entry.earned_by, known, reader);
        if let (Some(id), Some(earned_by)) = (id, earned_by) {
            badges.push(Badge {
                id,
                name,
                emoji,
                description,
                earned_by,
                art: None,
            });
        }
    }
    badges
}

/// Adds the art to the badges. Returns the problems of its files: art of an unknown badge, and art that is refused.
pub(crate) fn add_art(badges: &mut [Badge], known: &Known<'_>, folder: &ThemeFolder) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (file, source) in &folder.files {
        let Some(badge) = art::badge_of(file) else { continue };
        let name = folder.name_of(file);
        if !known.badges.contains(&badge) {
            let reason = format!("badges.yaml has no badge `{badge}`, so the file would be ignored");
            problems.push(Problem::about(&name, reason).suggesting(badge, known.badges.iter().copied()));
        }
        problems.extend(art::check(&name, source));
    }
    for badge in badges {
        let source = folder.files.get(&art::art_file(badge.id.as_str()));
        badge.art = source.map(|source| Arc::from(source.as_str()));
    }
    problems
}

fn read_rule(rule: &EarnedBy, known: &Known<'_>, reader: &mut Reader<'_>) -> Option<BadgeRule> {
    Some(match rule {
        EarnedBy::TenureDays(days) => BadgeRule::Tenure {
            days: reader.number(days, 1..=LONGEST_TENURE_DAYS),
        },
        EarnedBy::Reached(tier) => BadgeRule::Reached {
            tier: reader.reference(tier, "tier", &known.tiers)?,
        },
        EarnedBy::ActiveDays(days) => {
            let days = reader.number(days, 1..=u32::from(ACTIVITY_WINDOW_DAYS));
            BadgeRule::Active {
                days: u8::try_from(days).unwrap_or(ACTIVITY_WINDOW_DAYS),
            }
        }
        EarnedBy::Former(tier) => BadgeRule::FormerHolder {
            tier: reader.reference(tier, "tier", &known.tiers)?,
        },
        EarnedBy::FirstMembers(first) => BadgeRule::Early {
            first: reader.number(first, 1..=MAX_FIRST_MEMBERS),
        },
        EarnedBy::Given => BadgeRule::Given,
        EarnedBy::Shared => BadgeRule::Shared,
    })
}
