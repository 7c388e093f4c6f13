//! Assigns and removes a member's roles at Discord, one by one.
//!
//! A role that cannot be changed (deleted, above the bot's own) is returned with the reason; the others are still changed. A temporary
//! error (rate limit, outage) ends the function; the caller's message is retried.

use arrakis_discord::{Calls, Error};
use arrakis_domain::{RoleDifference, RoleId, RoleKey};
use arrakis_runtime::fail_point;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use super::{RoleAction, announcements, changes};
use crate::community::Community;
use crate::failure::Failure;
use crate::services::Services;

/// Unknown role.
const UNKNOWN_ROLE: u64 = 10011;
/// Unknown member, unknown user: the member has left.
const MEMBER_LEFT: [u64; 2] = [10007, 10013];

/// A role that cannot be assigned or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokenRole {
    /// The theme's key of the role.
    pub(crate) key: RoleKey,
    /// The role's id at Discord; `None` if it is not bound.
    pub(crate) role: Option<RoleId>,
    /// The reason, for an admin.
    pub(crate) reason: String,
    /// Whether the role does not exist at Discord.
    pub(crate) deleted: bool,
}

/// The outcome of one role change.
#[derive(Debug, PartialEq, Eq)]
enum ChangeOutcome {
    Changed,
    Broken(BrokenRole),
    MemberLeft,
}

/// Makes the changes of a difference; returns the roles that could not be changed. They are announced while it runs, so that the
/// events that they cause are not taken for manual changes. `cause` is written to Discord's audit log and is a label of the metric.
///
/// # Errors
/// If Discord is unavailable or limits the calls. Changes that were made until then stay.
pub(crate) async fn change(
    services: &Services,
    calls: &Calls,
    community: &Community,
    user: Id<UserMarker>,
    difference: &RoleDifference,
    cause: &'static str,
) -> Result<Vec<BrokenRole>, Failure> {
    announcements::announce(services, community.id(), user, difference).await;
    let broken = change_announced(services, calls, community, user, difference, cause).await;
    announcements::withdraw(services, community.id(), user, difference).await;
    broken
}

async fn change_announced(
    services: &Services,
    calls: &Calls,
    community: &Community,
    user: Id<UserMarker>,
    difference: &RoleDifference,
    cause: &'static str,
) -> Result<Vec<BrokenRole>, Failure> {
    let unbound = difference.unbound.iter().map(|key| BrokenRole {
        key: key.clone(),
        role: None,
        reason: "no role of this server is bound to it".to_owned(),
        deleted: false,
    });
    let mut broken: Vec<_> = unbound.collect();
    let (guild, reason) = (community.guild(), format!("Arrakis: {cause}"));
    for (action, role, key) in changes(difference) {
        let Some(id) = Id::new_checked(role.0) else {
            broken.push(BrokenRole {
                key: key.clone(),
                role: Some(role),
                reason: "the role binding contains 0, which is no role id".to_owned(),
                deleted: true,
            });
            continue;
        };
        let (sent, direction) = match action {
            RoleAction::Assign => (calls.assign_role(guild, user, id, None, &reason).await, "assigned"),
            RoleAction::Remove => (calls.remove_role(guild, user, id, None, &reason).await, "removed"),
        };
        match outcome(sent.map(drop), role, key)? {
            ChangeOutcome::Changed => services.metrics.roles.with_label_values(&[direction, cause]).inc(),
            ChangeOutcome::Broken(role) => broken.push(role),
            ChangeOutcome::MemberLeft => break,
        }
    }
    Ok(broken)
}

/// The outcome of a call that changes a role; a temporary error is returned as a failure.
fn outcome(sent: Result<(), Error>, role: RoleId, key: &RoleKey) -> Result<ChangeOutcome, Failure> {
    let broken = |reason: String, deleted: bool| {
        Ok(ChangeOutcome::Broken(BrokenRole {
            key: key.clone(),
            role: Some(role),
            reason,
            deleted,
        }))
    };
    match sent {
        Ok(()) => Ok(ChangeOutcome::Changed),
        Err(Error::Gone { code, .. }) if MEMBER_LEFT.contains(&code) => Ok(ChangeOutcome::MemberLeft),
        Err(error) if fail_point::skips("worker.guard.broken_role") => Err(error.into()),
        Err(Error::Gone { code: UNKNOWN_ROLE, .. }) => broken("the role was deleted in the server".to_owned(), true),
        Err(Error::Forbidden { code, .. }) => broken(
            format!(
                "the bot may not change it (code {code}): it needs Manage Roles, and its own role must be above this one"
            ),
            false,
        ),
        Err(error @ Error::Invalid { .. }) => broken(error.to_string(), false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(error: Error) -> Result<ChangeOutcome, Failure> {
        outcome(Err(error), RoleId(5), &RoleKey::new("naib").unwrap())
    }

    fn gone(code: u64) -> Error {
        Error::Gone {
            code,
            message: String::new(),
        }
    }

    #[test]
    fn role_that_cannot_be_changed_is_broken() {
        let forbidden = Error::Forbidden {
            code: 50013,
            message: "Missing Permissions".to_owned(),
        };
        let ChangeOutcome::Broken(role) = outcome_of(forbidden).unwrap() else {
            panic!("not broken")
        };
        assert!(role.reason.contains("50013") && !role.deleted);
        let ChangeOutcome::Broken(role) = outcome_of(gone(10011)).unwrap() else {
            panic!("not broken")
        };
        assert!(role.deleted);
    }

    #[test]
    fn temporary_error_is_retried() {
        let failure = outcome_of(Error::Unavailable("x".to_owned())).unwrap_err();
        assert!(matches!(failure, Failure::Retry(_)));
    }

    #[test]
    fn member_who_left_is_recognized() {
        assert_eq!(outcome_of(gone(10007)).unwrap(), ChangeOutcome::MemberLeft);
    }
}
