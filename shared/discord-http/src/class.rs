//! The class of a call: what sending it a second time does.

use std::fmt;
use std::str::FromStr;

use http::Method;

/// The effect of sending a call to Discord a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallClass {
    /// A second call has no further effect: reads, PUT, PATCH, DELETE, messages with an enforced nonce.
    Idempotent,
    /// The first response to an interaction. Discord accepts one within three seconds and answers every further one with 40060, so
    /// it is repeated while time is left, and never later.
    TimeBound,
    /// A second call has a second effect: a POST that creates something and has no nonce.
    Once,
}

impl CallClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Idempotent, Self::TimeBound, Self::Once];

    /// Name in headers, logs and docs: `idempotent`, `time-bound` or `once`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idempotent => "idempotent",
            Self::TimeBound => "time-bound",
            Self::Once => "once",
        }
    }

    /// The class of a call by its method, its path below the API version (split at slashes, without query) and whether the body
    /// has a `nonce` with `enforce_nonce`.
    ///
    /// Discord honours a nonce when a bot creates a message in a channel and nowhere else: in its OpenAPI document
    /// `MessageCreateRequest` has `enforce_nonce`, the request of "execute webhook" (and so of a follow-up) does not.
    #[must_use]
    pub fn of(method: &Method, segments: &[&str], enforced_nonce: bool) -> Self {
        if *method != Method::POST {
            return Self::Idempotent;
        }
        match segments {
            ["interactions", _, _, "callback"] => Self::TimeBound,
            ["channels", _, "messages"] if enforced_nonce => Self::Idempotent,
            // Discord returns the channel that exists.
            ["users", "@me", "channels"] => Self::Idempotent,
            // A second typing indicator replaces the first; messages that are already deleted are ignored.
            ["channels", _, "typing"] | ["channels", _, "messages", "bulk-delete"] => Self::Idempotent,
            _ => Self::Once,
        }
    }

    /// The class of a call for which the caller states `claim`. A caller may make its call stricter (`once`), never laxer: a statement
    /// that a second call is harmless counts only where Discord guarantees it.
    #[must_use]
    pub fn claimed(self, claim: Option<Self>) -> Self {
        match claim {
            Some(Self::Once) => Self::Once,
            Some(Self::Idempotent | Self::TimeBound) | None => self,
        }
    }
}

impl fmt::Display for CallClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CallClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let class = Self::ALL.into_iter().find(|class| class.name() == text);
        class.ok_or_else(|| format!("\"{text}\" is not a call class; it is idempotent, time-bound or once"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(method: &Method, path: &str, enforced_nonce: bool) -> CallClass {
        let segments: Vec<&str> = path.split('/').collect();
        CallClass::of(method, &segments, enforced_nonce)
    }

    #[test]
    fn methods_that_set_a_state_are_idempotent() {
        for (method, path) in [
            (Method::GET, "users/@me"),
            (Method::PUT, "guilds/1/members/2/roles/3"),
            (Method::DELETE, "channels/1/messages/2"),
            (Method::PATCH, "webhooks/1/t/messages/@original"),
        ] {
            assert_eq!(class(&method, path, false), CallClass::Idempotent, "{method} {path}");
        }
    }

    #[test]
    fn post_is_once_unless_discord_guarantees_otherwise() {
        for (path, nonce, wanted) in [
            ("channels/1/messages", false, CallClass::Once),
            ("channels/1/messages", true, CallClass::Idempotent),
            ("channels/1/messages/2/threads", true, CallClass::Once),
            ("channels/1/messages/2/crosspost", true, CallClass::Once),
            ("channels/1/threads", true, CallClass::Once),
            ("channels/1/webhooks", false, CallClass::Once),
            ("channels/1/invites", false, CallClass::Once),
            ("channels/1/typing", false, CallClass::Idempotent),
            ("channels/1/messages/bulk-delete", false, CallClass::Idempotent),
            ("guilds/1/roles", true, CallClass::Once),
            ("guilds/1/channels", false, CallClass::Once),
            ("users/@me/channels", false, CallClass::Idempotent),
            ("interactions/1/t/callback", true, CallClass::TimeBound),
            ("webhooks/1/t", false, CallClass::Once),
            // Execute webhook has no nonce: one in the body changes nothing.
            ("webhooks/1/t", true, CallClass::Once),
            ("tomorrow/1", true, CallClass::Once),
        ] {
            assert_eq!(class(&Method::POST, path, nonce), wanted, "POST {path}, nonce: {nonce}");
        }
    }

    #[test]
    fn claim_makes_a_call_stricter_and_never_laxer() {
        for derived in CallClass::ALL {
            assert_eq!(derived.claimed(Some(CallClass::Once)), CallClass::Once);
            assert_eq!(derived.claimed(Some(CallClass::Idempotent)), derived);
            assert_eq!(derived.claimed(Some(CallClass::TimeBound)), derived);
            assert_eq!(derived.claimed(None), derived);
        }
    }

    #[test]
    fn names_round_trip() {
        for class in CallClass::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert!("twice".parse::<CallClass>().unwrap_err().contains("time-bound"));
    }
}
