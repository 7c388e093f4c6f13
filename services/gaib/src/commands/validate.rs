//! `gaib server validate`: the configuration alone, without token, network or state.

use std::collections::BTreeSet;

use arrakis_iac::model::{Configuration, Kind};
use arrakis_iac::words::counted;
use serde_json::json;

use crate::arguments::server;
use crate::commands::{Context, theme};
use crate::configuration;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::printer::Severity;
use crate::project::{CONFIGURATION, Project};

pub(super) fn run(context: &Context, arguments: &server::Validate) -> Result<ExitStatus> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => Project::open("")?.map_or_else(|| CONFIGURATION.into(), |project| project.configuration()),
    };
    let file = path.display().to_string();
    let values = context.environment.values(&arguments.variables)?;
    let read = configuration::read(&path, &theme::registry(context)?, &values, context.printer);
    let valid = read.as_ref().is_ok_and(|source| {
        // An export keeps what its server has; any other file asks for what it says.
        source.configuration.managed_defaults || source.configuration.broken_rules.is_empty()
    });
    let verdict = json!({"type": "validated", "file": file, "valid": valid});
    context.printer.message(&verdict);
    let configuration = read?.configuration;
    report_broken_rules(context, &configuration);
    if !valid {
        let failure = Failure::new(format!("{file} has values that Discord does not accept"));
        return Err(failure.help("correct the values that are named above"));
    }
    context
        .printer
        .text(&format!("{file} is valid: {}.\n", contents(&configuration)));
    Ok(ExitStatus::Success)
}

/// Values that Discord does not accept when they are sent.
fn report_broken_rules(context: &Context, configuration: &Configuration) {
    let severity = if configuration.managed_defaults {
        Severity::Warning
    } else {
        Severity::Error
    };
    let mut reported = BTreeSet::new();
    for rule in &configuration.broken_rules {
        let place = rule
            .origin
            .as_ref()
            .map(|origin| format!("{}:{}:{}: ", origin.file, origin.line, origin.column));
        let message = format!("{}{}: {}", place.unwrap_or_default(), rule.address, rule.reason);
        if reported.insert(message.clone()) {
            context.printer.diagnostic(severity, &message, None);
        }
    }
}

/// `15 roles, 9 categories, 23 channels`; kinds of which there is nothing are left out, but for these three.
fn contents(configuration: &Configuration) -> String {
    let counts = Kind::ALL
        .iter()
        .map(|kind| (*kind, configuration.of_kind(*kind).count()));
    let always = [Kind::Role, Kind::Category, Kind::Channel];
    let parts = counts
        .filter(|(kind, count)| *kind != Kind::Server && (*count > 0 || always.contains(kind)))
        .map(|(kind, count)| counted(count, kind.words()));
    parts.collect::<Vec<_>>().join(", ")
}
