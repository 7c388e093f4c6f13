//! `gaib server import`: what is there becomes managed. The server is not touched.

use arrakis_iac::export::ExportDetail;
use arrakis_iac::import::{self, ImportError};
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Configuration, Snowflake};
use arrakis_iac::plan::Mode;
use arrakis_iac::state::State;
use arrakis_iac::words::counted;
use serde_json::json;

use crate::arguments::server;
use crate::commands::export::Exported;
use crate::commands::{Context, export, plan as planning, theme};
use crate::configuration;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::images::Naming;
use crate::ownership;
use crate::printer::Severity;
use crate::project::{self, CONFIGURATION, Project};
use crate::session::{Workspace, connect_quietly};

pub(super) async fn run(context: &Context, arguments: &server::Import) -> Result<ExitStatus> {
    let sources = &arguments.sources;
    let workspace = planning::workspace_of(context, sources).await?;
    let mut guard = workspace.lock(context, "import").await?;
    // Everything is taken in again where the state is gone; one resource of many is no new beginning.
    let mut state = match (workspace.state().await?, arguments.all) {
        (None, true) => State::new(uuid::Uuid::new_v4().to_string()),
        _ => workspace.state_or_new(context).await?,
    };
    planning::check_ids(&state)?;
    let guild = workspace.guild(sources.guild.guild.as_deref(), context, Some(&state))?;
    if let Some(of) = state.guild_id.filter(|of| *of != guild) {
        return Err(Failure::new(format!("the state is of server {of}, not of {guild}"))
            .help("use another workspace for this server"));
    }
    let claim = ownership::claim(context, &workspace, guild, &state, "import")?;
    let discord = connect_quietly(context, guild)?;
    let live = export::read_everything(context, &discord, guild).await?;
    let outcome = match (&arguments.address, &arguments.id) {
        (Some(address), Some(id)) => one(context, &workspace, sources, (address, id), &mut state, &live),
        _ => all(context, &workspace, sources, &mut state, &live).await,
    };
    let changed = outcome?;
    if changed {
        guard.write(&state.advance()).await.map_err(Failure::of_store)?;
        claim.record(context, &workspace, &state);
    }
    guard.release().await.map_err(Failure::of_store)?;
    Ok(ExitStatus::Success)
}

fn one(
    context: &Context,
    workspace: &Workspace,
    sources: &server::Sources,
    (address, id): (&str, &str),
    state: &mut State,
    live: &LiveServer,
) -> Result<bool> {
    let address = planning::address(address)?;
    let id = Snowflake::written(id).map_err(|error| {
        Failure::new(error).help("copy it in Discord: right-click the role, channel, …, Copy ID (Developer Mode)")
    })?;
    // One resource can be taken in before it is in the configuration.
    let configuration = planning::sources(context, workspace, sources, Mode::Apply)
        .ok()
        .map(|source| source.configuration);
    import::import(&address, id, configuration.as_ref(), state, live).map_err(|error| refused(&error))?;
    context
        .printer
        .message(&json!({"type": "imported", "address": address, "id": id}));
    context.printer.text(&format!("Imported {address} (id {id}).\n"));
    if configuration.is_some_and(|configuration| configuration.get(&address).is_none()) {
        context.printer.note(&format!(
            "{address} is not in the configuration: the next apply would remove it. Write it there first; \
             `gaib server export` prints it as YAML."
        ));
    }
    Ok(true)
}

fn refused(error: &ImportError) -> Failure {
    let help = match error {
        ImportError::NotThere { .. } => {
            "look whether kind and id fit: `gaib server export --include-unmanaged` lists what there is"
        }
        ImportError::Unreadable { .. } => "use a newer gaib",
        ImportError::OfAnApplication(_) => "refer to it by id where you need it, as in `role:ID`",
        ImportError::State(_) => {
            "`gaib server state show ADDRESS` shows what is managed; `state rm` forgets it, `state mv` renames it"
        }
    };
    Failure::new(error).help(help)
}

async fn all(
    context: &Context,
    workspace: &Workspace,
    sources: &server::Sources,
    state: &mut State,
    live: &LiveServer,
) -> Result<bool> {
    let printer = context.printer;
    let configuration = configuration_or_export(context, workspace, sources, state, live).await?;
    let found = import::matches(&configuration, state, live);
    let mut imported = 0;
    for (address, id) in &found.found {
        // One odd resource does not keep the others out.
        if let Err(error) = import::import(address, *id, Some(&configuration), state, live) {
            printer.diagnostic(Severity::Warning, &format!("{address} was not imported: {error}"), None);
            continue;
        }
        imported += 1;
        printer.message(&json!({"type": "imported", "address": address, "id": id}));
        printer.text(&format!("Imported {address} (id {id}).\n"));
    }
    export::warn_of_unknown(context, live);
    warn_of_broken_rules(context, &configuration);
    for address in &found.missing {
        printer.message(&json!({"type": "not_found", "address": address}));
        printer.note(&format!(
            "{address}: the server has none of this name, or several; the next apply would create it."
        ));
    }
    if !found.left.is_empty() {
        printer.note(&format!(
            "Not in the configuration, and so not managed: {} on the server.",
            counted(found.left.len(), "resource")
        ));
    }
    printer.text(&format!("{imported} imported, {} managed.\n", state.resources.len()));
    Ok(imported > 0)
}

/// Values that the server has and that Discord would not take again.
fn warn_of_broken_rules(context: &Context, configuration: &Configuration) {
    for rule in &configuration.broken_rules {
        let reason = format!(
            "{}: {}; it is kept as it is, but could not be changed to this",
            rule.address, rule.reason
        );
        context.printer.diagnostic(Severity::Warning, &reason, None);
    }
}

/// What is configured; where nothing is, the whole server is written down first.
async fn configuration_or_export(
    context: &Context,
    workspace: &Workspace,
    sources: &server::Sources,
    state: &State,
    live: &LiveServer,
) -> Result<Configuration> {
    let path = sources
        .file
        .clone()
        .or_else(|| workspace.project.as_ref().map(Project::configuration));
    let path = path.unwrap_or_else(|| CONFIGURATION.into());
    if path.exists() {
        let source = planning::sources(context, workspace, sources, Mode::Apply)?;
        if !source.configuration.resources.is_empty() {
            return Ok(source.configuration);
        }
    }
    let mut exported = Exported::of(live, state, true, ExportDetail::Readable);
    let images = export::images(context, workspace, &path, Naming::Addresses, false)?;
    exported.with_images(context, &images, live, state).await?;
    project::write(&path, exported.text().as_bytes())?;
    context.printer.note(&format!(
        "The configuration was empty: wrote the server to {}.",
        path.display()
    ));
    let values = context.environment.values(&sources.variables)?;
    Ok(configuration::read(&path, &theme::registry(context)?, &values, context.printer)?.configuration)
}
