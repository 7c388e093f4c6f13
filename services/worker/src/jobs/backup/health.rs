//! The health component of scheduled backups, and the gauges of their ages.
//!
//! Degraded, never down: a late backup stops nothing else. Both are computed from what the jobs store in PostgreSQL, so each worker
//! reports the runs of all workers.

use std::time::Duration;

use arrakis_db::{BackupRun, CommunityId, DbError, GuildId};
use arrakis_domain::Plan;
use arrakis_runtime::HealthComponent;
use arrakis_vault::Task;
use time::OffsetDateTime;

use crate::jobs::eligibility_sync::health::duration;
use crate::metrics::BackupMetrics;
use crate::services::Services;

/// Interval of the checks; the end of a run of this worker causes one, too.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between two checks: each reads a row of every community.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// How long after its slot a run is overdue. A run takes seconds, and thousands of servers are due at the same time.
const OVERDUE_AFTER: time::Duration = time::Duration::hours(2);
/// Servers whose error is named.
const MAX_NAMED: usize = 3;

/// Updates the health component `backups` and the gauges; never returns.
pub(crate) async fn watch(component: &HealthComponent, services: &Services) {
    let Some(backups) = &services.backups else {
        component.up_with("BACKUP_STORE is not set: scheduled backups are off");
        return std::future::pending().await;
    };
    loop {
        // Postgres has a component of its own.
        if let Ok(servers) = read(services).await {
            let state = BackupState::of(&servers, services.now());
            state.record(&services.metrics.backups);
            match state.problem() {
                Some(problem) => component.degraded(format!("{}; {problem}", state.text())),
                None => component.up_with(state.text()),
            }
        }
        tokio::time::sleep(MIN_INTERVAL).await;
        // The timeout is the interval.
        let _ = tokio::time::timeout(CHECK_INTERVAL, backups.changed.notified()).await;
    }
}

/// The runs of one server.
#[derive(Debug)]
struct ServerRuns {
    guild: GuildId,
    plan: Plan,
    onboarded_at: OffsetDateTime,
    runs: Vec<BackupRun>,
}

impl ServerRuns {
    /// The last run of a task.
    fn run(&self, task: Task) -> Option<&BackupRun> {
        self.runs.iter().find(|run| run.task == task.as_str())
    }
}

