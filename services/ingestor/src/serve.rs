//! Start and stop of the ingestor: connects, reads the gateway's address, and runs the shards.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_broker::{Backoff, BrokerConnection, ConnectionOptions, Topology, TopologyError};
use arrakis_runtime::{Fatal, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use twilight_gateway::ConfigBuilder;

use crate::clock::ClockOffset;
use crate::config::{Config, MAX_SHARDS, MAX_SHARDS_HELD, Shards};
use crate::discord::{Discord, GatewayInfo, USER_AGENT};
use crate::identify::IdentifyQueue;
use crate::metrics::Metrics;
use crate::shard::{self, ShardContext};
use crate::status::ShardStatus;
use crate::status_reporter::StatusReporter;

/// Grace period: for pending confirmations, the close of the gateway connections and the last write of the sessions.
const GRACE: Duration = Duration::from_secs(15);
/// Bytes of an AMQP frame. A small frame saves memory; the properties of the ingestor's messages are much smaller.
pub(crate) const FRAME_BYTES: u32 = 8 << 10;

/// Runs the ingestor until the soft shutdown token is cancelled or a fatal error occurs.
///
/// # Errors
/// When the topology differs, when Discord refuses the token, the intents or the shards, and when `SHARD_COUNT` or `SHARD_RANGE` do
/// not fit Discord's recommendation.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(GRACE);
    tokio_websockets::set_user_agent(USER_AGENT);
    let broker = runtime.health.component("broker");
    let gateway = runtime.health.component("gateway");
    let identify = runtime.health.component("identify");
    let metrics = Metrics::new(&runtime.metrics);
    let soft = runtime.shutdown.soft.clone();
    let holder = uuid::Uuid::new_v4().simple().to_string();
    // Publishing and leases share one connection, so that a process that has lost its leases cannot publish.
    let options = ConnectionOptions {
        frame_bytes: FRAME_BYTES,
        single_thread: runtime.single_thread.clone(),
    };
    let connection = BrokerConnection::open_with(&config.broker, format!("arrakis-ingestor {holder}"), options);
    let topology = Arc::new(Topology::new(config.broker.priorities));
    let clock = Arc::new(ClockOffset::default());
    let discord = Discord::new(config.token.clone(), config.api.clone(), clock.clone());

    let prepared = async {
        declare(&connection, &topology, |why| broker.down(why)).await?;
        broker.up();
        let info = discord.fetch_until_success(|why| gateway.down(why)).await?;
        anyhow::Ok(info)
    };
    let info = tokio::select! {
        info = prepared => info?,
        () = soft.cancelled() => return Ok(()),
    };
    let (count, ids) = divide_shards(config.shards, &info)?;
    tracing::info!(shards = count, of_this_process = ids.len(), gateway = info.url, max_concurrency = info.max_concurrency,
        intents = ?config.intents, "gateway address and shard count read from Discord");
    metrics.identifies_left(info.remaining);

    let queue = IdentifyQueue::new(connection.clone(), discord, info.clone(), identify, metrics.clone());
    let statuses: Vec<_> = ids.iter().map(|id| Arc::new(ShardStatus::new(*id))).collect();
    let reporter = StatusReporter {
        runtime: runtime.clone(),
        connection: connection.clone(),
        metrics: metrics.clone(),
        broker,
        gateway,
        shards: statuses.clone(),
    };
    reporter.add_health_details(clock.clone());
    let reporting = tokio::spawn(reporter.run());
    let shared = Arc::new(ShardContext {
        twilight: ConfigBuilder::new(config.token.expose().to_owned(), config.intents)
            .queue(queue.clone())
            .build(),
        connection: connection.clone(),
        topology,
        shards: count,
        window: config.window,
        limits: config.limits,
        events: config.events,
        identify: queue,
        clock,
        metrics,
        holder,
    });
    let result = run_shards(&shared, statuses, &soft).await;
    reporting.abort();
    connection.close().await;
    result
}

/// Starts every shard and waits for all. The first error stops the other shards, whose sessions stay resumable.
async fn run_shards(
    shared: &Arc<ShardContext>,
    statuses: Vec<Arc<ShardStatus>>,
    soft: &CancellationToken,
) -> anyhow::Result<()> {
    let stop = soft.child_token();
    let mut shards = JoinSet::new();
    for status in statuses {
        shards.spawn(shard::run(shared.clone(), status, stop.clone()));
    }
    let mut result = Ok(());
    while let Some(ended) = shards.join_next().await {
        let ended = ended.context("the task of a shard panicked").flatten();
        if result.is_ok() {
            result = ended;
        }
        if result.is_err() {
            stop.cancel();
        }
    }
    result
}

