//! `gaib server validate`: checks the configuration without token, network access and state.

use std::collections::BTreeSet;

use arrakis_iac::grammar::counted;
use arrakis_iac::model::{Address, Configuration, Kind, Origin, Resource};
use arrakis_iac_apply::{ImageFolder, ImageSource as _, check_image};
use serde_json::json;

use crate::arguments::server;
use crate::configuration::{self, LoadedConfiguration};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::printer::Severity;
use crate::project::Project;

pub(super) fn run(context: &Context, arguments: &server::Validate) -> Result<ExitStatus> {
    let project = match &arguments.file {
        Some(_) => None,
        None => Project::open("")?,
    };
    let path = configuration::path(project.as_ref(), arguments.file.as_deref());
    let file = path.display().to_string();
    let loaded = configuration::read(context, &path, &arguments.variables);
    let images = loaded.as_ref().map(unusable_images).unwrap_or_default();
    let valid = loaded.as_ref().is_ok_and(|loaded| {
        // An export contains values that its server has, so they are never sent.
        loaded.configuration.managed_defaults || (loaded.configuration.broken_rules.is_empty() && images.is_empty())
    });
    let verdict = json!({"type": "validated", "file": file, "valid": valid});
    context.printer.message(&verdict);
    let configuration = loaded?.configuration;
    report_broken_rules(context, &configuration);
    report_images(context, &configuration, &images);
    if !valid {
        let failure = Failure::new(format!("{file} has values that Discord does not accept"));
        return Err(failure.help("correct the values above"));
    }
    context
        .printer
        .text(&format!("{file} is valid: {}.\n", contents(&configuration)));
    Ok(ExitStatus::Success)
}

/// The image files that Discord would refuse, each with its line and column.
fn unusable_images(loaded: &LoadedConfiguration) -> Vec<String> {
    let folder = ImageFolder(loaded.folder.clone());
    let problem = |(address, resource): (&Address, &Resource)| {
        let image = resource.attributes.image()?;
        let bytes = folder.bytes(image);
        let usable = bytes.and_then(|bytes| {
            check_image(address.kind(), &bytes).map_err(|reason| format!("{}: {reason}", image.path))
        });
        let reason = usable.err()?;
        Some(format!(
            "{}the image of {address}: {reason}",
            location(resource.origin.as_ref())
        ))
    };
    loaded.configuration.resources.iter().filter_map(problem).collect()
}

fn location(origin: Option<&Origin>) -> String {
    origin.map_or_else(String::new, |origin| {
        format!("{}:{}:{}: ", origin.file, origin.line, origin.column)
    })
}

const fn severity(configuration: &Configuration) -> Severity {
    match configuration.managed_defaults {
        true => Severity::Warning,
        false => Severity::Error,
    }
}

/// Reports images that cannot be uploaded, and emoji without an image: whether those exist is known only with the server.
fn report_images(context: &Context, configuration: &Configuration, unusable: &[String]) {
    let help = "paths are relative to the folder of the configuration; an existing resource needs no image";
    for message in unusable {
        context.printer.diagnostic(severity(configuration), message, Some(help));
    }
    let without: Vec<String> = configuration
        .resources
        .iter()
        .filter(|(address, resource)| address.kind() == Kind::Emoji && resource.attributes.image().is_none())
        .map(|(address, resource)| format!("{}{address}", location(resource.origin.as_ref())))
        .collect();
    if !without.is_empty() {
        let message = format!(
            "{} without an image, which is valid only for emoji that exist and are managed: {}",
            counted(without.len(), Kind::Emoji.noun()),
            without.join(", ")
        );
        let help = "write `image: FILE` under each emoji that must be created; `gaib server plan` reports which";
        context.printer.diagnostic(Severity::Warning, &message, Some(help));
    }
}

/// Reports values that Discord does not accept.
fn report_broken_rules(context: &Context, configuration: &Configuration) {
    let severity = severity(configuration);
    let mut reported = BTreeSet::new();
    for rule in &configuration.broken_rules {
        let message = format!("{}{}: {}", location(rule.origin.as_ref()), rule.address, rule.reason);
        if reported.insert(message.clone()) {
            context.printer.diagnostic(severity, &message, None);
        }
    }
}

/// The number of resources by kind: `15 roles, 9 categories, 23 channels`. Only these three kinds appear with 0.
fn contents(configuration: &Configuration) -> String {
    let counts = Kind::ALL
        .iter()
        .map(|kind| (*kind, configuration.of_kind(*kind).count()));
    let always = [Kind::Role, Kind::Category, Kind::Channel];
    let parts = counts
        .filter(|(kind, count)| *kind != Kind::Server && (*count > 0 || always.contains(kind)))
        .map(|(kind, count)| counted(count, kind.noun()));
    parts.collect::<Vec<_>>().join(", ")
}
