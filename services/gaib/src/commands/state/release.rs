//! `gaib server state release`: ends the ownership of a server whose state is missing or damaged.

use std::io::ErrorKind;
use std::path::Path;

use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{ServerLock, ServerMarker, StoreError};
use serde_json::json;

use crate::arguments::state::Release;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::settings::guild_option;
use crate::workspace::{Workspace, lock_holder, shell_quoted};

pub(super) async fn run(context: &Context, arguments: &Release) -> Result<()> {
    let workspace = Workspace::open(arguments.workspace.workspace.as_deref(), false).await?;
    let servers = ownership::servers(context)?.ok_or_else(|| {
        Failure::new("there are no records of managed servers: this user has no home folder")
            .help("set XDG_STATE_HOME to the folder of the records")
    })?;
    let option = guild_option(&arguments.guild)?;
    let mut guilds = match option {
        Some(_) => Vec::new(),
        None => ownership::servers_of(context, &workspace),
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
        let lock = servers.lock(guild, &lock_holder("state release"))?;
        one(context, arguments, guild, &lock)?;
    }
    Ok(())
}

fn one(context: &Context, arguments: &Release, guild: u64, lock: &ServerLock) -> Result<()> {
    let condition = match lock.marker() {
        Ok(None) => {
            context
                .printer
                .note(&format!("No workspace is recorded as managing server {guild}."));
            return Ok(());
        }
        Ok(Some(owner)) => condition(guild, &owner)?,
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
            .confirm(&question, "add --force to skip the confirmation")?;
    }
    lock.release()?;
    let id = guild.to_string();
    context.printer.message(&json!({"type": "released", "guild": id}));
    context
        .printer
        .text(&format!("Server {guild} is no longer managed by a workspace.\n"));
    Ok(())
}

/// Why the state of the owner cannot be used.
///
/// # Errors
/// When it can be used.
fn condition(guild: u64, owner: &ServerMarker) -> Result<String> {
    let folder = owner.folder().map(Path::to_owned).unwrap_or_default();
    let (name, path) = (&owner.workspace, owner.state.display());
    let place = format!("workspace {name} in {}", folder.display());
    let of = format!("server {guild} is managed by {place}");
    match std::fs::read(&owner.state) {
        Ok(bytes) => match State::from_bytes(&bytes) {
            Ok(state) if state.guild_id.is_some_and(|id| id.get() == guild) && !state.is_empty() => Err(Failure::new(
                format!("{of}, and its state can be read"),
            )
            .help(format!(
                "`gaib -C {} server state rm --all --workspace {name}` ends its ownership; the server does not change",
                shell_quoted(&folder)
            ))),
            Ok(_) => Ok(format!("{place} no longer manages resources of server {guild}")),
            Err(error) => Ok(format!("{of}, whose state {path} cannot be read: {error}")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(format!("{of}, whose state is missing (the file {path} does not exist)"))
        }
        Err(error) => Ok(format!("{of}, whose state {path} cannot be read: {error}")),
    }
}
