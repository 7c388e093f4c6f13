//! Client libraries from their registries, each version installed once below `target/libraries`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

/// Longest time of an installation. Registries respond within seconds.
const INSTALL_WITHIN: Duration = Duration::from_secs(100);
/// `required` turns a skipped test into a failed one: continuous integration has the registries.
const VARIABLE: &str = "EMULATOR_LIBRARIES";

/// The program that runs a bot, and the registry that has its library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registry {
    /// `node`, npm.
    Npm,
    /// `python3`, `PyPI`.
    Pypi,
}

/// A client library and the bot that is written in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Library {
    /// Package name.
    pub(super) name: &'static str,
    /// Version of the snapshot.
    pub(super) version: &'static str,
    /// Registry.
    pub(super) registry: Registry,
    /// File in `tests/libraries`.
    pub(super) bot: &'static str,
}

impl Library {
    /// The command that runs the bot; `None`, with a line on stdout, when the library cannot be installed here.
    #[expect(clippy::print_stdout, reason = "a skipped test is to be seen in its output")]
    pub(super) async fn command(&self) -> Option<Command> {
        let installed = match self.install().await {
            Ok(folder) => folder,
            Err(why) => {
                let required = std::env::var(VARIABLE).is_ok_and(|value| value == "required");
                assert!(!required, "{} {} cannot be installed: {why}", self.name, self.version);
                println!(
                    "SKIPPED: {} {} cannot be installed here: {why}",
                    self.name, self.version
                );
                return None;
            }
        };
        let bot = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/libraries")
            .join(self.bot);
        let mut command = match self.registry {
            Registry::Npm => Command::new("node"),
            Registry::Pypi => Command::new(installed.join("bin/python")),
        };
        command.env("NODE_PATH", installed.join("node_modules")).arg(bot);
        Some(command)
    }

    async fn install(&self) -> Result<PathBuf, String> {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../libraries");
        let folder = all.join(format!("{}-{}", self.name, self.version));
        let complete = folder.join("complete");
        if complete.exists() {
            return Ok(folder);
        }
        fs::create_dir_all(&all).map_err(|error| format!("{}: {error}", all.display()))?;
        let lock = all.join(format!("{}.lock", self.name));
        // Tests run as processes of their own: the first installs, the others wait for it.
        let lock = tokio::task::spawn_blocking(move || File::create(lock).and_then(|file| file.lock().map(|()| file)))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("no lock: {error}"))?;
        if !complete.exists() {
            self.install_into(&folder).await?;
            File::create(&complete).map_err(|error| error.to_string())?;
        }
        drop(lock);
        Ok(folder)
    }

    async fn install_into(&self, folder: &Path) -> Result<(), String> {
        match self.registry {
            Registry::Npm => {
                let package = format!("{}@{}", self.name, self.version);
                let arguments = [
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--no-save",
                    "--ignore-scripts",
                    "--omit=optional",
                ];
                let mut npm = Command::new("npm");
                npm.args(arguments).arg("--prefix").arg(folder).arg(package);
                run(npm).await
            }
            Registry::Pypi => {
                let mut venv = Command::new("python3");
                venv.args(["-m", "venv"]).arg(folder);
                run(venv).await?;
                let package = format!("{}=={}", self.name, self.version);
                let mut pip = Command::new(folder.join("bin/python"));
                pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"])
                    .arg(package);
                run(pip).await
            }
        }
    }
}

/// Runs a command to its end. The error is the end of its output.
async fn run(mut command: Command) -> Result<(), String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(INSTALL_WITHIN, command.output())
        .await
        .map_err(|_| format!("{name} did not end within {} s", INSTALL_WITHIN.as_secs()))?
        .map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let tail: Vec<&str> = printed.lines().rev().take(8).collect();
    let words: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("{name}: {}", words.join("\n")))
}
