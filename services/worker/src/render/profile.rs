//! `/profile`: a member's profile. The member's own shows the wallet's address; another's shows only whether a wallet is linked.

use arrakis_domain::{Address, Evaluation, RoleKey, RoleRule, Standing};
use time::OffsetDateTime;
use twilight_model::channel::message::Embed;

use super::suspended::{self, Suspended};
use super::{RenderContext, full_field, inline_field, next_step, position, text};

/// The data that `/profile` shows.
#[derive(Debug, Clone)]
pub struct ProfileView<'a> {
    /// The member's name in this community.
    pub name: &'a str,
    /// Whether it is the profile of the member who ran the command.
    pub own: bool,
    /// The wallet; `None` when none is verified.
    pub wallet: Option<Address>,
    /// When it was verified, of the own profile.
    pub verified_at: Option<OffsetDateTime>,
    /// Tier and badges.
    pub evaluation: &'a Evaluation,
    /// Roles that the member should have by the theme's rules.
    pub roles: &'a [RoleKey],
    /// The suspension of the member; `None` without one. The evaluation is then one without rank and holding.
    pub suspended: Option<Suspended>,
    /// When the member joined the server.
    pub joined_at: OffsetDateTime,
    /// Full days since then.
    pub tenure_days: u32,
    /// Since when the member has the tier.
    pub tier_since: Option<OffsetDateTime>,
}

/// Renders the profile.
pub fn embed(context: &RenderContext<'_>, profile: &ProfileView<'_>) -> Embed {
    let tier = profile.evaluation.tier.as_ref();
    let standing = profile.evaluation.standing;
    let held_tier = tier.map_or_else(|| "No tier yet".to_owned(), |tier| text::tier(context.theme, tier));
    let since = profile
        .tier_since
        .filter(|_| tier.is_some())
        .map(|at| format!(" since {}", text::date(at)));
    let lead = format!("**{held_tier}**{}", since.unwrap_or_default());
    let meaning = tier
        .and_then(|id| context.theme.tier(id))
        .map(|tier| format!("*{}*", tier.description));
    let lead = [lead].into_iter().chain(meaning).collect::<Vec<_>>().join("\n");
    let mut embed = match profile.suspended {
        // A suspended member is evaluated without rank and holding: they would contradict the ranking.
        Some(suspended) => {
            let lead = suspension(profile, suspended);
            context.embed_without_ranking(&text::name(profile.name), context.theme.accent, &[lead])
        }
        None => context
            .embed(&text::name(profile.name), context.theme.color_of(tier), &[lead])
            .field(inline_field("Rank", &rank(standing)))
            .field(inline_field("Holding", &text::held(standing.balance, context.symbol))),
    };
    embed = embed
        .field(inline_field("Wallet", &wallet(profile)))
        .field(full_field("Member", &tenure(profile)))
        .field(full_field(&badge_title(context, profile), &badges(context, profile)));
    if let Some(honours) = honours(context, profile) {
        embed = embed.field(full_field("Honours", &honours));
    }
    if profile.own
        && profile.suspended.is_none()
        && let Some(progress) = context.ladder.progress(standing)
    {
        let title = format!("Next: {}", text::tier(context.theme, &progress.tier));
        embed = embed.field(full_field(&title, &position::progress_text(context, &progress)));
    }
    embed.field(next_step(next_step_text(profile))).build()
}

/// The sentences of the refusal for a member without a profile: one who joined before the bot did, a bot, or one who has left.
pub fn unknown_member(name: &str, own: bool) -> (String, String) {
    if own {
        let what = "I do not know you in this server yet.".to_owned();
        return (
            what,
            "Ask an admin to run `/reconcile`, which brings you in; `/leaderboard` and `/threshold` work meanwhile."
                .to_owned(),
        );
    }
    let what = format!("{} is not a member that I know here.", text::name(name));
    (
        what,
        "Choose somebody who is in this server; bots have no card.".to_owned(),
    )
}

/// The end is shown to the member only.
fn suspension(profile: &ProfileView<'_>, suspended: Suspended) -> String {
    if profile.own {
        suspended.text()
    } else {
        "This account is suspended here: no tier and no roles.".to_owned()
    }
}

fn rank(standing: Standing) -> String {
    standing
        .rank
        .map_or_else(|| "not ranked".to_owned(), |rank| text::grouped(rank.get()))
}

/// The address is shown to its owner only.
fn wallet(profile: &ProfileView<'_>) -> String {
    match profile.wallet {
        Some(wallet) if profile.own => {
            let since = profile.verified_at.map(|at| format!(" verified {}", text::date(at)));
            format!("✅ `{}`{}", wallet.short(), since.unwrap_or_default())
        }
        Some(_) => "✅ verified".to_owned(),
        None => "not verified".to_owned(),
    }
}

fn tenure(profile: &ProfileView<'_>) -> String {
    format!(
        "since {} ({})",
        text::date(profile.joined_at),
        text::count(profile.tenure_days, "day", "days")
    )
}

fn badge_title(context: &RenderContext<'_>, profile: &ProfileView<'_>) -> String {
    format!(
        "Badges: {} of {}",
        profile.evaluation.badges.len(),
        context.theme.badges.len()
    )
}

