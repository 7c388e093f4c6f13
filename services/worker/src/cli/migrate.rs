//! `arrakis-worker migrate`.

use std::process::ExitCode;

use arrakis_config::variables::DATABASE_OWNER_URL;
use clap::Args;
use serde_json::json;

use super::output::{print_json, report};
use super::with_config;

/// The options of `migrate`.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Print the versions before and after as JSON: {"from", "to"}
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) fn run(self) -> ExitCode {
        with_config(
            |reader| reader.secret_url(&DATABASE_OWNER_URL, &["postgres", "postgresql"]),
            |url| async move {
                let migrated = arrakis_db::migrate(url.expose()).await?;
                if self.json {
                    print_json(&json!({"from": migrated.from, "to": migrated.to}))?;
                } else if migrated.from == migrated.to {
                    report(format_args!("the schema is at version {} already", migrated.to));
                } else {
                    report(format_args!(
                        "migrated the schema from version {} to {}",
                        migrated.from, migrated.to
                    ));
                }
                Ok(ExitCode::SUCCESS)
            },
        )
    }
}
