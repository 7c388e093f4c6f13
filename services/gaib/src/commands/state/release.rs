//! `gaib server state release`: ends the ownership of a server whose state is missing or damaged.

use std::path::Path;

use arrakis_iac::model::Snowflake;
use arrakis_iac_apply::store::{LockRecord, ServerMarker, StoreError};
use serde_json::json;

use crate::arguments::state::Release;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::settings::guild_option;
use crate::workspace::{Workspace, lock_holder, shell_quoted};

pub(super) async fn run(context: &Context, arguments: &Release) -> Result<()> {
    let workspace = Workspace::open(context, arguments.workspace.workspace.as_deref(), false).await?;
    if ownership::servers(context)?.is_none() && workspace.backend.local().is_some() {
        return Err(
            Failure::new("there are no records of managed servers: this user has no home folder")
                .help("set XDG_STATE_HOME to the folder of the records"),
        );
    }
    let option = guild_option(&arguments.guild)?;
    let mut guilds = match option {
        Some(_) => Vec::new(),
        None => ownership::servers_of(context, &workspace).await,
    };
    if guilds.is_empty() {
        let guild = workspace.guild(context, option, None)?;
        guilds.extend(guild.map(Snowflake::get));
    }
    if guilds.is_empty() {
        context.printer.note(&format!(
            "No server is recorded as managed by workspace {}.",
            workspace.name
        ));
    }
    for guild in guilds {
        one(context, arguments, &workspace, guild).await?;
    }
    Ok(())
}

/// Ends the ownership of one server, on this machine and in the store of the workspace.
async fn one(context: &Context, arguments: &Release, workspace: &Workspace, guild: u64) -> Result<()> {
    let record = LockRecord::of_this_process(&lock_holder("state release"));
    context.interruption.listen(context.printer);
    let local = match ownership::servers(context)? {
        Some(servers) => Some(servers.lock(guild, &record)?),
        None => None,
    };
    let mut released = false;
    if let Some(lock) = &local {
        released |= confirmed(context, arguments, workspace, guild, lock.marker()).await?;
        if released {
            lock.release()?;
        }
    }
    if let Some(servers) = ownership::remote_servers(context, workspace)? {
        let lock = servers.lock(guild, &record).await?;
        let result = match released {
            // The same question was confirmed for the marker on this machine.
            true => Ok(true),
            false => confirmed(context, arguments, workspace, guild, lock.marker().await).await,
        };
        let removed = match result {
            Ok(true) => lock.release().await.map_err(Failure::from),
            _ => Ok(()),
        };
        lock.unlock().await?;
        removed?;
        released |= result?;
    }
    if !released {
        context
            .printer
            .note(&format!("No workspace is recorded as managing server {guild}."));
        return Ok(());
    }
    let id = guild.to_string();
    context.printer.message(&json!({"type": "released", "guild": id}));
    context
        .printer
        .text(&format!("Server {guild} is no longer managed by a workspace.\n"));
    Ok(())
}

/// Whether there is a marker, and its removal is confirmed.
///
/// # Errors
/// When the state of the owner can be used, or the user does not confirm.
async fn confirmed(
    context: &Context,
    arguments: &Release,
    workspace: &Workspace,
    guild: u64,
    marker: Result<Option<ServerMarker>, StoreError>,
) -> Result<bool> {
    let condition = match marker {
        Ok(None) => return Ok(false),
        Ok(Some(owner)) => condition(workspace, guild, &owner).await?,
        Err(error @ StoreError::Owner { .. }) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    if !arguments.force {
        let question = format!(
            "{condition}. End its ownership? The next apply then creates every resource of server {guild} again, unless `gaib server \
             import --all` imports the existing ones first."
        );
        context
            .prompt
            .confirm(&question, "add --force to skip the confirmation")
            .await?;
    }
    Ok(true)
}

/// Why the state of the owner cannot be used.
///
/// # Errors
/// When it can be used.
async fn condition(workspace: &Workspace, guild: u64, owner: &ServerMarker) -> Result<String> {
    let folder = owner.folder().unwrap_or(Path::new(""));
    let name = &owner.workspace;
    let place = format!("workspace {name} in {}", folder.display());
    let of = format!("server {guild} is managed by {place}");
    match ownership::read_state_of(workspace, owner).await {
        Ok(Some(state)) if state.guild_id.is_some_and(|id| id.get() == guild) && !state.is_empty() => {
            Err(Failure::new(format!("{of}, and its state can be read")).help(format!(
                "`gaib -C {} server state rm --all --workspace {name}` ends its ownership; the server does not change",
                shell_quoted(folder)
            )))
        }
        Ok(Some(_)) => Ok(format!("{place} no longer manages resources of server {guild}")),
        Ok(None) => Ok(format!(
            "{of}, whose state is missing (the file {} does not exist)",
            owner.state.display()
        )),
        Err(reason) => Ok(format!("{of}, whose state {reason}")),
    }
}
