//! `/admin-badge`: the replies to an admin about a badge that was given or taken, and the refusals.

use arrakis_domain::Badge;
use twilight_model::channel::message::Embed;

use super::{RenderContext, full_field, next_step, text};

/// A badge that was given or taken.
#[derive(Debug, Clone, Copy)]
pub struct AdminBadgeView<'a> {
    /// The badge.
    pub badge: &'a Badge,
    /// The member's name in this community.
    pub name: &'a str,
    /// Whether it was given, not taken.
    pub given: bool,
    /// The admin's reason.
    pub reason: &'a str,
}

/// Renders the confirmation.
pub fn embed(context: &RenderContext<'_>, view: &AdminBadgeView<'_>) -> Embed {
    let badge = format!("{} **{}**", view.badge.emoji, view.badge.name);
    let name = text::name(view.name);
    let (title, lead) = if view.given {
        ("Badge given", format!("{name} now holds {badge}."))
    } else {
        ("Badge taken", format!("{name} no longer holds {badge}."))
    };
    let next = if view.given {
        "Roles follow within seconds. `/badges` with the member shows the card; the action `Take` undoes it."
    } else {
        "Roles follow within seconds. `/badges` with the member shows the card; the action `Give` undoes it."
    };
    context
        .embed_without_ranking(title, context.theme.accent, &[lead])
        .field(full_field("Reason", &text::name(view.reason)))
        .field(full_field(
            "Recorded",
            "In the audit log, with your name and the reason.",
        ))
        .field(next_step(next))
        .build()
}

/// The sentences of the refusal of a badge that an admin cannot give or take.
pub fn not_given(context: &RenderContext<'_>, typed: &str, badge: Option<&Badge>) -> (String, String) {
    let what = match badge {
        Some(badge) => format!("**{}** is earned by a rule: {}", badge.name, badge.description),
        None => format!("There is no badge \"{}\" here.", text::name(typed)),
    };
    let names: Vec<&str> = givable(context).map(|badge| badge.name.as_str()).collect();
    let next = if names.is_empty() {
        "The theme of this community has no badge that is given.".to_owned()
    } else {
        format!("You can give and take: {}.", names.join(", "))
    };
    (what, next)
}

/// The sentences of the refusal of a change that the member's badges already have.
pub fn unchanged(view: &AdminBadgeView<'_>) -> (String, String) {
    let name = text::name(view.name);
    let what = if view.given {
        format!("{name} holds **{}** already.", view.badge.name)
    } else {
        format!("{name} does not hold **{}**.", view.badge.name)
    };
    (what, "`/badges` with the member shows what they hold.".to_owned())
}

/// The sentences of the refusal to take a badge that others hold because the member shared it. `others` is their number.
pub fn shared_on(view: &AdminBadgeView<'_>, others: usize) -> (String, String) {
    let name = text::name(view.name);
    let others = u32::try_from(others).unwrap_or(u32::MAX);
    let holders = text::count(others, "member holds", "members hold");
    (
        format!(
            "{name} has shared **{}**: {holders} it from that share.",
            view.badge.name
        ),
        "`/admin-water-share` with the member shows the branch, and revokes all of it.".to_owned(),
    )
}

/// The badges that an admin gives and takes, in the theme's order.
pub fn givable<'a>(context: &RenderContext<'a>) -> impl Iterator<Item = &'a Badge> {
    let badges = context.theme.badges.iter();
    badges.filter(|badge| !badge.earned_by.is_rule())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{context, theme};
    use super::*;

    fn badge<'a>(context: &RenderContext<'a>, id: &str) -> &'a Badge {
        context
            .theme
            .badges
            .iter()
            .find(|badge| badge.id.as_str() == id)
            .unwrap()
    }

    #[test]
    fn badge_given_and_taken() {
        let theme = theme("sietch");
        let context = context(&theme);
        let view = |given| AdminBadgeView {
            badge: badge(&context, "contributor"),
            name: "Liet_Kynes",
            given,
            reason: "for the *maps*",
        };
        insta::assert_json_snapshot!([embed(&context, &view(true)), embed(&context, &view(false))]);
    }

    #[test]
    fn refusals_name_the_badges_that_are_given() {
        let sietch = theme("sietch");
        let sietch = context(&sietch);
        let (what, next) = not_given(&sietch, "sandrider", Some(badge(&sietch, "sandrider")));
        assert_eq!(
            what,
            "**Sandrider** is earned by a rule: Heard on twenty of the last thirty days."
        );
        assert_eq!(next, "You can give and take: Contributor, Water Sharer.");
        let (what, _) = not_given(&sietch, "spice*", None);
        assert_eq!(what, r#"There is no badge "spice\*" here."#);
    }
}
