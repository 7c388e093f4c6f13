//! Arguments of `gaib server theme …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands that read themes.
#[derive(Debug, Subcommand)]
pub enum ThemeCommand {
    /// List the themes
    Ls,
    /// Show a theme: version, description, tags, counts, variables, flags
    Info(Info),
    /// Check the files of a theme and list all problems
    Validate(Validate),
}

/// Arguments of `gaib server theme info`.
#[derive(Debug, Args)]
pub struct Info {
    /// Theme id, as `theme ls` prints it
    pub theme: String,
}

/// Arguments of `gaib server theme validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Theme id, or the path of a theme's folder
    pub theme: PathBuf,
}
