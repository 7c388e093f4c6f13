//! From configuration to consuming, and back to nothing held.
//!
//! Order: themes → connect (all at once) → schema and topology → consume. On SIGTERM consumers take no more, finish or give
//! back what they hold, and only then the connections close.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_broker::{
    BrokerConnection, ConsumeError, ConsumeOptions, Handler, Isolation, Publisher, RetryPublisher, StopTokens,
    Topology, TopologyError, consume,
};
use arrakis_cache::{Cache, CacheOptions};
use arrakis_contracts::names;
use arrakis_db::{Database, DatabaseOptions, DbError};
use arrakis_discord::{Discord, FinishedCall};
use arrakis_runtime::{Fatal, Runtime};
use arrakis_themes::Registry;
use serde_json::json;
use tokio::task::JoinSet;

use crate::commands::Commands;
use crate::config::Config;
use crate::events::Events;
use crate::health::{Components, Links, probe};
use crate::interactions::Interactions;
use crate::jobs::Jobs;
use crate::load_shedding::LoadShedding;
use crate::metrics::WorkerMetrics;
use crate::services::Services;
use crate::{clock, jobs};

/// The first question to the proxies teaches us Discord's clock; a start does not wait for it longer than this.
const PROBE: Duration = Duration::from_millis(500);
/// Beyond a command's own limit: its retries to Discord, its words to the member.
const WORDS_LIMIT: Duration = Duration::from_secs(40);
/// Connections beyond what handlers hold at once: the clock, health.
const SPARE_CONNECTIONS: u32 = 4;

/// Serves until told to stop.
///
/// # Errors
/// When something that must be mended outside keeps it from serving: themes, schema, topology.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(config.grace);
    let links = Links {
        consume: BrokerConnection::open(&config.broker, "arrakis-worker consume"),
        publish: BrokerConnection::open(&config.broker, "arrakis-worker publish"),
    };
    let components = Components::new(&runtime.health);
    let topology = Arc::new(Topology::new(config.broker.priorities));
    let (mut services, ()) = tokio::try_join!(
        connect(&config, &runtime, &links),
        declare(&topology, &links.publish, &runtime)
    )?;
    services.publisher = services.publisher.with_topology(topology.clone());
    let services = Arc::new(services);
    let commands = Arc::new(Commands::default());
    // Whether it answers is health's business.
    let _ = tokio::time::timeout(PROBE, probe(&services)).await;
    let consumers = Consumers {
        config: &config,
        services: &services,
        commands: &commands,
        links: &links,
        topology: &topology,
        isolation: Isolation::default(),
        stop: StopTokens {
            soft: runtime.shutdown.soft.clone(),
            hard: runtime.shutdown.hard.clone(),
        },
    };
    let (mut running, queues) = consumers.start();
    let leads = services.metrics.leader.clone();
    runtime
        .health
        .add_details("leads_timed_work", move || json!(leads.get() == 1));
    let soft = &runtime.shutdown.soft;
    tokio::spawn(components.watch(services.clone(), links.clone(), queues, runtime.shutdown.hard.clone()));
    let clock = clock::run(
        services.clone(),
        commands,
        links.publish.clone(),
        config.database_url.clone(),
        soft.clone(),
    );
    let clock = tokio::spawn(clock);
    let ended = drain(&mut running, soft).await;
    let _ = clock.await;
    links.consume.close().await;
    links.publish.close().await;
    services.database.close();
    ended
}

