//! gaib as a process of an operator, on the emulator and the api of a platform.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt as _;

use super::Platform;

impl Platform {
    /// Runs gaib in a folder, with an API key and with these lines as the answers to its questions, and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error has its output.
    pub async fn gaib(&self, folder: &Path, key: &str, arguments: &[&str], answers: &str) -> anyhow::Result<String> {
        let environment = &self.environment;
        let mut command = tokio::process::Command::new(environment.binaries.join("gaib"));
        command
            .args(arguments)
            .current_dir(folder)
            .kill_on_drop(true)
            .env_clear();
        command.env("XDG_STATE_HOME", folder.join("records")).envs([
            ("DISCORD_TOKEN", environment.token.clone()),
            ("DISCORD_API_BASE", environment.api_base.clone()),
            ("ARRAKIS_API_URL", self.api_url()),
            ("ARRAKIS_API_KEY", key.to_owned()),
        ]);
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
}
