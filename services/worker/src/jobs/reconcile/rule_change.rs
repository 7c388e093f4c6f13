//! Changes of the rule set: the preview, the grace period, the messages to those affected.
//!
//! A confirmed change is a row and a job that is due when it takes effect; until then the rules before it are in force. A change that was
//! cancelled or replaced meanwhile does nothing. Both jobs may run twice: the row ends once, and a member gets one message about the
//! same rules on the same day. A change whose
//! job has failed is put into force by the next reconcile. While Discord accepts no messages, the next part of the messages waits.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use arrakis_contracts::JobKind;
use arrakis_db::{Actor, DbError, NewAuditEntry, RuleChange, RuleChangeEnd, TenantTx, UserId, VersionCause};
use arrakis_domain::{Ladder, RuleSetId};
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::id::Id;
use uuid::Uuid;

use super::super::{JobOwner, JobRequest, JobRun, PART, publish, tier_sync};
use super::{MESSAGES_LATER, enqueue_at};
use crate::community::Community;
use crate::configuration;
use crate::direct_message::{DirectMessage, DirectOutcome};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::render::rules as render;
use crate::rule_preview::{RulePreview, TierMove};
use crate::services::Services;
use crate::synthesis::Manifest;

/// Profiles in one page.
const PAGE: u32 = 500;
/// Pause between two direct messages: Discord restricts bots that open many.
const MESSAGE_PAUSE: Duration = Duration::from_secs(2);
/// Most parts of the messages about one change.
const MAX_PARTS: u32 = 500;
/// A change that is not in force this long after its time has a job that has failed.
const OVERDUE: time::Duration = time::Duration::hours(1);

/// The job that puts a change into force.
pub(crate) fn due(change: Uuid) -> JobRequest {
    JobRequest {
        id: format!("rule-change:{change}"),
        kind: JobKind::Reconcile,
        payload: json!({"rule_change": change}),
    }
}

/// The job that tells those affected by a change.
pub(crate) fn announcement(change: Uuid) -> JobRequest {
    JobRequest {
        id: format!("rule-change:{change}:tell"),
        kind: JobKind::Reconcile,
        payload: json!({"announce": change}),
    }
}

/// What would change for the members if the rules were these. Protected members keep their roles under any rules and are left out.
///
/// # Errors
/// If Postgres is unavailable, or the theme has no rules.
pub(crate) async fn preview(
    services: &Services,
    community: &Community,
    rules: &Ladder,
) -> Result<RulePreview, Failure> {
    let now = community.ladder()?;
    let mut preview = RulePreview::default();
    let mut after = None;
    loop {
        let page = page(services, community, after).await?;
        let is_last = page.len() < PAGE as usize;
        after = page.last().map(|member| member.user);
        for member in page {
            if member.protected || member.left_at.is_some() {
                continue;
            }
            let (from, to) = (now.tier_of(member.standing), rules.tier_of(member.standing));
            match rules.compare(from, to) {
                Ordering::Greater => preview.lose.push(TierMove {
                    user: member.user,
                    name: member.display_name,
                    before: from.cloned(),
                    after: to.cloned(),
                }),
                Ordering::Less => preview.gain += 1,
                Ordering::Equal => preview.same += 1,
            }
        }
        if is_last {
            return Ok(preview);
        }
    }
}

async fn page(
    services: &Services,
    community: &Community,
    after: Option<UserId>,
) -> Result<Vec<arrakis_db::MemberStanding>, DbError> {
    let mut tx = services.database.tenant(community.id()).await?;
    let page = tx
        .profiles()
        .standings(&community.record.token_profile, after, PAGE)
        .await?;
    tx.commit().await?;
    Ok(page)
}

/// The rule set of this id and its tier rules; `None` if the theme has none of this id.
pub(crate) fn ladder_of<'a>(community: &'a Community, rule_set: &RuleSetId) -> Option<&'a Ladder> {
    community.theme.rule_sets.get(rule_set)
}

/// Puts a pending change into force, and enqueues a tier sync of all members.
pub(super) async fn put_into_force(run: &JobRun<'_>, change: Uuid) -> Result<(), Failure> {
    let sync = tier_sync::for_community(format!("tier-sync:{}", run.id));
    let now = run.services.now();
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    // In the order of a press that replaces the change.
    tx.communities().lock().await?;
    let Some(pending) = tx
        .rule_changes()
        .pending()
        .await?
        .filter(|pending| pending.id == change)
    else {
        tx.commit().await?;
        tracing::info!(%change, "the change of the rule set is not pending any more");
        return Ok(());
    };
    // Another run, or an admin who cancels it, may end it at this moment.
    if !tx.rule_changes().end(change, RuleChangeEnd::Applied).await? {
        return Ok(());
    }
    tx.communities().set_rule_set(&pending.rule_set).await?;
    change_manifest(&mut tx, &pending).await?;
    tx.audit(&NewAuditEntry {
        actor: Actor::System("reconcile".to_owned()),
        action: "rules.changed",
        subject: pending.rule_set.as_str(),
        reason: None,
        detail: json!({"before": run.community.record.rule_set.as_str(), "requested_by": pending.requested_by.to_string()}),
    })
    .await?;
    tx.jobs().enqueue(&sync.row(now)).await?;
    let cause = VersionCause {
        cause: "rules",
        by: &pending.requested_by.to_string(),
        at: now,
    };
    configuration::record(&mut tx, &run.services.themes, cause).await?;
    tx.commit().await?;
    let owner = JobOwner::Community(run.community.id());
    publish(&run.services.publisher, owner, &sync.id, sync.kind).await;
    Ok(())
}