/// The runs of each server. A community whose rows are corrupt is left out.
async fn read(services: &Services) -> Result<Vec<ServerRuns>, DbError> {
    let mut servers = Vec::new();
    for (guild, community) in services.database.routes().await? {
        match read_one(services, guild, community).await {
            Ok(server) => servers.extend(server),
            Err(error @ DbError::Corrupt { .. }) => {
                tracing::error!(%community, %error, "a community is left out of the state of backups");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(servers)
}

async fn read_one(services: &Services, guild: GuildId, community: CommunityId) -> Result<Option<ServerRuns>, DbError> {
    let mut tx = services.database.tenant(community).await?;
    let Some(record) = tx.communities().get().await? else {
        return Ok(None);
    };
    let runs = tx.backup_runs().all().await?;
    tx.commit().await?;
    Ok(Some(ServerRuns {
        guild,
        plan: record.plan,
        onboarded_at: record.onboarded_at,
        runs,
    }))
}

/// State of one task on all servers.
#[derive(Debug, Default, PartialEq, Eq)]
struct TaskState {
    /// Time since the latest completed run of any server.
    latest: Option<time::Duration>,
    /// Time since the last completed run of the server for which it is the longest.
    oldest: Option<time::Duration>,
    /// Servers whose run is overdue.
    overdue: usize,
    /// Servers whose last run failed.
    failing: usize,
}

/// State of the scheduled backups.
#[derive(Debug)]
struct BackupState {
    tasks: Vec<(Task, TaskState)>,
    /// The first errors, each with its server and task.
    errors: Vec<String>,
}

impl BackupState {
    fn of(servers: &[ServerRuns], now: OffsetDateTime) -> Self {
        let tasks = Task::ALL.into_iter().map(|task| {
            let mut state = TaskState::default();
            for server in servers {
                state.add(task, server, now);
            }
            (task, state)
        });
        let errors = servers.iter().flat_map(|server| {
            let tasks = Task::ALL
                .into_iter()
                .filter(move |task| task.newest_slot(server.plan, now).is_some());
            tasks.filter_map(move |task| {
                let error = server.run(task)?.last_error.as_deref()?;
                Some(format!("{task} of server {}: {error}", server.guild))
            })
        });
        Self {
            tasks: tasks.collect(),
            errors: errors.take(MAX_NAMED).collect(),
        }
    }

    fn record(&self, metrics: &BackupMetrics) {
        for (task, state) in &self.tasks {
            metrics.set_state(*task, state.oldest, state.overdue, state.failing);
        }
    }

    /// The age of the last run of each task.
    fn text(&self) -> String {
        let texts = self.tasks.iter().map(|(task, state)| match state.latest {
            Some(age) => format!("last {task} {} ago", duration(age)),
            None => format!("no {task} yet"),
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// What an operator has to look at.
    fn problem(&self) -> Option<String> {
        let mut problems: Vec<String> = Vec::new();
        for (task, state) in &self.tasks {
            if state.overdue > 0 {
                problems.push(format!("{task} overdue for {} servers", state.overdue));
            }
            if state.failing > 0 {
                problems.push(format!("last {task} of {} servers failed", state.failing));
            }
        }
        if problems.is_empty() {
            return None;
        }
        problems.extend(self.errors.iter().cloned());
        problems.push("`arrakis-worker backup status` lists all".to_owned());
        Some(problems.join("; "))
    }
}

impl TaskState {
    /// Adds a server, if its plan has the task: what remains of another plan is not run any more.
    fn add(&mut self, task: Task, server: &ServerRuns, now: OffsetDateTime) {
        if task.newest_slot(server.plan, now).is_none() {
            return;
        }
        let run = server.run(task);
        self.failing += usize::from(run.is_some_and(|run| run.consecutive_failures > 0));
        if let Some(age) = run.and_then(|run| run.last_success_at).map(|at| now - at) {
            self.latest = Some(self.latest.map_or(age, |latest| latest.min(age)));
            self.oldest = Some(self.oldest.map_or(age, |oldest| oldest.max(age)));
        }
        // Not the newest slot: that of an hourly task is never two hours old.
        let completed = run.and_then(|run| run.completed_slot);
        let missed = task.due(server.plan, completed, now - OVERDUE_AFTER);
        // A new community is due at once, for a slot before it was there.
        let is_new = completed.is_none() && server.onboarded_at + OVERDUE_AFTER > now;
        self.overdue += usize::from(missed.is_some() && !is_new);
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    /// A Wednesday.
    const NOW: OffsetDateTime = datetime!(2026-12-02 12:30 UTC);

    fn run(task: Task, slot: OffsetDateTime, ended: OffsetDateTime) -> BackupRun {
        BackupRun {
            task: task.as_str().to_owned(),
            completed_slot: Some(slot),
            last_success_at: Some(ended),
            last_attempt_at: ended,
            consecutive_failures: 0,
            last_error: None,
        }
    }

    fn server(runs: Vec<BackupRun>) -> ServerRuns {
        ServerRuns {
            guild: GuildId::new(7).unwrap(),
            plan: Plan::Free,
            onboarded_at: datetime!(2026-11-01 00:00 UTC),
            runs,
        }
    }

    fn completed() -> Vec<BackupRun> {
        vec![
            run(
                Task::Backup,
                datetime!(2026-12-02 03:00 UTC),
                datetime!(2026-12-02 03:01 UTC),
            ),
            run(
                Task::Retention,
                datetime!(2026-12-02 05:00 UTC),
                datetime!(2026-12-02 12:00 UTC),
            ),
        ]
    }

    #[test]
    fn completed_runs_are_up_with_their_ages() {
        let state = BackupState::of(&[server(completed())], NOW);
        assert_eq!(
            state.text(),
            "last backup 9 h ago, no snapshot yet, last retention 30 min ago"
        );
        assert_eq!(state.problem(), None);
    }

    #[test]
    fn overdue_and_failing_runs_are_named() {
        let mut failing = completed();
        failing[0].completed_slot = Some(datetime!(2026-12-01 03:00 UTC));
        failing[0].consecutive_failures = 3;
        failing[0].last_error = Some("the bot is not on server 7".to_owned());
        let state = BackupState::of(&[server(completed()), server(failing)], NOW);
        let problem = state.problem().unwrap();
        assert_eq!(
            problem,
            "backup overdue for 1 servers; last backup of 1 servers failed; backup of server 7: the bot is not on server 7; \
             `arrakis-worker backup status` lists all"
        );
    }

    #[test]
    fn hourly_run_is_overdue_two_hours_after_the_slot_that_was_missed() {
        let mut premium = server(completed());
        premium.plan = Plan::Premium;
        premium.runs.push(run(
            Task::Snapshot,
            datetime!(2026-11-29 04:00 UTC),
            datetime!(2026-11-29 04:01 UTC),
        ));
        premium.runs[0].completed_slot = Some(datetime!(2026-12-02 10:00 UTC));
        // The missed slot is 11:00.
        assert_eq!(BackupState::of(&[premium], NOW).problem(), None);
        let mut premium = server(completed());
        premium.plan = Plan::Premium;
        premium.runs[0].completed_slot = Some(datetime!(2026-12-02 09:00 UTC));
        let problem = BackupState::of(&[premium], NOW).problem().unwrap();
        assert!(problem.contains("backup overdue for 1 servers"), "{problem}");
    }

    #[test]
    fn failed_run_of_a_task_that_the_plan_has_no_more_is_no_problem() {
        let mut downgraded = server(completed());
        let mut snapshot = run(
            Task::Snapshot,
            datetime!(2026-11-22 04:00 UTC),
            datetime!(2026-11-22 04:01 UTC),
        );
        snapshot.consecutive_failures = 2;
        snapshot.last_error = Some("HTTP 500".to_owned());
        downgraded.runs.push(snapshot);
        let state = BackupState::of(&[downgraded], NOW);
        assert_eq!(state.problem(), None);
        assert!(state.errors.is_empty(), "{:?}", state.errors);
    }

    #[test]
    fn new_community_is_not_overdue_at_once() {
        let mut new = server(Vec::new());
        new.onboarded_at = NOW - time::Duration::MINUTE;
        assert_eq!(BackupState::of(&[new], NOW).problem(), None);
        let mut older = server(Vec::new());
        older.onboarded_at = NOW - time::Duration::hours(3);
        assert!(BackupState::of(&[older], NOW).problem().is_some());
    }
}
