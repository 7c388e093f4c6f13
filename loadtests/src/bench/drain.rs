//! A process that consumes messages from queues where no worker runs, and discards them.
//!
//! A backlog grows the heap of the queue's process in the broker, and its garbage collection delays every confirm by 4 to 11 ms,
//! ten times per second, from some thousand messages on. In production, workers consume the messages. The consumer has a process
//! of its own, so that its CPU time is not counted as the publisher's.

use std::path::Path;

use anyhow::Context as _;
use arrakis_test_support::Process;
use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer};
use tokio::task::JoinSet;

/// Unacknowledged messages per queue: enough that none has to wait.
const PREFETCH: u16 = 100;
/// Messages per acknowledgement. The publisher is measured, and each acknowledgement costs the broker CPU time.
const ACK_EVERY: u64 = 10;
/// The line that the process prints once it consumes.
const READY: &str = "consuming";

/// The process. It is killed when dropped; its unacknowledged messages return to their queues.
#[derive(Debug)]
pub(super) struct DrainProcess(Process);

impl DrainProcess {
    /// Starts the process and waits until it consumes.
    pub(super) async fn start(binaries: &Path, url: &str, queues: &[&str]) -> Self {
        let arguments: Vec<&str> = std::iter::once("drain").chain(queues.iter().copied()).collect();
        let process = Process::start_at(&binaries.join("loadtests"), &arguments, [("AMQP_URL", url)]);
        process.line(READY).await;
        Self(process)
    }

    /// Name and process id, for [`super::ProcessMonitor`].
    pub(super) fn process(&self) -> Option<(String, u32)> {
        Some(("drain".to_owned(), self.0.pid()?))
    }
}

/// Consumes and acknowledges all messages of these queues, until the process is killed.
///
/// # Errors
/// When the broker cannot be reached, has no such queue, or closes the connection.
pub async fn run(url: &str, queues: &[String]) -> anyhow::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .context("connecting to the broker of AMQP_URL")?;
    let mut consumers = JoinSet::new();
    for queue in queues {
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (queue, options) = (queue.as_str(), BasicConsumeOptions::default());
        let consumer = channel
            .basic_consume(queue.into(), "drain".into(), options, FieldTable::default())
            .await
            .with_context(|| format!("consuming from {queue}"))?;
        consumers.spawn(take(consumer));
    }
    print_ready();
    while let Some(ended) = consumers.join_next().await {
        ended.context("a consumer task panicked")??;
    }
    anyhow::bail!("the broker ended the consumers")
}

fn print_ready() {
    crate::print::line(READY);
}

async fn take(mut messages: Consumer) -> anyhow::Result<()> {
    let mut taken = 0;
    while let Some(message) = messages.next().await {
        let message = message?;
        taken += 1;
        if taken % ACK_EVERY == 0 {
            message.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}
