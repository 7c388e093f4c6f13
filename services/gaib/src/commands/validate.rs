//! `gaib server validate`: the configuration alone, without token, network or state.

use std::collections::BTreeSet;

use arrakis_iac::model::{Address, Configuration, Kind, Origin, Resource};
use arrakis_iac::words::counted;
use arrakis_iac_apply::{ImageFolder, ImageSource as _, check_image};
use serde_json::json;

use crate::arguments::server;
use crate::commands::{Context, theme};
use crate::configuration::{self, Source};
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
    let images = read.as_ref().map(unusable_images).unwrap_or_default();
    let valid = read.as_ref().is_ok_and(|source| {
        // An export keeps what its server has; any other file asks for what it says.
        source.configuration.managed_defaults || (source.configuration.broken_rules.is_empty() && images.is_empty())
    });
    let verdict = json!({"type": "validated", "file": file, "valid": valid});
    context.printer.message(&verdict);
    let configuration = read?.configuration;
    report_broken_rules(context, &configuration);
    report_images(context, &configuration, &images);
    if !valid {
        let failure = Failure::new(format!("{file} has values that Discord does not accept"));
        return Err(failure.help("correct the values that are named above"));
    }
    context
        .printer
        .text(&format!("{file} is valid: {}.\n", contents(&configuration)));
    Ok(ExitStatus::Success)
}

/// Files that Discord would refuse if they were sent, each with its place.
fn unusable_images(source: &Source) -> Vec<String> {
    let pictures = ImageFolder(source.folder.clone());
    let problem = |(address, resource): (&Address, &Resource)| {
        let image = resource.attributes.image()?;
        let bytes = pictures.bytes(image);
        let usable =
            bytes.and_then(|bytes| check_image(address.kind(), &bytes).map_err(|why| format!("{}: {why}", image.path)));
        let why = usable.err()?;
        Some(format!(
            "{}the image of {address}: {why}",
            place(resource.origin.as_ref())
        ))
    };
    source.configuration.resources.iter().filter_map(problem).collect()
}

fn place(origin: Option<&Origin>) -> String {
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

/// Images that cannot be uploaded, and emoji that have none: whether they are there already, only the server tells.
fn report_images(context: &Context, configuration: &Configuration, unusable: &[String]) {
    let paths = "paths are relative to the configuration's folder; a resource that exists needs no image";
    for message in unusable {
        context
            .printer
            .diagnostic(severity(configuration), message, Some(paths));
    }
    let without: Vec<String> = configuration
        .resources
        .iter()
        .filter(|(address, resource)| address.kind() == Kind::Emoji && resource.attributes.image().is_none())
        .map(|(address, resource)| format!("{}{address}", place(resource.origin.as_ref())))
        .collect();
    if !without.is_empty() {
        let message = format!(
            "{} without an image, which is right only for emoji that exist and are managed: {}",
            counted(without.len(), Kind::Emoji.noun()),
            without.join(", ")
        );
        let help = "write `image: FILE` under each that a server is to get; `gaib server plan` tells which";
        context.printer.diagnostic(Severity::Warning, &message, Some(help));
    }
}

/// Values that Discord does not accept when they are sent.
fn report_broken_rules(context: &Context, configuration: &Configuration) {
    let severity = severity(configuration);
    let mut reported = BTreeSet::new();
    for rule in &configuration.broken_rules {
        let message = format!("{}{}: {}", place(rule.origin.as_ref()), rule.address, rule.reason);
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
        .map(|(kind, count)| counted(count, kind.noun()));
    parts.collect::<Vec<_>>().join(", ")
}
