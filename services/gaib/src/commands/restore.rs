//! `gaib restore`: checkpoints of a community's configuration, which the platform stores.
//!
//! The api has no access to Discord, so gaib reads the roles and channels of the server and sends them: the platform maps old ids to them by
//! name.

mod pending;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use arrakis_contracts::servers::{
    Checkpoint, PreviewRestore, RestoreChanges, RestoreCheckpoint, RestorePreview, Restored, ServerLists,
};
use arrakis_iac::grammar::counted;
use arrakis_iac::model::{Kind, Snowflake};
use serde_json::json;
use uuid::Uuid;

use self::pending::PendingRestore;
use crate::arguments::id::IdArgument;
use crate::arguments::restore::{Exec, List, Preview, RestoreCommand};
use crate::commands::platform::{self, time};
use crate::connection::{connect_silently, read_live};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::platform::{Platform, lists};
use crate::printer::Severity;
use crate::table::table;

pub(super) async fn run(context: &Context, command: &RestoreCommand) -> Result<ExitStatus> {
    match command {
        RestoreCommand::List(arguments) => list(context, arguments).await,
        RestoreCommand::Preview(arguments) => preview(context, arguments).await,
        RestoreCommand::Exec(arguments) => exec(context, arguments).await,
    }
}

async fn list(context: &Context, arguments: &List) -> Result<ExitStatus> {
    let (platform, guild) = platform::required(context, &arguments.community).await?;
    let what = format!("list the checkpoints of server {guild}");
    let found = platform.checkpoints().await;
    let found = found.map_err(|error| platform.failure(&what, &error))?;
    let printer = context.printer;
    for checkpoint in &found.checkpoints {
        printer.message(&json!({"type": "checkpoint", "checkpoint": checkpoint}));
    }
    if found.checkpoints.is_empty() {
        printer.note(&format!("Server {guild} has no checkpoints."));
        return Ok(ExitStatus::Success);
    }
    let rows: Vec<[String; 6]> = found.checkpoints.iter().map(row).collect();
    printer.text(&table(
        ["CHECKPOINT", "PURPOSE", "STORED", "KEPT UNTIL", "BY", "REASON"],
        &rows,
    ));
    Ok(ExitStatus::Success)
}

fn row(checkpoint: &Checkpoint) -> [String; 6] {
    [
        checkpoint.id.to_string(),
        checkpoint.purpose.name().to_owned(),
        time(checkpoint.created_at),
        time(checkpoint.expires_at),
        checkpoint.created_by.clone(),
        checkpoint.reason.clone().unwrap_or_default(),
    ]
}

async fn preview(context: &Context, arguments: &Preview) -> Result<ExitStatus> {
    let (platform, guild) = platform::required(context, &arguments.community).await?;
    let checkpoint = checkpoint_id(&platform, guild, &arguments.checkpoint).await?;
    let server = read_server(context, guild).await?;
    let preview = preview_of(&platform, checkpoint, server).await?;
    Ok(match show(context, &preview) {
        0 => ExitStatus::Success,
        _ => ExitStatus::Error,
    })
}

async fn exec(context: &Context, arguments: &Exec) -> Result<ExitStatus> {
    let (platform, guild) = platform::required(context, &arguments.community).await?;
    let checkpoint = checkpoint_id(&platform, guild, &arguments.checkpoint).await?;
    let server = read_server(context, guild).await?;
    let preview = preview_of(&platform, checkpoint, server.clone()).await?;
    let obstacles = show(context, &preview);
    if obstacles > 0 {
        return Err(Failure::new(format!(
            "nothing was changed: the checkpoint {checkpoint} cannot be restored, for {} (above)",
            counted(obstacles, "reason")
        ))
        .help("correct what is reported above, and run the same command again"));
    }
    if arguments.dry_run {
        context.printer.note("Nothing was changed (--dry-run).");
        return Ok(ExitStatus::Success);
    }
    if !arguments.auto_approve {
        let question = format!("Do you want to restore this checkpoint to the community of server {guild}?");
        context
            .prompt
            .confirm(&question, "add --auto-approve to skip the confirmation")
            .await?;
    }
    let pending = PendingRestore::begin(context, guild, checkpoint)?;
    let request = RestoreCheckpoint {
        request_id: pending.request_id(),
        reason: arguments.reason.clone(),
        server,
    };
    let what = format!("restore the checkpoint {checkpoint}");
    let restored = platform.restore(checkpoint, &request).await;
    let mut restored = restored.map_err(|error| platform.failure(&what, &error))?;
    // A request of this command is repeated when its response is lost: then this command has restored the checkpoint.
    restored.repeated &= pending.is_continued();
    show_result(context, &restored);
    pending.end()?;
    Ok(ExitStatus::Success)
}

