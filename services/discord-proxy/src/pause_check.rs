//! Long pauses of all calls: reported in `/health`, and checked while they last.
//!
//! Discord's edge or its global limit may state a longer pause than it keeps. So one call is sent at intervals in spite of the pause:
//! any response of Discord other than 429 or 5xx ends the pause at every replica, and a 429 prolongs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_discord_http::ErrorBody;
use arrakis_runtime::HealthComponent;
use http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::config::PauseTuning;
use crate::forward::Forwarder;
use crate::limits::{ActivePause, HEARTBEAT, PauseScope};
use crate::token::{now_ms, rfc3339};
use crate::token_marks::TokenMarks;

/// A pause of all calls that is longer is reported and checked.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// Checks of long pauses.
#[derive(Debug)]
pub(crate) struct PauseCheck {
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) marks: TokenMarks,
    pub(crate) replica: String,
    pub(crate) tuning: PauseTuning,
    pub(crate) health: HealthComponent,
}

impl PauseCheck {
    /// Reports and checks pauses until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut interval = self.tuning.first_check;
        let mut next: Option<Instant> = None;
        while !stop.is_cancelled() {
            let long_pause = self.long_pause();
            self.report(long_pause.as_ref());
            if long_pause.is_none() {
                (interval, next) = (self.tuning.first_check, None);
            } else {
                let due = *next.get_or_insert_with(|| Instant::now() + interval);
                if Instant::now() >= due {
                    next = None;
                    let claimed = self
                        .marks
                        .claim_check("check:pause", &self.replica, interval.mul_f64(0.7))
                        .await;
                    if claimed && !self.check().await {
                        interval = (interval * 2).min(self.tuning.longest_interval);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn long_pause(&self) -> Option<ActivePause> {
        let pauses = self.forwarder.limits.active_pauses();
        pauses
            .into_iter()
            .find(|pause| pause.scope.is_of_all_calls() && pause.left > LONG_PAUSE)
    }

    fn report(&self, pause: Option<&ActivePause>) {
        let Some(pause) = pause else {
            return self.health.up();
        };
        let paused = match pause.scope {
            PauseScope::Edge => "Cloudflare in front of Discord paused every call from this address",
            _ => "Discord paused every call of the bot",
        };
        self.health.degraded(format!(
            "{paused} until {}; a call checks every {} to {} s whether the pause is over; `arrakis-discord-proxy limits clear` \
             ends it",
            end_of(pause),
            self.tuning.first_check.as_secs(),
            self.tuning.longest_interval.as_secs()
        ));
    }

    /// Sends one call in spite of the pause, and ends the pause when Discord responds to it. Returns whether the pause ended.
    async fn check(&self) -> bool {
        let Some(call) = Call::probe() else { return false };
        let Ok(response) = self.forwarder.send_in_spite_of_pauses(Arc::new(call)).await else {
            return false;
        };
        let status = response.status;
        let by_discord = status.is_success() || ErrorBody::read(&response.body).discord_code().is_some();
        if !by_discord || status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            tracing::info!(status = status.as_u16(), "the pause of Discord continues");
            return false;
        }
        tracing::warn!(
            status = status.as_u16(),
            "Discord responds in spite of its pause; the pause is ended at every replica"
        );
        self.forwarder.limits.end_pauses_of_all_calls().await;
        true
    }
}

fn end_of(pause: &ActivePause) -> String {
    rfc3339(now_ms() + u64::try_from(pause.left.as_millis()).unwrap_or(0))
}

/// The pauses in `/health` and in the reply to `limits status`.
pub(crate) fn pauses_json(pauses: &[ActivePause]) -> Value {
    let pauses = pauses.iter().map(|pause| {
        let mut json = json!({
            "of": pause.scope.name(),
            "until": end_of(pause),
            "seconds_left": pause.left.as_secs(),
        });
        if let PauseScope::Route(name) | PauseScope::Bucket(name) = &pause.scope {
            json["name"] = json!(name);
        }
        json
    });
    pauses.collect()
}
