//! `GET /status`: for an operator the queues, workers, shards, jobs and syncs of the platform; for an admin the jobs and the sync of one community.

use arrakis_broker::{BrokerConnection, ConnectionState, queue_counts};
use arrakis_contracts::{names, redact};
use arrakis_db::{DbError, JobRow, JobState, SyncHealth};
use axum::extract::State;
use axum::response::Response;
use futures_util::future::join_all;
use http::HeaderMap;
use time::{Duration, OffsetDateTime};

use super::html::{Cell, Html};
use super::refusal::Refusal;
use super::served;
use super::session::Viewer;
use crate::services::{ApiState, Services};

/// Failed jobs of this time are shown.
const FAILED_FOR: Duration = Duration::days(7);
/// Shards that are looked at in one step, and most shards that are shown.
const SHARDS_AT_ONCE: u32 = 16;
const MAX_SHARDS: u32 = 256;
/// Longest error of a job, in characters.
const MAX_ERROR: usize = 200;

/// The page of the viewer.
pub(super) async fn show(State(services): State<ApiState>, headers: HeaderMap) -> Result<Response, Refusal> {
    let viewer = Viewer::of(&services, &headers).await?;
    let now = OffsetDateTime::now_utc();
    let html = if viewer.is_operator {
        platform(&services, &viewer, now).await?
    } else {
        community(&services, &viewer, now).await?
    };
    Ok(served(html.end()))
}

/// The head of each page: its title, links, and the button that signs out.
pub(super) fn head(viewer: &Viewer, title: &str) -> Html {
    let mut html = Html::page(title);
    html.markup("<header><h1>")
        .text(title)
        .markup("</h1><nav><a href=\"/status\">Status</a>");
    if viewer.is_operator {
        html.markup("<a href=\"/status/dead-letters\">Dead letters</a>");
    }
    html.markup("<form class=\"inline\" method=\"post\" action=\"/status/sign-out\"><input type=\"hidden\" name=\"form_token\" value=\"")
        .text(&viewer.form_token)
        .markup("\"><button>Sign out</button></form></nav></header>");
    html
}

async fn platform(services: &Services, viewer: &Viewer, now: OffsetDateTime) -> Result<Html, Refusal> {
    let connection = services.publisher.connection();
    let mut html = head(viewer, "Status of the platform");
    html.markup("<main><p>At ").text(minute(now)).markup(" UTC</p>");
    match connection.state() {
        ConnectionState::Connected => broker(&mut html, services, connection).await,
        state => {
            let reason = match state {
                ConnectionState::Blocked { reason } => format!("it blocks publishers: {reason}"),
                ConnectionState::Connecting { reason } => format!("not connected: {reason}"),
                ConnectionState::Connected | ConnectionState::Closed => "closed".to_owned(),
            };
            html.markup("<section><h2>Broker</h2><p class=\"bad\">")
                .text(reason)
                .markup("</p></section>");
        }
    }
    syncs(&mut html, services, now).await?;
    let jobs = services.admin.overview_jobs(now - FAILED_FOR).await?;
    let rows: Vec<_> = jobs
        .iter()
        .map(|listed| {
            let [id, kind, state, progress, attempts, since, error] = job_cells(&listed.job, now);
            let community = Cell::plain(listed.community.as_deref().unwrap_or("the platform"));
            [community, id, kind, state, progress, attempts, since, error]
        })
        .collect();
    let columns = [
        "Community",
        "Job",
        "Kind",
        "State",
        "Progress",
        "Attempts",
        "Since",
        "Last error",
    ];
    html.table("Jobs", columns, &rows, "No job waits, runs, or has failed in 7 days.");
    html.markup("</main>");
    Ok(html)
}

