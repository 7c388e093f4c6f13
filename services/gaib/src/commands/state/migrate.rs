//! `gaib server state migrate`: moves the states of all workspaces to another backend.
//!
//! Running it twice is safe: a state that the target has already is not written again, and nothing of the source is renamed before
//! every state was read back from the target and `.gaib/config.yaml` names it.

use std::path::Path;

use arrakis_iac::grammar::counted;
use arrakis_iac::state::{PushError, State, check_push};
use arrakis_iac_apply::store::{SetAside, StateLock, StoreError, WorkspaceName};
use serde_json::json;

use crate::arguments::state::Migrate;
use crate::backend::{BackendSettings, StateStore};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::project::{Project, store_folder};
use crate::workspace::{Workspace, host, release_after};
use crate::workspace_state;

const OPERATION: &str = "state migrate";

pub(super) async fn run(context: &Context, arguments: &Migrate) -> Result<()> {
    let mut project = Project::required()?;
    let settings = target(arguments)?;
    refuse_environment(context, &project)?;
    if settings == *project.backend() {
        context.printer.note(&format!("The states are in {settings} already."));
        return Ok(());
    }
    let source = Workspace::open(context, Some(WorkspaceName::default().as_str()), true).await?;
    let here = Path::new("");
    let aws = context.environment.aws()?;
    let store = StateStore::open(&settings, &aws, here, store_folder(here), &host()).await?;
    if !arguments.auto_approve {
        let question = format!(
            "Move the states of all workspaces from {} to {settings}? Every other copy of this folder needs the new .gaib/config.yaml \
             before its next command.",
            project.backend()
        );
        context
            .prompt
            .confirm(&question, "add --auto-approve to skip the confirmation")
            .await?;
    }
    let mut moves = Vec::new();
    let mut result = Migration {
        context,
        source: &source,
        target: &source.with_backend(store),
    }
    .run(&mut moves, &mut project, settings)
    .await;
    for one in moves {
        result = release_after(one.from, result).await;
        if let Some(to) = one.to {
            result = release_after(to, result).await;
        }
    }
    result
}

/// The backend that the arguments name.
fn target(arguments: &Migrate) -> Result<BackendSettings> {
    let mut settings: BackendSettings = arguments
        .to
        .parse()
        .map_err(|reason: String| Failure::new(format!("--to: {reason}")).help("for example --to s3://BUCKET/gaib"))?;
    match &mut settings {
        BackendSettings::S3(s3) => {
            s3.region.clone_from(&arguments.region);
            s3.lock_table.clone_from(&arguments.lock_table);
        }
        _ if arguments.region.is_some() || arguments.lock_table.is_some() => {
            return Err(Failure::new("--region and --lock-table are for s3://BUCKET/PREFIX").help("remove them"));
        }
        _ => {}
    }
    Ok(settings)
}

/// Refuses a backend of the environment, which would stay the one that commands use.
fn refuse_environment(context: &Context, project: &Project) -> Result<()> {
    match context.environment.backend(project.backend().clone())? == *project.backend() {
        true => Ok(()),
        false => Err(
            Failure::new("GAIB_BACKEND or GAIB_LOCK_TABLE overrides the backend of .gaib/config.yaml")
                .help("unset them, and migrate the backend that .gaib/config.yaml names"),
        ),
    }
}

/// One workspace that is moved, with its locks.
struct Move {
    source: Workspace,
    target: Workspace,
    from: Box<dyn StateLock>,
    to: Option<Box<dyn StateLock>>,
    /// The state; `None` where the source has none.
    state: Option<State>,
}

struct Migration<'a> {
    context: &'a Context,
    /// The workspace `default` in the present backend, and in the new one.
    source: &'a Workspace,
    target: &'a Workspace,
}

