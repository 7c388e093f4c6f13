//! What a path means to Discord's limits: a route (method and template), its major parameter, and whether it needs a token.
//!
//! Nothing is looked up in a list of known routes, so a route that Discord adds tomorrow has its own bucket at once: ids become
//! `{id}`, the first guild, channel or webhook is the
//! [major parameter](https://discord.com/developers/docs/topics/rate-limits#rate-limits), words stay. Refuses what could be
//! read in two ways: dot segments, empty segments, escaped slashes, paths too long to be Discord's.
//! To add a major parameter: a line in `major_of`.

use std::fmt;

use http::Method;
use sha2::{Digest as _, Sha256};

/// Longest path that is read: an interaction token has about 220 characters.
const LONGEST_PATH: usize = 1_024;
/// What every path begins with.
const PREFIX: &str = "/api/v10/";

/// How a call is limited and authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// `POST /interactions/{id}/{token}/callback`: used once, no token, no limit but the edge's.
    Callback,
    /// `/webhooks/{id}/{token}…`: no bot token, not bound to the global limit, a bucket for each webhook token.
    Webhook,
    /// Everything else: bot token, global limit, bucket of the route.
    Bot,
}

impl Lane {
    /// Whether Discord wants the bot token.
    pub(crate) fn needs_token(self) -> bool {
        self == Self::Bot
    }

    /// Name, for metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Webhook => "webhook",
            Self::Bot => "bot",
        }
    }
}

/// A call's route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// How it is limited and authorised.
    pub lane: Lane,
    /// Method and template: `PUT /guilds/{guild}/members/{id}/roles/{id}`.
    pub template: String,
    /// Major parameter, such as `guild:1`; `-` when there is none. A webhook's token is hashed.
    pub major: String,
    /// The guild of the path.
    pub guild: Option<u64>,
    /// A word for metrics from a closed set.
    pub class: &'static str,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadPath {
    /// Does not begin with `/api/v10/`.
    Prefix,
    /// More than 1,024 bytes.
    Long,
    /// `//`, or a slash at the end.
    Empty,
    /// `.` or `..`, escaped or not.
    Dots,
    /// An escaped slash, backslash, percent sign, dot or control character, or a malformed escape.
    Escape,
    /// A character that no path of Discord's has.
    Character,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "the path must begin with /api/v10/: no other version is spoken here",
            Self::Long => "the path is longer than 1,024 bytes",
            Self::Empty => "the path has an empty segment; write it without // and without a slash at the end",
            Self::Dots => "the path has a segment . or ..; write the path that is meant",
            Self::Escape => {
                "the path has a malformed escape, or one for a slash, dot, percent sign or control character"
            }
            Self::Character => "the path has a character that must be escaped",
        })
    }
}

/// The segments below `/api/v10`.
///
/// # Errors
/// Whatever could be read in two ways.
pub(crate) fn segments(path: &str) -> Result<Vec<&str>, BadPath> {
    if path.len() > LONGEST_PATH {
        return Err(BadPath::Long);
    }
    let segments: Vec<&str> = path.strip_prefix(PREFIX).ok_or(BadPath::Prefix)?.split('/').collect();
    for segment in &segments {
        check(segment)?;
    }
    Ok(segments)
}

fn check(segment: &str) -> Result<(), BadPath> {
    if segment.is_empty() {
        return Err(BadPath::Empty);
    }
    if segment.bytes().all(|byte| byte == b'.') {
        return Err(BadPath::Dots);
    }
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(BadPath::Escape);
                };
                // Emoji are escaped UTF-8; plain characters have no reason to be.
                let plain_is_needed = matches!(high * 16 + low, 0x00..=0x1f | 0x25 | 0x2e | 0x2f | 0x5c | 0x7f);
                if plain_is_needed {
                    return Err(BadPath::Escape);
                }
            }
            byte if byte.is_ascii_alphanumeric() || b"-._~@:+=,!".contains(&byte) => {}
            _ => return Err(BadPath::Character),
        }
    }
    Ok(())
}

