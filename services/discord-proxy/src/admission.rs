//! Whether a call may be sent at all, checked on arrival and again before each attempt.
//!
//! Checked are the kill switch and the freezes of communities, the token, the invalid-request budget and the pause of Discord's edge. Each
//! check is from memory, since it runs for every call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::ProxyError;
use arrakis_discord_http::Response;

use crate::budget::{Allowance, Budget, CountScope};
use crate::call::Call;
use crate::kill_switch::KillSwitches;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::resource_servers::Resource;
use crate::route::Lane;
use crate::token::BotToken;

/// The checks that may refuse a call.
#[derive(Debug)]
pub(crate) struct Admission {
    switches: Arc<KillSwitches>,
    token: Arc<BotToken>,
    budget: Arc<Budget>,
    limits: Arc<Limits>,
}

impl Admission {
    /// Checks against these states.
    pub(crate) fn new(
        switches: Arc<KillSwitches>,
        token: Arc<BotToken>,
        budget: Arc<Budget>,
        limits: Arc<Limits>,
    ) -> Self {
        Self {
            switches,
            token,
            budget,
            limits,
        }
    }

    /// Admits a call, after a delay where the budget slows its cause.
    ///
    /// # Errors
    /// Why the call may not be sent.
    pub(crate) async fn admit(&self, call: &Call) -> Result<(), Refusal> {
        self.check(call)?;
        match self.budget.allowance(&call.cause, self.count_scope()) {
            Allowance::Allowed => Ok(()),
            Allowance::Delayed(wait) => {
                delay(call, wait).await?;
                // It may have been turned on meanwhile, and a first response is not checked again.
                self.switches.check(call)
            }
            Allowance::Stopped {
                retry_after,
                of_cause,
                in_all,
            } => Err(Refusal::new(
                ProxyError::InvalidRequestBudget,
                format!(
                    "{of_cause} calls of this caller, route and tenant were refused by Discord in ten minutes ({in_all} of all \
                     callers): its calls are stopped; correct the cause of the 401 and 403 responses, then retry"
                ),
            )
            .retry_after(retry_after)),
        }
    }

    fn count_scope(&self) -> CountScope {
        if self.limits.is_shared() {
            CountScope::AllReplicas
        } else if self.limits.has_seat() {
            CountScope::Seat
        } else {
            CountScope::NoSeat
        }
    }

    /// The checks that do not count the call.
    ///
    /// # Errors
    /// Why the call may not be sent.
    pub(crate) fn check(&self, call: &Call) -> Result<(), Refusal> {
        self.switches.check(call)?;
        if call.route.lane.needs_token() && self.token.is_refused() {
            return Err(Refusal::token_refused());
        }
        let Some(pause) = self.edge_pause() else {
            return Ok(());
        };
        // The scheduler grants no permit before the pause ends; a first response waits in first_response.rs.
        if call.route.lane != Lane::Callback && Instant::now() + pause <= call.queue_deadline {
            return Ok(());
        }
        Err(Refusal::edge_pause(pause))
    }

    /// The check of the kill switch alone, at the beginning of an attempt: the process may have been paused since the permit.
    ///
    /// # Errors
    /// Why the call may not be sent.
    pub(crate) fn check_switches(&self, call: &Call) -> Result<(), Refusal> {
        self.switches.check(call)
    }

    /// The channel or webhook of the call whose server must be known first, since a community is frozen.
    pub(crate) fn unknown_resource(&self, call: &Call) -> Option<Resource> {
        self.switches.unknown_resource(call)
    }

    /// Records Discord's response to a GET of a channel or webhook.
    pub(crate) fn record_owner(&self, resource: Resource, response: &Response) {
        self.switches.record_owner(resource, response);
    }

    /// Returns when an attempt at the call in flight must end: the kill switch was turned on, or its state is not confirmed.
    pub(crate) async fn must_end(&self, call: &Call) {
        self.switches.must_end(call).await;
    }

    /// How long the edge's pause of this address still lasts.
    pub(crate) fn edge_pause(&self) -> Option<Duration> {
        self.limits.edge_pause()
    }
}

async fn delay(call: &Call, wait: Duration) -> Result<(), Refusal> {
    if Instant::now() + wait > call.queue_deadline {
        let message = "Discord refused many calls of this caller, route and tenant: they are limited to one a second, and others \
                       of them are already waiting";
        return Err(Refusal::new(ProxyError::WaitedTooLong, message).retry_after(wait));
    }
    tokio::time::sleep(wait).await;
    Ok(())
}
