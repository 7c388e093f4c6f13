//! `gaib server state push`: replaces the state, or a damaged state, with a file.

use std::io::Read as _;
use std::path::Path;

use arrakis_iac::state::{PushError, State, StateError, check_push};
use arrakis_iac_apply::store::{SetAside, StateLock};
use serde_json::json;

use crate::arguments::state::Push;
use crate::context::Context;
use crate::error::{Failure, OrFail as _, Result};
use crate::files;
use crate::ownership;
use crate::workspace::{Workspace, release_after};
use crate::workspace_state;

pub(super) async fn run(context: &Context, workspace: &Workspace, arguments: &Push) -> Result<()> {
    let name = arguments.file.display().to_string();
    let mut pushed = read(&arguments.file, &name)?;
    let mut guard = workspace.lock(context, "state push").await?;
    let result = under_lock(context, workspace, arguments, &mut pushed, &mut *guard).await;
    release_after(guard, result).await?;
    context
        .printer
        .message(&json!({"type": "pushed", "serial": pushed.serial, "lineage": pushed.lineage}));
    context.printer.text(&format!(
        "Replaced the state of workspace {} with {name} (serial {}).\n",
        workspace.name, pushed.serial
    ));
    Ok(())
}

/// Reads a state file. A file that was edited may contain one id twice.
fn read(path: &Path, name: &str) -> Result<State> {
    let mut bytes = Vec::new();
    match path == Path::new("-") {
        true => drop(
            std::io::stdin()
                .read_to_end(&mut bytes)
                .or_fail("read the state from stdin")?,
        ),
        false => {
            bytes = files::read(path).map_err(|error| {
                Failure::new(format!("could not read the state {name}: {error}"))
                    .help("use a file that `gaib server state pull` wrote, or `-` for stdin")
            })?;
        }
    }
    let state = State::from_bytes(&bytes).map_err(|error| {
        Failure::new(format!("{name} is not a state: {error}")).help("`gaib server state pull` writes a state")
    })?;
    match state.check_ids() {
        Ok(()) => Ok(state),
        Err(error) => Err(
            Failure::new(format!("{name} was not pushed: {error}")).help(match error {
                StateError::SameId { other, .. } => format!("remove one of them from {name}, for example `{other}`"),
                _ => format!("correct the addresses in {name}"),
            }),
        ),
    }
}

async fn under_lock(
    context: &Context,
    workspace: &Workspace,
    arguments: &Push,
    pushed: &mut State,
    guard: &mut dyn StateLock,
) -> Result<()> {
    let name = arguments.file.display().to_string();
    let is_damaged = match workspace_state::read(workspace).await {
        Ok(current) => {
            check_push(current.as_ref(), pushed).map_err(|error| refused(workspace, &name, &error))?;
            false
        }
        Err(damaged) => {
            let question = format!("{}. Replace it with {name}?", damaged.summary());
            if !arguments.force {
                context
                    .prompt
                    .confirm(&question, "add --force to skip the confirmation")
                    .await?;
            }
            true
        }
    };
    let recorded = workspace.recorded_guild()?;
    if let (Some(own), Some(theirs)) = (recorded, pushed.guild_id.filter(|_| !pushed.is_empty()))
        && own != theirs
    {
        let summary = format!(
            "{name} was not pushed: it is the state of server {theirs}, and workspace {} belongs to server {own}",
            workspace.name
        );
        return Err(
            Failure::new(summary).help("use the workspace of that server with --workspace, or create one for it")
        );
    }
    let Some(guild) = pushed.guild_id.filter(|_| !pushed.is_empty()) else {
        return write(context, guard, is_damaged, pushed).await;
    };
    let ownership = ownership::lock(context, workspace, guild, pushed, guard.record()).await?;
    let mut result = write(context, guard, is_damaged, pushed).await;
    if result.is_ok() {
        // From now on a copy of this state in another folder is the older one.
        result = ownership.write_marker(context, workspace, pushed).await;
    }
    ownership.unlock(result).await
}

async fn write(context: &Context, guard: &mut dyn StateLock, is_damaged: bool, pushed: &mut State) -> Result<()> {
    if is_damaged && let Some(file) = guard.set_aside(SetAside::Damaged).await? {
        context.printer.message(&json!({"type": "set_aside", "file": file}));
        context.printer.note(&format!("Renamed the damaged state to {file}."));
    }
    Ok(guard.write(&pushed.advance()).await?)
}

fn refused(workspace: &Workspace, name: &str, error: &PushError) -> Failure {
    let own = &workspace.name;
    Failure::new(format!("{name} was not pushed: {error}")).help(match error {
        PushError::Lineage { .. } | PushError::Guild { .. } => format!(
            "push it to its own workspace with --workspace; `gaib server state pull --workspace {own}` shows the current state"
        ),
        PushError::Older { .. } | PushError::Differs(_) => format!(
            "`gaib server state pull --workspace {own}` shows the current state; to restore the older state nevertheless, raise its \
             `serial` above the current one"
        ),
    })
}
