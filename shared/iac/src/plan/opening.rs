//! Detects steps that temporarily grant permissions that members have neither before nor after the plan.

use std::collections::BTreeSet;

use crate::live::LiveServer;
use crate::model::{Kind, Snowflake};

/// Whether a member (without roles, or with one role) has a permission in a channel at `then` that they have neither at `now`
/// nor at `outcome`. Members whose only role is deleted count as members without roles.
pub(super) fn opens(now: &LiveServer, then: &LiveServer, outcome: &LiveServer) -> bool {
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
