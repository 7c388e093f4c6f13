//! `gaib server state ls / show / rm / mv / pull / push`.

use std::io::Read as _;
use std::path::Path;

use arrakis_iac::model::Address;
use arrakis_iac::render::{self, Style};
use arrakis_iac::state::{State, check_push};
use serde_json::json;

use crate::arguments::server::WorkspaceArgument;
use crate::arguments::state::{Rm, StateCommand};
use crate::commands::{Context, plan::address};
use crate::error::{Failure, OrFail as _, Result};
use crate::exit::ExitStatus;
use crate::project;
use crate::session::Workspace;

pub(super) async fn run(context: &Context, command: &StateCommand) -> Result<ExitStatus> {
    match command {
        StateCommand::Ls(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            let state = workspace.state_or_new().await?;
            list(
                context,
                &workspace,
                &state,
                arguments.prefix.as_deref().unwrap_or_default(),
            );
        }
        StateCommand::Show(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            show(context, &workspace.state_or_new().await?, &arguments.address)?;
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
            let workspace = open(context, arguments).await?;
            let state = workspace.state().await?.ok_or_else(|| nothing(&workspace))?;
            context.printer.document(&String::from_utf8_lossy(&state.to_bytes()));
        }
        StateCommand::Push(arguments) => {
            let workspace = open(context, &arguments.workspace).await?;
            push(context, &workspace, &arguments.file).await?;
        }
    }
    Ok(ExitStatus::Success)
}

async fn open(context: &Context, argument: &WorkspaceArgument) -> Result<Workspace> {
    Workspace::open_for(context, argument.workspace.as_deref(), false, None).await
}

fn nothing(workspace: &Workspace) -> Failure {
    Failure::new(format!("workspace {} has no state yet", workspace.name))
        .help("`gaib server apply` or `gaib server import` begins one")
}

fn list(context: &Context, workspace: &Workspace, state: &State, prefix: &str) {
    let listed = |address: &Address| address.to_string().starts_with(prefix);
    if !state.resources.keys().any(listed) {
        context.printer.note(&match prefix {
            "" => format!(
                "Nothing is managed in workspace {}. `gaib server apply` and `gaib server import` take resources into the state.",
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
            "{address} may exist: its creation was interrupted, and the next apply looks for it."
        ));
    }
}

fn show(context: &Context, state: &State, text: &str) -> Result<()> {
    let address = address(text)?;
    let entry = state
        .entry(&address)
        .map_err(|error| Failure::new(error).help("`gaib server state ls` lists what is managed"))?;
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
    // All or none: what is reported as forgotten is also written.
    for address in addresses.iter().filter(|address| !state.pending.contains_key(address)) {
        state
            .entry(address)
            .map_err(|error| Failure::new(error).help("`gaib server state ls` lists what is managed"))?;
    }
    for address in addresses {
        state.forget(&address);
        context
            .printer
            .message(&json!({"type": "forgotten", "address": address}));
        context
            .printer
            .text(&format!("Forgot {address}; the server keeps it.\n"));
    }
    Ok(())
}

fn rename(context: &Context, state: &mut State, from: &str, to: &str) -> Result<()> {
    let (from, to) = (address(from)?, address(to)?);
    state
        .rename(&from, &to)
        .map_err(|error| Failure::new(error).help("`gaib server state ls` lists what is managed"))?;
    context
        .printer
        .message(&json!({"type": "renamed", "from": from, "to": to}));
    context
        .printer
        .text(&format!("{from} is {to} now. Rename it in the configuration too.\n"));
    Ok(())
}

/// Changes the state under the lock, or leaves it as it is.
async fn change(
    context: &Context,
    workspace: &Workspace,
    operation: &str,
    change: impl FnOnce(&mut State) -> Result<()>,
) -> Result<()> {
    let mut guard = workspace.lock(context, operation).await?;
    let mut state = workspace.state().await?.ok_or_else(|| nothing(workspace))?;
    change(&mut state)?;
    guard.write(&state.advance()).await.map_err(Failure::of_store)?;
    guard.release().await.map_err(Failure::of_store)
}

async fn push(context: &Context, workspace: &Workspace, path: &Path) -> Result<()> {
    let name = path.display().to_string();
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
    let mut pushed = State::from_bytes(&bytes).map_err(|error| {
        Failure::new(format!("{name} is no state: {error}")).help("a state is what `gaib server state pull` writes")
    })?;
    let mut guard = workspace.lock(context, "state push").await?;
    let present = workspace.state().await?;
    check_push(present.as_ref(), &pushed).map_err(|error| {
        Failure::new(format!("{name} was not put in place: {error}"))
            .help("`gaib server state pull` shows the present state; a workspace of its own (`gaib server workspace new`) takes any state")
    })?;
    guard.write(&pushed.advance()).await.map_err(Failure::of_store)?;
    guard.release().await.map_err(Failure::of_store)?;
    context
        .printer
        .message(&json!({"type": "pushed", "serial": pushed.serial, "lineage": pushed.lineage}));
    context.printer.text(&format!(
        "Put {name} in place as the state of workspace {} (serial {}).\n",
        workspace.name, pushed.serial
    ));
    Ok(())
}
