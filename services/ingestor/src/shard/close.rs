//! What the end of a gateway connection means.
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes>

use arrakis_runtime::{Fatal, fail_point};

use crate::discord::refused_token;

/// What to do after a close code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    /// The session can be resumed.
    Resume,
    /// The session is gone.
    NewSession,
    /// Nothing but a person helps.
    Stop(Fatal),
}

pub(super) fn after(code: Option<u16>, shard: u32, shards: u32) -> After {
    if fail_point::skips("ingestor.guard.fatal") {
        return After::Resume;
    }
    let configuration = |text: String| After::Stop(Fatal::configuration(text));
    match code {
        Some(4004) => After::Stop(refused_token("gateway close code 4004")),
        Some(4010) => configuration(format!(
            "Discord refuses shard {shard} of {shards} (close code 4010). Check SHARD_COUNT and SHARD_RANGE"
        )),
        Some(4011) => configuration(format!(
            "Discord wants more shards than {shards} (close code 4011): a shard takes 2,500 servers. Raise SHARD_COUNT, or leave it \
             out to take Discord's recommendation"
        )),
        Some(4012) => After::Stop(Fatal::new(
            "Discord no longer speaks this version of the gateway (close code 4012). Deploy a newer build",
        )),
        Some(4013) => configuration("Discord does not know the intents (close code 4013). Check INGESTOR_INTENTS".to_owned()),
        Some(4014) => configuration(
            "Discord does not allow the intents (close code 4014). Switch on Server Members Intent in the Developer Portal, page \
             Bot, or take guild_members out of INGESTOR_INTENTS"
                .to_owned(),
        ),
        // Invalid sequence number, session timed out: resuming cannot work.
        Some(4007 | 4009) => After::NewSession,
        _ => After::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(code: u16) -> Fatal {
        match after(Some(code), 1, 4) {
            After::Stop(fatal) => fatal,
            other => panic!("{code}: {other:?}"),
        }
    }

    #[test]
    fn fatal_codes_stop_and_say_what_to_fix() {
        for (code, words, exit_code) in [
            (4004, "DISCORD_TOKEN", 78),
            (4010, "SHARD_RANGE", 78),
            (4011, "SHARD_COUNT", 78),
            (4012, "newer build", 1),
            (4013, "INGESTOR_INTENTS", 78),
            (4014, "Server Members Intent", 78),
        ] {
            let fatal = stop(code);
            assert!(
                fatal.message.contains(words) && fatal.message.contains(&code.to_string()),
                "{fatal}"
            );
            assert_eq!(fatal.exit_code, exit_code, "{code}");
        }
    }

    #[test]
    fn a_lost_session_is_told_from_a_lost_connection() {
        for code in [4007, 4009] {
            assert_eq!(after(Some(code), 0, 1), After::NewSession);
        }
        for code in [
            None,
            Some(1000),
            Some(1001),
            Some(1006),
            Some(4000),
            Some(4008),
            Some(4999),
        ] {
            assert_eq!(after(code, 0, 1), After::Resume, "{code:?}");
        }
    }
}
