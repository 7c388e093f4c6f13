//! Takes messages out of queues where no worker runs, and does nothing with them.
//!
//! Messages that nobody takes gather in the memory of the queue's process at the broker, whose garbage collection then holds up
//! every confirmation: 4 to 11 ms, ten times a second, after some thousand of them. Production has somebody who takes them. In a
//! process of its own, so that its CPU is not counted as that of whoever publishes.

use std::path::Path;

use anyhow::Context as _;
use arrakis_test_support::Process;
use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer};
use tokio::task::JoinSet;

/// Unacknowledged messages of a queue: enough that none waits for it.
const PREFETCH: u16 = 100;
/// Messages acknowledged together: what is measured is whoever publishes, and each acknowledgement costs the broker, too.
const TOGETHER: u64 = 10;
/// What the process says once it takes.
const TAKES: &str = "taking";

/// The process. Killed when dropped; what it had and did not acknowledge is in its queue again.
#[derive(Debug)]
pub(super) struct Taker(Process);

impl Taker {
    /// Starts it and waits until it takes.
    pub(super) async fn start(binaries: &Path, url: &str, queues: &[&str]) -> Self {
        let arguments: Vec<&str> = std::iter::once("take").chain(queues.iter().copied()).collect();
        let process = Process::start_at(&binaries.join("loadtests"), &arguments, [("AMQP_URL", url)]);
        process.line(TAKES).await;
        Self(process)
    }

    /// For [`super::Watch`].
    pub(super) fn process(&self) -> Option<(String, u32)> {
        Some(("taker".to_owned(), self.0.pid()?))
    }
}

/// What the process does: takes and acknowledges all that comes into these queues, until it is killed.
///
/// # Errors
/// When the broker cannot be reached, has no such queue, or goes away.
pub async fn run(url: &str, queues: &[String]) -> anyhow::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .context("the broker that AMQP_URL names")?;
    let mut takers = JoinSet::new();
    for queue in queues {
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (queue, options) = (queue.as_str(), BasicConsumeOptions::default());
        let consumer = channel
            .basic_consume(queue.into(), "taker".into(), options, FieldTable::default())
            .await
            .with_context(|| format!("consuming from {queue}"))?;
        takers.spawn(take(consumer));
    }
    say_that_it_takes();
    while let Some(ended) = takers.join_next().await {
        ended.context("a taker broke off")??;
    }
    anyhow::bail!("the broker takes these consumers for ended")
}

fn say_that_it_takes() {
    crate::print::line(TAKES);
}

async fn take(mut messages: Consumer) -> anyhow::Result<()> {
    let mut taken = 0;
    while let Some(message) = messages.next().await {
        let message = message?;
        taken += 1;
        if taken % TOGETHER == 0 {
            message.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}
