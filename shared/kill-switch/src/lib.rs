//! The kill switch: turns it on and off at every place that enforces it, keeps these places equal, notifies operators, and drills.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | the variables |
//! | `proxies.rs` | the endpoint of each replica of the discord-proxy, which needs neither Redis nor PostgreSQL |
//! | `control.rs` | reads and writes at each place |
//! | `turn_on.rs`, `turn_off.rs`, `status.rs` | on, off and status |
//! | `sync.rs` | the loop of each worker that makes the places equal |
//! | `drill.rs` | the same steps for a test server, with their times |
//! | `webhook.rs` | the notice to operators |
//! | `report.rs` | the steps of a change, and how each ended |
//!
//! Turning it on needs no place in particular: each step is independent, and has a time limit of its own. Turning it off needs
//! PostgreSQL, which has the second factors. What each place does while another one is down: `docs/kill-switch.md`.

mod control;
mod drill;
mod proxies;
mod report;
mod settings;
mod status;
mod sync;
mod turn_off;
mod turn_on;
mod webhook;

pub use control::KillSwitchControl;
pub use drill::DrillError;
pub use proxies::{ProxySwitches, ReplicaState};
pub use report::{Report, Step, StepOutcome};
pub use settings::KillSwitchSettings;
pub use status::KillSwitchStatus;
pub use sync::{KillSwitchSync, PlatformSwitch};
pub use turn_off::{TurnOff, TurnOffError};
