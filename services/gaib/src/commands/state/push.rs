//! `gaib server state push`: another state in the place of the present one, or of a damaged one.

use std::io::Read as _;
use std::path::Path;

use arrakis_iac::state::{PushError, State, StateError, check_push};
use arrakis_iac_apply::store::StateLock;
use serde_json::json;

use crate::arguments::state::Push;
use crate::commands::Context;
use crate::error::{Failure, OrFail as _, Result};
use crate::ownership;
use crate::project;
use crate::session::Workspace;

pub(super) async fn run(context: &Context, workspace: &Workspace, arguments: &Push) -> Result<()> {
    let name = arguments.file.display().to_string();
    let mut pushed = read(&arguments.file, &name)?;
    let mut guard = workspace.lock(context, "state push").await?;
    let result = under_lock(context, workspace, arguments, &mut pushed, &mut *guard).await;
    let released = guard.release().await.map_err(Failure::of_store);
    result.and(released)?;
    context
        .printer
        .message(&json!({"type": "pushed", "serial": pushed.serial, "lineage": pushed.lineage}));
    context.printer.text(&format!(
        "Put {name} in place as the state of workspace {} (serial {}).\n",
        workspace.name, pushed.serial
    ));
    Ok(())
}

/// A state that is whole: a file that was edited by hand may not be.
fn read(path: &Path, name: &str) -> Result<State> {
    let mut bytes = Vec::new();
    match path == Path::new("-") {
        true => drop(
            std::io::stdin()
                .read_to_end(&mut bytes)
                .or_fail("read the state from stdin")?,
        ),
        false => {
            bytes = project::read(path).map_err(|error| {
                Failure::new(format!("could not read the state {name}: {error}"))
                    .help("name a file that `gaib server state pull` wrote, or `-` for stdin")
            })?;
        }
    }
    let state = State::from_bytes(&bytes).map_err(|error| {
        Failure::new(format!("{name} is no state: {error}")).help("a state is what `gaib server state pull` writes")
    })?;
    match state.check_ids() {
        Ok(()) => Ok(state),
        Err(error) => Err(
            Failure::new(format!("{name} was not put in place: {error}")).help(match error {
                StateError::SameId { other, .. } => format!("take one of them out of {name}, as in `{other}`"),
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
    let present = match workspace.state().await {
        Ok(present) => {
            check_push(present.as_ref(), pushed).map_err(|error| refused(workspace, &name, &error))?;
            true
        }
        Err(damaged) => {
            let question = format!("{}. Replace it by {name}?", damaged.summary());
            if !arguments.force {
                context
                    .prompt
                    .confirm(&question, "yes", "consent beforehand with --force")?;
            }
            false
        }
    };
    let remembered = workspace.remembered_guild()?;
    if let (Some(own), Some(theirs)) = (remembered, pushed.guild_id.filter(|_| !pushed.is_empty()))
        && own != theirs
    {
        let what = format!(
            "{name} was not put in place: it is the state of server {theirs}, and workspace {} belongs to server {own}",
            workspace.name
        );
        return Err(Failure::new(what).help("name the workspace of that server with --workspace, or make one for it"));
    }
    let claim = match pushed.guild_id.filter(|_| !pushed.is_empty()) {
        Some(guild) => Some(ownership::lock(context, workspace, guild, pushed, "state push")?),
        None => None,
    };
    if !present && let Some(aside) = guard.set_aside().await.map_err(Failure::of_store)? {
        context.printer.message(&json!({"type": "set_aside", "file": aside}));
        context.printer.note(&format!("Kept the damaged state as {aside}."));
    }
    guard.write(&pushed.advance()).await.map_err(Failure::of_store)?;
    // From now on a copy of this state in another folder is the older one.
    if let Some(claim) = claim {
        claim.record(context, workspace, pushed);
    }
    Ok(())
}

fn refused(workspace: &Workspace, name: &str, error: &PushError) -> Failure {
    let name_of_this = &workspace.name;
    Failure::new(format!("{name} was not put in place: {error}")).help(match error {
        PushError::Lineage { .. } | PushError::Guild { .. } => format!(
            "push it into the workspace that it is of, with --workspace; `gaib server state pull --workspace {name_of_this}` shows \
             the present state"
        ),
        PushError::Older { .. } | PushError::Differs(_) => format!(
            "`gaib server state pull --workspace {name_of_this}` shows the present state; to go back to the older one nevertheless, \
             raise its `serial` above the present one"
        ),
    })
}
