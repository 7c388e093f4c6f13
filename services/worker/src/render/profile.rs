//! `/profile`: a member's card. One's own shows the wallet; another's says only whether there is one.

use arrakis_domain::{Address, Evaluation, RoleKey, RoleRule, Standing};
use time::OffsetDateTime;
use twilight_model::channel::message::Embed;

use super::{Scene, narrow, next_step, position, text, wide};

/// What `/profile` shows.
#[derive(Debug, Clone)]
pub struct Profile<'a> {
    /// Name in this community.
    pub name: &'a str,
    /// The asking member's own card.
    pub own: bool,
    /// The wallet; `None` when none is verified.
    pub wallet: Option<Address>,
    /// Tier and badges.
    pub evaluation: &'a Evaluation,
    /// Roles that the member should have by the theme's rules.
    pub roles: &'a [RoleKey],
    /// When the member came.
    pub joined_at: OffsetDateTime,
    /// Full days since.
    pub tenure_days: u32,
    /// Since when the tier is held.
    pub tier_since: Option<OffsetDateTime>,
}

/// Draws it.
pub fn embed(scene: &Scene<'_>, profile: &Profile<'_>) -> Embed {
    let tier = profile.evaluation.tier.as_ref();
    let standing = profile.evaluation.standing;
    let held_tier = tier.map_or_else(|| "No tier yet".to_owned(), |tier| text::tier(scene.theme, tier));
    let since = profile
        .tier_since
        .filter(|_| tier.is_some())
        .map(|at| format!(" since {}", text::date(at)));
    let lead = format!("**{held_tier}**{}", since.unwrap_or_default());
    let meaning = tier
        .and_then(|id| scene.theme.tier(id))
        .map(|tier| format!("*{}*", tier.description));
    let lead = [lead].into_iter().chain(meaning).collect::<Vec<_>>().join("\n");
    let mut embed = scene
        .embed(&text::name(profile.name), scene.theme.color_of(tier), &[lead])
        .field(narrow("Rank", &rank(standing)))
        .field(narrow("Holding", &text::held(standing.balance, scene.symbol)))
        .field(narrow("Wallet", &wallet(profile)))
        .field(wide("Member", &tenure(profile)))
        .field(wide(&badge_title(scene, profile), &badges(scene, profile)));
    if let Some(honours) = honours(scene, profile) {
        embed = embed.field(wide("Honours", &honours));
    }
    if profile.own
        && let Some(progress) = scene.ladder.progress(standing)
    {
        let title = format!("Next: {}", text::tier(scene.theme, &progress.tier));
        embed = embed.field(wide(&title, &position::way(scene, &progress)));
    }
    embed.field(next_step(advice(profile))).build()
}

/// What is wrong and what to do when the member meant is not known to the community: who joined before the bot did, a bot,
/// somebody who has left.
pub fn unknown(name: &str, own: bool) -> (String, String) {
    if own {
        let what = "I do not know you in this server yet.".to_owned();
        return (
            what,
            "Ask an admin to bring you in; `/leaderboard` and `/threshold` work meanwhile.".to_owned(),
        );
    }
    let what = format!("{} is not a member that I know here.", text::name(name));
    (
        what,
        "Choose somebody who is in this server; bots have no card.".to_owned(),
    )
}

fn rank(standing: Standing) -> String {
    standing
        .rank
        .map_or_else(|| "not ranked".to_owned(), |rank| text::grouped(rank.get()))
}

/// Another's address stays theirs: that a wallet is verified is enough to know.
fn wallet(profile: &Profile<'_>) -> String {
    match profile.wallet {
        Some(wallet) if profile.own => format!("✅ `{}`", wallet.short()),
        Some(_) => "✅ verified".to_owned(),
        None => "not linked".to_owned(),
    }
}

fn tenure(profile: &Profile<'_>) -> String {
    format!(
        "since {} ({})",
        text::date(profile.joined_at),
        text::count(profile.tenure_days, "day", "days")
    )
}

fn badge_title(scene: &Scene<'_>, profile: &Profile<'_>) -> String {
    format!(
        "Badges: {} of {}",
        profile.evaluation.badges.len(),
        scene.theme.badges.len()
    )
}

