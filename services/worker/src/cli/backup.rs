//! `arrakis-worker backup run-due|run|status`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use arrakis_broker::{BrokerConnection, BrokerSettings, Publisher};
use arrakis_config::{Reader, Secret, Service};
use arrakis_db::{BackupRun, BotAbsence, Community, CommunityId, Database, GuildId, JobState};
use arrakis_runtime::{Fatal, Runtime, Threads};
use arrakis_vault::Task;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::database::{connect, database_url};
use super::eligibility::timestamp;
use super::output::{print, print_json, printable, report};
use super::{topology, with_config};
use crate::config::Config;
use crate::health::BrokerConnections;
use crate::jobs::{JobOwner, backup, publish};
use crate::serve;

/// Pause between two looks at the job of a run.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time without a worker that runs the job after which waiting ends.
const WAIT_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Time limit of the call that measures Discord's clock, by which slots are computed.
const CLOCK_LIMIT: Duration = Duration::from_secs(5);

/// The subcommands of `backup`.
#[derive(Debug, Subcommand)]
pub(super) enum BackupTask {
    /// Runs all due backups, snapshots and retentions once in this process, and exits; exit code 1 if one failed. For a container that a
    /// timer starts. It reads the configuration of a worker
    RunDue,
    /// Enqueues a task for one server, which a worker runs, although it is not due
    Run(RunOptions),
    /// Shows the last run of each task of each server, and which servers the bot has left; exit code 1 if a run has failed since its last success
    Status {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// The options of `run`.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// Id of the Discord server
    guild: u64,
    /// The task
    #[arg(long, value_enum, default_value_t = TaskName::Backup)]
    task: TaskName,
    /// Wait until the task has ended; exit code 1 if it fails
    #[arg(long)]
    wait: bool,
}

/// The name of a task.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum TaskName {
    /// A live export, and the state where gaib keeps it in the store
    Backup,
    /// The whole server
    Snapshot,
    /// Expires what is older than the plan keeps
    Retention,
}

impl TaskName {
    const fn task(self) -> Task {
        match self {
            Self::Backup => Task::Backup,
            Self::Snapshot => Task::Snapshot,
            Self::Retention => Task::Retention,
        }
    }
}

impl BackupTask {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::RunDue => arrakis_runtime::run(Service::Worker, Threads::Many, Config::read, run_due),
            Self::Run(options) => with_config(database_and_broker, move |(url, broker)| options.run(url, broker)),
            Self::Status { json } => with_config(database_url, move |url| status(url, json)),
        }
    }
}

fn database_and_broker(reader: &mut Reader) -> Option<(Secret, BrokerSettings)> {
    let url = database_url(reader);
    let broker = BrokerSettings::read(reader);
    Some((url?, broker?))
}

/// Runs what is due. The connections to the broker are not used: the jobs are run here.
async fn run_due(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    if config.backups.is_none() {
        return Err(Fatal::configuration("BACKUP_STORE is not set: there are no scheduled backups").into());
    }
    runtime.shutdown.set_grace(config.grace);
    let connections = BrokerConnections {
        consume: BrokerConnection::open(&config.broker, "arrakis-worker backup"),
        publish: BrokerConnection::open(&config.broker, "arrakis-worker backup"),
    };
    let services = Box::pin(serve::connect(&config, &runtime, &connections)).await?;
    // Without it the local clock is used.
    let _ = tokio::time::timeout(CLOCK_LIMIT, services.probe_discord()).await;
    let summary = Box::pin(backup::run_due(&services, &runtime.shutdown.soft)).await;
    connections.consume.close().await;
    connections.publish.close().await;
    services.database.close();
    let summary = summary.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    tracing::info!(
        completed = summary.completed,
        failed = summary.failed,
        skipped = summary.skipped,
        "the due backups were run"
    );
    if summary.failed > 0 {
        bail!(
            "{} of the due backups failed; they are due again after a pause",
            summary.failed
        );
    }
    Ok(())
}

