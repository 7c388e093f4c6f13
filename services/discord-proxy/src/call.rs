//! A call of a caller, read and checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::Urgency;
use arrakis_discord_http::{CallClass, segments};
use arrakis_runtime::fail_point;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde::Deserialize;

use crate::callers::Caller;
use crate::resource_servers::Resource;
use crate::route::{self, CallRoute};

/// Headers of a caller that Discord receives. All others stay here: credentials, hop-by-hop headers, the proxy's own.
const PASSED_HEADERS: [&str; 3] = ["accept", "content-type", "x-audit-log-reason"];

/// Path of the proxy's own call, which every valid token may make.
pub(crate) const PROBE_PATH: &str = "/users/@me";
/// Longest time of the proxy's own call, with the wait for its permit.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    /// The caller.
    pub caller: Arc<Caller>,
    /// Method.
    pub method: Method,
    /// Path below `/api/v10` with the leading slash, and query.
    pub path_and_query: String,
    /// The route.
    pub route: CallRoute,
    /// Headers for Discord, without authorization.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// The tenant.
    pub tenant: Arc<str>,
    /// The urgency.
    pub urgency: Urgency,
    /// The end of the wait for a permit.
    pub queue_deadline: Instant,
    /// The time until which the caller waits for a response; `None` without a limit.
    pub deadline: Option<Instant>,
    /// Caller, route and tenant, as the invalid-request budget counts them.
    pub cause: Arc<str>,
    /// The call class: the effect of sending the call a second time.
    pub class: CallClass,
}

/// The fields of a body that decide how the call is handled.
#[derive(Debug, Default, Deserialize)]
struct BodyFields {
    #[serde(default)]
    nonce: Option<serde_json::Value>,
    #[serde(default)]
    enforce_nonce: bool,
    #[serde(default)]
    name: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    topic: Option<serde::de::IgnoredAny>,
}

impl BodyFields {
    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let is_json = headers
            .get(header::CONTENT_TYPE)
            .is_none_or(|kind| kind.as_bytes().starts_with(b"application/json"));
        if is_json {
            serde_json::from_slice(body).unwrap_or_default()
        } else {
            Self::default()
        }
    }

    /// Whether Discord returns the message of the first call to a second one
    /// (<https://discord.com/developers/docs/resources/message#create-message>).
    fn enforces_nonce(&self) -> bool {
        let has_nonce = self.nonce.as_ref().is_some_and(|nonce| match nonce {
            serde_json::Value::String(text) => !text.is_empty(),
            nonce => nonce.is_number(),
        });
        has_nonce && self.enforce_nonce
    }
}

/// Discord accepts a first response this long after the interaction's creation, which is before the call arrives here.
/// <https://discord.com/developers/docs/interactions/receiving-and-responding>
const RESPONSE_WINDOW: Duration = Duration::from_secs(3);

/// The class by method, path and body; `claim` is the class that the caller states, of which only `once` counts.
fn class_of(method: &Method, path_and_query: &str, fields: &BodyFields, claim: Option<CallClass>) -> CallClass {
    if fail_point::skips("proxy.guard.repeat") {
        return CallClass::Idempotent;
    }
    CallClass::of(method, &segments(path_and_query), fields.enforces_nonce()).claimed(claim)
}

/// The route by which the call is limited. Changes of name or topic have a limit of their own that no header states (about two in ten
/// minutes); it must not delay other changes of the channel.
fn limited_route(mut route: CallRoute, fields: &BodyFields) -> CallRoute {
    if &*route.route.template == "PATCH /channels/{channel}" && (fields.name.is_some() || fields.topic.is_some()) {
        route.route = route.route.with_suffix("name-or-topic");
    }
    route
}

/// The options that a caller sets by headers.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallOptions {
    /// The tenant; default: the guild of the path.
    pub tenant: Option<String>,
    /// The urgency; default: interactive without the bot token, else sync.
    pub urgency: Option<Urgency>,
    /// How long the caller waits.
    pub deadline: Option<Duration>,
    /// The class that the caller states.
    pub class: Option<CallClass>,
}

/// The parts of a request that become a call.
#[derive(Debug)]
pub(crate) struct CallParts<'a> {
    /// Method.
    pub method: Method,
    /// Path below `/api/v10` with the leading slash, and query.
    pub path_and_query: String,
    /// The route.
    pub route: CallRoute,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Body.
    pub body: Bytes,
    /// When the request arrived.
    pub arrived: Instant,
    /// Longest wait for a permit.
    pub max_wait: Duration,
}