/// In the theme's order; badges that the theme does not know are not shown.
fn badges(scene: &Scene<'_>, profile: &Profile<'_>) -> String {
    let held = scene
        .theme
        .badges
        .iter()
        .filter(|badge| profile.evaluation.badges.contains(&badge.id));
    let lines: Vec<String> = held
        .map(|badge| format!("{} **{}** · {}", badge.emoji, badge.name, badge.description))
        .collect();
    if lines.is_empty() {
        "none yet".to_owned()
    } else {
        text::lines(&lines, text::FIELD)
    }
}

/// Special roles: those that the theme gives for something else than the tier.
fn honours(scene: &Scene<'_>, profile: &Profile<'_>) -> Option<String> {
    let special = |key: &&RoleKey| {
        let role = scene.theme.role(key);
        role.is_some_and(|role| role.given_to.is_automatic() && !matches!(role.given_to, RoleRule::Tier(_)))
    };
    let mut names: Vec<_> = profile
        .roles
        .iter()
        .filter(special)
        .filter_map(|key| scene.theme.role(key))
        .collect();
    names.sort_by_key(|role| std::cmp::Reverse(role.position));
    let names: Vec<&str> = names.into_iter().map(|role| role.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(" · "))
}

fn advice(profile: &Profile<'_>) -> &'static str {
    match (profile.own, profile.wallet) {
        (true, None) => position::LINK_A_WALLET,
        (true, Some(_)) => "`/position` shows who is next above and below you.",
        (false, _) => "`/profile` without a member shows your own card, `/leaderboard` the whole ranking.",
    }
}

#[cfg(test)]
mod tests {
    use arrakis_domain::{MemberFacts, TierId};
    use time::macros::datetime;

    use super::super::samples::{scene, standing, theme};
    use super::*;

    fn card(theme_id: &str, standing: Standing, facts: &MemberFacts, own: bool, wallet: bool) -> Embed {
        let theme = theme(theme_id);
        let scene = scene(&theme);
        let evaluation = theme.evaluate(scene.ladder, standing, facts);
        let roles: Vec<RoleKey> = theme.desired_roles(&evaluation, facts).into_iter().collect();
        let profile = Profile {
            name: "Chani_Kynes",
            own,
            wallet: wallet.then(|| "0x656b95E550C07a9ffe548bd4085c72418Ceb1dba".parse().unwrap()),
            evaluation: &evaluation,
            roles: &roles,
            joined_at: datetime!(2026-02-01 08:00:00 UTC),
            tenure_days: facts.tenure_days,
            tier_since: Some(datetime!(2026-03-01 08:00:00 UTC)),
        };
        embed(&scene, &profile)
    }

    #[test]
    fn ones_own_card() {
        let facts = MemberFacts {
            tenure_days: 181,
            active_days: 12,
            reached: [TierId::new("naib").unwrap()].into(),
            ..MemberFacts::default()
        };
        insta::assert_json_snapshot!(card("sietch", standing(8, "4321.5"), &facts, true, true));
    }

    #[test]
    fn anothers_card_keeps_the_address() {
        let facts = MemberFacts {
            tenure_days: 1,
            ..MemberFacts::default()
        };
        let card = card("sietch", standing(1_001, "68.9"), &facts, false, true);
        let text = serde_json::to_string(&card).unwrap();
        assert!(!text.contains("0x"), "{text}");
        insta::assert_json_snapshot!(card);
    }

    #[test]
    fn a_newcomer_without_a_wallet() {
        insta::assert_json_snapshot!(card("basic", standing(0, "0"), &MemberFacts::default(), true, false));
    }

    #[test]
    fn strangers_are_told_apart() {
        assert_eq!(unknown("*x*", false).0, r"\*x\* is not a member that I know here.");
        assert_eq!(unknown("x", true).0, "I do not know you in this server yet.");
    }

    #[test]
    fn every_badge_at_once_fits() {
        let theme = theme("sietch");
        let given = theme.badges.iter().map(|badge| badge.id.clone()).collect();
        let reached = [TierId::new("naib").unwrap()].into();
        let facts = MemberFacts {
            tenure_days: 500,
            active_days: 30,
            reached,
            given,
            ..MemberFacts::default()
        };
        let card = card("sietch", standing(8, "5000"), &facts, true, true);
        let badges = card
            .fields
            .iter()
            .find(|field| field.name == "Badges: 12 of 12")
            .unwrap();
        assert_eq!(badges.value.lines().count(), 12);
        assert!(
            !badges.value.ends_with('…'),
            "{} characters",
            badges.value.chars().count()
        );
    }
}
