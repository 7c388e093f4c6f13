//! `gaib server state migrate`: moves the states of all workspaces to another backend.
//!
//! Running it twice is safe: a state that the target has already is not written again, and nothing of the source is renamed before
//! every state was read back from the target and `.gaib/config.yaml` names it. A journal has what an interrupted migration left: the next
//! one releases its locks, and renames the former states where `.gaib/config.yaml` names the target already.

mod journal;

use std::path::Path;

use arrakis_iac::grammar::counted;
use arrakis_iac::state::{PushError, State, check_push};
use arrakis_iac_apply::store::{SetAside, StateLock, StoreError, WorkspaceName};
use serde_json::json;

use self::journal::Journal;
use crate::arguments::state::Migrate;
use crate::backend::{BackendSettings, StateStore};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::printer::Severity;
use crate::project::{Project, store_folder};
use crate::workspace::{Workspace, host, release_after};
use crate::workspace_state;

const OPERATION: &str = "state migrate";

pub(super) async fn run(context: &Context, arguments: &Migrate) -> Result<()> {
    let mut project = Project::required()?;
    let settings = target(arguments)?;
    refuse_environment(context, &project)?;
    if let Some(mut journal) = Journal::read()? {
        Box::pin(complete(context, &project, &mut journal, &settings)).await?;
        Journal::remove()?;
    }
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
    .run(&mut moves, &mut project, settings.clone())
    .await;
    for one in moves {
        result = release_after(one.from, result).await;
        if let Some(to) = one.to {
            result = release_after(to, result).await;
        }
    }
    // After an error the journal stays: the former states may still be to be renamed, and a lock that was not released is in it.
    result?;
    Journal::remove()
}

/// Releases the locks of an interrupted migration, which was to `settings` or to another backend. Where `.gaib/config.yaml` names the new
/// backend, also renames the former states.
async fn complete(
    context: &Context,
    project: &Project,
    journal: &mut Journal,
    settings: &BackendSettings,
) -> Result<()> {
    let (from, to) = (journal.from()?, journal.to()?);
    let workspace = Workspace::open(context, Some(WorkspaceName::default().as_str()), true).await?;
    let here = Path::new("");
    let aws = context.environment.aws()?;
    let former = StateStore::open(&from, &aws, here, store_folder(here), &host()).await?;
    journal.release_in_former(&former).await?;
    let released: Result<StateStore> = async {
        let new = StateStore::open(&to, &aws, here, store_folder(here), &host()).await?;
        journal.release_in_new(&new).await?;
        Ok(new)
    }
    .await;
    let new = match released {
        // It is neither used nor named by the command: a mistyped bucket, for example.
        Err(failure) if *project.backend() != to && *settings != to => {
            warn_of_locks(context, journal, &to, &failure);
            return Ok(());
        }
        released => released?,
    };
    if *project.backend() != to {
        return Ok(());
    }
    context.printer.note(&format!(
        "Completing the migration from {from} to {to} that was interrupted."
    ));
    let migration = Migration {
        context,
        source: &workspace.with_backend(former),
        target: &workspace.with_backend(new),
    };
    for name in migration.source.backend.workspaces().await? {
        let source = migration.source.with_name(name.clone());
        let mut one = Move {
            from: source.lock_as(context, journal.lock_in_former(&name)?).await?,
            source,
            target: migration.target.with_name(name),
            to: None,
            state: None,
        };
        let result = migration.set_aside_former(&mut one).await;
        release_after(one.from, result).await?;
    }
    migration.report(&from.to_string(), &to.to_string());
    Ok(())
}

