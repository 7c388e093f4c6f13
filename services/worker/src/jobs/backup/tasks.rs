//! The work of each task.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use arrakis_domain::Plan;
use arrakis_iac::state::State;
use arrakis_runtime::fail_point;
use arrakis_vault::{
    BackupRecord, LARGE_BACKUP_BYTES, NewBackup, NewSnapshot, RecordKind, ServerId, Task, ThemeVersion, Trigger, Vault,
};
use time::OffsetDateTime;

use super::server::ReadServer;
use super::{Steps, failure};
use crate::failure::Failure;
use crate::jobs::JobRun;
use crate::scheduled_backup::{Backups, RemoteState};
use crate::synthesis::{ServerClient, connect_for_export};

/// Message of the backups and snapshots of the schedule, by which a repeated attempt finds those of an earlier one. Those of a requested run have
/// `requested`, and the id of their job.
const MESSAGE: &str = "scheduled";
/// Workspace of a snapshot of a server whose state is not in the store.
const NO_WORKSPACE: &str = "default";
/// Newest records among which those of an earlier attempt are searched.
const SEARCHED: usize = 10;

/// One run of a task.
pub(super) struct TaskRun<'a> {
    pub(super) job: &'a JobRun<'a>,
    pub(super) backups: &'a Backups,
    /// The vault of `backups`, whose writes this attempt may make while it is the latest one of its job.
    pub(super) vault: &'a Vault,
    pub(super) server: ServerId,
    /// The time since which a record of the schedule may be one of an earlier attempt; `None` for a requested run.
    pub(super) since: Option<OffsetDateTime>,
    /// Whether an operator requested the run.
    pub(super) requested: bool,
    pub(super) now: OffsetDateTime,
    pub(super) steps: &'a Steps,
}

/// What a run has done.
#[derive(Debug, Default)]
pub(super) struct TaskResult {
    /// One sentence for each thing.
    pub(super) detail: Vec<String>,
    /// Bytes that were written.
    pub(super) bytes: u64,
    /// What needs an operator, although the run has completed.
    pub(super) warnings: Vec<String>,
}

