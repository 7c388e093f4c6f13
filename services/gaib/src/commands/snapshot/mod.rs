//! `gaib server snapshot create / list / restore / download / compare / verify / delete`.

mod capture;
mod compare;
mod download;
mod restore;
mod stored;

use arrakis_vault::{CreatedSnapshot, Operation, RecordKind};

use super::backup;
use crate::arguments::snapshot::{Create, SnapshotCommand};
use crate::backups::{Backups, version_text};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::workspace_state;

pub(super) use capture::{Capture, NewCapture};
pub(super) use restore::{Journal, RestoreJob, Rollback};

pub(super) async fn run(context: &Context, command: &SnapshotCommand) -> Result<ExitStatus> {
    match command {
        SnapshotCommand::Create(arguments) => create(context, arguments).await?,
        SnapshotCommand::List(arguments) => backup::list(context, RecordKind::Snapshot, arguments).await?,
        SnapshotCommand::Restore(arguments) => restore::run(context, arguments).await?,
        SnapshotCommand::Download(arguments) => download::run(context, arguments).await?,
        SnapshotCommand::Compare(arguments) => return compare::run(context, arguments).await,
        SnapshotCommand::Verify(arguments) => {
            let backups = Backups::open(context, &arguments.server).await?;
            return backup::verify(context, &backups, RecordKind::Snapshot, &arguments.id).await;
        }
        SnapshotCommand::Delete(arguments) => backup::delete(context, RecordKind::Snapshot, arguments).await?,
    }
    Ok(ExitStatus::Success)
}

async fn create(context: &Context, arguments: &Create) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    backups.require_writable().await?;
    backups.recover(context).await?;
    let state = workspace_state::read(&backups.workspace).await?;
    if let Some(of) = state.as_ref().and_then(|state| state.guild_id)
        && of != backups.guild
    {
        return Err(Failure::new(format!(
            "the state of workspace {} belongs to server {of}, not to {}",
            backups.workspace.name, backups.guild
        ))
        .help("use another workspace for this server"));
    }
    let target = version_text(state.as_ref());
    let counted_use = backups.take_use(Operation::Snapshot, &target).await?;
    let new = NewCapture {
        id: Some(counted_use.id()),
        state: state.as_ref(),
        theme: None,
        message: arguments.message.as_deref(),
    };
    let created = create_counted(context, &backups, new).await;
    let created = backups.counted(counted_use, created).await?;
    match created.is_finished {
        true => backup::report_finished(context, &created.record),
        false => backup::report_created(context, &created.record),
    }
    Ok(())
}

async fn create_counted(context: &Context, backups: &Backups, new: NewCapture<'_>) -> Result<CreatedSnapshot> {
    let discord = capture::connect(context, backups.guild)?;
    Capture::read(context, &discord, backups.guild, new.state)
        .await?
        .store(context, backups, new)
        .await
}
