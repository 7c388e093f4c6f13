//! [`Process`]: a service in its own process, for tests that need one, such as tests of SIGKILL.

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

/// A running program. It is killed when dropped, and its output is printed when the test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a program of this workspace with these arguments and, besides a few such as PATH, only these environment
    /// variables.
    ///
    /// # Panics
    /// When it was not built or cannot be started.
    pub fn start<'a>(
        name: &str,
        arguments: &[&str],
        variables: impl IntoIterator<Item = (&'a str, impl AsRef<str>)>,
    ) -> Self {
        Self::start_at(&program(name), arguments, variables)
    }

    /// [`Process::start`] with the program's path, such as `env!("CARGO_BIN_EXE_arrakis-worker")`.
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
        // `./dev test` finds processes of killed tests by ARRAKIS_DEV_INSTANCE.
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

    /// The process id; `None` after the process has ended and was waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The exit status, if the process has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// All lines of stdout and stderr so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits for a line that contains this text; returns the line.
    ///
    /// # Panics
    /// When there is none within 20 s.
    pub async fn line(&self, text: &str) -> String {
        let find = || std::future::ready(self.lines.lock().iter().find(|line| line.contains(text)).cloned());
        eventually(find, format!("{} to print `{text}`", self.name)).await
    }

    /// Waits until the service is ready: `GET http://{health}/readyz` returns 200.
    ///
    /// # Panics
    /// When the service does not become ready within 30 s, or ends.
    pub async fn ready(&mut self, health: &str) {
        let client = reqwest::Client::new();
        let url = format!("http://{health}/readyz");
        let name = self.name.clone();
        let child = &mut self.child;
        let mut is_ready = async || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("{name} ended ({status}) before it was ready");
            }
            let response = client.get(&url).timeout(Duration::from_secs(2)).send().await;
            response.is_ok_and(|response| response.status().is_success())
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !is_ready().await {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name} was not ready at {url} within 30 s"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGHUP, as a terminal that is closed.
    pub fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait().await;
    }

    /// Suspends the process (SIGSTOP), as if it hung.
    pub fn suspend(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Resumes the process (SIGCONT) after [`Process::suspend`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits for the end of the process.
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

    /// Waits for the end of the process; returns the exit status and the whole output.
    ///
    /// # Panics
    /// As [`Process::ended`].
    pub async fn output(mut self, limit: Duration) -> (ExitStatus, String) {
        let status = self.ended(limit).await;
        let lines = Arc::clone(&self.lines);
        drop(self);
        // The two readers hold the lines until the pipes are closed.
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
            // It may have ended meanwhile.
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

/// The path of a program. It is two folders above the running test: `target/debug/deps/test` and
/// `target/debug/arrakis-worker`.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let path = test
        .ancestors()
        .nth(2)
        .map(|folder| folder.join(name))
        .unwrap_or_default();
    assert!(
        path.is_file(),
        "{} was not built: run `cargo build --bin {name}` or `./dev test`",
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
