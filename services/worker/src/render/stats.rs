//! `/stats`: the community in numbers.

use std::collections::BTreeMap;

use arrakis_domain::{EntryThreshold, TierId};
use twilight_model::channel::message::Embed;

use super::{Scene, narrow, next_step, text, threshold, wide};

/// What `/stats` shows.
#[derive(Debug, Clone)]
pub struct Stats<'a> {
    /// Name of the community.
    pub community: &'a str,
    /// Members who are here.
    pub members: u32,
    /// Of them, those with a verified wallet.
    pub verified: u32,
    /// Members by tier; who has none is in none.
    pub by_tier: &'a BTreeMap<TierId, u32>,
    /// Wallets in the ranking, here or not.
    pub wallets: u32,
    /// What entry takes.
    pub entry: EntryThreshold,
}

/// Draws them.
pub fn embed(scene: &Scene<'_>, stats: &Stats<'_>) -> Embed {
    let words = &scene.theme.words;
    let members = text::count(stats.members, &words.member, &words.members);
    let lead = format!(
        "**{}**\n{members}, {} of them with a verified wallet ({} %).",
        text::name(stats.community),
        text::grouped(stats.verified),
        text::percent(stats.verified, stats.members),
    );
    scene
        .embed(&words.stats, scene.theme.accent, &[lead])
        .field(wide("Tiers", &tiers(scene, stats)))
        .field(narrow("Ranked wallets", &text::grouped(stats.wallets)))
        .field(narrow("Entry", &threshold::short(scene, stats.entry)))
        .field(next_step(
            "`/position` shows where you stand, `/leaderboard` who leads.",
        ))
        .build()
}

/// One line for each tier, highest first, then those without.
fn tiers(scene: &Scene<'_>, stats: &Stats<'_>) -> String {
    let held = |id: &TierId| stats.by_tier.get(id).copied().unwrap_or_default();
    let mut lines: Vec<String> = scene
        .theme
        .tiers
        .iter()
        .map(|tier| format!("{} **{}** {}", tier.emoji, tier.name, text::grouped(held(&tier.id))))
        .collect();
    // Tiers of an earlier theme, until the next sync, count among those without.
    let known: u32 = scene.theme.tiers.iter().map(|tier| held(&tier.id)).sum();
    lines.push(format!(
        "▫️ no tier {}",
        text::grouped(stats.members.saturating_sub(known))
    ));
    text::lines(&lines, text::FIELD)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{balance, scene, theme};
    use super::super::{Freshness, samples};
    use super::*;

    fn by_tier(counts: &[(&str, u32)]) -> BTreeMap<TierId, u32> {
        counts
            .iter()
            .map(|(id, count)| (TierId::new(*id).unwrap(), *count))
            .collect()
    }

    #[test]
    fn sietch() {
        let theme = theme("sietch");
        let by_tier = by_tier(&[("naib", 7), ("fedaykin", 58), ("usul", 21), ("hajra", 1_034)]);
        let stats = Stats {
            community: "Sietch Tabr",
            members: 1_312,
            verified: 1_268,
            by_tier: &by_tier,
            wallets: 4_321,
            entry: EntryThreshold::Holding {
                balance: balance("1234.5"),
            },
        };
        insta::assert_json_snapshot!(embed(&scene(&theme), &stats));
    }

    #[test]
    fn an_empty_community_before_the_first_sync() {
        let theme = theme("basic");
        let stats = Stats {
            community: "Carthag *Market*",
            members: 1,
            verified: 0,
            by_tier: &BTreeMap::new(),
            wallets: 0,
            entry: EntryThreshold::PlacesFree { free: 69 },
        };
        let scene = Scene {
            freshness: Freshness::Never,
            ..samples::scene(&theme)
        };
        insta::assert_json_snapshot!(embed(&scene, &stats));
    }

    #[test]
    fn tiers_of_an_earlier_theme_count_as_none() {
        let theme = theme("basic");
        let by_tier = by_tier(&[("naib", 3), ("gold", 2)]);
        let stats = Stats {
            community: "x",
            members: 5,
            verified: 5,
            by_tier: &by_tier,
            wallets: 5,
            entry: EntryThreshold::PlacesFree { free: 64 },
        };
        assert!(tiers(&scene(&theme), &stats).ends_with("no tier 3"));
    }
}
