//! `gaib server import`: adds existing resources of the server to the state. The server does not change.

use arrakis_iac::export::ExportDetail;
use arrakis_iac::grammar::counted;
use arrakis_iac::import::{self, ImportError};
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Configuration, Snowflake};
use arrakis_iac::plan::Mode;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::StateLock;
use serde_json::json;

use crate::arguments::server;
use crate::commands::export::ServerExport;
use crate::commands::{export, plan as planning};
use crate::configuration;
use crate::connection::connect_silently;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::files;
use crate::images::ImageNames;
use crate::ownership;
use crate::printer::Severity;
use crate::settings::guild_option;
use crate::workspace::{Workspace, release_after, shell_quoted};
use crate::workspace_state;

pub(super) async fn run(context: &Context, arguments: &server::Import) -> Result<ExitStatus> {
    let workspace = planning::open_workspace(context, &arguments.configuration).await?;
    let mut guard = workspace.lock(context, "import").await?;
    let result = under_lock(context, arguments, &workspace, &mut *guard).await;
    release_after(guard, result).await?;
    if arguments.all {
        let file = arguments.configuration.file.as_deref();
        let file = file.map(|file| format!(" --file {}", shell_quoted(file)));
        context.printer.note(&format!(
            "Next: {} plan{}{}",
            workspace.server_command(),
            file.unwrap_or_default(),
            workspace.workspace_option()
        ));
    }
    Ok(ExitStatus::Success)
}

async fn under_lock(
    context: &Context,
    arguments: &server::Import,
    workspace: &Workspace,
    guard: &mut dyn StateLock,
) -> Result<()> {
    // `--all` replaces a missing state; the import of one resource does not.
    let state = match (workspace_state::read(workspace).await?, arguments.all) {
        (None, true) => workspace_state::empty(),
        _ => workspace_state::read_or_empty(context, workspace).await?,
    };
    planning::check_ids(&state)?;
    let option = guild_option(&arguments.configuration.guild)?;
    let guild = ownership::required_guild(context, workspace, option, &state).await?;
    if let Some(of) = state.guild_id.filter(|of| *of != guild) {
        return Err(
            Failure::new(format!("the state belongs to server {of}, not to {guild}"))
                .help("use another workspace for this server"),
        );
    }
    let ownership = ownership::acquire(context, workspace, guild, &state, guard.record()).await?;
    let mut result = as_owner(context, arguments, workspace, guard, guild, state).await;
    if let Ok(Some(state)) = &result
        && let Err(failure) = ownership.write_marker(context, workspace, state).await
    {
        result = Err(failure);
    }
    ownership.unlock(result.map(drop)).await
}

/// Imports, while no other operation changes the server. Returns the state where it has changed.
async fn as_owner(
    context: &Context,
    arguments: &server::Import,
    workspace: &Workspace,
    guard: &mut dyn StateLock,
    guild: Snowflake,
    mut state: State,
) -> Result<Option<State>> {
    let discord = connect_silently(context, guild)?;
    let live = export::read_everything(context, &discord, guild).await?;
    let import = Import {
        context,
        workspace,
        arguments: &arguments.configuration,
        live: &live,
    };
    let changed = match (&arguments.address, &arguments.id) {
        (Some(address), Some(id)) => import.one(address, id, &mut state)?,
        _ => import.all(&mut state).await?,
    };
    if !changed {
        return Ok(None);
    }
    guard.write(&state.advance()).await?;
    Ok(Some(state))
}

/// An import, without the state that it changes.
struct Import<'a> {
    context: &'a Context,
    workspace: &'a Workspace,
    arguments: &'a server::ConfigurationArguments,
    live: &'a LiveServer,
}

