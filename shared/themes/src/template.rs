//! [`ThemeTemplate`]: a theme whose files are parsed and whose variables are not substituted yet.

use arrakis_domain::ThemeId;
use serde::de::DeserializeOwned;

use crate::document::{Badges, Channels, Manifest, Roles, Server, Tiers};
use crate::folder::ThemeFolder;
use crate::problem::{Problem, Problems};

/// A theme as its files define it: every file is well-formed and has only known keys. [`ThemeTemplate::resolve`]
/// substitutes variables and checks the theme as a whole.
#[derive(Clone, Debug)]
pub struct ThemeTemplate {
    pub(crate) id: ThemeId,
    pub(crate) folder: ThemeFolder,
    pub(crate) manifest: Manifest,
    pub(crate) tiers: Tiers,
    pub(crate) badges: Badges,
    pub(crate) roles: Roles,
    pub(crate) channels: Channels,
    pub(crate) server: Server,
}

impl ThemeTemplate {
    /// Parses the files of a folder.
    ///
    /// # Errors
    ///
    /// Every missing and unknown file, and the first problem of each other file.
    pub fn parse(folder: ThemeFolder) -> Result<Self, Problems> {
        let mut problems = folder.check_names();
        let id = ThemeId::new(folder.id.clone());
        if let Err(error) = &id {
            problems.0.push(Problem::about(
                &folder.label,
                format!("the folder's name is the theme's id, and {error}"),
            ));
        }
        let manifest = read(&folder, "theme.yaml", &mut problems);
        let tiers = read(&folder, "tiers.yaml", &mut problems);
        let badges = read(&folder, "badges.yaml", &mut problems);
        let roles = read(&folder, "roles.yaml", &mut problems);
        let channels = read(&folder, "channels.yaml", &mut problems);
        let server = match folder.files.contains_key("server.yaml") {
            true => read(&folder, "server.yaml", &mut problems),
            false => Some(Server::default()),
        };
        match (id, manifest, tiers, badges, roles, channels, server) {
            (Ok(id), Some(manifest), Some(tiers), Some(badges), Some(roles), Some(channels), Some(server))
                if problems.0.is_empty() =>
            {
                Ok(Self {
                    id,
                    folder,
                    manifest,
                    tiers,
                    badges,
                    roles,
                    channels,
                    server,
                })
            }
            _ => Err(problems),
        }
    }

    /// The theme's id.
    #[must_use]
    pub fn id(&self) -> &ThemeId {
        &self.id
    }
}

fn read<T: DeserializeOwned>(folder: &ThemeFolder, file: &str, problems: &mut Problems) -> Option<T> {
    let source = folder.files.get(file)?;
    match serde_saphyr::from_str(source) {
        Ok(document) => Some(document),
        Err(error) => {
            problems
                .0
                .push(Problem::from_yaml(&folder.name_of(file), source, &error));
            None
        }
    }
}
