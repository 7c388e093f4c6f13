//! Armed faults. The control API arms them; gateway and REST check whether one applies.
//!
//! An armed fault applies to matching calls or frames until it is used up. Faults that act on open connections at once (drop, op
//! 7, a close code, …) are [`crate::gateway::ConnectionCommand`]s. To add an armed fault, add a [`FaultKind`] and a method that
//! the affected place calls.

mod rest;

use std::time::Duration;

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

pub use rest::{FaultResponse, RestFault, RestFaultEnd};

/// The effect of an armed fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// REST responds late.
    RestLatency {
        /// Milliseconds.
        ms: u64,
        /// Random addition, at most this many milliseconds.
        jitter_ms: u64,
    },
    /// REST responds with this status; the call takes no effect.
    RestStatus {
        /// e.g. 503.
        status: u16,
    },
    /// REST responds with 429; the call takes no effect.
    RestRateLimit {
        /// `user`, `global` or `shared`.
        scope: String,
        /// Seconds.
        retry_after: f64,
    },
    /// The call takes effect; REST responds with this status instead of its own.
    RestStatusAfterEffect {
        /// e.g. 502.
        status: u16,
    },
    /// The call takes effect; no response is sent.
    RestLostAnswer {
        /// `refuse` closes the connection, `hang` keeps it open.
        mode: DeadHost,
    },
    /// The call takes no effect; no response is sent.
    RestNoAnswer {
        /// `refuse` closes the connection, `hang` keeps it open.
        mode: DeadHost,
    },
    /// REST resets the connection (TCP RST) instead of responding.
    RestReset {
        /// Whether the call takes effect before.
        after_effect: bool,
    },
    /// REST sends status, headers and half of the body, then closes the connection.
    RestHalfAnswer {
        /// Whether the call takes effect before.
        after_effect: bool,
    },
    /// REST responds with 200 and a body that is not JSON.
    RestGarbage {
        /// Whether the call takes effect before.
        after_effect: bool,
    },
    /// The call takes effect; REST sends the headers at once and the body slowly.
    RestSlowBody {
        /// Milliseconds from the headers to the last byte.
        ms: u64,
    },
    /// Heartbeats are not acknowledged.
    GatewayNoHeartbeatAck,
    /// A dispatch is sent twice.
    GatewayDuplicateDispatch {
        /// Event; `None` is any.
        event: Option<String>,
    },
    /// The listener of RESUME is unreachable.
    GatewayDeadResumeHost {
        /// How it behaves.
        mode: DeadHost,
    },
    /// RESUME is answered with op 9.
    GatewayRefuseResume,
    /// RESUME gets this response; the session is kept.
    GatewayResumeAnswer {
        /// How it behaves.
        answer: SessionResponse,
    },
    /// IDENTIFY gets this response; no session begins.
    GatewayIdentifyAnswer {
        /// How it behaves.
        answer: SessionResponse,
    },
}

/// Response to a RESUME or an IDENTIFY in place of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionResponse {
    /// The connection is closed without a close frame.
    Reset,
    /// No response; heartbeats are acknowledged.
    Silence,
    /// Op 9 with `d: true`.
    InvalidSession,
    /// A close frame with this code.
    Close(u16),
}

/// Behaviour of an unreachable host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadHost {
    /// Connections are closed at once.
    Refuse,
    /// Connections are accepted, and nothing is sent.
    Hang,
}

/// Conditions under which a fault applies; all must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Condition {
    /// Uses left; `None` is unlimited.
    pub count: Option<u64>,
    /// Probability of each use, 0 to 1; `None` is 1.
    pub probability: Option<f64>,
    /// HTTP method.
    pub method: Option<String>,
    /// Route template; names in braces are ignored, a `*` at the end matches any rest.
    pub route: Option<String>,
    /// Part of the path.
    pub path: Option<String>,
    /// Shard number.
    pub shard: Option<u64>,
}

/// An armed fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// Number by which it is removed.
    pub id: u64,
    /// Its effect.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Its conditions.
    #[serde(flatten)]
    pub when: Condition,
    /// Number of times that it applied.
    pub struck: u64,
}

