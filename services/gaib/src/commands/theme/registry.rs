//! `gaib server theme registry / history`: the deployments of themes to a server.

use arrakis_iac::grammar::counted;
use arrakis_vault::{Deployment, ThemeRegistry};
use serde_json::json;

use crate::arguments::theme::{History, Registry};
use crate::backups::{Backups, time_text};
use crate::commands::backup::one_line;
use crate::commands::deployment::deployment_message;
use crate::context::Context;
use crate::error::Result;
use crate::table::table;

/// Number of deployments that `registry` shows.
const RECENT: usize = 5;

/// The current theme, and the last deployments.
pub(super) async fn show(context: &Context, arguments: &Registry) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let (vault, server) = (&backups.vault, backups.server());
    let registry = match arguments.rebuild {
        true => vault.rebuild_theme_registry(server).await?,
        false => vault.theme_registry(server).await?,
    };
    let count = counted(registry.deployments.len(), "deployment");
    if arguments.rebuild {
        context.printer.note(&format!(
            "Made the theme registry again from the audit objects of {count}."
        ));
    }
    let guild = backups.guild;
    context.printer.text(&match registry.current() {
        Some(current) => format!(
            "Theme of server {guild}: {} {}, since {} ({count}).\n\n",
            current.theme.name,
            current.theme.version,
            time_text(current.time)
        ),
        None if registry.deployments.is_empty() => String::new(),
        None => format!("Server {guild} has no theme: the last deployment is a destroy ({count}).\n\n"),
    });
    let listed = list(context, &backups, &registry, RECENT);
    summarize(context, &registry, listed);
    Ok(())
}

/// All deployments that the plan of the server shows.
pub(super) async fn history(context: &Context, arguments: &History) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let registry = backups.vault.theme_registry(backups.server()).await?;
    let of_plan = backups.vault.theme_history(backups.server()).await?;
    let limit = usize::from(arguments.limit);
    let listed = list(context, &backups, &registry, limit.min(of_plan));
    let total = registry.deployments.len();
    if listed < total {
        context.printer.note(&match listed == of_plan {
            true => format!(
                "The plan of the server shows {listed} of {}.",
                counted(total, "deployment")
            ),
            false => format!("There are {total}; --limit NUMBER lists more."),
        });
    }
    summarize(context, &registry, listed);
    Ok(())
}

/// Prints the newest deployments. Returns how many.
fn list(context: &Context, backups: &Backups, registry: &ThemeRegistry, limit: usize) -> usize {
    let printer = context.printer;
    if registry.deployments.is_empty() {
        printer.note(&format!(
            "No theme was deployed to server {} yet; an apply of a configuration with a theme is a deployment.",
            backups.guild
        ));
        return 0;
    }
    let current = registry.current().map(|current| current.id);
    let shown: Vec<&Deployment> = registry.history(limit).collect();
    for deployment in &shown {
        let mut message = deployment_message(deployment, Some(deployment.id) == current);
        message["signed"] = deployment.signature.is_some().into();
        printer.message(&message);
    }
    let unsigned = shown.iter().filter(|deployment| deployment.signature.is_none()).count();
    if unsigned > 0 {
        printer.note(&format!(
            "{} without a signature: recorded by an earlier gaib, or the signature was removed.",
            counted(unsigned, "deployment")
        ));
    }
    let rows: Vec<[String; 8]> = shown.iter().map(|deployment| row(deployment)).collect();
    let heading = [
        "TIME", "ACTION", "THEME", "VERSION", "SERIAL", "ID", "SNAPSHOT", "MESSAGE",
    ];
    printer.text(&table(heading, &rows));
    shown.len()
}

fn summarize(context: &Context, registry: &ThemeRegistry, listed: usize) {
    let current = registry.current();
    context.printer.message(&json!({
        "type": "registry_summary", "current": current.map(|current| current.id),
        "theme": current.map(|current| &current.theme.name), "version": current.map(|current| &current.theme.version),
        "listed": listed, "deployments": registry.deployments.len(),
    }));
}

fn row(deployment: &Deployment) -> [String; 8] {
    let none = || "-".to_owned();
    [
        time_text(deployment.time),
        deployment.action.as_str().to_owned(),
        deployment.theme.name.clone(),
        deployment.theme.version.clone(),
        deployment.serial.to_string(),
        deployment.id.to_string(),
        deployment.snapshot.map_or_else(none, |id| id.to_string()),
        one_line(deployment.message.as_deref().unwrap_or_default()),
    ]
}