impl RunOptions {
    async fn run(self, url: Secret, broker: BrokerSettings) -> anyhow::Result<ExitCode> {
        let database = connect(&url).await?;
        let guild = GuildId::new(self.guild).context("the id of the server")?;
        let community = database.route(guild).await?;
        let community = community.with_context(|| format!("the server {guild} has no community"))?;
        let task = self.task.task();
        let id = format!("backup:{task}:request:{}", Uuid::now_v7());
        let request = backup::on_request(id, task);
        let scheduled = backup::request(String::new(), task);
        let mut tx = database.tenant(community).await?;
        for payload in [&request.payload, &scheduled.payload] {
            if tx.jobs().is_pending(request.kind.name(), payload).await? {
                bail!("a {task} of the server {guild} waits or runs already");
            }
        }
        tx.jobs().enqueue(&request.row(OffsetDateTime::now_utc())).await?;
        tx.commit().await?;
        let (connection, _amqp) = topology::connect(&broker).await?;
        let publisher = Publisher::new(connection.clone());
        publish(&publisher, JobOwner::Community(community), &request.id, request.kind).await;
        connection.close().await;
        report(format_args!("enqueued {}", request.id));
        if self.wait {
            return wait(&database, community, &request.id).await;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits until a job has ended.
async fn wait(database: &Database, community: CommunityId, id: &str) -> anyhow::Result<ExitCode> {
    let mut began = Instant::now();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let mut tx = database.tenant(community).await?;
        let job = tx.jobs().get(id).await?;
        tx.commit().await?;
        let Some(job) = job else {
            bail!("the job {id} was deleted")
        };
        match job.state {
            JobState::Succeeded => {
                report("completed; the worker's log has the details");
                return Ok(ExitCode::SUCCESS);
            }
            JobState::Failed => {
                let error = job.error.unwrap_or_default();
                report(format_args!("failed: {}", printable(&error)));
                return Ok(ExitCode::FAILURE);
            }
            JobState::Running => began = Instant::now(),
            JobState::Queued | JobState::Waiting if began.elapsed() > WAIT_LIMIT => {
                bail!("no worker has run the job for {} minutes", WAIT_LIMIT.as_secs() / 60)
            }
            JobState::Queued | JobState::Waiting => {}
        }
    }
}

async fn status(url: Secret, json: bool) -> anyhow::Result<ExitCode> {
    let database = connect(&url).await?;
    let (mut is_failing, now) = (false, OffsetDateTime::now_utc());
    for (_, community) in database.routes().await? {
        let mut tx = database.tenant(community).await?;
        let Some(record) = tx.communities().get().await? else {
            continue;
        };
        let runs = tx.backup_runs().all().await?;
        let absence = tx.bot_presence().absence().await?;
        tx.commit().await?;
        // A failure of a task that the plan has no more, or that pauses, is history.
        let is_run = |run: &BackupRun| {
            let mut tasks = Task::ALL.into_iter().filter(|task| task.as_str() == run.task);
            tasks.any(|task| backup::is_scheduled(task, record.plan, absence.as_ref(), now))
        };
        is_failing |= runs.iter().any(|run| run.consecutive_failures > 0 && is_run(run));
        if !json {
            print(format_args!(
                "{}  {}  {}",
                record.guild,
                record.plan,
                printable(&record.name)
            ))?;
            if let Some(absence) = &absence {
                print(format_args!("    {}", without_bot(absence)))?;
            }
        }
        for task in Task::ALL {
            let run = runs.iter().find(|run| run.task == task.as_str());
            if json {
                print_json(&as_json(&record, absence.as_ref(), task, run))?;
            } else {
                print(format_args!("    {task}: {}", summary(run)))?;
            }
        }
    }
    Ok(if is_failing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn without_bot(absence: &BotAbsence) -> String {
    let since = timestamp(absence.since);
    format!("the bot is not in the server since {since}: backups and snapshots pause until it is back")
}

fn as_json(record: &Community, absence: Option<&BotAbsence>, task: Task, run: Option<&BackupRun>) -> Value {
    json!({
        "guild": record.guild.to_string(), "community": record.id, "plan": record.plan.as_str(), "task": task,
        "bot_absent_since": absence.map(|absence| timestamp(absence.since)),
        "completed_slot": run.and_then(|run| run.completed_slot).map(timestamp),
        "last_success_at": run.and_then(|run| run.last_success_at).map(timestamp),
        "last_attempt_at": run.map(|run| timestamp(run.last_attempt_at)),
        "consecutive_failures": run.map_or(0, |run| run.consecutive_failures),
        "last_error": run.and_then(|run| run.last_error.as_deref()),
    })
}

fn summary(run: Option<&BackupRun>) -> String {
    let Some(run) = run else {
        return "never run".to_owned();
    };
    let completed = match (run.completed_slot, run.last_success_at) {
        (Some(slot), Some(at)) => format!("completed at {} for {}", timestamp(at), timestamp(slot)),
        _ => "never completed".to_owned(),
    };
    if run.consecutive_failures == 0 {
        return completed;
    }
    let error = printable(run.last_error.as_deref().unwrap_or_default());
    let (failures, at) = (run.consecutive_failures, timestamp(run.last_attempt_at));
    format!("{completed}; {failures} failed runs since, the last one at {at}: {error}")
}