/// Changes the rule set in the manifest of a managed server. A manifest of a later build, which cannot be read, stays as it is: the members
/// are evaluated by the settings of the community.
async fn change_manifest(tx: &mut TenantTx, change: &RuleChange) -> Result<(), DbError> {
    let Some(stored) = tx.manifests().latest().await? else {
        return Ok(());
    };
    match Manifest::read(&stored.manifest) {
        Ok(mut manifest) => {
            change.rule_set.as_str().clone_into(&mut manifest.rule_set);
            let by = change.requested_by.to_string();
            tx.manifests().put(&manifest.to_value(), &by).await.map(drop)
        }
        Err(failure) => {
            tracing::error!(%failure, "the manifest keeps the rule set before");
            Ok(())
        }
    }
}

/// Puts a change into force whose job has failed: it is pending long after its time.
pub(super) async fn put_overdue_into_force(run: &JobRun<'_>) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let pending = tx.rule_changes().pending().await?;
    tx.commit().await?;
    match pending.filter(|pending| pending.effective_at + OVERDUE < run.services.now()) {
        Some(overdue) => put_into_force(run, overdue.id).await,
        None => Ok(()),
    }
}

/// Tells those who lose a tier by a pending change, one by one, until the part is over or Discord accepts no more messages.
pub(super) async fn tell_affected(
    run: &JobRun<'_>,
    change: Uuid,
    after: Option<u64>,
    part: u32,
) -> Result<(), Failure> {
    let Some(pending) = pending(run, change).await? else {
        return Ok(());
    };
    let rules = ladder_of(run.community, &pending.rule_set)
        .ok_or_else(|| Failure::permanent(format!("the theme has no rule set {}", pending.rule_set)))?;
    let mut affected = preview(run.services, run.community, rules).await?.lose;
    affected.retain(|member| after.is_none_or(|after| member.user.get() > after));
    let started = Instant::now();
    let (now, mut last) = (run.services.now(), after);
    for (done, member) in affected.iter().enumerate() {
        run.progress(done, Some(affected.len())).await?;
        if self::pending(run, change).await?.is_none() {
            tracing::info!(%change, "the change of the rule set is not pending any more");
            return Ok(());
        }
        if let DirectOutcome::Later(why) = tell(run, &pending, member).await? {
            tracing::warn!(
                why,
                "Discord accepts no messages at the moment; the next part continues"
            );
            return enqueue_next_part(run, change, last, part + 1, now + MESSAGES_LATER).await;
        }
        last = Some(member.user.get());
        let has_more = done + 1 < affected.len();
        if has_more && started.elapsed() > PART {
            return enqueue_next_part(run, change, last, part + 1, now).await;
        }
        tokio::time::sleep(MESSAGE_PAUSE).await;
    }
    run.progress(affected.len(), Some(affected.len())).await
}

/// The change, if it is still pending: an admin may cancel or replace it at any time.
async fn pending(run: &JobRun<'_>, change: Uuid) -> Result<Option<RuleChange>, DbError> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let pending = tx.rule_changes().pending().await?;
    tx.commit().await?;
    Ok(pending.filter(|pending| pending.id == change))
}

/// Enqueues the part that tells those behind `after`, due at this time.
async fn enqueue_next_part(
    run: &JobRun<'_>,
    change: Uuid,
    after: Option<u64>,
    part: u32,
    due_at: OffsetDateTime,
) -> Result<(), Failure> {
    if part > MAX_PARTS {
        return Err(Failure::permanent(format!("not complete after {MAX_PARTS} parts")));
    }
    let first = announcement(change);
    let request = JobRequest {
        id: format!("{}+{part}", first.id),
        kind: first.kind,
        payload: json!({"announce": change, "after": after, "part": part}),
    };
    enqueue_at(run, &request, due_at).await
}

async fn tell(run: &JobRun<'_>, change: &RuleChange, member: &TierMove) -> Result<DirectOutcome, Failure> {
    let Some(user) = Id::new_checked(member.user.get()) else {
        return Ok(DirectOutcome::Ended);
    };
    let context = run.community.render_context(run.services)?;
    let embed = render::notice(&context, &run.community.record.name, member, change.effective_at);
    let message = DirectMessage {
        services: run.services,
        community: run.community,
        // A change that an admin cancels and confirms again is no news.
        key: &format!(
            "rule-change:{}:{}:{}",
            change.rule_set,
            change.effective_at.date(),
            member.user
        ),
        user,
        text: &message(embed, Vec::new()),
    };
    message.send().await
}
