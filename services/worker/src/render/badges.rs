//! `/badges`: the message around the drawn card. The badges are also listed as text: the reader of a screen reader may get neither the
//! picture nor its description, which Discord does not show for images of embeds on every client.

use arrakis_domain::{ACTIVITY_WINDOW_DAYS, Badge, BadgeRule, Evaluation, MemberFacts};
use twilight_model::channel::message::Embed;
use twilight_util::builder::embed::ImageSource;

use super::{RenderContext, full_field, next_step, text};

/// Name of the attached image.
pub const FILE_NAME: &str = "badges.png";
/// Longest description of an attachment, in characters: <https://discord.com/developers/docs/resources/message#attachment-object>.
const MAX_TEXT_ALTERNATIVE: usize = 1_024;
/// Badges that are named as within reach.
const MAX_WITHIN_REACH: usize = 3;

/// The data that `/badges` shows.
#[derive(Debug, Clone, Copy)]
pub struct BadgesView<'a> {
    /// The member's name in this community.
    pub name: &'a str,
    /// Whether it is the member who ran the command.
    pub own: bool,
    /// Tier and badges.
    pub evaluation: &'a Evaluation,
    /// What the rules of badges depend on.
    pub facts: &'a MemberFacts,
}

/// Renders the message; its image is the attachment [`FILE_NAME`].
pub fn embed(context: &RenderContext<'_>, view: &BadgesView<'_>) -> Embed {
    let held = held(context, view);
    let count = format!("**{} of {} badges**", held.len(), context.theme.badges.len());
    let list: Vec<String> = held
        .iter()
        .map(|badge| format!("{} {}", badge.emoji, badge.name))
        .collect();
    let mut lead = vec![count];
    if !list.is_empty() {
        lead.push(list.join(" · "));
    }
    let color = context.theme.color_of(view.evaluation.tier.as_ref());
    let mut embed = context.embed(&text::name(view.name), color, &[lead.join("\n")]);
    if let Ok(image) = ImageSource::attachment(FILE_NAME) {
        embed = embed.image(image);
    }
    let within_reach = within_reach(context, view);
    if view.own && !within_reach.is_empty() {
        embed = embed.field(full_field("Within reach", &within_reach.join("\n")));
    }
    let next = if view.own {
        "`/profile` shows for what you hold each of them, `/position` how far the next tier is."
    } else {
        "`/badges` without a member shows your own, `/profile` with one shows what each of these stands for."
    };
    embed.field(next_step(next)).build()
}

/// What the image shows, as the description of the attachment: plain text without markup.
pub fn text_alternative(context: &RenderContext<'_>, view: &BadgesView<'_>) -> String {
    let names = |earned: bool| {
        let badges = context.theme.badges.iter();
        let badges = badges.filter(|badge| view.evaluation.badges.contains(&badge.id) == earned);
        badges.map(|badge| badge.name.as_str()).collect::<Vec<_>>()
    };
    let (earned, open) = (names(true), names(false));
    let tier = view.evaluation.tier.as_ref().and_then(|tier| context.theme.tier(tier));
    let tier = tier.map_or("no tier yet", |tier| tier.name.as_str());
    let rank = view.evaluation.standing.rank;
    let rank = rank.map_or_else(
        || "not ranked".to_owned(),
        |rank| format!("rank {}", text::grouped(rank.get())),
    );
    let tenure = text::count(view.facts.tenure_days, "day", "days");
    let count = format!("{} of {} badges", earned.len(), earned.len() + open.len());
    let mut sentences = vec![format!(
        "Badge card of {}: {tier}, {rank}, {tenure} here, {count}.",
        view.name
    )];
    for (title, names) in [("Earned", earned), ("Not yet", open)] {
        if !names.is_empty() {
            sentences.push(format!("{title}: {}.", names.join(", ")));
        }
    }
    text::truncate(&sentences.join(" "), MAX_TEXT_ALTERNATIVE)
}

