//! The broker's highest throughput on this machine: a bare publisher of the messages that the ingestor publishes.
//!
//! The messages are read from the queues that the ingestor published to a moment before: same sizes, headers and routing keys,
//! persistent, mandatory, confirmed, on one channel per shard with the same window of unconfirmed messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_contracts::{Job, names};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::processes::{ProcessMonitor, own_cpu_s};

/// Publishing time before the measurement begins.
const WARM_UP: Duration = Duration::from_secs(1);

/// The measured ceiling: what a publisher without Arrakis achieves on this broker and machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Confirmed messages per second.
    pub per_second: f64,
    /// CPU time of the bare publisher per message, in microseconds.
    pub publisher_us: f64,
    /// CPU time of the broker per message, in microseconds.
    pub broker_us: f64,
    /// Mean size of a body, in bytes.
    pub message_bytes: u64,
    /// Unconfirmed messages per channel.
    pub window: usize,
    /// Number of channels.
    pub channels: usize,
    /// Length of the measurement, in seconds.
    pub seconds: f64,
}

impl Ceiling {
    /// Why this is not a valid ceiling; `None` for a valid one.
    pub fn problem(&self) -> Option<String> {
        let sound = [self.per_second, self.publisher_us, self.broker_us, self.seconds]
            .iter()
            .all(|value| value.is_finite() && *value > 0.0);
        (!sound || self.message_bytes == 0).then(|| format!("the ceiling was not measured: {self:?}"))
    }
}

/// A message that the ingestor published.
#[derive(Debug, Clone)]
pub(super) struct SampleMessage {
    exchange: String,
    routing_key: String,
    properties: BasicProperties,
    body: Vec<u8>,
}

/// An AMQP connection of the bench itself.
#[derive(Debug)]
pub(super) struct BenchConnection {
    connection: Connection,
    channel: Channel,
}

impl BenchConnection {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok(Self { connection, channel })
    }

    /// Reads and acknowledges at most this many messages of a queue.
    pub(super) async fn take(&self, queue: &str, most: usize) -> anyhow::Result<Vec<SampleMessage>> {
        let mut samples = Vec::new();
        while samples.len() < most {
            let options = BasicGetOptions { no_ack: true };
            let Some(got) = self.channel.basic_get(queue.into(), options).await? else {
                break;
            };
            samples.push(SampleMessage {
                exchange: got.exchange.to_string(),
                routing_key: got.routing_key.to_string(),
                properties: got.properties.clone(),
                body: got.delivery.data,
            });
        }
        Ok(samples)
    }

    /// Number of ready messages in a queue.
    pub(super) async fn depth(&self, queue: &str) -> anyhow::Result<u64> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self
            .channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await?;
        Ok(declared.message_count().into())
    }

    /// Removes all ready messages of a queue.
    pub(super) async fn purge(&self, queue: &str) -> anyhow::Result<()> {
        self.channel
            .queue_purge(queue.into(), QueuePurgeOptions::default())
            .await?;
        Ok(())
    }

    /// Publishes the message of a stored job.
    pub(super) async fn publish_job(&self, job: &Job) -> anyhow::Result<()> {
        let properties = BasicProperties::default()
            .with_message_id(job.id.as_str().into())
            .with_type("job".into())
            .with_content_type("application/json".into());
        let (exchange, options) = (names::JOBS, BasicPublishOptions::default());
        let published = self
            .channel
            .basic_publish(
                exchange.into(),
                job.kind.name().into(),
                options,
                &job.encode(),
                properties,
            )
            .await?;
        let _ = published.await?;
        Ok(())
    }

    pub(super) async fn close(self) {
        let _ = self.connection.close(200, "done".into()).await;
    }
}

