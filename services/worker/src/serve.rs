//! Starts the worker, runs its consumers, and shuts it down.
//!
//! Order: themes → connections (all at once) → schema and topology → consumers. After SIGTERM the consumers fetch no more messages
//! and finish or return those in progress; then the connections are closed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_broker::{
    BrokerConnection, ConsumeError, ConsumeOptions, Handler, Isolation, Publisher, RetryPublisher, StopTokens,
    Topology, consume,
};
use arrakis_cache::{Cache, CacheOptions};
use arrakis_chain::Chains;
use arrakis_contracts::{JobKind, names};
use arrakis_db::{Database, DatabaseOptions, DbError};
use arrakis_discord::{Discord, FinishedCall};
use arrakis_eligibility::{EligibilityProvider, ProviderSettings};
use arrakis_kill_switch::{KillSwitchControl, KillSwitchSync, PlatformSwitch};
use arrakis_runtime::{Fatal, Runtime, fail_point};
use arrakis_security::signing::{self, Signer};
use arrakis_themes::Registry;
use arrakis_verification::{RegistryRecord, Verification};
use backon::{ConstantBuilder, Retryable as _};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::approval_settings::Approvals;
use crate::canary::{self, CanaryShare, HandOver, STABLE_PRIORITY, WorkerGroup};
use crate::commands::Commands;
use crate::config::Config;
use crate::configuration::ShadowStore;
use crate::events::Events;
use crate::health::{BrokerConnections, Components};
use crate::interactions::Interactions;
use crate::jobs::Jobs;
use crate::kill_switch::KillSwitchLoop;
use crate::load_shedding::LoadShedding;
use crate::metrics::WorkerMetrics;
use crate::scheduled_backup::{BackupConfig, Backups};
use crate::services::Services;
use crate::shadow::{self, Recorder, Shadowed};
use crate::synthesis_client::SynthesisClient;
use crate::{jobs, leader};

/// Time limit of the first call to a proxy, which measures the offset of Discord's clock. The start continues without it.
const FIRST_PROBE_LIMIT: Duration = Duration::from_millis(500);
/// Time for an interaction beyond its command's own limit: the calls that send the reply, and their repetitions.
const REPLY_LIMIT: Duration = Duration::from_secs(40);
/// Postgres connections beyond those of the handlers: the leader's tasks, health checks.
const SPARE_CONNECTIONS: u32 = 4;
/// Pause between attempts to connect to Postgres.
const POSTGRES_RETRY: Duration = Duration::from_secs(1);
/// Pause between attempts to declare the topology.
const TOPOLOGY_RETRY: Duration = Duration::from_millis(200);

