//! Gives members the roles of their tiers: one member, some, or a whole community.
//!
//! Running it twice, or two at once, is safe: measuring writes what it finds, whoever has the right roles is passed over, and
//! giving a role that is there changes nothing. For the same reason a run that was cut off needs no bookmark: the next one
//! reads Discord's lists again (a call for a thousand members) and has to change only what is left. A part that gives its
//! place to others says where the next goes on, so that the end is reached however many members there are.

use std::collections::BTreeSet;
use std::time::Instant;

use arrakis_contracts::JobKind;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use twilight_model::guild::Member;
use twilight_model::id::Id;
use twilight_model::id::marker::{RoleMarker, UserMarker};

use super::{JobHandler, PART, Planned, Run, enqueue};
use crate::community::user_id;
use crate::failure::Failure;
use crate::roles::{self, Applied, difference, measure};

/// Progress is noted every so many members.
const NOTE_EVERY: usize = 20;
/// A sync that has not come to its end after so many parts has a fault that another part will not mend.
const MOST_PARTS: u32 = 1_000;

/// `tier-sync`.
#[derive(Debug)]
pub struct TierSync;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    /// One member.
    user: Option<Id<UserMarker>>,
    /// These members; the whole community without.
    users: Option<BTreeSet<Id<UserMarker>>>,
    /// Which part of a long sync this is, from 0.
    #[serde(default)]
    part: u32,
    /// The last member of the part before: Discord lists members in the order of their ids.
    after: Option<Id<UserMarker>>,
}

/// A sync of one member.
pub fn of_member(id: String, user: Id<UserMarker>) -> Planned {
    Planned {
        id,
        kind: JobKind::TierSync,
        payload: json!({"user": user}),
    }
}

/// A sync of these members. It asks Discord for the lists of members, a call for a thousand, where a sync of each would be a
/// call and a place among the jobs under way for each: a server's role changes are limited to one a second, so that a few
/// servers would have all the places.
pub fn of_members(id: String, users: &[Id<UserMarker>]) -> Planned {
    Planned {
        id,
        kind: JobKind::TierSync,
        payload: json!({"users": users}),
    }
}

/// A sync of a whole community.
pub fn of_community(id: String) -> Planned {
    Planned {
        id,
        kind: JobKind::TierSync,
        payload: json!({}),
    }
}

#[async_trait]
impl JobHandler for TierSync {
    fn kind(&self) -> JobKind {
        JobKind::TierSync
    }

    async fn run(&self, run: &Run<'_>) -> Result<(), Failure> {
        let payload = Payload::deserialize(run.payload)
            .map_err(|why| Failure::permanent(format!("the payload is no tier sync's: {why}")))?;
        if run.community.is_frozen() {
            tracing::info!("the community is frozen: no role is changed");
            return Ok(());
        }
        match payload.user {
            Some(user) => one(run, user).await,
            None => several(run, &payload).await,
        }
    }
}

async fn one(run: &Run<'_>, user: Id<UserMarker>) -> Result<(), Failure> {
    let calls = run.services.discord.sync(run.community.guild());
    let Some(member) = calls.member(run.community.guild(), user).await? else {
        return Ok(());
    };
    let applied = sync(run, user, &member.roles).await?;
    roles::record_broken(run.services, run.community, &applied).await
}

/// Everybody, or who is wanted.
async fn several(run: &Run<'_>, payload: &Payload) -> Result<(), Failure> {
    let calls = run.services.discord.bulk(Some(run.community.guild()));
    let mut members = calls.members(run.community.guild(), payload.after).await?;
    let wanted = payload.users.as_ref();
    members.retain(|member| !member.user.bot && wanted.is_none_or(|users| users.contains(&member.user.id)));
    // The list may have taken longer than a part: at least one member is put right in each.
    let began = Instant::now();
    let mut broken = Applied::default();
    for (done, member) in members.iter().enumerate() {
        if done % NOTE_EVERY == 0 {
            run.progress(done, Some(members.len())).await?;
        }
        let applied = sync(run, member.user.id, &member.roles).await?;
        for role in applied.broken {
            // Once for each role, not for each member.
            if !broken.broken.contains(&role) {
                broken.broken.push(role);
            }
        }
        let (_, rest) = members.split_at(done + 1);
        if began.elapsed() > PART && !rest.is_empty() {
            roles::record_broken(run.services, run.community, &broken).await?;
            return go_on_later(run, payload, member.user.id, rest).await;
        }
    }
    run.progress(members.len(), Some(members.len())).await?;
    roles::record_broken(run.services, run.community, &broken).await
}

async fn go_on_later(run: &Run<'_>, payload: &Payload, after: Id<UserMarker>, rest: &[Member]) -> Result<(), Failure> {
    let next = payload.part + 1;
    if next > MOST_PARTS {
        return Err(Failure::permanent(format!("not done after {MOST_PARTS} parts")));
    }
    let base = run.id.split('+').next().unwrap_or(run.id);
    let mut left = json!({"part": next, "after": after});
    if payload.users.is_some() {
        left["users"] = rest.iter().map(|member| json!(member.user.id)).collect();
    }
    let planned = Planned {
        id: format!("{base}+{next}"),
        kind: JobKind::TierSync,
        payload: left,
    };
    enqueue(run.services, run.community.id(), &planned).await?;
    tracing::info!(next = planned.id, "the rest goes on as a job of its own");
    Ok(())
}

/// Measures one member and makes the roles so.
async fn sync(run: &Run<'_>, user: Id<UserMarker>, actual: &[Id<RoleMarker>]) -> Result<Applied, Failure> {
    let (services, community) = (run.services, run.community);
    let known = user_id(user)?;
    let mut tx = services.database.tenant(community.id()).await?;
    let measured = measure(&mut tx, community, known, services.now()).await?;
    let bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    let Some(measured) = measured else {
        return Ok(Applied::default());
    };
    if measured.tier_changed {
        services.uncache_profile(community.id(), known).await;
    }
    let difference = difference(community, &measured, actual, &bindings);
    let calls = services.discord.sync(community.guild());
    roles::change(services, &calls, community, user, &difference, "tier sync").await
}
