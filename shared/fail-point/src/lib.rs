//! Named places in the code where a test makes the process die, panic, stop or pass over a guard.
//!
//! Owns the grammar of `ARRAKIS_FAIL_POINTS`, the list of names (`points.rs`) and the actions. Refuses to exist in release
//! builds: there every call here compiles to nothing, and a specification is an error instead of a silence. The crate `fail`
//! has neither SIGKILL nor probabilities with a seed nor places that are told apart by what is handled there.
//!
//! ```text
//! broker.consumed=kill            SIGKILL at the first hit
//! discord.called[defer]=kill@3     at the third call of this kind
//! db.committed=sleep(500)%10  at one hit in ten, for 500 ms; `seed=7` among the points makes it the same ten each time
//! db.guard.inbox=skip         the guard is passed over
//! ```
//!
//! Several are separated by `;`. `@N+` means from the Nth hit on. To add a point: a line in `points.rs`, a line in
//! `docs/faults.md`, and [`hit`], [`hit_at`], [`hit_now`] or [`skips`] at its place.

#[cfg(debug_assertions)]
mod armed;
mod points;
mod spec;

pub use points::{POINTS, Point};
pub use spec::{Action, Armed, Spec, SpecError, When};

/// Environment variable that arms points.
pub const VARIABLE: &str = "ARRAKIS_FAIL_POINTS";

/// Arms the points of a specification, instead of those armed before.
///
/// # Errors
/// When this build has no fail points: a test that believes to have armed one would pass for the wrong reason.
#[cfg_attr(
    not(debug_assertions),
    expect(clippy::needless_pass_by_value, reason = "kept where points exist")
)]
pub fn arm(spec: Spec) -> Result<(), SpecError> {
    if cfg!(not(debug_assertions)) && !spec.is_empty() {
        return Err(SpecError::ReleaseBuild);
    }
    #[cfg(debug_assertions)]
    armed::arm(spec);
    Ok(())
}

/// A place that is passed: does what was armed for it.
#[inline]
pub async fn hit(name: &'static str) {
    hit_at(name, &[]).await;
}

/// A place that is passed with something in hand, by any of whose names it can be told from others: `name[what]`.
#[inline]
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "nothing is armed in release")
)]
pub async fn hit_at(name: &'static str, what: &[&str]) {
    #[cfg(debug_assertions)]
    armed::hit(name, what).await;
}

/// As [`hit_at`], where nothing can be awaited: sleeping and hanging hold the thread.
#[inline]
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "nothing is armed in release")
)]
pub fn hit_now(name: &'static str, what: &[&str]) {
    #[cfg(debug_assertions)]
    armed::hit_now(name, what);
}

/// Whether the guard of this name is to be passed over. Never in release.
#[inline]
#[must_use]
pub fn skips(name: &'static str) -> bool {
    skips_at(name, &[])
}

/// As [`skips`], for what is in hand.
#[inline]
#[must_use]
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "nothing is armed in release")
)]
pub fn skips_at(name: &'static str, what: &[&str]) -> bool {
    #[cfg(debug_assertions)]
    return armed::skips(name, what);
    #[cfg(not(debug_assertions))]
    return false;
}
