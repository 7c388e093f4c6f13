//! `gaib server state release`: the end of an ownership whose state is gone or damaged.

use std::io::ErrorKind;

use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{ServerLock, ServerMarker, StoreError};
use serde_json::json;

use crate::arguments::state::Release;
use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::recovery;
use crate::session::{Workspace, holder};

pub(super) async fn run(context: &Context, arguments: &Release) -> Result<()> {
    let workspace = Workspace::open(arguments.workspace.workspace.as_deref(), false).await?;
    let servers = ownership::servers(context)?.ok_or_else(|| {
        Failure::new("there are no records of managed servers: this user has no home folder")
            .help("set XDG_STATE_HOME to the folder where they are kept")
    })?;
    let mut guilds = match &arguments.guild.guild {
        Some(_) => Vec::new(),
        None => recovery::owned_servers(context, &workspace),
    };
    if guilds.is_empty() {
        let guild = workspace.wanted_guild(arguments.guild.guild.as_deref(), context, None)?;
        guilds.extend(guild.map(Snowflake::get));
    }
    if guilds.is_empty() {
        context.printer.note(&format!(
            "No server is recorded as managed by workspace {}.",
            workspace.name
        ));
    }
    for guild in guilds {
        let lock = servers
            .lock(guild, &holder("state release"))
            .map_err(Failure::of_store)?;
        one(context, arguments, guild, &lock)?;
    }
    Ok(())
}

fn one(context: &Context, arguments: &Release, guild: u64, lock: &ServerLock) -> Result<()> {
    let what = match lock.marker() {
        Ok(None) => {
            context
                .printer
                .note(&format!("No workspace is recorded as managing server {guild}."));
            return Ok(());
        }
        Ok(Some(owner)) => condition(guild, &owner)?,
        Err(error @ StoreError::Owner { .. }) => error.to_string(),
        Err(error) => return Err(Failure::of_store(error)),
    };
    if !arguments.force {
        let question = format!(
            "{what}. End its ownership? An apply then creates everything again beside what server {guild} has, unless `gaib server \
             import --all` takes that in first."
        );
        context
            .prompt
            .confirm(&question, "yes", "consent beforehand with --force")?;
    }
    lock.release().map_err(Failure::of_store)?;
    let id = guild.to_string();
    context.printer.message(&json!({"type": "released", "guild": id}));
    context
        .printer
        .text(&format!("Server {guild} is managed by no workspace now.\n"));
    Ok(())
}

/// What is wrong with the state of the owner; refused where nothing is.
fn condition(guild: u64, owner: &ServerMarker) -> Result<String> {
    let folder = owner
        .folder()
        .map(|folder| folder.display().to_string())
        .unwrap_or_default();
    let (name, path) = (&owner.workspace, owner.state.display());
    let of = format!("server {guild} is managed by workspace {name} in {folder}");
    match std::fs::read(&owner.state) {
        Ok(bytes) => match State::from_bytes(&bytes) {
            Ok(state) if state.guild_id.is_some_and(|id| id.get() == guild) && !state.is_empty() => {
                Err(Failure::new(format!("{of}, and its state can be read")).help(format!(
                    "`gaib -C {} server state rm --all --workspace {name}` ends its ownership and keeps the server as it is",
                    ownership::shell_word(&folder)
                )))
            }
            Ok(_) => Ok(format!("workspace {name} in {folder} manages nothing on server {guild} any more")),
            Err(error) => Ok(format!("{of}, whose state {path} cannot be read: {error}")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(format!("{of}, whose state is gone (there is no file {path})"))
        }
        Err(error) => Ok(format!("{of}, whose state {path} cannot be read: {error}")),
    }
}
