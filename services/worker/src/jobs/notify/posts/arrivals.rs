//! Joins and departures: those that were not posted yet, in one message.

use arrakis_db::PostKind;
use uuid::Uuid;

use super::{channel, record_broken, render_context, send, store};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::jobs::JobRun;
use crate::nonced_message::NoncedOutcome;
use crate::render::posts;

const KIND: PostKind = PostKind::Arrivals;

/// Posts what is not posted, once.
pub(super) async fn write(run: &JobRun<'_>) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let mut post = tx.posts().get(KIND).await?;
    let composed = tx.posts().compose_arrivals(Uuid::now_v7()).await?;
    let Some(id) = composed else {
        return Ok(());
    };
    let arrivals = tx.posts().arrivals_of(id).await?;
    tx.commit().await?;
    if !post.enabled {
        return finish(run, id).await;
    }
    let Some(channel) = channel(run, KIND, &mut post).await? else {
        return finish(run, id).await;
    };
    let text = message(posts::arrivals(&render_context(run)?, &arrivals), Vec::new());
    if let NoncedOutcome::Refused(error) = send(run, &format!("arrivals:{id}"), channel, &text).await? {
        record_broken(run, KIND, &error.to_string()).await?;
    }
    post.checked_at = Some(run.services.now());
    store(run, KIND, &post).await?;
    finish(run, id).await
}

async fn finish(run: &JobRun<'_>, id: Uuid) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    tx.posts().finish_arrivals(id).await?;
    tx.commit().await?;
    Ok(())
}
