//! The health component of scheduled backups, and the gauges of their ages.
//!
//! Degraded, never down: a late backup stops nothing else. Both are computed from what the jobs store in PostgreSQL, so each worker
//! reports the runs of all workers. Each check also records since when a task is due, so that no leader has to: a run is overdue by the time for
//! which it is due for this server, not by its slot, which may be before its plan had the task or `BACKUP_STORE` was set.
//!
//! A server that the bot has left is named, and is no problem: its backups and snapshots pause.

use std::time::Duration;

use arrakis_db::{BackupRun, BotAbsence, CommunityId, DbError, DueTask, GuildId, TenantTx};
use arrakis_domain::Plan;
use arrakis_runtime::HealthComponent;
use arrakis_vault::Task;
use time::OffsetDateTime;

use super::is_scheduled;
use crate::jobs::eligibility_sync::health::duration;
use crate::metrics::BackupMetrics;
use crate::moment::moment;
use crate::services::Services;

/// Interval of the checks; the end of a run of this worker causes one, too.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between two checks: each reads a row of every community.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
/// How long a task is due before its run is overdue. A run takes seconds, and thousands of servers are due at the same time.
const OVERDUE_AFTER: time::Duration = time::Duration::hours(2);
/// Servers whose error, or whose absence of the bot, is named.
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
    runs: Vec<BackupRun>,
    /// The tasks that are due without a completed run.
    due: Vec<DueTask>,
    /// Set while the bot is not in the server.
    absence: Option<BotAbsence>,
}

impl ServerRuns {
    fn is_scheduled(&self, task: Task, now: OffsetDateTime) -> bool {
        is_scheduled(task, self.plan, self.absence.as_ref(), now)
    }

    /// Whether a task is due without a completed run.
    fn is_due(&self, task: Task, now: OffsetDateTime) -> bool {
        let completed = self.run(task).and_then(|run| run.completed_slot);
        self.is_scheduled(task, now) && task.due(self.plan, completed, now).is_some()
    }

    /// Since when a task is due, as it is recorded.
    fn due_since(&self, task: Task) -> Option<OffsetDateTime> {
        let due = self.due.iter().find(|due| due.task == task.as_str());
        due.map(|due| due.since)
    }

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
    let due = tx.backup_runs().due().await?;
    let absence = tx.bot_presence().absence().await?;
    let mut server = ServerRuns {
        guild,
        plan: record.plan,
        runs,
        due,
        absence,
    };
    record_due(&mut tx, &mut server, services.now()).await?;
    tx.commit().await?;
    Ok(Some(server))
}

