//! `/control/faults`: faults on demand.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A fault. `kind` decides which of the other fields have a meaning; the emulator's README lists the kinds.
///
/// A kind that acts on open connections takes effect at once. Every other fault is armed and applies to matching calls or frames until
/// `count` is used up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// For example `rest_status` or `gateway_drop`.
    pub kind: String,
    /// How often the fault applies; without limit when absent.
    pub count: Option<u64>,
    /// Probability that the fault applies to a matching call or frame, 0 to 1; 1 when absent.
    pub probability: Option<f64>,
    /// Method of the REST calls to which the fault applies; any when absent.
    pub method: Option<String>,
    /// Route template of the REST calls. Names in braces are ignored; `*` at the end matches any rest.
    pub route: Option<String>,
    /// Text that the path of the REST calls contains.
    pub path: Option<String>,
    /// Shard whose connections are affected.
    pub shard: Option<u64>,
    /// Gateway session whose connection is affected.
    pub session: Option<String>,
    /// Milliseconds of latency, or of the transfer of a slow body.
    pub ms: Option<u64>,
    /// Random addition to the latency, at most this many milliseconds.
    pub jitter_ms: Option<u64>,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// Scope of a 429: `user`, `global` or `shared`.
    pub scope: Option<String>,
    /// `Retry-After` of a 429, in seconds.
    pub retry_after: Option<f64>,
    /// Close code of the gateway connection.
    pub code: Option<u16>,
    /// `d` of op 9: whether the session can be resumed.
    pub resumable: Option<bool>,
    /// Event name of the dispatches to which the fault applies, for example `GUILD_MEMBER_ADD`.
    pub event: Option<String>,
    /// How the connection ends, or what is sent in place of a session.
    pub mode: Option<String>,
    /// Text of the frame to send.
    pub text: Option<String>,
    /// Whether the call takes effect before the fault ends it. The default depends on the kind.
    pub after_effect: Option<bool>,
}

/// Response to a new fault: `struck` for one that took effect at once, else `id` and `armed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCreated {
    /// Number of the armed fault, by which it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The armed fault as in the list of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub armed: Option<Value>,
    /// Number of connections on which it took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub struck: Option<usize>,
}

impl Fault {
    /// A fault of this kind, without limits.
    #[must_use]
    pub fn of_kind(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            ..Self::default()
        }
    }

    /// REST calls take this many milliseconds longer.
    #[must_use]
    pub fn rest_latency(ms: u64) -> Self {
        Self {
            ms: Some(ms),
            ..Self::of_kind("rest_latency")
        }
    }

    /// REST calls get this status and take no effect.
    #[must_use]
    pub fn rest_status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::of_kind("rest_status")
        }
    }

    /// REST calls take effect and get no response. `mode` is `refuse` (the connection is closed) or `hang` (it stays open).
    #[must_use]
    pub fn rest_lost_answer(mode: &str) -> Self {
        Self::of_kind("rest_lost_answer").mode(mode)
    }

    /// Connections are closed with this close code.
    #[must_use]
    pub fn gateway_close(code: u16) -> Self {
        Self {
            code: Some(code),
            ..Self::of_kind("gateway_close")
        }
    }

    /// Connections receive op 9.
    #[must_use]
    pub fn gateway_invalid_session(resumable: bool) -> Self {
        Self {
            resumable: Some(resumable),
            ..Self::of_kind("gateway_invalid_session")
        }
    }

    /// The same fault in this mode.
    #[must_use]
    pub fn mode(self, mode: &str) -> Self {
        Self {
            mode: Some(mode.to_owned()),
            ..self
        }
    }

    /// The same fault, which ends the call after its effect (`true`) or in place of the effect (`false`).
    #[must_use]
    pub fn after_effect(self, after_effect: bool) -> Self {
        Self {
            after_effect: Some(after_effect),
            ..self
        }
    }

    /// The same fault for this method alone.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..self
        }
    }

    /// The same fault for this route template alone.
    #[must_use]
    pub fn route(self, route: &str) -> Self {
        Self {
            route: Some(route.to_owned()),
            ..self
        }
    }

    /// The same fault for paths that contain this text.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..self
        }
    }

    /// The same fault, which applies this many times.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// The same fault, which applies with this probability.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        Self {
            probability: Some(probability),
            ..self
        }
    }
}
