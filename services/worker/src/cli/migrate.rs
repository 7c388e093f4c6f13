//! `arrakis-worker migrate`: the schema, then the wallet verifications from before the registry. So a deploy, which runs it before
//! the new build starts, needs no further step; without such rows the second part reads one page and ends.

use std::process::ExitCode;

use arrakis_config::variables::DATABASE_OWNER_URL;
use arrakis_db::registry::{MigratedVerifications, migrate_verifications};
use clap::Args;
use serde_json::json;

use super::output::{print_json, report};
use super::registry::report_migrated;
use super::with_config;

/// The options of `migrate`.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Print the versions before and after, and the counts of migrated wallet verifications, as JSON: {"from", "to", "verifications"}
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(super) fn run(self) -> ExitCode {
        with_config(
            |reader| reader.secret_url(&DATABASE_OWNER_URL, &["postgres", "postgresql"]),
            |url| async move {
                let migrated = arrakis_db::migrate(url.expose()).await?;
                let verifications = migrate_verifications(&url).await?;
                if self.json {
                    print_json(&json!({"from": migrated.from, "to": migrated.to, "verifications": verifications}))?;
                    return Ok(ExitCode::SUCCESS);
                }
                if migrated.from == migrated.to {
                    report(format_args!("the schema is at version {} already", migrated.to));
                } else {
                    report(format_args!(
                        "migrated the schema from version {} to {}",
                        migrated.from, migrated.to
                    ));
                }
                if verifications != MigratedVerifications::default() {
                    report_migrated(&verifications);
                }
                Ok(ExitCode::SUCCESS)
            },
        )
    }
}