/// Publishes these messages in rotation for `seconds` and measures the throughput.
pub(super) async fn measure(
    url: &str,
    samples: Vec<SampleMessage>,
    channels: usize,
    window: usize,
    seconds: f64,
) -> anyhow::Result<Ceiling> {
    ensure!(!samples.is_empty(), "there are no messages to publish");
    let bytes: u64 = samples.iter().map(|sample| sample.body.len() as u64).sum();
    let message_bytes = bytes / samples.len() as u64;
    let samples = Arc::new(samples);
    let (confirmed, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let mut publishers = tokio::task::JoinSet::new();
    for n in 0..channels {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        publishers.spawn(publish(
            channel,
            Arc::clone(&samples),
            n,
            window,
            Arc::clone(&confirmed),
            stop.clone(),
        ));
    }
    tokio::time::sleep(WARM_UP).await;
    let (monitor, own) = (ProcessMonitor::begin(&[])?, own_cpu_s()?);
    let (began, before) = (Instant::now(), confirmed.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let (took, after) = (began.elapsed().as_secs_f64(), confirmed.load(Ordering::Relaxed));
    let (used, own) = (monitor.end()?, own_cpu_s()? - own);
    stop.cancel();
    while let Some(ended) = publishers.join_next().await {
        ended.context("a task of the bare publisher panicked")??;
    }
    let _ = connection.close(200, "done".into()).await;
    #[expect(clippy::cast_precision_loss, reason = "counts of messages")]
    let count = (after - before).max(1) as f64;
    let broker = used
        .get("rabbitmq")
        .context("the broker's process was not monitored")?
        .cpu_s;
    Ok(Ceiling {
        per_second: count / took,
        publisher_us: own * 1e6 / count,
        broker_us: broker * 1e6 / count,
        message_bytes,
        window,
        channels,
        seconds: took,
    })
}

async fn publish(
    channel: Channel,
    samples: Arc<Vec<SampleMessage>>,
    first: usize,
    window: usize,
    confirmed: Arc<AtomicU64>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let mut waiting = std::collections::VecDeque::new();
    for sample in samples.iter().cycle().skip(first) {
        if stop.is_cancelled() {
            break;
        }
        if waiting.len() >= window
            && let Some(oldest) = waiting.pop_front()
        {
            is_confirmed(oldest).await?;
            confirmed.fetch_add(1, Ordering::Relaxed);
        }
        let (exchange, key) = (sample.exchange.as_str(), sample.routing_key.as_str());
        let sent = channel.basic_publish(
            exchange.into(),
            key.into(),
            options,
            &sample.body,
            sample.properties.clone(),
        );
        waiting.push_back(sent.await?);
    }
    for confirm in waiting {
        is_confirmed(confirm).await?;
    }
    Ok(())
}

/// Latency and CPU of a bare publisher at a fixed rate below saturation.
#[derive(Debug)]
pub(super) struct PacedFigures {
    /// Time from publish to confirm of each message, sorted.
    pub(super) times: Vec<Duration>,
    /// CPU time of the publisher per message, in microseconds.
    pub(super) publisher_us: f64,
}

/// Measures the bare publisher at a fixed rate: the lowest latency and CPU time that a publisher of these messages with confirms
/// can have. Arrivals are independent and spread over the channels, as in a load; everything runs on one thread, as in the
/// ingestor.
pub(super) async fn measure_paced(
    url: &str,
    samples: Vec<SampleMessage>,
    channels: usize,
    rate: f64,
    seconds: f64,
) -> anyhow::Result<PacedFigures> {
    ensure!(!samples.is_empty(), "there are no messages to publish");
    let url = url.to_owned();
    let on_one_thread = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(bare(&url, samples, channels, rate, seconds))
    };
    tokio::task::spawn_blocking(on_one_thread)
        .await
        .context("the thread of the paced publisher panicked")?
}

async fn bare(
    url: &str,
    samples: Vec<SampleMessage>,
    channels: usize,
    rate: f64,
    seconds: f64,
) -> anyhow::Result<PacedFigures> {
    let samples = Arc::new(samples);
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let mut publishers = tokio::task::JoinSet::new();
    let own = own_cpu_s()?;
    for n in 0..channels {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        #[expect(clippy::cast_precision_loss, reason = "a few channels")]
        let mean = channels as f64 / rate;
        publishers.spawn(paced(channel, Arc::clone(&samples), n, mean, seconds));
    }
    let (mut times, mut published) = (Vec::new(), 0);
    while let Some(ended) = publishers.join_next().await {
        let one = ended.context("a task of the paced publisher panicked")??;
        times.extend(one.times);
        published += one.published;
    }
    let own = own_cpu_s()? - own;
    let _ = connection.close(200, "done".into()).await;
    ensure!(!times.is_empty(), "the paced publisher published nothing");
    times.sort_unstable();
    Ok(PacedFigures {
        times,
        publisher_us: own * 1e6 / f64::from(published),
    })
}

#[derive(Debug, Default)]
struct PacedSamples {
    /// Times of the messages after the warm-up.
    times: Vec<Duration>,
    /// Number of all messages.
    published: u32,
}

async fn paced(
    channel: Channel,
    samples: Arc<Vec<SampleMessage>>,
    n: usize,
    mean_s: f64,
    seconds: f64,
) -> anyhow::Result<PacedSamples> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let mut random = rand::rngs::ChaCha8Rng::seed_from_u64(n as u64);
    let mut rotation = samples.iter().cycle().skip(n * samples.len() / 4);
    let (mut waiting, mut paced) = (FuturesUnordered::new(), PacedSamples::default());
    let began = tokio::time::Instant::now();
    let (warm, ends) = (began + WARM_UP, began + WARM_UP + Duration::from_secs_f64(seconds));
    let mut next = began;
    loop {
        tokio::select! {
            Some((sent, confirmed)) = waiting.next(), if !waiting.is_empty() => {
                let (sent, confirmed): (tokio::time::Instant, anyhow::Result<()>) = (sent, confirmed);
                confirmed?;
                if sent >= warm {
                    paced.times.push(sent.elapsed());
                }
            }
            () = tokio::time::sleep_until(next), if next < ends => {
                next += Duration::from_secs_f64(-mean_s * (1.0 - random.random::<f64>()).ln());
                let sample = rotation.next().context("no sample message")?;
                let sent = tokio::time::Instant::now();
                let confirm = channel
                    .basic_publish(
                        sample.exchange.as_str().into(),
                        sample.routing_key.as_str().into(),
                        options,
                        &sample.body,
                        sample.properties.clone(),
                    )
                    .await?;
                paced.published += 1;
                waiting.push(async move { (sent, is_confirmed(confirm).await) });
            }
            else => return Ok(paced),
        }
    }
}

async fn is_confirmed(confirm: impl Future<Output = lapin::Result<Confirmation>>) -> anyhow::Result<()> {
    let answer = confirm.await?;
    ensure!(
        matches!(answer, Confirmation::Ack(None)),
        "the broker did not confirm a message: {answer:?}"
    );
    Ok(())
}