/// All armed faults.
#[derive(Debug)]
pub struct Faults {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    armed: Vec<Fault>,
    last_id: u64,
    random: StdRng,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Faults {
    /// No faults. Random decisions are drawn from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                armed: Vec::new(),
                last_id: 0,
                random: StdRng::seed_from_u64(seed),
            }),
        }
    }

    /// Arms a fault and returns its number.
    pub fn arm(&self, kind: FaultKind, when: Condition) -> u64 {
        let mut inner = self.inner.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.armed.push(Fault {
            id,
            kind,
            when,
            struck: 0,
        });
        id
    }

    /// All faults, used-up ones among them.
    #[must_use]
    pub fn list(&self) -> Vec<Fault> {
        self.inner.lock().armed.clone()
    }

    /// Removes a fault. `false` when there is none with this number.
    pub fn disarm(&self, id: u64) -> bool {
        let mut inner = self.inner.lock();
        let before = inner.armed.len();
        inner.armed.retain(|fault| fault.id != id);
        inner.armed.len() != before
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.inner.lock().armed.clear();
    }

    /// The fault of this call, if any. Counts one use of each fault that applies: all latencies, and the first replaced
    /// response.
    #[must_use]
    pub fn for_rest(&self, method: &str, route_template: &str, path: &str) -> Option<RestFault> {
        let mut inner = self.inner.lock();
        let Inner { armed, random, .. } = &mut *inner;
        let mut applied: Option<RestFault> = None;
        for fault in armed {
            let Some(answer) = fault.kind.rest() else { continue };
            let answered = applied.as_ref().is_some_and(|applied| applied.answer.is_some());
            if (answered && answer.is_some())
                || !fault.when.fits_rest(method, route_template, path)
                || !fault.apply(random)
            {
                continue;
            }
            let applied = applied.get_or_insert(RestFault {
                delay: Duration::ZERO,
                answer: None,
            });
            if let FaultKind::RestLatency { ms, jitter_ms } = fault.kind {
                applied.delay += Duration::from_millis(ms + random.random_range(0..=jitter_ms));
            }
            applied.answer = applied.answer.take().or(answer);
        }
        applied
    }

    /// Whether this heartbeat is left unacknowledged.
    pub(crate) fn swallows_heartbeat_ack(&self, shard: Option<u64>) -> bool {
        self.applies(shard, |kind| matches!(kind, FaultKind::GatewayNoHeartbeatAck))
    }

    /// Whether this dispatch is sent twice.
    pub(crate) fn duplicates(&self, name: &str, shard: u64) -> bool {
        self.applies(Some(shard), |kind| match kind {
            FaultKind::GatewayDuplicateDispatch { event } => event.as_deref().is_none_or(|event| event == name),
            _ => false,
        })
    }

    /// Whether this RESUME is refused.
    pub(crate) fn refuses_resume(&self) -> bool {
        self.applies(None, |kind| matches!(kind, FaultKind::GatewayRefuseResume))
    }

    /// The response to this RESUME in place of the session.
    pub(crate) fn resume_answer(&self, shard: Option<u64>) -> Option<SessionResponse> {
        self.session_answer(shard, |kind| match kind {
            FaultKind::GatewayResumeAnswer { answer } => Some(*answer),
            _ => None,
        })
    }

    /// The response to this IDENTIFY in place of a new session.
    pub(crate) fn identify_answer(&self, shard: Option<u64>) -> Option<SessionResponse> {
        self.session_answer(shard, |kind| match kind {
            FaultKind::GatewayIdentifyAnswer { answer } => Some(*answer),
            _ => None,
        })
    }

    fn session_answer(
        &self,
        shard: Option<u64>,
        wanted: impl Fn(&FaultKind) -> Option<SessionResponse>,
    ) -> Option<SessionResponse> {
        let mut found = None;
        self.applies(shard, |kind| {
            found = wanted(kind);
            found.is_some()
        })
        .then_some(found)?
    }

    /// How the listener of RESUME treats this connection, when it is unreachable.
    pub(crate) fn dead_resume_host(&self) -> Option<DeadHost> {
        let mut found = None;
        self.applies(None, |kind| {
            if let FaultKind::GatewayDeadResumeHost { mode } = kind {
                found = Some(*mode);
                return true;
            }
            false
        })
        .then_some(found)?
    }

    fn applies(&self, shard: Option<u64>, mut wanted: impl FnMut(&FaultKind) -> bool) -> bool {
        let mut inner = self.inner.lock();
        let Inner { armed, random, .. } = &mut *inner;
        armed.iter_mut().any(|fault| {
            let here = fault.when.shard.is_none() || fault.when.shard == shard;
            here && wanted(&fault.kind) && fault.apply(random)
        })
    }
}

impl Fault {
    /// Counts one use, unless the fault is used up or its probability decides against it. Returns whether it applies.
    fn apply(&mut self, random: &mut StdRng) -> bool {
        if self.when.count == Some(0) {
            return false;
        }
        if self
            .when
            .probability
            .is_some_and(|chance| random.random::<f64>() >= chance)
        {
            return false;
        }
        self.when.count = self.when.count.map(|left| left - 1);
        self.struck += 1;
        true
    }
}

