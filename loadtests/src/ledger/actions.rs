//! Members' actions, recorded when the emulator has accepted them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// An action of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberAction {
    /// A user joined a server.
    Join {
        /// Server.
        guild: u64,
        /// User.
        user: u64,
    },
    /// A member left a server for good.
    Leave {
        /// Server.
        guild: u64,
        /// User.
        user: u64,
    },
    /// A member ran a command.
    Command {
        /// Id of the interaction.
        id: u64,
        /// Server.
        guild: u64,
        /// User.
        user: u64,
    },
}

impl fmt::Display for MemberAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join { user, .. } => write!(f, "join of {user}"),
            Self::Leave { user, .. } => write!(f, "leave of {user}"),
            Self::Command { id, .. } => write!(f, "command {id}"),
        }
    }
}

/// The list of actions. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ActionLog(Arc<Mutex<Vec<MemberAction>>>);

impl ActionLog {
    /// Records an action.
    pub fn record(&self, action: MemberAction) {
        self.0.lock().push(action);
    }

    /// All actions, in their order.
    pub fn all(&self) -> Vec<MemberAction> {
        self.0.lock().clone()
    }

    /// Number of actions.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are no actions yet.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Number of actions that would leave a second trace if they were handled twice.
    pub(super) fn can_double(&self) -> usize {
        let joins = |action: &&MemberAction| matches!(action, MemberAction::Join { .. });
        let all = self.0.lock();
        all.len() - all.iter().filter(joins).count()
    }

    /// Number of commands that each member of each server ran.
    pub(super) fn commands_by_member(&self) -> HashMap<(u64, u64), i64> {
        let mut ran = HashMap::new();
        for action in self.0.lock().iter() {
            if let MemberAction::Command { guild, user, .. } = action {
                *ran.entry((*guild, *user)).or_default() += 1;
            }
        }
        ran
    }
}
