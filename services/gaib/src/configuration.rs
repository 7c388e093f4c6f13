//! Loading of the configuration that the command line names, with the values of its variables.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrakis_iac::config::{self, Loaded, VariableFile, VariableInputs};
use arrakis_iac::grammar::counted;
use arrakis_iac::model::{Address, Configuration, ThemeUse};
use arrakis_iac::plan::Mode;
use arrakis_themes::{Problems, Registry};
use serde_json::json;

use crate::arguments::VariableArguments;
use crate::arguments::server::ConfigurationArguments;
use crate::community;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::files;
use crate::images;
use crate::printer::{Printer, Severity};
use crate::project::{CONFIGURATION, Project};
use crate::settings::Values;
use crate::workspace::Workspace;

/// A configuration with what its file does not contain.
#[derive(Clone, Debug)]
pub struct LoadedConfiguration {
    /// The configuration, with its variables replaced by their values.
    pub configuration: Configuration,
    /// The folder that paths of images are relative to.
    pub folder: PathBuf,
    /// Announcement channels that come from the theme; see [`crate::community`].
    pub theme_announcements: BTreeSet<Address>,
}

/// The themes that gaib contains, and those of `THEMES_DIR`.
///
/// # Errors
/// When a theme is invalid.
pub fn themes(context: &Context) -> Result<Registry> {
    let directory = context.environment.themes_dir()?;
    Registry::load(directory.as_deref()).map_err(|error| {
        Failure::new(error).help("correct the theme (`gaib server theme validate FOLDER`), or unset THEMES_DIR")
    })
}

/// The path of the configuration: `file` (the value of `--file`), else that of the project, else `discord-server.yaml`.
#[must_use]
pub fn path(project: Option<&Project>, file: Option<&Path>) -> PathBuf {
    let of_project = || project.map(Project::configuration);
    let file = file.map(Path::to_owned).or_else(of_project);
    file.unwrap_or_else(|| CONFIGURATION.into())
}

/// Loads the configuration for a plan in this mode. Only [`Mode::Apply`] has one; for the other modes it is empty.
///
/// # Errors
/// As [`read`].
pub fn for_mode(
    context: &Context,
    workspace: &Workspace,
    arguments: &ConfigurationArguments,
    mode: Mode,
) -> Result<LoadedConfiguration> {
    if mode == Mode::Apply {
        let path = path(workspace.project.as_ref(), arguments.file.as_deref());
        return read(context, &path, &arguments.variables);
    }
    Ok(LoadedConfiguration {
        configuration: Configuration::default(),
        folder: workspace.configuration_folder(),
        theme_announcements: BTreeSet::new(),
    })
}

/// Loads a configuration file. Prints its warnings, and a note when the theme that it was written from has changed.
///
/// # Errors
/// All problems of the file, with line and column.
pub fn read(context: &Context, path: &Path, variables: &VariableArguments) -> Result<LoadedConfiguration> {
    let name = path.display().to_string();
    let values = context.environment.values(variables)?;
    let themes = themes(context)?;
    let bytes = files::read(path).map_err(|error| {
        let failure = Failure::new(format!("could not read the configuration {name}: {error}"));
        match error.kind() {
            ErrorKind::NotFound => failure.help("check the path; `gaib server init` creates a configuration"),
            ErrorKind::IsADirectory => failure.help(format!(
                "{name} is a folder: name a file, for example {}",
                path.join(CONFIGURATION).display()
            )),
            _ => failure.help("check the path, and this user's permissions on the file"),
        }
    })?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let loaded = load(context, &name, &bytes, folder, &themes, &values)?;
    if let (Some(theme), Some(current)) = (
        &loaded.configuration.theme,
        config::changed_theme(&loaded.configuration, &themes),
    ) {
        note_changed_theme(context.printer, &name, theme, &current);
    }
    Ok(loaded)
}

/// Prints that the theme that a file was written from has changed. The file stays valid.
fn note_changed_theme(printer: Printer, file: &str, theme: &ThemeUse, current: &ThemeUse) {
    let (id, from, to) = (&theme.id, &theme.version, &current.version);
    printer.message(&json!({"type": "theme_changed", "file": file, "theme": id, "from": from, "to": to}));
    let change = match from == to {
        true => "which has changed since".to_owned(),
        false => format!("and the theme is at version {to} now"),
    };
    printer.note(&format!(
        "{file} was written from the theme {id} {from}, {change}. The file does not change with it; `gaib server init --theme {id} \
         --force` writes it again and keeps the former one."
    ));
}

/// Loads the configuration that consists of a theme.
///
/// # Errors
/// When the theme does not exist, or a value is invalid.
pub fn of_theme(context: &Context, theme: &str, variables: &VariableArguments) -> Result<LoadedConfiguration> {
    let values = context.environment.values(variables)?;
    let themes = themes(context)?;
    let text = format!("theme: {}\n", serde_json::Value::from(theme));
    load(context, "(--theme)", text.as_bytes(), PathBuf::new(), &themes, &values)
}

fn load(
    context: &Context,
    name: &str,
    bytes: &[u8],
    folder: PathBuf,
    themes: &Registry,
    values: &Values,
) -> Result<LoadedConfiguration> {
    let printer = context.printer;
    let Loaded {
        mut configuration,
        warnings,
    } = config::load(name, bytes, themes, &inputs(values)?).map_err(|problems| invalid(name, &problems, printer))?;
    for warning in warnings {
        printer.diagnostic(Severity::Warning, &warning.to_string(), None);
    }
    images::record_digests(&mut configuration, &folder);
    let theme_announcements = community::announcements_of_theme(&configuration, themes);
    Ok(LoadedConfiguration {
        configuration,
        folder,
        theme_announcements,
    })
}

fn inputs(values: &Values) -> Result<VariableInputs> {
    let mut files = Vec::new();
    for path in &values.files {
        let name = path.display().to_string();
        let bytes = files::read(path).map_err(|error| {
            Failure::new(format!("could not read the values in {name}: {error}"))
                .help("--var-file takes a YAML file with lines such as `community_name: Sietch Tabr`")
        })?;
        files.push(VariableFile { name, bytes });
    }
    let flags = values.flags.iter().map(|(name, on)| (name.clone(), on.to_string()));
    Ok(VariableInputs {
        environment: values.environment.clone(),
        files,
        arguments: values.variables.clone().into_iter().chain(flags).collect(),
    })
}

fn invalid(name: &str, problems: &Problems, printer: Printer) -> Failure {
    print_problems(problems, printer);
    let count = counted(problems.0.len(), "problem");
    Failure::new(format!("{count} with the configuration {name}\n\n{problems}\n"))
        .help("correct the problems above; nothing was changed")
}

/// Writes one message with `--json` for each problem of a configuration or a theme.
pub fn print_problems(problems: &Problems, printer: Printer) {
    for problem in &problems.0 {
        printer.message(&json!({
            "type": "problem", "file": problem.file, "reason": problem.reason, "suggestion": problem.suggestion,
            "line": problem.location.as_ref().map(|location| location.line),
            "column": problem.location.as_ref().map(|location| location.column),
        }));
    }
}