/// Runs the worker until the runtime's shutdown tokens are cancelled.
///
/// # Errors
/// If the configuration, the themes, the schema or the topology of the broker do not fit this build, or a consumer failed.
pub async fn serve(mut config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(config.grace);
    let connections = BrokerConnections {
        consume: BrokerConnection::open(&config.broker, "arrakis-worker consume"),
        publish: BrokerConnection::open(&config.broker, "arrakis-worker publish"),
    };
    let components = Components::new(&runtime.health);
    let topology = Arc::new(Topology::new(config.broker.priorities));
    let declared = match config.group {
        WorkerGroup::Shadow => Arc::new(topology.shadow()),
        WorkerGroup::Stable | WorkerGroup::Canary => topology.clone(),
    };
    let recorder = match config.group {
        WorkerGroup::Shadow => {
            // What has effects elsewhere.
            (config.signing, config.signing_revocation, config.backups) = (None, None, None);
            Some(Recorder::start(&mut config.discord, &runtime).await?)
        }
        WorkerGroup::Stable | WorkerGroup::Canary => None,
    };
    let (mut services, ()) = tokio::try_join!(
        connect(&config, &runtime, &connections),
        declare(&declared, &connections.publish, &runtime)
    )?;
    services.publisher = match config.group {
        WorkerGroup::Shadow => services.publisher.discarding(),
        WorkerGroup::Stable | WorkerGroup::Canary => services.publisher.with_topology(topology.clone()),
    };
    let services = Arc::new(services);
    if recorder.is_some() {
        shadow::Isolation(services.clone()).check_at_start().await?;
    }
    let commands = Arc::new(Commands::default());
    // The result is reported by the health component.
    let _ = tokio::time::timeout(FIRST_PROBE_LIMIT, services.probe_discord()).await;
    // A kill switch that is on is known before the first message.
    let kill_switch_loop = match recorder {
        // It would write the state of its copy to the proxies.
        Some(_) => None,
        None => Some(KillSwitchLoop::begin(services.clone(), kill_switch_sync(&config, &services)?).await),
    };
    services.metrics.group.with_label_values(&[config.group.name()]).set(1);
    let canary_share = match config.group {
        WorkerGroup::Stable => CanaryShare::begin(&services.database, &services.metrics).await,
        WorkerGroup::Canary | WorkerGroup::Shadow => CanaryShare::none(),
    };
    let consumers = Consumers {
        canary_share: canary_share.clone(),
        config: &config,
        services: &services,
        commands: &commands,
        connections: &connections,
        topology: &topology,
        declared: &declared,
        recorder,
        isolation: Isolation::default(),
        stop: StopTokens {
            soft: runtime.shutdown.soft.clone(),
            hard: runtime.shutdown.hard.clone(),
        },
    };
    let (mut running, queues) = consumers.start();
    let (database, stop) = (services.database.clone(), runtime.shutdown.soft.clone());
    match config.group {
        WorkerGroup::Stable => tokio::spawn(canary_share.follow(database, services.metrics.clone(), stop)),
        WorkerGroup::Canary => tokio::spawn(canary::report(database, stop)),
        WorkerGroup::Shadow => tokio::spawn(shadow::Isolation(services.clone()).watch(stop)),
    };
    if config.group != WorkerGroup::Shadow {
        tokio::spawn(shadow::mark_in_use(services.clone(), runtime.shutdown.soft.clone()));
    }
    let group = config.group.name();
    runtime.health.add_details("group", move || json!(group));
    let is_leader = services.metrics.leader.clone();
    runtime
        .health
        .add_details("leads_timed_work", move || json!(is_leader.get() == 1));
    let verification = verification_details(&services);
    runtime
        .health
        .add_details("wallet_verification", move || json!(verification));
    let is_on = services.kill_switch.clone();
    runtime
        .health
        .add_details("kill_switch_on", move || json!(is_on.is_on()));
    let soft = &runtime.shutdown.soft;
    if let Some(kill_switch_loop) = kill_switch_loop {
        tokio::spawn(kill_switch_loop.run(soft.clone()));
    }
    tokio::spawn(components.watch(
        services.clone(),
        connections.clone(),
        queues,
        runtime.shutdown.hard.clone(),
    ));
    let remembering = services.clone();
    let stop = runtime.shutdown.hard.clone();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        if let Some(backups) = &remembering.backups {
            backups.remember_public_keys().await;
        }
    }));
    // Timed work runs on the stable build: a canary that led would run the timed work of every server.
    let leader = (config.group == WorkerGroup::Stable).then(|| {
        tokio::spawn(leader::run(
            services.clone(),
            commands,
            connections.publish.clone(),
            config.database_url.clone(),
            soft.clone(),
        ))
    });
    let result = join_consumers(&mut running, soft).await;
    if let Some(leader) = leader {
        let _ = leader.await;
    }
    connections.consume.close().await;
    connections.publish.close().await;
    services.database.close();
    result
}

