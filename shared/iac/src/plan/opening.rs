//! Whether somebody may do something in a channel in between that they may do neither before nor after.

use std::collections::BTreeSet;

use crate::live::Live;
use crate::model::{Kind, Snowflake};

/// Whether a member of the server (with no role, or with any one of them) may do something in a channel at `then` that is
/// denied to them both at `now` and at `outcome`. Members whose only role is gone are members without a role.
pub(super) fn opens(now: &Live, then: &Live, outcome: &Live) -> bool {
    let roles: BTreeSet<Snowflake> = now.of_kind(Kind::Role).map(|role| role.id).collect();
    let mut members: Vec<Option<Snowflake>> = vec![None];
    members.extend(roles.into_iter().filter(|role| *role != now.guild_id).map(Some));
    let channels = then.of_kind(Kind::Channel).chain(then.of_kind(Kind::Category));
    channels.into_iter().any(|found| {
        let Some(channel) = found.attributes.channel() else {
            return false;
        };
        let (Some(before), Some(after)) = (now.channel(found.id), outcome.channel(found.id)) else {
            return false;
        };
        // A channel whose overwrites stay as they are does not change by the removal of a role that it does not name.
        if before.overwrites == channel.overwrites {
            return false;
        }
        members.iter().any(|role| {
            let gained = then
                .member_permissions_in(channel, *role)
                .without(now.member_permissions_in(before, *role));
            !gained.without(outcome.member_permissions_in(after, *role)).is_empty()
        })
    })
}
