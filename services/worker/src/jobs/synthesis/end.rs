//! The end of a synthesis: the tier sync that waits for it, what an admin sees, and the end of the wizard.
//!
//! Safe to repeat: a tier sync that has begun is not changed, an edit of the reply is idempotent, and a failed deploy is counted with a claim
//! in the inbox.

use arrakis_contracts::JobKind;

use super::super::{JobOwner, JobRun, publish};
use super::{AppliedServer, Payload, session_of};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::render::synthesis as render;
use crate::synthesis::{Purpose, ReplyEdit, ReplyHandle};
use crate::wizard::{self, Step};

/// Ends a job whose plan was applied completely: makes the tier sync due that waits for the new roles, replaces the reply of the admin by the
/// result, and, for a deploy, counts the wizard's last step and ends its session. `applied` has the number of steps and what was left out.
///
/// # Errors
/// If Postgres is unavailable. A reply that cannot be edited is no error: the command shows the job's row.
pub(super) async fn succeeded(run: &JobRun<'_>, payload: &Payload, applied: &AppliedServer) -> Result<(), Failure> {
    release(run, payload).await?;
    let context = run.community.render_context(run.services)?;
    let embed = render::done(&context, payload.purpose, applied.steps, &applied.left_out);
    let shown = reply(run).edit(&message(embed, Vec::new())).await;
    if payload.purpose == Purpose::Deploy {
        count_end_of_wizard(run, "left");
        end_session(run, shown).await;
    }
    Ok(())
}

/// Makes what follows from a failure that no further attempt follows. Members lose the roles of the theme before also then: while attempts
/// follow, the tier sync waits.
pub(super) async fn failed(run: &JobRun<'_>, payload: &Payload, error: &str) -> Result<(), Failure> {
    release(run, payload).await?;
    let is_deploy = payload.purpose == Purpose::Deploy;
    if is_deploy {
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        let is_first = tx.claim(&format!("{}#failed", run.id)).await?;
        tx.commit().await?;
        if is_first {
            count_end_of_wizard(run, "failed");
        }
    }
    let context = run.community.render_context(run.services)?;
    let embed = render::failed(&context, payload.purpose, error);
    let shown = reply(run).edit(&message(embed, Vec::new())).await;
    if is_deploy {
        end_session(run, shown).await;
    }
    Ok(())
}

fn reply<'a>(run: &'a JobRun<'_>) -> ReplyHandle<'a> {
    ReplyHandle::new(run.services, run.community.id(), run.id)
}

/// Makes the tier sync due that waits for this job. One that has started already is not changed.
async fn release(run: &JobRun<'_>, payload: &Payload) -> Result<(), Failure> {
    let Some(tier_sync) = &payload.tier_sync else {
        return Ok(());
    };
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let is_waiting = tx.jobs().postpone(tier_sync, run.services.now()).await?;
    tx.commit().await?;
    if is_waiting {
        let owner = JobOwner::Community(run.community.id());
        publish(&run.services.publisher, owner, tier_sync, JobKind::TierSync).await;
    }
    Ok(())
}

/// Counts the end of the wizard's last step.
fn count_end_of_wizard(run: &JobRun<'_>, event: &str) {
    let labels = [Step::Deploy.name(), event];
    run.services.metrics.onboarding.with_label_values(&labels).inc();
}

/// Ends the session of the wizard once its admin was shown the end. Otherwise the next use of the wizard shows it, and ends the session.
async fn end_session(run: &JobRun<'_>, shown: ReplyEdit) {
    if shown == ReplyEdit::Shown
        && let Some(session) = session_of(run.id)
    {
        wizard::end_deployed(run.services, session).await;
    }
}
