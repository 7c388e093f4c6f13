//! One call of a caller, read and checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::Urgency;
use arrakis_runtime::fail_point;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;

use crate::callers::Caller;
use crate::route::Route;
use crate::schedule;

/// Headers of a caller that Discord sees. Whatever else a caller sends stays here: credentials, hop-by-hop headers, ours.
pub(crate) const PASSED: [&str; 3] = ["accept", "content-type", "x-audit-log-reason"];

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// Method.
    pub method: Method,
    /// Path below `/api/v10`, and query.
    pub path_and_query: String,
    /// What the path means to limits.
    pub route: Route,
    /// The same, as the scheduler names it.
    pub lane: schedule::Lane,
    /// Headers for Discord, without authorisation.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// For whom.
    pub tenant: Arc<str>,
    /// How urgent.
    pub urgency: Urgency,
    /// No turn is waited for after this.
    pub queue_deadline: Instant,
    /// No answer is waited for after this, when the caller says so.
    pub deadline: Option<Instant>,
    /// Caller, route and tenant, as the invalid-request budget counts them.
    pub cause: Arc<str>,
    /// Whether doing it twice does no more than doing it once.
    pub repeatable: bool,
}

/// What of a body decides how a call is handled.
#[derive(Debug, Default, Deserialize)]
struct Peek {
    #[serde(default)]
    nonce: Option<serde_json::Value>,
    #[serde(default)]
    enforce_nonce: bool,
    #[serde(default)]
    name: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    topic: Option<serde::de::IgnoredAny>,
}

impl Peek {
    fn at(headers: &HeaderMap, body: &[u8]) -> Self {
        let json = headers
            .get(header::CONTENT_TYPE)
            .is_none_or(|kind| kind.as_bytes().starts_with(b"application/json"));
        if json {
            serde_json::from_slice(body).unwrap_or_default()
        } else {
            Self::default()
        }
    }
}

/// Whether a call may be repeated when its answer was lost.
///
/// GET, PUT, DELETE and PATCH say how a thing shall be, so saying it twice changes nothing (a DELETE that landed is answered
/// 404 the second time). A POST makes something each time, but for a message whose nonce Discord enforces: it answers the
/// first message again (<https://discord.com/developers/docs/resources/message#create-message>).
fn repeatable(method: &Method, route: &Route, peek: &Peek) -> bool {
    match *method {
        Method::POST => {
            fail_point::skips("proxy.guard.repeat")
                || route.template == "POST /channels/{channel}/messages" && peek.enforce_nonce && peek.nonce.is_some()
        }
        _ => true,
    }
}

/// The route as limits see it. Renames and topic changes have a limit of their own that no header tells (about two in ten
/// minutes); when it is reached, other changes of the channel go on.
fn narrowed(route: Route, peek: &Peek) -> Route {
    if route.template == "PATCH /channels/{channel}" && (peek.name.is_some() || peek.topic.is_some()) {
        route.narrowed("name-or-topic")
    } else {
        route
    }
}

/// What a caller's headers say about waiting.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// For whom; default: the guild of the path.
    pub tenant: Option<String>,
    /// How urgent.
    pub urgency: Option<Urgency>,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
}

impl Call {
    /// Puts a call together.
    pub(crate) fn new(
        caller: Arc<Caller>,
        (method, path_and_query): (Method, String),
        route: Route,
        (headers, body): (&HeaderMap, Bytes),
        manner: Manner,
        (arrived, longest_wait): (Instant, Duration),
    ) -> Self {
        let passed: HeaderMap = headers
            .iter()
            .filter(|(name, _)| PASSED.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), HeaderValue::clone(value)))
            .collect();
        let peek = Peek::at(&passed, &body);
        let repeatable = repeatable(&method, &route, &peek);
        let route = narrowed(route, &peek);
        let of_path = || route.guild.map_or_else(|| "-".to_owned(), |guild| guild.to_string());
        let tenant = manner.tenant.unwrap_or_else(of_path);
        let unsaid = if route.lane.needs_token() {
            Urgency::Sync
        } else {
            Urgency::Interactive
        };
        let deadline = manner.deadline.map(|wait| arrived + wait);
        Self {
            cause: format!("{} {} {tenant}", caller.name, route.template).into(),
            lane: schedule::Lane {
                route: route.template.as_str().into(),
                major: route.major.as_str().into(),
            },
            queue_deadline: deadline.map_or(arrived + longest_wait, |at| at.min(arrived + longest_wait)),
            caller,
            method,
            path_and_query,
            route,
            headers: passed,
            body,
            tenant: tenant.into(),
            urgency: manner.urgency.unwrap_or(unsaid),
            deadline,
            repeatable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::segments;

    fn route(method: &Method, path: &str) -> Route {
        Route::of(method, &segments(&format!("/api/v10{path}")).unwrap())
    }

    fn may_repeat(method: &Method, path: &str, body: &str) -> bool {
        let peek = Peek::at(&HeaderMap::new(), body.as_bytes());
        repeatable(method, &route(method, path), &peek)
    }

    #[test]
    fn what_says_how_a_thing_shall_be_may_be_repeated() {
        assert!(may_repeat(&Method::GET, "/users/@me", ""));
        assert!(may_repeat(&Method::PUT, "/guilds/1/members/2/roles/3", ""));
        assert!(may_repeat(&Method::DELETE, "/channels/1/messages/2", ""));
        assert!(may_repeat(&Method::PATCH, "/webhooks/1/t/messages/@original", "{}"));
    }

    #[test]
    fn a_post_is_repeated_only_where_discord_enforces_its_nonce() {
        assert!(!may_repeat(&Method::POST, "/channels/1/messages", r#"{"content":"a"}"#));
        assert!(!may_repeat(&Method::POST, "/channels/1/messages", r#"{"nonce":"1"}"#));
        assert!(!may_repeat(
            &Method::POST,
            "/channels/1/messages",
            r#"{"enforce_nonce":true}"#
        ));
        assert!(may_repeat(
            &Method::POST,
            "/channels/1/messages",
            r#"{"nonce":"1","enforce_nonce":true}"#
        ));
        assert!(!may_repeat(
            &Method::POST,
            "/guilds/1/roles",
            r#"{"nonce":"1","enforce_nonce":true}"#
        ));
        assert!(!may_repeat(
            &Method::POST,
            "/interactions/1/t/callback",
            r#"{"nonce":"1","enforce_nonce":true}"#
        ));
    }

    #[test]
    fn a_rename_has_a_lane_of_its_own() {
        let patch = |body: &str| {
            let route = route(&Method::PATCH, "/channels/1");
            narrowed(route, &Peek::at(&HeaderMap::new(), body.as_bytes())).template
        };
        assert_eq!(patch(r#"{"nsfw":true}"#), "PATCH /channels/{channel}");
        assert_eq!(patch(r#"{"name":"a"}"#), "PATCH /channels/{channel}#name-or-topic");
        assert_eq!(patch("not json"), "PATCH /channels/{channel}");
    }
}
