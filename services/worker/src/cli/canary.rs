//! `arrakis-worker canary status|set|drive`: the share of servers that the canary workers serve (`docs/safe-change.md`).

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arrakis_config::{Reader, Secret, variables};
use arrakis_db::{Actor, Admin, CanaryShare, DatabaseOptions, DbError, GlobalTx, NewAuditEntry};
use arrakis_runtime::fail_point;
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
/// Reason of the shares that `drive` sets; by it `drive` sees that somebody else has changed the share.
const DRIVEN: &str = "canary drive";
/// A canary worker that has not reported for this long does not report: the time after which the stable workers hand nothing over, and one report.
const UNREPORTED_LIMIT: Duration = Duration::from_secs(5);
/// Longest window of the queries. A shorter step has a shorter one, so that a check does not judge the step before.
const MAX_WINDOW: u64 = 120;
/// Fail point: a step ends with its second check.
const GUARD: &str = "worker.guard.canary_hold";
/// Shortest step: in less, Prometheus has not scraped a worker twice.
const MIN_HOLD: u64 = 30;
/// Longest reason of a share, in characters.
const MAX_REASON: usize = 500;

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
    /// The exit code is 0 when every step held and the canary has handled messages, and 1 when the share was set back to 0, or somebody else has
    /// changed it.
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
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(MIN_HOLD..=86_400))]
    hold_seconds: u64,
    /// Interval of the checks, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    check_seconds: u64,
    /// Largest share of the canary's messages that are retried or become dead letters, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = limit)]
    max_failed: f64,
    /// Largest share of the canary's interactions that expire, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = limit)]
    max_expired: f64,
    /// Largest share of the canary's messages that the stable workers take because no canary worker can, and of those that they do not hand
    /// over, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = limit)]
    max_taken_back: f64,
    /// Largest number of messages that wait for the canary
    #[arg(long, value_name = "NUMBER", default_value_t = 200.0, value_parser = limit)]
    max_backlog: f64,
    /// Longest time to defer at the canary, in seconds (99th percentile)
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = limit)]
    max_defer: f64,
    /// Who you are, for the audit log
    #[arg(long, value_name = "NAME")]
    by: String,
}

/// Reads a limit. A number that is none would never be exceeded.
fn limit(text: &str) -> Result<f64, &'static str> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or("expected a number of at least 0")
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
    audit_and_commit(tx, percent, reason, by).await
}

/// Sets the share, unless it was changed after it was read. Returns whether it was set.
async fn replace(admin: &Admin, read: &CanaryShare, percent: u8, by: &str) -> anyhow::Result<bool> {
    let mut tx = admin.database().global().await?;
    if !tx.replace_canary_share(read, percent, by, DRIVEN).await? {
        return Ok(false);
    }
    audit_and_commit(tx, percent, DRIVEN, by).await?;
    Ok(true)
}

async fn audit_and_commit(mut tx: GlobalTx, percent: u8, reason: &str, by: &str) -> anyhow::Result<()> {
    let entry = NewAuditEntry {
        actor: Actor::Operator(by.to_owned()),
        action: "canary.share",
        subject: "canary",
        reason: Some(reason),
        detail: json!({"percent": percent}),
    };
    tx.audit(&entry).await?;
    Ok(tx.commit().await?)
}

/// A condition on the metrics under which the share may stay.
struct Threshold {
    what: &'static str,
    query: &'static str,
    limit: f64,
}

/// The canary's consumers are known by their queues, and its processes by `arrakis_worker_group_info`. `$window` is that of the step.
const FAILED: &str = r#"100 * sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*",verdict=~"retry|dead_letter"}[$window])) / clamp_min(sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*"}[$window])), 1)"#;
const EXPIRED: &str = r#"100 * sum(increase(arrakis_worker_interactions_expired_total[$window]) * on (job, instance) group_left () arrakis_worker_group_info{group="canary"}) / clamp_min(sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.]interactions.*"}[$window])), 1)"#;
const PANICS: &str = r#"sum(increase(arrakis_worker_panics_total{queue=~"arrakis[.]canary[.].*"}[$window]))"#;
const BACKLOG: &str = r#"max(arrakis_worker_queue_depth{queue=~"arrakis[.]canary[.].*"})"#;
const DEFER: &str = r#"histogram_quantile(0.99, sum by (le) (rate(arrakis_worker_defer_seconds_bucket[$window]) * on (job, instance) group_left () arrakis_worker_group_info{group="canary"}))"#;
/// Messages of the copies that the stable workers took, because no canary worker could.
const TAKEN_BACK: &str = r#"100 * sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*"}[$window]) * on (job, instance) group_left () arrakis_worker_group_info{group="stable"}) / clamp_min(sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*"}[$window])), 1)"#;
/// Messages of the canary's servers that stable workers could not hand over, or did not because no canary worker reports.
const KEPT: &str = r#"100 * sum(increase(arrakis_worker_handed_over_total{outcome=~"kept|unserved"}[$window])) / clamp_min(sum(increase(arrakis_worker_handed_over_total[$window])), 1)"#;
/// Messages that canary workers have handled.
const HANDLED: &str = r#"sum(increase(arrakis_worker_messages_total{queue=~"arrakis[.]canary[.].*"}[$window]) * on (job, instance) group_left () arrakis_worker_group_info{group="canary"})"#;
/// Messages of the canary's servers that reached the stable workers.
const OF_SHARE: &str = "sum(increase(arrakis_worker_handed_over_total[$window]))";
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

