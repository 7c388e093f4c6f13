//! Themes that a community's plan does not include: begins a grace period where there is none, and replaces the theme when it is over. Each
//! comes with a job that tells the admins.
//!
//! Safe to repeat: a claim, which commits with the change, names the grace period. The community is locked before it is changed, so that a
//! change of the plan by an operator at the same moment is not overwritten. A frozen community keeps its theme until the freeze ends, since
//! roles would not follow.

use arrakis_db::{Actor, Community, CommunityId, NewAuditEntry, THEME_GRACE, TenantTx};
use arrakis_domain::Theme;
use serde_json::json;
use time::OffsetDateTime;

use crate::failure::Failure;
use crate::jobs::reconcile::theme_grace;
use crate::jobs::{self, JobOwner, JobRequest};
use crate::services::Services;
use crate::theme_change::ThemeChange;

/// Checks the plan of each community. A community whose settings are corrupt is logged and left out.
///
/// # Errors
/// If Postgres is unavailable; the next run repeats it.
pub(super) async fn check(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    for (_, community) in services.database.routes().await? {
        match check_one(services, community, now).await {
            Ok(()) => {}
            Err(Failure::Permanent(error)) => {
                tracing::error!(%community, %error, "the plan of a community is not checked");
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

async fn check_one(services: &Services, community: CommunityId, now: OffsetDateTime) -> Result<(), Failure> {
    let mut tx = services.database.tenant(community).await?;
    let record = tx.communities().get().await?;
    if !record.is_some_and(|record| is_due(services, &record, now)) {
        return Ok(());
    }
    tx.communities().lock().await?;
    // Read again: it may have been changed before it was locked.
    let record = tx.communities().get().await?;
    let Some(record) = record.filter(|record| is_due(services, record, now)) else {
        return Ok(());
    };
    let Ok(theme) = services.themes.theme(record.theme.as_str()) else {
        return Ok(());
    };
    let jobs = match record.theme_grace_until {
        None => begin(&mut tx, &record, theme, now).await?,
        Some(until) => end(services, &mut tx, &record, theme, (until, now)).await?,
    };
    tx.commit().await?;
    for job in jobs {
        jobs::publish(&services.publisher, JobOwner::Community(community), &job.id, job.kind).await;
    }
    Ok(())
}

/// Whether a grace period is to begin or has ended.
fn is_due(services: &Services, record: &Community, now: OffsetDateTime) -> bool {
    let theme = services.themes.theme(record.theme.as_str());
    let is_outside = theme.is_ok_and(|theme| !record.plan.includes(theme));
    is_outside && record.frozen.is_none() && record.theme_grace_until.is_none_or(|until| until <= now)
}

/// Begins the grace period of a theme that came into use without one. Returns the job that follows.
async fn begin(
    tx: &mut TenantTx,
    record: &Community,
    theme: &Theme,
    now: OffsetDateTime,
) -> Result<Vec<JobRequest>, Failure> {
    let until = now + THEME_GRACE;
    tx.communities().set_plan(record.plan, theme.plan, Some(until)).await?;
    tx.audit(&NewAuditEntry {
        actor: Actor::System("plans".to_owned()),
        action: "community.theme_grace",
        subject: theme.id.as_str(),
        reason: Some("the plan does not include the theme"),
        detail: json!({"plan": record.plan.as_str(), "until": until.unix_timestamp()}),
    })
    .await?;
    let messages = theme_grace::begun(&theme.id, until);
    tx.jobs().enqueue(&messages.row(now)).await?;
    Ok(vec![messages])
}

/// Replaces the theme, once for each grace period. Returns the jobs that follow.
async fn end(
    services: &Services,
    tx: &mut TenantTx,
    record: &Community,
    theme: &Theme,
    (until, now): (OffsetDateTime, OffsetDateTime),
) -> Result<Vec<JobRequest>, Failure> {
    let slot = until.unix_timestamp();
    if !tx.claim(&format!("theme-grace:{slot}")).await? {
        return Ok(Vec::new());
    }
    let to = services
        .themes
        .fallback(record.plan)
        .ok_or_else(|| Failure::permanent(format!("no theme is in the plan {}", record.plan)))?;
    let change = ThemeChange {
        from: Some(theme),
        to,
        rule_set: &to.default_rules,
        actor: Actor::System("plans".to_owned()),
        reason: Some("the grace period after a change of the plan is over"),
        now,
    };
    let first = change.store(tx, &format!("theme:{slot}")).await?;
    let messages = theme_grace::ended(&theme.id, &to.id, until);
    tx.jobs().enqueue(&messages.row(now)).await?;
    tracing::info!(community = %record.id, theme = %theme.id, "the grace period of a theme is over; it is replaced");
    Ok(vec![first, messages])
}
