//! A member's roles: evaluate which ones the member should have (`evaluate.rs`), and assign or remove the others (`apply.rs`).
//!
//! A join, an update, a tier sync and a repair all change roles through `change`. Both parts may be repeated: an evaluation stores
//! the same tier, and Discord accepts the PUT or DELETE of a role twice.

mod announcements;
mod apply;
mod evaluate;
mod record_broken;

pub(crate) use announcements::without_announced;
pub(crate) use apply::{BrokenRole, change};
pub use evaluate::{MemberEvaluation, evaluate_member, role_difference};
pub(crate) use record_broken::record_broken;

use arrakis_domain::{RoleDifference, RoleId, RoleKey};

/// Whether a role is assigned or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoleAction {
    Assign,
    Remove,
}

/// The changes of a difference. Roles are assigned before others are removed, so that a member is never without a tier.
fn changes(difference: &RoleDifference) -> impl Iterator<Item = (RoleAction, RoleId, &RoleKey)> {
    let assigned = difference
        .add
        .iter()
        .map(|(role, key)| (RoleAction::Assign, *role, key));
    let removed = difference
        .remove
        .iter()
        .map(|(role, key)| (RoleAction::Remove, *role, key));
    assigned.chain(removed)
}
