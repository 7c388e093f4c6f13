//! A service as a process of its own: for what a test in one process cannot do, such as SIGKILL.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::environment::report;
use crate::wait::{eventually, eventually_within};

/// A running program. Killed when dropped; what it printed is shown when the test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a program of this workspace by its name, with these arguments and, besides PATH, only these variables.
    ///
    /// # Panics
    /// When it has not been built or cannot be started.
    pub fn start<'a>(
        name: &str,
        arguments: &[&str],
        variables: impl IntoIterator<Item = (&'a str, impl AsRef<str>)>,
    ) -> Self {
        Self::start_at(&program(name), arguments, variables)
    }

    /// [`Process::start`] by the program's path, such as `env!("CARGO_BIN_EXE_arrakis-worker")`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_at<'a>(
        path: &Path,
        arguments: &[&str],
        variables: impl IntoIterator<Item = (&'a str, impl AsRef<str>)>,
    ) -> Self {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let mut command = Command::new(path);
        command
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        // The mark by which `./dev test` finds what a killed test leaves goes on to the children of tests.
        for kept in [
            "PATH",
            "HOME",
            "ARRAKIS_DEV_INSTANCE",
            "RUST_BACKTRACE",
            "LLVM_PROFILE_FILE",
        ] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        for (variable, value) in variables {
            command.env(variable, value.as_ref());
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(why) => panic!("{} cannot be started: {why}", path.display()),
        };
        let lines = Arc::default();
        if let Some(stdout) = child.stdout.take() {
            collect(stdout, &lines);
        }
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, &lines);
        }
        Self { name, child, lines }
    }

    /// Its process id; `None` once it has ended and been waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its status, once it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Everything it has printed, stdout and stderr, line by line as it came.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits for a line that holds this text and answers the line.
    ///
    /// # Panics
    /// When none comes.
    pub async fn line(&self, text: &str) -> String {
        let find = || std::future::ready(self.lines.lock().iter().find(|line| line.contains(text)).cloned());
        eventually(find, format!("{} to print `{text}`", self.name)).await
    }

    /// Waits until it is ready: `GET http://{health}/readyz` answers 200.
    ///
    /// # Panics
    /// When it does not become so, or ends.
    pub async fn ready(&mut self, health: &str) {
        let client = reqwest::Client::new();
        let url = format!("http://{health}/readyz");
        let name = self.name.clone();
        let child = &mut self.child;
        let mut ask = async || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("{name} ended ({status}) before it was ready");
            }
            let answer = client.get(&url).timeout(Duration::from_secs(2)).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !ask().await {
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited 30 s in vain for {name} to be ready at {url}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end: SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Kills it: SIGKILL. It does not get a word in.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait().await;
    }

    /// Stops it without ending it (SIGSTOP): a process that hangs.
    pub fn hang(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`Process::hang`].
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within the limit.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(why)) => panic!("{} cannot be waited for: {why}", self.name),
            Err(_) => panic!("{} did not end within {} s", self.name, limit.as_secs()),
        }
    }

    /// Waits for its end and for the last of what it printed.
    ///
    /// # Panics
    /// As [`Process::ended`].
    pub async fn output(mut self, limit: Duration) -> (ExitStatus, String) {
        let status = self.ended(limit).await;
        let lines = Arc::clone(&self.lines);
        drop(self);
        // The two readers hold the lines for as long as the pipes are open.
        eventually_within(
            limit,
            || std::future::ready(Arc::strong_count(&lines) == 1),
            "its output to end",
        )
        .await;
        (status, lines.lock().join("\n"))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            lines.lock().push(line);
        }
    });
}

/// A program lies two folders above the test that runs: `target/debug/deps/test` and `target/debug/arrakis-worker`.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let path = test
        .ancestors()
        .nth(2)
        .map(|folder| folder.join(name))
        .unwrap_or_default();
    assert!(
        path.is_file(),
        "{} has not been built: run `cargo build --bin {name}` or `./dev test`",
        path.display()
    );
    path
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut log = format!("--- {} printed:", self.name);
            for line in self.lines.lock().iter() {
                let _ = write!(log, "\n{line}");
            }
            report(&log);
        }
    }
}
