//! Restores of a state: from a backup, and from the state in a snapshot.
//!
//! Order: read and check, show the difference, confirm, lock, back the present state up, write. The present state is read again under
//! the lock: what was confirmed is what is replaced.

use arrakis_iac::grammar::counted;
use arrakis_iac::render::{self, Style};
use arrakis_iac::snapshot::compare_states;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{SetAside, StateLock};
use arrakis_vault::{BackupRecord, Expected, Operation, RecordKind};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::backup::{ConfirmedArguments, Restore};
use crate::backups::{Backups, refuse_unsigned, time_text, version_text, warn_unsigned};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::printer::Severity;
use crate::workspace::{Workspace, release_after};
use crate::workspace_state;

pub(super) async fn run(context: &Context, arguments: &Restore) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let id = backups.id_of(RecordKind::Backup, &arguments.id).await?;
    let record = backups.find(RecordKind::Backup, id).await?;
    let present = PresentState::read(&backups.workspace).await;
    let read = backups.vault.read_backup(&record, &present.expected(&backups)).await;
    let bytes = read.map_err(|error| {
        let failure = Failure::of_record(&error, record.kind, record.id);
        arguments.confirmed.without_restore(failure)
    })?;
    if !record.is_signed() && !arguments.allow_unsigned {
        let what = format!("the backup {}", record.id);
        if !arguments.confirmed.dry_run {
            return Err(refuse_unsigned(&what));
        }
        warn_unsigned(context.printer, &what);
    }
    let restore = StateRestore::new(&backups, &record, &bytes, Operation::Restore)?;
    restore.run(context, &present, &arguments.confirmed).await
}

/// The state of a workspace before a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) enum PresentState {
    /// None was written yet, or it is missing.
    None,
    /// It cannot be read, for this reason.
    Damaged(String),
    /// It can be read.
    Whole(Box<State>),
}

impl PresentState {
    /// Reads the state. A state that is missing or damaged is no error: a restore is what replaces it.
    pub(in crate::commands) async fn read(workspace: &Workspace) -> Self {
        match workspace.read_state().await {
            Ok(None) => Self::None,
            Ok(Some(state)) => Self::Whole(Box::new(state)),
            Err(reason) => Self::Damaged(reason),
        }
    }

    /// The state; `None` where there is none that can be read.
    pub(in crate::commands) fn state(&self) -> Option<&State> {
        match self {
            Self::Whole(state) => Some(state),
            Self::None | Self::Damaged(_) => None,
        }
    }

    /// What a backup must belong to: the server, and the lineage of the present state.
    pub(in crate::commands) fn expected(&self, backups: &Backups) -> Expected {
        Expected {
            server: backups.server(),
            lineage: self.state().map(|state| state.lineage.clone()),
        }
    }
}

/// The restore of a state.
#[derive(Debug)]
pub(in crate::commands) struct StateRestore<'a> {
    backups: &'a Backups,
    record: &'a BackupRecord,
    operation: Operation,
    state: State,
}

impl<'a> StateRestore<'a> {
    /// The restore of a state that was read with all checks of the vault.
    pub(in crate::commands) fn new(
        backups: &'a Backups,
        record: &'a BackupRecord,
        bytes: &[u8],
        operation: Operation,
    ) -> Result<Self> {
        let read = State::from_bytes(bytes).and_then(|state| state.check_ids().map(|()| state));
        let state = read.map_err(|error| {
            Failure::new(format!(
                "the state in the {} {} cannot be restored: {error}",
                record.kind, record.id
            ))
            .help("use a newer gaib, or another backup")
        })?;
        Ok(Self {
            backups,
            record,
            operation,
            state,
        })
    }

    /// The name of what is restored.
    fn source(&self) -> String {
        format!("the {} {}", self.record.kind, self.record.id)
    }

