//! One call of a caller, read and checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::Urgency;
use arrakis_discord_http::CallClass;
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
    /// What sending it twice does.
    pub class: CallClass,
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

    /// Whether Discord answers a second call with the message of the first
    /// (<https://discord.com/developers/docs/resources/message#create-message>).
    fn enforces_nonce(&self) -> bool {
        let nonce = self.nonce.as_ref().is_some_and(|nonce| match nonce {
            serde_json::Value::String(text) => !text.is_empty(),
            nonce => nonce.is_number(),
        });
        nonce && self.enforce_nonce
    }
}

/// Discord takes a first response this long after the interaction's creation, which is before the call arrives here.
/// <https://discord.com/developers/docs/interactions/receiving-and-responding>
const RESPONSE_WINDOW: Duration = Duration::from_secs(3);

/// What sending a call twice does, from method, path and body; a caller may claim `once`, and nothing laxer is believed.
fn class(method: &Method, path_and_query: &str, peek: &Peek, claim: Option<CallClass>) -> CallClass {
    if fail_point::skips("proxy.guard.repeat") {
        return CallClass::Idempotent;
    }
    let path = path_and_query.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    CallClass::of(method, &segments, peek.enforces_nonce()).claimed(claim)
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
    /// What the caller says a second call does.
    pub class: Option<CallClass>,
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
        let class = class(&method, &path_and_query, &peek, manner.class);
        let route = narrowed(route, &peek);
        let of_path = || route.guild.map_or_else(|| "-".to_owned(), |guild| guild.to_string());
        let tenant = manner.tenant.unwrap_or_else(of_path);
        let unsaid = if route.lane.needs_token() {
            Urgency::Sync
        } else {
            Urgency::Interactive
        };
        let mut deadline = manner.deadline.map(|wait| arrived + wait);
        if class == CallClass::TimeBound {
            let window = arrived + RESPONSE_WINDOW;
            deadline = Some(deadline.map_or(window, |at| at.min(window)));
        }
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
            class,
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

    fn class_of(path: &str, body: &str, claim: Option<CallClass>) -> CallClass {
        let peek = Peek::at(&HeaderMap::new(), body.as_bytes());
        class(&Method::POST, path, &peek, claim)
    }

    #[test]
    fn a_message_is_idempotent_only_where_discord_enforces_its_nonce() {
        let messages = "/channels/1/messages?x=1";
        for (body, wanted) in [
            (r#"{"content":"a"}"#, CallClass::Once),
            (r#"{"nonce":"1"}"#, CallClass::Once),
            (r#"{"enforce_nonce":true}"#, CallClass::Once),
            (r#"{"nonce":"","enforce_nonce":true}"#, CallClass::Once),
            (r#"{"nonce":null,"enforce_nonce":true}"#, CallClass::Once),
            (r#"{"nonce":"1","enforce_nonce":true}"#, CallClass::Idempotent),
            (r#"{"nonce":7,"enforce_nonce":true}"#, CallClass::Idempotent),
        ] {
            assert_eq!(class_of(messages, body, None), wanted, "{body}");
        }
        let enforced = r#"{"nonce":"1","enforce_nonce":true}"#;
        assert_eq!(class_of("/guilds/1/roles", enforced, None), CallClass::Once);
        assert_eq!(class_of("/webhooks/1/t", enforced, None), CallClass::Once);
        assert_eq!(
            class_of("/interactions/1/t/callback", enforced, None),
            CallClass::TimeBound
        );
    }

    #[test]
    fn a_caller_is_not_believed_that_a_second_call_is_harmless() {
        for claim in CallClass::ALL {
            assert_eq!(
                class_of("/guilds/1/roles", "{}", Some(claim)),
                CallClass::Once,
                "{claim}"
            );
        }
        let callback = "/interactions/1/t/callback";
        assert_eq!(
            class_of(callback, "{}", Some(CallClass::Idempotent)),
            CallClass::TimeBound
        );
        assert_eq!(class_of(callback, "{}", Some(CallClass::Once)), CallClass::Once);
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
