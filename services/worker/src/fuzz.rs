//! Fuzz tests of the readers of untrusted input: interaction bodies, event bodies, configuration. See `arrakis-fuzz`.

use arrakis_config::{Reader, Service, Source};
use arrakis_fuzz::Fuzz;

use crate::Config;
use crate::commands::Commands;
use crate::events;
use crate::interaction::invocation::{Invocation, InvocationData};
use crate::interactions::deadline::Deadline;

const CRATE_FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// Reads an interaction body as the pipeline does, up to the refusal of invalid options. Returns a summary of the result.
fn read_interaction(commands: &Commands, body: &[u8]) -> String {
    let invocation = match Invocation::read(body) {
        Ok(invocation) => invocation,
        Err(error) => return error.to_string(),
    };
    let _ = (
        Deadline::new(&invocation.id, i64::MAX).age(),
        Deadline::new(&invocation.id, i64::MIN).age(),
    );
    let Some(definition) = commands
        .definitions()
        .find(|definition| definition.name == invocation.command())
    else {
        return "unknown command".to_owned();
    };
    match &invocation.data {
        InvocationData::Command { options, .. } | InvocationData::Autocomplete { options, .. } => {
            match options.check(&definition.options) {
                Ok(()) => format!("/{}", definition.name),
                Err(refusal) => {
                    let embeds = refusal.message().embeds.unwrap_or_default();
                    let description = embeds.first().and_then(|embed| embed.description.as_deref());
                    let length = description.unwrap_or_default().chars().count();
                    assert!(length <= 4_096, "Discord refuses an embed with {length} characters");
                    refusal.what
                }
            }
        }
        InvocationData::Component { values, .. } => format!("component {}", values.len() > 1),
        InvocationData::ModalSubmit { fields, .. } => format!("modal {}", fields.len() > 1),
    }
}

#[test]
fn interactions() {
    let commands = Commands::default();
    let words = [
        "\"type\":",
        "\"data\":",
        "\"options\":[",
        "\"name\":\"",
        "\"value\":",
        "\"focused\":true",
        "\"custom_id\":\"",
        "\"components\":[",
        "\"component_type\":",
        "\"resolved\":",
        "\"member\":",
        "\"user\":",
        "leaderboard",
        "profile",
        "position",
        "threshold",
        "verify:",
        "\"guild_id\":",
    ];
    // Components may be nested, and each takes some hundred bytes in memory.
    let fuzz = Fuzz::target(CRATE_FOLDER, "interactions")
        .dictionary(&words)
        .max_memory(512, 512 << 10)
        .cases(2_000);
    fuzz.run(|body| read_interaction(&commands, body));
}

/// The first line of the input is the event's name, the rest its body.
#[test]
fn events() {
    let words = [
        "\"user\":",
        "\"id\":",
        "\"roles\":[",
        "\"joined_at\":",
        "\"guild_id\":",
        "\"role_id\":",
        "GUILD_MEMBER_ADD",
        "GUILD_ROLE_DELETE",
    ];
    Fuzz::target(CRATE_FOLDER, "events")
        .dictionary(&words)
        .cases(6_000)
        .run(|input| {
            let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            let name = String::from_utf8_lossy(&input[..end]).into_owned();
            events::decode_body(&name, &input[end..])
        });
}

#[test]
fn configuration() {
    let names: Vec<_> = arrakis_config::VARIABLES
        .iter()
        .map(arrakis_config::Variable::assignment)
        .collect();
    let words: Vec<_> = names.iter().map(String::as_str).collect();
    let fuzz = Fuzz::target(CRATE_FOLDER, "configuration")
        .dictionary(&words)
        .cases(400)
        .max_memory(64, 1 << 20);
    fuzz.run(|text| {
        let text = String::from_utf8_lossy(text);
        let pairs = arrakis_fuzz::variables(&text);
        match Reader::load(Service::Worker, Source::pairs(pairs), Config::read) {
            Ok(config) => {
                // The worker's arithmetic on times.
                let _ = time::OffsetDateTime::now_utc() - config.stale_after;
                let _ = std::time::SystemTime::now() + config.grace;
                "valid".to_owned()
            }
            Err(errors) => errors.to_string().lines().last().unwrap_or_default().to_owned(),
        }
    });
}
