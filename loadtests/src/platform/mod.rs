//! The whole of Arrakis as processes, on the services that the environment names, with a database, vhost and Redis database of
//! their own.
//!
//! Starts, kills and replaces the processes, as an operator or a fault would. It does not look inside of them: observations come
//! from the emulator and from Postgres. A process is a [`Replica`]; servers that a scenario may kill are in [`servers`].

pub mod chain;
mod emulator;
mod gaib;
pub mod prometheus;
mod replica;
mod server_view;
pub mod servers;
mod wallet;
mod wallet_page;
mod wizard;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::Addresses;
use arrakis_test_support::{Process, TestDatabase, TestRedis, TestVhost};

use gaib::GAIB_CREDENTIAL;

pub use chain::Chain;
pub use emulator::{Answer, Emulator, Member};
pub use gaib::{Gaib, TornDownServer};
pub use prometheus::Prometheus;
pub use replica::Replica;
pub use server_view::ServerView;
pub use wallet::Wallet;
pub use wallet_page::{PageAnswer, WalletPage};
pub use wizard::WizardDialog;

/// The bot's application id.
pub(crate) const APPLICATION: &str = "1100000000000000001";
/// Bytes of each body that the emulator's ledger records: the whole body, for the check against Discord's OpenAPI document.
const LEDGER_BODIES: &str = "65536";
const CREDENTIAL: &str = "the-demo's-own-credential";
/// The credential of the kill switch.
const KILL_SWITCH_CREDENTIAL: &str = "the-kill-switch's-own-credential";

/// A running platform. Dropping it kills its processes and drops its databases.
#[derive(Debug)]
pub struct Platform {
    /// The emulator's control API.
    pub discord: Emulator,
    /// The ingestors.
    pub ingestors: Vec<Replica>,
    /// The workers.
    pub workers: Vec<Replica>,
    /// The proxies. Workers that are started later use all of them.
    pub proxies: Vec<Replica>,
    /// The Prometheus that scrapes the processes; see [`Platform::watch`].
    pub prometheus: Option<Prometheus>,
    /// The api, once it is started. One at a time: the links to the wallet page name its address.
    pub api: Option<Replica>,
    /// The endpoint of interactions by HTTP, once it is started.
    pub interactions: Option<Replica>,
    emulator: Process,
    environment: Environment,
}

/// The database, vhost and Redis database of a platform. A scenario may use those of a private server.
#[derive(Debug)]
pub struct PlatformServices {
    /// Database.
    pub database: TestDatabase,
    /// Virtual host of the broker.
    pub vhost: TestVhost,
    /// Redis database.
    pub redis: TestRedis,
}

impl PlatformServices {
    /// New ones on the servers that the environment names.
    ///
    /// # Panics
    /// When a server cannot be reached.
    pub async fn of_the_environment() -> Self {
        Self::with_vhost(TestVhost::create().await).await
    }

    /// As [`PlatformServices::of_the_environment`], with another vhost.
    ///
    /// # Panics
    /// When a server cannot be reached.
    pub async fn with_vhost(vhost: TestVhost) -> Self {
        Self {
            database: TestDatabase::create().await,
            vhost,
            redis: TestRedis::create(),
        }
    }
}

/// Addresses and credentials.
#[derive(Debug)]
struct Environment {
    binaries: PathBuf,
    services: PlatformServices,
    api_base: String,
    token: String,
    /// Addresses of the proxies, in the order of `proxies`.
    proxy_addrs: Vec<String>,
    /// Address of the api, which workers name before it is started.
    api_addr: String,
    /// `CHAIN_RPC_URLS`; `None` without a chain.
    chain_rpc_urls: Option<String>,
    /// Number of started processes, so that each has a name of its own.
    started: usize,
}

impl Platform {
    /// Starts the emulator and migrates the database; no service runs yet.
    ///
    /// # Errors
    /// When a binary is missing or the emulator does not start.
    pub async fn prepare() -> anyhow::Result<Self> {
        Self::prepare_on(PlatformServices::of_the_environment().await, &[]).await
    }

