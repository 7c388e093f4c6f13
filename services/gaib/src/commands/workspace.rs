//! `gaib server workspace ls / new / select / delete`.

use arrakis_iac::grammar::counted;
use arrakis_iac::model::Snowflake;
use arrakis_iac_apply::store::{LockRecord, StoreError, WorkspaceName};
use serde_json::json;

use crate::arguments::workspace::{Delete, New, WorkspaceCommand};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::ownership;
use crate::settings::guild_option;
use crate::workspace::{Workspace, lock_holder};
use crate::workspace_state;

pub(super) async fn run(context: &Context, command: &WorkspaceCommand) -> Result<ExitStatus> {
    let mut selected = Workspace::open(context, Some(WorkspaceName::default().as_str()), true).await?;
    match command {
        WorkspaceCommand::Ls => list(context, &selected).await?,
        WorkspaceCommand::New(arguments) => new(context, &mut selected, arguments).await?,
        WorkspaceCommand::Select(arguments) => {
            let name = arguments.name.parse()?;
            selected.backend.select(&name).await?;
            report(
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

fn report(context: &Context, kind: &str, name: &WorkspaceName, text: &str) {
    context.printer.message(&json!({"type": kind, "name": name.as_str()}));
    context.printer.text(text);
}

async fn list(context: &Context, workspace: &Workspace) -> Result<()> {
    let selected = workspace.backend.selected().await?;
    for name in workspace.backend.workspaces().await? {
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
    let name: WorkspaceName = arguments.name.parse()?;
    let guild = guild_option(&arguments.guild)?;
    if workspace.backend.workspaces().await?.contains(&name) {
        return Err(StoreError::WorkspaceExists(name).into());
    }
    if let Some(guild) = guild {
        refuse_managed(context, workspace, &name, guild).await?;
    }
    workspace.backend.create_workspace(&name).await?;
    if let (Some(project), Some(_)) = (&mut workspace.project, guild) {
        project.set_guild(&name, guild);
        project.save()?;
    }
    workspace.backend.select(&name).await?;
    report(
        context,
        "workspace_made",
        &name,
        &format!("Created workspace {name} and selected it.\n"),
    );
    context.printer.note(match guild {
        Some(_) => "Next: gaib server plan",
        None => "Next: gaib server plan --guild ID",
    });
    Ok(())
}

/// Refuses a workspace for a server that another workspace manages, because every apply in it would be refused.
async fn refuse_managed(
    context: &Context,
    workspace: &Workspace,
    name: &WorkspaceName,
    guild: Snowflake,
) -> Result<()> {
    let new = workspace.with_name(name.clone());
    let checked = ownership::check(context, &new, guild, &workspace_state::empty()).await;
    checked.map_err(|refused| {
        let help = format!(
            "no workspace was created. To move the server into a new workspace, create it without --guild (`gaib server workspace new \
             {name}`) and push the state to it. {}",
            refused.what_to_do().unwrap_or_default()
        );
        Failure::new(refused.summary()).help(help)
    })
}

async fn delete(context: &Context, workspace: &mut Workspace, arguments: &Delete) -> Result<()> {
    let name: WorkspaceName = arguments.name.parse()?;
    if name == WorkspaceName::default() {
        return Err(
            Failure::new("workspace default cannot be deleted").help("`gaib server destroy` deletes its resources")
        );
    }
    if workspace.backend.selected().await? == name {
        return Err(Failure::new(format!("workspace {name} is selected"))
            .help("select another workspace first: `gaib server workspace select default`"));
    }
    let deleted = Workspace::open(context, Some(name.as_str()), true).await?;
    if !arguments.force {
        refuse_managing(context, &deleted).await?;
    }
    let (servers, state) = (ownership::servers_of(context, &deleted).await, deleted.state_file());
    workspace.backend.delete_workspace(&name).await?;
    // A later workspace of the same name does not own the server.
    let record = LockRecord::of_this_process(&lock_holder("workspace delete"));
    ownership::release(context, &deleted, &servers, &state, &record).await?;
    if let Some(project) = &mut workspace.project {
        project.set_guild(&name, None);
        project.save()?;
    }
    report(
        context,
        "workspace_deleted",
        &name,
        &format!("Deleted workspace {name}.\n"),
    );
    Ok(())
}

/// Refuses the deletion of a workspace whose state contains resources, is damaged or is missing.
async fn refuse_managing(context: &Context, workspace: &Workspace) -> Result<()> {
    let name = &workspace.name;
    let or_force = |failure: Failure| {
        let help = failure.what_to_do().unwrap_or_default().to_owned();
        failure.help(format!(
            "{help}; or delete the workspace with --force: its resources stay on the server"
        ))
    };
    let Some(state) = workspace_state::read(workspace).await.map_err(or_force)? else {
        return workspace_state::refuse_missing(context, workspace)
            .await
            .map_err(or_force);
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
        "delete {them} with `gaib server destroy --workspace {name}`, or keep {them} on the server with --force"
    )))
}
