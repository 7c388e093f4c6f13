//! The broker runs out of memory or disk and blocks publishers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_test_support::TestVhost;

use crate::chaos::Invariant::{I1, I2, I6, I7};
use crate::chaos::{BROKER_BACK, Deployment, Guard, Scenario, Testbed};
use crate::platform::PlatformServices;
use crate::platform::servers::{RabbitOptions, RabbitServer};

/// Limit of an ingestor's resident memory, in megabytes.
const MEMORY_LIMIT: u64 = 75;
/// The window of an ingestor's shard in the scenarios that bound its unconfirmed messages.
const WINDOW: u64 = 64;
const BLOCKED: &str = "arrakis_ingestor_broker_blocked";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 5,
        name: "memory-alarm",
        what: "memory watermark set to nearly 0",
        proves: &[I1, I6, I7],
        alerts: &["broker-blocked"],
        expected: "consumers continue; recovery within 10 s after the alarm",
        guard: Guard::FailPoint("broker.guard.blocked=skip"),
        without_guard: "",
        run: |testbed| Box::pin(memory_alarm(testbed)),
    },
    Scenario {
        fault: 6,
        name: "disk-alarm",
        what: "limit of free disk set above the free disk",
        proves: &[I1, I6, I7],
        alerts: &["broker-blocked"],
        expected: "consumers continue; recovery within 10 s after the alarm",
        guard: Guard::FailPoint("broker.guard.blocked=skip"),
        without_guard: "",
        run: |testbed| Box::pin(disk_alarm(testbed)),
    },
    Scenario {
        fault: 7,
        name: "disk-full",
        what: "the broker's data on a full tmpfs, then SIGKILL",
        proves: &[I1, I2],
        alerts: &[],
        expected: "no confirmed message is lost",
        guard: Guard::FailPoint("broker.guard.confirm=skip"),
        without_guard: "59 of 80 events lost",
        run: |testbed| Box::pin(disk_full(testbed)),
    },
    Scenario {
        fault: 36,
        name: "flood-while-blocked",
        what: "2,000 events while the broker blocks publishers",
        proves: &[I1, I7],
        alerts: &[],
        expected: "at most 64 unconfirmed messages, memory bounded",
        guard: Guard::Harness("the ingestor's window is 10,000 messages"),
        without_guard: "",
        run: |testbed| Box::pin(flood_while_blocked(testbed)),
    },
];

async fn memory_alarm(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    testbed.start(Deployment::default()).await?;
    let queued = with_a_backlog(testbed).await?;
    testbed.broker().memory_watermark(0.000_01).await?;
    blocked(testbed, queued).await?;
    testbed.broker().memory_watermark(0.4).await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    testbed.expect_alert_ends("broker-blocked").await
}

async fn disk_alarm(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    testbed.start(Deployment::default()).await?;
    let queued = with_a_backlog(testbed).await?;
    testbed.broker().disk_limit(1 << 60).await?;
    blocked(testbed, queued).await?;
    testbed.broker().disk_limit(50_000_000).await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    testbed.expect_alert_ends("broker-blocked").await
}

/// Events that wait in the queue while the worker is suspended. Returns the number of actions so far.
async fn with_a_backlog(testbed: &mut Testbed) -> anyhow::Result<usize> {
    testbed.load(8).await?;
    testbed.wait_for_effects(6).await?;
    testbed.stop_load().await?;
    testbed.platform().workers[0].suspend();
    testbed.burst(20).await?;
    testbed.drained_ingestor().await?;
    Ok(testbed.sent())
}

/// During the alarm: queued messages are handled, new ones are held back within bounds, and the metric changes.
async fn blocked(testbed: &mut Testbed, queued: usize) -> anyhow::Result<()> {
    testbed.platform().workers[0].resume();
    testbed.burst(40).await?;
    let is_blocked = async |testbed: &mut Testbed| Ok(testbed.ingestor_metric(BLOCKED, &[]).await? > 0.5);
    testbed
        .expect_within(
            I6,
            "the metric shows that the broker blocks publishers",
            Duration::from_secs(5),
            is_blocked,
        )
        .await?;
    let goes_on = async |testbed: &mut Testbed| Ok(testbed.done_of_first(queued).await? == queued);
    testbed
        .expect_within(
            I1,
            "consumers continue with the queued messages",
            Duration::from_secs(15),
            goes_on,
        )
        .await?;
    let megabytes = testbed.ingestor_megabytes();
    testbed.expect(
        I7,
        "memory of the ingestor is bounded",
        megabytes < MEMORY_LIMIT,
        format!("{megabytes} MB"),
    );
    testbed.expect_alert("broker-blocked").await
}

async fn flood_while_blocked(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.private_broker().await?;
    let window = if testbed.guarded() { WINDOW } else { 10_000 };
    testbed
        .start(Deployment::default().ingestor_env("INGESTOR_WINDOW", window.to_string()))
        .await?;
    testbed.broker().memory_watermark(0.000_01).await?;
    testbed.burst(20).await?;
    testbed.flood(2_000).await?;
    testbed.burst(20).await?;
    let (mut most, mut megabytes) = (0, 0);
    for _ in 0..10 {
        most = most.max(testbed.unconfirmed().await?);
        megabytes = megabytes.max(testbed.ingestor_megabytes());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    testbed.expect(
        I7,
        format!("at most {WINDOW} unconfirmed messages"),
        most <= WINDOW,
        most,
    );
    testbed.expect(
        I7,
        "memory of the ingestor is bounded",
        megabytes < MEMORY_LIMIT,
        format!("{megabytes} MB"),
    );
    testbed.broker().memory_watermark(0.4).await?;
    Ok(())
}

/// A broker with a full disk must not confirm a message that it has not stored.
async fn disk_full(testbed: &mut Testbed) -> anyhow::Result<()> {
    let disk = Tmpfs::mount(192).await?;
    let options = RabbitOptions {
        data: Some(disk.path().join("data")),
        ..RabbitOptions::default()
    };
    let mut broker = RabbitServer::start_with(options).await?;
    // No disk alarm: the disk must really become full.
    broker.disk_limit(1).await?;
    let vhost = TestVhost::create_at(&broker.amqp_url(), &broker.management_url()).await;
    testbed.use_services(PlatformServices::with_vhost(vhost).await);
    testbed.start(Deployment::default()).await?;
    testbed.burst(10).await?;
    testbed.drained_ingestor().await?;
    disk.fill()?;
    testbed.burst(60).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    broker.kill().await;
    disk.free()?;
    broker.start_again().await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    testbed.keep_running((broker, disk));
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
