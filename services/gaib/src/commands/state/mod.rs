//! `gaib server state ls / show / rm / mv / pull / push / migrate / release`.

mod migrate;
mod push;
mod release;

use arrakis_iac::model::Address;
use arrakis_iac::render::{self, Style};
use arrakis_iac::state::State;
use arrakis_iac_apply::store::StateLock;
use serde_json::json;

use crate::arguments::server::WorkspaceArgument;
use crate::arguments::state::{Pull, Rm, StateCommand};
use crate::commands::plan::{address, check_ids};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::ownership;
use crate::workspace::{Workspace, release_after};
use crate::workspace_state;

pub(super) async fn run(context: &Context, command: &StateCommand) -> Result<ExitStatus> {
    match command {
        StateCommand::Ls(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            let state = workspace_state::read_or_empty(context, &workspace).await?;
            let prefix = arguments.prefix.as_deref().unwrap_or_default();
            list(context, &workspace, &state, prefix).await;
        }
        StateCommand::Show(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            let state = workspace_state::read_or_empty(context, &workspace).await?;
            show(context, &state, &arguments.address)?;
        }
        StateCommand::Rm(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            change(context, &workspace, "state rm", |state| {
                remove(context, state, arguments)
            })
            .await?;
        }
        StateCommand::Mv(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            change(context, &workspace, "state mv", |state| {
                rename(context, state, &arguments.from, &arguments.to)
            })
            .await?;
        }
        StateCommand::Pull(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            pull(context, &workspace, arguments).await?;
        }
        StateCommand::Push(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            push::run(context, &workspace, arguments).await?;
        }
        StateCommand::Migrate(arguments) => migrate::run(context, arguments).await?,
        StateCommand::Release(arguments) => release::run(context, arguments).await?,
    }
    Ok(ExitStatus::Success)
}

async fn open(context: &Context, argument: &WorkspaceArgument) -> Result<Workspace> {
    Workspace::open(context, argument.workspace.as_deref(), false).await
}

/// Prints the state, or the one before the last operation that changed it.
async fn pull(context: &Context, workspace: &Workspace, arguments: &Pull) -> Result<()> {
    let state = match arguments.previous {
        true => previous_state(workspace).await?,
        false => required_state(context, workspace).await?,
    };
    context.printer.document(&String::from_utf8_lossy(&state.to_bytes()));
    Ok(())
}

async fn previous_state(workspace: &Workspace) -> Result<State> {
    let name = &workspace.name;
    let bytes = workspace.backend.read_previous(name).await?.ok_or_else(|| {
        Failure::new(format!("workspace {name} has no earlier state"))
            .help("the second operation that changes the state keeps the one before it")
    })?;
    State::from_bytes(&bytes).map_err(|error| {
        Failure::new(format!("could not read the earlier state of workspace {name}: {error}"))
            .help("`gaib server state pull` prints the current state")
    })
}

/// Reads the state.
///
/// # Errors
/// When there is none.
async fn required_state(context: &Context, workspace: &Workspace) -> Result<State> {
    if let Some(state) = workspace_state::read(workspace).await? {
        return Ok(state);
    }
    workspace_state::refuse_missing(context, workspace).await?;
    let creation = "`gaib server apply` or `gaib server import` creates one";
    let failure = Failure::new(format!("workspace {} has no state yet", workspace.name));
    Err(match ownership::other_workspaces(workspace, None).await {
        Some(others) => failure.help(format!("{others}; {creation} in this workspace")),
        None => failure.help(creation),
    })
}

async fn list(context: &Context, workspace: &Workspace, state: &State, prefix: &str) {
    let listed = |address: &Address| address.to_string().starts_with(prefix);
    if !state.resources.keys().any(listed) {
        let others = match state.is_empty() {
            true => ownership::other_workspaces(workspace, None).await,
            false => None,
        };
        context.printer.note(&match (prefix, others) {
            ("", Some(others)) => format!("Workspace {} manages no resources; {others}.", workspace.name),
            ("", None) => format!(
                "Workspace {} manages no resources. `gaib server apply` and `gaib server import` add resources to the state.",
                workspace.name
            ),
            _ => format!("No managed address in workspace {} begins with `{prefix}`.", workspace.name),
        });
    }
    for (address, entry) in &state.resources {
        let text = address.to_string();
        if text.starts_with(prefix) {
            context.printer.message(
                &json!({"type": "resource", "address": text, "id": entry.id, "name": entry.attributes.name()}),
            );
            context.printer.text(&format!("{text}\n"));
        }
    }
    for address in state.pending.keys() {
        context.printer.message(&json!({"type": "pending", "address": address}));
        context.printer.note(&format!(
            "{address} may exist: its creation was interrupted, and the next apply searches for it."
        ));
    }
}

fn show(context: &Context, state: &State, text: &str) -> Result<()> {
    let address = address(text)?;
    let entry = state
        .entry(&address)
        .map_err(|error| Failure::new(error).help("`gaib server state ls` lists the managed addresses"))?;
    context.printer.message(&json!({
        "type": "resource", "address": address, "id": entry.id, "attributes": entry.attributes.to_map(),
    }));
    let style = Style {
        color: context.printer.color(),
    };
    context
        .printer
        .text(&render::resource(&address, entry.id, &entry.attributes, style));
    Ok(())
}

fn remove(context: &Context, state: &mut State, arguments: &Rm) -> Result<()> {
    let addresses: Vec<Address> = match arguments.all {
        true => state.resources.keys().chain(state.pending.keys()).cloned().collect(),
        false => arguments
            .addresses
            .iter()
            .map(|text| address(text))
            .collect::<Result<_>>()?,
    };
    // All or none: every address that is reported is also removed on disk.
    for address in addresses.iter().filter(|address| !state.pending.contains_key(address)) {
        state
            .entry(address)
            .map_err(|error| Failure::new(error).help("`gaib server state ls` lists the managed addresses"))?;
    }
    for address in addresses {
        state.forget(&address);
        context
            .printer
            .message(&json!({"type": "forgotten", "address": address}));
        context.printer.text(&format!(
            "Removed {address} from the state. The server was not changed.\n"
        ));
    }
    Ok(())
}

fn rename(context: &Context, state: &mut State, from: &str, to: &str) -> Result<()> {
    let (from, to) = (address(from)?, address(to)?);
    state
        .rename(&from, &to)
        .map_err(|error| Failure::new(error).help("`gaib server state ls` lists the managed addresses"))?;
    check_ids(state)?;
    context
        .printer
        .message(&json!({"type": "renamed", "from": from, "to": to}));
    context.printer.text(&format!(
        "Renamed {from} to {to}. Rename it in the configuration, too.\n"
    ));
    Ok(())
}

/// Changes the state under the lock. After an error the state on disk is unchanged.
async fn change(
    context: &Context,
    workspace: &Workspace,
    operation: &str,
    change: impl FnOnce(&mut State) -> Result<()>,
) -> Result<()> {
    let mut guard = workspace.lock(context, operation).await?;
    let result = change_under_lock(context, workspace, &mut *guard, change).await;
    release_after(guard, result).await
}

async fn change_under_lock(
    context: &Context,
    workspace: &Workspace,
    guard: &mut dyn StateLock,
    change: impl FnOnce(&mut State) -> Result<()>,
) -> Result<()> {
    let mut state = required_state(context, workspace).await?;
    change(&mut state)?;
    guard.write(&state.advance()).await?;
    if state.is_empty() {
        let servers = ownership::servers_of(context, workspace).await;
        ownership::release(context, workspace, &servers, &workspace.state_file(), guard.record()).await?;
    }
    Ok(())
}
