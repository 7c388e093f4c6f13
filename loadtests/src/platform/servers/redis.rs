//! A private Redis that a scenario kills, suspends, fills, makes read-only or busy. It has no persistence: a kill loses all of
//! its data.

use std::time::Duration;

use anyhow::{Context as _, bail};
use arrakis_test_support::Process;
use deadpool_redis::redis::{self, Client, FromRedisValue};

/// Time limit of a start.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Milliseconds after which a running script makes Redis answer BUSY to other clients.
const BUSY_AFTER: &str = "50";

/// A Redis server. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    process: Process,
    past: Vec<String>,
}

impl RedisServer {
    /// Starts a server on a free loopback port.
    ///
    /// # Errors
    /// When it does not respond, or is not installed.
    pub async fn start() -> anyhow::Result<Self> {
        let port = super::super::free_port()?;
        let server = Self {
            port,
            process: launch(port)?,
            past: Vec::new(),
        };
        server.answers().await?;
        Ok(server)
    }

    /// URL of its first database.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Runs a command, such as `&["CONFIG", "SET", "maxmemory", "1"]`.
    ///
    /// # Errors
    /// When Redis returns an error.
    pub async fn command<T: FromRedisValue + Send + 'static>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let (url, arguments) = (
            self.url(),
            arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect::<Vec<_>>(),
        );
        let command_line = arguments.join(" ");
        // The driver's asynchronous connection would need a pool; a scenario sends few commands.
        let reply = tokio::task::spawn_blocking(move || {
            let mut connection = Client::open(url)?.get_connection_with_timeout(Duration::from_secs(2))?;
            connection.set_read_timeout(Some(Duration::from_secs(5)))?;
            let (name, arguments) = arguments
                .split_first()
                .unwrap_or_else(|| unreachable!("a command has a name"));
            redis::cmd(name).arg(arguments).query::<T>(&mut connection)
        });
        reply.await?.with_context(|| format!("Redis: {command_line}"))
    }

    /// Sends SIGKILL: all data are lost.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts the server again at the same address, without data.
    ///
    /// # Errors
    /// When it does not respond.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.past.extend(self.process.lines());
        self.process = launch(self.port)?;
        self.answers().await
    }

    /// Sends SIGSTOP: connections stay open and get no response.
    pub fn suspend(&self) {
        self.process.suspend();
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Runs an endless script; other clients get BUSY. [`RedisServer::restore`] ends it.
    ///
    /// # Errors
    /// When Redis rejects it.
    pub async fn busy(&self) -> anyhow::Result<()> {
        self.command::<String>(&["CONFIG", "SET", "lua-time-limit", BUSY_AFTER])
            .await?;
        let url = self.url();
        tokio::task::spawn_blocking(move || {
            let mut connection = Client::open(url)?.get_connection()?;
            // The script ends with an error when it is killed.
            redis::cmd("EVAL")
                .arg("while true do end")
                .arg(0)
                .query::<()>(&mut connection)
        });
        let deadline = tokio::time::Instant::now() + TIME_LIMIT;
        loop {
            if let Err(error) = self.command::<String>(&["PING"]).await
                && format!("{error:#}").to_uppercase().contains("BUSY")
            {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("Redis did not become busy");
            }
        }
    }

    /// Makes Redis refuse commands in this way.
    ///
    /// # Errors
    /// When Redis rejects the command.
    pub async fn refuse(&self, mode: RefusalMode) -> anyhow::Result<()> {
        match mode {
            RefusalMode::Busy => self.busy().await,
            other => self.command::<String>(other.commands().0).await.map(drop),
        }
    }

    /// Ends the refusal of commands that [`RedisServer::refuse`] began.
    ///
    /// # Errors
    /// When Redis rejects the command.
    pub async fn restore(&self, mode: RefusalMode) -> anyhow::Result<()> {
        self.command::<String>(mode.commands().1).await.map(drop)
    }

    /// Output of the process.
    pub fn log(&self) -> Vec<String> {
        let mut lines = self.past.clone();
        lines.extend(self.process.lines());
        lines
    }

    async fn answers(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + TIME_LIMIT;
        loop {
            match self.command::<String>(&["PING"]).await {
                Ok(_) => return Ok(()),
                Err(error) if tokio::time::Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

/// A way in which a running Redis refuses commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalMode {
    /// No memory left.
    Full,
    /// It is a replica and accepts no writes.
    ReadOnly,
    /// It has too few replicas to accept writes.
    NoReplicas,
    /// A script does not end.
    Busy,
}

impl RefusalMode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Full, Self::ReadOnly, Self::NoReplicas, Self::Busy];

    /// Redis' error code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Full => "OOM",
            Self::ReadOnly => "READONLY",
            Self::NoReplicas => "NOREPLICAS",
            Self::Busy => "BUSY",
        }
    }

    /// The commands that start and end the mode.
    fn commands(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Full => (
                &["CONFIG", "SET", "maxmemory", "1"],
                &["CONFIG", "SET", "maxmemory", "0"],
            ),
            // There is no server at that address, so the data stay.
            Self::ReadOnly => (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
            Self::NoReplicas => (
                &["CONFIG", "SET", "min-replicas-to-write", "1"],
                &["CONFIG", "SET", "min-replicas-to-write", "0"],
            ),
            Self::Busy => (&["EVAL", "while true do end", "0"], &["SCRIPT", "KILL"]),
        }
    }
}

fn launch(port: u16) -> anyhow::Result<Process> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let binary = std::env::split_paths(&path)
        .map(|folder| folder.join("redis-server"))
        .find(|path| path.is_file());
    let binary = binary.context("redis-server is not installed: apt-get install redis-server")?;
    let port = port.to_string();
    let arguments = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--loglevel",
        "warning",
    ];
    Ok(Process::start_at(
        &binary,
        &arguments,
        std::iter::empty::<(&str, &str)>(),
    ))
}