/// The badges in the theme's order, without badges of an earlier theme.
fn badges(context: &RenderContext<'_>, profile: &ProfileView<'_>) -> String {
    let held = context
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

/// The names of roles that the theme assigns for something else than the tier.
fn honours(context: &RenderContext<'_>, profile: &ProfileView<'_>) -> Option<String> {
    let special = |key: &&RoleKey| {
        let role = context.theme.role(key);
        role.is_some_and(|role| role.given_to.is_automatic() && !matches!(role.given_to, RoleRule::Tier(_)))
    };
    let mut names: Vec<_> = profile
        .roles
        .iter()
        .filter(special)
        .filter_map(|key| context.theme.role(key))
        .collect();
    names.sort_by_key(|role| std::cmp::Reverse(role.position));
    let names: Vec<&str> = names.into_iter().map(|role| role.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(" · "))
}

fn next_step_text(profile: &ProfileView<'_>) -> &'static str {
    if profile.own && profile.suspended.is_some() {
        return suspended::NEXT;
    }
    match (profile.own, profile.wallet) {
        (true, None) => text::LINK_A_WALLET,
        (true, Some(_)) => "`/position` shows who is next above and below you.",
        (false, _) => "`/profile` without a member shows your own card, `/leaderboard` the whole ranking.",
    }
}

#[cfg(test)]
mod tests {
    use arrakis_domain::{MemberFacts, TierId};
    use time::macros::datetime;

    use super::super::samples::{context, standing, theme};
    use super::*;

    fn card(theme_id: &str, standing: Standing, facts: &MemberFacts, own: bool, wallet: bool) -> Embed {
        card_of(theme_id, standing, facts, (own, wallet), None)
    }

    fn card_of(
        theme_id: &str,
        standing: Standing,
        facts: &MemberFacts,
        (own, wallet): (bool, bool),
        suspended: Option<Suspended>,
    ) -> Embed {
        let theme = theme(theme_id);
        let context = context(&theme);
        let evaluation = theme.evaluate(context.ladder, standing, facts);
        let roles: Vec<RoleKey> = theme.desired_roles(&evaluation, facts).into_iter().collect();
        let profile = ProfileView {
            name: "Chani_Kynes",
            own,
            wallet: wallet.then(|| "0x656b95E550C07a9ffe548bd4085c72418Ceb1dba".parse().unwrap()),
            verified_at: (wallet && own).then_some(datetime!(2026-02-02 08:00:00 UTC)),
            evaluation: &evaluation,
            roles: &roles,
            suspended,
            joined_at: datetime!(2026-02-01 08:00:00 UTC),
            tenure_days: facts.tenure_days,
            tier_since: Some(datetime!(2026-03-01 08:00:00 UTC)),
        };
        embed(&context, &profile)
    }

    #[test]
    fn own_profile() {
        let facts = MemberFacts {
            tenure_days: 181,
            active_days: 12,
            reached: [TierId::new("naib").unwrap()].into(),
            ..MemberFacts::default()
        };
        insta::assert_json_snapshot!(card("sietch", standing(8, "4321.5"), &facts, true, true));
    }

    #[test]
    fn profile_of_another_member_hides_the_address() {
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
    fn own_profile_of_a_suspended_member_has_no_rank_and_no_next_tier() {
        let suspended = Some(Suspended { until: None });
        let card = card_of(
            "sietch",
            standing(0, "0"),
            &MemberFacts::default(),
            (true, true),
            suspended,
        );
        assert_eq!(
            card.description.unwrap(),
            "Your account is suspended here: no tier, no roles, and wallets cannot change."
        );
        let names: Vec<&str> = card.fields.iter().map(|field| field.name.as_str()).collect();
        assert!(
            !names
                .iter()
                .any(|name| *name == "Rank" || *name == "Holding" || name.starts_with("Next:")),
            "{names:?}"
        );
        assert_eq!(card.fields.last().unwrap().value, "Contact the admins of the server.");
    }

    #[test]
    fn end_of_a_suspension_is_shown_to_the_member_only() {
        let suspended = Some(Suspended {
            until: Some(datetime!(2026-09-01 08:00:00 UTC)),
        });
        let facts = MemberFacts::default();
        let own = card_of("sietch", standing(0, "0"), &facts, (true, true), suspended);
        let own = own.description.unwrap();
        assert!(own.contains("<t:1788249600:D>"), "{own}");
        let other = card_of("sietch", standing(0, "0"), &facts, (false, true), suspended);
        assert_eq!(
            other.description.as_deref(),
            Some("This account is suspended here: no tier and no roles.")
        );
        assert!(other.fields.iter().all(|field| field.name != "Rank"));
    }

    #[test]
    fn new_member_without_a_wallet() {
        insta::assert_json_snapshot!(card("basic", standing(0, "0"), &MemberFacts::default(), true, false));
    }

    #[test]
    fn refusal_differs_for_the_own_profile() {
        assert_eq!(
            unknown_member("*x*", false).0,
            r"\*x\* is not a member that I know here."
        );
        assert_eq!(unknown_member("x", true).0, "I do not know you in this server yet.");
    }

    #[test]
    fn all_badges_fit_in_one_field() {
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
