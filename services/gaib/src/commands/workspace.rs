//! `gaib server workspace ls / new / select / delete`.

use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac::words::counted;
use arrakis_iac_apply::store::{Backend as _, StoreError, WorkspaceName};
use serde_json::json;

use crate::arguments::workspace::{Delete, New, WorkspaceCommand};
use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::ownership;
use crate::recovery;
use crate::session::Workspace;
use crate::settings::guild_id;

pub(super) async fn run(context: &Context, command: &WorkspaceCommand) -> Result<ExitStatus> {
    let mut selected = Workspace::open(Some(WorkspaceName::default().as_str()), true).await?;
    match command {
        WorkspaceCommand::Ls => list(context, &selected).await?,
        WorkspaceCommand::New(arguments) => new(context, &mut selected, arguments).await?,
        WorkspaceCommand::Select(arguments) => {
            let name = arguments.name.parse().map_err(Failure::of_store)?;
            selected.backend.select(&name).await.map_err(Failure::of_store)?;
            tell(
                context,
                "workspace_selected",
                &name,
                &format!("Selected workspace {name}.\n"),
            );
        }
        WorkspaceCommand::Delete(arguments) => delete(context, &mut selected, arguments).await?,
    }
    Ok(ExitStatus::Success)
}

fn tell(context: &Context, kind: &str, name: &WorkspaceName, text: &str) {
    context.printer.message(&json!({"type": kind, "name": name.as_str()}));
    context.printer.text(text);
}

async fn list(context: &Context, workspace: &Workspace) -> Result<()> {
    let selected = workspace.backend.selected().await.map_err(Failure::of_store)?;
    for name in workspace.backend.workspaces().await.map_err(Failure::of_store)? {
        let mark = if name == selected { '*' } else { ' ' };
        let guild = workspace.project.as_ref().and_then(|project| project.guild(&name));
        context.printer.message(
            &json!({"type": "workspace", "name": name.as_str(), "selected": name == selected, "guild": guild}),
        );
        let guild = guild.map(|guild| format!("  (server {guild})")).unwrap_or_default();
        context.printer.text(&format!("{mark} {name}{guild}\n"));
    }
    Ok(())
}

async fn new(context: &Context, workspace: &mut Workspace, arguments: &New) -> Result<()> {
    let name: WorkspaceName = arguments.name.parse().map_err(Failure::of_store)?;
    let guild = arguments.guild.guild.as_deref();
    let guild = guild.map(|said| guild_id("--guild", said)).transpose()?;
    if workspace.backend.names().map_err(Failure::of_store)?.contains(&name) {
        return Err(Failure::of_store(StoreError::WorkspaceExists(name)));
    }
    if let Some(guild) = guild {
        refuse_managed(context, workspace, &name, guild)?;
    }
    workspace
        .backend
        .create_workspace(&name)
        .await
        .map_err(Failure::of_store)?;
    if let (Some(project), Some(_)) = (&mut workspace.project, guild) {
        project.set_guild(&name, guild);
        project.save()?;
    }
    workspace.backend.select(&name).await.map_err(Failure::of_store)?;
    tell(
        context,
        "workspace_made",
        &name,
        &format!("Made workspace {name} and selected it.\n"),
    );
    Ok(())
}

/// A workspace for a server that another one manages could do nothing but be refused.
fn refuse_managed(context: &Context, workspace: &Workspace, name: &WorkspaceName, guild: Snowflake) -> Result<()> {
    let new = workspace.named(name.clone());
    let nothing = State::new(uuid::Uuid::new_v4().to_string());
    ownership::check(context, &new, guild, &nothing).map_err(|refused| {
        let way = format!(
            "no workspace was made. To move the server into a new one, make it without --guild (`gaib server workspace new {name}`) \
             and push the state there. {}",
            refused.what_to_do().unwrap_or_default()
        );
        Failure::new(refused.summary()).help(way)
    })
}

async fn delete(context: &Context, workspace: &mut Workspace, arguments: &Delete) -> Result<()> {
    let name: WorkspaceName = arguments.name.parse().map_err(Failure::of_store)?;
    if name == WorkspaceName::default() {
        return Err(Failure::new("the workspace default stays").help("empty it with `gaib server destroy`"));
    }
    if workspace.backend.selected().await.map_err(Failure::of_store)? == name {
        return Err(Failure::new(format!("workspace {name} is selected"))
            .help("select another first: `gaib server workspace select default`"));
    }
    let own = Workspace::open(Some(name.as_str()), true).await?;
    if !arguments.force {
        refuse_managing(context, &own).await?;
    }
    let (servers, state) = (recovery::owned_servers(context, &own), own.state_file());
    workspace
        .backend
        .delete_workspace(&name)
        .await
        .map_err(Failure::of_store)?;
    // A workspace of the same name that is made later does not own the server.
    recovery::release(context, &servers, &state)?;
    if let Some(project) = &mut workspace.project {
        project.set_guild(&name, None);
        project.save()?;
    }
    tell(
        context,
        "workspace_deleted",
        &name,
        &format!("Deleted workspace {name}.\n"),
    );
    Ok(())
}

/// A workspace whose state manages something, or may do so, is deleted with --force alone.
async fn refuse_managing(context: &Context, workspace: &Workspace) -> Result<()> {
    let name = &workspace.name;
    let force = |failure: Failure| {
        let way = failure.what_to_do().unwrap_or_default().to_owned();
        failure.help(format!(
            "{way}; or delete the workspace with --force: what it made stays on the server"
        ))
    };
    let Some(state) = workspace.state().await.map_err(force)? else {
        return recovery::refuse_lost_state(context, workspace).map_err(force);
    };
    if state.is_empty() {
        return Ok(());
    }
    let managed = state.resources.len() + state.pending.len();
    let them = if managed == 1 { "it" } else { "them" };
    Err(Failure::new(format!(
        "the state of workspace {name} still manages {}",
        counted(managed, "resource")
    ))
    .help(format!(
        "remove {them} with `gaib server destroy --workspace {name}`, or leave {them} on the server with --force"
    )))
}
