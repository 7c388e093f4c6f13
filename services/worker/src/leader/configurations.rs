//! Configurations of communities: records changes that nothing else has recorded, writes versions that the object store lacks, and compares
//! shadows with the database.
//!
//! Two leaders at once do no harm: a version is written once and never changed, and the pointer moves forwards only. A mismatch is logged,
//! counted, in `/health` of every worker, and once a day in the audit log of the platform and in a notice to the operators.

use std::collections::BTreeMap;

use arrakis_db::{
    Actor, CommunityId, ConfigurationVersion, DbError, GuildId, NewAuditEntry, PROBLEMS_NAMED, ShadowHealth,
    ShadowProblem, VersionCause,
};
use arrakis_vault::ServerId;
use futures_util::future::join_all;
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::{Duration, Instant};

use crate::configuration::{self, ShadowError, ShadowStore};
use crate::failure::Failure;
use crate::scheduled_backup::{Notice, NoticeTask, RunOutcome};
use crate::services::Services;

/// Interval at which versions are written that the store lacks, and shadows with a problem are compared again.
const WRITE_INTERVAL: Duration = Duration::from_secs(15);
/// Interval at which all shadows are compared.
const VERIFY_INTERVAL: Duration = Duration::from_secs(3600);
/// Interval at which changes are looked for that nothing else has recorded.
const RECORD_INTERVAL: Duration = Duration::from_secs(600);
/// Versions of a community that are written at once.
const WRITTEN_AT_ONCE: u32 = 20;
/// Most notices of one run: in an emptied store, all shadows are missing.
const MAX_NOTICES: usize = 10;
/// Time limit of the notices of one run, since the writes of shadows wait.
const NOTICES_LIMIT: Duration = Duration::from_secs(20);

/// The scheduled work on configurations, with what it has found.
#[derive(Debug, Default)]
pub struct ConfigurationTasks {
    recorded: Option<Instant>,
    written: Option<Instant>,
    verified: Option<Instant>,
    /// What is wrong with the shadow of a server.
    problems: BTreeMap<GuildId, String>,
}

/// What one run finds.
struct Findings<'a> {
    services: &'a Services,
    store: &'a ShadowStore,
    now: OffsetDateTime,
    problems: BTreeMap<GuildId, String>,
    /// Versions that the store lacks.
    pending: u32,
    /// Why the store could not be used.
    error: Option<String>,
}

impl ConfigurationTasks {
    /// Runs what is due; the first call everything.
    ///
    /// # Errors
    /// If Postgres is unavailable; the next call repeats it.
    pub async fn run(&mut self, services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
        let is_due = |at: Option<Instant>, interval| at.is_none_or(|at| at.elapsed() >= interval);
        if is_due(self.recorded, RECORD_INTERVAL) {
            record(services, now).await?;
            self.recorded = Some(Instant::now());
        }
        let Some(store) = &services.shadows else {
            return Ok(());
        };
        if !is_due(self.written, WRITE_INTERVAL) {
            return Ok(());
        }
        let mut findings = Findings {
            services,
            store,
            now,
            problems: BTreeMap::new(),
            pending: 0,
            error: None,
        };
        let verifies_all = is_due(self.verified, VERIFY_INTERVAL);
        for (server, community) in services.database.routes().await? {
            findings.write(server, community).await?;
            if verifies_all || self.problems.contains_key(&server) {
                findings.verify(server, community).await?;
            }
        }
        if verifies_all && findings.error.is_none() {
            self.verified = Some(Instant::now());
        }
        if findings.error.is_some() {
            // What could not be compared again is still a problem.
            for (server, problem) in &self.problems {
                findings.problems.entry(*server).or_insert_with(|| problem.clone());
            }
        }
        let new = findings
            .problems
            .iter()
            .filter(|(server, problem)| self.problems.get(*server) != Some(*problem));
        let mut notices = Vec::new();
        for (server, problem) in new {
            if announce(services, *server, problem, now).await? && notices.len() < MAX_NOTICES {
                notices.extend(notice(services, *server, problem, now).await?);
            }
        }
        findings.store_health().await?;
        self.problems = findings.problems;
        self.written = Some(Instant::now());
        notify(services, &notices).await;
        Ok(())
    }
}