impl Route {
    /// The route of a call; `segments` as [`segments`] answers them.
    pub(crate) fn of(method: &Method, segments: &[&str]) -> Self {
        let (major, major_at) = major_of(segments);
        let lane = lane_of(segments);
        // HTTP lets a method have any name of any length; Discord has these.
        let known = matches!(
            *method,
            Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        );
        let mut template = if known { method.as_str() } else { "OTHER" }.to_owned();
        template.push(' ');
        for (at, segment) in segments.iter().enumerate() {
            template.push('/');
            template.push_str(word_for(segments, at, segment, major_at, lane));
        }
        Self {
            lane,
            template,
            major,
            guild: guild_of(segments),
            class: class_of(segments, lane),
        }
    }

    /// The same route with a narrower name: some changes have limits of their own that no header tells.
    pub(crate) fn narrowed(mut self, word: &str) -> Self {
        self.template.push('#');
        self.template.push_str(word);
        self
    }
}

/// A key that tells apart the tokens of webhooks without giving them away.
fn hashed(token: &str) -> String {
    Sha256::digest(token)[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn snowflake(segment: &str) -> Option<u64> {
    (segment.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| segment.parse().ok())
        .flatten()
}

fn guild_of(segments: &[&str]) -> Option<u64> {
    let at = segments.iter().position(|segment| *segment == "guilds")?;
    snowflake(segments.get(at + 1)?)
}

fn major_of(segments: &[&str]) -> (String, Option<usize>) {
    match segments {
        ["guilds", id, ..] if snowflake(id).is_some() => (format!("guild:{id}"), Some(1)),
        ["channels", id, ..] if snowflake(id).is_some() => (format!("channel:{id}"), Some(1)),
        ["webhooks", id, token, ..] => (format!("webhook:{id}:{}", hashed(token)), Some(1)),
        ["webhooks", id] => (format!("webhook:{id}"), Some(1)),
        ["interactions", id, token, ..] => (format!("interaction:{id}:{}", hashed(token)), Some(1)),
        _ => ("-".to_owned(), None),
    }
}

fn lane_of(segments: &[&str]) -> Lane {
    match segments {
        ["interactions", _, _, "callback"] => Lane::Callback,
        ["webhooks", _, _, ..] => Lane::Webhook,
        _ => Lane::Bot,
    }
}

fn word_for<'a>(segments: &[&'a str], at: usize, segment: &'a str, major_at: Option<usize>, lane: Lane) -> &'a str {
    let before = at
        .checked_sub(1)
        .and_then(|at| segments.get(at))
        .copied()
        .unwrap_or_default();
    if Some(at) == major_at {
        return match before {
            "guilds" => "{guild}",
            "channels" => "{channel}",
            "webhooks" => "{webhook}",
            _ => "{interaction}",
        };
    }
    if at == 2 && lane != Lane::Bot {
        return "{token}";
    }
    match before {
        "reactions" => return "{emoji}",
        "invites" | "templates" => return "{code}",
        _ => {}
    }
    let is_word = |text: &str| text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    match segment {
        "@me" | "@original" => segment,
        id if snowflake(id).is_some() => "{id}",
        word if is_word(word) => word,
        _ => "{other}",
    }
}

fn class_of(segments: &[&str], lane: Lane) -> &'static str {
    match (lane, segments) {
        (Lane::Callback, _) => "interaction-callback",
        (Lane::Webhook, _) => "webhook-token",
        (_, ["guilds", _, "members", _, "roles", ..]) => "member-roles",
        (_, ["guilds", _, "members", ..]) => "guild-members",
        (_, ["guilds", _, "roles", ..]) => "guild-roles",
        (_, ["guilds", _, "channels", ..]) => "guild-channels",
        (_, ["guilds", _, "audit-logs", ..]) => "guild-audit-logs",
        (_, ["guilds", ..]) => "guilds",
        (_, ["channels", _, "messages", ..]) => "channel-messages",
        (_, ["channels", _, "permissions", ..]) => "channel-permissions",
        (_, ["channels", ..]) => "channels",
        (_, ["applications", _, "commands", ..] | ["applications", _, "guilds", _, "commands", ..]) => "commands",
        (_, ["applications", ..]) => "applications",
        (_, ["users", ..]) => "users",
        (_, ["webhooks", ..]) => "webhooks",
        (_, ["gateway", ..]) => "gateway",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &Method, path: &str) -> Route {
        Route::of(method, &segments(&format!("/api/v10{path}")).unwrap())
    }

    #[test]
    fn ids_leave_the_template_and_the_major_parameter_stays() {
        let route = route(&Method::PUT, "/guilds/11/members/22/roles/33");
        assert_eq!(route.template, "PUT /guilds/{guild}/members/{id}/roles/{id}");
        assert_eq!((route.major.as_str(), route.guild), ("guild:11", Some(11)));
        assert_eq!(route.lane, Lane::Bot);
    }

    #[test]
    fn templates_of_many_kinds() {
        for (path, template, major) in [
            (
                "/channels/1/messages/2",
                "GET /channels/{channel}/messages/{id}",
                "channel:1",
            ),
            (
                "/channels/1/messages/2/reactions/%F0%9F%94%A5/@me",
                "GET /channels/{channel}/messages/{id}/reactions/{emoji}/@me",
                "channel:1",
            ),
            (
                "/applications/1/guilds/2/commands",
                "GET /applications/{id}/guilds/{id}/commands",
                "-",
            ),
            ("/users/@me/channels", "GET /users/@me/channels", "-"),
            ("/invites/discord-developers", "GET /invites/{code}", "-"),
            ("/guilds/templates/abc", "GET /guilds/templates/{code}", "-"),
            ("/webhooks/7", "GET /webhooks/{webhook}", "webhook:7"),
            ("/tomorrow/1/Something_New", "GET /tomorrow/{id}/{other}", "-"),
        ] {
            let route = route(&Method::GET, path);
            assert_eq!((route.template.as_str(), route.major.as_str()), (template, major));
        }
    }

    #[test]
    fn interactions_need_no_token_and_do_not_show_theirs() {
        let callback = route(&Method::POST, "/interactions/1/aW50ZXJhY3Rpb24/callback");
        assert_eq!(callback.lane, Lane::Callback);
        assert_eq!(callback.template, "POST /interactions/{interaction}/{token}/callback");
        let edit = route(&Method::PATCH, "/webhooks/1/aW50ZXJhY3Rpb24/messages/@original");
        assert_eq!(edit.lane, Lane::Webhook);
        assert_eq!(edit.template, "PATCH /webhooks/{webhook}/{token}/messages/@original");
        for route in [callback, edit] {
            assert!(!route.lane.needs_token());
            assert!(!route.major.contains("aW50") && !route.template.contains("aW50"));
        }
    }

    #[test]
    fn two_tokens_of_one_webhook_are_two_majors() {
        let (one, two) = (
            route(&Method::POST, "/webhooks/1/aaa"),
            route(&Method::POST, "/webhooks/1/bbb"),
        );
        assert_eq!(one.template, two.template);
        assert_ne!(one.major, two.major);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (path, why) in [
            ("/api/v9/users/@me", BadPath::Prefix),
            ("/users/@me", BadPath::Prefix),
            ("/api/v10", BadPath::Prefix),
            ("/api/v10/", BadPath::Empty),
            ("/api/v10/guilds//1", BadPath::Empty),
            ("/api/v10/guilds/1/", BadPath::Empty),
            ("/api/v10/guilds/../users", BadPath::Dots),
            ("/api/v10/guilds/./1", BadPath::Dots),
            ("/api/v10/guilds/%2e%2e/users", BadPath::Escape),
            ("/api/v10/guilds/1%2Fmembers", BadPath::Escape),
            ("/api/v10/guilds/1%5Cmembers", BadPath::Escape),
            ("/api/v10/guilds/1%252Fmembers", BadPath::Escape),
            ("/api/v10/guilds/1%0a", BadPath::Escape),
            ("/api/v10/guilds/1%zz", BadPath::Escape),
            ("/api/v10/guilds/1%2", BadPath::Escape),
            ("/api/v10/guilds/1;x", BadPath::Character),
            ("/api/v10/guilds/1\\x", BadPath::Character),
        ] {
            assert_eq!(segments(path), Err(why), "{path}");
        }
        assert_eq!(segments(&format!("/api/v10/{}", "a".repeat(1_024))), Err(BadPath::Long));
    }
}