impl TaskRun<'_> {
    pub(super) async fn run(&self, task: Task) -> Result<TaskResult, Failure> {
        let mut result = match task {
            Task::Backup => self.back_up().await?,
            Task::Snapshot => self.take_snapshot().await?,
            Task::Retention => self.retain().await?,
        };
        if task != Task::Retention {
            self.copy(&mut result).await;
        }
        Ok(result)
    }

    /// Stores the progress. Returns an error if this attempt must end, so that it precedes each write.
    async fn step(&self) -> Result<(), Failure> {
        let done = self.steps.0.fetch_add(1, Ordering::Relaxed);
        self.job.progress(done, None).await
    }

    /// The state if it is in the store, then the live export. The state comes first: it is there also when the server cannot be read.
    async fn back_up(&self) -> Result<TaskResult, Failure> {
        let mut result = TaskResult::default();
        let state = self.backups.states.of(self.server).await?;
        match &state {
            Some(state) => {
                let record = self.back_up_state(state).await?;
                fail_point::hit_at("worker.backup.listed", &["backup"]).await;
                let what = format!("backup {} of the workspace {}", record.id, record.workspace);
                result.wrote(what, record.size);
                result.warn_if_large(&record);
            }
            None => result.detail.push("its state is not in the store".to_owned()),
        }
        let client = self.client()?;
        let server = self.read_server(&client, state.as_ref()).await?;
        let yaml = server.yaml();
        fail_point::hit_at("worker.backup.read", &["backup"]).await;
        self.step().await?;
        let written = self.vault.write_export(self.server, yaml.as_bytes(), self.now).await;
        let key = written.map_err(failure)?;
        fail_point::hit("worker.backup.exported").await;
        result.wrote(format_args!("export {key}"), yaml.len() as u64);
        Ok(result)
    }

    async fn back_up_state(&self, state: &RemoteState) -> Result<BackupRecord, Failure> {
        let workspace = state.workspace.as_str();
        if let Some(record) = self.earlier(RecordKind::Backup).await?
            && record.workspace == workspace
            && record.state == state.version()
        {
            return Ok(record);
        }
        self.step().await?;
        let message = self.message();
        let new = NewBackup {
            server: self.server,
            workspace,
            state: &state.bytes,
            message: Some(&message),
            trigger: Trigger::Automatic,
        };
        let created = self.vault.create_backup(new, self.now).await;
        created.map_err(failure)
    }

    /// The whole server: configuration, state, images, roles of members.
    async fn take_snapshot(&self) -> Result<TaskResult, Failure> {
        let mut result = TaskResult::default();
        if let Some(record) = self.earlier(RecordKind::Snapshot).await? {
            result.wrote(format_args!("snapshot {}", record.id), record.size);
            return Ok(result);
        }
        let state = self.backups.states.of(self.server).await?;
        let client = self.client()?;
        let mut server = self.read_server(&client, state.as_ref()).await?;
        self.step().await?;
        let beside = Box::pin(server.snapshot_files(&client, &self.backups.cdn)).await?;
        fail_point::hit_at("worker.backup.read", &["snapshot"]).await;
        self.step().await?;
        let (yaml, message) = (server.yaml(), self.message());
        let new = NewSnapshot {
            id: None,
            server: self.server,
            workspace: state.as_ref().map_or(NO_WORKSPACE, |state| state.workspace.as_str()),
            state: state.as_ref().map(|state| state.bytes.as_slice()),
            config: yaml.as_bytes(),
            files: beside.files,
            counts: server.counts(),
            theme: Some(self.theme().await?),
            message: Some(&message),
            trigger: Trigger::Automatic,
        };
        let created = self.vault.create_snapshot(new, self.now).await;
        let record = created.map_err(failure)?;
        fail_point::hit_at("worker.backup.listed", &["snapshot"]).await;
        let roles = beside.members.map_or_else(
            || "without roles of members, which the bot may not list".to_owned(),
            |members| format!("with the roles of {members} members"),
        );
        result.wrote(format_args!("snapshot {} {roles}", record.id), record.size);
        if beside.missing_images > 0 {
            result
                .detail
                .push(format!("{} images are left out", beside.missing_images));
        }
        result.warn_if_large(&record);
        Ok(result)
    }

    /// Completes what killed processes left, then expires what is older than the plan keeps.
    async fn retain(&self) -> Result<TaskResult, Failure> {
        let mut result = TaskResult::default();
        let (vault, metrics) = (self.vault, &self.job.services.metrics.backups);
        let recovery = vault.recover(self.server, self.now).await.map_err(failure)?;
        fail_point::hit("worker.backup.recovered").await;
        self.step().await?;
        let retention = vault.apply_retention(self.server, self.now).await.map_err(failure)?;
        let expired = retention.expired.len() + retention.exports.len();
        let damaged = recovery.damaged.iter().chain(&retention.damaged);
        result.warnings = damaged.map(ToString::to_string).collect();
        // An object without a valid record may be found by both.
        result.warnings.sort_unstable();
        result.warnings.dedup();
        metrics.retained(expired, recovery.recovered.len(), result.warnings.len());
        result.detail = vec![format!(
            "expired {} backups and snapshots and {} exports; {} are kept although old, as the newest good ones; {} without a record \
             were listed, {} objects of incomplete snapshots removed",
            retention.expired.len(),
            retention.exports.len(),
            retention.kept.len(),
            recovery.recovered.len(),
            recovery.removed.len(),
        )];
        if let Some(second) = &self.backups.second {
            self.step().await?;
            match second.remove_expired(&**vault.store(), self.server, self.now).await {
                Ok(removed) => result
                    .detail
                    .push(format!("removed {removed} objects of the second store")),
                Err(error) => result
                    .warnings
                    .push(format!("the retention of the second store failed: {error}")),
            }
        }
        Ok(result)
    }

    /// Copies what the second store does not have. A failure is a warning: the next run copies the rest.
    async fn copy(&self, result: &mut TaskResult) {
        let is_included = self.job.community.record.plan == Plan::Premium;
        let Some(second) = self.backups.second.as_ref().filter(|_| is_included) else {
            return;
        };
        match second.copy_missing(&**self.backups.vault.store(), self.server).await {
            Ok(copied) => result
                .detail
                .push(format!("copied {copied} objects to {}", second.describe())),
            Err(error) => result
                .warnings
                .push(format!("the copy to the second store failed: {error}")),
        }
    }

    fn client(&self) -> Result<ServerClient, Failure> {
        connect_for_export(self.job.services, self.job.community.guild())
    }

    /// Reads the server. Its resources have the addresses of gaib's state, or else of the platform's own.
    async fn read_server(&self, client: &ServerClient, state: Option<&RemoteState>) -> Result<ReadServer, Failure> {
        let names = match state.and_then(RemoteState::parse) {
            Some(state) => state,
            None => self.platform_state().await?,
        };
        Box::pin(ReadServer::read(client, self.server.get(), &names, self.now)).await
    }

    /// The state by which the platform manages the server; an empty one where it does not.
    async fn platform_state(&self) -> Result<State, Failure> {
        let mut tx = self.job.services.database.tenant(self.job.community.id()).await?;
        let stored = tx.server_state().get().await?;
        tx.commit().await?;
        let parsed = stored.and_then(|stored| State::from_bytes(stored.to_string().as_bytes()).ok());
        Ok(parsed.unwrap_or_else(|| State::new("")))
    }

    /// The record that an earlier attempt at this run has listed.
    async fn earlier(&self, kind: RecordKind) -> Result<Option<BackupRecord>, Failure> {
        let since = self.since;
        if since.is_none() && !self.requested {
            return Ok(None);
        }
        let listed = self.vault.list(self.server, kind, SEARCHED, None, self.now).await;
        let mut records = listed.map_err(failure)?.records.into_iter();
        let message = self.message();
        Ok(records.find(|record| {
            since.is_none_or(|since| record.created >= since) && record.message.as_deref() == Some(message.as_str())
        }))
    }

    /// The message of what this run stores. The id of a requested job is in it, and not the time of the request: clocks differ.
    fn message(&self) -> String {
        if self.requested {
            format!("requested, {}", self.job.id)
        } else {
            MESSAGE.to_owned()
        }
    }

    /// The theme that was deployed last, or else the theme of the community.
    async fn theme(&self) -> Result<ThemeVersion, Failure> {
        let registry = self.vault.theme_registry(self.server).await.map_err(failure)?;
        let theme = &self.job.community.theme;
        Ok(registry.current().map_or_else(
            || ThemeVersion {
                name: theme.id.to_string(),
                version: theme.version.clone(),
            },
            |deployment| deployment.theme.clone(),
        ))
    }
}

impl TaskResult {
    fn wrote(&mut self, what: impl Display, bytes: u64) {
        self.bytes += bytes;
        self.detail.push(format!("{what} ({bytes} bytes)"));
    }

    fn warn_if_large(&mut self, record: &BackupRecord) {
        if record.is_large() {
            self.warnings.push(format!(
                "the {} {} has {} bytes, more than {}",
                record.kind, record.id, record.size, LARGE_BACKUP_BYTES
            ));
        }
    }
}