impl Import<'_> {
    /// Imports one resource by its id. Returns whether the state changed.
    fn one(&self, address: &str, id: &str, state: &mut State) -> Result<bool> {
        let printer = self.context.printer;
        let address = planning::address(address)?;
        let id = Snowflake::written(id).map_err(|error| {
            Failure::new(error).help("copy it in Discord: right-click the role, channel, …, Copy ID (Developer Mode)")
        })?;
        // A resource can be imported before it is configured.
        let loaded = configuration::for_mode(self.context, self.workspace, self.arguments, Mode::Apply).ok();
        let configuration = loaded.map(|loaded| loaded.configuration);
        import::import(&address, id, configuration.as_ref(), state, self.live).map_err(|error| refused(&error))?;
        printer.message(&json!({"type": "imported", "address": address, "id": id}));
        printer.text(&format!("Imported {address} (id {id}).\n"));
        if configuration.is_some_and(|configuration| configuration.get(&address).is_none()) {
            printer.note(&format!(
                "{address} is not in the configuration: the next apply would delete it. Add it to the configuration first; \
                 `gaib server export` prints it as YAML."
            ));
        }
        Ok(true)
    }

    /// Imports every configured resource that the server has. Returns whether the state changed.
    async fn all(&self, state: &mut State) -> Result<bool> {
        let printer = self.context.printer;
        let configuration = self.configuration_or_export(state).await?;
        let found = import::matches(&configuration, state, self.live);
        let mut imported = 0;
        for (address, id) in &found.found {
            // A resource that cannot be imported does not prevent the others.
            if let Err(error) = import::import(address, *id, Some(&configuration), state, self.live) {
                printer.diagnostic(Severity::Warning, &format!("{address} was not imported: {error}"), None);
                continue;
            }
            imported += 1;
            printer.message(&json!({"type": "imported", "address": address, "id": id}));
            printer.text(&format!("Imported {address} (id {id}).\n"));
        }
        export::warn_of_unknown(self.context, self.live);
        self.warn_of_broken_rules(&configuration);
        for address in &found.missing {
            printer.message(&json!({"type": "not_found", "address": address}));
            printer.note(&format!(
                "{address}: the server has no resource with this name, or several; the next apply would create it."
            ));
        }
        if !found.left.is_empty() {
            printer.note(&format!(
                "Not in the configuration, and therefore not managed: {} of the server.",
                counted(found.left.len(), "resource")
            ));
        }
        printer.text(&format!("{imported} imported, {} managed.\n", state.resources.len()));
        Ok(imported > 0)
    }

    /// Warns of values of the server that Discord would not accept again.
    fn warn_of_broken_rules(&self, configuration: &Configuration) {
        for rule in &configuration.broken_rules {
            let summary = format!(
                "{}: {}; the server keeps this value, but Discord would not accept it again",
                rule.address, rule.reason
            );
            self.context.printer.diagnostic(Severity::Warning, &summary, None);
        }
    }

    /// The configuration. An empty one is first replaced by an export of the whole server.
    async fn configuration_or_export(&self, state: &State) -> Result<Configuration> {
        let path = configuration::path(self.workspace.project.as_ref(), self.arguments.file.as_deref());
        if path.exists() {
            let loaded = configuration::read(self.context, &path, &self.arguments.variables)?;
            if !loaded.configuration.resources.is_empty() {
                return Ok(loaded.configuration);
            }
        }
        let mut export = ServerExport::new(self.live, state, true, ExportDetail::Readable);
        let images = export::images(self.context, self.workspace, &path, ImageNames::ByAddress, false)?;
        export.with_images(self.context, &images, self.live, state).await?;
        files::write(&path, export.text().as_bytes())?;
        self.context.printer.note(&format!(
            "The configuration was empty: wrote the server to {}.",
            path.display()
        ));
        let loaded = configuration::read(self.context, &path, &self.arguments.variables)?;
        Ok(loaded.configuration)
    }
}

fn refused(error: &ImportError) -> Failure {
    let help = match error {
        ImportError::NotThere { .. } => {
            "check kind and id: `gaib server export --include-unmanaged` lists all resources of the server"
        }
        ImportError::Unreadable { .. } => "use a newer gaib",
        ImportError::OfAnApplication(_) => "refer to it by its id, for example `role:ID`",
        ImportError::State(_) => {
            "`gaib server state show ADDRESS` shows a managed resource; `state rm` removes it from the state, `state mv` renames it"
        }
    };
    Failure::new(error).help(help)
}
