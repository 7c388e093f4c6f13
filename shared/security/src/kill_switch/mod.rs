//! The kill switch: its state, how states from several sources are merged, and what revokes the permissions to sign.
//!
//! A switch has a scope. [`KillSwitchScope::Platform`] stops every write to Discord. [`KillSwitchScope::Community`] is the freeze of one
//! community: role changes and changes of the structure of its server stop; messages and replies pass.
//!
//! The state is in several places: PostgreSQL, Redis, each replica of the discord-proxy. Each entry has a version, and [`KillSwitch::replaces`] is
//! the one rule by which an entry replaces another one. So the order in which a place receives the entries does not matter, and receiving one
//! twice has no effect. SQL and a script of Redis state the rule again; each has a test with the cases of this crate's test
//! (`arrakis_test_support::MERGE_CASES`).

mod entry;
mod proof;
mod scope;
mod signing;
mod state;

pub use entry::{KillSwitch, MAX_AHEAD};
pub use proof::{EndKey, ProvenBy};
pub use scope::{KillSwitchScope, KillSwitchScopeError};
pub use signing::{RevokeSigning, RevokeSigningError, RevokedSigning};
pub use state::{ImplausibleVersion, KillSwitchState};

/// Path of a discord-proxy at which the state is read (GET) and entries are written (PUT).
pub const PROXY_PATH: &str = "/internal/kill-switch";
/// Header of a PUT at [`PROXY_PATH`]: the `read` of an earlier response, by which the sender confirms that the replica has the present state.
pub const CONFIRMS: &str = "x-arrakis-confirms";
/// Key of a hash in Redis: one field for each scope, with the entry as JSON.
pub const REDIS_KEY: &str = "kill-switch";
/// Shortest credential for [`PROXY_PATH`], in characters: a shorter one could be guessed.
pub const MIN_CREDENTIAL: usize = 16;
/// Reason of a freeze that a teardown of the server began: gaib, which tears it down, is not stopped by it.
pub const TEARDOWN: &str = "teardown";
