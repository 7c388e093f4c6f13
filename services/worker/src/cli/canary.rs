//! `arrakis-worker canary status|set|drive`: the share of servers that the canary workers serve (`docs/safe-change.md`).

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arrakis_config::{Reader, Secret, variables};
use arrakis_db::{Actor, Admin, DatabaseOptions, NewAuditEntry};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use url::Url;

use super::output::{print, print_json, printable, report};
use super::with_config;

/// Time limit of one query to Prometheus.
const QUERY_LIMIT: Duration = Duration::from_secs(10);
/// Failed checks in a row after which the share goes back to 0: without metrics nobody would see a bad build.
const MAX_BLIND_CHECKS: u32 = 3;
/// How long the way back is tried while PostgreSQL is unavailable.
const ROLL_BACK_LIMIT: Duration = Duration::from_secs(120);

/// The subcommands of `canary`.
#[derive(Debug, Subcommand)]
pub(super) enum CanaryTask {
    /// Prints the share, who set it and why, and whether a canary worker serves
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sets the share; 0 is the way back, which every worker follows within a second
    Set {
        /// Percent of the servers
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
        /// Why
        #[arg(long, value_name = "WHY")]
        reason: String,
        /// Who you are, for the audit log
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Raises the share step by step, and sets it to 0 as soon as a threshold is crossed
    ///
    /// The exit code is 0 when every step held, and 1 when the share was set back to 0.
    Drive(Drive),
}

/// What `drive` does, and when it stops.
#[derive(Debug, Args)]
pub(super) struct Drive {
    /// Base URL of the Prometheus that scrapes all workers
    #[arg(long, value_name = "URL")]
    prometheus: Url,
    /// The shares in percent, rising
    #[arg(long, value_delimiter = ',', default_values_t = [10_u8, 50, 100], value_parser = clap::value_parser!(u8).range(1..=100))]
    steps: Vec<u8>,
    /// How long each share is held, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    hold_seconds: u64,
    /// Interval of the checks, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    check_seconds: u64,
    /// Largest share of the canary's messages that are retried or become dead letters, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    max_failed: f64,
    /// Largest share of the canary's interactions that expire, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    max_expired: f64,
    /// Largest share of the canary's messages that the stable workers take because no canary worker can, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    max_taken_back: f64,
    /// Largest number of messages that wait for the canary
    #[arg(long, value_name = "NUMBER", default_value_t = 200.0)]
    max_backlog: f64,
    /// Longest time to defer at the canary, in seconds (99th percentile)
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    max_defer: f64,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

fn admin_url(reader: &mut Reader) -> Option<Secret> {
    reader.secret_url(&variables::DATABASE_ADMIN_URL, &["postgres", "postgresql"])
}

async fn connect(url: &Secret) -> anyhow::Result<Admin> {
    let options = DatabaseOptions {
        application_name: "arrakis-worker canary",
        max_connections: 1,
        ..DatabaseOptions::default()
    };
    Ok(Admin::connect(url, options).await?)
}

impl CanaryTask {
    pub(super) fn run(self) -> ExitCode {
        with_config(admin_url, move |url| async move {
            let admin = connect(&url).await?;
            match self {
                Self::Status { json } => status(&admin, json).await,
                Self::Set { percent, reason, by } => {
                    set(&admin, percent, &reason, &by).await?;
                    report(format_args!("the canary serves {percent} % of the servers"));
                    Ok(ExitCode::SUCCESS)
                }
                Self::Drive(drive) => drive.run(&admin).await,
            }
        })
    }
}

async fn status(admin: &Admin, json: bool) -> anyhow::Result<ExitCode> {
    let share = admin.database().canary_share().await?;
    if json {
        print_json(&json!({
            "percent": share.percent, "changed_by": share.changed_by, "reason": share.reason,
            "changed_at": share.changed_at.unix_timestamp(), "is_served": share.is_served,
        }))?;
    } else {
        let served = if share.is_served {
            "a canary worker serves"
        } else {
            "no canary worker serves"
        };
        print(format_args!(
            "{} %, set by {} at {}: {}; {served}",
            share.percent,
            printable(&share.changed_by),
            share.changed_at,
            printable(&share.reason)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Sets the share, with its audit entry in the same transaction.
async fn set(admin: &Admin, percent: u8, reason: &str, by: &str) -> anyhow::Result<()> {
    let mut tx = admin.database().global().await?;
    tx.set_canary_share(percent, by, reason).await?;
    let entry = NewAuditEntry {
        actor: Actor::Operator(by.to_owned()),
        action: "canary.share",
        subject: "canary",
        reason: Some(reason),
        detail: json!({"percent": percent}),
    };
    tx.audit(&entry).await?;
    tx.commit().await?;
    Ok(())
}

/// A condition on the metrics under which the share may stay.
struct Threshold {
    what: &'static str,
    query: &'static str,
    limit: f64,
}

/// The canary's consumers are known by their queues, and its processes by `arrakis_worker_group_info`.
const FAILED: &str = r#"100 * sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*",verdict=~"retry|dead_letter"}[2m])) / clamp_min(sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*"}[2m])), 1)"#;
const EXPIRED: &str = r#"100 * sum(increase(arrakis_worker_interactions_expired_total[2m]) * on (job, instance) group_left () arrakis_worker_group_info{group="canary"}) / clamp_min(sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.]interactions.*"}[2m])), 1)"#;
const PANICS: &str = r#"sum(increase(arrakis_worker_panics_total{queue=~"arrakis[.]canary[.].*"}[2m]))"#;
const BACKLOG: &str = r#"max(arrakis_worker_queue_depth{queue=~"arrakis[.]canary[.].*"})"#;
const DEFER: &str = r#"histogram_quantile(0.99, sum by (le) (rate(arrakis_worker_defer_seconds_bucket[2m]) * on (job, instance) group_left () arrakis_worker_group_info{group="canary"}))"#;
/// Messages of the copies that the stable workers took, because no canary worker could.
const TAKEN_BACK: &str = r#"100 * sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*"}[2m]) * on (job, instance) group_left () arrakis_worker_group_info{group="stable"}) / clamp_min(sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*"}[2m])), 1)"#;
/// Number of canary workers that Prometheus scrapes.
const WORKERS: &str = r#"sum(arrakis_worker_group_info{group="canary"})"#;

#[derive(Deserialize)]
struct QueryResponse {
    data: QueryData,
}

#[derive(Deserialize)]
struct QueryData {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    value: (f64, String),
}

impl Drive {
    async fn run(self, admin: &Admin) -> anyhow::Result<ExitCode> {
        if !self.steps.is_sorted() {
            bail!("--steps must rise, as in 10,50,100");
        }
        let client = reqwest::Client::builder().timeout(QUERY_LIMIT).build()?;
        let mut terminated = signal(SignalKind::terminate())?;
        let stopped = tokio::select! {
            crossed = self.climb(admin, &client) => crossed?,
            _ = tokio::signal::ctrl_c() => Some("interrupted".to_owned()),
            _ = terminated.recv() => Some("terminated".to_owned()),
        };
        let Some(reason) = stopped else {
            report("every step held; deploy the build to the stable workers, then: arrakis-worker canary set 0");
            return Ok(ExitCode::SUCCESS);
        };
        self.roll_back(admin, &reason).await?;
        report(format_args!("the share is 0 again: {reason}"));
        Ok(ExitCode::FAILURE)
    }

    /// Raises the share; returns why it must go back, or `None` when every step held.
    async fn climb(&self, admin: &Admin, client: &reqwest::Client) -> anyhow::Result<Option<String>> {
        for percent in &self.steps {
            set(admin, *percent, "canary drive", &self.by).await?;
            report(format_args!("{percent} % for {} s", self.hold_seconds));
            let until = Instant::now() + Duration::from_secs(self.hold_seconds);
            let mut blind = 0;
            while Instant::now() < until {
                let next = Instant::now() + Duration::from_secs(self.check_seconds);
                tokio::time::sleep_until(next.min(until)).await;
                match self.crossed(client).await {
                    Ok(None) => blind = 0,
                    Ok(Some(reason)) => return Ok(Some(format!("at {percent} %: {reason}"))),
                    Err(error) => {
                        blind += 1;
                        report(format_args!(
                            "the metrics cannot be read ({blind} of {MAX_BLIND_CHECKS}): {error:#}"
                        ));
                        if blind == MAX_BLIND_CHECKS {
                            return Ok(Some(format!("at {percent} %: the metrics cannot be read")));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// The first threshold that is crossed.
    async fn crossed(&self, client: &reqwest::Client) -> anyhow::Result<Option<String>> {
        let workers = self.query(client, WORKERS).await?.unwrap_or_default();
        if workers < 1.0 {
            return Ok(Some("Prometheus scrapes no canary worker".to_owned()));
        }
        let thresholds = [
            Threshold {
                what: "failed messages, percent",
                query: FAILED,
                limit: self.max_failed,
            },
            Threshold {
                what: "expired interactions, percent",
                query: EXPIRED,
                limit: self.max_expired,
            },
            Threshold {
                what: "panics in 2 minutes",
                query: PANICS,
                limit: 0.0,
            },
            Threshold {
                what: "messages that the canary left to the stable workers, percent",
                query: TAKEN_BACK,
                limit: self.max_taken_back,
            },
            Threshold {
                what: "messages that wait for the canary",
                query: BACKLOG,
                limit: self.max_backlog,
            },
            Threshold {
                what: "seconds to defer (99th percentile)",
                query: DEFER,
                limit: self.max_defer,
            },
        ];
        for Threshold { what, query, limit } in thresholds {
            // No value: there was no traffic.
            let value = self.query(client, query).await?.unwrap_or_default();
            if value > limit {
                return Ok(Some(format!("{what}: {value:.2}, above {limit}")));
            }
        }
        Ok(None)
    }

    /// The value of a query; `None` for an empty result and for a value that is no number.
    async fn query(&self, client: &reqwest::Client, query: &str) -> anyhow::Result<Option<f64>> {
        let mut url = self.prometheus.clone();
        let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut().clear().append_pair("query", query);
        let response = client.get(url).send().await.context("Prometheus does not respond")?;
        let response = response.error_for_status().context("Prometheus refuses the query")?;
        let read: QueryResponse = response
            .json()
            .await
            .context("the response of Prometheus cannot be read")?;
        let Some(sample) = read.data.result.first() else {
            return Ok(None);
        };
        let value: f64 = sample.value.1.parse().context("a value of Prometheus")?;
        Ok((!value.is_nan()).then_some(value))
    }

    /// Sets the share to 0, again until it succeeds.
    async fn roll_back(&self, admin: &Admin, reason: &str) -> anyhow::Result<()> {
        let until = Instant::now() + ROLL_BACK_LIMIT;
        loop {
            match set(admin, 0, reason, &self.by).await {
                Err(error) if Instant::now() < until => {
                    report(format_args!("the share is not 0 yet; retrying: {error:#}"));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                done => return done.context("the share is NOT 0; run: arrakis-worker canary set 0"),
            }
        }
    }
}
