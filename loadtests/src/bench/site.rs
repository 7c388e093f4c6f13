//! A platform to be measured: the emulator and the services of this build, in a database, vhost and Redis database of their own.
//!
//! Owns starting and stopping, and the communities that the load's members live in. Processes get what production gives
//! them; what is measured must not be tuned for the measurement.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::{Addresses, SeedRequest};
use arrakis_test_support::{Process, TestDatabase, TestRedis, TestVhost};
use serde_json::{Value, json};

use super::scrape::Scrape;
use super::taker::Taker;
use crate::platform::{Emulator, binaries, free_address};

const APPLICATION: &str = "1100000000000000001";
const CREDENTIAL: &str = "the-bench's-own-credential";

/// How a site is made.
#[derive(Debug, Clone, Copy)]
pub struct SiteOptions {
    /// Servers in the emulator.
    pub guilds: u32,
    /// Members of each.
    pub members: u32,
    /// Gateway shards.
    pub shards: u32,
}

/// One running service.
#[derive(Debug)]
pub struct Service {
    /// `ingestor`, `worker`, `proxy`.
    pub name: &'static str,
    /// Where health and metrics are.
    pub health: String,
    /// The process.
    pub process: Process,
}

/// A platform that is measured.
#[derive(Debug)]
pub struct Site {
    /// The emulator's control API.
    pub discord: Emulator,
    /// Schema and rows.
    pub database: TestDatabase,
    /// Queues.
    pub vhost: TestVhost,
    /// Keys.
    pub redis: TestRedis,
    /// What runs, in the order of starting.
    pub services: Vec<Service>,
    /// How it was made.
    pub options: SiteOptions,
    emulator: Process,
    binaries: PathBuf,
    api_base: String,
    token: String,
    proxies: Vec<String>,
}

