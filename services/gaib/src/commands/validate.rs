//! `gaib server validate`: the configuration alone, without token, network or state.

use arrakis_iac::model::{Configuration, Kind};
use serde_json::json;

use crate::arguments::server;
use crate::commands::{Context, theme};
use crate::configuration;
use crate::error::Result;
use crate::exit::ExitStatus;
use crate::project::{CONFIGURATION, Project};

pub(super) fn run(context: &Context, arguments: &server::Validate) -> Result<ExitStatus> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => Project::open("")?.map_or_else(|| CONFIGURATION.into(), |project| project.configuration()),
    };
    let file = path.display().to_string();
    let values = context.environment.values(&arguments.variables)?;
    let read = configuration::read(&path, &theme::registry(context)?, &values, context.printer);
    let verdict = json!({"type": "validated", "file": file, "valid": read.is_ok()});
    context.printer.message(&verdict);
    let configuration = read?.configuration;
    context
        .printer
        .text(&format!("{file} is valid: {}.\n", contents(&configuration)));
    Ok(ExitStatus::Success)
}

/// `15 roles, 9 categories, 23 channels`; kinds of which there is nothing are left out, but for these three.
fn contents(configuration: &Configuration) -> String {
    let counted = Kind::ALL
        .iter()
        .map(|kind| (*kind, configuration.of_kind(*kind).count()));
    let always = [Kind::Role, Kind::Category, Kind::Channel];
    let parts = counted
        .filter(|(kind, count)| *kind != Kind::Server && (*count > 0 || always.contains(kind)))
        .map(|(kind, count)| format!("{count} {}", plural(kind, count)));
    parts.collect::<Vec<_>>().join(", ")
}

fn plural(kind: Kind, count: usize) -> String {
    let word = kind.words();
    match (count, word.strip_suffix('y')) {
        (1, _) => word.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{word}s"),
    }
}