impl Migration<'_> {
    /// Takes the locks, which stay in `moves`, copies every state, and switches the backend.
    async fn run(self, moves: &mut Vec<Move>, project: &mut Project, settings: BackendSettings) -> Result<()> {
        for name in self.source.backend.workspaces().await? {
            self.lock(moves, name).await?;
        }
        for one in moves.iter_mut() {
            self.copy(one).await?;
        }
        for one in moves.iter() {
            self.own(one).await?;
        }
        let (from, to) = (project.backend().to_string(), settings.to_string());
        project.set_backend(settings);
        project.save()?;
        for one in moves.iter_mut() {
            self.set_aside(one).await?;
        }
        self.context
            .printer
            .message(&json!({"type": "backend_changed", "from": from, "to": to}));
        self.context
            .printer
            .text(&format!("The states are in {to} now, as .gaib/config.yaml records.\n"));
        Ok(())
    }

    async fn lock(&self, moves: &mut Vec<Move>, name: WorkspaceName) -> Result<()> {
        let source = self.source.with_name(name.clone());
        let target = self.target.with_name(name.clone());
        let from = source.lock(self.context, OPERATION).await?;
        moves.push(Move {
            source,
            target: target.clone(),
            from,
            to: None,
            state: None,
        });
        if name != WorkspaceName::default() {
            match target.backend.create_workspace(&name).await {
                Ok(()) | Err(StoreError::WorkspaceExists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let to = target.lock(self.context, OPERATION).await?;
        if let Some(one) = moves.last_mut() {
            one.to = Some(to);
        }
        Ok(())
    }

    /// Copies the state with its backup, and compares what the target returns.
    async fn copy(&self, one: &mut Move) -> Result<()> {
        let name = one.source.name.clone();
        let Some(state) = workspace_state::read(&one.source).await? else {
            return workspace_state::refuse_missing(self.context, &one.source).await;
        };
        let present = workspace_state::read(&one.target).await?;
        check_push(present.as_ref(), &state).map_err(|error| refused(&one.target, &error))?;
        if present.as_ref() != Some(&state) {
            if present.is_none()
                && let Some(previous) = one.source.backend.read_previous(&name).await?
            {
                // The first write of the next lock keeps it as the backup.
                self.write(one, &previous).await?;
                self.renew_lock(one).await?;
            }
            self.write(one, &state.to_bytes()).await?;
        }
        if workspace_state::read(&one.target).await?.as_ref() != Some(&state) {
            return Err(Failure::new(format!(
                "{} does not contain the state that was written to it",
                one.target.backend.describe(&name)
            ))
            .help("check the store; the states stay where they are, and .gaib/config.yaml did not change"));
        }
        one.state = Some(state);
        Ok(())
    }

    async fn write(&self, one: &mut Move, bytes: &[u8]) -> Result<()> {
        match &mut one.to {
            Some(to) => Ok(to.write(bytes).await?),
            None => Err(Failure::new(format!("workspace {} is not locked", one.target.name))),
        }
    }

    async fn renew_lock(&self, one: &mut Move) -> Result<()> {
        if let Some(to) = one.to.take() {
            to.release().await?;
        }
        one.to = Some(one.target.lock(self.context, OPERATION).await?);
        Ok(())
    }

    /// Writes the markers of the server for the state in the target. While `.gaib/config.yaml` names the source, the former marker can
    /// be read.
    async fn own(&self, one: &Move) -> Result<()> {
        let Some(state) = &one.state else { return Ok(()) };
        let Some(guild) = state.guild_id.filter(|guild| state.manages(*guild)) else {
            return Ok(());
        };
        let record = one.from.record();
        let ownership = ownership::lock(self.context, &one.target, guild, state, record).await?;
        let written = ownership.write_marker(self.context, &one.target, state).await;
        ownership.unlock(written).await?;
        let former = one.source.state_file();
        ownership::release(self.context, &one.source, &[guild.get()], &former, record).await
    }

    /// Renames the former state.
    async fn set_aside(&self, one: &mut Move) -> Result<()> {
        let Some(state) = &one.state else { return Ok(()) };
        let printer = self.context.printer;
        let name = &one.source.name;
        let former = one.from.set_aside(SetAside::Migrated).await?;
        printer.message(&json!({
            "type": "migrated", "workspace": name.as_str(), "state": one.target.backend.describe(name),
            "serial": state.serial, "lineage": state.lineage, "former": former,
        }));
        printer.text(&format!(
            "Moved workspace {name} to {} ({}, serial {}).\n",
            one.target.backend.describe(name),
            counted(state.resources.len(), "resource"),
            state.serial
        ));
        if let Some(former) = former {
            printer.note(&format!("Renamed the former state to {former}."));
        }
        Ok(())
    }
}

fn refused(target: &Workspace, error: &PushError) -> Failure {
    let state = target.backend.describe(&target.name);
    let summary = format!(
        "workspace {} was not moved: {state} has another state: {error}",
        target.name
    );
    Failure::new(summary).help(match error {
        PushError::Lineage { .. } | PushError::Guild { .. } => {
            "name another prefix; or, to use the state that is there, name it in `backend` of .gaib/config.yaml"
        }
        PushError::Older { .. } | PushError::Differs(_) => {
            "the state there is newer: to use it, name it in `backend` of .gaib/config.yaml"
        }
    })
}
