//! Changes a member's roles at Discord, one by one, and says what could not be changed and why.
//!
//! One broken role (deleted, above the bot's own) is told by name and stops no other. What passes (limits, outages) stops
//! here and is tried again by whoever asked.

use arrakis_discord::{Calls, Error};
use arrakis_domain::{RoleDifference, RoleId, RoleKey};
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, RoleMarker, UserMarker};

use crate::failure::Failure;
use crate::metrics::WorkerMetrics;

/// Unknown role.
const UNKNOWN_ROLE: u64 = 10011;
/// Unknown member, unknown user: left meanwhile.
const LEFT: [u64; 2] = [10007, 10013];

/// A role that cannot be given or taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// What the theme calls it.
    pub key: RoleKey,
    /// Its id at Discord; `None` for one that the server lacks.
    pub role: Option<RoleId>,
    /// Why, in words for an admin.
    pub why: String,
    /// Whether Discord says that there is no such role.
    pub deleted: bool,
}

/// What was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Roles given.
    pub given: Vec<RoleKey>,
    /// Roles taken.
    pub taken: Vec<RoleKey>,
    /// Roles that could not be.
    pub broken: Vec<Broken>,
    /// The member is not in the server any more.
    pub left: bool,
}

impl Applied {
    /// Whether anything was changed.
    pub fn changed(&self) -> bool {
        !self.given.is_empty() || !self.taken.is_empty()
    }
}

/// Applies a difference. `cause` stands in Discord's audit log and, as a label, in the metric.
///
/// # Errors
/// When Discord is away or limits us: what was changed by then is changed, and the next try finds it so.
pub async fn apply(
    calls: &Calls,
    guild: Id<GuildMarker>,
    user: Id<UserMarker>,
    difference: &RoleDifference,
    cause: &'static str,
    metrics: &WorkerMetrics,
) -> Result<Applied, Failure> {
    let mut applied = Applied::default();
    for key in &difference.unbound {
        applied.broken.push(Broken {
            key: key.clone(),
            role: None,
            why: "no role of this server stands for it".to_owned(),
            deleted: false,
        });
    }
    let reason = format!("Arrakis: {cause}");
    // Giving comes first: nobody is without any tier in between.
    for (role, key) in &difference.add {
        if applied.left {
            return Ok(applied);
        }
        let Some(id) = discord_id(*role, key, &mut applied) else {
            continue;
        };
        let sent = calls.assign_role(guild, user, id, None, &reason).await.map(drop);
        if sort(sent, *role, key, &mut applied)? {
            metrics.roles.with_label_values(&["given", cause]).inc();
            applied.given.push(key.clone());
        }
    }
    for (role, key) in &difference.remove {
        if applied.left {
            break;
        }
        let Some(id) = discord_id(*role, key, &mut applied) else {
            continue;
        };
        let sent = calls.remove_role(guild, user, id, None, &reason).await.map(drop);
        if sort(sent, *role, key, &mut applied)? {
            metrics.roles.with_label_values(&["taken", cause]).inc();
            applied.taken.push(key.clone());
        }
    }
    Ok(applied)
}

/// The role's id at Discord. Zero is no id: a binding that contains it is recorded as broken.
fn discord_id(role: RoleId, key: &RoleKey, applied: &mut Applied) -> Option<Id<RoleMarker>> {
    let id = Id::new_checked(role.0);
    if id.is_none() {
        applied.broken.push(Broken {
            key: key.clone(),
            role: Some(role),
            why: "the role binding contains 0, which is no role id".to_owned(),
            deleted: true,
        });
    }
    id
}

/// Whether the change took effect; notes why not, or fails with what passes.
fn sort(sent: Result<(), Error>, role: RoleId, key: &RoleKey, applied: &mut Applied) -> Result<bool, Failure> {
    let mut broken = |why: String, deleted: bool| {
        applied.broken.push(Broken {
            key: key.clone(),
            role: Some(role),
            why,
            deleted,
        });
        Ok(false)
    };
    match sent {
        Ok(()) => Ok(true),
        Err(Error::Gone { code, .. }) if LEFT.contains(&code) => {
            applied.left = true;
            Ok(false)
        }
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

    fn key() -> RoleKey {
        RoleKey::new("naib").unwrap()
    }

    #[test]
    fn one_broken_role_is_told_and_stops_nothing() {
        let mut applied = Applied::default();
        let forbidden = Error::Forbidden {
            code: 50013,
            message: "Missing Permissions".to_owned(),
        };
        assert!(!sort(Err(forbidden), RoleId(5), &key(), &mut applied).unwrap());
        let gone = Error::Gone {
            code: 10011,
            message: "Unknown Role".to_owned(),
        };
        assert!(!sort(Err(gone), RoleId(6), &key(), &mut applied).unwrap());
        assert!(sort(Ok(()), RoleId(7), &key(), &mut applied).unwrap());
        assert_eq!(applied.broken.len(), 2);
        assert!(applied.broken[0].why.contains("50013") && !applied.broken[0].deleted);
        assert!(applied.broken[1].deleted);
    }

    #[test]
    fn what_passes_is_tried_again_and_who_left_is_left_alone() {
        let mut applied = Applied::default();
        let away = Error::Unavailable("x".to_owned());
        assert!(matches!(
            sort(Err(away), RoleId(5), &key(), &mut applied),
            Err(Failure::Retry(_))
        ));
        let left = Error::Gone {
            code: 10007,
            message: "Unknown Member".to_owned(),
        };
        assert!(!sort(Err(left), RoleId(5), &key(), &mut applied).unwrap());
        assert!(applied.left && applied.broken.is_empty());
    }
}