/// The badges held, in the theme's order.
fn held<'a>(context: &RenderContext<'a>, view: &BadgesView<'_>) -> Vec<&'a Badge> {
    let badges = context.theme.badges.iter();
    badges
        .filter(|badge| view.evaluation.badges.contains(&badge.id))
        .collect()
}

/// Badges that the member earns by staying or by taking part, the nearest of each kind.
fn within_reach(context: &RenderContext<'_>, view: &BadgesView<'_>) -> Vec<String> {
    let open = context.theme.badges.iter();
    let open = open.filter(|badge| !view.evaluation.badges.contains(&badge.id));
    let missing = |badge: &&Badge| match badge.earned_by {
        BadgeRule::Tenure { days } => Some((0, days.saturating_sub(view.facts.tenure_days))),
        BadgeRule::Active { days } => Some((1, u32::from(days.saturating_sub(view.facts.active_days)))),
        _ => None,
    };
    let mut nearest: Vec<(u8, u32, &Badge)> = open
        .filter_map(|badge| missing(&badge).map(|(kind, days)| (kind, days, badge)))
        .collect();
    nearest.sort_by_key(|(kind, days, _)| (*kind, *days));
    nearest.dedup_by_key(|(kind, ..)| *kind);
    let line = |(kind, days, badge): &(u8, u32, &Badge)| {
        let days = text::count(*days, "day", "days");
        let when = match kind {
            0 => format!("in {days}"),
            _ => format!("after a message or a command on {days} more within {ACTIVITY_WINDOW_DAYS} days"),
        };
        format!("{} **{}** {when}", badge.emoji, badge.name)
    };
    nearest.iter().take(MAX_WITHIN_REACH).map(line).collect()
}

#[cfg(test)]
mod tests {
    use arrakis_domain::TierId;

    use super::super::samples::{context, standing, theme};
    use super::*;

    fn rendered(theme_id: &str, rank: u32, facts: &MemberFacts, own: bool) -> (Embed, String) {
        let theme = theme(theme_id);
        let context = context(&theme);
        let evaluation = theme.evaluate(context.ladder, standing(rank, "100"), facts);
        let view = BadgesView {
            name: "Chani_*Kynes*",
            own,
            evaluation: &evaluation,
            facts,
        };
        (embed(&context, &view), text_alternative(&context, &view))
    }

    #[test]
    fn own_badges() {
        let facts = MemberFacts {
            tenure_days: 89,
            active_days: 11,
            reached: [TierId::new("naib").unwrap()].into(),
            ..MemberFacts::default()
        };
        insta::assert_json_snapshot!(rendered("sietch", 8, &facts, true));
    }

    #[test]
    fn badges_of_another_member_in_basic() {
        insta::assert_json_snapshot!(rendered("basic", 0, &MemberFacts::default(), false));
    }

    #[test]
    fn all_badges_leave_nothing_within_reach() {
        let theme = theme("sietch");
        let facts = MemberFacts {
            tenure_days: 500,
            active_days: 30,
            reached: [TierId::new("naib").unwrap()].into(),
            given: theme.badges.iter().map(|badge| badge.id.clone()).collect(),
            ..MemberFacts::default()
        };
        let (embed, alternative) = rendered("sietch", 8, &facts, true);
        assert!(embed.description.unwrap().starts_with("**12 of 12 badges**"));
        assert!(embed.fields.iter().all(|field| field.name != "Within reach"));
        assert!(!alternative.contains("Not yet"), "{alternative}");
    }

    #[test]
    fn text_alternative_has_at_most_the_length_that_discord_accepts() {
        let theme = theme("sietch");
        let context = context(&theme);
        let facts = MemberFacts::default();
        let evaluation = theme.evaluate(context.ladder, standing(1, "100"), &facts);
        let view = BadgesView {
            name: &"x".repeat(3_000),
            own: true,
            evaluation: &evaluation,
            facts: &facts,
        };
        assert_eq!(text_alternative(&context, &view).chars().count(), MAX_TEXT_ALTERNATIVE);
    }
}