/// How `drive` ends.
enum End {
    /// Every step held.
    Held,
    /// The share goes back to 0, for this reason.
    Back(String),
    /// Somebody else has changed the share, as this text states. It stays as it is.
    Changed(String),
}

impl Drive {
    async fn run(self, admin: &Admin) -> anyhow::Result<ExitCode> {
        if !self.steps.is_sorted() {
            bail!("--steps must rise, as in 10,50,100");
        }
        if self.prometheus.cannot_be_a_base() {
            bail!("--prometheus must be a base URL, as https://prometheus.internal");
        }
        let client = reqwest::Client::builder().timeout(QUERY_LIMIT).build()?;
        let mut terminated = signal(SignalKind::terminate())?;
        // The terminal was closed: no operator follows the run.
        let mut hung_up = signal(SignalKind::hangup())?;
        let end = tokio::select! {
            end = self.climb(admin, &client) => end?,
            _ = tokio::signal::ctrl_c() => End::Back("interrupted".to_owned()),
            _ = terminated.recv() => End::Back("terminated".to_owned()),
            _ = hung_up.recv() => End::Back("the terminal was closed".to_owned()),
        };
        match end {
            End::Held => {
                report("every step held; deploy the build to the stable workers, then: arrakis-worker canary set 0");
                Ok(ExitCode::SUCCESS)
            }
            End::Back(reason) => {
                self.roll_back(admin, &reason).await?;
                report(format_args!("the share is 0 again: {reason}"));
                Ok(ExitCode::FAILURE)
            }
            End::Changed(how) => {
                report(format_args!(
                    "stopped, and the share stays as it is: it was changed meanwhile, to {how}"
                ));
                Ok(ExitCode::FAILURE)
            }
        }
    }

    /// Raises the share until every step held, a threshold is crossed, or somebody else has changed it.
    async fn climb(&self, admin: &Admin, client: &reqwest::Client) -> anyhow::Result<End> {
        let (mut before, mut has_tested) = (None, false);
        for percent in &self.steps {
            let share = match admin.database().canary_share().await {
                Ok(share) => share,
                // Nothing was changed yet.
                Err(error) if before.is_none() => return Err(error.into()),
                Err(error) => return Ok(End::Back(format!("{percent} % cannot be set: {error}"))),
            };
            if let Some(how) = before.and_then(|held| self.change(held, &share)) {
                return Ok(End::Changed(how));
            }
            match replace(admin, &share, *percent, &self.by).await {
                Ok(true) => {}
                Ok(false) => {
                    return Ok(End::Changed(
                        "another share while this run was setting its own".to_owned(),
                    ));
                }
                // Nothing was changed yet, and the way back would be refused as well.
                Err(error) if before.is_none() && is_refused(&error) => return Err(error),
                Err(error) => return Ok(End::Back(format!("{percent} % cannot be set: {error:#}"))),
            }
            before = Some(*percent);
            report(format_args!("{percent} % for {} s", self.hold_seconds));
            match self.hold(*percent, admin, client).await {
                Ok(tested) => has_tested |= tested,
                Err(end) => return Ok(end),
            }
        }
        Ok(if has_tested {
            End::Held
        } else {
            End::Back("the canary has handled no message in any step, so nothing was tested".to_owned())
        })
    }

    /// How long each share is held.
    fn hold_time(&self) -> Duration {
        if fail_point::skips(GUARD) {
            return Duration::from_secs(self.check_seconds.saturating_mul(2));
        }
        Duration::from_secs(self.hold_seconds)
    }

    /// Holds a share, and checks the metrics meanwhile. Returns whether the canary has handled messages in this step.
    async fn hold(&self, percent: u8, admin: &Admin, client: &reqwest::Client) -> Result<bool, End> {
        let until = Instant::now() + self.hold_time();
        let mut blind = 0;
        while Instant::now() < until {
            let next = Instant::now() + Duration::from_secs(self.check_seconds);
            tokio::time::sleep_until(next.min(until)).await;
            self.check_share(percent, admin).await?;
            match self.crossed(client).await {
                Ok(None) => blind = 0,
                Ok(Some(reason)) => return Err(End::Back(format!("at {percent} %: {reason}"))),
                Err(error) => {
                    blind += 1;
                    report(format_args!(
                        "the metrics cannot be read ({blind} of {MAX_BLIND_CHECKS}): {error:#}"
                    ));
                    if blind == MAX_BLIND_CHECKS {
                        return Err(End::Back(format!("at {percent} %: the metrics cannot be read")));
                    }
                }
            }
        }
        self.has_tested(percent, client).await
    }

