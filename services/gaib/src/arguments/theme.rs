//! `gaib server theme …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Commands about themes.
#[derive(Debug, Subcommand)]
pub enum ThemeCommand {
    /// List the themes
    Ls,
    /// Show a theme: version, description, tags, counts, variables, flags
    Info(Info),
    /// Check a theme's folder and list what is wrong with it
    Validate(Validate),
}

/// `gaib server theme info`.
#[derive(Debug, Args)]
pub struct Info {
    /// The theme's id, as `theme ls` prints it
    pub theme: String,
}

/// `gaib server theme validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// A theme's id, or a folder
    pub theme: PathBuf,
}