impl Site {
    /// Starts the emulator with its servers; nothing of Arrakis runs yet.
    ///
    /// # Errors
    /// When a binary is missing or the emulator does not come up.
    pub async fn open(options: SiteOptions) -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let token = bot_token();
        let shards = options.shards.to_string();
        // Identifies are not what is measured: all shards at once, as a large bot may.
        let arguments = [
            "--application-id",
            APPLICATION,
            "--shards",
            &shards,
            "--max-concurrency",
            &shards,
            "--ledger",
            "0",
        ];
        let emulator = Process::start_at(
            &binaries.join("discord-emulator"),
            &arguments,
            [("EMULATOR_TOKEN", token.as_str()), ("RUST_LOG", "warn")],
        );
        let line = emulator.line("\"control\":").await;
        let addresses: Addresses = serde_json::from_str(&line)
            .with_context(|| format!("the emulator's first line has no addresses: {line}"))?;
        let site = Self {
            discord: Emulator::new(&addresses.control),
            database: TestDatabase::create().await,
            vhost: TestVhost::create().await,
            redis: TestRedis::create(),
            services: Vec::new(),
            options,
            emulator,
            binaries,
            api_base: addresses.rest,
            token,
            proxies: Vec::new(),
        };
        site.discord.set_recording(false).await?;
        let seed = SeedRequest::Load {
            guilds: options.guilds.into(),
            members: options.members.into(),
        };
        site.discord.seed(&seed).await?;
        site.register_commands().await?;
        Ok(site)
    }

    /// Registers the commands that a load runs, as a worker's leader would.
    async fn register_commands(&self) -> anyhow::Result<()> {
        let names = ["position", "profile", "leaderboard", "threshold", "stats", "help"];
        let commands: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "description": "For the bench", "type": 1}))
            .collect();
        let answer = reqwest::Client::new()
            .put(format!("{}/applications/{APPLICATION}/commands", self.api_base))
            .header("authorization", format!("Bot {}", self.token))
            .json(&commands)
            .send()
            .await?;
        ensure!(
            answer.status().is_success(),
            "registering commands: {}",
            answer.text().await?
        );
        Ok(())
    }

    /// Starts a proxy.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_proxy(&mut self) -> anyhow::Result<()> {
        let listen = free_address()?;
        let (callers, redis) = (format!("worker={CREDENTIAL}"), self.redis.url());
        let variables = [
            ("DISCORD_TOKEN", self.token.clone()),
            ("DISCORD_API_BASE", self.api_base.clone()),
            ("PROXY_CREDENTIALS", callers),
            ("PROXY_LISTEN_ADDR", listen.clone()),
            ("REDIS_URL", redis),
        ];
        self.proxies.push(format!("http://{listen}"));
        self.start("proxy", "arrakis-discord-proxy", &variables, true)
            .await
            .map(drop)
    }

    /// Base of the emulator's REST API, and the bot token that it takes.
    pub fn discord_api(&self) -> (&str, &str) {
        (&self.api_base, &self.token)
    }

    /// Where the proxies are, and the credential of a caller.
    pub fn proxies(&self) -> (&[String], &'static str) {
        (&self.proxies, CREDENTIAL)
    }

    /// Starts a worker; answers when it was started, Unix microseconds. It is waited for where `ready` says so.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_worker(&mut self, ready: bool) -> anyhow::Result<u64> {
        let variables = [
            ("DISCORD_APPLICATION_ID", APPLICATION.to_owned()),
            ("DISCORD_PROXY_URL", self.proxies.join(",")),
            ("DISCORD_PROXY_CREDENTIAL", CREDENTIAL.to_owned()),
            ("AMQP_URL", self.vhost.url()),
            ("DATABASE_URL", self.database.app_url()),
            ("REDIS_URL", self.redis.url()),
        ];
        self.start("worker", "arrakis-worker", &variables, ready).await
    }

    /// Starts an ingestor.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_ingestor(&mut self) -> anyhow::Result<()> {
        let url = self.vhost.url();
        self.start_ingestor_at(&url, true).await
    }

    /// Starts an ingestor and does not wait: it is ready only when it has replayed what it missed.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn begin_ingestor(&mut self) -> anyhow::Result<()> {
        let url = self.vhost.url();
        self.start_ingestor_at(&url, false).await
    }

    /// Starts an ingestor whose broker is at this address.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_ingestor_at(&mut self, amqp: &str, ready: bool) -> anyhow::Result<()> {
        let variables = [
            ("DISCORD_TOKEN", self.token.clone()),
            ("DISCORD_API_BASE", self.api_base.clone()),
            ("AMQP_URL", amqp.to_owned()),
        ];
        self.start("ingestor", "arrakis-ingestor", &variables, ready)
            .await
            .map(drop)
    }

    async fn start(
        &mut self,
        name: &'static str,
        binary: &str,
        variables: &[(&str, String)],
        ready: bool,
    ) -> anyhow::Result<u64> {
        let health = free_address()?;
        let path = self.binaries.join(binary);
        let common = [("HEALTH_ADDR", health.clone()), ("LOG_FORMAT", "json".to_owned())];
        let tried = experiments();
        let tried = tried.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let all = variables.iter().cloned().chain(common).chain(tried);
        let started = unix_us();
        let mut process = Process::start_at(&path, &[], all);
        if ready {
            process.ready(&health).await;
        }
        self.services.push(Service { name, health, process });
        Ok(started)
    }

    /// Somebody who takes what comes into these queues, as workers would.
    pub(super) async fn start_taker(&self, queues: &[&str]) -> Taker {
        Taker::start(&self.binaries, &self.vhost.url(), queues).await
    }

    /// SIGTERM for every service of this name; answers when they are gone.
    ///
    /// # Errors
    /// When one ends with an error.
    pub async fn stop_service(&mut self, name: &str) -> anyhow::Result<()> {
        let (stopping, staying): (Vec<_>, Vec<_>) = self.services.drain(..).partition(|service| service.name == name);
        self.services = staying;
        for mut service in stopping {
            service.process.terminate();
            let status = service.process.ended(Duration::from_secs(40)).await;
            ensure!(
                status.success(),
                "the {name} ended with {status}: {:?}",
                service.process.lines().last()
            );
        }
        Ok(())
    }

    /// Every process of the platform, for [`super::Watch`].
    pub fn processes(&self) -> Vec<(String, u32)> {
        let services = self.services.iter().map(|service| (service.name, &service.process));
        services
            .chain(std::iter::once(("emulator", &self.emulator)))
            .filter_map(|(name, process)| Some((name.to_owned(), process.pid()?)))
            .collect()
    }

    /// Process id of the first service of this name.
    ///
    /// # Errors
    /// When none runs.
    pub fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let service = self.services.iter().find(|service| service.name == name);
        service
            .and_then(|service| service.process.pid())
            .with_context(|| format!("no {name} runs"))
    }

    /// What the services of this name say of themselves, together.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn scrape(&self, name: &str) -> anyhow::Result<Scrape> {
        let mut all = Scrape::default();
        for service in self.services.iter().filter(|service| service.name == name) {
            all = all.plus(&Scrape::of(&service.health).await?);
        }
        Ok(all)
    }

    /// Ends everything, from the top of the flow to its bottom.
    ///
    /// # Errors
    /// When a service ends with an error.
    pub async fn close(mut self) -> anyhow::Result<()> {
        for name in ["ingestor", "worker", "proxy"] {
            self.stop_service(name).await?;
        }
        self.emulator.terminate();
        self.emulator.ended(Duration::from_secs(20)).await;
        Ok(())
    }
}

/// Settings of services that the bench's own environment changes, for trying something out; told in the report.
pub(super) fn experiments() -> Vec<(String, String)> {
    let prefixes = ["INGESTOR_", "WORKER_", "PROXY_", "TOKIO_", "MALLOC_", "MIMALLOC_"];
    let of_services = |(name, _): &(String, String)| {
        prefixes.iter().any(|prefix| name.starts_with(prefix))
            && name != "PROXY_CREDENTIALS"
            && name != "PROXY_LISTEN_ADDR"
    };
    std::env::vars().filter(of_services).collect()
}

/// Unix microseconds.
pub(super) fn unix_us() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_micros()).unwrap_or(u64::MAX)
}

/// A bot token as Discord makes them: the application's id, a time, a signature, each in base64url.
fn bot_token() -> String {
    use base64::Engine as _;
    let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(APPLICATION);
    format!("{id}.GbenchX.{}", "a".repeat(38))
}
