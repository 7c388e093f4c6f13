//! The time machine: backups and snapshots of a server at Discord's limits, and the recovery of a server after a teardown.
//!
//! gaib runs as an operator runs it, one process for each command, and through a discord-proxy, which keeps Discord's limits for gaib and
//! the workers together. The store is a moto of the run (`MOTO`): bucket and tables are those of a deployment, and no network is measured.
//! `backups.rs` measures backups and snapshots, `recovery.rs` the recovery, `limit_waits.rs` how much of it is Discord's limits.

mod backups;
mod full_server;
mod limit_waits;
mod recovery;
mod storage;

use std::time::Duration;

use super::{commands, measure_ceiling};
use crate::bench::{Bench, BenchPlatform, BenchPlatformOptions, Bound, ProcessMonitor};
use crate::platform::{Platform, PlatformServices, Replica};
use full_server::ServerSize;
use storage::Storage;

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct VaultSteps {
    ceiling_s: f64,
    /// The server that is backed up.
    size: ServerSize,
    /// Rounds of a backup and its restore.
    backups: u32,
    /// Rounds of a snapshot.
    snapshots: u32,
    /// Whether Discord's limits are in force.
    has_limits: bool,
    /// Time limit of the members' roles after a recovery.
    roles_limit: Duration,
    has_threshold: bool,
}

impl VaultSteps {
    /// Everything.
    pub(super) const fn all() -> Self {
        Self {
            ceiling_s: 3.0,
            size: ServerSize::FULL,
            backups: 5,
            snapshots: 3,
            has_limits: true,
            roles_limit: Duration::from_secs(1_200),
            has_threshold: true,
        }
    }

    /// A few seconds of each: a small server, and a recovery without Discord's limits.
    pub(super) const fn smoke() -> Self {
        Self {
            ceiling_s: 0.5,
            size: ServerSize::SMALL,
            backups: 1,
            snapshots: 1,
            has_limits: false,
            roles_limit: Duration::from_secs(40),
            has_threshold: false,
        }
    }

    /// A threshold, where this run has any.
    const fn bound(&self, bound: Bound) -> Bound {
        if self.has_threshold { bound } else { Bound::Reported }
    }
}

pub(super) async fn measure(bench: &mut Bench, steps: VaultSteps) -> anyhow::Result<()> {
    let storage = Storage::start().await?;
    Box::pin(ceiling(bench, steps.ceiling_s)).await?;
    // No record of calls is kept: their bodies would fill the emulator's memory.
    let mut arguments = vec!["--ledger", "0"];
    if !steps.has_limits {
        arguments.extend(["--rate-limits", "off"]);
    }
    let services = PlatformServices::of_the_environment().await;
    let mut platform = Platform::prepare_on(services, &arguments).await?;
    Box::pin(backups::measure(bench, &mut platform, &storage, &steps)).await?;
    Box::pin(recovery::measure(bench, &mut platform, &storage, &steps)).await?;
    platform.stop().await;
    Ok(())
}

/// Measures the ceiling, on a platform of its own.
async fn ceiling(bench: &mut Bench, seconds: f64) -> anyhow::Result<()> {
    let mut platform = BenchPlatform::open(BenchPlatformOptions {
        guilds: 4,
        members: 50,
        shards: 1,
    })
    .await?;
    platform.start_ingestor().await?;
    measure_ceiling(bench, &platform, commands(), seconds).await?;
    platform.close().await
}

/// Begins to measure every process that runs now, moto included. Those of gaib end too early.
fn monitor(platform: &mut Platform, storage: &Storage) -> anyhow::Result<ProcessMonitor> {
    let mut processes = Vec::new();
    for (name, replicas) in [
        ("ingestor", &platform.ingestors),
        ("worker", &platform.workers),
        ("proxy", &platform.proxies),
    ] {
        processes.extend(replicas.iter().map(|replica| (name, replica.pid())));
    }
    processes.push(("api", platform.api.as_ref().and_then(Replica::pid)));
    processes.push(("moto", storage.pid()));
    processes.push(("emulator", platform.emulator().pid()));
    let running = processes
        .into_iter()
        .filter_map(|(name, pid)| Some((name.to_owned(), pid?)));
    ProcessMonitor::begin(&running.collect::<Vec<_>>())
}
