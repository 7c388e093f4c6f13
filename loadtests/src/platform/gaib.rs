//! gaib as processes of an operator, on the emulator, the proxies and the api of a platform.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use arrakis_db::UserId;
use arrakis_db::mfa::{MfaOutcome, confirm};
use arrakis_security::mfa::{BackupCode, SecretCipher, Totp};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;

use super::Platform;

/// gaib's credential at the proxies.
pub(super) const GAIB_CREDENTIAL: &str = "the-demo's-credential-of-gaib";

/// The key that encrypts second factors, as the api has it.
pub(super) const MFA_ENCRYPTION_KEY: &str = "demo:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The person to whom gaib's keys belong.
const OPERATOR: u64 = 1_200_000_000_000_000_007;

/// gaib in a folder of its own. Each command is a process.
#[derive(Debug)]
pub struct Gaib {
    program: PathBuf,
    folder: TempDir,
    variables: Vec<(String, String)>,
    /// A code of the operator's second factor, for one protected operation.
    code: Option<String>,
}

/// What a teardown stored and printed, from which the server is recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornDownServer {
    guild: String,
    /// Path of the export, relative to the folder of gaib.
    export: String,
    /// Id of the checkpoint.
    checkpoint: String,
}

impl Platform {
    /// gaib in a new folder, with the bot token.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn gaib(&self) -> anyhow::Result<Gaib> {
        let mut gaib = self.gaib_without_access()?;
        gaib.set([("DISCORD_TOKEN", self.environment.token.clone())]);
        Ok(gaib)
    }

    /// gaib in a new folder, without the bot token: the proxies that run now send its calls and keep Discord's limits.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn gaib_through_proxies(&self) -> anyhow::Result<Gaib> {
        let mut gaib = self.gaib_without_access()?;
        gaib.set([
            ("DISCORD_PROXY_URL", self.proxy_urls().join(",")),
            ("DISCORD_PROXY_CREDENTIAL", GAIB_CREDENTIAL.to_owned()),
        ]);
        Ok(gaib)
    }

    fn gaib_without_access(&self) -> anyhow::Result<Gaib> {
        let folder = tempfile::tempdir().context("a folder for gaib")?;
        let records = folder.path().join("records").display().to_string();
        let mut gaib = Gaib {
            program: self.environment.binaries.join("gaib"),
            folder,
            variables: Vec::new(),
            code: None,
        };
        gaib.set([
            ("XDG_STATE_HOME", records),
            ("DISCORD_API_BASE", self.environment.api_base.clone()),
        ]);
        Ok(gaib)
    }

    /// Gives gaib the address of the api, a new key for the community of a server, and a code for one operation that needs a second factor.
    ///
    /// # Errors
    /// When the key cannot be created, or the operator's second factor not be set up.
    pub async fn connect_gaib(&self, gaib: &mut Gaib, guild: u64) -> anyhow::Result<()> {
        let (guild, operator) = (guild.to_string(), OPERATOR.to_string());
        let create = [
            "api-key",
            "create",
            "--name",
            "gaib",
            "--by",
            "stilgar",
            "--guild",
            &guild,
            "--scope",
            "servers:read,servers:write",
            "--user",
            &operator,
        ];
        let printed = self.worker_task(&create).await?;
        let key = printed.split_whitespace().find(|word| word.starts_with("arrakis_"));
        let key = key.context("`arrakis-worker api-key create` has printed no key")?;
        gaib.set([("ARRAKIS_API_URL", self.api_url()), ("ARRAKIS_API_KEY", key.to_owned())]);
        gaib.code = Some(self.operator_code().await?);
        Ok(())
    }

    /// A code of the operator's second factor, which has no other backup codes from now on.
    async fn operator_code(&self) -> anyhow::Result<String> {
        let user = UserId::new(OPERATOR).context("the operator")?;
        let cipher: SecretCipher = MFA_ENCRYPTION_KEY.parse()?;
        let now = OffsetDateTime::now_utc();
        let admin = self.database().admin().await;
        let mut tx = admin.database().global().await?;
        if tx.mfa().status(user).await?.is_none() {
            let totp = Totp::generate();
            let sealed = cipher.seal(OPERATOR, totp.secret())?;
            ensure!(
                tx.mfa().begin(user, &sealed, now).await?,
                "the operator has a second factor"
            );
            let outcome = confirm(&mut tx, &cipher, user, &totp.code_at(now), now).await?;
            ensure!(outcome == MfaOutcome::Accepted, "the code of the operator: {outcome:?}");
        }
        let code = BackupCode::generate();
        ensure!(
            tx.mfa()
                .replace_backup_codes(&cipher, user, std::slice::from_ref(&code))
                .await?,
            "the operator has no second factor"
        );
        tx.commit().await?;
        Ok(code.expose().to_owned())
    }
}

