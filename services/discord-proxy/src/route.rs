//! The route of a call: what its path means to Discord's limits, whether it needs the bot token, and its class in metrics.
//!
//! Templates and major parameters are those of `arrakis-discord-http`. Refused is a path that could be interpreted in two ways: dot
//! segments, empty segments, escapes where no emoji is, a server whose id is not in digits; and a path longer than Discord's.

use arrakis_discord_http::Route;
use http::Method;

use crate::resource_servers::Resource;

/// Longest path in bytes: an interaction token has about 220 characters.
const MAX_PATH: usize = 1_024;
/// What every path begins with.
const PREFIX: &str = "/api/v10/";

/// How a call is limited and authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// `POST /interactions/{id}/{token}/callback`: a route that is used once, without bot token, limited only by the edge.
    Callback,
    /// `/webhooks/{id}/{token}…`: without bot token and global limit; each webhook token has its own bucket.
    Webhook,
    /// All other calls: with bot token, global limit and the route's bucket.
    Bot,
}

impl Lane {
    /// Whether the call needs the bot token.
    pub(crate) fn needs_token(self) -> bool {
        self == Self::Bot
    }

    /// Name in spans: `callback`, `webhook` or `bot`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Webhook => "webhook",
            Self::Bot => "bot",
        }
    }
}

/// The route of a call with what the proxy derives from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallRoute {
    /// Template and major parameter.
    pub route: Route,
    /// How the call is limited and authorised.
    pub lane: Lane,
    /// The guild of the path.
    pub guild: Option<u64>,
    /// The channel or webhook of the path, whose server the path does not state.
    pub resource: Option<Resource>,
    /// The route's class in metrics, of a closed set.
    pub class: &'static str,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// It does not begin with `/api/v10/`.
    #[error("the path must begin with /api/v10/; no other API version is supported")]
    Prefix,
    /// It is longer than 1,024 bytes.
    #[error("the path is longer than 1,024 bytes")]
    TooLong,
    /// `//`, or a slash at the end.
    #[error("the path has an empty segment; write it without // and without a slash at the end")]
    EmptySegment,
    /// `.` or `..`, escaped or not.
    #[error("the path has a segment . or ..; write the resolved path")]
    DotSegment,
    /// An escape outside an emoji, a malformed one, or one for a slash, backslash, percent sign, dot or control character.
    #[error(
        "the path has an escape outside the emoji of a reaction, a malformed one, or one for a slash, dot, percent sign or control \
         character; write ids and tokens without escapes"
    )]
    Escape,
    /// The id of a server is not a number: the checks of the server could pass it, and Discord could read one.
    #[error("the segment after guilds must be the id of a server in digits")]
    Guild,
    /// A character that no path of Discord has.
    #[error("the path has a character that must be escaped")]
    Character,
}

/// The segments below `/api/v10`.
///
/// # Errors
/// The path could be interpreted in two ways, or is too long.
pub(crate) fn segments(path: &str) -> Result<Vec<&str>, PathError> {
    if path.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    let segments: Vec<&str> = path.strip_prefix(PREFIX).ok_or(PathError::Prefix)?.split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        check(segment)?;
        let before = at.checked_sub(1).and_then(|before| segments.get(before)).copied();
        match before {
            // An escaped digit would be an id that the checks do not find.
            before if before != Some("reactions") && segment.contains('%') => return Err(PathError::Escape),
            // `GET /guilds/templates/{code}` has no server.
            Some("guilds") if number(segment).is_none() && *segment != "templates" => return Err(PathError::Guild),
            _ => {}
        }
    }
    Ok(segments)
}

/// An id: digits, without a sign, which `parse` would accept.
fn number(segment: &str) -> Option<u64> {
    segment
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| segment.parse().ok())?
}

fn check(segment: &str) -> Result<(), PathError> {
    if segment.is_empty() {
        return Err(PathError::EmptySegment);
    }
    if segment.bytes().all(|byte| byte == b'.') {
        return Err(PathError::DotSegment);
    }
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(PathError::Escape);
                };
                // Emoji are escaped UTF-8; these characters have no reason to be escaped.
                if matches!(high * 16 + low, 0x00..=0x1f | 0x25 | 0x2e | 0x2f | 0x5c | 0x7f) {
                    return Err(PathError::Escape);
                }
            }
            byte if byte.is_ascii_alphanumeric() || b"-._~@:+=,!".contains(&byte) => {}
            _ => return Err(PathError::Character),
        }
    }
    Ok(())
}

impl CallRoute {
    /// The route of a call; `segments` as [`segments`] returns them.
    pub(crate) fn of(method: &Method, segments: &[&str]) -> Self {
        let lane = lane_of(segments);
        Self {
            route: Route::of(method, segments),
            lane,
            guild: guild_of(segments),
            resource: resource_of(segments),
            class: class_of(segments, lane),
        }
    }
}

