//! Configurations of communities: records changes that nothing else has recorded, writes versions that the object store lacks, and compares
//! shadows with the database.
//!
//! Two leaders at once do no harm: a version is written once and never changed, and the pointer moves forwards only. A mismatch is logged,
//! counted, in `/health` of every worker, and once a day in the audit log of the platform and in a notice to the operators.
//!
//! A store that fails for one server, as one whose key is refused, delays no other server; one that fails for several in sequence ends the run,
//! and the next run begins behind them. Writes come first: a comparison of all servers is divided among runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use arrakis_db::{
    Actor, CommunityId, ConfigurationVersion, DbError, GuildId, NewAuditEntry, PROBLEMS_NAMED, ShadowHealth,
    ShadowProblem, VersionCause,
};
use arrakis_vault::ServerId;
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::{Duration, Instant};

use crate::configuration::{self, CompareError, ShadowError, ShadowStore};
use crate::failure::Failure;
use crate::scheduled_backup::{Notice, NoticeTask, RunOutcome};
use crate::services::Services;

/// Interval at which versions are written that the store lacks, and shadows with a problem are compared again.
const WRITE_INTERVAL: Duration = Duration::from_secs(15);
/// Interval at which a comparison of all shadows begins.
const VERIFY_INTERVAL: Duration = Duration::from_secs(3600);
/// Time of a run after which it compares no further shadow: versions of the next changes wait.
const COMPARE_LIMIT: Duration = Duration::from_secs(10);
/// Interval at which changes are looked for that nothing else has recorded.
const RECORD_INTERVAL: Duration = Duration::from_secs(600);
/// Versions of a community that are written at once.
const WRITTEN_AT_ONCE: u32 = 20;
/// Servers in sequence for which the store fails after which a run ends: each call may take a minute.
const MAX_FAILURES: usize = 3;
/// Most notices of one comparison of all shadows: in an emptied store, all are missing.
const MAX_NOTICES: usize = 10;

/// The scheduled work on configurations, with what it has found.
#[derive(Debug, Default)]
pub struct ConfigurationTasks {
    recorded: Option<Instant>,
    written: Option<Instant>,
    verified: Option<Instant>,
    /// Servers whose shadow is to be compared, the next one first.
    to_compare: VecDeque<GuildId>,
    /// What is wrong with the shadow of a server.
    problems: BTreeMap<GuildId, String>,
    /// Servers whose problem is neither logged nor recorded yet.
    unannounced: BTreeSet<GuildId>,
    /// Why the store could not be used for a server.
    failures: BTreeMap<GuildId, String>,
    /// The last server of a run that the store has ended.
    stopped_at: Option<GuildId>,
    /// Notices since the last comparison of all shadows has begun.
    notices: usize,
}

