//! `arrakis-worker signing keys|rotate`.

use std::process::ExitCode;

use arrakis_security::signing::PublicKeyVersion;
use arrakis_vault::PublicKeyCopies;
use clap::Subcommand;

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
    /// Replaces the signing key by a new version; what earlier versions have signed remains valid
    ///
    /// The public keys are copied to `BACKUP_STORE`, if it is set. Running processes use the new version at once; with SIGNER=local, those of
    /// other machines after a restart.
    Rotate,
}

impl SigningTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(SignerConfig::read, move |config| async move {
            match self {
                Self::Keys { json } => keys(&config, json).await,
                Self::Rotate => rotate(&config).await,
            }
        })
    }
}

async fn keys(config: &SignerConfig, json: bool) -> anyhow::Result<ExitCode> {
    let signer = config.signer()?;
    if let Some(store) = config.store().await? {
        remember_public_keys(store, signer.clone()).await;
    }
    for key in signer.public_keys().await? {
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

async fn rotate(config: &SignerConfig) -> anyhow::Result<ExitCode> {
    let signer = config.signer()?;
    let copies = config
        .store()
        .await?
        .map(|store| PublicKeyCopies::new(store, signer.clone()));
    // Before the rotation, so that no version is without a copy.
    if let Some(copies) = &copies {
        copies.copy().await?;
    }
    let version = signer.rotate().await?;
    report(format_args!("the key was rotated: version {version} signs"));
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