impl Call {
    /// The call of `caller`.
    pub(crate) fn new(caller: Arc<Caller>, parts: CallParts<'_>, options: CallOptions) -> Self {
        let headers: HeaderMap = parts
            .headers
            .iter()
            .filter(|(name, _)| PASSED_HEADERS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let fields = BodyFields::read(&headers, &parts.body);
        let class = class_of(&parts.method, &parts.path_and_query, &fields, options.class);
        let route = limited_route(parts.route, &fields);
        let guild = || route.guild.map_or_else(|| "-".to_owned(), |guild| guild.to_string());
        let tenant = options.tenant.unwrap_or_else(guild);
        let default_urgency = if route.lane.needs_token() {
            Urgency::Sync
        } else {
            Urgency::Interactive
        };
        let mut deadline = options.deadline.map(|wait| parts.arrived + wait);
        if class == CallClass::TimeBound {
            let window = parts.arrived + RESPONSE_WINDOW;
            deadline = Some(deadline.map_or(window, |at| at.min(window)));
        }
        let max_wait = parts.arrived + parts.max_wait;
        Self {
            cause: format!("{} {} {tenant}", caller.name, route.route.template).into(),
            queue_deadline: deadline.map_or(max_wait, |at| at.min(max_wait)),
            caller,
            method: parts.method,
            path_and_query: parts.path_and_query,
            route,
            headers,
            body: parts.body,
            tenant: tenant.into(),
            urgency: options.urgency.unwrap_or(default_urgency),
            deadline,
            class,
        }
    }

    /// The proxy's own call that reads a channel or webhook, for a call that waits for its server.
    pub(crate) fn read_of(resource: Resource, waiting: &Self) -> Option<Self> {
        let path = resource.to_string();
        let parts = CallParts {
            method: Method::GET,
            route: CallRoute::of(&Method::GET, &route::segments(&format!("/api/v10{path}")).ok()?),
            path_and_query: path,
            headers: &HeaderMap::new(),
            body: Bytes::new(),
            arrived: Instant::now(),
            max_wait: waiting.queue_deadline.saturating_duration_since(Instant::now()),
        };
        let options = CallOptions {
            tenant: Some(waiting.tenant.to_string()),
            urgency: Some(waiting.urgency),
            deadline: Some(parts.max_wait),
            ..CallOptions::default()
        };
        Some(Self::new(Arc::new(Caller::proxy()), parts, options))
    }

    /// The proxy's own call, `GET /users/@me`, by which it checks the token and pauses.
    pub(crate) fn probe() -> Option<Self> {
        let path = format!("/api/v10{PROBE_PATH}");
        let parts = CallParts {
            method: Method::GET,
            path_and_query: PROBE_PATH.to_owned(),
            route: CallRoute::of(&Method::GET, &route::segments(&path).ok()?),
            headers: &HeaderMap::new(),
            body: Bytes::new(),
            arrived: Instant::now(),
            max_wait: PROBE_TIMEOUT,
        };
        let options = CallOptions {
            urgency: Some(Urgency::Interactive),
            deadline: Some(PROBE_TIMEOUT),
            ..CallOptions::default()
        };
        Some(Self::new(Arc::new(Caller::proxy()), parts, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(path: &str, body: &str, claim: Option<CallClass>) -> CallClass {
        let fields = BodyFields::read(&HeaderMap::new(), body.as_bytes());
        class_of(&Method::POST, path, &fields, claim)
    }

    #[test]
    fn message_is_idempotent_only_where_discord_enforces_its_nonce() {
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
            assert_eq!(class(messages, body, None), wanted, "{body}");
        }
        let enforced = r#"{"nonce":"1","enforce_nonce":true}"#;
        assert_eq!(class("/guilds/1/roles", enforced, None), CallClass::Once);
        assert_eq!(class("/webhooks/1/t", enforced, None), CallClass::Once);
        assert_eq!(
            class("/interactions/1/t/callback", enforced, None),
            CallClass::TimeBound
        );
    }

    #[test]
    fn claim_that_a_second_call_is_harmless_does_not_count() {
        for claim in CallClass::ALL {
            assert_eq!(class("/guilds/1/roles", "{}", Some(claim)), CallClass::Once, "{claim}");
        }
        let callback = "/interactions/1/t/callback";
        assert_eq!(class(callback, "{}", Some(CallClass::Idempotent)), CallClass::TimeBound);
        assert_eq!(class(callback, "{}", Some(CallClass::Once)), CallClass::Once);
    }

    #[test]
    fn rename_has_its_own_route() {
        let patch = |body: &str| {
            let route = CallRoute::of(&Method::PATCH, &["channels", "1"]);
            let fields = BodyFields::read(&HeaderMap::new(), body.as_bytes());
            limited_route(route, &fields).route.template.to_string()
        };
        assert_eq!(patch(r#"{"nsfw":true}"#), "PATCH /channels/{channel}");
        assert_eq!(patch(r#"{"name":"a"}"#), "PATCH /channels/{channel}#name-or-topic");
        assert_eq!(patch("not json"), "PATCH /channels/{channel}");
    }
}
