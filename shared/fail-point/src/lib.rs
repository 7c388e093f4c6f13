//! Fail points: named places in the code at which a test makes the process die, panic, hang or skip a guard.
//!
//! Owns the grammar of `ARRAKIS_FAIL_POINTS`, the list of names (`points.rs`) and the actions. In release builds every call
//! compiles to nothing, and a specification is an error. The crate `fail` has no SIGKILL, no seeded probabilities, and no
//! selection by what is handled at the point.
//!
//! ```text
//! broker.consumed=kill         SIGKILL at the first hit
//! discord.called[defer]=kill@3 at the third call of the route `defer`
//! db.committed=sleep(500)%10   at one hit in ten, for 500 ms; `seed=7` among the points selects the same hits each time
//! db.guard.inbox=skip          the guard is skipped
//! ```
//!
//! `;` separates several. `@N+` means the Nth hit and all later ones. To add a point, add it to `points.rs` and to `docs/faults.md`,
//! and call [`hit`], [`hit_at`], [`hit_now`] or [`skips`].

#[cfg(debug_assertions)]
mod armed;
mod points;
mod spec;

pub use points::{FailPoint, POINTS};
pub use spec::{Action, ArmedPoint, Spec, SpecError, Trigger};

/// Name of the environment variable that arms fail points.
pub const VARIABLE: &str = "ARRAKIS_FAIL_POINTS";

/// Arms the points of a specification, in place of those armed before.
///
/// # Errors
/// When this is a release build, which has no fail points: a test would otherwise pass without the fault.
#[cfg_attr(
    not(debug_assertions),
    expect(clippy::needless_pass_by_value, reason = "debug builds keep it")
)]
pub fn arm(spec: Spec) -> Result<(), SpecError> {
    if cfg!(not(debug_assertions)) && !spec.is_empty() {
        return Err(SpecError::ReleaseBuild);
    }
    #[cfg(debug_assertions)]
    armed::arm(spec);
    Ok(())
}

/// A fail point: performs the action that is armed for it.
#[inline]
pub async fn hit(name: &'static str) {
    hit_at(name, &[]).await;
}

/// A fail point with the names of what is handled there. A point that is armed as `name[what]` acts only if `what` is among them.
#[inline]
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "release builds have no fail points")
)]
pub async fn hit_at(name: &'static str, what: &[&str]) {
    #[cfg(debug_assertions)]
    armed::hit(name, what).await;
}

/// As [`hit_at`], in code that is not async: sleeping and hanging block the thread.
#[inline]
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "release builds have no fail points")
)]
pub fn hit_now(name: &'static str, what: &[&str]) {
    #[cfg(debug_assertions)]
    armed::hit_now(name, what);
}

/// Whether the guard of this name is skipped. Always `false` in release builds.
#[inline]
#[must_use]
pub fn skips(name: &'static str) -> bool {
    skips_at(name, &[])
}

/// As [`skips`], with the names of what is handled there.
#[inline]
#[must_use]
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "release builds have no fail points")
)]
pub fn skips_at(name: &'static str, what: &[&str]) -> bool {
    #[cfg(debug_assertions)]
    return armed::skips(name, what);
    #[cfg(not(debug_assertions))]
    return false;
}
