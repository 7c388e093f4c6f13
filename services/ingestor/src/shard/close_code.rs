//! How to continue after a gateway close code.
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes>

use arrakis_runtime::{Fatal, fail_point};

use crate::discord::refused_token;

/// How to continue after a close code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CloseAction {
    /// Resume the session.
    Resume,
    /// Begin a new session: this one cannot be resumed.
    NewSession,
    /// Stop the process: an operator must correct something.
    Stop(Fatal),
}

pub(super) fn close_action(code: Option<u16>, shard: u32, shards: u32) -> CloseAction {
    if fail_point::skips("ingestor.guard.fatal") {
        return CloseAction::Resume;
    }
    let configuration = |text: String| CloseAction::Stop(Fatal::configuration(text));
    match code {
        Some(4004) => CloseAction::Stop(refused_token("gateway close code 4004")),
        Some(4010) => configuration(format!(
            "Discord refuses shard {shard} of {shards} (close code 4010). Check SHARD_COUNT and SHARD_RANGE"
        )),
        Some(4011) => configuration(format!(
            "Discord requires more than {shards} shards (close code 4011): a shard serves at most 2,500 servers. Raise SHARD_COUNT, or \
             unset it to use Discord's recommendation"
        )),
        Some(4012) => CloseAction::Stop(Fatal::new(
            "Discord does not support this gateway version any more (close code 4012). Deploy a newer build",
        )),
        Some(4013) => configuration("Discord refuses the intents as invalid (close code 4013). Check INGESTOR_INTENTS".to_owned()),
        Some(4014) => configuration(
            "Discord does not allow the intents (close code 4014). Enable Server Members Intent in the Developer Portal, page Bot, or \
             remove guild_members from INGESTOR_INTENTS"
                .to_owned(),
        ),
        // Invalid sequence number, session timed out: RESUME cannot succeed.
        Some(4007 | 4009) => CloseAction::NewSession,
        _ => CloseAction::Resume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(code: u16) -> Fatal {
        match close_action(Some(code), 1, 4) {
            CloseAction::Stop(fatal) => fatal,
            other => panic!("{code}: {other:?}"),
        }
    }

    #[test]
    fn fatal_codes_stop_and_name_the_correction() {
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
    fn only_codes_of_a_lost_session_begin_a_new_one() {
        for code in [4007, 4009] {
            assert_eq!(close_action(Some(code), 0, 1), CloseAction::NewSession);
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
            assert_eq!(close_action(code, 0, 1), CloseAction::Resume, "{code:?}");
        }
    }
}
