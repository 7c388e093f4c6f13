//! `./dev chaos`: each fault of the catalogue as a scenario on real processes under load, checked by the ledger.
//!
//! # How to add a scenario
//!
//! A file in `faults/` for its group of faults (and its line in `faults/mod.rs`), an entry in the file's `SCENARIOS`, and a
//! function:
//!
//! ```ignore
//! pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
//!     fault: 42,
//!     name: "proxy-killed",
//!     what: "SIGKILL of one of two proxies",
//!     proves: &[I4, I5],
//!     alerts: &["service-down"],
//!     expected: "recovery within 5 s",
//!     guard: Guard::Harness("there is no second proxy"),
//!     without_guard: "no recovery",
//!     run: |testbed| Box::pin(proxy_killed(testbed)),
//! }];
//!
//! async fn proxy_killed(testbed: &mut Testbed) -> anyhow::Result<()> {
//!     let proxies = if testbed.guarded() { 2 } else { 1 };
//!     testbed.start(Deployment::default().proxies(proxies)).await?; // a seeded platform of its own, ready
//!     testbed.load(40).await?;                                      // 40 commands, joins and leaves per second
//!     testbed.wait_for_effects(20).await?;                          // twenty further actions have their effect
//!     testbed.platform().proxies[0].kill().await;
//!     testbed.expect_recovery(PROCESS_BACK).await?;                 // I5: from now until new actions have their effect
//!     let limited = testbed.limited().await?;
//!     testbed.expect(I4, "no 429", limited == 0, limited);
//!     Ok(())
//! }
//! ```
//!
//! When the function returns, the load ends, the platform settles, and the ledger checks I1 and I2: a scenario that proves these
//! needs no further check, except for I2 where only joins are sent, since a join that is handled twice leaves no trace. Every
//! other invariant in `proves` needs at least one [`Testbed::expect`], or the scenario counts as failed. A scenario that panics,
//! does not end within its time limit or cannot be set up counts as failed.
//!
//! # Alerts
//!
//! A scenario with `alerts` has a Prometheus with the rules of `deploy/prometheus`, whose durations are a sixtieth. None of these alerts may fire
//! on the platform that has just started ([`Testbed::expect_no_alerts`]), and each must have fired by the end of the scenario (I6);
//! [`Testbed::expect_alert`] waits for one where the fault would end before, [`Testbed::expect_alert_ends`] for its end after the fault. Other
//! alerts that fired are in a note. `docs/operations/alerts.md` lists for each alert where it fires; `./dev deploy-check` compares it.
//!
//! # Guards
//!
//! `--without-guard` runs a scenario without the code that protects against its fault, and expects it to fail: this shows that
//! each scenario can fail. [`Guard::FailPoint`] is armed in every process by the testbed; for [`Guard::Harness`] the scenario
//! checks [`Testbed::guarded`]. `docs/faults.md` is generated from the scenarios.

mod broker_client;
mod cli;
mod deployment;
pub mod faults;
mod load;
mod member_pool;
mod published;
mod ranks;
mod report;
mod rpc_endpoint;
mod run;
mod scenario;
mod score_service;
mod testbed;

use std::time::Duration;

pub use cli::{Arguments, by_name, command};
pub use deployment::Deployment;
pub use member_pool::{GuildChannel, MemberPool};
pub use report::{Report, ScenarioResult};
pub use run::{ReusableServers, RunOptions, run};
pub use scenario::{Guard, Invariant, Scenario, ScenarioFuture};
pub use testbed::{Check, Testbed};

/// A killed worker, proxy or ingestor that is started again works within this time.
pub const PROCESS_BACK: Duration = Duration::from_secs(5);
/// Events are handled again within this time after a broker is back.
pub const BROKER_BACK: Duration = Duration::from_secs(10);
/// Fault numbers of the catalogue.
pub const FAULTS: std::ops::RangeInclusive<u8> = 1..=60;
