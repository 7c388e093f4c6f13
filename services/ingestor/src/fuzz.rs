//! Fuzz tests of input from Discord, the broker and the environment: see `arrakis-fuzz`.

use std::time::{Duration, Instant};

use arrakis_config::{Reader, Service, Source};
use arrakis_fuzz::Fuzz;
use arrakis_telemetry::trace::Traceparent;
use bytes::Bytes;

use crate::clock::ClockOffset;
use crate::config::Config;
use crate::discord::{GatewayInfo, gateway_url};
use crate::frame::{Frame, Hello, LabelContext, Ready, label};
use crate::serve::{FRAME_BYTES, divide_shards};
use crate::session::{Session, StoredState};

const HERE: &str = env!("CARGO_MANIFEST_DIR");
/// Longest AMQP short string in bytes: ids, types and routing keys.
const SHORT: usize = 255;
/// Bytes for all headers of a message: they share one frame with the properties.
const HEADER_BYTES: usize = FRAME_BYTES as usize - (2 << 10);

/// Processes a frame as a connection does: a session from READY, labels from any other dispatch.
fn read_frame(text: &[u8]) -> String {
    let bytes = Bytes::copy_from_slice(text);
    let frame = match Frame::read(&bytes) {
        Ok(frame) => frame,
        Err(error) => return error.to_string(),
    };
    match (frame.op, frame.t.as_deref()) {
        (0, Some("READY")) => match frame.payload::<Ready>().and_then(|ready| Session::begin(ready, 7)) {
            Ok((session, _)) => format!("session, {} bytes", session.id.len().min(SHORT)),
            Err(error) => error.to_string(),
        },
        (0, _) => dispatch(&bytes, &frame),
        (9, _) => format!("resumable {:?}", frame.payload::<bool>().ok()),
        (10, _) => match frame.payload::<Hello>() {
            Ok(_) => "hello".to_owned(),
            Err(error) => error.to_string(),
        },
        (op, _) => format!("op {}", char::from(b'a' + op % 20)),
    }
}

fn dispatch(bytes: &Bytes, frame: &Frame<'_>) -> String {
    let context = LabelContext {
        shard: 1,
        shards: 4,
        session: "abc",
        session_since_ms: 1_795_000_000_000,
        received_us: 1_795_000_001_500_000,
        clock_offset_ms: -3,
        traceparent: Traceparent::new(1, 2, false),
    };
    let message = match label(bytes, frame, context) {
        Ok(message) => message,
        Err(error) => return error.to_string(),
    };
    for (what, text) in [
        ("id", &message.id),
        ("type", &message.kind),
        ("key", &message.routing_key),
    ] {
        assert!(
            text.len() <= SHORT,
            "AMQP has no room for a {what} of {} bytes",
            text.len()
        );
    }
    let headers: usize = message
        .headers
        .iter()
        .map(|(name, value)| name.len() + format!("{value:?}").len())
        .sum();
    assert!(headers <= HEADER_BYTES, "{headers} bytes of headers");
    // The body shares the frame's bytes.
    let frame_bytes = bytes.as_ptr_range();
    assert!(
        message.body.is_empty() || frame_bytes.contains(&message.body.as_ptr()),
        "the payload was copied"
    );
    message.routing_key
}

#[test]
fn gateway_frames() {
    let words = [
        "\"op\":0",
        "\"op\":10",
        "\"s\":",
        "\"t\":",
        "\"d\":",
        "INTERACTION_CREATE",
        "GUILD_CREATE",
        "GUILD_DELETE",
        "GUILD_ROLE_CREATE",
        "CHANNEL_UPDATE",
        "GUILD_MEMBER_ADD",
        "READY",
        "RESUMED",
        "\"guild_id\":\"",
        "\"custom_id\":\"",
        "\"type\":",
        "\"id\":\"",
        "\"session_id\":\"",
        "\"resume_gateway_url\":\"",
        "\"unavailable\":true",
        "\"joined_at\":\"",
    ];
    Fuzz::target(HERE, "gateway_frames")
        .dictionary(&words)
        .cases(8_000)
        .run(read_frame);
}

