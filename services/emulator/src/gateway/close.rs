//! Close codes. <https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes>

/// Close codes that the gateway sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// An unknown error. Resumable.
    UnknownError = 4000,
    /// An opcode that clients do not send. Resumable.
    UnknownOpcode = 4001,
    /// Not JSON, not the shape of its opcode, or over 4,096 bytes. Resumable.
    DecodeError = 4002,
    /// A payload was sent before IDENTIFY. Fatal for the session.
    NotAuthenticated = 4003,
    /// The token is wrong. Fatal.
    AuthenticationFailed = 4004,
    /// Identified twice. Resumable.
    AlreadyAuthenticated = 4005,
    /// RESUME with a sequence number that was never sent: a new session is needed.
    InvalidSequence = 4007,
    /// Over 120 sends in 60 seconds. Resumable.
    RateLimited = 4008,
    /// No heartbeat was received: a new session is needed.
    SessionTimedOut = 4009,
    /// The shard does not exist. Fatal.
    InvalidShard = 4010,
    /// Over 2,500 servers on the shard. Fatal.
    ShardingRequired = 4011,
    /// A gateway version that is not served. Fatal.
    InvalidApiVersion = 4012,
    /// Bits that are not intents. Fatal.
    InvalidIntents = 4013,
    /// A privileged intent that is not switched on. Fatal.
    DisallowedIntents = 4014,
}

impl CloseCode {
    /// All of them, for the control API and tests.
    pub const ALL: [Self; 14] = [
        Self::UnknownError,
        Self::UnknownOpcode,
        Self::DecodeError,
        Self::NotAuthenticated,
        Self::AuthenticationFailed,
        Self::AlreadyAuthenticated,
        Self::InvalidSequence,
        Self::RateLimited,
        Self::SessionTimedOut,
        Self::InvalidShard,
        Self::ShardingRequired,
        Self::InvalidApiVersion,
        Self::InvalidIntents,
        Self::DisallowedIntents,
    ];

    /// Discord's number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The text in the close frame.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownError => "Unknown error.",
            Self::UnknownOpcode => "Unknown opcode.",
            Self::DecodeError => "Error while decoding payload.",
            Self::NotAuthenticated => "Not authenticated.",
            Self::AuthenticationFailed => "Authentication failed.",
            Self::AlreadyAuthenticated => "Already authenticated.",
            Self::InvalidSequence => "Invalid seq.",
            Self::RateLimited => "Rate limited.",
            Self::SessionTimedOut => "Session timed out.",
            Self::InvalidShard => "Invalid shard.",
            Self::ShardingRequired => "Sharding required.",
            Self::InvalidApiVersion => "Invalid API version.",
            Self::InvalidIntents => "Invalid intent(s).",
            Self::DisallowedIntents => "Disallowed intent(s).",
        }
    }
}

/// Whether a session can be resumed after either side closed its connection with this code; `None` is a connection without a
/// close frame.
#[must_use]
pub const fn keeps_session(code: Option<u16>) -> bool {
    !matches!(code, Some(1000 | 1001 | 4003 | 4004 | 4007 | 4009..=4014))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_codes_end_a_session() {
        let ends: Vec<u16> = (1000..5000).filter(|code| !keeps_session(Some(*code))).collect();
        assert_eq!(ends, [1000, 1001, 4003, 4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014]);
        assert!(keeps_session(None));
    }
}