    /// As [`Platform::prepare`], on given services and with further arguments of the emulator.
    ///
    /// # Errors
    /// As [`Platform::prepare`].
    pub async fn prepare_on(services: PlatformServices, emulator_arguments: &[&str]) -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let token = bot_token();
        let mut arguments = vec!["--application-id", APPLICATION, "--ledger-bodies", LEDGER_BODIES];
        arguments.extend(emulator_arguments);
        let emulator = Process::start_at(
            &binaries.join("discord-emulator"),
            &arguments,
            [("EMULATOR_TOKEN", token.as_str())],
        );
        let line = emulator.line("\"control\":").await;
        let addresses: Addresses = serde_json::from_str(&line)
            .with_context(|| format!("the emulator's first line has no addresses: {line}"))?;
        let environment = Environment {
            binaries,
            services,
            api_base: addresses.rest,
            token,
            proxy_addrs: Vec::new(),
            api_addr: free_address()?,
            chain_rpc_urls: None,
            started: 0,
        };
        let discord = Emulator::new(&addresses.control);
        Ok(Self {
            discord,
            ingestors: Vec::new(),
            workers: Vec::new(),
            proxies: Vec::new(),
            prometheus: None,
            api: None,
            interactions: None,
            emulator,
            environment,
        })
    }

    /// The database, with URLs for the logins of owner, app and admin.
    pub fn database(&self) -> &TestDatabase {
        &self.environment.services.database
    }

    /// The vhost.
    pub fn vhost(&self) -> &TestVhost {
        &self.environment.services.vhost
    }

    /// The Redis database.
    pub fn redis(&self) -> &TestRedis {
        &self.environment.services.redis
    }

    /// Base URL of the emulator's REST API, as in `DISCORD_API_BASE`.
    pub fn api_base(&self) -> &str {
        &self.environment.api_base
    }

    /// URLs of the proxies, as in `DISCORD_PROXY_URL`.
    pub fn proxy_urls(&self) -> Vec<String> {
        let addrs = self.environment.proxy_addrs.iter();
        addrs.map(|addr| format!("http://{addr}")).collect()
    }

    /// URL of the api, at which members open the wallet page; [`Platform::start_api`] starts it.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.environment.api_addr)
    }

    /// Sets `CHAIN_RPC_URLS` of the workers and the api that are started later; see [`chain::rpc_urls`].
    pub fn read_chain(&mut self, rpc_urls: impl Into<String>) {
        self.environment.chain_rpc_urls = Some(rpc_urls.into());
    }

    /// Starts a Prometheus that scrapes the processes which are started from now on, and evaluates the alerts.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn watch(&mut self) -> anyhow::Result<()> {
        self.prometheus = Some(Prometheus::start().await?);
        Ok(())
    }

    /// The worker's credential at the proxies, for a run that calls Discord as a worker does.
    pub fn credential(&self) -> &'static str {
        CREDENTIAL
    }

    /// URL of the page.
    pub fn page(&self) -> String {
        self.discord.url().to_owned()
    }

    /// The emulator's process.
    pub fn emulator(&mut self) -> &mut Process {
        &mut self.emulator
    }

    /// Starts a proxy, a worker and an ingestor, and waits until each is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.start_proxy().await?;
        self.start_worker().await?;
        self.start_ingestor().await
    }

    /// Starts another proxy and waits until it is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_proxy(&mut self) -> anyhow::Result<()> {
        self.spawn_proxy(&[])?.ready().await;
        Ok(())
    }

    /// Starts another worker and waits until it is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_worker(&mut self) -> anyhow::Result<()> {
        self.spawn_worker(&[])?.ready().await;
        Ok(())
    }

    /// Starts another ingestor and waits until it is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_ingestor(&mut self) -> anyhow::Result<()> {
        self.spawn_ingestor(&[])?.ready().await;
        Ok(())
    }

    /// Starts the api and waits until it is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_api(&mut self) -> anyhow::Result<()> {
        self.spawn_api(&[])?.ready().await;
        Ok(())
    }

    /// Starts another proxy with these variables in addition to the usual ones. Does not wait.
    ///
    /// # Errors
    /// When no port is free.
    pub fn spawn_proxy(&mut self, extra: &[(String, String)]) -> anyhow::Result<&mut Replica> {
        let address = free_address()?;
        let environment = &self.environment;
        let usual = [
            ("DISCORD_TOKEN", environment.token.clone()),
            ("DISCORD_API_BASE", environment.api_base.clone()),
            (
                "PROXY_CREDENTIALS",
                format!("worker={CREDENTIAL},gaib={GAIB_CREDENTIAL}"),
            ),
            ("KILL_SWITCH_CREDENTIAL", KILL_SWITCH_CREDENTIAL.to_owned()),
            ("PROXY_LISTEN_ADDR", address.clone()),
            ("REDIS_URL", environment.services.redis.url()),
        ];
        let replica = self.spawn("arrakis-discord-proxy", &usual, extra)?;
        self.environment.proxy_addrs.push(address);
        Ok(last(&mut self.proxies, replica))
    }

    /// Starts another worker with these variables in addition to the usual ones. Does not wait.
    ///
    /// # Errors
    /// When no port is free.
    pub fn spawn_worker(&mut self, extra: &[(String, String)]) -> anyhow::Result<&mut Replica> {
        let services = &self.environment.services;
        let mut usual = vec![
            ("DISCORD_APPLICATION_ID", APPLICATION.to_owned()),
            ("DISCORD_PROXY_URL", self.proxy_urls().join(",")),
            ("DISCORD_PROXY_CREDENTIAL", CREDENTIAL.to_owned()),
            ("KILL_SWITCH_CREDENTIAL", KILL_SWITCH_CREDENTIAL.to_owned()),
            ("AMQP_URL", services.vhost.url()),
            ("DATABASE_URL", services.database.app_url()),
            ("REDIS_URL", services.redis.url()),
            ("VERIFY_BASE_URL", self.api_url()),
        ];
        usual.extend(self.environment.chain_variable());
        let replica = self.spawn("arrakis-worker", &usual, extra)?;
        Ok(last(&mut self.workers, replica))
    }

    /// Starts another ingestor with these variables in addition to the usual ones. Does not wait.
    ///
    /// # Errors
    /// When no port is free.
    pub fn spawn_ingestor(&mut self, extra: &[(String, String)]) -> anyhow::Result<&mut Replica> {
        let environment = &self.environment;
        let usual = [
            ("DISCORD_TOKEN", environment.token.clone()),
            ("DISCORD_API_BASE", environment.api_base.clone()),
            ("AMQP_URL", environment.services.vhost.url()),
        ];
        let replica = self.spawn("arrakis-ingestor", &usual, extra)?;
        Ok(last(&mut self.ingestors, replica))
    }

    /// Starts the api with these variables in addition to the usual ones, in place of an earlier one, which must have ended. Does not
    /// wait.
    ///
    /// # Errors
    /// When no port is free.
    pub fn spawn_api(&mut self, extra: &[(String, String)]) -> anyhow::Result<&mut Replica> {
        let services = &self.environment.services;
        let mut usual = vec![
            ("AMQP_URL", services.vhost.url()),
            ("DATABASE_URL", services.database.app_url()),
            ("DATABASE_ADMIN_URL", services.database.admin_url()),
            ("REDIS_URL", services.redis.url()),
            ("API_ADDR", self.environment.api_addr.clone()),
            ("VERIFY_BASE_URL", self.api_url()),
            ("MFA_ENCRYPTION_KEY", gaib::MFA_ENCRYPTION_KEY.to_owned()),
        ];
        usual.extend(self.environment.chain_variable());
        let replica = self.spawn("arrakis-api", &usual, extra)?;
        Ok(self.api.insert(replica))
    }

    /// Starts the endpoint of interactions by HTTP with these variables in addition to the usual ones, and waits until it is ready. The emulator delivers
    /// interactions to it from then on, instead of the gateway.
    ///
    /// # Errors
    /// When no port is free, or the emulator refuses the endpoint.
    pub async fn start_interactions(&mut self, extra: &[(String, String)]) -> anyhow::Result<()> {
        let address = free_address()?;
        let usual = [
            ("AMQP_URL", self.environment.services.vhost.url()),
            (
                "DISCORD_PUBLIC_KEY",
                self.discord.interactions_endpoint().await?.public_key,
            ),
            ("INTERACTIONS_ADDR", address.clone()),
        ];
        let replica = self.spawn("arrakis-interactions", &usual, extra)?;
        self.interactions.insert(replica).ready().await;
        let url = format!("http://{address}/interactions");
        self.discord.set_interactions_endpoint(Some(&url)).await?;
        Ok(())
    }

    /// Runs a task of `arrakis-worker` on this platform, such as `eligibility sync bgt --wait`, and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails; the error has its output.
    pub async fn worker_task(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let services = &self.environment.services;
        let mut command = tokio::process::Command::new(self.environment.binaries.join("arrakis-worker"));
        command.args(arguments).kill_on_drop(true).env_clear().envs([
            ("AMQP_URL", services.vhost.url()),
            ("DATABASE_URL", services.database.app_url()),
            ("DATABASE_ADMIN_URL", services.database.admin_url()),
            ("DATABASE_OWNER_URL", services.database.owner_url()),
        ]);
        command.envs(self.environment.chain_variable());
        let output = command.output().await.context("arrakis-worker")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ensure!(
            output.status.success(),
            "arrakis-worker {}: {}\n{}{}",
            arguments.join(" "),
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        Ok(text(&output.stdout))
    }

    /// Runs a command of `arrakis-worker` at the proxies of this platform, such as `kill-switch on`, with these variables in addition to the usual
    /// ones. Returns its output, whatever its exit code is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn worker_command(
        &self,
        arguments: &[&str],
        extra: &[(&str, String)],
    ) -> anyhow::Result<std::process::Output> {
        let services = &self.environment.services;
        let mut command = tokio::process::Command::new(self.environment.binaries.join("arrakis-worker"));
        command.args(arguments).kill_on_drop(true).env_clear().envs([
            ("DATABASE_URL", services.database.app_url()),
            ("REDIS_URL", services.redis.url()),
            ("DISCORD_PROXY_URL", self.proxy_urls().join(",")),
            ("DISCORD_PROXY_CREDENTIAL", CREDENTIAL.to_owned()),
            ("KILL_SWITCH_CREDENTIAL", KILL_SWITCH_CREDENTIAL.to_owned()),
        ]);
        command.envs(extra.iter().map(|(name, value)| (*name, value)));
        command.output().await.context("arrakis-worker")
    }

    /// Reads the chain into the ranking of a token profile by a worker's job, and waits for its end.
    ///
    /// # Errors
    /// When the sync fails.
    pub async fn sync(&self, token_profile: &str) -> anyhow::Result<()> {
        self.worker_task(&["eligibility", "sync", token_profile, "--wait"])
            .await
            .map(drop)
    }

    fn spawn(&mut self, binary: &str, usual: &[(&str, String)], extra: &[(String, String)]) -> anyhow::Result<Replica> {
        let environment = &mut self.environment;
        environment.started += 1;
        let name = format!("{}-{}", binary.trim_start_matches("arrakis-"), environment.started);
        let is_given = |name: &str| extra.iter().any(|(given, _)| given == name);
        let mut variables: Vec<_> = usual
            .iter()
            .filter(|(name, _)| !is_given(name))
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        variables.extend(extra.iter().cloned());
        let health = free_address()?;
        if let Some(prometheus) = &mut self.prometheus {
            prometheus.add_target(binary, &name, &health)?;
        }
        let path = environment.binaries.join(binary);
        Ok(Replica::spawn(name, path, variables, health))
    }

    /// Sends SIGKILL to every worker.
    pub async fn kill_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.kill().await;
        }
    }

    /// Sends SIGTERM to the newest ingestor and waits until it has ended.
    ///
    /// # Errors
    /// When it ends with an error, or no ingestor runs.
    pub async fn stop_ingestor(&mut self) -> anyhow::Result<()> {
        let mut ingestor = self.ingestors.pop().context("no ingestor runs")?;
        let status = ingestor.stop(std::time::Duration::from_secs(20)).await;
        ensure!(status.success(), "the ingestor ended with {status}");
        Ok(())
    }

    /// Every service process: ingestors, the endpoint of interactions, the api, workers, proxies.
    pub fn replicas(&mut self) -> impl Iterator<Item = &mut Replica> {
        let upper = self
            .ingestors
            .iter_mut()
            .chain(&mut self.interactions)
            .chain(&mut self.api);
        upper.chain(self.workers.iter_mut()).chain(self.proxies.iter_mut())
    }

    /// Stops all processes: ingestors, the endpoint of interactions, the api, workers, proxies.
    pub async fn stop(mut self) {
        let grace = std::time::Duration::from_secs(25);
        for replica in self.replicas() {
            replica.stop(grace).await;
        }
        self.emulator.terminate();
        self.emulator.ended(grace).await;
    }
}

