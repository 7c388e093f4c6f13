//! Compares what should be with what is: members who came or went unseen, roles of the theme that the server lacks or the bot
//! cannot give, members whose roles differ. Repairs by asking for tier syncs, and tells the admins of what it cannot repair.
//!
//! Running it twice, or two at once, is safe: it reads, writes what joins and leaves would have written, and asks for syncs
//! under ids made of its own, so that asking twice makes one. One broken rule is told by name and stops nothing else.

use std::collections::BTreeSet;

use arrakis_contracts::JobKind;
use arrakis_db::{Actor, NewAuditEntry, UserId};
use arrakis_domain::RoleBindings;
use async_trait::async_trait;
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::guild::{Member, Permissions, Role};
use twilight_model::id::Id;
use twilight_model::id::marker::{RoleMarker, UserMarker};

use super::{JobHandler, Planned, Run, enqueue, tier_sync};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::display_name;
use crate::roles::{self, Applied, Broken, difference, measure};

/// Hours between two reconciles of a community.
const EVERY_HOURS: u8 = 6;
/// Progress is noted every so many members.
const NOTE_EVERY: usize = 50;
/// Members in one of Discord's lists.
const LIST: usize = 1_000;
/// With more members to put right than this, the sync is of the whole community and its job need not name them.
const MANY: usize = 1_000;
/// Members who would have left unseen, from which on the list is looked at with suspicion …
const SUSPICIOUS: usize = 20;
/// Discord's clock is known to within a second. Who joined after the list was made must not seem to have left; who left within
/// this time before it is found by the next reconcile.
const UNSURE: time::Duration = time::Duration::seconds(2);
/// Members known here are read by pages of this many.
const PAGE: u32 = 500;

/// `reconcile`.
#[derive(Debug)]
pub struct Reconcile;

/// Id of the reconcile of the present slot: `reconcile:2026-11-21T06`.
pub fn of_slot(now: OffsetDateTime) -> String {
    let hour = now.hour() - now.hour() % EVERY_HOURS;
    format!("reconcile:{}T{hour:02}", now.date())
}

/// Id of a reconcile after events may have been missed: one for each event that says so, however often it comes.
pub fn after_gap(event: &str) -> String {
    format!("reconcile:gap:{event}")
}

/// A reconcile of this id.
pub fn job(id: &str) -> Planned {
    Planned {
        id: id.to_owned(),
        kind: JobKind::Reconcile,
        payload: json!({}),
    }
}

#[async_trait]
impl JobHandler for Reconcile {
    fn kind(&self) -> JobKind {
        JobKind::Reconcile
    }

    async fn run(&self, run: &Run<'_>) -> Result<(), Failure> {
        let calls = run.services.discord.bulk(Some(run.community.guild()));
        let roles = calls.roles(run.community.guild()).await?;
        let asked = run.services.now() - UNSURE;
        let members = calls.members(run.community.guild(), None).await?;
        run.progress(0, Some(members.len())).await?;
        let bindings = check_roles(run, &roles, &members).await?;
        let people: Vec<Member> = members.into_iter().filter(|member| !member.user.bot).collect();
        let left = leaves(run, &people, asked).await?;
        let (joined, differing) = compare(run, &people, &bindings).await?;
        ask_for_syncs(run, people.len(), &differing).await?;
        if left + joined + differing.len() > 0 {
            tracing::info!(left, joined, differing = differing.len(), "reconciled");
        }
        run.progress(people.len(), Some(people.len())).await
    }
}

/// Tells of roles that are gone, or that the bot cannot give; answers the bindings that are left.
async fn check_roles(run: &Run<'_>, roles: &[Role], members: &[Member]) -> Result<RoleBindings, Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let mut bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    // The bot's user has the application's id, but for applications older than 2016.
    let bot = run.services.discord.application().get();
    let bot = members.iter().find(|member| member.user.id.get() == bot);
    let mut found = Applied::default();
    for (key, role) in &bindings {
        let (why, deleted) = match roles.iter().find(|candidate| candidate.id.get() == role.0) {
            None => ("the role was deleted in the server".to_owned(), true),
            Some(role) => match bot.and_then(|bot| obstacle(role, bot, roles, run.community.guild().cast())) {
                Some(why) => (why, false),
                None => continue,
            },
        };
        found.broken.push(Broken {
            key: key.clone(),
            role: Some(*role),
            why,
            deleted,
        });
    }
    roles::record_broken(run.services, run.community, &found).await?;
    let gone: Vec<_> = found
        .broken
        .into_iter()
        .filter(|broken| broken.deleted)
        .map(|broken| broken.key)
        .collect();
    bindings.retain(|key, _| !gone.contains(key));
    Ok(bindings)
}

/// Why the bot cannot give a role. `everyone` is the id of the role that all have, which is the server's.
fn obstacle(role: &Role, bot: &Member, roles: &[Role], everyone: Id<RoleMarker>) -> Option<String> {
    let has = |role: &&Role| role.id == everyone || bot.roles.contains(&role.id);
    let permissions = roles
        .iter()
        .filter(has)
        .fold(Permissions::empty(), |all, role| all | role.permissions);
    if role.managed {
        return Some("it belongs to an integration, and Discord lets nobody give it".to_owned());
    }
    if !permissions.intersects(Permissions::MANAGE_ROLES | Permissions::ADMINISTRATOR) {
        return Some("the bot lacks the permission Manage Roles".to_owned());
    }
    // `Role` is ordered as Discord ranks: the higher is the greater.
    let highest = roles.iter().filter(has).max();
    if highest.is_some_and(|highest| highest > role) {
        return None;
    }
    Some(format!(
        "it stands above the bot's highest role; move the bot's role above \"{}\"",
        role.name
    ))
}

