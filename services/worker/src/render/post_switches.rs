//! The posts of a community in `/admin-stats`: which are on, and the buttons that switch them.

use arrakis_db::PostKind;
use twilight_model::channel::message::Component;
use twilight_model::channel::message::component::ButtonStyle;

use super::{buttons, text};

/// The command's name, the first segment of the custom ids of its components.
pub const NAME: &str = "admin-stats";
/// Argument of the buttons that switch a post; the next ones are the post, and [`ON`] or [`OFF`].
pub const POST: &str = "post";
/// Switches a post on.
pub const ON: &str = "on";
/// Switches a post off.
pub const OFF: &str = "off";

/// A post of the theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostLine<'a> {
    /// The post.
    pub kind: PostKind,
    /// Whether it is on.
    pub enabled: bool,
    /// Name of its channel in the theme.
    pub channel: &'a str,
    /// Its channel, once it was found in the server.
    pub found: Option<u64>,
}

/// The name that admins see.
const fn name(kind: PostKind) -> &'static str {
    match kind {
        PostKind::Leaderboard => "live leaderboard",
        PostKind::Arrivals => "joins and departures",
        PostKind::Digest => "weekly digest",
    }
}

/// The posts with their channels, one a line.
pub(super) fn lines(posts: &[PostLine<'_>]) -> String {
    if posts.is_empty() {
        return "The theme has none.".to_owned();
    }
    let line = |post: &PostLine<'_>| {
        let name = text::capitalized(name(post.kind));
        if !post.enabled {
            return format!("⛔ {name}: off");
        }
        match post.found {
            Some(channel) => format!("✅ {name}: in <#{channel}>"),
            None => format!("✅ {name}: in `#{}`, where the server has it", post.channel),
        }
    };
    text::lines(&posts.iter().map(line).collect::<Vec<_>>(), text::FIELD)
}

/// The buttons that switch the posts, each with what it does, so that a press of an old message never does the opposite.
pub fn buttons(posts: &[PostLine<'_>]) -> Vec<Component> {
    let button = |post: &PostLine<'_>| {
        let (verb, argument) = if post.enabled { ("off", OFF) } else { ("on", ON) };
        let label = format!("Switch {verb}: {}", name(post.kind));
        let id = format!("{NAME}:{POST}:{}:{argument}", post.kind.as_str());
        buttons::button(label, id, ButtonStyle::Secondary)
    };
    buttons::rows(posts.iter().map(button).collect())
}

/// The sentence about a post that was switched.
pub fn switched(kind: PostKind, enabled: bool) -> String {
    let name = text::capitalized(name(kind));
    let what = match (kind, enabled) {
        (PostKind::Leaderboard, true) => "its message follows the ranking again within a minute",
        (PostKind::Leaderboard, false) => "its message stays as it is, and can be deleted",
        (PostKind::Arrivals, true) => "those from now on are posted",
        (PostKind::Arrivals, false) => "those meanwhile are not posted later either",
        (PostKind::Digest, true) => "the one of this week is published within a minute, unless it was",
        (PostKind::Digest, false) => "none is published until it is on again",
    };
    let state = if enabled { "on" } else { "off" };
    format!("**{name}: {state}.** {}.", text::capitalized(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSTS: [PostLine<'static>; 2] = [
        PostLine {
            kind: PostKind::Leaderboard,
            enabled: true,
            channel: "census",
            found: Some(7),
        },
        PostLine {
            kind: PostKind::Digest,
            enabled: false,
            channel: "announcements",
            found: None,
        },
    ];

    #[test]
    fn posts_are_listed_with_their_channels() {
        assert_eq!(lines(&POSTS), "✅ Live leaderboard: in <#7>\n⛔ Weekly digest: off");
        let not_found = PostLine {
            found: None,
            ..POSTS[0]
        };
        assert_eq!(
            lines(&[not_found]),
            "✅ Live leaderboard: in `#census`, where the server has it"
        );
        assert_eq!(lines(&[]), "The theme has none.");
    }

    #[test]
    fn button_states_what_it_does() {
        let text = serde_json::to_string(&buttons(&POSTS)).unwrap();
        assert!(text.contains("admin-stats:post:leaderboard:off"), "{text}");
        assert!(text.contains("Switch on: weekly digest"), "{text}");
        assert!(buttons(&[]).is_empty());
    }

    #[test]
    fn every_switch_has_its_sentence() {
        for kind in PostKind::ALL {
            assert_ne!(switched(kind, true), switched(kind, false));
        }
    }
}
