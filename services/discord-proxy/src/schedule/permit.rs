//! A permit: the permission to send one call, once.

use std::sync::Arc;

use arrakis_discord_http::Route;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

use super::Command;
use crate::limits::{CallOutcome, Grant, Limits};

/// The permission to send one call. Dropped before [`Permit::sent`], its grant is returned; dropped after it, the response counts as
/// lost.
pub(crate) struct Permit {
    grant: Option<Grant>,
    limits: Arc<Limits>,
    commands: Option<UnboundedSender<Command>>,
    sent: bool,
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit")
            .field("grant", &self.grant)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl Permit {
    pub(super) fn new(grant: Grant, limits: Arc<Limits>, commands: Option<UnboundedSender<Command>>) -> Self {
        Self {
            grant: Some(grant),
            limits,
            commands,
            sent: false,
        }
    }

    /// Records that the call is being sent: from now on it may have reached Discord.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// Completes the grant in the background, so that the caller receives its response without that delay. Until Redis has the
    /// outcome, the grant counts.
    pub(crate) fn complete_in_background(mut self, outcome: CallOutcome) {
        if let Some(grant) = self.grant.take() {
            let (limits, commands) = (Arc::clone(&self.limits), self.commands.take());
            if !limits.complete_locally(&grant, &outcome) {
                return notify(grant.route, commands);
            }
            tokio::spawn(async move {
                limits.complete_in_redis(&grant, &outcome).await;
                notify(grant.route, commands);
            });
        }
    }

    /// Completes the grant with the outcome of the call.
    pub(crate) async fn complete(mut self, outcome: CallOutcome) {
        if let Some(grant) = self.grant.take() {
            complete(&self.limits, grant, outcome, self.commands.take()).await;
        }
    }
}

async fn complete(limits: &Limits, grant: Grant, outcome: CallOutcome, commands: Option<UnboundedSender<Command>>) {
    limits.complete(&grant, &outcome).await;
    notify(grant.route, commands);
}

/// Notifies the scheduler that a call of the route is no longer in flight.
fn notify(route: Route, commands: Option<UnboundedSender<Command>>) {
    if let Some(commands) = commands {
        // It fails only when the scheduler has ended.
        let _ = commands.send(Command::Completed(route));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (Some(grant), Ok(runtime)) = (self.grant.take(), Handle::try_current()) else {
            return;
        };
        let outcome = if self.sent {
            CallOutcome::ResponseLost
        } else {
            CallOutcome::NotSent
        };
        let (limits, commands) = (Arc::clone(&self.limits), self.commands.take());
        runtime.spawn(async move { complete(&limits, grant, outcome, commands).await });
    }
}
