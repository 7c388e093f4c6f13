//! The change of a community's plan: the plan, the grace period of a theme that it does not include, and the audit entry.

use arrakis_domain::{Plan, Theme};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::{Actor, DbError, NewAuditEntry, TenantTx};

/// How long a theme stays in use that the community's plan does not include, unless an operator sets another time.
pub const THEME_GRACE: Duration = Duration::days(14);

/// A change of a community's plan.
#[derive(Debug)]
pub struct PlanChange<'a> {
    /// The new plan.
    pub plan: Plan,
    /// The theme of the community.
    pub theme: &'a Theme,
    /// How long a theme stays in use that the plan does not include. `None`: until the end of a grace period that has begun, else for
    /// [`THEME_GRACE`].
    pub grace: Option<Duration>,
    /// Who changes it.
    pub actor: Actor,
    /// The reason, for the audit log.
    pub reason: Option<&'a str>,
    /// The present time.
    pub now: OffsetDateTime,
}

/// Result of [`TenantTx::change_plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanChanged {
    /// The plan before.
    pub before: Plan,
    /// Until when the theme stays in use; `None` where the plan includes it.
    pub theme_until: Option<OffsetDateTime>,
}

impl TenantTx {
    /// Changes the plan of the community, which the caller has locked. Repeated without [`PlanChange::grace`], it does not extend a grace
    /// period. Where [`PlanChanged::theme_until`] is set, the caller stores the job that tells the admins.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist.
    pub async fn change_plan(&mut self, change: PlanChange<'_>) -> Result<PlanChanged, DbError> {
        let stored = self.communities().get().await?;
        let begun = stored.as_ref().and_then(|stored| stored.theme_grace_until);
        let until = match (change.grace, begun) {
            (Some(grace), _) => change.now + grace,
            (None, Some(begun)) => begun,
            (None, None) => change.now + THEME_GRACE,
        };
        // In whole seconds, which the column, the audit log and a message keep alike.
        let until = until.replace_nanosecond(0).unwrap_or(until);
        let theme_until = (!change.plan.includes(change.theme)).then_some(until);
        self.communities()
            .set_plan(change.plan, change.theme.plan, theme_until)
            .await?;
        // The line above fails without a community.
        let before = stored.map_or(change.plan, |stored| stored.plan);
        self.audit(&NewAuditEntry {
            actor: change.actor,
            action: "community.plan",
            subject: change.plan.as_str(),
            reason: change.reason,
            detail: json!({
                "before": before.as_str(),
                "theme": change.theme.id.as_str(),
                "theme_until": theme_until.map(OffsetDateTime::unix_timestamp),
            }),
        })
        .await?;
        Ok(PlanChanged { before, theme_until })
    }
}
