//! `gaib server backup create / list / show / restore / delete / verify`, and what snapshots share with them.

mod checks;
mod list;
mod restore;

use arrakis_vault::{BackupRecord, LARGE_BACKUP_BYTES, NewBackup, Operation, RecordKind, Trigger};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments::backup::{BackupCommand, Create, Delete, Show};
use crate::backups::{Backups, finished_text, record_message, size_text, time_text, version_text};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::printer::Severity;
use crate::workspace_state;

pub(super) use checks::{OF_ANOTHER_IDENTITY, UNREADABLE, not_read_text, one as verify};
pub(super) use list::{list, one_line, problem_name};
pub(super) use restore::{PresentState, StateRestore, require_whole, restore_message, serial_after_loss};

pub(super) async fn run(context: &Context, command: &BackupCommand) -> Result<ExitStatus> {
    match command {
        BackupCommand::Create(arguments) => create(context, arguments).await?,
        BackupCommand::List(arguments) => list(context, RecordKind::Backup, arguments).await?,
        BackupCommand::Show(arguments) => show(context, arguments).await?,
        BackupCommand::Restore(arguments) => restore::run(context, arguments).await?,
        BackupCommand::Delete(arguments) => delete(context, RecordKind::Backup, arguments).await?,
        BackupCommand::Verify(arguments) => return checks::run(context, arguments).await,
    }
    Ok(ExitStatus::Success)
}

async fn create(context: &Context, arguments: &Create) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    // First: where the state is lost too, it is restored from a backup that is listed again.
    backups.recover(context).await?;
    let workspace = &backups.workspace;
    let Some(state) = workspace_state::read(workspace).await? else {
        workspace_state::refuse_missing(context, workspace).await?;
        return Err(
            Failure::new(format!("workspace {} has no state to back up", workspace.name)).help(
                "`gaib server apply` or `gaib server import` creates one; `gaib server export --backup` keeps the live server as a \
                 configuration, `gaib server snapshot create` the whole server",
            ),
        );
    };
    backups.require_writable().await?;
    let counted_use = backups.take_use(Operation::Backup, &version_text(Some(&state))).await?;
    let bytes = state.to_bytes();
    let new = NewBackup {
        server: backups.server(),
        workspace: workspace.name.as_str(),
        state: &bytes,
        message: arguments.message.as_deref(),
        trigger: Trigger::Automatic,
    };
    let created = backups.vault.create_backup(new, OffsetDateTime::now_utc()).await;
    let created = created.map_err(Failure::from);
    let record = backups.counted(counted_use, created).await?;
    report_created(context, &record);
    Ok(())
}

/// Reports a new backup or snapshot, with a warning for a large one.
pub(super) fn report_created(context: &Context, record: &BackupRecord) {
    context.printer.message(&record_message(record));
    let text = format!("Created {} {} ({}).\n", record.kind, record.id, content_text(record));
    context.printer.text(&text);
    warn_if_large(context, record);
}

/// Reports a snapshot that an interrupted run of the command stored.
pub(super) fn report_finished(context: &Context, record: &BackupRecord) {
    let mut message = record_message(record);
    message["finished"] = true.into();
    context.printer.message(&message);
    let text = format!(
        "{} ({}): the server has not changed since.\n",
        finished_text(record),
        content_text(record)
    );
    context.printer.text(&text);
    warn_if_large(context, record);
}

fn content_text(record: &BackupRecord) -> String {
    let state = record.state.as_ref().map_or_else(
        || "without a state".to_owned(),
        |state| format!("state with serial {}", state.serial),
    );
    format!("{state}, {}", size_text(record.size))
}

fn warn_if_large(context: &Context, record: &BackupRecord) {
    let kind = record.kind;
    if record.is_large() {
        let summary = format!(
            "the {kind} {} has {}, more than {}",
            record.id,
            size_text(record.size),
            size_text(LARGE_BACKUP_BYTES)
        );
        let help = "remove what is not needed: large emoji and stickers, resources that are not managed any more";
        context.printer.diagnostic(Severity::Warning, &summary, Some(help));
    }
}

async fn show(context: &Context, arguments: &Show) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let id = backups.id_of(RecordKind::Backup, &arguments.id).await?;
    let record = backups.find(RecordKind::Backup, id).await?;
    let object = record.object().map_err(Failure::new)?;
    let object = backups.vault.store().describe(object.as_str());
    let mut message = record_message(&record);
    message["object"] = object.clone().into();
    let is_plain = backups.vault.is_plain(&record).await?;
    message["plain"] = is_plain.into();
    context.printer.message(&message);
    let none = || "-".to_owned();
    let (lineage, serial) = record.state.as_ref().map_or_else(
        || (none(), none()),
        |state| (state.lineage.clone(), state.serial.to_string()),
    );
    // A local store belongs to its owner: no plan applies to it.
    let plan = match backups.is_local {
        true => String::new(),
        false => record.plan.as_str().to_owned(),
    };
    let rows = [
        ("Id", record.id.to_string()),
        ("Server", record.server.to_string()),
        ("Workspace", record.workspace.clone()),
        ("Created", time_text(record.created)),
        ("Message", record.message.as_deref().map_or_else(none, list::printable)),
        ("Serial", serial),
        ("Lineage", lineage),
        ("Plan", plan),
        ("Size", format!("{} ({} bytes)", size_text(record.size), record.size)),
        ("SHA-256", record.checksum.clone()),
        (
            "Signature",
            record.signature.as_ref().map_or_else(
                || "none: by an earlier gaib, or removed".to_owned(),
                |signature| format!("by the key {}", signature.key),
            ),
        ),
        (
            "Encryption",
            match is_plain {
                true => "none, in a store with encryption".to_owned(),
                false => String::new(),
            },
        ),
        ("Object", object),
    ];
    let rows = rows.iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<String> = rows.map(|(name, value)| format!("{name:<10} {value}\n")).collect();
    context.printer.text(&lines.concat());
    Ok(())
}

/// Deletes a backup or a snapshot, after a confirmation. One that is deleted already, or expired, is in no list and no command restores it: what
/// an interrupted deletion left of it is removed without a confirmation.
pub(super) async fn delete(context: &Context, kind: RecordKind, arguments: &Delete) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let id = backups.id_of(kind, &arguments.id).await?;
    let record = backups.find_even_expired(kind, id).await?;
    let now = OffsetDateTime::now_utc();
    let is_deleted = record.is_expired(now);
    if !arguments.force && !is_deleted {
        let question = format!(
            "Do you really want to delete the {kind} {} of {}? This cannot be undone.",
            record.id,
            time_text(record.created)
        );
        context
            .prompt
            .confirm(&question, "add --force (-f) to skip the confirmation")
            .await?;
    }
    backups.vault.delete(&record, now).await?;
    let message = json!({"type": "deleted", "kind": kind.as_str(), "id": record.id, "already": is_deleted});
    context.printer.message(&message);
    context.printer.text(&match is_deleted {
        true => format!(
            "The {kind} {} is deleted already; what was left of it is removed.\n",
            record.id
        ),
        false => format!("Deleted {kind} {}.\n", record.id),
    });
    Ok(())
}