/// Queues, workers and shards, as the broker counts them.
async fn broker(html: &mut Html, services: &Services, connection: &BrokerConnection) {
    let queues: Vec<&str> = services
        .topology
        .queues
        .iter()
        .map(|queue| queue.name.as_str())
        .collect();
    let counts = join_all(queues.iter().map(|queue| queue_counts(connection, queue))).await;
    let interactions = services.topology.interaction_queues();
    let workers = queues
        .iter()
        .zip(&counts)
        .filter(|(queue, _)| interactions.contains(*queue));
    let workers: Option<Vec<u32>> = workers
        .map(|(_, counts)| counts.map(|counts| counts.consumers))
        .collect();
    let row = match workers.map(|workers| workers.into_iter().min().unwrap_or_default()) {
        Some(0) => [Cell::number(0), Cell::state(false, "no worker consumes")],
        Some(workers) => [Cell::number(workers), Cell::state(true, "up")],
        None => [
            Cell::number("–"),
            Cell::state(false, "unknown: a queue is missing, or the broker does not respond"),
        ],
    };
    html.table("Workers", ["Consume interactions", "State"], &[row], "");
    let rows: Vec<_> = queues
        .iter()
        .zip(&counts)
        .map(|(queue, counts)| match counts {
            Some(counts) => {
                // These have no consumer; their messages need an operator.
                let kept = [names::DEAD_LETTERS, names::UNROUTED].contains(queue);
                let (is_good, state) = match (kept, counts.messages) {
                    (true, 0) => (true, "empty"),
                    (true, _) => (false, "needs an operator"),
                    (false, messages)
                        if messages > 0 && counts.consumers == 0 && !queue.starts_with("arrakis.retry.") =>
                    {
                        (false, "nothing consumes it")
                    }
                    (false, _) => (true, "up"),
                };
                [
                    Cell::plain(*queue),
                    Cell::number(counts.messages),
                    Cell::number(counts.consumers),
                    Cell::state(is_good, state),
                ]
            }
            None => [
                Cell::plain(*queue),
                Cell::number("–"),
                Cell::number("–"),
                Cell::state(false, "missing, or no response"),
            ],
        })
        .collect();
    html.table(
        "Queues",
        ["Queue", "Ready messages", "Consumers", "State"],
        &rows,
        "There are none.",
    );
    let rows = shards(connection).await;
    let none = if counts.iter().any(Option::is_some) {
        "No shard has a queue yet."
    } else {
        "Unknown: the broker does not respond."
    };
    html.table("Shards", ["Shard", "Processes", "State"], &rows, none);
}

/// Each shard has a queue, whose first consumer holds the shard; further ones are standbys.
async fn shards(connection: &BrokerConnection) -> Vec<[Cell; 3]> {
    let mut rows = Vec::new();
    for first in (0..MAX_SHARDS).step_by(SHARDS_AT_ONCE as usize) {
        let queues: Vec<String> = (first..first + SHARDS_AT_ONCE).map(names::shard).collect();
        let counts = join_all(queues.iter().map(|queue| queue_counts(connection, queue))).await;
        for (shard, counts) in (first..).zip(counts) {
            let Some(counts) = counts else {
                return rows;
            };
            let (is_held, state) = match counts.consumers {
                0 => (false, "no ingestor holds it".to_owned()),
                1 => (true, "held".to_owned()),
                more => (true, format!("held, {} standby", more - 1)),
            };
            let state = Cell::state(is_held, state);
            rows.push([Cell::number(shard), Cell::number(counts.consumers), state]);
        }
    }
    rows
}

/// The sync of each token profile.
async fn syncs(html: &mut Html, services: &Services, now: OffsetDateTime) -> Result<(), DbError> {
    let mut tx = services.database.global().await?;
    let profiles = tx.eligibility().token_profiles().await?;
    let mut rows = Vec::new();
    for profile in profiles {
        let health = tx.eligibility().sync_health(&profile.id).await?;
        rows.push(sync_cells(services, &profile.name, &health, now));
    }
    tx.commit().await?;
    html.table("Eligibility syncs", SYNC_COLUMNS, &rows, "There is no token profile.");
    Ok(())
}

