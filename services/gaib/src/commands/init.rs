//! `gaib server init`: the files of a new folder.

use std::path::Path;

use arrakis_domain::Theme;
use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{Backend as _, LocalStore, WorkspaceName};
use serde_json::json;

use crate::arguments::server;
use crate::commands::{Context, theme};
use crate::community;
use crate::configuration;
use crate::error::{Failure, OrFail as _, Result};
use crate::exit::ExitStatus;
use crate::ownership;
use crate::printer::Severity;
use crate::project::{self, Project, store_folder};
use crate::session::Workspace;
use crate::settings::guild_id;

const EMPTY: &str = "\
# A Discord server as it should be; what is not in this file is left as it is. `gaib server plan` shows what would change.
# For a server that is there already: `gaib server import --all` writes it into this file and manages it from then on.
# An example; remove the `#` to use it:
#
# roles:
#   moderator: { name: Moderator, color: \"#E67E22\", hoist: true, permissions: [KICK_MEMBERS, MANAGE_MESSAGES] }
#
# categories:
#   lobby:
#     name: Lobby
#     channels:
#       rules: { topic: How we treat each other., overwrites: { everyone: { deny: [SEND_MESSAGES] } } }
#       general: { topic: Everything else. }
version: 1
";

pub(super) async fn run(context: &Context, arguments: &server::Init) -> Result<ExitStatus> {
    let mut project = Project::open("")?.unwrap_or_else(|| Project::new(""));
    let path = project.configuration();
    if path.exists() && !arguments.force {
        return Err(Failure::new(format!("{} is there already", path.display()))
            .help("`gaib server plan` works with it as it is; --force replaces it"));
    }
    let guild = match arguments.guild.guild.as_deref() {
        Some(said) => Some(guild_id("--guild", said)?),
        None => context.environment.guild()?,
    };
    let text = match &arguments.theme {
        Some(name) => of_theme(context, name, arguments)?,
        None => EMPTY.to_owned(),
    };
    project::write(&path, text.as_bytes())?;
    let workspace = WorkspaceName::default();
    if guild.is_some() {
        project.set_guild(&workspace, guild);
    }
    project.save()?;
    let states = store_folder(Path::new("")).join("workspaces").join(workspace.as_str());
    std::fs::create_dir_all(&states).or_fail(format_args!("make {}", states.display()))?;
    LocalStore::new(store_folder(Path::new("")), "")
        .select(&workspace)
        .await
        .map_err(Failure::of_store)?;
    warn_of_other_workspace(context, guild).await?;
    let path = path.display().to_string();
    context
        .printer
        .message(&json!({"type": "initialised", "configuration": path, "guild": guild.map(|id| id.to_string())}));
    context
        .printer
        .text(&format!("Wrote {path} and .gaib/ (workspace {workspace}).\n"));
    context.printer.note(match guild {
        Some(_) => "Next: gaib server plan",
        None => "Next: gaib server plan --guild ID (or record the server with `gaib server init --guild ID --force`)",
    });
    Ok(ExitStatus::Success)
}

/// A folder may be made for a server that another workspace manages, to move the server there; an apply would be refused.
async fn warn_of_other_workspace(context: &Context, guild: Option<Snowflake>) -> Result<()> {
    let workspace = Workspace::open(Some(WorkspaceName::default().as_str()), true).await?;
    // A state that cannot be read is reported by the commands that use it.
    let Some(guild) = guild else { return Ok(()) };
    let state = workspace.state().await.ok().flatten();
    let state = state.unwrap_or_else(|| State::new(uuid::Uuid::new_v4().to_string()));
    if let Err(refused) = ownership::check(context, &workspace, guild, &state) {
        context
            .printer
            .diagnostic(Severity::Warning, refused.summary(), refused.what_to_do());
    }
    Ok(())
}

/// A configuration that uses a theme, with the values that were given, checked before it is written.
fn of_theme(context: &Context, name: &str, arguments: &server::Init) -> Result<String> {
    let themes = theme::registry(context)?;
    let theme = themes.theme(name).map_err(theme::unknown_theme)?;
    let values = context.environment.values(&arguments.variables)?;
    let source = configuration::of_theme(name, &themes, &values, context.printer)?;
    let mut text = format!(
        "# {} {}: {}\n# `gaib server theme info {name}` lists its variables and flags; values in this file replace the theme's.\n",
        theme.name, theme.version, theme.description
    );
    let mut flags = values.flags.clone();
    let variables: Vec<(&String, &String)> = values
        .variables
        .iter()
        .filter(|(key, _)| !theme.flags.contains_key(*key))
        .collect();
    for (key, value) in values
        .variables
        .iter()
        .filter(|(key, _)| theme.flags.contains_key(*key))
    {
        flags.insert(key.clone(), value == "true");
    }
    text.push_str(&format!("theme:\n  name: {name}\n"));
    if !variables.is_empty() {
        text.push_str("  variables:\n");
        for (key, value) in variables {
            text.push_str(&format!("    {key}: {}\n", serde_json::Value::from(value.as_str())));
        }
    }
    if !flags.is_empty() {
        text.push_str("  flags:\n");
        for (key, on) in &flags {
            text.push_str(&format!("    {key}: {on}\n"));
        }
    }
    if arguments.community {
        let lines = community::lines(&source.configuration).ok_or_else(|| {
            Failure::new(format!(
                "the theme {name} has no text channel that could be the rules channel of a Community server"
            ))
            .help("leave --community out, and enable Community in Discord (Server Settings, Enable Community)")
        })?;
        text.push_str(&format!(
            "\n# Enables Community, which announcement channels need. Discord requires these channels.\n{lines}"
        ));
    }
    text.push_str(&example_of(theme));
    Ok(text)
}

/// How to change something of the theme, as a comment.
fn example_of(theme: &Theme) -> String {
    let Some(role) = theme
        .roles
        .iter()
        .find(|role| !role.permissions.contains(arrakis_domain::Permission::Administrator))
    else {
        return String::new();
    };
    format!(
        "\n# Anything of the theme can be changed by its logical name, and anything added:\n#\n# roles:\n#   {}: {{ color: \"#1ABC9C\" }}\n",
        role.key.as_str()
    )
}