fn guild_of(segments: &[&str]) -> Option<u64> {
    let at = segments.iter().position(|segment| *segment == "guilds")?;
    number(segments.get(at + 1)?)
}

fn resource_of(segments: &[&str]) -> Option<Resource> {
    match segments {
        ["channels" | "stage-instances", id, ..] => number(id).map(Resource::Channel),
        ["webhooks", id] => number(id).map(Resource::Webhook),
        _ => None,
    }
}

fn lane_of(segments: &[&str]) -> Lane {
    match segments {
        ["interactions", _, _, "callback"] => Lane::Callback,
        ["webhooks", _, _, ..] => Lane::Webhook,
        _ => Lane::Bot,
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

    fn route(method: &Method, path: &str) -> CallRoute {
        CallRoute::of(method, &segments(&format!("/api/v10{path}")).unwrap())
    }

    #[test]
    fn role_call_needs_the_bot_token_and_has_a_guild() {
        let route = route(&Method::PUT, "/guilds/11/members/22/roles/33");
        assert_eq!((route.lane, route.guild), (Lane::Bot, Some(11)));
        assert_eq!(route.class, "member-roles");
        assert_eq!(route.resource, None);
    }

    #[test]
    fn channel_and_webhook_are_resources_of_a_server() {
        let resource = |path| route(&Method::PATCH, path).resource;
        assert_eq!(resource("/channels/11"), Some(Resource::Channel(11)));
        assert_eq!(resource("/channels/11/permissions/2"), Some(Resource::Channel(11)));
        assert_eq!(resource("/stage-instances/11"), Some(Resource::Channel(11)));
        assert_eq!(resource("/webhooks/11"), Some(Resource::Webhook(11)));
        assert_eq!(resource("/webhooks/11/token"), None);
        assert_eq!(resource("/channels/+11"), None);
    }

    #[test]
    fn calls_of_an_interaction_need_no_bot_token() {
        let callback = route(&Method::POST, "/interactions/1/aW50ZXJhY3Rpb24/callback");
        assert_eq!(callback.lane, Lane::Callback);
        let edit = route(&Method::PATCH, "/webhooks/1/aW50ZXJhY3Rpb24/messages/@original");
        assert_eq!(edit.lane, Lane::Webhook);
        assert!(!callback.lane.needs_token() && !edit.lane.needs_token());
    }

    #[test]
    fn emoji_of_a_reaction_may_be_escaped() {
        for path in [
            "/api/v10/channels/1/messages/2/reactions/%F0%9F%94%A5/@me",
            "/api/v10/channels/1/messages/2/reactions/spice%3A123",
            "/api/v10/guilds/templates/abc",
            "/api/v10/guilds/007/roles",
        ] {
            assert!(segments(path).is_ok(), "{path}");
        }
        assert_eq!(route(&Method::PATCH, "/guilds/007/roles").guild, Some(7));
    }

    #[test]
    fn ambiguous_path_is_refused() {
        for (path, error) in [
            ("/api/v9/users/@me", PathError::Prefix),
            ("/users/@me", PathError::Prefix),
            ("/api/v10", PathError::Prefix),
            ("/api/v10/", PathError::EmptySegment),
            ("/api/v10/guilds//1", PathError::EmptySegment),
            ("/api/v10/guilds/1/", PathError::EmptySegment),
            ("/api/v10/guilds/../users", PathError::DotSegment),
            ("/api/v10/guilds/./1", PathError::DotSegment),
            ("/api/v10/guilds/%2e%2e/users", PathError::Escape),
            ("/api/v10/guilds/1%2Fmembers", PathError::Escape),
            ("/api/v10/guilds/1%5Cmembers", PathError::Escape),
            ("/api/v10/guilds/1%252Fmembers", PathError::Escape),
            ("/api/v10/guilds/1%0a", PathError::Escape),
            ("/api/v10/guilds/1%zz", PathError::Escape),
            ("/api/v10/guilds/1%2", PathError::Escape),
            ("/api/v10/guilds/%31/members/2/roles/3", PathError::Escape),
            ("/api/v10/channels/%31", PathError::Escape),
            ("/api/v10/webhooks/1/t%6fken", PathError::Escape),
            ("/api/v10/%67uilds/1", PathError::Escape),
            ("/api/v10/guilds/+1/roles", PathError::Guild),
            ("/api/v10/guilds/1a/roles", PathError::Guild),
            ("/api/v10/guilds/18446744073709551616/roles", PathError::Guild),
            ("/api/v10/guilds/1;x", PathError::Character),
            ("/api/v10/guilds/1\\x", PathError::Character),
        ] {
            assert_eq!(segments(path), Err(error), "{path}");
        }
        assert_eq!(
            segments(&format!("/api/v10/{}", "a".repeat(1_024))),
            Err(PathError::TooLong)
        );
    }
}
