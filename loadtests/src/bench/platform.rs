//! The measured platform: the emulator and the services of this build, with a database, vhost and Redis database of their own.
//!
//! Starts and stops the processes. They get production's settings; nothing is tuned for the measurement.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::{Addresses, SeedRequest};
use arrakis_test_support::{Process, TestDatabase, TestRedis, TestVhost};
use serde_json::{Value, json};

use super::drain::DrainProcess;
use super::scrape::Scrape;
use crate::platform::{Emulator, binaries, free_address};

const APPLICATION: &str = "1100000000000000001";
const CREDENTIAL: &str = "the-bench's-own-credential";

/// How the emulator is set up.
#[derive(Debug, Clone, Copy)]
pub struct BenchPlatformOptions {
    /// Servers in the emulator.
    pub guilds: u32,
    /// Members of each server.
    pub members: u32,
    /// Gateway shards.
    pub shards: u32,
}

/// One running service.
#[derive(Debug)]
pub struct Service {
    /// `ingestor`, `worker` or `proxy`.
    pub name: &'static str,
    /// Address of health and metrics.
    pub health: String,
    /// The process.
    pub process: Process,
}

/// A platform that is measured.
#[derive(Debug)]
pub struct BenchPlatform {
    /// The emulator's control API.
    pub discord: Emulator,
    /// The database.
    pub database: TestDatabase,
    /// The vhost of the broker.
    pub vhost: TestVhost,
    /// The Redis database.
    pub redis: TestRedis,
    /// Running services, in the order of their start.
    pub services: Vec<Service>,
    /// How the emulator was set up.
    pub options: BenchPlatformOptions,
    emulator: Process,
    binaries: PathBuf,
    api_base: String,
    token: String,
    proxies: Vec<String>,
}

impl BenchPlatform {
    /// Starts the emulator with its servers, and no service yet.
    ///
    /// # Errors
    /// When a binary is missing or the emulator does not start.
    pub async fn open(options: BenchPlatformOptions) -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let token = bot_token();
        let shards = options.shards.to_string();
        // Identifies are not measured: all shards may identify at once, as for a large bot.
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
        let platform = Self {
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
        platform.discord.set_recording(false).await?;
        let seed = SeedRequest::Load {
            guilds: options.guilds.into(),
            members: options.members.into(),
        };
        platform.discord.seed(&seed).await?;
        platform.register_commands().await?;
        Ok(platform)
    }

    /// Registers the commands of a load, as the leader among the workers does.
    async fn register_commands(&self) -> anyhow::Result<()> {
        let names = [
            "position",
            "profile",
            "leaderboard",
            "threshold",
            "stats",
            "help",
            "directory",
            "naib",
            "register-waitlist",
            "badges",
        ];
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

    /// Base URL of the emulator's REST API, and the bot token that it accepts.
    pub fn discord_api(&self) -> (&str, &str) {
        (&self.api_base, &self.token)
    }

    /// URLs of the proxies, and the credential of a caller.
    pub fn proxies(&self) -> (&[String], &'static str) {
        (&self.proxies, CREDENTIAL)
    }

    /// Starts a worker. Returns the moment of the start in Unix microseconds. With `ready`, waits until the worker is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_worker(&mut self, ready: bool) -> anyhow::Result<u64> {
        self.start_worker_with(&[], ready).await
    }

    /// As [`BenchPlatform::start_worker`], with further variables.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_worker_with(&mut self, more: &[(&str, String)], ready: bool) -> anyhow::Result<u64> {
        let usual = [
            ("DISCORD_APPLICATION_ID", APPLICATION.to_owned()),
            ("DISCORD_PROXY_URL", self.proxies.join(",")),
            ("DISCORD_PROXY_CREDENTIAL", CREDENTIAL.to_owned()),
            ("AMQP_URL", self.vhost.url()),
            ("DATABASE_URL", self.database.app_url()),
            ("REDIS_URL", self.redis.url()),
        ];
        let variables: Vec<_> = usual.iter().chain(more).cloned().collect();
        self.start("worker", "arrakis-worker", &variables, ready).await
    }

    /// Runs a task of `arrakis-worker`, as an operator does, and waits until it has ended.
    ///
    /// # Errors
    /// When it fails; the error has its output.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    pub async fn worker_task(&self, arguments: &[&str], limit: Duration) -> anyhow::Result<()> {
        let variables = [
            ("AMQP_URL", self.vhost.url()),
            ("DATABASE_URL", self.database.app_url()),
        ];
        let task = Process::start_at(&self.binaries.join("arrakis-worker"), arguments, variables);
        let (status, output) = task.output(limit).await;
        let name = arguments.join(" ");
        ensure!(status.success(), "arrakis-worker {name} ended with {status}: {output}");
        Ok(())
    }

    /// Starts an ingestor and waits until it is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_ingestor(&mut self) -> anyhow::Result<()> {
        let url = self.vhost.url();
        self.start_ingestor_at(&url, true).await
    }

    /// Starts an ingestor without waiting: it is ready only after it has replayed what it missed.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn begin_ingestor(&mut self) -> anyhow::Result<()> {
        let url = self.vhost.url();
        self.start_ingestor_at(&url, false).await
    }

    /// Starts an ingestor with this broker URL.
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

    /// Starts a process that consumes from these queues in place of workers.
    pub(super) async fn start_drain(&self, queues: &[&str]) -> DrainProcess {
        DrainProcess::start(&self.binaries, &self.vhost.url(), queues).await
    }

    /// Sends SIGTERM to every service of this name and waits until they have ended.
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

    /// Every process of the platform, for [`super::ProcessMonitor`].
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

    /// The sum of the metrics of all services of this name.
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

    /// Stops all services: ingestors, workers, proxies.
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

/// Settings of services in the environment of the bench. The report states them.
pub(super) fn experiments() -> Vec<(String, String)> {
    let prefixes = ["INGESTOR_", "WORKER_", "PROXY_", "TOKIO_", "MALLOC_", "MIMALLOC_"];
    let of_services = |(name, _): &(String, String)| {
        prefixes.iter().any(|prefix| name.starts_with(prefix))
            && name != "PROXY_CREDENTIALS"
            && name != "PROXY_LISTEN_ADDR"
    };
    std::env::vars().filter(of_services).collect()
}

/// The present moment in Unix microseconds.
pub(super) fn unix_us() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_micros()).unwrap_or(u64::MAX)
}

/// A bot token in Discord's form: application id, time and signature, each in base64url.
fn bot_token() -> String {
    use base64::Engine as _;
    let id = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(APPLICATION);
    format!("{id}.GbenchX.{}", "a".repeat(38))
}
