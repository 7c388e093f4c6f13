//! Long polling: requests updates, handles them, and confirms them by the next request. The updates that a killed process had not
//! confirmed are delivered again.

use std::collections::BTreeMap;
use std::time::Duration;

use arrakis_runtime::HealthComponent;
use futures_util::StreamExt as _;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::bot_api::{CallError, Update};
use crate::handler;
use crate::notices::pause;
use crate::services::Services;

/// Chats whose updates are handled at a time.
const CONCURRENT: usize = 16;
/// Pause after another process has taken the updates over: it would be interrupted at once.
const CONFLICT_PAUSE: Duration = Duration::from_secs(5);

/// Polls until `stop` is cancelled; then it completes and confirms the updates that it has.
pub(crate) async fn run(services: &Services, health: &HealthComponent, stop: CancellationToken) {
    if let Err(error) = services.bot.delete_webhook().await {
        tracing::warn!(%error, "cannot delete the webhook of the bot; if one is set, polls fail with 409 until it is deleted");
    }
    let mut offset = None;
    while !stop.is_cancelled() {
        let polled = tokio::select! {
            polled = services.bot.updates(offset, services.tuning.poll_wait) => polled,
            () = stop.cancelled() => break,
        };
        match polled {
            Ok(updates) => {
                health.up();
                handle_all(services, &updates).await;
                offset = next_offset(&updates).or(offset);
            }
            Err(error) => failed(services, health, &error, &stop).await,
        }
    }
    // Confirms what was handled; the answer's updates stay unconfirmed.
    if offset.is_some()
        && let Err(error) = services.bot.updates(offset, Duration::ZERO).await
    {
        tracing::info!(%error, "the last updates were not confirmed; they are delivered again and not answered again");
    }
}

fn next_offset(updates: &[Box<RawValue>]) -> Option<i64> {
    let newest = updates.iter().filter_map(|update| handler::id(update)).max();
    newest.map(|newest| newest + 1)
}

/// Handles updates: those of one chat in their order, chats concurrently.
async fn handle_all(services: &Services, updates: &[Box<RawValue>]) {
    let mut chats: BTreeMap<Option<i64>, Vec<Update>> = BTreeMap::new();
    for update in updates.iter().filter_map(|raw| handler::decode(services, raw)) {
        chats.entry(handler::chat(&update)).or_default().push(update);
    }
    futures_util::stream::iter(chats.into_values())
        .for_each_concurrent(CONCURRENT, |updates| async move {
            for update in updates {
                handler::handle(services, &update).await;
            }
        })
        .await;
}

async fn failed(services: &Services, health: &HealthComponent, error: &CallError, stop: &CancellationToken) {
    let (time, reason) = match error {
        CallError::Conflict(text) if text.contains("webhook") => {
            if let Err(error) = services.bot.delete_webhook().await {
                tracing::warn!(%error, "cannot delete the webhook of the bot");
            }
            (services.tuning.pause, format!("a webhook is set for this bot: {text}"))
        }
        CallError::Conflict(text) => (
            CONFLICT_PAUSE,
            format!(
                "another process requests the updates of this bot; stop one of them, or set TELEGRAM_WEBHOOK_URL: {text}"
            ),
        ),
        CallError::Limited(time) => (*time, error.to_string()),
        CallError::Token(_) => (CONFLICT_PAUSE, format!("{error}; check TELEGRAM_BOT_TOKEN")),
        _ => (services.tuning.pause, error.to_string()),
    };
    match error {
        CallError::Token(_) => health.down(reason.clone()),
        _ => health.degraded(reason.clone()),
    }
    tracing::warn!(reason, "cannot receive updates; retrying");
    pause(time, stop).await;
}
