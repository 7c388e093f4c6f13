//! `gaib server init`: creates the configuration and `.gaib/`, or records the server of an existing configuration.

use std::path::Path;

use arrakis_domain::Theme;
use arrakis_iac::config::{self, VariableInputs};
use arrakis_iac::export;
use arrakis_iac::model::{Address, Configuration, Snowflake, ThemeUse};
use arrakis_iac_apply::store::WorkspaceName;
use arrakis_themes::Registry;
use serde_json::json;

use crate::arguments::server;
use crate::commands::theme;
use crate::community;
use crate::configuration;
use crate::context::Context;
use crate::error::{Failure, OrFail as _, Result};
use crate::exit::ExitStatus;
use crate::files;
use crate::ownership;
use crate::printer::Severity;
use crate::project::{CONFIGURATION, Project, store_folder};
use crate::settings::guild_option;
use crate::workspace::{Workspace, open_store};
use crate::workspace_state;

const TEMPLATE: &str = "\
# Configuration of a Discord server. Resources that are not in this file do not change. `gaib server plan` shows the changes.
# For an existing server: `gaib server import --all` writes it to this file, and gaib manages it from then on.
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
    let given = guild_option(&arguments.guild)?;
    if path.exists() && !arguments.force {
        return match given {
            Some(guild) if arguments.theme.is_none() => record_server(context, project, guild).await,
            _ => Err(Failure::new(format!("{} already exists", path.display())).help(
                "`gaib server plan` uses the existing file; `gaib server init --guild ID` records its server; --force replaces it",
            )),
        };
    }
    let guild = match given {
        Some(guild) => Some(guild),
        None => context.environment.guild()?,
    };
    let (text, settings) = match &arguments.theme {
        Some(name) => of_theme(context, name, arguments)?,
        None => (TEMPLATE.to_owned(), None),
    };
    back_up(context, &path, text.as_bytes())?;
    files::write(&path, text.as_bytes())?;
    let store = open_store(context, Path::new(""), Some(&project)).await?;
    let workspace = store.selected().await?;
    save(&mut project, &workspace, guild, store.local().is_some())?;
    store.select(&workspace).await?;
    warn_of_other_workspace(context, &workspace, guild).await?;
    let path = path.display().to_string();
    context
        .printer
        .message(&json!({"type": "initialised", "configuration": path, "guild": guild.map(|id| id.to_string())}));
    context
        .printer
        .text(&format!("Wrote {path} and .gaib/ (workspace {workspace}).\n"));
    if let Some(settings) = settings {
        context.printer.note(&settings);
    }
    context.printer.note(match guild {
        Some(_) if arguments.theme.is_none() => {
            "Next: gaib server import --all, for a server that has roles or channels already; else write the configuration, then gaib \
             server plan"
        }
        Some(_) => "Next: gaib server plan",
        None => "Next: gaib server plan --guild ID (or record the server with `gaib server init --guild ID`)",
    });
    Ok(ExitStatus::Success)
}

/// Records the server of the selected workspace. The configuration does not change.
async fn record_server(context: &Context, mut project: Project, guild: Snowflake) -> Result<ExitStatus> {
    let store = open_store(context, Path::new(""), Some(&project)).await?;
    let workspace = store.selected().await?;
    save(&mut project, &workspace, Some(guild), store.local().is_some())?;
    warn_of_other_workspace(context, &workspace, Some(guild)).await?;
    let path = project.configuration().display().to_string();
    context
        .printer
        .message(&json!({"type": "initialised", "configuration": path, "guild": guild.to_string()}));
    context.printer.text(&format!(
        "Recorded server {guild} for workspace {workspace}; {path} did not change.\n"
    ));
    context.printer.note("Next: gaib server plan");
    Ok(ExitStatus::Success)
}

/// Saves the project, with the server of the workspace, and creates the folder of the workspace's state where it is local.
fn save(project: &mut Project, workspace: &WorkspaceName, guild: Option<Snowflake>, is_local: bool) -> Result<()> {
    if guild.is_some() {
        project.set_guild(workspace, guild);
    }
    project.save()?;
    if !is_local {
        return Ok(());
    }
    let states = store_folder(Path::new("")).join("workspaces").join(workspace.as_str());
    std::fs::create_dir_all(&states).or_fail(format_args!("create {}", states.display()))
}

/// Copies an existing configuration to `FILE.bak`, unless `text` is its content.
fn back_up(context: &Context, path: &Path, text: &[u8]) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let former = files::read(path).or_fail(format_args!("read {}", path.display()))?;
    if former == text {
        return Ok(());
    }
    let copy = path.with_added_extension("bak");
    if copy.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{} already exists", copy.display())).help(format!(
            "--force keeps the former {} there: move the file away, or delete it",
            path.display()
        )));
    }
    files::write(&copy, &former)?;
    context
        .printer
        .note(&format!("Kept the former configuration as {}.", copy.display()));
    Ok(())
}