/// The clients of a worker with this configuration.
///
/// # Errors
/// If the configuration or the themes do not fit this build, or Postgres refuses the login.
pub(crate) async fn connect(
    config: &Config,
    runtime: &Runtime,
    connections: &BrokerConnections,
) -> anyhow::Result<Services> {
    let themes =
        Registry::load(config.themes_dir.as_deref()).map_err(|error| Fatal::configuration(error.to_string()))?;
    let metrics = WorkerMetrics::new(&runtime.metrics);
    let database = connect_database(config, &runtime.shutdown.soft)
        .await
        .context("connecting to Postgres")?;
    let chains = Chains::new(&config.chains);
    let signer = open_signer(config, &metrics)?;
    let verification = verification(config, &database, &chains, signer.as_ref())?;
    let backups = match (&config.backups, &signer) {
        (Some(config), Some(signer)) => Some(open_backups(config, signer.clone()).await?),
        _ => None,
    };
    let call_metrics = metrics.clone();
    let observer = Arc::new(move |finished: &FinishedCall<'_>| call_metrics.count_call(finished));
    let cache = Cache::new(&config.redis_url, CacheOptions::default())
        .map_err(|error| Fatal::configuration(error.to_string()))?;
    let eligibility = EligibilityProvider::new(
        chains.clone(),
        config.score.as_ref(),
        cache.clone(),
        ProviderSettings::default(),
        Arc::new(metrics.provider.clone()),
    );
    Ok(Services {
        database,
        cache,
        discord: Discord::observed(&config.discord, Some(observer))
            .map_err(|error| Fatal::configuration(format!("DISCORD_PROXY_CREDENTIAL: {error}")))?,
        synthesis: SynthesisClient::new(&config.discord),
        chains,
        verification,
        eligibility: eligibility.map_err(|error| Fatal::configuration(format!("SCORE_API_URL: {error}")))?,
        publisher: Publisher::new(connections.publish.clone()),
        themes,
        metrics,
        status_page: config.verify_base_url.clone(),
        command_limit: config.command_limit,
        stale_after: config.stale_after,
        admin_commands_without_mfa: config.admin_commands_without_mfa,
        mfa: config.mfa.clone(),
        kill_switch: PlatformSwitch::default(),
        shadows: backups.as_ref().map(|backups| {
            let vault = backups.vault();
            ShadowStore::new(vault.store().clone()).signed_by(vault.signer().clone())
        }),
        approvals: Approvals {
            config: config.approvals.clone(),
            signer,
        },
        backups,
    })
}

/// Opens the key that signs, if there is one. No request is sent: a service that is unavailable is retried by what needs a signature.
fn open_signer(config: &Config, metrics: &WorkerMetrics) -> anyhow::Result<Option<Arc<dyn Signer>>> {
    let Some(settings) = &config.signing else {
        return Ok(None);
    };
    let opened = signing::open(settings, "arrakis-worker", Arc::new(metrics.signing.clone()));
    let signer = opened.map_err(|error| Fatal::configuration(format!("the signing key: {error}")))?;
    Ok(Some(signer))
}

/// Opens the stores of scheduled backups. No request is sent: a store that is unavailable is retried by the jobs.
async fn open_backups(config: &BackupConfig, signer: Arc<dyn Signer>) -> anyhow::Result<Backups> {
    let opened = Box::pin(Backups::open_signed_by(config, signer)).await;
    opened.map_err(|error| Fatal::configuration(format!("{error:#}")).into())
}

fn verification(
    config: &Config,
    database: &Database,
    chains: &Chains,
    signer: Option<&Arc<dyn Signer>>,
) -> anyhow::Result<Option<Verification>> {
    let Some(base) = &config.verify_base_url else {
        return Ok(None);
    };
    let verification = Verification::new(database.clone(), chains.clone(), base, Arc::new(RegistryRecord));
    let verification = verification.map_err(|error| Fatal::configuration(format!("VERIFY_BASE_URL: {error}")))?;
    Ok(Some(match signer {
        Some(signer) => verification.signed_by(signer.clone()),
        None => verification,
    }))
}

/// The loop that keeps the kill switch equal at every place.
fn kill_switch_sync(config: &Config, services: &Services) -> anyhow::Result<KillSwitchSync> {
    let (database, cache) = (services.database.clone(), services.cache.clone());
    let revoker = config
        .signing_revocation
        .as_ref()
        .map(signing::open_revoker)
        .transpose();
    let revoker = revoker.map_err(|error| Fatal::configuration(format!("VAULT_SIGNING_POLICIES: {error}")))?;
    let control = KillSwitchControl::new(&config.kill_switch, Some(database), cache, revoker);
    let control = control.map_err(|error| Fatal::configuration(format!("KILL_SWITCH_CREDENTIAL: {error}")))?;
    Ok(KillSwitchSync::new(control, services.kill_switch.clone()))
}

/// What `/health` states about the verification of wallets.
fn verification_details(services: &Services) -> &'static str {
    match services.verification {
        Some(_) => "available",
        None => "VERIFY_BASE_URL is not set: /verify is refused, and no members are welcomed",
    }
}