/// twilight panics at a URL that it cannot parse, so an accepted URL must be parsable.
#[test]
fn gateway_addresses() {
    let words = [
        "wss://",
        "ws://",
        "https://",
        "gateway.discord.gg",
        "127.0.0.1",
        "[::1]",
        ":443",
        ":99999",
        "@",
        "?",
        "#",
        "\\",
    ];
    Fuzz::target(HERE, "gateway_addresses")
        .dictionary(&words)
        .cases(8_000)
        .max_length(2_048)
        .run(|text| {
            let Ok(text) = std::str::from_utf8(text) else {
                return "no text".to_owned();
            };
            match gateway_url(text) {
                Ok(url) => {
                    let twilights = format!("{url}/?v=10&encoding=json&compress=zlib-stream");
                    assert!(
                        http::Uri::try_from(&twilights).is_ok(),
                        "twilight would panic at {twilights:?}"
                    );
                    assert!(url.len() <= 1_024, "an address of {} bytes", url.len());
                    "good".to_owned()
                }
                Err(why) => why,
            }
        });
}

/// The value in a shard's queue, which an operator or another version may have written.
#[test]
fn stored_sessions() {
    let words = [
        "\"v\":1",
        "\"holder\":\"",
        "\"shards\":",
        "\"session\":",
        "\"seq\":",
        "\"resume_url\":\"",
        "\"since_ms\":",
    ];
    Fuzz::target(HERE, "stored_sessions")
        .dictionary(&words)
        .cases(8_000)
        .run(|value| match StoredState::decode(value) {
            Some(saved) => {
                assert_eq!(
                    StoredState::decode(&saved.encode()).as_ref(),
                    Some(&saved),
                    "what is written back is read"
                );
                format!("session {}", saved.session.is_some())
            }
            None => "nothing".to_owned(),
        });
}

/// `Date` of Discord's answers.
#[test]
fn dates() {
    let words = ["Sat, ", "21 Nov 2026", "GMT", " 9999 ", " 0000 ", "23:59:60"];
    Fuzz::target(HERE, "dates")
        .dictionary(&words)
        .max_length(512)
        .cases(8_000)
        .run(|date| {
            let clock = ClockOffset::default();
            let sent = Instant::now();
            clock.observe(&String::from_utf8_lossy(date), sent, sent + Duration::from_millis(80));
            format!("{}", clock.ms() == 0)
        });
}

/// All variables, and the division into shards.
#[test]
fn configuration() {
    let names: Vec<_> = arrakis_config::VARIABLES
        .iter()
        .map(arrakis_config::Variable::assignment)
        .collect();
    let words: Vec<_> = names.iter().map(String::as_str).collect();
    let fuzz = Fuzz::target(HERE, "configuration")
        .dictionary(&words)
        .cases(400)
        .max_memory(64, 4 << 20);
    fuzz.run(|text| {
        let text = String::from_utf8_lossy(text);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        // The reader would open files of the machine.
        let pairs = pairs.filter(|(name, _)| !name.ends_with("_FILE"));
        let config = match Reader::load(Service::Ingestor, Source::pairs(pairs), Config::read) {
            Ok(config) => config,
            Err(errors) => return errors.to_string().lines().last().unwrap_or_default().to_owned(),
        };
        let info = GatewayInfo {
            url: "wss://gateway.discord.gg".to_owned(),
            shards: 1,
            max_concurrency: 1,
            remaining: 1_000,
            total: 1_000,
            reset_after: std::time::Duration::ZERO,
        };
        match divide_shards(config.shards, &info) {
            Ok((_, ids)) => format!("good {}", ids.len() > 1),
            Err(error) => error.to_string(),
        }
    });
}
