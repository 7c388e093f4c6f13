//! What is written of a member who may have a profile already. Pure.

use std::collections::HashSet;

use arrakis_db::{BadgeRow, MemberRows, MemberWrite, ProfileRow};
use arrakis_domain::{Address, TierId};
use time::OffsetDateTime;
use uuid::Uuid;

/// What of the community decides how rows are merged.
pub(super) struct MergeRules<'a> {
    /// The place of a tier, 0 for the highest.
    pub(super) place: &'a dyn Fn(&TierId) -> Option<usize>,
    /// Badges of the member from which another one is shared.
    pub(super) shared_on: &'a [Uuid],
    /// The time of the import.
    pub(super) now: OffsetDateTime,
}

/// The rows to write of a member. `existing` are the rows that the member has, `wallet` the one that the registry has for the profile.
///
/// # Errors
/// The reason, when the member holds a badge of the file by another row, which must not be replaced.
pub(super) fn merged(
    source: &MemberRows,
    existing: Option<&MemberRows>,
    wallet: Option<Address>,
    rules: &MergeRules<'_>,
) -> Result<MemberWrite, String> {
    let mut rows = source.clone();
    let Some(existing) = existing else {
        rows.profile.wallet = wallet;
        return Ok(MemberWrite {
            rows,
            previous: None,
            replaced: Vec::new(),
        });
    };
    let replaced = replaced_badges(source, existing, rules.shared_on)?;
    rows.profile = merged_profile(&source.profile, &existing.profile, wallet, rules);
    // What the platform has recorded itself stays.
    rows.tiers
        .retain(|reached| existing.tiers.iter().all(|known| known.tier != reached.tier));
    let days: HashSet<&str> = existing.days.iter().map(|known| known.day.as_str()).collect();
    rows.days.retain(|activity| !days.contains(activity.day.as_str()));
    Ok(MemberWrite {
        rows,
        previous: Some(existing.profile.clone()),
        replaced,
    })
}

/// The platform knows name and presence; the file knows what was before.
fn merged_profile(
    source: &ProfileRow,
    existing: &ProfileRow,
    wallet: Option<Address>,
    rules: &MergeRules<'_>,
) -> ProfileRow {
    let evaluated = if existing.tier.is_some() { existing } else { source };
    ProfileRow {
        user_id: existing.user_id,
        display_name: existing.display_name.clone(),
        wallet,
        joined_at: existing.joined_at.min(source.joined_at),
        left_at: existing.left_at,
        tier: evaluated.tier.clone(),
        tier_since: evaluated.tier_since,
        highest_tier: higher(
            existing.highest_tier.as_ref(),
            source.highest_tier.as_ref(),
            rules.place,
        ),
        protected: existing.protected || source.protected,
        hidden: existing.hidden || source.hidden,
        waitlisted_at: existing.waitlisted_at.into_iter().chain(source.waitlisted_at).min(),
        commands: existing.commands.saturating_add(source.commands),
        messages: existing.messages.saturating_add(source.messages),
        last_active_at: existing.last_active_at.max(source.last_active_at),
        created_at: existing.created_at.min(source.created_at),
        updated_at: rules.now,
    }
}

fn higher(one: Option<&TierId>, other: Option<&TierId>, place: &dyn Fn(&TierId) -> Option<usize>) -> Option<TierId> {
    // A tier of an earlier theme has no place, and is the lowest.
    let tiers = one.into_iter().chain(other);
    tiers.min_by_key(|tier| place(tier).unwrap_or(usize::MAX)).cloned()
}

