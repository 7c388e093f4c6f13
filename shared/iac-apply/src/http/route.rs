//! Which rate limit a call falls under, as far as the path tells.
//!
//! Discord counts by route, that is the path with ids replaced, and by the major parameter (channel, server, webhook).
//! <https://discord.com/developers/docs/topics/rate-limits>

use http::Method;

/// A route, and the major parameter of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    /// Method and path with every id replaced.
    pub(super) template: String,
    /// First two segments, where they name a channel, a server or a webhook.
    pub(super) major: String,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or(path);
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let major = match segments.as_slice() {
            [kind @ ("channels" | "guilds" | "webhooks"), id, ..] => format!("{kind}/{id}"),
            _ => String::new(),
        };
        let is_id = |segment: &&&str| segment.bytes().all(|byte| byte.is_ascii_digit());
        let named = segments
            .iter()
            .map(|segment| if is_id(&segment) { "{}" } else { *segment })
            .collect::<Vec<_>>();
        Self {
            template: format!("{method} /{}", named.join("/")),
            major,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_matter_but_the_major_one_does() {
        let one = Route::of(&Method::DELETE, "/guilds/1/roles/2");
        let other = Route::of(&Method::DELETE, "/guilds/1/roles/3?x=1");
        assert_eq!(one, other);
        assert_eq!(
            (one.template.as_str(), one.major.as_str()),
            ("DELETE /guilds/{}/roles/{}", "guilds/1")
        );
        assert_ne!(one, Route::of(&Method::DELETE, "/guilds/9/roles/2"));
        assert_eq!(Route::of(&Method::GET, "/users/@me").template, "GET /users/@me");
    }
}