impl Condition {
    fn fits_rest(&self, method: &str, route: &str, path: &str) -> bool {
        self.method
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.route.as_ref().is_none_or(|wanted| route_fits(wanted, route))
            && self.path.as_ref().is_none_or(|wanted| path.contains(wanted.as_str()))
    }
}

fn route_fits(wanted: &str, route: &str) -> bool {
    let (wanted, route) = (nameless(wanted), nameless(route));
    wanted
        .strip_suffix('*')
        .map_or(wanted == route, |start| route.starts_with(start))
}

/// A template without the names in its braces.
fn nameless(template: &str) -> String {
    let mut inside = false;
    let mut keep = |c: char| {
        let keep = !inside || c == '}';
        inside = c == '{' || (inside && c != '}');
        keep
    };
    template.chars().filter(|c| keep(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: u64) -> Condition {
        Condition {
            count: Some(count),
            ..Condition::default()
        }
    }

    #[test]
    fn a_fault_is_used_up() {
        let faults = Faults::new(1);
        faults.arm(FaultKind::RestStatus { status: 503 }, times(1));
        let first = faults.for_rest("GET", "/users/@me", "/users/@me").unwrap();
        assert_eq!(first.answer, Some(FaultResponse::before(RestFaultEnd::Status(503))));
        assert_eq!(faults.for_rest("GET", "/users/@me", "/users/@me"), None);
        assert_eq!(faults.list()[0].struck, 1);
    }

    #[test]
    fn conditions_must_all_hold() {
        let faults = Faults::new(1);
        let when = Condition {
            method: Some("put".into()),
            route: Some("/guilds/{g}/members/*".into()),
            path: Some("/42/".into()),
            ..Condition::default()
        };
        faults.arm(FaultKind::RestLostAnswer { mode: DeadHost::Refuse }, when);
        let route = "/guilds/{guild.id}/members/{user.id}/roles/{role.id}";
        assert!(faults.for_rest("PUT", route, "/guilds/1/members/42/roles/3").is_some());
        assert!(
            faults
                .for_rest("DELETE", route, "/guilds/1/members/42/roles/3")
                .is_none()
        );
        assert!(faults.for_rest("PUT", route, "/guilds/1/members/43/roles/3").is_none());
        assert!(
            faults
                .for_rest("PUT", "/guilds/{g}/roles", "/guilds/42/roles")
                .is_none()
        );
    }

    #[test]
    fn latencies_add_up_and_the_first_answer_counts() {
        let faults = Faults::new(1);
        faults.arm(FaultKind::RestLatency { ms: 10, jitter_ms: 0 }, times(1));
        faults.arm(FaultKind::RestStatus { status: 500 }, times(1));
        faults.arm(FaultKind::RestLatency { ms: 5, jitter_ms: 0 }, times(1));
        faults.arm(FaultKind::RestStatus { status: 502 }, times(1));
        let applied = faults.for_rest("GET", "/x", "/x").unwrap();
        assert_eq!(
            applied,
            RestFault {
                delay: Duration::from_millis(15),
                answer: Some(FaultResponse::before(RestFaultEnd::Status(500)))
            }
        );
        assert_eq!(
            faults.for_rest("GET", "/x", "/x").unwrap().answer,
            Some(FaultResponse::before(RestFaultEnd::Status(502)))
        );
    }

    #[test]
    fn random_decisions_follow_the_seed() {
        let draw = |seed| {
            let faults = Faults::new(seed);
            let when = Condition {
                probability: Some(0.5),
                ..Condition::default()
            };
            faults.arm(FaultKind::GatewayNoHeartbeatAck, when);
            (0..100).filter(|_| faults.swallows_heartbeat_ack(None)).count()
        };
        assert_eq!(draw(7), draw(7));
        assert!((20..80).contains(&draw(7)));
    }

    #[test]
    fn fault_of_a_shard_does_not_apply_to_others() {
        let faults = Faults::new(1);
        let when = Condition {
            shard: Some(2),
            ..Condition::default()
        };
        faults.arm(
            FaultKind::GatewayDuplicateDispatch {
                event: Some("MESSAGE_CREATE".into()),
            },
            when,
        );
        assert!(faults.duplicates("MESSAGE_CREATE", 2));
        assert!(!faults.duplicates("MESSAGE_CREATE", 1));
        assert!(!faults.duplicates("GUILD_CREATE", 2));
    }
}