    /// Whether the canary has handled messages in the step that ends now. Without traffic every threshold holds, which proves nothing about the
    /// build; without a message at the canary while the stable workers had some of its servers, it serves nobody.
    async fn has_tested(&self, percent: u8, client: &reqwest::Client) -> Result<bool, End> {
        let unread = |error: anyhow::Error| End::Back(format!("at {percent} %, at the end of the step: {error:#}"));
        let handled = self.query(client, HANDLED, self.hold_seconds).await.map_err(unread)?;
        if handled.is_some_and(|handled| handled > 0.0) {
            return Ok(true);
        }
        let of_share = self.query(client, OF_SHARE, self.hold_seconds).await.map_err(unread)?;
        if let Some(number) = of_share.filter(|number| *number > 0.0) {
            return Err(End::Back(format!(
                "at {percent} %: the canary has handled none of the {number:.0} messages of its servers"
            )));
        }
        report(format_args!(
            "warning: at {percent} % there was no message of the canary's servers, so this step has tested nothing"
        ));
        Ok(false)
    }

    /// Ends the step when somebody else has changed the share, and when no canary worker reports. While PostgreSQL cannot be read the share counts
    /// as unchanged, and the thresholds decide.
    async fn check_share(&self, percent: u8, admin: &Admin) -> Result<(), End> {
        let Some(mut share) = read_share(admin).await else {
            return Ok(());
        };
        if !share.is_served {
            tokio::time::sleep(UNREPORTED_LIMIT).await;
            let Some(again) = read_share(admin).await else {
                return Ok(());
            };
            share = again;
        }
        match self.change(percent, &share) {
            Some(how) => Err(End::Changed(how)),
            None if share.is_served => Ok(()),
            None => Err(End::Back(format!(
                "at {percent} %: no canary worker reports, so nothing is handed over"
            ))),
        }
    }

    /// What the share is, if it is not the one that this run has set: an operator who has set it to 0 has the last word.
    fn change(&self, held: u8, share: &CanaryShare) -> Option<String> {
        if share.percent == held && share.changed_by == self.by && share.reason == DRIVEN {
            return None;
        }
        let (by, reason) = (printable(&share.changed_by), printable(&share.reason));
        Some(format!("{} % by {by}: {reason}", share.percent))
    }

    /// The first threshold that is crossed.
    async fn crossed(&self, client: &reqwest::Client) -> anyhow::Result<Option<String>> {
        let window = self.hold_seconds.min(MAX_WINDOW);
        let workers = self.query(client, WORKERS, window).await?.unwrap_or_default();
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
                what: "panics",
                query: PANICS,
                limit: 0.0,
            },
            Threshold {
                what: "messages that the canary left to the stable workers, percent",
                query: TAKEN_BACK,
                limit: self.max_taken_back,
            },
            Threshold {
                what: "messages that were not handed over, percent",
                query: KEPT,
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
            let value = self.query(client, query, window).await?.unwrap_or_default();
            if value > limit {
                return Ok(Some(format!("{what}: {value:.2}, above {limit}")));
            }
        }
        Ok(None)
    }

    /// The value of a query over a window in seconds; `None` for an empty result and for a value that is no number.
    async fn query(&self, client: &reqwest::Client, query: &str, window: u64) -> anyhow::Result<Option<f64>> {
        let query = query.replace("$window", &format!("{window}s"));
        let mut url = self.prometheus.clone();
        let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut().clear().append_pair("query", &query);
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
        let reason: String = reason.chars().take(MAX_REASON).collect();
        loop {
            match set(admin, 0, &reason, &self.by).await {
                Err(error) if Instant::now() < until => {
                    report(format_args!("the share is not 0 yet; retrying: {error:#}"));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                done => return done.context("the share is NOT 0; run: arrakis-worker canary set 0"),
            }
        }
    }
}

/// The share, unless PostgreSQL is unavailable.
async fn read_share(admin: &Admin) -> Option<CanaryShare> {
    match admin.database().canary_share().await {
        Ok(share) => Some(share),
        Err(error) => {
            report(format_args!("the share cannot be read: {error}"));
            None
        }
    }
}

/// Whether PostgreSQL has refused a change for good.
fn is_refused(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<DbError>();
    error.is_some_and(|error| !error.is_transient())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_a_number_that_can_be_exceeded() {
        assert_eq!((limit("0"), limit("1.5")), (Ok(0.0), Ok(1.5)));
        for text in ["NaN", "inf", "-1", "1%", ""] {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