impl Environment {
    fn chain_variable(&self) -> Option<(&'static str, String)> {
        let urls = self.chain_rpc_urls.clone()?;
        Some(("CHAIN_RPC_URLS", urls))
    }
}

fn last(replicas: &mut Vec<Replica>, replica: Replica) -> &mut Replica {
    replicas.push(replica);
    let index = replicas.len() - 1;
    &mut replicas[index]
}

/// Folder of the binaries: that of this program, or its parent when this program is a test.
pub(crate) fn binaries() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let folder = program
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| folder.join("arrakis-worker").is_file());
    folder
        .map(PathBuf::from)
        .context("the services are not built: run `cargo build --workspace --bins`, or use ./dev")
}

/// A free loopback address.
pub(crate) fn free_address() -> anyhow::Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}

/// A free port below the range of outgoing connections (from 32,768 on Linux), so that a process that is killed and started
/// again finds its port free.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    const FIRST: u16 = 10_000;
    const COUNT: u32 = 10_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Concurrent runs start their search at different ports.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + u16::try_from(offset)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}

/// A bot token in Discord's form: application id, time and signature, each in base64url.
fn bot_token() -> String {
    use base64::Engine as _;
    format!(
        "{}.GdemoX.{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(APPLICATION),
        "a".repeat(38)
    )
}