/// Writes down who has left unseen; answers how many. Who joined after the list was asked for is not on it and has not left.
async fn leaves(run: &Run<'_>, people: &[Member], asked: OffsetDateTime) -> Result<usize, Failure> {
    let here: BTreeSet<u64> = people.iter().map(|member| member.user.id.get()).collect();
    let known = known(run).await?;
    let missing: Vec<UserId> = known
        .iter()
        .filter(|user| !here.contains(&user.get()))
        .copied()
        .collect();
    if missing.len() >= SUSPICIOUS && missing.len() * 2 > known.len() {
        // An outage or a fault gives short lists; half a community does not leave between two reconciles.
        tracing::error!(
            missing = missing.len(),
            known = known.len(),
            "the server's list of members is too short to believe"
        );
        return audit(run, "reconcile.list_not_believed", missing.len())
            .await
            .map(|()| 0);
    }
    for chunk in missing.chunks(NOTE_EVERY) {
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        for user in chunk {
            // As a leave that was seen; which of them come first, and how often, changes nothing.
            if tx.profiles().leave(*user, asked).await? {
                tx.audit(&NewAuditEntry {
                    actor: Actor::System("reconcile".to_owned()),
                    action: "member.left",
                    subject: &user.to_string(),
                    reason: Some("found to have left; the event was missed"),
                    detail: json!({}),
                })
                .await?;
            }
        }
        tx.commit().await?;
        for user in chunk {
            run.services.uncache_profile(run.community.id(), *user).await;
        }
    }
    Ok(missing.len())
}

async fn audit(run: &Run<'_>, action: &'static str, count: usize) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    // A job that is begun again tells it once.
    if tx.claim(&format!("{}#{action}", run.id)).await? {
        tx.audit(&NewAuditEntry {
            actor: Actor::System("reconcile".to_owned()),
            action,
            subject: run.id,
            reason: None,
            detail: json!({"missing_members": count}),
        })
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Everybody who is here by our own account.
async fn known(run: &Run<'_>) -> Result<Vec<UserId>, Failure> {
    let token = &run.community.record.token_profile;
    let mut all: Vec<UserId> = Vec::new();
    loop {
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        let page = tx.profiles().standings(token, all.last().copied(), PAGE).await?;
        tx.commit().await?;
        let last = page.len() < PAGE as usize;
        all.extend(page.into_iter().map(|member| member.user));
        if last {
            return Ok(all);
        }
    }
}

/// Members new to us (they are written down), and members whose roles differ.
async fn compare(
    run: &Run<'_>,
    people: &[Member],
    bindings: &RoleBindings,
) -> Result<(usize, Vec<Id<UserMarker>>), Failure> {
    let mut joined = 0;
    let mut differing = Vec::new();
    for (index, chunk) in people.chunks(NOTE_EVERY).enumerate() {
        run.progress(index * NOTE_EVERY, Some(people.len())).await?;
        let now = run.services.now();
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        for member in chunk {
            let user = user_id(member.user.id)?;
            let profile = tx.profiles().by_user(user).await?;
            if profile.is_none_or(|profile| profile.left_at.is_some()) {
                tx.profiles()
                    .join(user, &name(member), joined_at(member).unwrap_or(now))
                    .await?;
                joined += 1;
            }
            let Some(measured) = measure(&mut tx, run.community, user, now).await? else {
                continue;
            };
            if !difference(run.community, &measured, &member.roles, bindings).is_empty() {
                differing.push(member.user.id);
            }
        }
        tx.commit().await?;
    }
    Ok((joined, differing))
}

fn name(member: &Member) -> String {
    member.nick.clone().unwrap_or_else(|| display_name(&member.user))
}

fn joined_at(member: &Member) -> Option<OffsetDateTime> {
    let micros = i128::from(member.joined_at?.as_micros());
    OffsetDateTime::from_unix_timestamp_nanos(micros * 1000).ok()
}

async fn ask_for_syncs(run: &Run<'_>, people: usize, differing: &[Id<UserMarker>]) -> Result<(), Failure> {
    if run.community.is_frozen() {
        return Ok(());
    }
    let community = run.community.id();
    // A sync of one asks Discord for that member, a sync of several for the lists of all: whichever takes fewer calls.
    if differing.len() > people.div_ceil(LIST) {
        let id = format!("tier-sync:{}", run.id);
        let planned = if differing.len() > MANY {
            tier_sync::of_community(id)
        } else {
            tier_sync::of_members(id, differing)
        };
        return enqueue(run.services, community, &planned).await.map(drop);
    }
    for user in differing {
        let planned = tier_sync::of_member(format!("tier-sync:{}:{user}", run.id), *user);
        enqueue(run.services, community, &planned).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn slots_are_six_hours_and_gaps_one() {
        assert_eq!(of_slot(datetime!(2026-11-21 05:59 UTC)), "reconcile:2026-11-21T00");
        assert_eq!(of_slot(datetime!(2026-11-21 06:00 UTC)), "reconcile:2026-11-21T06");
        assert_eq!(of_slot(datetime!(2026-11-21 23:10 UTC)), "reconcile:2026-11-21T18");
        assert_eq!(after_gap("7f3a"), "reconcile:gap:7f3a");
    }
}
