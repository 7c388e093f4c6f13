//! A member's roles: what they should be, and making them so.
//!
//! Owns the one way in which roles are changed, for a join, an update, a sync and a repair alike. Measuring writes down what
//! it found (`measure.rs`); changing is idempotent, since a role that is there is not given again and Discord takes the same
//! PUT twice (`apply.rs`).

mod announcements;
mod apply;
mod measure;
mod record_broken;

pub(crate) use announcements::without_announced;
pub use apply::{Applied, Broken, apply};
pub use measure::{Measured, difference, measure};
pub(crate) use record_broken::record_broken;

use arrakis_discord::Calls;
use arrakis_domain::RoleDifference;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// Changes a member's roles, announced for as long as it takes, so that the events which our own calls cause on the way are
/// known for what they are.
///
/// # Errors
/// As [`apply`].
pub(crate) async fn change(
    services: &Services,
    calls: &Calls,
    community: &Community,
    user: Id<UserMarker>,
    difference: &RoleDifference,
    cause: &'static str,
) -> Result<Applied, Failure> {
    announcements::announce(services, community.id(), user, difference).await;
    let applied = apply(calls, community.guild(), user, difference, cause, &services.metrics).await;
    announcements::withdraw(services, community.id(), user, difference).await;
    applied
}