/// The id of the checkpoint that the command line names. A whole id is not searched.
async fn checkpoint_id(platform: &Platform, guild: Snowflake, argument: &IdArgument) -> Result<Uuid> {
    if let Some(id) = argument.whole() {
        return Ok(id);
    }
    let found = platform.checkpoints().await;
    let found = found.map_err(|error| platform.failure(&format!("list the checkpoints of server {guild}"), &error))?;
    let mut checkpoints = found.checkpoints;
    checkpoints.sort_by_key(|checkpoint| Reverse(checkpoint.created_at));
    let found = argument.only("checkpoint", checkpoints, |checkpoint| {
        (checkpoint.id.to_string(), time(checkpoint.created_at))
    })?;
    let found = found.ok_or_else(|| argument.not_found("checkpoint", "gaib restore list"))?;
    Ok(found.id)
}

async fn preview_of(platform: &Platform, checkpoint: Uuid, server: ServerLists) -> Result<RestorePreview> {
    let preview = platform.preview(checkpoint, &PreviewRestore { server }).await;
    preview.map_err(|error| platform.failure(&format!("preview the restore of the checkpoint {checkpoint}"), &error))
}

/// The roles and channels of the server at Discord.
async fn read_server(context: &Context, guild: Snowflake) -> Result<ServerLists> {
    let discord = connect_silently(context, guild)?;
    let kinds = BTreeSet::from([Kind::Server, Kind::Role, Kind::Category, Kind::Channel]);
    Ok(lists(&read_live(context, &discord, guild, &kinds).await?))
}

/// Prints a preview; returns the number of its obstacles.
fn show(context: &Context, preview: &RestorePreview) -> usize {
    let printer = context.printer;
    let mut message = json!(preview);
    message["type"] = "restore_preview".into();
    printer.message(&message);
    let checkpoint = &preview.checkpoint;
    printer.text(&format!(
        "Checkpoint {} ({}, {}):\n\n{}",
        checkpoint.id,
        checkpoint.purpose.name(),
        time(checkpoint.created_at),
        described(&preview.changes)
    ));
    for obstacle in &preview.obstacles {
        let summary = format!("the checkpoint cannot be restored: {obstacle}");
        printer.diagnostic(Severity::Error, &summary, None);
    }
    preview.obstacles.len()
}

/// The changes of a restore: fields, then ids that were mapped, then those that cannot be.
fn described(changes: &RestoreChanges) -> String {
    let mut text = String::new();
    if changes.changes.is_empty() {
        text.push_str("The configuration of the community does not change.\n");
    }
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    for change in &changes.changes {
        text.push_str(&format!(
            "  {}: {} -> {}\n",
            change.field,
            value(&change.before),
            value(&change.after)
        ));
    }
    if !changes.mapped.is_empty() {
        text.push_str("\nFound on the server by name:\n");
    }
    for mapped in &changes.mapped {
        text.push_str(&format!(
            "  {}: {} {:?} was {} and is {}\n",
            mapped.field,
            mapped.kind.name(),
            mapped.name,
            mapped.before,
            mapped.after
        ));
    }
    if !changes.unmapped.is_empty() {
        text.push_str("\nNot restored:\n");
    }
    for unmapped in &changes.unmapped {
        let name = unmapped.name.as_ref().map(|name| format!("{name:?} "));
        text.push_str(&format!(
            "  {}: {} {}({}): {}\n",
            unmapped.field,
            unmapped.kind.name(),
            name.unwrap_or_default(),
            unmapped.id,
            unmapped.reason
        ));
    }
    if !changes.notes.is_empty() {
        text.push_str("\nNotes:\n");
    }
    for note in &changes.notes {
        text.push_str(&format!("  {note}\n"));
    }
    text
}

fn show_result(context: &Context, restored: &Restored) {
    let printer = context.printer;
    let mut message = json!(restored);
    message["type"] = "restored".into();
    printer.message(&message);
    let id = restored.checkpoint.id;
    let mut text = match restored.repeated {
        true => format!(
            "\nThe restore of checkpoint {id} that was interrupted is complete. This command changed nothing; run it again to restore the \
             checkpoint once more.\n"
        ),
        false => format!("\nRestored checkpoint {id}.\n"),
    };
    if restored.unfrozen {
        text.push_str("The freeze that the teardown began has ended.\n");
    }
    text.push_str(&format!(
        "The members' roles follow: the platform runs {}.\n",
        restored.jobs.join(", ")
    ));
    if !restored.changes.unmapped.is_empty() {
        text.push_str(&format!(
            "{} of the checkpoint could not be mapped (above): create the missing roles and channels, and restore it again.\n",
            counted(restored.changes.unmapped.len(), "id")
        ));
    }
    text.push_str(&format!(
        "`gaib restore exec --checkpoint {}` undoes this restore.\n",
        restored.undo_checkpoint
    ));
    printer.text(&text);
}
