//! A turn: leave to send one call, once.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

use super::{Command, Lane};
use crate::limits::{Fate, Limits, Slot};

/// Leave to send one call. Dropped before [`Ticket::sent`], its place is given back; dropped after, the call counts as lost.
pub(crate) struct Ticket {
    slot: Option<Slot>,
    limits: Arc<Limits>,
    commands: Option<UnboundedSender<Command>>,
    sent: bool,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket")
            .field("slot", &self.slot)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    pub(super) fn new(slot: Slot, limits: Arc<Limits>, commands: Option<UnboundedSender<Command>>) -> Self {
        Self {
            slot: Some(slot),
            limits,
            commands,
            sent: false,
        }
    }

    /// From here on the call may have reached Discord.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// Says what became of the call while its caller hears the answer already. Until Redis knows, the place is held, which is
    /// the safe side.
    pub(crate) fn settle_behind(mut self, fate: Fate) {
        if let Some(slot) = self.slot.take() {
            let (limits, commands) = (Arc::clone(&self.limits), self.commands.take());
            if !limits.complete_here(&slot, &fate) {
                return answered(slot, commands);
            }
            tokio::spawn(async move {
                limits.tell(&slot, &fate).await;
                answered(slot, commands);
            });
        }
    }

    /// Says what became of the call.
    pub(crate) async fn settle(mut self, fate: Fate) {
        if let Some(slot) = self.slot.take() {
            settle(&self.limits, slot, fate, self.commands.take()).await;
        }
    }
}

async fn settle(limits: &Limits, slot: Slot, fate: Fate, commands: Option<UnboundedSender<Command>>) {
    limits.complete(&slot, &fate).await;
    answered(slot, commands);
}

fn answered(slot: Slot, commands: Option<UnboundedSender<Command>>) {
    if let Some(commands) = commands {
        let lane = Lane {
            route: slot.route,
            major: slot.major,
        };
        // An actor that has ended waits for no answer.
        let _ = commands.send(Command::Answered(lane));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (Some(slot), Ok(runtime)) = (self.slot.take(), Handle::try_current()) else {
            return;
        };
        let fate = if self.sent { Fate::Lost } else { Fate::Unused };
        let (limits, commands) = (Arc::clone(&self.limits), self.commands.take());
        runtime.spawn(async move { settle(&limits, slot, fate, commands).await });
    }
}