    /// Shows the difference, requests a confirmation, and replaces the state.
    pub(in crate::commands) async fn run(
        mut self,
        context: &Context,
        present: &PresentState,
        confirmed: &ConfirmedArguments,
    ) -> Result<()> {
        self.show(context, present);
        self.warn_of_ids(context, present);
        if present.state().is_some_and(|present| is_same(present, &self.state)) {
            let message = json!({"type": "restored", "id": self.record.id, "changed": false});
            context.printer.message(&message);
            context.printer.text(&format!(
                "The state is that of {}; nothing was changed.\n",
                self.source()
            ));
            self.note_server(context);
            return warn_of_lock(context, &self.backups.workspace).await;
        }
        if confirmed.dry_run {
            context.printer.note("Dry run: nothing was changed.");
            self.note_server(context);
            return Ok(());
        }
        if !confirmed.auto_approve {
            let question = self.question(present);
            context
                .prompt
                .confirm(&question, "add --auto-approve (-f) to skip the confirmation")
                .await?;
        }
        let target = format!("{} {}", self.record.id, version_text(present.state()));
        let counted_use = self.backups.take_use(self.operation, &target).await?;
        let workspace = &self.backups.workspace;
        let result = match workspace.lock(context, "restore").await {
            Ok(mut guard) => {
                let result = self.under_lock(context, present, &mut *guard).await;
                release_after(guard, result).await
            }
            Err(failure) => Err(failure),
        };
        self.backups.counted(counted_use, result).await?;
        self.report(context);
        Ok(())
    }

    fn show(&self, context: &Context, present: &PresentState) {
        let nothing = State::new("");
        let present = present.state().unwrap_or(&nothing);
        let source = self.source();
        let comparison = compare_states(("the present state", present), (source.as_str(), &self.state));
        for message in render::comparison_messages(&comparison) {
            context.printer.message(&message);
        }
        let style = Style {
            color: context.printer.color(),
        };
        context.printer.text(&render::comparison(&comparison, style));
    }

    fn question(&self, present: &PresentState) -> String {
        let name = &self.backups.workspace.name;
        let of_state = |state: &State| {
            let resources = counted(state.resources.len(), "resource");
            format!("serial {}, {resources}", state.serial)
        };
        let replaced = match present {
            PresentState::None => format!("Create the state of workspace {name}"),
            PresentState::Damaged(_) => format!("Replace the damaged state of workspace {name}"),
            PresentState::Whole(state) => format!("Replace the state of workspace {name} ({})", of_state(state)),
        };
        format!(
            "{replaced} with {} of {} ({})? The server does not change.",
            self.source(),
            time_text(self.record.created),
            of_state(&self.state)
        )
    }

    async fn under_lock(&mut self, context: &Context, shown: &PresentState, guard: &mut dyn StateLock) -> Result<()> {
        let workspace = &self.backups.workspace;
        if PresentState::read(workspace).await != *shown {
            return Err(Failure::new(
                "nothing was changed: another operation changed the state after the difference was shown",
            )
            .help("run the same command again"));
        }
        if self.state.is_empty() {
            return self.replace(context, shown, guard).await;
        }
        let guild = self.backups.guild;
        let ownership = ownership::lock(context, workspace, guild, &self.state, guard.record()).await?;
        let mut result = self.replace(context, shown, guard).await;
        if result.is_ok() {
            result = ownership.write_marker(context, workspace, &self.state).await;
        }
        ownership.unlock(result).await
    }

    /// Backs the present state up, and replaces it.
    async fn replace(&mut self, context: &Context, present: &PresentState, guard: &mut dyn StateLock) -> Result<()> {
        match present {
            PresentState::Whole(state) => {
                let message = restore_message(self.record);
                self.backups.keep_present(context, state, &message).await?;
                self.state.serial = self.state.serial.max(state.serial);
            }
            PresentState::Damaged(_) => {
                self.state.serial = serial_after_loss(self.backups, self.record, &self.state).await?;
                if let Some(file) = guard.set_aside(SetAside::Damaged).await? {
                    context.printer.message(&json!({"type": "set_aside", "file": file}));
                    context.printer.note(&format!("Renamed the damaged state to {file}."));
                }
            }
            PresentState::None => {
                self.state.serial = serial_after_loss(self.backups, self.record, &self.state).await?;
            }
        }
        Ok(guard.write(&self.state.advance()).await?)
    }

    fn report(&self, context: &Context) {
        let (printer, serial) = (context.printer, self.state.serial);
        let workspace = &self.backups.workspace;
        printer.message(&json!({
            "type": "restored", "id": self.record.id, "changed": true, "serial": serial, "lineage": self.state.lineage,
            "resources": self.state.resources.len(),
        }));
        printer.text(&format!(
            "Restored the state of workspace {} from {} (serial {serial}).\n",
            workspace.name,
            self.source()
        ));
        printer.note(&format!(
            "The server was not changed: `{} plan{}` shows what an apply would change.",
            workspace.server_command(),
            workspace.workspace_option()
        ));
        self.note_server(context);
    }

