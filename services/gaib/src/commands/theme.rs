//! `gaib server theme ls / info / validate / registry / history / rollback`.

mod registry;
mod rollback;

use std::path::Path;

use arrakis_domain::{Theme, Value};
use arrakis_iac::grammar::counted;
use arrakis_themes::{Registry, RegistryError, Settings, ThemeFolder, ThemeTemplate};
use serde_json::json;

use crate::arguments::theme::ThemeCommand;
use crate::configuration;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::table::table;

pub(super) async fn run(context: &Context, command: &ThemeCommand) -> Result<ExitStatus> {
    match command {
        ThemeCommand::Ls => list(context, &configuration::themes(context)?),
        ThemeCommand::Info(info) => {
            let registry = configuration::themes(context)?;
            show(context, registry.theme(&info.theme).map_err(unknown_theme)?);
        }
        ThemeCommand::Validate(validate) => check(context, &validate.theme)?,
        ThemeCommand::Registry(arguments) => registry::show(context, arguments).await?,
        ThemeCommand::History(arguments) => registry::history(context, arguments).await?,
        ThemeCommand::Rollback(arguments) => rollback::run(context, arguments).await?,
    }
    Ok(ExitStatus::Success)
}

/// The error for a theme that does not exist.
pub(super) fn unknown_theme(error: RegistryError) -> Failure {
    Failure::new(error).help("`gaib server theme ls` lists the themes; THEMES_DIR adds a folder with other themes")
}

fn counts(theme: &Theme) -> [usize; 4] {
    let channels = theme.categories.iter().map(|category| category.channels.len()).sum();
    [
        theme.variable_count(),
        theme.roles.len(),
        theme.categories.len(),
        channels,
    ]
}

fn list(context: &Context, registry: &Registry) {
    let mut rows = Vec::new();
    for theme in registry.all() {
        let [variables, roles, categories, channels] = counts(theme);
        context.printer.message(&json!({
            "type": "theme", "id": theme.id.as_str(), "name": theme.name, "version": theme.version,
            "description": theme.description, "tags": theme.tags,
            "variables": variables, "roles": roles, "categories": categories, "channels": channels,
        }));
        rows.push([
            theme.id.as_str().to_owned(),
            theme.version.clone(),
            roles.to_string(),
            categories.to_string(),
            channels.to_string(),
            theme.description.clone(),
        ]);
    }
    let heading = ["THEME", "VERSION", "ROLES", "CATEGORIES", "CHANNELS", "DESCRIPTION"];
    context.printer.text(&table(heading, &rows));
}

fn show(context: &Context, theme: &Theme) {
    let [variables, roles, categories, channels] = counts(theme);
    let described: Vec<_> = theme
        .variables
        .iter()
        .map(|(name, variable)| json!({"name": name, "type": type_name(&variable.default), "default": value_text(&variable.default), "description": variable.description}))
        .collect();
    let flags: Vec<_> = theme
        .flags
        .iter()
        .map(|(name, flag)| json!({"name": name, "default": flag.default, "description": flag.description}))
        .collect();
    context.printer.message(&json!({
        "type": "theme", "id": theme.id.as_str(), "name": theme.name, "version": theme.version,
        "description": theme.description, "tags": theme.tags, "variables": described, "flags": flags,
        "counts": {"variables": variables, "roles": roles, "categories": categories, "channels": channels},
    }));
    let mut text = format!(
        "{} {} ({})\n{}\n\nTags:        {}\nVariables:   {}\nFlags:       {}\nRoles:       {roles}\nCategories:  {categories}\nChannels:    {channels}\n",
        theme.name,
        theme.version,
        theme.id.as_str(),
        theme.description,
        theme.tags.join(", "),
        theme.variables.len(),
        theme.flags.len(),
    );
    let rows: Vec<[String; 4]> = theme
        .variables
        .iter()
        .map(|(name, variable)| {
            let kind = type_name(&variable.default).to_owned();
            [
                name.clone(),
                kind,
                value_text(&variable.default),
                variable.description.clone(),
            ]
        })
        .collect();
    text.push('\n');
    text.push_str(&table(["VARIABLE", "TYPE", "DEFAULT", "DESCRIPTION"], &rows));
    let rows: Vec<[String; 3]> = theme
        .flags
        .iter()
        .map(|(name, flag)| {
            let default = if flag.default { "on" } else { "off" };
            [name.clone(), default.to_owned(), flag.description.clone()]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(["FLAG", "DEFAULT", "DESCRIPTION"], &rows));
    }
    text.push_str(&format!("\nUse it:  gaib server init --theme {}\n", theme.id.as_str()));
    context.printer.text(&text);
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "string",
        Value::Color(_) => "color",
        Value::Boolean(_) => "boolean",
        Value::Number(_) => "number",
        Value::List(_) => "list",
    }
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Color(color) => color.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::List(items) => items.join(", "),
    }
}

fn check(context: &Context, path: &Path) -> Result<()> {
    let folder = match path.is_dir() {
        true => ThemeFolder::read(path).map_err(Failure::new)?,
        false => folder_of(context, path)?,
    };
    let label = folder.label.clone();
    let theme = ThemeTemplate::parse(folder).and_then(|template| template.resolve(&Settings::default()));
    let theme = theme.map_err(|problems| {
        configuration::print_problems(&problems, context.printer);
        let count = counted(problems.0.len(), "problem");
        Failure::new(format!("{label}: {count}\n\n{problems}\n")).help("correct the problems above and validate again")
    })?;
    let [variables, roles, categories, channels] = counts(&theme);
    context
        .printer
        .message(&json!({"type": "theme_valid", "id": theme.id.as_str(), "version": theme.version}));
    context.printer.text(&format!(
        "{label}: {} {} is valid: {}, {}, {}, {}.\n",
        theme.name,
        theme.version,
        counted(variables, "variable"),
        counted(roles, "role"),
        counted(categories, "category"),
        counted(channels, "channel")
    ));
    Ok(())
}

/// The folder of a theme by its id: one that gaib contains, or one of `THEMES_DIR`.
fn folder_of(context: &Context, path: &Path) -> Result<ThemeFolder> {
    let id = path.to_string_lossy();
    let mut folders = ThemeFolder::embedded();
    if let Some(directory) = context.environment.themes_dir()? {
        folders.extend(ThemeFolder::read_all(&directory).map_err(Failure::new)?);
    }
    let known: Vec<String> = folders.iter().map(|folder| folder.id.clone()).collect();
    folders.into_iter().find(|folder| *folder.id == *id).ok_or_else(|| {
        Failure::new(format!("{id} is neither a folder nor a theme id")).help(format!(
            "the themes are {}; another theme is given by the path of its folder, for example ./themes/{id}",
            known.join(", ")
        ))
    })
}
