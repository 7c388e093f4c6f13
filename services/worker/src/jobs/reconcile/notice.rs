//! The direct message to the server's owner about broken rules: once for each set of them, until the claim is pruned after days. What it
//! says is also in the audit log and in `/reconcile`, so a failure to send it fails nothing: the next reconcile sends it.

use arrakis_db::{Actor, NewAuditEntry};
use serde_json::json;

use super::super::JobRun;
use crate::direct_message::{DirectMessage, DirectOutcome};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::nonced_message::nonce;
use crate::reconcile_report::ReconcileReport;
use crate::render::reconcile as render;

/// Sends the message, if a rule is broken.
pub(super) async fn tell_owner(run: &JobRun<'_>, report: &ReconcileReport) {
    if report.broken.is_empty() {
        return;
    }
    if let Err(failure) = tell(run, report).await {
        tracing::warn!(%failure, "the owner was not notified of broken rules");
    }
}

async fn tell(run: &JobRun<'_>, report: &ReconcileReport) -> Result<(), Failure> {
    let key = key(report);
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    if tx.claim(&format!("{key}#audit")).await? {
        tx.audit(&NewAuditEntry {
            actor: Actor::System("reconcile".to_owned()),
            action: "reconcile.broken_rules",
            subject: run.id,
            reason: None,
            detail: json!({"broken": report.broken}),
        })
        .await?;
    }
    tx.commit().await?;
    let calls = run.services.discord.bulk(Some(run.community.guild()));
    let owner = calls.guild(run.community.guild()).await?.owner_id;
    let text = message(
        render::broken_rules(
            &run.community.render_context(run.services)?,
            &run.community.record.name,
            report,
        ),
        Vec::new(),
    );
    let message = DirectMessage {
        services: run.services,
        community: run.community,
        key: &key,
        user: owner,
        text: &text,
    };
    if let DirectOutcome::Later(why) = message.send().await? {
        tracing::warn!(
            why,
            "the owner was not notified of broken rules; the next reconcile repeats it"
        );
    }
    Ok(())
}

/// The claim of the message about these rules. It contains a hash of their names: an id in the inbox has at most 100 characters.
fn key(report: &ReconcileReport) -> String {
    let mut names: Vec<&str> = report.broken.iter().map(|broken| broken.name.as_str()).collect();
    names.sort_unstable();
    format!("reconcile-broken:{}:{}", names.len(), nonce(&names.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile_report::BrokenRule;

    fn report(names: &[&str]) -> ReconcileReport {
        let broken = names.iter().map(|name| BrokenRule {
            name: (*name).to_owned(),
            reason: "it was deleted".to_owned(),
        });
        ReconcileReport {
            broken: broken.collect(),
            ..ReconcileReport::default()
        }
    }

    #[test]
    fn key_follows_from_the_names_in_any_order_and_fits_into_the_inbox() {
        assert_eq!(
            key(&report(&["role Naib", "role Usul"])),
            key(&report(&["role Usul", "role Naib"]))
        );
        assert_ne!(key(&report(&["role Naib"])), key(&report(&["role Usul"])));
        let long = "role ".repeat(100);
        assert!(key(&report(&[&long])).len() + "#audit".len() <= 100);
    }
}
