//! Changes the theme of a community.
//!
//! A change stores the theme with a rule set of it, also in the manifest of a managed server, cancels a pending change of the rule set, ends
//! the bindings of roles that the new theme does not give by rules, and enqueues the tier sync that takes these roles from all members and
//! evaluates the members by the new rules. All of it commits together.
//!
//! On a managed server, a synthesis creates and binds the roles of the new theme first, and makes the tier sync due at its end. So members get
//! the new roles when they lose the old ones. A role of both themes that the synthesis binds to another role of the server is added to those
//! that the tier sync takes (`jobs/synthesis/bindings.rs`). A tier sync whose synthesis does not end runs after [`SYNTHESIS_WAIT`].

use arrakis_db::{Actor, DbError, NewAuditEntry, RuleChangeEnd, TenantTx, VersionCause};
use arrakis_domain::{RoleBindings, RoleKey, RuleSetId, Theme};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::configuration;
use crate::jobs::{JobRequest, synthesis, tier_sync};
use crate::synthesis::{Manifest, Purpose};

/// How long a tier sync waits for the synthesis that binds the new roles.
const SYNTHESIS_WAIT: Duration = Duration::minutes(15);

/// A change of a community's theme.
#[derive(Debug)]
pub(crate) struct ThemeChange<'a> {
    /// The present theme; `None` if it does not exist any more: no roles of it are removed then.
    pub(crate) from: Option<&'a Theme>,
    /// The new theme.
    pub(crate) to: &'a Theme,
    /// Rule set of the new theme.
    pub(crate) rule_set: &'a RuleSetId,
    /// Who changes it.
    pub(crate) actor: Actor,
    /// The reason, for the audit log.
    pub(crate) reason: Option<&'a str>,
    /// The present time.
    pub(crate) now: OffsetDateTime,
}

impl ThemeChange<'_> {
    /// Stores the change with the jobs that follow, whose ids end with `name`. Returns the first of them, whose message the caller publishes
    /// after the commit: the synthesis of a managed server, the tier sync of another.
    ///
    /// # Errors
    /// If Postgres is unavailable; a violation of [`arrakis_db::PLAN_CONSTRAINT`] if the community's plan does not include the theme.
    pub(crate) async fn store(self, tx: &mut TenantTx, name: &str) -> Result<JobRequest, DbError> {
        let (now, to, by) = (self.now, self.to, configuration::name_of(&self.actor));
        let (sync, is_managed) = self.store_settings(tx, name).await?;
        let cause = VersionCause {
            cause: "theme",
            by: &by,
            at: now,
        };
        configuration::record_with_theme(tx, to, cause).await?;
        if !is_managed {
            tx.jobs().enqueue(&sync.row(now)).await?;
            return Ok(sync);
        }
        tx.jobs().enqueue(&sync.row(now + SYNTHESIS_WAIT)).await?;
        let synthesis = synthesis::request_before(format!("synthesis:{name}"), Purpose::Repair, &sync.id);
        tx.jobs().enqueue(&synthesis.row(now)).await?;
        Ok(synthesis)
    }

    /// The same for a caller that enqueues a synthesis of its own and records the configuration. Returns the id of the tier sync, which that
    /// synthesis makes due ([`synthesis::request_before`]).
    ///
    /// # Errors
    /// As [`ThemeChange::store`].
    pub(crate) async fn store_before_synthesis(self, tx: &mut TenantTx, name: &str) -> Result<String, DbError> {
        let due_at = self.now + SYNTHESIS_WAIT;
        let (sync, _) = self.store_settings(tx, name).await?;
        tx.jobs().enqueue(&sync.row(due_at)).await?;
        Ok(sync.id)
    }

    /// Stores all but the jobs. Returns the tier sync, and whether the server is managed.
    async fn store_settings(self, tx: &mut TenantTx, name: &str) -> Result<(JobRequest, bool), DbError> {
        let to = self.to;
        tx.communities().set_theme(&to.id, to.plan, self.rule_set).await?;
        // Rule sets belong to their theme.
        if let Some(pending) = tx.rule_changes().pending().await? {
            tx.rule_changes().end(pending.id, RuleChangeEnd::Cancelled).await?;
        }
        let is_managed = change_manifest(tx, to, self.rule_set).await?;
        let bindings = tx.communities().role_bindings().await?;
        let retired = retired(self.from, to, &bindings);
        for role in retired.values() {
            tx.communities().unbind_role(*role).await?;
        }
        let entry = NewAuditEntry {
            actor: self.actor,
            action: "community.theme",
            subject: to.id.as_str(),
            reason: self.reason,
            detail: json!({
                "before": self.from.map(|from| from.id.as_str()),
                "retired_roles": retired.keys().map(RoleKey::as_str).collect::<Vec<_>>(),
            }),
        };
        tx.audit(&entry).await?;
        Ok((
            tier_sync::after_role_change(format!("tier-sync:{name}"), &retired),
            is_managed,
        ))
    }
}

/// Changes the manifest of a managed server to the theme. Existing roles stay for the roles that the theme has. False for a server that is
/// not managed, and for a manifest of a later build, which cannot be read.
async fn change_manifest(tx: &mut TenantTx, to: &Theme, rule_set: &RuleSetId) -> Result<bool, DbError> {
    let Some(stored) = tx.manifests().latest().await? else {
        return Ok(false);
    };
    let mut manifest = match Manifest::read(&stored.manifest) {
        Ok(manifest) => manifest,
        Err(failure) => {
            tracing::error!(%failure, "the manifest keeps the theme before");
            return Ok(false);
        }
    };
    to.id.as_str().clone_into(&mut manifest.theme);
    rule_set.as_str().clone_into(&mut manifest.rule_set);
    manifest
        .roles
        .retain(|key, _| to.roles.iter().any(|role| role.key.as_str() == key));
    tx.manifests().put(&manifest.to_value(), "theme-change").await?;
    Ok(true)
}

/// The bound roles that members had by rules of the theme `from` and that no rule of `to` gives.
fn retired(from: Option<&Theme>, to: &Theme, bindings: &RoleBindings) -> RoleBindings {
    let Some(from) = from else {
        return RoleBindings::new();
    };
    let automatic = from.roles.iter().filter(|role| role.given_to.is_automatic());
    let is_given = |key: &RoleKey| to.role(key).is_some_and(|role| role.given_to.is_automatic());
    automatic
        .filter(|role| !is_given(&role.key))
        .filter_map(|role| Some((role.key.clone(), *bindings.get(&role.key)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use arrakis_domain::RoleId;
    use arrakis_themes::Registry;

    use super::*;

    #[test]
    fn roles_that_both_themes_have_are_not_retired() {
        let themes = Registry::load(None).unwrap();
        let (sietch, basic) = (themes.theme("sietch").unwrap(), themes.theme("basic").unwrap());
        let bindings: RoleBindings = sietch
            .roles
            .iter()
            .zip(1..)
            .map(|(role, id)| (role.key.clone(), RoleId(id)))
            .collect();
        let retired = retired(Some(sietch), basic, &bindings);
        let has = |key: &str| retired.contains_key(&RoleKey::new(key).unwrap());
        assert!(has("naib") && has("hajra") && has("taqwa"));
        assert!(!has("veteran"), "both have it");
        assert!(!has("shai-hulud"), "no member has the bot's role by rule");
        assert!(super::retired(None, basic, &bindings).is_empty());
    }
}
