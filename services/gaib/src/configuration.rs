//! The configuration with its values, from the files that the command line names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrakis_iac::config::{self, Inputs, Loaded, VariableFile};
use arrakis_iac::model::{Address, Configuration};
use arrakis_iac::words::counted;
use arrakis_iac_apply::{Folder, Pictures as _, digest};
use arrakis_themes::{Problems, Registry};
use serde_json::json;

use crate::community;
use crate::error::{Failure, Result};
use crate::printer::{Printer, Severity};
use crate::project;
use crate::settings::Values;

/// A configuration, and the folder that its pictures are relative to.
#[derive(Clone, Debug)]
pub struct Source {
    /// What the server should be.
    pub configuration: Configuration,
    /// Where its pictures are.
    pub folder: PathBuf,
    /// Announcement channels that the theme brings; see [`crate::community`].
    pub theme_announcements: BTreeSet<Address>,
}

/// Reads a file.
///
/// # Errors
/// All that is wrong with it, each with its place.
pub fn read(path: &Path, themes: &Registry, values: &Values, printer: Printer) -> Result<Source> {
    let name = path.display().to_string();
    let bytes = project::read(path).map_err(|error| {
        Failure::new(format!("could not read the configuration {name}: {error}"))
            .help("`gaib server init` writes one; `--file FILE` names another")
    })?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    from_bytes(&name, &bytes, folder, themes, values, printer)
}

/// A theme by itself.
///
/// # Errors
/// When a value does not fit.
pub fn of_theme(theme: &str, themes: &Registry, values: &Values, printer: Printer) -> Result<Source> {
    let text = format!("theme: {}\n", serde_json::Value::from(theme));
    from_bytes("(--theme)", text.as_bytes(), PathBuf::new(), themes, values, printer)
}

fn from_bytes(
    name: &str,
    bytes: &[u8],
    folder: PathBuf,
    themes: &Registry,
    values: &Values,
    printer: Printer,
) -> Result<Source> {
    let loaded =
        config::load(name, bytes, themes, &inputs(values)?).map_err(|problems| wrong(name, &problems, printer))?;
    let Loaded {
        mut configuration,
        warnings,
    } = loaded;
    for warning in warnings {
        printer.diagnostic(Severity::Warning, &warning.to_string(), None);
    }
    look_at_pictures(&mut configuration, &folder);
    let theme_announcements = community::announcements_of_theme(&configuration, themes);
    Ok(Source {
        configuration,
        folder,
        theme_announcements,
    })
}

fn inputs(values: &Values) -> Result<Inputs> {
    let mut files = Vec::new();
    for path in &values.files {
        let name = path.display().to_string();
        let bytes = project::read(path).map_err(|error| {
            Failure::new(format!("could not read the values in {name}: {error}"))
                .help("--var-file names a YAML file with lines like `community_name: Sietch Tabr`")
        })?;
        files.push(VariableFile { name, bytes });
    }
    let flags = values.flags.iter().map(|(name, on)| (name.clone(), on.to_string()));
    Ok(Inputs {
        environment: values.environment.clone(),
        files,
        arguments: values.variables.clone().into_iter().chain(flags).collect(),
    })
}

fn wrong(name: &str, problems: &Problems, printer: Printer) -> Failure {
    for problem in &problems.0 {
        printer.message(&json!({
            "type": "problem", "file": problem.file, "reason": problem.reason, "suggestion": problem.suggestion,
            "line": problem.location.as_ref().map(|place| place.line), "column": problem.location.as_ref().map(|place| place.column),
        }));
    }
    let count = counted(problems.0.len(), "problem");
    Failure::new(format!("{count} with the configuration {name}\n\n{problems}\n"))
        .help("correct what is named above; nothing was changed")
}

/// Discord gives no image back to compare, so the digest of each file is what is compared. A file that cannot be read has none:
/// only what uploads it needs it, and a plan reports it there.
fn look_at_pictures(configuration: &mut Configuration, folder: &Path) {
    let pictures = Folder(folder.to_owned());
    for resource in configuration.resources.values_mut() {
        if let Some(Some(image)) = resource.attributes.image_mut() {
            image.sha256 = pictures.bytes(image).ok().map(|bytes| digest(&bytes));
        }
    }
}