/// Connects and checks the schema. Temporary errors are retried: a migration in progress holds locks that the check waits for, and
/// the worker would meet them again after a restart.
async fn connect_database(config: &Config, soft: &CancellationToken) -> anyhow::Result<Database> {
    let options = DatabaseOptions {
        application_name: "arrakis-worker",
        max_connections: max_connections(config),
        ..DatabaseOptions::default()
    };
    let connect = || Database::connect(&config.database_url, options.clone());
    let every_second = ConstantBuilder::default()
        .with_delay(POSTGRES_RETRY)
        .without_max_times();
    let connected = connect
        .retry(every_second)
        .when(DbError::is_transient)
        .notify(|error, _| tracing::warn!(%error, "cannot connect to Postgres; retrying"));
    tokio::select! {
        connected = connected => connected.map_err(|error| match error {
            DbError::Login(_) => Fatal::configuration(error.to_string()).into(),
            error => error.into(),
        }),
        () = soft.cancelled() => anyhow::bail!("shut down before Postgres was available"),
    }
}

/// Size of the Postgres pool. Handlers wait for Discord most of their time and jobs nearly all of it, so they share connections.
fn max_connections(config: &Config) -> u32 {
    let prefetch = config.prefetch;
    let handlers = u32::from(prefetch.interactions) + u32::from(prefetch.events) + u32::from(prefetch.jobs.min(4));
    (handlers / 2).clamp(4, 32) + SPARE_CONNECTIONS
}

/// Declares the topology. An object that exists with other options is an error.
async fn declare(topology: &Topology, connection: &BrokerConnection, runtime: &Runtime) -> anyhow::Result<()> {
    loop {
        let amqp = tokio::select! {
            amqp = connection.current() => amqp?,
            () = runtime.shutdown.soft.cancelled() => anyhow::bail!("shut down before the broker was available"),
        };
        match topology.declare(&amqp).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => tracing::warn!(%error, "cannot declare the topology; retrying"),
            Err(error) => {
                let help = "`arrakis-worker topology print` prints the objects that this build needs and why";
                return Err(Fatal::new(format!("{error}; {help}")).into());
            }
        }
        tokio::time::sleep(TOPOLOGY_RETRY).await;
    }
}

struct Consumers<'a> {
    canary_share: CanaryShare,
    config: &'a Config,
    services: &'a Arc<Services>,
    commands: &'a Arc<Commands>,
    connections: &'a BrokerConnections,
    topology: &'a Arc<Topology>,
    /// What is declared again when a queue is missing: for a shadow worker only its own queues.
    declared: &'a Arc<Topology>,
    /// The end of the calls of a shadow worker.
    recorder: Option<Recorder>,
    isolation: Isolation,
    stop: StopTokens,
}

type ConsumerTasks = JoinSet<Result<(), ConsumeError>>;