/// Warns when another workspace manages the server, because an apply would be refused. It is no error: the server may be moved
/// into this folder.
async fn warn_of_other_workspace(context: &Context, name: &WorkspaceName, guild: Option<Snowflake>) -> Result<()> {
    let workspace = Workspace::open(context, Some(name.as_str()), true).await?;
    // The commands that use the state report that it cannot be read.
    let Some(guild) = guild else { return Ok(()) };
    let state = workspace.read_state().await.ok().flatten();
    let state = state.unwrap_or_else(workspace_state::empty);
    if let Err(refused) = ownership::check(context, &workspace, guild, &state).await {
        context
            .printer
            .diagnostic(Severity::Warning, refused.summary(), refused.what_to_do());
    }
    Ok(())
}

/// The text of a configuration from a theme with the given values, which are checked: with all resources of the theme, or with a
/// reference to it. With it, what it changes of the server itself.
fn of_theme(context: &Context, name: &str, arguments: &server::Init) -> Result<(String, Option<String>)> {
    let themes = configuration::themes(context)?;
    let theme = themes.theme(name).map_err(theme::unknown_theme)?;
    let loaded = configuration::of_theme(context, name, &arguments.variables)?;
    let settings = settings_of(&loaded.configuration, arguments.link);
    let text = match arguments.link {
        true => linked(context, theme, &loaded.configuration, arguments)?,
        false => merged(&themes, theme, loaded.configuration, arguments)?,
    };
    Ok((text, settings))
}

/// What the theme changes of the server itself, for people: an existing server gets another name. `None` where it changes nothing.
fn settings_of(configuration: &Configuration, is_linked: bool) -> Option<String> {
    let server = configuration.get(&Address::SERVER)?;
    let configured = server.to_map();
    let others: Vec<&str> = server
        .fields()
        .iter()
        .copied()
        .filter(|field| *field != "name" && configured.contains_key(*field))
        .collect();
    let name = server.name().map(|name| format!("names the server \"{name}\""));
    let settings = (!others.is_empty()).then(|| format!("sets {}", others.join(", ")));
    let changes: Vec<String> = name.into_iter().chain(settings).collect();
    if changes.is_empty() {
        return None;
    }
    let changes = changes.join(" and ");
    Some(match is_linked {
        true => format!(
            "The theme {changes}: an apply replaces the present values. A section `server` in the file overrides those of the theme."
        ),
        false => format!(
            "The section `server` {changes}: an apply replaces the present values. Without this section, the server keeps them."
        ),
    })
}

/// The text of a configuration with all resources of the theme. A text that is not read as the same configuration is refused.
fn merged(
    themes: &Registry,
    theme: &Theme,
    mut configuration: Configuration,
    arguments: &server::Init,
) -> Result<String> {
    let id = theme.id.as_str();
    let settings = configuration.theme.as_ref().map(ThemeUse::settings);
    let theme = themes
        .with_settings(id, &settings.unwrap_or_default())
        .map_err(Failure::new)?;
    if arguments.community && !community::enable(&mut configuration) {
        return Err(no_rules_channel(id));
    }
    let text = export::merged(&configuration, &theme);
    let problems = match config::load(CONFIGURATION, text.as_bytes(), themes, &VariableInputs::default()) {
        Ok(read) if read.configuration.digest() == configuration.digest() => return Ok(text),
        Ok(_) => "it would be read as another configuration".to_owned(),
        Err(problems) => format!("\n\n{problems}\n"),
    };
    Err(Failure::new(format!(
        "could not write the resources of the theme {id} to a file: {problems}"
    ))
    .help("correct the theme, or add --link: the file then refers to the theme"))
}

fn no_rules_channel(theme: &str) -> Failure {
    Failure::new(format!(
        "the theme {theme} has no text channel that could be the rules channel of a Community server"
    ))
    .help("remove --community, and enable Community in Discord (Server Settings, Enable Community)")
}

/// The text of a configuration that refers to the theme.
fn linked(context: &Context, theme: &Theme, configuration: &Configuration, arguments: &server::Init) -> Result<String> {
    let name = theme.id.as_str();
    let values = context.environment.values(&arguments.variables)?;
    let mut text = format!(
        "# {} {}: {}\n# `gaib server theme info {name}` lists its variables and flags; values in this file override those of the theme.\n",
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
        let lines = community::configuration_lines(configuration).ok_or_else(|| no_rules_channel(name))?;
        text.push_str(&format!(
            "\n# Enables Community, which announcement channels require. Discord requires these channels.\n{lines}"
        ));
    }
    text.push_str(&example_of(theme));
    Ok(text)
}

/// A comment with an example that overrides a role of the theme.
fn example_of(theme: &Theme) -> String {
    let Some(role) = theme
        .roles
        .iter()
        .find(|role| !role.permissions.contains(arrakis_domain::Permission::Administrator))
    else {
        return String::new();
    };
    format!(
        "\n# Resources of the theme can be overridden by their logical names, and others added:\n#\n# roles:\n#   {}: {{ color: \"#1ABC9C\" }}\n",
        role.key.as_str()
    )
}
