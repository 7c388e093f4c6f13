//! The engine as its callers meet it.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

mod config;
mod every_attribute;
mod examples;
mod export;
mod hostile;
mod merged;
mod odd;
mod plan;
mod preflight_docs;
mod random;
mod references;
mod required;
mod state;
mod whole_servers;

/// The themes that ship, read once.
fn themes() -> &'static arrakis_themes::Registry {
    static THEMES: std::sync::LazyLock<arrakis_themes::Registry> =
        std::sync::LazyLock::new(|| arrakis_themes::Registry::load(None).unwrap());
    &THEMES
}
