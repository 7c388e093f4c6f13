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
    pub name: &'a str,
    /// Its channel in the server.
    pub channel: PostChannel,
    /// A weekly digest of which none was published yet.
    pub awaits_first_digest: bool,
}

/// The channel of a post in the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostChannel {
    /// Its id.
    Found(u64),
    /// The server has no channel of this name: nothing is posted.
    Missing,
    /// No channel was found before, and Discord did not respond now.
    NotRead,
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
        let channel = post.name;
        match post.channel {
            PostChannel::Found(id) if post.awaits_first_digest => {
                format!("✅ {name}: in <#{id}>; the first one is posted after a week, on Monday at 09:00 UTC")
            }
            PostChannel::Found(id) => format!("✅ {name}: in <#{id}>"),
            PostChannel::Missing => format!(
                "⚠️ {name}: not posted, since this server has no channel `#{channel}`. Create one of this name, or switch the post off."
            ),
            PostChannel::NotRead => {
                format!("✅ {name}: in `#{channel}`, if this server has it; Discord did not respond")
            }
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
            name: "census",
            channel: PostChannel::Found(7),
            awaits_first_digest: false,
        },
        PostLine {
            kind: PostKind::Digest,
            enabled: false,
            name: "announcements",
            channel: PostChannel::Missing,
            awaits_first_digest: true,
        },
    ];

    #[test]
    fn posts_are_listed_with_their_channels() {
        assert_eq!(lines(&POSTS), "✅ Live leaderboard: in <#7>\n⛔ Weekly digest: off");
        assert_eq!(lines(&[]), "The theme has none.");
    }

    #[test]
    fn missing_channel_is_a_warning_with_what_to_do() {
        let missing = PostLine {
            channel: PostChannel::Missing,
            ..POSTS[0]
        };
        assert_eq!(
            lines(&[missing]),
            "⚠️ Live leaderboard: not posted, since this server has no channel `#census`. Create one of this name, or switch the post off."
        );
        let not_read = PostLine {
            channel: PostChannel::NotRead,
            ..POSTS[0]
        };
        assert!(lines(&[not_read]).starts_with("✅ Live leaderboard: in `#census`, if"));
    }

    #[test]
    fn first_digest_is_announced() {
        let digest = PostLine {
            enabled: true,
            channel: PostChannel::Found(8),
            ..POSTS[1]
        };
        assert!(lines(&[digest]).contains("the first one is posted after a week"));
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
