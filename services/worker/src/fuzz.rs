//! What strangers put into queues and variables, and what none of it may do to a worker: see `arrakis-fuzz`.

use arrakis_config::{Reader, Service, Source};
use arrakis_fuzz::Fuzz;

use crate::Config;
use crate::commands::Commands;
use crate::events;
use crate::interaction::invocation::{Invocation, InvocationData};
use crate::interactions::deadline::Deadline;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// An interaction's body as the dispatcher reads it, up to what the member would be told of wrong options.
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
        return "no such command".to_owned();
    };
    match &invocation.data {
        InvocationData::Command { options, .. } | InvocationData::Autocomplete { options, .. } => {
            match options.check(&definition.options) {
                Ok(()) => format!("/{}", definition.name),
                Err(refusal) => {
                    let words = refusal.message().embeds.unwrap_or_default();
                    let words = words
                        .first()
                        .and_then(|embed| embed.description.clone())
                        .unwrap_or_default();
                    assert!(
                        words.chars().count() <= 4_096,
                        "Discord takes no embed with {} characters",
                        words.chars().count()
                    );
                    refusal.what
                }
            }
        }
        InvocationData::Component { values, .. } => format!("press {}", values.len() > 1),
        InvocationData::ModalSubmit { fields, .. } => format!("form {}", fields.len() > 1),
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
        "\"guild_id\":",
    ];
    // A component of Discord's may hold another one, each some hundred bytes wide in memory.
    let fuzz = Fuzz::target(HERE, "interactions")
        .dictionary(&words)
        .max_memory(512, 512 << 10)
        .cases(2_000);
    fuzz.run(|body| read_interaction(&commands, body));
}

/// The first line is the event's name, the rest its body.
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
    Fuzz::target(HERE, "events")
        .dictionary(&words)
        .cases(6_000)
        .run(|input| {
            let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
            let name = String::from_utf8_lossy(&input[..end]).into_owned();
            events::read_body(&name, &input[end..])
        });
}

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
        .max_memory(64, 1 << 20);
    fuzz.run(|text| {
        let text = String::from_utf8_lossy(text);
        let pairs = arrakis_fuzz::variables(&text);
        match Reader::load(Service::Worker, Source::pairs(pairs), Config::read) {
            Ok(config) => {
                // What the worker does with times.
                let _ = time::OffsetDateTime::now_utc() - config.stale_after;
                let _ = std::time::SystemTime::now() + config.grace;
                "good".to_owned()
            }
            Err(errors) => errors.to_string().lines().last().unwrap_or_default().to_owned(),
        }
    });
}