impl Consumers<'_> {
    /// Starts the consumers of this worker's group. Returns also the names of the queues whose messages are counted.
    fn start(&self) -> (ConsumerTasks, Vec<String>) {
        let mut running = ConsumerTasks::new();
        let mut queues = Vec::new();
        let prefetch = self.config.prefetch;
        let load_shedding = Arc::new(LoadShedding::default());
        for queue in self.topology.interaction_queues() {
            let handler = Interactions::new(self.services.clone(), self.commands.clone())
                .with_load_shedding(load_shedding.clone());
            let limits = (prefetch.interactions, self.config.command_limit + REPLY_LIMIT);
            self.consume_shared(&mut running, &mut queues, queue, limits, handler);
        }
        let handler = Events::new(self.services.clone()).with_load_shedding(load_shedding);
        let limits = (prefetch.events, self.config.event_limit);
        self.consume_shared(&mut running, &mut queues, names::EVENTS_GUILD, limits, handler.clone());
        if self.config.group == WorkerGroup::Stable {
            queues.push(names::EVENTS_MESSAGE.to_owned());
            let options = self.options(names::EVENTS_MESSAGE, prefetch.events, self.config.event_limit);
            self.consume(&mut running, options, handler);
            self.start_jobs(&mut running, &mut queues);
        }
        if self.config.group == WorkerGroup::Shadow {
            return (running, queues);
        }
        // These have no consumer; operators are alerted when they grow.
        queues.extend([names::DEAD_LETTERS.to_owned(), names::UNROUTED.to_owned()]);
        (running, queues)
    }

    /// Starts the consumers of jobs, which the stable workers run for every server.
    fn start_jobs(&self, running: &mut ConsumerTasks, queues: &mut Vec<String>) {
        let prefetch = self.config.prefetch;
        let handler = Jobs::new(self.services.clone(), self.stop.soft.clone());
        for kind in jobs::all().iter().map(jobs::KindHandler::kind) {
            queues.push(kind.queue());
            let prefetch = match kind {
                JobKind::Synthesis => prefetch.jobs.min(jobs::synthesis::AT_ONCE),
                JobKind::Backup => prefetch.jobs.min(jobs::backup::AT_ONCE),
                _ => prefetch.jobs,
            };
            let options = self.options(&kind.queue(), prefetch, jobs::LIMIT);
            self.consume(running, options, handler.clone());
        }
    }

    /// Consumes a queue of which the canary has a copy: a canary worker consumes the copy; a stable one consumes the queue, hands messages over,
    /// and takes from the copy what no canary worker takes. A shadow worker consumes a copy of its own.
    fn consume_shared<H: Handler + Clone>(
        &self,
        running: &mut ConsumerTasks,
        queues: &mut Vec<String>,
        queue: &str,
        (prefetch, limit): (u16, Duration),
        handler: H,
    ) {
        if let Some(recorder) = &self.recorder {
            let copy = names::shadow(queue);
            queues.push(copy.clone());
            let (services, commands) = (self.services.clone(), self.commands.clone());
            let handler = Shadowed::new(handler, services, commands, recorder.clone());
            self.consume(running, self.options(&copy, prefetch, limit), handler);
            return;
        }
        let copy = names::canary(queue);
        queues.push(copy.clone());
        let options = self.options(&copy, prefetch, limit);
        if self.config.group == WorkerGroup::Canary {
            self.consume(running, options, handler);
            return;
        }
        queues.push(queue.to_owned());
        let take_back = ConsumeOptions {
            priority: STABLE_PRIORITY,
            ..options
        };
        if !fail_point::skips("worker.guard.take_back") {
            self.consume(running, take_back, handler.clone());
        }
        let services = self.services;
        let metrics = services.metrics.clone();
        metrics.start_hand_over_at_zero(queue);
        let handler = HandOver::new(handler, self.canary_share.clone(), &services.publisher, metrics);
        self.consume(running, self.options(queue, prefetch, limit), handler);
    }

    fn consume(&self, running: &mut ConsumerTasks, options: ConsumeOptions, handler: impl Handler) {
        let (connection, stop) = (self.connections.consume.clone(), self.stop.clone());
        running.spawn(async move { consume(&connection, options, handler, &stop).await });
    }

    fn options(&self, queue: &str, prefetch: u16, limit: Duration) -> ConsumeOptions {
        ConsumeOptions {
            queue: queue.to_owned(),
            prefetch,
            priority: 0,
            limit: Some(limit),
            retries: RetryPublisher::new(self.services.publisher.clone()),
            topology: Some(self.declared.clone()),
            isolation: self.isolation.clone(),
            observer: self.services.metrics.consumer_events(),
        }
    }
}

/// Waits until all consumers have ended. When one fails, the others are stopped, too: a worker that consumes only some of its queues
/// would appear healthy.
async fn join_consumers(running: &mut ConsumerTasks, soft: &CancellationToken) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = running.join_next().await {
        let ended = match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fatal::new(error.to_string()).into()),
            Err(panic) => Err(anyhow::Error::from(panic).context("a consumer panicked")),
        };
        if ended.is_err() && result.is_ok() {
            result = ended;
            soft.cancel();
        }
    }
    result
}
