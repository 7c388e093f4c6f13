//! `./dev chaos`: each fault of the catalogue as a scenario on real processes under load, judged by the ledger.
//!
//! # How to add a scenario
//!
//! A file in `faults/` for its kin (and its line in `faults/mod.rs`), a line in the file's `SCENARIOS`, and a function that
//! reads like the row of the catalogue:
//!
//! ```ignore
//! pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
//!     fault: 42,
//!     name: "proxy-killed",
//!     what: "SIGKILL of one of two proxies",
//!     proves: &[I4, I5],
//!     guard: Guard::Harness("there is no second proxy"),
//!     run: |stage| Box::pin(proxy_killed(stage)),
//! }];
//!
//! async fn proxy_killed(stage: &mut Stage) -> anyhow::Result<()> {
//!     let proxies = if stage.guarded() { 2 } else { 1 };
//!     stage.start(Shape::default().proxies(proxies)).await?; // platform of its own, seeded, and everything ready
//!     stage.load(40).await?;                                 // commands, joins, leaves: 40 a second until the end
//!     stage.flows(20).await?;                                // twenty more deeds have their effect: it works
//!     stage.platform().proxies[0].kill().await;
//!     stage.recovers(PROCESS_BACK).await?;                   // I5: from now until fresh deeds have their effect
//!     let seen = stage.limited().await?;
//!     stage.expect(I4, "no 429", seen == 0, seen);
//!     Ok(())
//! }
//! ```
//!
//! When it returns, the load ends, the platform settles, and the ledger judges I1 and I2 by itself: a scenario that lists
//! them need not say more, but for I2 where only joins are sent: those leave no trace when they are doubled. Every other
//! invariant that it lists must be looked at by at least one [`Stage::expect`], or the scenario counts as failed. A
//! scenario that panics, hangs or does not run has failed.
//!
//! # Guards
//!
//! `--without-guard` runs a scenario with what protects against its fault taken away, and wants it red: so each scenario is
//! seen to be able to fail, repeatably. [`Guard::FailPoint`] is armed in every process by the stage; for
//! [`Guard::Harness`] the scenario asks [`Stage::guarded`]. `docs/faults.md` has the list.

mod cast;
mod cli;
mod door;
pub mod faults;
mod load;
mod published;
mod report;
mod run;
mod scenario;
mod shape;
mod stage;

use std::time::Duration;

pub use cast::{Cast, Place};
pub use cli::{Arguments, by_name, command};
pub use report::{Report, Row};
pub use run::{Lab, Terms, run};
pub use scenario::{Guard, Invariant, Running, Scenario};
pub use shape::Shape;
pub use stage::{Check, Stage};

/// A killed worker, proxy or ingestor serves again within this time.
pub const PROCESS_BACK: Duration = Duration::from_secs(5);
/// The flow runs again within this time once a broker is up again.
pub const BROKER_BACK: Duration = Duration::from_secs(10);
/// Rows of the catalogue.
pub const FAULTS: std::ops::RangeInclusive<u8> = 1..=52;