/// Records which tasks are due since now, and which are not due any more. Several workers at once record the first one's time.
async fn record_due(tx: &mut TenantTx, server: &mut ServerRuns, now: OffsetDateTime) -> Result<(), DbError> {
    for task in Task::ALL {
        match (server.is_due(task, now), server.due_since(task)) {
            (true, None) => {
                tx.backup_runs().mark_due(task.as_str(), now).await?;
                server.due.push(DueTask {
                    task: task.as_str().to_owned(),
                    since: now,
                });
            }
            (false, Some(_)) => {
                tx.backup_runs().clear_due(task.as_str()).await?;
                server.due.retain(|due| due.task != task.as_str());
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    Ok(())
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
    /// Servers that the bot has left, and since when.
    absent: Vec<(GuildId, OffsetDateTime)>,
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
                .filter(move |task| server.is_scheduled(*task, now));
            tasks.filter_map(move |task| {
                let error = server.run(task)?.last_error.as_deref()?;
                Some(format!("{task} of server {}: {error}", server.guild))
            })
        });
        Self {
            tasks: tasks.collect(),
            errors: errors.take(MAX_NAMED).collect(),
            absent: servers
                .iter()
                .filter_map(|server| Some((server.guild, server.absence?.since)))
                .collect(),
        }
    }

    fn record(&self, metrics: &BackupMetrics) {
        for (task, state) in &self.tasks {
            metrics.set_state(*task, state.oldest, state.overdue, state.failing);
        }
        metrics.set_absent(self.absent.len());
    }

    /// The age of the last run of each task, and the servers that the bot has left.
    fn text(&self) -> String {
        let texts = self.tasks.iter().map(|(task, state)| match state.latest {
            Some(age) => format!("last {task} {} ago", duration(age)),
            None => format!("no {task} yet"),
        });
        let mut text = texts.collect::<Vec<_>>().join(", ");
        if !self.absent.is_empty() {
            let named = self.absent.iter().take(MAX_NAMED);
            let named: Vec<String> = named
                .map(|(guild, since)| format!("server {guild} since {}", moment(Some(*since))))
                .collect();
            text.push_str(&format!(
                "; the bot is not in {} servers, whose backups pause: {}",
                self.absent.len(),
                named.join(", ")
            ));
        }
        text
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
    /// Adds a server, if runs of the task are scheduled: what remains of another plan is not run any more.
    fn add(&mut self, task: Task, server: &ServerRuns, now: OffsetDateTime) {
        if !server.is_scheduled(task, now) {
            return;
        }
        let run = server.run(task);
        self.failing += usize::from(run.is_some_and(|run| run.consecutive_failures > 0));
        if let Some(age) = run.and_then(|run| run.last_success_at).map(|at| now - at) {
            self.latest = Some(self.latest.map_or(age, |latest| latest.min(age)));
            self.oldest = Some(self.oldest.map_or(age, |oldest| oldest.max(age)));
        }
        let since = server.due_since(task);
        self.overdue += usize::from(since.is_some_and(|since| since + OVERDUE_AFTER <= now));
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
            runs,
            due: Vec::new(),
            absence: None,
        }
    }

    fn due(task: Task, since: OffsetDateTime) -> DueTask {
        DueTask {
            task: task.as_str().to_owned(),
            since,
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
        let mut failing = server(failing);
        failing.due = vec![due(Task::Backup, datetime!(2026-12-02 03:00 UTC))];
        let state = BackupState::of(&[server(completed()), failing], NOW);
        let problem = state.problem().unwrap();
        assert_eq!(
            problem,
            "backup overdue for 1 servers; last backup of 1 servers failed; backup of server 7: the bot is not on server 7; \
             `arrakis-worker backup status` lists all"
        );
    }

    #[test]
    fn task_is_overdue_two_hours_after_it_became_due_for_the_server() {
        for (since, is_overdue) in [
            (datetime!(2026-12-02 10:30:01 UTC), false),
            (datetime!(2026-12-02 10:30 UTC), true),
        ] {
            // The plan is premium since then: the slot of the snapshot is days before.
            let mut premium = server(completed());
            premium.plan = Plan::Premium;
            premium.due = vec![due(Task::Snapshot, since)];
            assert!(premium.is_due(Task::Snapshot, NOW));
            let problem = BackupState::of(&[premium], NOW).problem();
            assert_eq!(problem.is_some(), is_overdue, "{problem:?}");
        }
    }

    #[test]
    fn server_without_the_bot_is_named_and_no_problem() {
        let mut runs = completed();
        runs[0].completed_slot = Some(datetime!(2026-11-01 03:00 UTC));
        runs[0].consecutive_failures = 3;
        runs[0].last_error = Some("HTTP 500".to_owned());
        let mut left = server(runs);
        left.due = vec![due(Task::Backup, datetime!(2026-11-02 03:00 UTC))];
        assert!(left.is_due(Task::Backup, NOW));
        left.absence = Some(BotAbsence {
            since: datetime!(2026-11-02 12:00:00.5 UTC),
            seen_at: NOW,
        });
        assert!(!left.is_due(Task::Backup, NOW));
        let state = BackupState::of(&[left], NOW);
        assert_eq!(state.problem(), None);
        assert_eq!(
            state.text(),
            "no backup yet, no snapshot yet, last retention 30 min ago; the bot is not in 1 servers, whose backups pause: server 7 since \
             2026-11-02T12:00:00Z"
        );
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
}
