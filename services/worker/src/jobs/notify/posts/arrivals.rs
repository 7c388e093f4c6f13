//! Joins and departures: those that were not posted yet, in one message.

use arrakis_db::PostKind;
use arrakis_discord::ListedMessage;
use twilight_model::util::Timestamp;
use uuid::Uuid;

use super::{channel, has_title, record_broken, render_context, send, store};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::jobs::JobRun;
use crate::nonced_message::NoncedOutcome;
use crate::render::posts::{self, ARRIVALS};

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
    let composed = composed_at(id);
    let text = message(posts::arrivals(&render_context(run)?, &arrivals, composed), Vec::new());
    let is_it = |message: &ListedMessage| is_composed_at(message, composed);
    let sent = send(run, &format!("arrivals:{id}"), channel, &text, &is_it).await?;
    if let NoncedOutcome::Refused(error) = sent {
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

/// When a message was composed, to the second. Two messages of a community are composed half a minute apart.
fn composed_at(message: Uuid) -> Option<Timestamp> {
    let (seconds, _) = message.get_timestamp()?.to_unix();
    Timestamp::from_secs(seconds.cast_signed()).ok()
}

/// Whether a message is the one that was composed at this time, which its embed states.
fn is_composed_at(message: &ListedMessage, composed: Option<Timestamp>) -> bool {
    let stated = message.embeds[0]["timestamp"].as_str();
    let stated = stated.and_then(|text| Timestamp::parse(text).ok());
    has_title(message, ARRIVALS) && stated.is_some() && stated == composed
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use twilight_model::id::Id;

    use super::*;

    #[test]
    fn message_is_recognised_by_the_time_of_its_composition() {
        let composed = composed_at(Uuid::now_v7());
        let sent = |at: &str| ListedMessage {
            id: Id::new(7),
            components: Value::Null,
            embeds: json!([{"title": ARRIVALS, "timestamp": at}]),
        };
        let stated = composed.unwrap().iso_8601().to_string();
        assert!(is_composed_at(&sent(&stated), composed));
        assert!(!is_composed_at(&sent("2026-11-23T09:00:00.000000+00:00"), composed));
        assert!(!is_composed_at(&sent(""), None));
    }
}