/// Names the locks of an interrupted migration to another backend that cannot be released.
fn warn_of_locks(context: &Context, journal: &Journal, to: &BackendSettings, failure: &Failure) {
    let ids = journal.ids_in_new();
    if ids.is_empty() {
        return;
    }
    let summary = format!(
        "locks that an interrupted migration may have left in {to} were not released: {}",
        failure.summary()
    );
    let help = format!(
        "where that backend is used, `GAIB_BACKEND={to} gaib server force-unlock ID` removes them: {}",
        ids.join(", ")
    );
    context.printer.diagnostic(Severity::Warning, &summary, Some(&help));
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
        let mut journal = Journal::new(project.backend(), &settings);
        for name in self.source.backend.workspaces().await? {
            self.lock(moves, &mut journal, name).await?;
        }
        for one in moves.iter_mut() {
            self.copy_previous(one, &mut journal).await?;
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
        self.report(&from, &to);
        Ok(())
    }

    fn report(&self, from: &str, to: &str) {
        let printer = self.context.printer;
        printer.message(&json!({"type": "backend_changed", "from": from, "to": to}));
        printer.text(&format!("The states are in {to} now, as .gaib/config.yaml records.\n"));
    }

    async fn lock(&self, moves: &mut Vec<Move>, journal: &mut Journal, name: WorkspaceName) -> Result<()> {
        let source = self.source.with_name(name.clone());
        let target = self.target.with_name(name.clone());
        let from = source.lock_as(self.context, journal.lock_in_former(&name)?).await?;
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
        let to = target.lock_as(self.context, journal.lock_in_new(&name)?).await?;
        if let Some(one) = moves.last_mut() {
            one.to = Some(to);
        }
        Ok(())
    }

    /// Reads the state, and copies its backup where the target has no state.
    async fn copy_previous(&self, one: &mut Move, journal: &mut Journal) -> Result<()> {
        let name = one.source.name.clone();
        let Some(state) = workspace_state::read(&one.source).await? else {
            return workspace_state::refuse_missing(self.context, &one.source).await;
        };
        let present = workspace_state::read(&one.target).await?;
        check_push(present.as_ref(), &state).map_err(|error| refused(&one.target, &error))?;
        one.state = Some(state);
        if present.is_none()
            && let Some(previous) = one.source.backend.read_previous(&name).await?
        {
            // The first write of the next lock keeps it as the backup.
            self.write(one, &previous).await?;
            self.renew_lock(one, journal).await?;
        }
        Ok(())
    }

    /// Copies the state, and compares what the target returns.
    async fn copy(&self, one: &mut Move) -> Result<()> {
        let name = one.source.name.clone();
        let Some(state) = one.state.clone() else {
            return Ok(());
        };
        if workspace_state::read(&one.target).await?.as_ref() != Some(&state) {
            self.write(one, &state.to_bytes()).await?;
        }
        if workspace_state::read(&one.target).await?.as_ref() != Some(&state) {
            return Err(Failure::new(format!(
                "{} does not contain the state that was written to it",
                one.target.backend.describe(&name)
            ))
            .help("check the store; the states stay where they are, and .gaib/config.yaml did not change"));
        }
        Ok(())
    }

    async fn write(&self, one: &mut Move, bytes: &[u8]) -> Result<()> {
        match &mut one.to {
            Some(to) => Ok(to.write(bytes).await?),
            None => Err(Failure::new(format!("workspace {} is not locked", one.target.name))),
        }
    }

    async fn renew_lock(&self, one: &mut Move, journal: &mut Journal) -> Result<()> {
        if let Some(to) = one.to.take() {
            to.release().await?;
        }
        let record = journal.lock_in_new(&one.target.name)?;
        one.to = Some(one.target.lock_as(self.context, record).await?);
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

    /// Renames the former state of a migration that was interrupted, unless it is newer than the one that was copied.
    async fn set_aside_former(&self, one: &mut Move) -> Result<()> {
        let Some(former) = workspace_state::read(&one.source).await? else {
            return Ok(());
        };
        let present = workspace_state::read(&one.target).await?;
        let is_copied = |present: &State| present.lineage == former.lineage && present.serial >= former.serial;
        if !present.as_ref().is_some_and(is_copied) {
            let name = &one.source.name;
            return Err(Failure::new(format!(
                "the migration is not complete: {} is not a newer state than the former one, {}",
                one.target.backend.describe(name),
                one.source.backend.describe(name)
            ))
            .help(
                "compare both; deleting .gaib/migration.json ends the migration, and leaves the former state where it is",
            ));
        }
        one.state = Some(former);
        self.set_aside(one).await
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