    /// Warns of addresses that have another id now: their resources were created again.
    fn warn_of_ids(&self, context: &Context, present: &PresentState) {
        let Some(present) = present.state() else { return };
        let mut count = 0;
        let mut example = String::new();
        for (address, restored) in &self.state.resources {
            let Some(now) = present.resources.get(address).filter(|now| now.id != restored.id) else {
                continue;
            };
            count += 1;
            if example.is_empty() {
                example = format!("{address} is {} now, and {} there", now.id, restored.id);
            }
        }
        if count == 0 {
            return;
        }
        let summary = format!(
            "the present state has other ids than {} for {}, for example: {example}",
            self.source(),
            counted(count, "resource")
        );
        let mut help = "resources that were created again have new ids. After this restore, the state would have their former ids, which do not \
                        exist any more, and the next apply would create them once more: keep the present state"
            .to_owned();
        if self.record.kind == RecordKind::Snapshot {
            help.push_str(&format!("; `{}` restores the server", self.apply_command()));
        }
        context.printer.diagnostic(Severity::Warning, &summary, Some(&help));
    }

    /// The command that restores the server from the snapshot.
    fn apply_command(&self) -> String {
        let workspace = &self.backups.workspace;
        format!(
            "{} snapshot restore {} --apply{}",
            workspace.server_command(),
            self.record.id,
            workspace.workspace_option()
        )
    }

    /// Reports that the state of a snapshot is not its server.
    fn note_server(&self, context: &Context) {
        if self.record.kind == RecordKind::Snapshot {
            context.printer.note(&format!(
                "Only the state was compared, not the server. To take the server back to the snapshot: `{}`.",
                self.apply_command()
            ));
        }
    }
}

/// A serial that the lost state of a workspace did not exceed, so that plans and copies of that state are stale after the next write.
/// `state` is the one of `record`, which replaces it.
///
/// The state before the last operation and other backups may have a higher serial, and writes may have followed that none of them has. A
/// state is written less often than once in a millisecond, so the time since the backup exceeds their number.
///
/// # Errors
/// When the catalogue cannot be read.
pub(in crate::commands) async fn serial_after_loss(
    backups: &Backups,
    record: &BackupRecord,
    state: &State,
) -> Result<u64> {
    let workspace = &backups.workspace;
    let previous = workspace.backend.read_previous(&workspace.name).await.ok().flatten();
    let previous = previous.and_then(|bytes| State::from_bytes(&bytes).ok());
    let previous = previous.filter(|previous| previous.lineage == state.lineage);
    let recorded = backups.vault.highest_serial(backups.server(), &state.lineage).await?;
    let known = [Some(state.serial), recorded, previous.map(|previous| previous.serial)];
    let known = known.into_iter().flatten().max().unwrap_or_default();
    let since = (OffsetDateTime::now_utc() - record.created).whole_milliseconds();
    Ok(known.saturating_add(u64::try_from(since).unwrap_or_default()))
}

/// Message of the backup before a restore. The time names what was restored as the list does, and is shorter than its id.
pub(in crate::commands) fn restore_message(restored: &BackupRecord) -> String {
    format!("before the restore of {}", time_text(restored.created))
}

/// Warns of a lock that stays in a shared store: a restore that was killed after its write leaves one, and its repetition changes nothing.
async fn warn_of_lock(context: &Context, workspace: &Workspace) -> Result<()> {
    if workspace.backend.remote().is_none() {
        return Ok(());
    }
    let held = workspace.backend.held(&workspace.name).await?;
    if let Some(held) = held.filter(|held| !held.alive && held.record.process.is_some()) {
        let record = held.record;
        let summary = format!("workspace {} is locked: {record}", workspace.name);
        let help = format!(
            "an operation that was killed leaves its locks: if it is certain that this one has ended, `gaib server force-unlock {}` \
             removes them",
            record.id
        );
        context.printer.diagnostic(Severity::Warning, &summary, Some(&help));
    }
    Ok(())
}

/// Whether two states are equal but for their serial.
fn is_same(present: &State, restored: &State) -> bool {
    let mut restored = restored.clone();
    restored.serial = present.serial;
    *present == restored
}

/// Refuses a restore into a workspace whose state cannot be read, for an operation that needs it.
pub(in crate::commands) fn require_whole(present: PresentState, lineage: Option<&str>) -> Result<State> {
    match present {
        PresentState::Whole(state) => Ok(*state),
        PresentState::None => Ok(lineage.map_or_else(workspace_state::empty, State::new)),
        PresentState::Damaged(reason) => Err(Failure::new(reason).help(
            "restore the state first: the same command without --apply does that, or `gaib server backup restore ID`",
        )),
    }
}
