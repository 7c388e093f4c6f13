//! Routes as Discord's rate limits count them
//! (<https://discord.com/developers/docs/topics/rate-limits#rate-limits>).
//!
//! There is no list of known routes: ids become `{id}`, and the first guild, channel or webhook is the major parameter. So a route
//! that Discord adds has its own bucket at once. To add a major parameter: a line in `major_of`.

use std::sync::Arc;

use http::Method;
use sha2::{Digest as _, Sha256};

/// A route with its major parameter: requests with the same value share a rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// Method and path template: `PUT /guilds/{guild}/members/{id}/roles/{id}`.
    pub template: Arc<str>,
    /// Major parameter, such as `guild:1`; `-` when the path has none. Tokens of webhooks and interactions are hashed.
    pub major: Arc<str>,
}

/// The segments of a path below the API version: split at slashes, without query and leading slash.
#[must_use]
pub fn segments(path: &str) -> Vec<&str> {
    let path = path.split('?').next().unwrap_or_default();
    path.trim_start_matches('/').split('/').collect()
}

impl Route {
    /// The route of a request; `segments` as [`segments`] returns them.
    #[must_use]
    pub fn of(method: &Method, segments: &[&str]) -> Self {
        let (major, major_at) = major_of(segments);
        // HTTP lets a method have any name of any length; Discord has these.
        let known = matches!(
            *method,
            Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE
        );
        let mut template = if known { method.as_str() } else { "OTHER" }.to_owned();
        template.push(' ');
        for at in 0..segments.len() {
            template.push('/');
            template.push_str(placeholder(segments, at, major_at));
        }
        Self {
            template: template.into(),
            major: major.into(),
        }
    }

    /// The same route with a suffix, for requests that have a limit of their own which no header states.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self {
            template: format!("{}#{suffix}", self.template).into(),
            major: Arc::clone(&self.major),
        }
    }
}

/// A segment that is a Discord id.
fn is_id(segment: &str) -> bool {
    segment.bytes().all(|byte| byte.is_ascii_digit()) && segment.parse::<u64>().is_ok()
}

/// Distinguishes tokens without containing them.
fn hashed(token: &str) -> String {
    hex::encode(&Sha256::digest(token)[..8])
}

fn major_of(segments: &[&str]) -> (String, Option<usize>) {
    match segments {
        ["guilds", id, ..] if is_id(id) => (format!("guild:{id}"), Some(1)),
        ["channels", id, ..] if is_id(id) => (format!("channel:{id}"), Some(1)),
        ["webhooks", id, token, ..] => (format!("webhook:{id}:{}", hashed(token)), Some(1)),
        ["webhooks", id] => (format!("webhook:{id}"), Some(1)),
        ["interactions", id, token, ..] => (format!("interaction:{id}:{}", hashed(token)), Some(1)),
        _ => ("-".to_owned(), None),
    }
}

/// What stands in the template for a segment.
fn placeholder<'a>(segments: &[&'a str], at: usize, major_at: Option<usize>) -> &'a str {
    let before = at.checked_sub(1).map_or("", |before| segments[before]);
    if Some(at) == major_at {
        return match before {
            "guilds" => "{guild}",
            "channels" => "{channel}",
            "webhooks" => "{webhook}",
            _ => "{interaction}",
        };
    }
    let has_token = matches!(segments, ["webhooks", _, _, ..] | ["interactions", _, _, "callback"]);
    if at == 2 && has_token {
        return "{token}";
    }
    match before {
        "reactions" => return "{emoji}",
        "invites" | "templates" => return "{code}",
        _ => {}
    }
    let is_name = |text: &str| text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    match segments[at] {
        segment @ ("@me" | "@original") => segment,
        segment if is_id(segment) => "{id}",
        segment if is_name(segment) => segment,
        _ => "{other}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &Method, path: &str) -> Route {
        Route::of(method, &segments(path))
    }

    #[test]
    fn template_has_placeholders_for_ids_and_the_major_parameter_is_kept() {
        for (path, template, major) in [
            (
                "/guilds/11/members/22/roles/33?x=1",
                "GET /guilds/{guild}/members/{id}/roles/{id}",
                "guild:11",
            ),
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
            assert_eq!((&*route.template, &*route.major), (template, major));
        }
    }

    #[test]
    fn routes_of_two_roles_are_equal_and_of_two_guilds_are_not() {
        let delete = |path| route(&Method::DELETE, path);
        assert_eq!(delete("/guilds/1/roles/2"), delete("/guilds/1/roles/3?x=1"));
        assert_ne!(delete("/guilds/1/roles/2"), delete("/guilds/9/roles/2"));
    }

    #[test]
    fn tokens_are_hashed() {
        for (method, path, template) in [
            (
                Method::POST,
                "/interactions/1/aW50ZXJhY3Rpb24/callback",
                "POST /interactions/{interaction}/{token}/callback",
            ),
            (
                Method::PATCH,
                "/webhooks/1/aW50ZXJhY3Rpb24/messages/@original",
                "PATCH /webhooks/{webhook}/{token}/messages/@original",
            ),
        ] {
            let route = route(&method, path);
            assert_eq!(&*route.template, template);
            assert!(!route.major.contains("aW50"));
        }
        let execute = |path| route(&Method::POST, path);
        assert_eq!(execute("/webhooks/1/aaa").template, execute("/webhooks/1/bbb").template);
        assert_ne!(execute("/webhooks/1/aaa").major, execute("/webhooks/1/bbb").major);
    }
}