/// The badges that make room for those of the file: earned by a rule, and written again by an undo.
fn replaced_badges(source: &MemberRows, existing: &MemberRows, shared_on: &[Uuid]) -> Result<Vec<BadgeRow>, String> {
    let mut replaced = Vec::new();
    let held = source.badges.iter().filter(|badge| badge.revoked_at.is_none());
    for badge in held {
        let same = existing
            .badges
            .iter()
            .find(|known| known.revoked_at.is_none() && known.badge == badge.badge);
        let Some(known) = same else { continue };
        if known.source != "rule" || shared_on.contains(&known.badge_id) {
            return Err(format!(
                "the member holds the badge {} already, given or shared on the platform; revoke it there, or take it out of the file",
                badge.badge
            ));
        }
        replaced.push(known.clone());
    }
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use arrakis_db::{ActivityRow, TierReachedRow, UserId};
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-30 12:00 UTC);
    const JOINED: OffsetDateTime = datetime!(2024-02-01 00:00 UTC);
    const LADDER: [&str; 3] = ["naib", "fedaykin", "ichwan"];

    fn tier(id: &str) -> TierId {
        TierId::new(id).unwrap()
    }

    fn member(joined_at: OffsetDateTime) -> MemberRows {
        MemberRows {
            profile: ProfileRow {
                user_id: UserId::new(7).unwrap(),
                display_name: "Chani".to_owned(),
                wallet: None,
                joined_at,
                left_at: None,
                tier: None,
                tier_since: None,
                highest_tier: None,
                protected: false,
                hidden: false,
                waitlisted_at: None,
                commands: 3,
                messages: 5,
                last_active_at: None,
                created_at: joined_at,
                updated_at: joined_at,
            },
            tiers: Vec::new(),
            days: Vec::new(),
            badges: Vec::new(),
        }
    }

    fn badge(number: u128, source: &str) -> BadgeRow {
        BadgeRow {
            badge_id: Uuid::from_u128(number),
            badge: "veteran".parse().unwrap(),
            source: source.to_owned(),
            awarded_by: None,
            awarded_at: JOINED,
            reason: None,
            revoked_at: None,
            revoked_by: None,
            revoke_reason: None,
        }
    }

    fn merge(source: &MemberRows, existing: Option<&MemberRows>, shared_on: &[Uuid]) -> Result<MemberWrite, String> {
        let place = |tier: &TierId| LADDER.iter().position(|id| *id == tier.as_str());
        let rules = MergeRules {
            place: &place,
            shared_on,
            now: NOW,
        };
        merged(source, existing, Some(Address::from_bytes([1; 20])), &rules)
    }

    #[test]
    fn member_without_a_profile_gets_the_files_with_the_wallet_of_the_registry() {
        let source = member(JOINED);
        let write = merge(&source, None, &[]).unwrap();
        assert_eq!(write.previous, None);
        let mut expected = source;
        expected.profile.wallet = Some(Address::from_bytes([1; 20]));
        assert_eq!(write.rows, expected);
    }

    #[test]
    fn existing_profile_keeps_what_the_platform_knows_and_gets_what_was_before() {
        let mut source = member(JOINED);
        source.profile.display_name = "Chani of old".to_owned();
        source.profile.left_at = Some(JOINED + time::Duration::DAY);
        source.profile.highest_tier = Some(tier("naib"));
        source.profile.waitlisted_at = Some(JOINED);
        source.profile.hidden = true;
        source.tiers = vec![
            TierReachedRow {
                tier: tier("ichwan"),
                reached_at: JOINED,
            },
            TierReachedRow {
                tier: tier("naib"),
                reached_at: JOINED,
            },
        ];
        source.days = vec![ActivityRow {
            day: "2026-11-29".to_owned(),
            commands: 1,
            messages: 0,
        }];
        let mut existing = member(NOW);
        existing.profile.tier = Some(tier("ichwan"));
        existing.profile.tier_since = Some(NOW);
        existing.profile.highest_tier = Some(tier("ichwan"));
        existing.profile.last_active_at = Some(NOW);
        existing.tiers = vec![TierReachedRow {
            tier: tier("ichwan"),
            reached_at: NOW,
        }];
        let write = merge(&source, Some(&existing), &[]).unwrap();
        let profile = &write.rows.profile;
        assert_eq!((profile.display_name.as_str(), profile.left_at), ("Chani", None));
        assert_eq!((profile.joined_at, profile.created_at), (JOINED, JOINED));
        assert_eq!(
            (profile.tier.clone(), profile.tier_since),
            (Some(tier("ichwan")), Some(NOW))
        );
        assert_eq!(profile.highest_tier, Some(tier("naib")));
        assert_eq!((profile.commands, profile.messages), (6, 10));
        assert_eq!(
            (profile.waitlisted_at, profile.last_active_at),
            (Some(JOINED), Some(NOW))
        );
        assert!(profile.hidden && !profile.protected);
        assert_eq!(profile.updated_at, NOW);
        let tiers: Vec<&str> = write.rows.tiers.iter().map(|reached| reached.tier.as_str()).collect();
        assert_eq!(tiers, ["naib"]);
        assert_eq!(write.rows.days.len(), 1);
        assert_eq!(write.previous, Some(existing.profile));
    }

    #[test]
    fn rule_badge_of_the_platform_makes_room_and_others_are_a_conflict() {
        let (mut source, mut existing) = (member(JOINED), member(NOW));
        source.badges = vec![badge(1, "rule")];
        existing.badges = vec![badge(2, "rule")];
        let write = merge(&source, Some(&existing), &[]).unwrap();
        assert_eq!((write.replaced, write.rows.badges.len()), (vec![badge(2, "rule")], 1));
        assert!(merge(&source, Some(&existing), &[Uuid::from_u128(2)]).is_err());
        existing.badges = vec![badge(2, "admin")];
        assert!(merge(&source, Some(&existing), &[]).is_err());
        existing.badges[0].revoked_at = Some(NOW);
        assert!(merge(&source, Some(&existing), &[]).unwrap().replaced.is_empty());
    }
}
