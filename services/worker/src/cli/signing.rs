//! `arrakis-worker signing keys|rotate`.

use std::process::ExitCode;

use anyhow::Context as _;
use arrakis_config::Secret;
use arrakis_db::{Actor, Database, DbError, NewAuditEntry};
use arrakis_security::signing::{PublicKeyVersion, SignError};
use arrakis_vault::PublicKeyCopies;
use clap::Subcommand;
use serde_json::json;

use super::database::connect;
use super::output::{print, print_json, report};
use super::signer::{SignerConfig, remember_public_keys};
use super::with_config;

/// The subcommands of `signing`.
#[derive(Debug, Subcommand)]
pub(super) enum SigningTask {
    /// Prints the public key of every version, the oldest first: the last one signs
    ///
    /// Each is a value for `BACKUP_TRUSTED_KEYS` of another machine, and for `APPROVAL_TRUSTED_KEYS` of a pipeline.
    Keys {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Replaces the signing key by a new version; what earlier versions have signed remains valid (requires `DATABASE_URL`)
    ///
    /// With SIGNER=transit, the role needs `update` on the path `rotate` of the key: not the role of the services. The public keys are copied to `BACKUP_STORE`, if it is set. Running processes use the new version at once; with SIGNER=local, those of
    /// other machines after a restart.
    Rotate {
        /// Who you are, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

impl SigningTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Keys { json } => with_config(
                SignerConfig::read,
                move |config| async move { keys(&config, json).await },
            ),
            Self::Rotate { by } => with_config(SignerConfig::read_with_database, move |(url, config)| async move {
                rotate(&url, &config, by).await
            }),
        }
    }
}

async fn keys(config: &SignerConfig, json: bool) -> anyhow::Result<ExitCode> {
    let signer = config.signer()?;
    // Before the copy is read: a service that refuses this process is reported once.
    let mut keys = signer.public_keys().await?;
    if let Some(store) = config.store().await? {
        remember_public_keys(store, signer.clone()).await;
        keys = signer.public_keys().await?;
    }
    for key in keys {
        if json {
            print_json(&key)?;
        } else {
            print_key(&key)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_key(key: &PublicKeyVersion) -> anyhow::Result<()> {
    print(format_args!("{}  {} version {}", key.public_key, key.key, key.version))?;
    Ok(())
}

async fn rotate(url: &Secret, config: &SignerConfig, by: String) -> anyhow::Result<ExitCode> {
    let signer = config.signer()?;
    // Before the rotation, which must have an entry in the audit log.
    let database = connect(url).await?;
    let copies = config
        .store()
        .await?
        .map(|store| PublicKeyCopies::new(store, signer.clone()));
    // Before the rotation, so that no version is without a copy.
    if let Some(copies) = &copies {
        copies.copy().await?;
    }
    let rotated = signer.rotate().await;
    let version = rotated.map_err(|error| not_rotated(error, config.rotation_path()))?;
    report(format_args!("the key was rotated: version {version} signs"));
    audit(&database, version, by)
        .await
        .context("the rotation has no entry in the audit log")?;
    match copies {
        Some(copies) => {
            copies.copy().await?;
            report("the public keys are copied to BACKUP_STORE");
        }
        None => report("BACKUP_STORE is not set: the public keys are not copied"),
    }
    if let Some(key) = signer.public_keys().await?.last() {
        print_key(key)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn audit(database: &Database, version: u32, by: String) -> Result<(), DbError> {
    let mut tx = database.global().await?;
    tx.audit(&NewAuditEntry {
        actor: Actor::Operator(by),
        action: "signing.rotate",
        subject: &format!("version {version}"),
        reason: None,
        detail: json!({"version": version}),
    })
    .await?;
    tx.commit().await
}

/// Names the permission that a role lacks.
fn not_rotated(error: SignError, path: Option<String>) -> anyhow::Error {
    let is_refused = matches!(error, SignError::Refused { .. });
    let error = anyhow::Error::from(error);
    match path.filter(|_| is_refused) {
        Some(path) => error.context(format!(
            "the key was not rotated: this needs `update` on {path}, by a role of its own (docs/signing.md)"
        )),
        None => error,
    }
}
