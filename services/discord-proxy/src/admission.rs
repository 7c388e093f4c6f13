//! The one door: whether a call may go at all, asked when it comes and again before each attempt.
//!
//! Today: the token, the invalid-request budget, the edge's pause. A kill switch or the freeze of a community belongs here and
//! nowhere else: one more question in [`Admission::admit`], answered from memory, since it is asked for every call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::ProxyError;

use crate::budget::{Allowance, Budget, Knows};
use crate::call::Call;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::route::Lane;
use crate::token::BotToken;

/// Everything that may forbid a call.
#[derive(Debug)]
pub(crate) struct Admission {
    token: Arc<BotToken>,
    budget: Arc<Budget>,
    limits: Arc<Limits>,
}

impl Admission {
    /// The door.
    pub(crate) fn new(token: Arc<BotToken>, budget: Arc<Budget>, limits: Arc<Limits>) -> Self {
        Self { token, budget, limits }
    }

    /// Lets a call through, at once or after a pause that slows its cause.
    ///
    /// # Errors
    /// Why it may not go.
    pub(crate) async fn admit(&self, call: &Call) -> Result<(), Refusal> {
        self.check(call)?;
        match self.budget.allowance(&call.cause, self.knows()) {
            Allowance::Free => Ok(()),
            Allowance::Slowed(wait) => slow(call, wait).await,
            Allowance::Stopped {
                retry_after,
                of_cause,
                in_all,
            } => Err(Refusal::new(
                ProxyError::InvalidRequestBudget,
                format!(
                    "{of_cause} calls of this caller, route and tenant were refused by Discord in ten minutes ({in_all} in \
                     all), so they are stopped; mend what is refused (see the 401 and 403 answers), then come back"
                ),
            )
            .retry_after(retry_after)),
        }
    }

    fn knows(&self) -> Knows {
        if self.limits.is_shared() {
            Knows::All
        } else if self.limits.is_seated() {
            Knows::Seat
        } else {
            Knows::Nothing
        }
    }

    /// What can be said without counting the call.
    ///
    /// # Errors
    /// Why it may not go.
    pub(crate) fn check(&self, call: &Call) -> Result<(), Refusal> {
        if call.route.lane.needs_token() && self.token.is_dead() {
            return Err(Refusal::token_dead());
        }
        let Some(pause) = self.edge_pause() else {
            return Ok(());
        };
        // The scheduler gives no turn before the pause is over; a first response waits by itself (respond.rs).
        if call.route.lane != Lane::Callback && Instant::now() + pause <= call.queue_deadline {
            return Ok(());
        }
        let words = "Discord's edge wants nothing from this address for a while";
        Err(Refusal::new(ProxyError::WaitedTooLong, words).retry_after(pause))
    }

    /// How long the edge before Discord wants nothing from this address.
    pub(crate) fn edge_pause(&self) -> Option<Duration> {
        self.limits.edge_pause()
    }
}

async fn slow(call: &Call, wait: Duration) -> Result<(), Refusal> {
    if Instant::now() + wait > call.queue_deadline {
        let words = "Discord refused many calls of this caller, route and tenant, so they are slowed to one a second, and \
                     others of them wait already";
        return Err(Refusal::new(ProxyError::WaitedTooLong, words).retry_after(wait));
    }
    tokio::time::sleep(wait).await;
    Ok(())
}