async fn connect(config: &Config, runtime: &Runtime, links: &Links) -> anyhow::Result<Services> {
    let themes =
        Registry::load(config.themes_dir.as_deref()).map_err(|error| Fatal::configuration(error.to_string()))?;
    let metrics = WorkerMetrics::new(&runtime.metrics);
    let options = DatabaseOptions {
        application_name: "arrakis-worker",
        max_connections: connections(config),
        ..DatabaseOptions::default()
    };
    let database = database(config, runtime, options)
        .await
        .context("connecting to Postgres")?;
    let counting = metrics.clone();
    let observer = Arc::new(move |finished: &FinishedCall<'_>| counting.called(finished));
    Ok(Services {
        database,
        cache: Cache::new(&config.redis_url, CacheOptions::default())
            .map_err(|error| Fatal::configuration(error.to_string()))?,
        discord: Discord::observed(&config.discord, Some(observer))
            .map_err(|error| Fatal::configuration(format!("DISCORD_PROXY_CREDENTIAL: {error}")))?,
        publisher: Publisher::new(links.publish.clone()),
        themes,
        metrics,
        command_limit: config.command_limit,
        stale_after: config.stale_after,
    })
}

/// A migration under way holds locks that the check of the schema waits for, and a restart would meet them again.
async fn database(config: &Config, runtime: &Runtime, options: DatabaseOptions) -> anyhow::Result<Database> {
    loop {
        let error = match Database::connect(&config.database_url, options.clone()).await {
            Ok(database) => return Ok(database),
            Err(error) if error.is_transient() => error,
            Err(error @ DbError::Login(_)) => return Err(Fatal::configuration(error.to_string()).into()),
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(%error, "Postgres is not ready; trying again");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = runtime.shutdown.soft.cancelled() => return Err(error.into()),
        }
    }
}

/// One for each message that may be handled at once would be too many: most of a handler's time is Discord's, and nearly all
/// of a job's.
fn connections(config: &Config) -> u32 {
    let prefetch = config.prefetch;
    let at_once = u32::from(prefetch.interactions) + u32::from(prefetch.events) + u32::from(prefetch.jobs.min(4));
    (at_once / 2).clamp(4, 32) + SPARE_CONNECTIONS
}

/// Declares what is missing and refuses what differs.
async fn declare(topology: &Topology, link: &BrokerConnection, runtime: &Runtime) -> anyhow::Result<()> {
    loop {
        let live = tokio::select! {
            live = link.current() => live?,
            () = runtime.shutdown.soft.cancelled() => anyhow::bail!("stopped before the broker was there"),
        };
        match topology.declare(&live).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => tracing::warn!(%error, "declaring the topology; trying again"),
            Err(error) => return Err(differs(&error).into()),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn differs(error: &TopologyError) -> Fatal {
    Fatal::new(format!(
        "{error}; `arrakis-worker topology print` says what this build needs and why"
    ))
}

struct Consumers<'a> {
    config: &'a Config,
    services: &'a Arc<Services>,
    commands: &'a Arc<Commands>,
    links: &'a Links,
    topology: &'a Arc<Topology>,
    isolation: Isolation,
    stop: StopTokens,
}

type Running = JoinSet<Result<(), ConsumeError>>;

impl Consumers<'_> {
    /// Starts one for each queue and answers their names, too.
    fn start(&self) -> (Running, Vec<String>) {
        let mut running = Running::new();
        let mut queues = Vec::new();
        let prefetch = self.config.prefetch;
        let load_shedding = Arc::new(LoadShedding::default());
        for queue in self.topology.interaction_queues() {
            queues.push(queue.to_owned());
            let handler = Interactions::new(self.services.clone(), self.commands.clone())
                .with_load_shedding(load_shedding.clone());
            let limit = self.config.command_limit + WORDS_LIMIT;
            self.consume(&mut running, queue, prefetch.interactions, limit, handler);
        }
        let handler = Events::new(self.services.clone()).with_load_shedding(load_shedding);
        for queue in [names::EVENTS_GUILD, names::EVENTS_MESSAGE] {
            queues.push(queue.to_owned());
            self.consume(
                &mut running,
                queue,
                prefetch.events,
                self.config.event_limit,
                handler.clone(),
            );
        }
        let handler = Jobs::new(self.services.clone(), self.stop.soft.clone());
        for kind in jobs::all().iter().map(|handler| handler.kind()) {
            queues.push(kind.queue());
            self.consume(&mut running, &kind.queue(), prefetch.jobs, jobs::LIMIT, handler.clone());
        }
        // Nobody consumes these, and somebody should know when they grow.
        queues.extend([names::DEAD_LETTERS.to_owned(), names::UNROUTED.to_owned()]);
        (running, queues)
    }

    fn consume(&self, running: &mut Running, queue: &str, prefetch: u16, limit: Duration, handler: impl Handler) {
        let options = ConsumeOptions {
            queue: queue.to_owned(),
            prefetch,
            limit: Some(limit),
            retries: RetryPublisher::new(self.services.publisher.clone()),
            topology: Some(self.topology.clone()),
            isolation: self.isolation.clone(),
            observer: self.services.metrics.consumer_events(),
        };
        let (link, stop) = (self.links.consume.clone(), self.stop.clone());
        running.spawn(async move { consume(&link, options, handler, &stop).await });
    }
}

/// Waits for the consumers. One that ends for good before it was told to takes the others with it: a worker that consumes
/// half of what it should looks healthy and is not.
async fn drain(running: &mut Running, soft: &tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = running.join_next().await {
        let ended = match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fatal::new(error.to_string()).into()),
            Err(panic) => Err(anyhow::Error::from(panic).context("a consumer ended by a panic")),
        };
        if ended.is_err() && result.is_ok() {
            result = ended;
            soft.cancel();
        }
    }
    result
}
