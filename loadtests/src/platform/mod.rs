//! The whole of Arrakis as processes of its own, on the real services that the environment names, in a database, vhost and
//! Redis database that nobody else uses.
//!
//! Owns starting, killing and replacing the binaries, the way an operator or a fault would. Refuses to look inside of them:
//! what a run knows, it knows from the emulator and from Postgres.

mod emulator;

use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use arrakis_test_support::{Process, TestDatabase, TestRedis, TestVhost};

pub use emulator::{Answer, Emulator, Interaction, Member, Message};

const APPLICATION: &str = "1100000000000000001";
/// Bytes of each body that the emulator keeps: whole, so that a run can be held to Discord's own document.
const LEDGER_BODIES: &str = "65536";
const CREDENTIAL: &str = "the-demo's-own-credential";

/// A running platform. Dropping it kills its processes and drops what it used.
#[derive(Debug)]
pub struct Platform {
    /// The emulator's control API.
    pub discord: Emulator,
    /// Names of what runs, for a person.
    emulator: Process,
    proxy: Option<Process>,
    workers: Vec<Process>,
    ingestor: Option<Process>,
    environment: Environment,
}

/// Where everything is.
#[derive(Debug)]
struct Environment {
    binaries: PathBuf,
    database: TestDatabase,
    vhost: TestVhost,
    redis: TestRedis,
    api_base: String,
    token: String,
    proxy_addr: String,
}

impl Platform {
    /// Starts the emulator and makes the database's schema; nothing of Arrakis runs yet.
    ///
    /// # Errors
    /// When a binary is missing or the emulator does not come up.
    pub async fn prepare() -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let token = bot_token();
        let emulator = Process::start_at(
            &binaries.join("discord-emulator"),
            &["--application-id", APPLICATION, "--ledger-bodies", LEDGER_BODIES],
            [("EMULATOR_TOKEN", token.as_str())],
        );
        let line = emulator.line("\"control\":").await;
        let addresses: serde_json::Value =
            serde_json::from_str(&line).context("the emulator's first line is no JSON")?;
        let address = |key: &str| {
            addresses[key]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("no {key} in {line}"))
        };
        let environment = Environment {
            binaries,
            database: TestDatabase::create().await,
            vhost: TestVhost::create().await,
            redis: TestRedis::create(),
            api_base: address("rest")?,
            token,
            proxy_addr: free_address()?,
        };
        let discord = Emulator::new(&address("control")?);
        Ok(Self {
            discord,
            emulator,
            proxy: None,
            workers: Vec::new(),
            ingestor: None,
            environment,
        })
    }

    /// URL of the database by the owner's, the app's and the admin's login.
    pub fn database(&self) -> &TestDatabase {
        &self.environment.database
    }

    /// The vhost.
    pub fn vhost(&self) -> &TestVhost {
        &self.environment.vhost
    }

    /// Address of the page.
    pub fn page(&self) -> String {
        self.discord.address().to_owned()
    }

    /// Starts proxy, one worker and ingestor, and waits until each is ready.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.start_proxy().await?;
        self.start_worker().await?;
        self.start_ingestor().await
    }

    /// Starts the proxy.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_proxy(&mut self) -> anyhow::Result<()> {
        let environment = &self.environment;
        let callers = format!("worker={CREDENTIAL}");
        let redis = environment.redis.url();
        let variables = [
            ("DISCORD_TOKEN", environment.token.as_str()),
            ("DISCORD_API_BASE", &environment.api_base),
            ("PROXY_CREDENTIALS", &callers),
            ("PROXY_LISTEN_ADDR", &environment.proxy_addr),
            ("REDIS_URL", &redis),
        ];
        self.proxy = Some(start(environment, "arrakis-discord-proxy", &variables).await?);
        Ok(())
    }

    /// Starts one more worker.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_worker(&mut self) -> anyhow::Result<()> {
        let environment = &self.environment;
        let proxy = format!("http://{}", environment.proxy_addr);
        let (amqp, database, redis) = (
            environment.vhost.url(),
            environment.database.app_url(),
            environment.redis.url(),
        );
        let variables = [
            ("DISCORD_APPLICATION_ID", APPLICATION),
            ("DISCORD_PROXY_URL", &proxy),
            ("DISCORD_PROXY_CREDENTIAL", CREDENTIAL),
            ("AMQP_URL", &amqp),
            ("DATABASE_URL", &database),
            ("REDIS_URL", &redis),
        ];
        let worker = start(environment, "arrakis-worker", &variables).await?;
        self.workers.push(worker);
        Ok(())
    }

    /// Starts the ingestor.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_ingestor(&mut self) -> anyhow::Result<()> {
        let environment = &self.environment;
        let amqp = environment.vhost.url();
        let variables = [
            ("DISCORD_TOKEN", environment.token.as_str()),
            ("DISCORD_API_BASE", &environment.api_base),
            ("AMQP_URL", &amqp),
        ];
        self.ingestor = Some(start(environment, "arrakis-ingestor", &variables).await?);
        Ok(())
    }

    /// SIGKILL for every worker.
    pub async fn kill_workers(&mut self) {
        for mut worker in self.workers.drain(..) {
            worker.kill().await;
        }
    }

    /// SIGTERM for the ingestor; answers when it is gone.
    ///
    /// # Errors
    /// When it ends with an error, or none runs.
    pub async fn stop_ingestor(&mut self) -> anyhow::Result<()> {
        let mut ingestor = self.ingestor.take().context("no ingestor runs")?;
        ingestor.terminate();
        let status = ingestor.ended(std::time::Duration::from_secs(20)).await;
        ensure!(status.success(), "the ingestor ended with {status}");
        Ok(())
    }

    /// Ends everything in order, from the top of the flow to its bottom.
    pub async fn stop(mut self) {
        let grace = std::time::Duration::from_secs(25);
        let arrakis = self
            .ingestor
            .iter_mut()
            .chain(self.workers.iter_mut())
            .chain(self.proxy.iter_mut());
        for process in arrakis.chain(std::iter::once(&mut self.emulator)) {
            process.terminate();
            process.ended(grace).await;
        }
    }
}

async fn start(environment: &Environment, binary: &str, variables: &[(&str, &str)]) -> anyhow::Result<Process> {
    let health = free_address()?;
    let path = environment.binaries.join(binary);
    let common = [("HEALTH_ADDR", health.as_str()), ("LOG_FORMAT", "text")];
    let mut process = Process::start_at(&path, &[], variables.iter().copied().chain(common));
    process.ready(&health).await;
    Ok(process)
}

/// Where the binaries are: beside this program, or one folder up when this program is a test.
fn binaries() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let folder = program
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| folder.join("arrakis-worker").is_file());
    folder
        .map(PathBuf::from)
        .context("the services are not built: run `cargo build --workspace --bins`, or `./dev demo`")
}

/// A loopback address that was free a moment ago.
fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")
        .context("no port is free")?
        .local_addr()?
        .to_string())
}

/// A bot token as Discord makes them: the application's id, a time, a signature, each in base64url.
fn bot_token() -> String {
    use base64::Engine as _;
    format!(
        "{}.GdemoX.{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(APPLICATION),
        "a".repeat(38)
    )
}
