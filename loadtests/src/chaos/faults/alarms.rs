//! The broker runs out of memory or disk and blocks publishers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_test_support::TestVhost;

use crate::chaos::Invariant::{I1, I2, I6, I7};
use crate::chaos::{BROKER_BACK, Guard, Scenario, Shape, Stage};
use crate::platform::Foundation;
use crate::platform::servers::{Rabbit, RabbitOptions};

/// Limit of an ingestor's resident memory, in megabytes.
const MEMORY_LIMIT: u64 = 75;
/// The window of an ingestor's shard in the scenarios that bound its unconfirmed messages.
const WINDOW: u64 = 64;
const BLOCKED: &str = "arrakis_ingestor_broker_blocked";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 5,
        name: "memory-alarm",
        what: "the memory watermark is set to nearly 0",
        proves: &[I1, I6, I7],
        guard: Guard::FailPoint("broker.guard.blocked=skip"),
        run: |stage| Box::pin(memory_alarm(stage)),
    },
    Scenario {
        fault: 6,
        name: "disk-alarm",
        what: "the limit of free disk is set above what there is",
        proves: &[I1, I6, I7],
        guard: Guard::FailPoint("broker.guard.blocked=skip"),
        run: |stage| Box::pin(disk_alarm(stage)),
    },
    Scenario {
        fault: 7,
        name: "disk-full",
        what: "the broker's data on a small tmpfs that is full, then SIGKILL",
        proves: &[I1, I2],
        guard: Guard::FailPoint("broker.guard.confirm=skip"),
        run: |stage| Box::pin(disk_full(stage)),
    },
    Scenario {
        fault: 36,
        name: "flood-while-blocked",
        what: "2,000 events while the broker takes nothing",
        proves: &[I1, I7],
        guard: Guard::Harness("the ingestor's window is 10,000 messages"),
        run: |stage| Box::pin(flood_while_blocked(stage)),
    },
];

async fn memory_alarm(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    stage.start(Shape::default()).await?;
    let queued = with_a_backlog(stage).await?;
    stage.broker().memory_watermark(0.000_01).await?;
    blocked(stage, queued).await?;
    stage.broker().memory_watermark(0.4).await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

async fn disk_alarm(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    stage.start(Shape::default()).await?;
    let queued = with_a_backlog(stage).await?;
    stage.broker().disk_limit(1 << 60).await?;
    blocked(stage, queued).await?;
    stage.broker().disk_limit(50_000_000).await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

/// Events that wait in the queue while the worker is suspended. Returns the number of actions so far.
async fn with_a_backlog(stage: &mut Stage) -> anyhow::Result<usize> {
    stage.load(8).await?;
    stage.flows(6).await?;
    stage.quiet().await?;
    stage.platform().workers[0].hang();
    stage.burst(20).await?;
    stage.drained_ingestor().await?;
    Ok(stage.sent())
}

/// During the alarm: queued messages are handled, new ones are held back within bounds, and the metric changes.
async fn blocked(stage: &mut Stage, queued: usize) -> anyhow::Result<()> {
    stage.platform().workers[0].go_on();
    stage.burst(40).await?;
    let speaks = async |stage: &mut Stage| Ok(stage.ingestor_metric(BLOCKED, &[]).await? > 0.5);
    stage
        .sees(
            I6,
            "the metric shows that the broker blocks publishers",
            Duration::from_secs(5),
            speaks,
        )
        .await?;
    let goes_on = async |stage: &mut Stage| Ok(stage.done_of_first(queued).await? == queued);
    stage
        .sees(
            I1,
            "consumers continue with the queued messages",
            Duration::from_secs(15),
            goes_on,
        )
        .await?;
    let megabytes = stage.ingestor_megabytes();
    stage.expect(
        I7,
        "memory of the ingestor is bounded",
        megabytes < MEMORY_LIMIT,
        format!("{megabytes} MB"),
    );
    Ok(())
}

async fn flood_while_blocked(stage: &mut Stage) -> anyhow::Result<()> {
    stage.private_broker().await?;
    let window = if stage.guarded() { WINDOW } else { 10_000 };
    stage
        .start(Shape::default().ingestor_env("INGESTOR_WINDOW", window.to_string()))
        .await?;
    stage.broker().memory_watermark(0.000_01).await?;
    stage.burst(20).await?;
    stage.flood(2_000).await?;
    stage.burst(20).await?;
    let (mut most, mut megabytes) = (0, 0);
    for _ in 0..10 {
        most = most.max(stage.unconfirmed().await?);
        megabytes = megabytes.max(stage.ingestor_megabytes());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.expect(
        I7,
        format!("at most {WINDOW} unconfirmed messages"),
        most <= WINDOW,
        most,
    );
    stage.expect(
        I7,
        "memory of the ingestor is bounded",
        megabytes < MEMORY_LIMIT,
        format!("{megabytes} MB"),
    );
    stage.broker().memory_watermark(0.4).await?;
    Ok(())
}

/// A broker with a full disk must not confirm a message that it has not stored.
async fn disk_full(stage: &mut Stage) -> anyhow::Result<()> {
    let disk = Tmpfs::mount(192).await?;
    let options = RabbitOptions {
        data: Some(disk.path().join("data")),
        ..RabbitOptions::default()
    };
    let mut broker = Rabbit::start_with(options).await?;
    // No disk alarm: the disk must really become full.
    broker.disk_limit(1).await?;
    let vhost = TestVhost::create_at(&broker.amqp_url(), &broker.management_url()).await;
    stage.build_on(Foundation::with_vhost(vhost).await);
    stage.start(Shape::default()).await?;
    stage.burst(10).await?;
    stage.drained_ingestor().await?;
    disk.fill()?;
    stage.burst(60).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    broker.kill().await;
    disk.free()?;
    broker.start_again().await?;
    stage.recovers(BROKER_BACK).await?;
    stage.keep((broker, disk));
    Ok(())
}

/// A small tmpfs. Unmounted when dropped.
struct Tmpfs {
    folder: tempfile::TempDir,
}

impl Tmpfs {
    async fn mount(megabytes: u32) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("arrakis-tmpfs-").tempdir()?;
        let size = format!("size={megabytes}m");
        let mounted = tokio::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output()
            .await
            .context("mount")?;
        ensure!(
            mounted.status.success(),
            "cannot mount a tmpfs; run this scenario as root: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Ok(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Writes a file until the file system is full.
    fn fill(&self) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.filler())?;
        let block = vec![0; 64 * 1024];
        let mut pieces = [block.len(), 512, 1].into_iter();
        let mut piece = pieces.next();
        while let Some(size) = piece {
            match file.write(&block[..size]) {
                Ok(written) if written > 0 => {}
                _ => piece = pieces.next(),
            }
        }
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: the broker may still be running.
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}
