//! Backups and restores of a state, and snapshots of the server, by gaib with a bucket.
//!
//! The server is one at Discord's limits, which gaib has imported. Between a backup and its restore the workspace loses every resource, so
//! the restore replaces the whole state, after a backup of the empty one.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::storage::{Object, Storage};
use super::{VaultSteps, full_server, monitor};
use crate::bench::platform::experiments;
use crate::bench::rounds::Rounds;
use crate::bench::{Bench, Bound, Section};
use crate::platform::{Gaib, Platform};

pub(super) async fn measure(
    bench: &mut Bench,
    platform: &mut Platform,
    storage: &Storage,
    steps: &VaultSteps,
) -> anyhow::Result<()> {
    let server = format!("{} roles and {} channels", steps.size.roles, steps.size.channels);
    bench.progress(&format!("creating a server with {server}, which gaib imports"));
    let guild = full_server::create(&platform.discord, steps.size, bench.options.seed).await?;
    storage.set_premium(guild).await;
    platform.spawn_proxy(&experiments())?.ready().await;
    let mut gaib = platform.gaib_through_proxies()?;
    gaib.set(storage.variables());
    let guild = guild.to_string();
    gaib.run(&["server", "init", "--guild", &guild]).await?;
    gaib.run(&["server", "import", "--all"]).await?;

    let name = format!("backups and snapshots of a server with {server}");
    bench.progress(&name);
    let (processes, began) = (monitor(platform, storage)?, Instant::now());
    let workspace = ImportedServer {
        gaib,
        guild,
        storage,
        steps,
    };
    let mut rounds = Rounds::default();
    for _ in 0..steps.backups {
        workspace.backup(&mut rounds).await?;
    }
    let mut objects = Vec::new();
    for _ in 0..steps.snapshots {
        objects = workspace.snapshot(&mut rounds).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let operations = u64::from(2 * steps.backups + steps.snapshots);
    let section = Section::without_load(name, seconds, operations, processes.end()?);
    bench.sections.push(section);
    workspace.verify().await?;
    rounds.report(bench);
    bench.notes.push(format!(
        "vault: the snapshot has {} members with their roles and no images: {}",
        steps.size.members,
        listed(&objects)
    ));
    Ok(())
}

/// A workspace that manages a whole server.
struct ImportedServer<'a> {
    gaib: Gaib,
    guild: String,
    storage: &'a Storage,
    steps: &'a VaultSteps,
}

impl ImportedServer<'_> {
    /// Creates a backup, empties the state, and restores the backup.
    async fn backup(&self, rounds: &mut Rounds) -> anyhow::Result<()> {
        let (gaib, guild, steps) = (&self.gaib, self.guild.as_str(), self.steps);
        let create = ["server", "backup", "create", "-m", "for the bench", "--guild", guild];
        let began = Instant::now();
        let record = gaib.message(&create, "backup").await?;
        let seconds = began.elapsed().as_secs_f64();
        rounds.figure("vault: backup create", seconds, "s", steps.bound(Bound::Below(5.0)));
        #[expect(clippy::cast_precision_loss, reason = "kilobytes")]
        let kilobytes = bytes_of(&record)? as f64 / 1e3;
        rounds.figure("vault: backup, object in the store", kilobytes, "kB", Bound::Reported);

        gaib.run(&["server", "state", "rm", "--all"]).await?;
        let restore = ["server", "backup", "restore", id_of(&record)?, "-f", "--guild", guild];
        let began = Instant::now();
        let restored = gaib.message(&restore, "restored").await?;
        let seconds = began.elapsed().as_secs_f64();
        rounds.figure("vault: backup restore", seconds, "s", steps.bound(Bound::Below(30.0)));
        let resources = restored["resources"].as_u64().context("a restore without resources")?;
        ensure!(
            resources >= u64::try_from(steps.size.resources())?,
            "the restored state has {resources} resources, the server {}",
            steps.size.resources()
        );
        Ok(())
    }

    /// Creates a snapshot. Returns its objects as the bucket lists them.
    async fn snapshot(&self, rounds: &mut Rounds) -> anyhow::Result<Vec<Object>> {
        let create = [
            "server",
            "snapshot",
            "create",
            "-m",
            "for the bench",
            "--guild",
            &self.guild,
        ];
        let began = Instant::now();
        let record = self.gaib.message(&create, "snapshot").await?;
        let seconds = began.elapsed().as_secs_f64();
        rounds.figure("vault: snapshot create", seconds, "s", Bound::Reported);
        let folder = format!("snapshots/{}/{}/", self.guild, id_of(&record)?);
        let objects = self.storage.objects(&folder).await?;
        let bytes: u64 = objects.iter().map(|object| object.size).sum();
        let recorded = bytes_of(&record)?;
        ensure!(
            bytes == recorded,
            "the objects of the snapshot have {bytes} bytes, and its record {recorded}"
        );
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let megabytes = bytes as f64 / 1e6;
        let limit = self.steps.bound(Bound::Below(1.0));
        rounds.most("vault: snapshot, all objects in the store", megabytes, "MB", limit);
        Ok(objects)
    }

    /// Reads every backup and snapshot with all checks.
    async fn verify(&self) -> anyhow::Result<()> {
        let verify = ["server", "backup", "verify", "--all", "--guild", &self.guild];
        self.gaib.run(&verify).await.map(drop)
    }
}

fn id_of(record: &Value) -> anyhow::Result<&str> {
    record["id"].as_str().context("a record without an id")
}

/// Bytes in the store.
fn bytes_of(record: &Value) -> anyhow::Result<u64> {
    record["size"].as_u64().context("a record without a size")
}

/// Names and sizes of objects, the largest first.
fn listed(objects: &[Object]) -> String {
    let mut objects: Vec<&Object> = objects.iter().collect();
    objects.sort_by_key(|object| std::cmp::Reverse(object.size));
    let described = objects.iter().map(|object| {
        let name = object.key.rsplit('/').next().unwrap_or_default();
        format!("{name} {} B", object.size)
    });
    described.collect::<Vec<_>>().join(", ")
}
