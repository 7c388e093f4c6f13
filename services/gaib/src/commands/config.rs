//! `gaib server config show`: what a configuration resolves to, without token, network access and state.

use arrakis_iac::export;
use arrakis_iac::model::{Configuration, Defaults};
use serde_json::{Value, json};

use crate::arguments::config::{ConfigCommand, Show};
use crate::configuration;
use crate::context::Context;
use crate::error::Result;
use crate::exit::ExitStatus;
use crate::project::Project;

pub(super) fn run(context: &Context, command: &ConfigCommand) -> Result<ExitStatus> {
    match command {
        ConfigCommand::Show(arguments) => show(context, arguments),
    }
}

fn show(context: &Context, arguments: &Show) -> Result<ExitStatus> {
    let project = match &arguments.file {
        Some(_) => None,
        None => Project::open("")?,
    };
    let path = configuration::path(project.as_ref(), arguments.file.as_deref());
    let configuration = configuration::read(context, &path, &arguments.variables)?.configuration;
    let file = path.display().to_string();
    context.printer.message(&message(&file, &configuration));
    let comment =
        format!("{file} with its theme, variables and flags replaced by their values (`gaib server config show`).");
    context.printer.text(&export::to_yaml(&configuration, &comment));
    Ok(ExitStatus::Success)
}

/// The configuration as a message. Resources are a list, since their order has a meaning.
fn message(file: &str, configuration: &Configuration) -> Value {
    let defaults = match configuration.managed_defaults {
        true => Defaults::Managed,
        false => Defaults::Unmanaged,
    };
    let resources = configuration.resources.iter();
    let resources =
        resources.map(|(address, resource)| json!({"address": address, "attributes": resource.attributes.to_map()}));
    json!({
        "type": "configuration", "file": file, "theme": configuration.theme, "defaults": defaults,
        "resources": resources.collect::<Vec<_>>(), "digest": configuration.digest(),
    })
}
