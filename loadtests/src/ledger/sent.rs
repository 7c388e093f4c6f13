//! What members did, noted the moment the emulator has taken it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// One thing that a member did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Joined a server.
    Join {
        /// The server.
        guild: u64,
        /// Who.
        user: u64,
    },
    /// Left a server for good.
    Leave {
        /// The server.
        guild: u64,
        /// Who.
        user: u64,
    },
    /// Ran a command.
    Command {
        /// The interaction.
        id: u64,
        /// Where.
        guild: u64,
        /// Who.
        user: u64,
    },
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join { user, .. } => write!(f, "join of {user}"),
            Self::Leave { user, .. } => write!(f, "leave of {user}"),
            Self::Command { id, .. } => write!(f, "command {id}"),
        }
    }
}

/// The list of deeds. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Sent(Arc<Mutex<Vec<Deed>>>);

impl Sent {
    /// Notes a deed.
    pub fn note(&self, deed: Deed) {
        self.0.lock().push(deed);
    }

    /// All of them, in order.
    pub fn all(&self) -> Vec<Deed> {
        self.0.lock().clone()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether nothing was done yet.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// How many would leave a second trace if they were handled twice.
    pub(super) fn can_double(&self) -> usize {
        let joins = |deed: &&Deed| matches!(deed, Deed::Join { .. });
        let all = self.0.lock();
        all.len() - all.iter().filter(joins).count()
    }

    /// How many commands each member of each server ran.
    pub(super) fn commands_by_member(&self) -> HashMap<(u64, u64), i64> {
        let mut ran = HashMap::new();
        for deed in self.0.lock().iter() {
            if let Deed::Command { guild, user, .. } = deed {
                *ran.entry((*guild, *user)).or_default() += 1;
            }
        }
        ran
    }
}
