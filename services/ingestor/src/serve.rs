//! From a configuration to running shards, and back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_broker::{Backoff, Link, LinkOptions, Topology, TopologyError};
use arrakis_runtime::{Fatal, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::ClockOffset;
use crate::config::{Config, MOST_SHARDS, MOST_SHARDS_HELD, Shards};
use crate::discord::{Discord, GatewayInfo, USER_AGENT};
use crate::identify::IdentifyQueue;
use crate::metrics::Metrics;
use crate::report::Report;
use crate::shard::{self, Shared};
use crate::status::ShardStatus;

/// How long leaving may take: confirmations under way, the goodbye to Discord, the last write of the session.
const GRACE: Duration = Duration::from_secs(15);
/// Bytes of an AMQP frame: few, for the sake of memory. All properties are our own and stay far below.
pub(crate) const FRAME_BYTES: u32 = 8 << 10;

/// Runs until told to stop or until something only a person can mend.
///
/// # Errors
/// When the topology differs, Discord refuses token, intents or shards, or the configuration does not fit what Discord says.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(GRACE);
    tokio_websockets::set_user_agent(USER_AGENT);
    let broker = runtime.health.component("broker");
    let gateway = runtime.health.component("gateway");
    let identify = runtime.health.component("identify");
    let metrics = Metrics::new(&runtime.metrics);
    let soft = runtime.shutdown.soft.clone();
    let holder = uuid::Uuid::new_v4().simple().to_string();
    // One connection for publishing and for leases, on purpose: who has lost the broker can then publish nothing.
    let options = LinkOptions {
        frame_bytes: FRAME_BYTES,
        thread: runtime.one_thread.clone(),
    };
    let link = Link::open_with(&config.broker, format!("arrakis-ingestor {holder}"), options);
    let topology = Arc::new(Topology::new(config.broker.priorities));
    let clock = Arc::new(ClockOffset::default());
    let discord = Discord::new(config.token.clone(), config.api.clone(), clock.clone());

    let prepared = async {
        declare(&link, &topology, |why| broker.down(why)).await?;
        broker.up();
        let info = discord.ask_until_answered(|why| gateway.down(why)).await?;
        anyhow::Ok(info)
    };
    let info = tokio::select! {
        info = prepared => info?,
        () = soft.cancelled() => return Ok(()),
    };
    let (count, ids) = division(config.shards, &info)?;
    tracing::info!(shards = count, of_this_process = ids.len(), gateway = info.url, max_concurrency = info.max_concurrency,
        intents = ?config.intents, "the gateway is known");
    metrics.identifies_left(info.remaining);

    let queue = IdentifyQueue::new(link.clone(), discord, info.clone(), identify, metrics.clone());
    let statuses: Vec<_> = ids.iter().map(|id| Arc::new(ShardStatus::new(*id))).collect();
    let report = Report {
        runtime: runtime.clone(),
        link: link.clone(),
        metrics: metrics.clone(),
        broker,
        gateway,
        shards: statuses.clone(),
    };
    report.describe(clock.clone());
    let reporting = tokio::spawn(report.run());
    let shared = Arc::new(Shared::new(
        config,
        link.clone(),
        topology,
        count,
        queue,
        clock,
        metrics,
        holder,
    ));
    let result = run_shards(&shared, statuses, &soft).await;
    reporting.abort();
    link.close().await;
    result
}

/// Starts every shard and waits for all. The first that cannot go on stops the others, which leave resumably.
async fn run_shards(
    shared: &Arc<Shared>,
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
        let ended = ended.context("a shard's task broke off").flatten();
        if result.is_ok() {
            result = ended;
        }
        if result.is_err() {
            stop.cancel();
        }
    }
    result
}

/// Declares the topology as soon as there is a broker.
async fn declare(link: &Link, topology: &Topology, away: impl Fn(String)) -> anyhow::Result<()> {
    let mut backoff = Backoff::broker();
    loop {
        let live = link.live().await?;
        match topology.declare(&live).await {
            Ok(()) => return Ok(()),
            Err(error @ TopologyError::Unreachable(_)) => {
                away(error.to_string());
                tokio::time::sleep(backoff.next_wait()).await;
            }
            Err(error) => return Err(Fatal::new(error.to_string()).into()),
        }
    }
}

/// How many shards there are, and which are ours.
pub(crate) fn division(shards: Shards, info: &GatewayInfo) -> anyhow::Result<(u32, Vec<u32>)> {
    let count = shards.count.unwrap_or(info.shards);
    if count > MOST_SHARDS {
        return Err(Fatal::configuration(format!(
            "GET /gateway/bot recommends {count} shards, which is beyond what is possible ({MOST_SHARDS}). Set SHARD_COUNT to the \
             number of shards (a shard takes 2,500 servers), the same for every process"
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
    if last - first >= MOST_SHARDS_HELD {
        return Err(Fatal::configuration(format!(
            "{} shards ({first}-{last} of {count}) are more than one process holds ({MOST_SHARDS_HELD}). Set SHARD_RANGE, for instance \
             0-{}, and start another process for each further range, with SHARD_COUNT={count} for all",
            last - first + 1,
            MOST_SHARDS_HELD - 1
        ))
        .into());
    }
    if count < info.shards {
        tracing::warn!(
            count,
            recommended = info.shards,
            "fewer shards than Discord recommends; each takes 2,500 servers at most"
        );
    }
    // https://discord.com/developers/docs/events/gateway#sharding-for-large-bots
    if info.max_concurrency > 1 && !count.is_multiple_of(info.max_concurrency) {
        tracing::warn!(
            count,
            multiple_of = info.max_concurrency,
            "above 150,000 servers Discord wants a number of shards that is a multiple of max_concurrency"
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
    fn shards_are_discords_recommendation_unless_said() {
        assert_eq!(division(Shards::default(), &info(2)).unwrap(), (2, vec![0, 1]));
        let said = Shards {
            count: Some(4),
            range: Some((2, 3)),
        };
        assert_eq!(division(said, &info(2)).unwrap(), (4, vec![2, 3]));
    }

    #[test]
    fn shards_beyond_what_is_possible_are_configuration() {
        let range = Some((2, 3));
        for (said, recommended, words) in [
            (Shards::default(), u32::MAX, "4294967295 shards"),
            (Shards { count: None, range }, 200_000, "Set SHARD_COUNT"),
            (Shards::default(), 20_000, "Set SHARD_RANGE, for instance 0-1023"),
        ] {
            let error = division(said, &info(recommended)).unwrap_err();
            assert_eq!(error.downcast_ref::<Fatal>().unwrap().exit_code, 78, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let said = Shards {
            count: Some(4),
            range: None,
        };
        assert_eq!(division(said, &info(u32::MAX)).unwrap().1.len(), 4);
        assert_eq!(division(Shards::default(), &info(1_024)).unwrap().1.len(), 1_024);
    }

    #[test]
    fn a_range_beyond_the_recommendation_is_configuration() {
        let said = Shards {
            count: None,
            range: Some((2, 3)),
        };
        let error = division(said, &info(2)).unwrap_err();
        assert_eq!(error.downcast_ref::<Fatal>().unwrap().exit_code, 78);
        assert!(error.to_string().contains("Set SHARD_COUNT"), "{error}");
    }
}
