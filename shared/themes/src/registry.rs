//! [`Registry`]: the built-in themes and an operator's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrakis_domain::{Plan, Theme, ThemeId};

use crate::folder::{FolderError, ThemeFolder};
use crate::problem::{Problem, Problems, nearest};
use crate::settings::Settings;
use crate::template::ThemeTemplate;

/// The theme that takes the place of one that a plan does not include.
const FALLBACK: &str = "basic";

/// Themes by id. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    entries: Arc<BTreeMap<ThemeId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    template: ThemeTemplate,
    theme: Arc<Theme>,
}

/// Why themes cannot be loaded, or a theme is not available.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A folder cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Themes are invalid, with all problems.
    #[error("invalid theme:\n\n{0}")]
    Invalid(#[from] Problems),
    /// No theme has this id.
    #[error("there is no theme `{id}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The id that was requested.
        id: String,
        /// The most similar id, if one is similar.
        nearest: Option<String>,
    },
}

impl Registry {
    /// Loads the built-in themes and an operator's own from `themes_dir`, the value of `THEMES_DIR`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or any theme is invalid.
    pub fn load(themes_dir: Option<&Path>) -> Result<Self, RegistryError> {
        let mut folders = ThemeFolder::embedded();
        if let Some(directory) = themes_dir {
            folders.extend(ThemeFolder::read_all(directory)?);
        }
        Ok(Self::from_folders(folders)?)
    }

    /// A registry of the themes in these folders.
    ///
    /// # Errors
    ///
    /// All problems of all themes, and ids that occur twice.
    pub fn from_folders(folders: Vec<ThemeFolder>) -> Result<Self, Problems> {
        let mut entries = BTreeMap::new();
        let mut problems = Problems::default();
        for folder in folders {
            let label = folder.label.clone();
            let resolved = ThemeTemplate::parse(folder).and_then(|template| {
                template
                    .resolve(&Settings::default())
                    .map(|theme| (template, Arc::new(theme)))
            });
            match resolved {
                Ok((template, _)) if entries.contains_key(template.id()) => {
                    let reason = format!("there is another theme `{}`; rename this folder", template.id());
                    problems.0.push(Problem::about(&label, reason));
                }
                Ok((template, theme)) => {
                    entries.insert(template.id().clone(), Entry { template, theme });
                }
                Err(wrong) => problems.0.extend(wrong.0),
            }
        }
        match problems.0.is_empty() {
            true => Ok(Self {
                entries: Arc::new(entries),
            }),
            false => Err(problems),
        }
    }

    /// A theme with its defaults.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unknown`], with the most similar id.
    pub fn theme(&self, id: &str) -> Result<&Arc<Theme>, RegistryError> {
        self.entry(id).map(|entry| &entry.theme)
    }

    /// A theme with these settings.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unknown`], or [`RegistryError::Invalid`] when a setting does not fit.
    pub fn with_settings(&self, id: &str, settings: &Settings) -> Result<Theme, RegistryError> {
        Ok(self.entry(id)?.template.resolve(settings)?)
    }

    /// The themes that a plan includes, ordered by id.
    pub fn allowed(&self, plan: Plan) -> impl Iterator<Item = &Arc<Theme>> {
        self.all().filter(move |theme| theme.plan <= plan)
    }

    /// The theme that takes the place of one that the plan does not include; `None` if the plan includes no theme.
    #[must_use]
    pub fn fallback(&self, plan: Plan) -> Option<&Arc<Theme>> {
        let basic = self.allowed(plan).find(|theme| theme.id.as_str() == FALLBACK);
        basic.or_else(|| self.allowed(plan).next())
    }

    /// All themes, ordered by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Theme>> {
        self.entries.values().map(|entry| &entry.theme)
    }

    fn entry(&self, id: &str) -> Result<&Entry, RegistryError> {
        self.entries.get(id).ok_or_else(|| RegistryError::Unknown {
            id: id.to_owned(),
            nearest: nearest(id, self.entries.keys().map(ThemeId::as_str)),
        })
    }
}