const SYNC_COLUMNS: [&str; 4] = ["Token", "Age of the ranking", "Failures since", "Last error"];

fn sync_cells(services: &Services, name: &str, health: &SyncHealth, now: OffsetDateTime) -> [Cell; 4] {
    let age = match health.last_success_at {
        Some(at) => Cell::state(now - at < services.stale_after, format!("{} ago", duration(now - at))),
        None => Cell::state(false, "never read"),
    };
    let error = health.last_error.as_deref().filter(|_| health.consecutive_failures > 0);
    [
        Cell::plain(name),
        age,
        Cell::number(health.consecutive_failures),
        Cell::plain(error_text(error)),
    ]
}

async fn community(services: &Services, viewer: &Viewer, now: OffsetDateTime) -> Result<Html, Refusal> {
    let mut tx = services.database.tenant(viewer.community).await?;
    let record = tx.communities().get().await?.ok_or_else(Refusal::signed_out)?;
    let health = tx.eligibility().sync_health(&record.token_profile).await?;
    let jobs = tx.overview_jobs(now - FAILED_FOR).await?;
    tx.commit().await?;
    let mut html = head(viewer, &record.name);
    html.markup("<main><p>At ").text(minute(now)).markup(" UTC</p>");
    if let Some(frozen) = &record.frozen {
        html.markup("<p class=\"bad\">Frozen: ")
            .text(&frozen.reason)
            .markup("</p>");
    }
    let sync = [sync_cells(services, record.token_profile.as_str(), &health, now)];
    html.table("Eligibility sync", SYNC_COLUMNS, &sync, "");
    let rows: Vec<_> = jobs.iter().map(|job| job_cells(job, now)).collect();
    let columns = ["Job", "Kind", "State", "Progress", "Attempts", "Since", "Last error"];
    html.table("Jobs", columns, &rows, "No job waits, runs, or has failed in 7 days.");
    html.markup("</main>");
    Ok(html)
}

/// Id, kind, state, progress, attempts, since when, and error of a job.
fn job_cells(job: &JobRow, now: OffsetDateTime) -> [Cell; 7] {
    let progress = match job.progress_total {
        Some(total) => format!("{} of {total}", job.progress_done),
        None if job.progress_done > 0 => job.progress_done.to_string(),
        None => String::new(),
    };
    let since = match job.state {
        JobState::Running => job.started_at,
        JobState::Failed | JobState::Succeeded => job.finished_at,
        JobState::Queued | JobState::Waiting => Some(job.due_at),
    };
    let since = match since {
        Some(at) if at > now => format!("due in {}", duration(at - now)),
        Some(at) => format!("{} ago", duration(now - at)),
        None => String::new(),
    };
    [
        Cell::plain(job.id.as_str()),
        Cell::plain(job.kind.as_str()),
        Cell::state(job.state != JobState::Failed, job.state.as_str()),
        Cell::plain(progress),
        Cell::number(job.attempts),
        Cell::plain(since),
        Cell::plain(error_text(job.error.as_deref())),
    ]
}

/// An error without tokens: it may quote a URL or a body.
fn error_text(error: Option<&str>) -> String {
    shortened(&redact::text(error.unwrap_or_default()))
}

/// A text of at most [`MAX_ERROR`] characters.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_ERROR) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// To the minute.
pub(super) fn minute(at: OffsetDateTime) -> String {
    let (date, hour, minute) = (at.date(), at.hour(), at.minute());
    format!("{date} {hour:02}:{minute:02}")
}

/// A duration in its largest unit.
fn duration(length: Duration) -> String {
    let seconds = length.whole_seconds().max(0);
    let (number, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_largest_unit() {
        for (seconds, shown) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7_199, "1 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(duration(Duration::seconds(seconds)), shown);
        }
    }

    #[test]
    fn long_text_is_shortened_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"沙".repeat(300)).chars().count(), MAX_ERROR + 1);
    }
}