impl Gaib {
    /// Sets further variables of the next commands.
    pub fn set<'a>(&mut self, variables: impl IntoIterator<Item = (&'a str, String)>) {
        let variables = variables.into_iter();
        self.variables
            .extend(variables.map(|(name, value)| (name.to_owned(), value)));
    }

    /// Runs a command without an answer to any question, and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error has its output.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run_with(arguments, "").await
    }

    /// Runs a command with these lines as the answers to its questions, and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error has its output.
    pub async fn run_with(&self, arguments: &[&str], answers: &str) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("gaib")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(answers.as_bytes())
                .await
                .context("the answers for gaib")?;
        }
        let output = child.wait_with_output().await.context("gaib")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            output.status.success(),
            "gaib {}: {}\n{}{}",
            arguments.join(" "),
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        Ok(text(&output.stdout))
    }

    /// Runs a command with `--json`, and returns its first message of this type.
    ///
    /// # Errors
    /// When it cannot be started or fails, or prints no such message.
    pub async fn message(&self, arguments: &[&str], kind: &str) -> anyhow::Result<Value> {
        let arguments: Vec<&str> = std::iter::once("--json").chain(arguments.iter().copied()).collect();
        let output = self.run(&arguments).await?;
        for line in output.lines() {
            let message: Value = serde_json::from_str(line).with_context(|| format!("a message of gaib: {line}"))?;
            if message["type"] == kind {
                return Ok(message);
            }
        }
        bail!(
            "gaib {} has printed no message of the type {kind}: {output}",
            arguments.join(" ")
        );
    }

    /// Empties a server of this name whose community the platform has, with all confirmations.
    ///
    /// # Errors
    /// When the teardown fails.
    pub async fn tear_down(&self, guild: u64, name: &str) -> anyhow::Result<TornDownServer> {
        let guild = guild.to_string();
        let answers = format!("yes\nyes\n{name}\n{guild}\n");
        let mut teardown = vec!["server", "teardown", "--confirm-teardown", "--guild", &guild];
        if let Some(code) = &self.code {
            teardown.extend(["--mfa", code]);
        }
        let printed = self.run_with(&teardown, &answers).await?;
        Ok(TornDownServer {
            export: word_after(&printed, "apply -f ")?,
            checkpoint: word_after(&printed, "gaib restore exec --checkpoint ")?,
            guild,
        })
    }

    /// Applies the export that a teardown made.
    ///
    /// # Errors
    /// When the apply fails.
    pub async fn apply_export(&self, server: &TornDownServer) -> anyhow::Result<String> {
        let TornDownServer { guild, export, .. } = server;
        self.run(&["server", "apply", "-f", export, "--guild", guild, "--auto-approve"])
            .await
    }

    /// Restores the checkpoint that a teardown stored, without waiting for the jobs that it starts.
    ///
    /// # Errors
    /// When the restore fails, or something of the checkpoint is not restored.
    pub async fn restore_checkpoint(&self, server: &TornDownServer) -> anyhow::Result<()> {
        let TornDownServer { guild, checkpoint, .. } = server;
        let restore = [
            "restore",
            "exec",
            "--checkpoint",
            checkpoint,
            "--guild",
            guild,
            "--auto-approve",
        ];
        let restored = self.run(&restore).await?;
        ensure!(
            !restored.contains("Not restored:"),
            "a part of the checkpoint is not restored: {restored}"
        );
        Ok(())
    }
}

/// The word after a text in an output.
fn word_after(output: &str, before: &str) -> anyhow::Result<String> {
    let (_, rest) = output
        .split_once(before)
        .with_context(|| format!("the output has no {before:?}: {output}"))?;
    Ok(rest.split_whitespace().next().unwrap_or_default().to_owned())
}