impl Findings<'_> {
    /// Writes the versions of a community that the store lacks. Where the store has failed, they are only counted.
    async fn write(&mut self, server: GuildId, community: CommunityId) -> Result<(), Failure> {
        let mut tx = self.services.database.tenant(community).await?;
        let versions = tx.configuration_versions().to_shadow(WRITTEN_AT_ONCE).await;
        let Some(versions) = self.or_problem(server, versions)? else {
            return Ok(());
        };
        tx.commit().await?;
        let mut left = versions.len();
        for version in &versions {
            if self.error.is_some() {
                break;
            }
            let result = self.store.write(server, version).await;
            let writes = &self.services.metrics.shadow_writes;
            writes.with_label_values(&[outcome(&result)]).inc();
            match result {
                Ok(()) => {
                    self.mark_shadowed(community, version).await?;
                    left -= 1;
                }
                Err(error) if error.is_of_store() => self.error = Some(error.to_string()),
                Err(error) => {
                    self.problems.insert(server, error.to_string());
                    break;
                }
            }
        }
        self.pending += u32::try_from(left).unwrap_or(u32::MAX);
        Ok(())
    }

    async fn mark_shadowed(&self, community: CommunityId, version: &ConfigurationVersion) -> Result<(), Failure> {
        let mut tx = self.services.database.tenant(community).await?;
        tx.configuration_versions()
            .mark_shadowed(version.version, self.now)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Compares the newest version of a community with its shadow.
    async fn verify(&mut self, server: GuildId, community: CommunityId) -> Result<(), Failure> {
        if self.error.is_some() || self.problems.contains_key(&server) {
            return Ok(());
        }
        let mut tx = self.services.database.tenant(community).await?;
        let latest = tx.configuration_versions().latest().await;
        let Some(latest) = self.or_problem(server, latest)? else {
            return Ok(());
        };
        tx.commit().await?;
        match configuration::compare(self.store, server, latest.as_ref()).await {
            Ok(None) => {}
            Ok(Some(problem)) => {
                self.problems.insert(server, problem);
            }
            Err(error) => self.error = Some(error.to_string()),
        }
        Ok(())
    }

    /// The result of a query; `None` for a corrupt row, which is a problem of its server and of no other.
    fn or_problem<T>(&mut self, server: GuildId, read: Result<T, DbError>) -> Result<Option<T>, Failure> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error @ DbError::Corrupt { .. }) => {
                self.problems.insert(server, error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn store_health(&self) -> Result<(), Failure> {
        let named = self.problems.iter().take(PROBLEMS_NAMED);
        let health = ShadowHealth {
            checked_at: self.now,
            pending: self.pending,
            problems: named
                .map(|(server, problem)| ShadowProblem {
                    server: server.to_string(),
                    problem: problem.clone(),
                })
                .collect(),
            problem_count: u32::try_from(self.problems.len()).unwrap_or(u32::MAX),
            error: self.error.clone(),
        };
        let mut tx = self.services.database.global().await?;
        tx.put_shadow_health(&health).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Logs a new problem, and records it once a day in the audit log of the platform. True when it was recorded now.
async fn announce(services: &Services, server: GuildId, problem: &str, now: OffsetDateTime) -> Result<bool, Failure> {
    tracing::error!(guild.id = %server, problem, "the shadow of a configuration is damaged or differs");
    let mut tx = services.database.global().await?;
    let is_new = tx
        .claim(&format!("configuration-mismatch:{server}:{}", now.date()))
        .await?;
    if is_new {
        tx.audit(&NewAuditEntry {
            actor: Actor::System("configurations".to_owned()),
            action: "configuration.mismatch",
            subject: &server.to_string(),
            reason: Some(problem),
            detail: json!({}),
        })
        .await?;
    }
    tx.commit().await?;
    Ok(is_new)
}

/// A notice of a problem; `None` where the community is gone, or its row is corrupt.
async fn notice(
    services: &Services,
    server: GuildId,
    problem: &str,
    now: OffsetDateTime,
) -> Result<Option<Notice>, Failure> {
    let record = match services.database.community_of(server).await {
        Ok(Some((record, _))) => record,
        Ok(None) | Err(DbError::Corrupt { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(Notice {
        outcome: RunOutcome::Failure,
        task: NoticeTask::Shadow,
        server: ServerId::new(server.get()),
        community: record.name,
        plan: record.plan,
        detail: problem.to_owned(),
        at: now,
    }))
}

/// Sends notices. One that cannot be sent is logged and counted.
async fn notify(services: &Services, notices: &[Notice]) {
    let Some(backups) = &services.backups else { return };
    let metrics = &services.metrics.backups;
    let sends = notices.iter().map(|notice| backups.notifier.send(notice, metrics));
    if tokio::time::timeout(NOTICES_LIMIT, join_all(sends)).await.is_err() {
        tracing::warn!("notices about configurations were not sent in time");
    }
}

fn outcome(result: &Result<(), ShadowError>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(error) if error.is_of_store() => "failed",
        Err(_) => "mismatched",
    }
}

/// Records the configuration of each community that differs from its newest version. One whose server is being changed is recorded at the
/// end of that. A community whose rows are corrupt is logged and left out.
async fn record(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    for (_, community) in services.database.routes().await? {
        match record_one(services, community, now).await {
            Ok(()) => {}
            Err(Failure::Permanent(error)) => {
                tracing::error!(%community, %error, "the configuration of a community is not recorded");
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

async fn record_one(services: &Services, community: CommunityId, now: OffsetDateTime) -> Result<(), Failure> {
    let mut tx = services.database.tenant(community).await?;
    if tx.server_state().is_held(now).await? {
        return Ok(());
    }
    let cause = VersionCause {
        cause: "found",
        by: "arrakis-worker",
        at: now,
    };
    configuration::record(&mut tx, &services.themes, cause).await?;
    tx.configuration_versions().prune(services.shadows.is_some()).await?;
    tx.commit().await?;
    Ok(())
}
