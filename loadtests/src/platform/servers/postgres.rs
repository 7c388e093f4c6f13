//! A private PostgreSQL: killed, restarted, out of connections, replicated, promoted.
//!
//! PostgreSQL refuses to run as root; root runs it as the user `postgres`, as `deploy/dev/postgres.sh` does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use arrakis_test_support::{Process, TestDatabase};
use nix::unistd::{Uid, User};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

use crate::platform::free_port;

const START: Duration = Duration::from_secs(30);
/// Connections in all, three of them reserved for the superuser: few enough to exhaust.
const CONNECTIONS: u32 = 40;
const PASSWORD: &str = "of-a-chaos-run";

/// A PostgreSQL server. Killed when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    bin: PathBuf,
    port: u16,
    process: Process,
}

impl PostgresServer {
    /// Starts a server with the three logins and waits until it accepts connections.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let (folder, bin) = (folder()?, bin()?);
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD)?;
        change_owner(&password)?;
        let data = data(folder.path());
        let made = as_postgres(&bin.join("initdb"))
            .arg(format!("--pgdata={data}"))
            .arg(format!("--pwfile={}", password.display()))
            .args([
                "--username=superuser",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .args(["--no-sync", "--no-instructions"])
            .current_dir("/")
            .output()
            .await?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        // The standby's login; loopback only, like every connection here.
        let mut hba = std::fs::read_to_string(format!("{data}/pg_hba.conf"))?;
        hba.push_str("host replication all 127.0.0.1/32 trust\n");
        std::fs::write(format!("{data}/pg_hba.conf"), hba)?;
        let port = free_port()?;
        let process = launch(&bin, &data, port);
        let mut server = Self {
            folder,
            bin,
            port,
            process,
        };
        server.up().await?;
        server
            .sql(&format!(
                "create role arrakis_owner login createdb createrole password '{PASSWORD}';
                 create role arrakis_app login nobypassrls password '{PASSWORD}';
                 create role arrakis_admin login bypassrls password '{PASSWORD}';
                 create database arrakis owner arrakis_owner"
            ))
            .await?;
        Ok(server)
    }

    /// Starts a streaming standby of this server on a port of its own.
    ///
    /// # Errors
    /// When the copy fails or the standby does not start.
    pub async fn standby(&self) -> anyhow::Result<Self> {
        let folder = folder()?;
        let data = data(folder.path());
        let copied = as_postgres(&self.bin.join("pg_basebackup"))
            .arg(format!("--pgdata={data}"))
            .args([
                "--host=127.0.0.1",
                "--username=superuser",
                "--wal-method=stream",
                "--checkpoint=fast",
            ])
            .args(["--no-sync", "--write-recovery-conf"])
            .arg(format!("--port={}", self.port))
            .current_dir("/")
            .output()
            .await?;
        ensure!(
            copied.status.success(),
            "pg_basebackup: {}",
            String::from_utf8_lossy(&copied.stderr)
        );
        let port = free_port()?;
        let process = launch(&self.bin, &data, port);
        let mut server = Self {
            folder,
            bin: self.bin.clone(),
            port,
            process,
        };
        server.up().await?;
        Ok(server)
    }

    /// Promotes a standby and waits until it accepts writes.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn promote(&mut self) -> anyhow::Result<()> {
        self.sql("select pg_promote(true, 30)").await
    }

    /// Sends SIGKILL to the postmaster; its children notice and end.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Immediate shutdown: every connection breaks, no checkpoint is written, the next start recovers.
    ///
    /// # Errors
    /// When the server does not end.
    pub async fn stop_immediately(&mut self) -> anyhow::Result<()> {
        let pid = self.process.pid().context("PostgreSQL is not running")?;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT)?;
        self.process.ended(START).await;
        Ok(())
    }

    /// Starts the server again at the same port and waits until it accepts connections.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = launch(&self.bin, &data(self.folder.path()), self.port);
        self.up().await
    }

    /// A new database with the whole schema and no rows.
    pub async fn database(&self) -> TestDatabase {
        let [owner, app, admin] = self.urls();
        TestDatabase::create_at(&owner, &app, &admin).await
    }

    /// URLs of the server's database for the logins of owner, app and admin.
    pub fn urls(&self) -> [String; 3] {
        ["arrakis_owner", "arrakis_app", "arrakis_admin"]
            .map(|login| format!("postgres://{login}:{PASSWORD}@127.0.0.1:{}/arrakis", self.port))
    }

    /// `url` with the address of this server.
    ///
    /// # Errors
    /// When `url` is not a URL.
    pub fn in_place_of(&self, url: &str) -> anyhow::Result<String> {
        let (before, after) = url.rsplit_once('@').context("no login in the URL")?;
        let (_, path) = after.split_once('/').context("no database in the URL")?;
        Ok(format!("{before}@127.0.0.1:{}/{path}", self.port))
    }

    /// A connection as superuser.
    ///
    /// # Errors
    /// When the server does not respond.
    pub async fn superuser(&self) -> anyhow::Result<PgConnection> {
        let url = format!("postgres://superuser:{PASSWORD}@127.0.0.1:{}/postgres", self.port);
        Ok(PgConnection::connect(&url).await?)
    }

    /// Runs statements as superuser, each on its own.
    ///
    /// # Errors
    /// When the server does not respond or refuses.
    pub async fn sql(&self, statements: &str) -> anyhow::Result<()> {
        let mut connection = self.superuser().await?;
        for statement in statements.split(';').map(str::trim).filter(|text| !text.is_empty()) {
            let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
                .execute(&mut connection)
                .await;
            done.with_context(|| statement.to_owned())?;
        }
        Ok(connection.close().await?)
    }

    /// Terminates the sessions of an application, as an operator or a failing network would.
    ///
    /// # Errors
    /// When the server does not respond.
    pub async fn terminate(&self, application: &str) -> anyhow::Result<()> {
        self.sql(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{application}'"
        ))
        .await
    }

    /// Opens every free connection of an application's login. Dropping them frees them.
    ///
    /// # Errors
    /// When even the first connection is refused.
    pub async fn use_up(&self, url: &str) -> anyhow::Result<Vec<PgConnection>> {
        let mut hogs = Vec::new();
        loop {
            match PgConnection::connect(url).await {
                Ok(hog) => hogs.push(hog),
                Err(_) if !hogs.is_empty() => return Ok(hogs),
                Err(why) => bail!("no connection could be opened: {why}"),
            }
        }
    }

    /// Whether the server runs and responds, so that another scenario can use it.
    pub async fn is_healthy(&mut self) -> bool {
        self.process.has_ended().is_none() && self.superuser().await.is_ok()
    }

    async fn up(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while self.superuser().await.is_err() {
            if let Some(status) = self.process.has_ended() {
                bail!("PostgreSQL ended ({status}): {}", self.process.lines().join(" | "));
            }
            ensure!(
                Instant::now() < deadline,
                "PostgreSQL did not start: {}",
                self.process.lines().join(" | ")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

fn launch(bin: &Path, data: &str, port: u16) -> Process {
    let port = format!("--port={port}");
    let connections = format!("--max_connections={CONNECTIONS}");
    let mut arguments: Vec<&str> = Vec::new();
    let postgres = bin.join("postgres").to_string_lossy().into_owned();
    let program = if Uid::effective().is_root() {
        arguments.extend(["--reuid=postgres", "--regid=postgres", "--init-groups", "--", &postgres]);
        PathBuf::from("/usr/bin/setpriv")
    } else {
        PathBuf::from(&postgres)
    };
    arguments.extend(["-D", data, &port, &connections, "--listen_addresses=127.0.0.1"]);
    arguments.extend([
        "--unix_socket_directories=",
        "--shared_preload_libraries=",
        "--log_min_messages=warning",
    ]);
    // The scenarios show what survives a killed process; a crash of the machine cannot be tested on one machine.
    arguments.extend([
        "--fsync=off",
        "--full_page_writes=off",
        "--wal_level=replica",
        "--timezone=UTC",
    ]);
    Process::start_at(&program, &arguments, std::iter::empty::<(&str, &str)>())
}

fn as_postgres(program: &Path) -> Command {
    if !Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"])
        .arg(program);
    command
}

fn folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("arrakis-postgres-").tempdir()?;
    change_owner(folder.path())?;
    Ok(folder)
}

/// Changes the owner of a path to the user that PostgreSQL runs as.
fn change_owner(path: &Path) -> anyhow::Result<()> {
    if Uid::effective().is_root() {
        let user = User::from_name("postgres")?.context("there is no user postgres, and root cannot run PostgreSQL")?;
        std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(())
}

fn data(folder: &Path) -> String {
    folder.join("data").to_string_lossy().into_owned()
}

/// The newest installed version's folder.
fn bin() -> anyhow::Result<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found
        .pop()
        .context("PostgreSQL is not installed: apt-get install postgresql")
}