/// Declares the topology as soon as the broker is connected. `report_failure` receives the reason of each failed attempt.
async fn declare(
    connection: &BrokerConnection,
    topology: &Topology,
    report_failure: impl Fn(String),
) -> anyhow::Result<()> {
    let mut backoff = Backoff::broker();
    loop {
        let amqp = connection.current().await?;
        match topology.declare(&amqp).await {
            Ok(()) => return Ok(()),
            Err(error @ TopologyError::Unreachable(_)) => {
                report_failure(error.to_string());
                tokio::time::sleep(backoff.next_wait()).await;
            }
            Err(error) => return Err(Fatal::new(error.to_string()).into()),
        }
    }
}

/// The total number of shards, and the ids of this process's shards.
pub(crate) fn divide_shards(shards: Shards, info: &GatewayInfo) -> anyhow::Result<(u32, Vec<u32>)> {
    let count = shards.count.unwrap_or(info.shards);
    if count > MAX_SHARDS {
        return Err(Fatal::configuration(format!(
            "GET /gateway/bot recommends {count} shards, which exceeds the limit of {MAX_SHARDS}. Set SHARD_COUNT to the number of \
             shards (one for each 2,500 servers), the same for every process"
        ))
        .into());
    }
    let (first, last) = shards.range.unwrap_or((0, count - 1));
    if last >= count {
        return Err(Fatal::configuration(format!(
            "SHARD_RANGE={first}-{last} does not fit: Discord recommends {count} shards, so the last is {}. Set SHARD_COUNT, the \
             same for every process",
            count - 1
        ))
        .into());
    }
    if last - first >= MAX_SHARDS_HELD {
        return Err(Fatal::configuration(format!(
            "{} shards ({first}-{last} of {count}) exceed the limit of {MAX_SHARDS_HELD} for one process. Set SHARD_RANGE, for instance \
             0-{}, and start another process for each further range, with SHARD_COUNT={count} for all",
            last - first + 1,
            MAX_SHARDS_HELD - 1
        ))
        .into());
    }
    if count < info.shards {
        tracing::warn!(
            count,
            recommended = info.shards,
            "fewer shards than Discord recommends; a shard serves at most 2,500 servers"
        );
    }
    // https://discord.com/developers/docs/events/gateway#sharding-for-large-bots
    if info.max_concurrency > 1 && !count.is_multiple_of(info.max_concurrency) {
        tracing::warn!(
            count,
            multiple_of = info.max_concurrency,
            "above 150,000 servers Discord requires a number of shards that is a multiple of max_concurrency"
        );
    }
    Ok((count, (first..=last).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(shards: u32) -> GatewayInfo {
        GatewayInfo {
            url: "wss://gateway.discord.gg".to_owned(),
            shards,
            max_concurrency: 1,
            remaining: 1_000,
            total: 1_000,
            reset_after: Duration::ZERO,
        }
    }

    #[test]
    fn shard_count_is_discords_recommendation_by_default() {
        assert_eq!(divide_shards(Shards::default(), &info(2)).unwrap(), (2, vec![0, 1]));
        let shards = Shards {
            count: Some(4),
            range: Some((2, 3)),
        };
        assert_eq!(divide_shards(shards, &info(2)).unwrap(), (4, vec![2, 3]));
    }

    #[test]
    fn shard_count_above_the_limit_is_a_configuration_error() {
        let range = Some((2, 3));
        for (shards, recommended, words) in [
            (Shards::default(), u32::MAX, "4294967295 shards"),
            (Shards { count: None, range }, 200_000, "Set SHARD_COUNT"),
            (Shards::default(), 20_000, "Set SHARD_RANGE, for instance 0-1023"),
        ] {
            let error = divide_shards(shards, &info(recommended)).unwrap_err();
            assert_eq!(error.downcast_ref::<Fatal>().unwrap().exit_code, 78, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let shards = Shards {
            count: Some(4),
            range: None,
        };
        assert_eq!(divide_shards(shards, &info(u32::MAX)).unwrap().1.len(), 4);
        assert_eq!(divide_shards(Shards::default(), &info(1_024)).unwrap().1.len(), 1_024);
    }

    #[test]
    fn range_beyond_the_recommendation_is_a_configuration_error() {
        let shards = Shards {
            count: None,
            range: Some((2, 3)),
        };
        let error = divide_shards(shards, &info(2)).unwrap_err();
        assert_eq!(error.downcast_ref::<Fatal>().unwrap().exit_code, 78);
        assert!(error.to_string().contains("Set SHARD_COUNT"), "{error}");
    }
}
