//! Long pauses of all calls: shown in health, and checked while they last.
//!
//! Discord's edge or its global limit may ask for a pause that is longer than it means, or ends sooner. So one call is sent now and
//! then although the pause lasts; any answer of Discord's other than 429 ends it at every replica, a 429 prolongs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_discord_http::codes;
use arrakis_runtime::HealthComponent;
use http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::config::PauseTuning;
use crate::forward::Forwarder;
use crate::limits::{HEARTBEAT, InForce, PauseOf};
use crate::token::{now_ms, rfc3339};
use crate::token_check::own_call;
use crate::token_marks::TokenMarks;
use crate::upstream::Sent;

/// A pause of all calls that is longer is no matter of course: health shows it, and it is checked.
const NOTABLE: Duration = Duration::from_secs(5);

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
    /// Shows and checks pauses, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut interval = self.tuning.first_check;
        let mut next: Option<Instant> = None;
        while !stop.is_cancelled() {
            let notable = self.notable();
            self.show(notable.as_ref());
            if notable.is_none() {
                (interval, next) = (self.tuning.first_check, None);
            } else {
                let due = *next.get_or_insert_with(|| Instant::now() + interval);
                if Instant::now() >= due {
                    next = None;
                    let mine = self
                        .marks
                        .may_check("check:pause", &self.replica, interval.mul_f64(0.7))
                        .await;
                    if mine && !self.answers().await {
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

    fn notable(&self) -> Option<InForce> {
        let pauses = self.forwarder.limits.pauses();
        pauses
            .into_iter()
            .find(|pause| pause.of.is_of_all() && pause.left > NOTABLE)
    }

    fn show(&self, pause: Option<&InForce>) {
        let Some(pause) = pause else {
            return self.health.up();
        };
        let who = match pause.of {
            PauseOf::Edge => "Discord's edge asked for a pause of every call from this address",
            _ => "Discord asked for a pause of every call of the bot",
        };
        self.health.degraded(format!(
            "{who} until {}; Discord is asked every {} to {} s whether it is over; `arrakis-discord-proxy limits clear` ends it",
            end_of(pause),
            self.tuning.first_check.as_secs(),
            self.tuning.longest_interval.as_secs()
        ));
    }

    /// Sends one call in spite of the pause, and ends the pause when Discord answers it.
    async fn answers(&self) -> bool {
        let Some(call) = own_call() else { return false };
        let sent = self.forwarder.probe(Arc::new(call)).await;
        let Sent::Answered(answer) = sent else { return false };
        let of_discord = answer.status.is_success() || codes::of_body(&answer.body).is_some();
        if !of_discord || answer.status == StatusCode::TOO_MANY_REQUESTS || answer.status.is_server_error() {
            tracing::info!(status = answer.status.as_u16(), "Discord's pause lasts");
            return false;
        }
        tracing::warn!(
            status = answer.status.as_u16(),
            "Discord answers in spite of the pause that it asked for; the pause ends"
        );
        self.forwarder.limits.resume().await;
        true
    }
}

fn end_of(pause: &InForce) -> String {
    rfc3339(now_ms() + u64::try_from(pause.left.as_millis()).unwrap_or(0))
}

/// Pauses as operators see them, in `/health` and by `limits status`.
pub(crate) fn shown(pauses: &[InForce]) -> Value {
    let shown = pauses.iter().map(|pause| {
        let mut shown = json!({
            "of": pause.of.name(),
            "until": end_of(pause),
            "seconds_left": pause.left.as_secs(),
        });
        if let PauseOf::Route(name) | PauseOf::Bucket(name) = &pause.of {
            shown["name"] = json!(name);
        }
        shown
    });
    shown.collect()
}
