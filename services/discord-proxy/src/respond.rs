//! First responses to interactions: repeated in place within the three seconds that Discord gives.
//!
//! An attempt that has no answer after [`HEDGE`] is not given up: it goes on, and another one is sent beside it. So a Discord that
//! hangs once leaves time for another attempt, and a slow one is still heard. A second response is harmless: Discord answers it
//! with 40060, which is a success where an attempt of ours may have been the first.

use std::sync::Arc;
use std::time::Duration;

use arrakis_contracts::proxy::ProxyError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::call::Call;
use crate::forward::{Forwarded, Forwarder, broken_off};
use crate::history::{History, Next, SHORTEST_ATTEMPT};
use crate::refusal::Refusal;
use crate::upstream::Sent;

/// How long an attempt may be without an answer before another one is sent beside it.
const HEDGE: Duration = Duration::from_millis(700);
/// Attempts under way at once.
const AT_ONCE: usize = 3;

/// A first response under way.
struct Response {
    history: History,
    under_way: FuturesUnordered<JoinHandle<Sent>>,
    /// When the next attempt is sent, and why.
    next: (Instant, &'static str),
    /// An attempt ended the call; others are still under way.
    ended: Option<Result<Forwarded, Refusal>>,
}

impl Forwarder {
    /// Brings a first response to Discord.
    ///
    /// # Errors
    /// Why the proxy answers by itself.
    pub(crate) async fn respond(self: &Arc<Self>, call: Arc<Call>) -> Result<Forwarded, Refusal> {
        let deadline: Instant = call.deadline.unwrap_or(call.queue_deadline).into();
        let mut response = Response {
            history: History::new(&call),
            under_way: FuturesUnordered::new(),
            next: (Instant::now(), "lost"),
            ended: None,
        };
        loop {
            let may_send = response.ended.is_none() && response.under_way.len() < AT_ONCE;
            tokio::select! {
                biased;
                Some(sent) = response.under_way.next() => {
                    let sent = sent.unwrap_or_else(|error| broken_off(&error));
                    if let Some(over) = response.heard(&call, sent) {
                        return over;
                    }
                }
                () = sleep_until(deadline) => return response.out_of_time(&call),
                () = sleep_until(response.next.0), if may_send => {
                    if let Err(refusal) = self.admission.admit(&call).await {
                        let again = refusal.retry_after.map(|wait| Instant::now() + wait);
                        if let Some(again) = again.filter(|again| *again + SHORTEST_ATTEMPT < deadline) {
                            response.next = (again, "limited");
                            continue;
                        }
                        if response.under_way.is_empty() {
                            return response.history.end(&call, refusal);
                        }
                        response.ended = Some(Err(refusal));
                        continue;
                    }
                    if response.history.attempts > 0 {
                        self.metrics.retried(response.next.1);
                    }
                    response.history.attempts += 1;
                    response.under_way.push(self.begin(&call, None, response.history.attempts));
                    response.next = (Instant::now() + HEDGE, "lost");
                }
            }
        }
    }
}

impl Response {
    /// An attempt ended. Answers the call's result when it is over.
    fn heard(&mut self, call: &Call, sent: Sent) -> Option<Result<Forwarded, Refusal>> {
        match self.history.judge(call, sent) {
            Next::Tell(answer) => {
                let success = answer.status.is_success();
                let attempts = self.history.attempts;
                let forwarded = Ok(Forwarded { answer, attempts });
                if success {
                    return Some(forwarded);
                }
                self.ended.get_or_insert(forwarded);
            }
            Next::Refuse(refusal) => {
                self.ended.get_or_insert(Err(refusal));
            }
            Next::Again { why, pause } => self.next = (Instant::now() + pause, why),
        }
        if !self.under_way.is_empty() {
            return None;
        }
        let ended = self.ended.take()?;
        Some(self.history.revised(call, ended))
    }

    /// The deadline passed.
    fn out_of_time(mut self, call: &Call) -> Result<Forwarded, Refusal> {
        if !self.under_way.is_empty() {
            return Err(self.history.out_of_time(call));
        }
        let words = "Discord cannot be reached, and the time for a first response is over";
        self.history.end(call, Refusal::new(ProxyError::Unreachable, words))
    }
}
