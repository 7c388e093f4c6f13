//! `/water-share`: choosing a member, the confirmation, and its result.

use arrakis_domain::{Badge, BadgeRule, Theme};
use twilight_model::channel::message::component::{ButtonStyle, SelectMenu, SelectMenuType};
use twilight_model::channel::message::{Component, Embed};

use super::{RenderContext, buttons, full_field, next_step, text};

/// The command's name, the first segment of the custom ids of its components.
pub const NAME: &str = "water-share";
/// Argument of the menu from which a member is chosen.
pub const CHOOSE: &str = "choose";
/// Argument of the button that shares; the next argument is the receiver's id.
pub const GIVE: &str = "give";
/// Argument of the button that ends it.
pub const KEEP: &str = "keep";

/// The badge of a theme that members share; `None` if it has none.
pub fn shared_badge(theme: &Theme) -> Option<&Badge> {
    theme.badges.iter().find(|badge| badge.earned_by == BadgeRule::Shared)
}

/// Renders the menu from which the receiver is chosen.
pub fn choose(context: &RenderContext<'_>, badge: &Badge) -> (Embed, Vec<Component>) {
    let lead = format!(
        "You hold {} **{}**, and may share it with one member.",
        badge.emoji, badge.name
    );
    let embed = context
        .embed_without_ranking(&badge.name, context.theme.accent, &[lead])
        .field(next_step(
            "Choose the member below; nothing is shared before you confirm it.",
        ))
        .build();
    let menu = Component::SelectMenu(SelectMenu {
        channel_types: None,
        custom_id: format!("{NAME}:{CHOOSE}"),
        default_values: None,
        disabled: false,
        id: None,
        kind: SelectMenuType::User,
        max_values: Some(1),
        min_values: Some(1),
        options: None,
        placeholder: Some("Who receives it".to_owned()),
        required: None,
    });
    (embed, buttons::rows(vec![menu]))
}

/// Renders the question whether to share with this member.
pub fn confirm(context: &RenderContext<'_>, badge: &Badge, name: &str, receiver: u64) -> (Embed, Vec<Component>) {
    let lead = format!("Share {} **{}** with {}?", badge.emoji, badge.name, text::name(name));
    let once = "You can do this once. You keep the badge, and they may share it with one member in turn. Only an admin can undo it.";
    let embed = context
        .embed_without_ranking(&badge.name, context.theme.accent, &[lead])
        .field(full_field("What it means", once))
        .field(next_step(
            "Press the first button to share, or keep your share for somebody else.",
        ))
        .build();
    let give = buttons::button("Share it", format!("{NAME}:{GIVE}:{receiver}"), ButtonStyle::Success);
    let keep = buttons::button("Keep my share", format!("{NAME}:{KEEP}"), ButtonStyle::Secondary);
    (embed, buttons::rows(vec![give, keep]))
}

/// Renders that it was shared.
pub fn shared(context: &RenderContext<'_>, badge: &Badge, name: &str) -> Embed {
    let lead = format!("{} now holds {} **{}**.", text::name(name), badge.emoji, badge.name);
    context
        .embed_without_ranking(&badge.name, context.theme.accent, &[lead])
        .field(next_step(
            "Tell them: they may share it with one member by `/water-share`. Their role follows within seconds.",
        ))
        .build()
}

/// Renders that nothing was shared.
pub fn kept(context: &RenderContext<'_>, badge: &Badge) -> Embed {
    let lead = "Nothing was shared.".to_owned();
    context
        .embed_without_ranking(&badge.name, context.theme.accent, &[lead])
        .field(next_step("Run `/water-share` again when you know with whom."))
        .build()
}

/// Why a badge cannot be shared, for the sentences of the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotShared<'a> {
    /// The theme has no badge that is shared.
    NoSuchBadge,
    /// The member does not hold it.
    NotHeld,
    /// The member has shared it with this one.
    SharedBefore(&'a str),
    /// The receiver holds it already.
    HeldAlready(&'a str),
    /// The receiver is the giver.
    Oneself,
    /// The receiver is no member.
    Unknown,
}

impl NotShared<'_> {
    /// What is wrong, and what to do.
    pub fn sentences(self, badge: Option<&Badge>) -> (String, String) {
        let badge = badge.map_or("badge", |badge| badge.name.as_str());
        let choose = "Run `/water-share` and choose another member.".to_owned();
        match self {
            Self::NoSuchBadge => (
                "This community has no badge that members share.".to_owned(),
                "`/badges` shows which badges there are.".to_owned(),
            ),
            Self::NotHeld => (
                format!("You do not hold **{badge}**, so there is nothing to share."),
                "A member who holds it may share it with you; an admin gives the first.".to_owned(),
            ),
            Self::SharedBefore(name) => (
                format!("You have shared **{badge}** with {} already.", text::name(name)),
                "Each holder shares once. If it was a mistake, ask an admin.".to_owned(),
            ),
            Self::HeldAlready(name) => (format!("{} holds **{badge}** already.", text::name(name)), choose),
            Self::Oneself => ("You cannot share with yourself.".to_owned(), choose),
            Self::Unknown => (
                "That is not a member that I know here; bots and those who have left are none.".to_owned(),
                choose,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{context, theme};
    use super::*;

    #[test]
    fn steps_in_sietch() {
        let theme = theme("sietch");
        let context = context(&theme);
        let badge = shared_badge(&theme).unwrap();
        insta::assert_json_snapshot!((
            choose(&context, badge),
            confirm(&context, badge, "Stil_gar", 7),
            shared(&context, badge, "Stil_gar"),
            kept(&context, badge),
        ));
    }

    #[test]
    fn basic_has_no_badge_that_is_shared() {
        assert_eq!(shared_badge(&theme("basic")), None);
        let (what, _) = NotShared::NoSuchBadge.sentences(None);
        assert_eq!(what, "This community has no badge that members share.");
    }
}