/// One run over all servers.
struct Pass<'a> {
    services: &'a Services,
    store: &'a ShadowStore,
    now: OffsetDateTime,
    tasks: &'a mut ConfigurationTasks,
    /// Versions that the store lacks.
    pending: u32,
    /// Servers in sequence for which the store has failed, up to the last one.
    failed_in_sequence: usize,
    /// Servers whose versions could not be written.
    unwritten: BTreeSet<GuildId>,
    /// Servers for which the store did not fail before this run.
    new_failures: Vec<GuildId>,
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
        let routes: BTreeMap<GuildId, CommunityId> = services.database.routes().await?.into_iter().collect();
        self.problems.retain(|server, _| routes.contains_key(server));
        self.failures.retain(|server, _| routes.contains_key(server));
        let verifies_all = is_due(self.verified, VERIFY_INTERVAL);
        self.plan_comparisons(&routes, verifies_all);
        if verifies_all {
            self.verified = Some(Instant::now());
            self.notices = 0;
        }
        let (had_failed, was_stopped) = (!self.failures.is_empty(), self.stopped_at.is_some());
        let mut pass = Pass {
            services,
            store,
            now,
            tasks: self,
            pending: 0,
            failed_in_sequence: 0,
            unwritten: BTreeSet::new(),
            new_failures: Vec::new(),
        };
        pass.write_all(&routes).await?;
        pass.compare_planned(&routes).await?;
        let (pending, new_failures) = (pass.pending, pass.new_failures);
        self.log_failures(&new_failures, had_failed, was_stopped);
        self.announce_problems(services, now).await?;
        self.store_health(services, pending, now).await?;
        self.written = Some(Instant::now());
        Ok(())
    }

    /// Adds the servers to compare: all, or those with a problem or a failure.
    fn plan_comparisons(&mut self, routes: &BTreeMap<GuildId, CommunityId>, all: bool) {
        let mut planned: BTreeSet<GuildId> = self.to_compare.iter().copied().collect();
        let again = self.problems.keys().chain(self.failures.keys());
        let servers = again.chain(routes.keys().filter(|_| all));
        for server in servers {
            if planned.insert(*server) {
                self.to_compare.push_back(*server);
            }
        }
    }

    /// Logs a failure of the store when it begins and when it ends.
    fn log_failures(&self, new: &[GuildId], had_failed: bool, was_stopped: bool) {
        if let Some(last) = self.stopped_at {
            if !was_stopped {
                let error = self.failures.get(&last).map(String::as_str);
                tracing::error!(
                    error,
                    "the object store of configurations fails for several servers; what it lacks is written when it responds"
                );
            }
            return;
        }
        for server in new {
            if let Some(error) = self.failures.get(server) {
                tracing::error!(guild.id = %server, error, "a shadow of a configuration cannot be written or read");
            }
        }
        if had_failed && self.failures.is_empty() {
            tracing::info!("the shadows of all configurations can be written and read again");
        }
    }

    /// Logs and records new problems.
    async fn announce_problems(&mut self, services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
        while let Some(server) = self.unannounced.first().copied() {
            if let Some(problem) = self.problems.get(&server) {
                announce(services, server, problem, now).await?;
                if self.notices < MAX_NOTICES && notify(services, server, problem, now).await? {
                    self.notices += 1;
                }
            }
            self.unannounced.remove(&server);
        }
        Ok(())
    }

    /// The failures in one text.
    fn failure(&self) -> Option<String> {
        let (server, error) = self.failures.first_key_value()?;
        Some(match self.failures.len() {
            1 => format!("server {server}: {error}"),
            servers => format!("server {server}: {error}; and {} further servers", servers - 1),
        })
    }

    async fn store_health(&self, services: &Services, pending: u32, now: OffsetDateTime) -> Result<(), Failure> {
        let named = self.problems.iter().take(PROBLEMS_NAMED);
        let health = ShadowHealth {
            checked_at: now,
            pending,
            problems: named
                .map(|(server, problem)| ShadowProblem {
                    server: server.to_string(),
                    problem: problem.clone(),
                })
                .collect(),
            problem_count: u32::try_from(self.problems.len()).unwrap_or(u32::MAX),
            error: self.failure(),
        };
        let mut tx = services.database.global().await?;
        tx.put_shadow_health(&health).await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Pass<'_> {
    /// Writes the versions of all communities that the store lacks. Begins behind the server at which the store has ended the last run.
    async fn write_all(&mut self, routes: &BTreeMap<GuildId, CommunityId>) -> Result<(), Failure> {
        let stopped_at = self.tasks.stopped_at.take();
        let is_behind = |server: &GuildId| stopped_at.is_none_or(|at| *server > at);
        let (behind, before): (Vec<_>, Vec<_>) = routes.iter().partition(|(server, _)| is_behind(server));
        for (server, community) in behind.into_iter().chain(before) {
            self.write(*server, *community).await?;
        }
        Ok(())
    }

    /// Writes the versions of a community that the store lacks. After the store has ended the run, they are only counted.
    async fn write(&mut self, server: GuildId, community: CommunityId) -> Result<(), Failure> {
        let mut tx = self.services.database.tenant(community).await?;
        let versions = match tx.configuration_versions().to_shadow(WRITTEN_AT_ONCE).await {
            Ok(versions) => versions,
            // A problem of its server and of no other.
            Err(error @ DbError::Corrupt { .. }) => {
                self.unwritten.insert(server);
                self.found(server, error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        tx.commit().await?;
        let mut left = versions.len();
        for version in &versions {
            if self.is_stopped() {
                break;
            }
            let result = self.store.write(server, version).await;
            let writes = &self.services.metrics.shadow_writes;
            writes.with_label_values(&[outcome(&result)]).inc();
            match result {
                Ok(()) => {
                    self.succeeded(server);
                    self.mark_shadowed(community, version).await?;
                    left -= 1;
                    continue;
                }
                Err(error) if error.is_of_store() => self.failed(server, error.to_string()),
                Err(error) => {
                    self.succeeded(server);
                    self.found(server, error.to_string());
                }
            }
            self.unwritten.insert(server);
            break;
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

    /// Compares the planned servers, each once, for as long as a run may take. A server whose versions could not be written is left to the next
    /// run.
    async fn compare_planned(&mut self, routes: &BTreeMap<GuildId, CommunityId>) -> Result<(), Failure> {
        let began = Instant::now();
        for _ in 0..self.tasks.to_compare.len() {
            if self.is_stopped() || began.elapsed() >= COMPARE_LIMIT {
                break;
            }
            let Some(server) = self.tasks.to_compare.front().copied() else {
                break;
            };
            if let Some(community) = routes.get(&server)
                && !self.unwritten.contains(&server)
            {
                self.compare(server, *community).await?;
            }
            self.tasks.to_compare.pop_front();
        }
        Ok(())
    }

    /// Compares the newest version of a community with its shadow.
    async fn compare(&mut self, server: GuildId, community: CommunityId) -> Result<(), Failure> {
        let database = &self.services.database;
        match configuration::compare(database, self.store, server, community).await {
            Ok(None) => {
                self.succeeded(server);
                self.tasks.problems.remove(&server);
            }
            Ok(Some(problem)) => {
                self.succeeded(server);
                self.found(server, problem);
            }
            Err(CompareError::Store(error)) => self.failed(server, error.to_string()),
            Err(CompareError::Database(error @ DbError::Corrupt { .. })) => self.found(server, error.to_string()),
            Err(CompareError::Database(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether the store has ended the run.
    fn is_stopped(&self) -> bool {
        self.failed_in_sequence >= MAX_FAILURES
    }

    /// The store has responded to a call for a server.
    fn succeeded(&mut self, server: GuildId) {
        self.failed_in_sequence = 0;
        self.tasks.failures.remove(&server);
    }

    /// The store has failed for a server.
    fn failed(&mut self, server: GuildId, error: String) {
        self.failed_in_sequence += 1;
        if self.is_stopped() {
            self.tasks.stopped_at = Some(server);
        }
        if self.tasks.failures.insert(server, error).is_none() {
            self.new_failures.push(server);
        }
    }

    /// The shadow of a server, or the row of its version, has a problem.
    fn found(&mut self, server: GuildId, problem: String) {
        if self.tasks.problems.get(&server) != Some(&problem) {
            self.tasks.unannounced.insert(server);
            self.tasks.problems.insert(server, problem);
        }
    }
}

/// Logs a new problem, and records it once a day in the audit log of the platform.
async fn announce(services: &Services, server: GuildId, problem: &str, now: OffsetDateTime) -> Result<(), Failure> {
    tracing::error!(guild.id = %server, problem, "the shadow of a configuration is damaged or differs");
    let mut tx = services.database.global().await?;
    if tx
        .claim(&format!("configuration-mismatch:{server}:{}", now.date()))
        .await?
    {
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
    Ok(())
}

/// Stores a notice of a problem, once a day for a server. False when there is one, the community is gone, or its row is corrupt.
async fn notify(services: &Services, server: GuildId, problem: &str, now: OffsetDateTime) -> Result<bool, Failure> {
    let Some(backups) = &services.backups else {
        return Ok(false);
    };
    let (record, mut tx) = match services.database.community_of(server).await {
        Ok(Some(found)) => found,
        Ok(None) | Err(DbError::Corrupt { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let id = format!("configuration-mismatch:{}", now.date());
    let is_new = tx.claim(&id).await?;
    if is_new {
        let notice = Notice {
            outcome: RunOutcome::Failure,
            task: NoticeTask::Shadow,
            server: ServerId::new(server.get()),
            community: record.name,
            plan: record.plan,
            detail: problem.to_owned(),
            at: now,
        };
        backups.notifier.store(&mut tx, &id, &notice, now).await?;
    }
    tx.commit().await?;
    Ok(is_new)
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
