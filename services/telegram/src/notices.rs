//! Shows what happened outside of the chats. The api leases notices for a minute; one is deleted after it was shown, so a process that
//! dies loses none.
//!
//! The result of a session replaces the message with its link, which may be repeated. Any other notice is a message of its own, claimed
//! before it is sent (`message_claims`): after a crash behind the claim it is not sent again.

use std::time::Duration;

use arrakis_contracts::telegram::{TakenNotice, TelegramNotice};
use futures_util::StreamExt as _;
use serde::Deserialize as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bot_api::{CallError, Keyboard};
use crate::buttons::Press;
use crate::render;
use crate::services::{Services, log_unsent};

/// Notices that are shown at a time. One chat's pause delays no other chat.
const CONCURRENT: usize = 8;

/// Takes and shows notices until `stop` is cancelled; then it completes those that it has.
pub(crate) async fn run(services: &Services, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let taken = tokio::select! {
            taken = services.api.take_notices(services.tuning.notice_wait) => taken,
            () = stop.cancelled() => return,
        };
        match taken {
            Ok(notices) => {
                futures_util::stream::iter(notices)
                    .for_each_concurrent(CONCURRENT, |notice| async move { handle(services, &notice).await })
                    .await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take notices from the api; retrying");
                pause(services.tuning.pause, &stop).await;
            }
        }
    }
}

/// Waits, unless the service stops.
pub(crate) async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

async fn handle(services: &Services, taken: &TakenNotice) {
    let result = match TelegramNotice::deserialize(&taken.notice) {
        Ok(notice) => show(services, taken, notice).await,
        Err(error) => {
            tracing::warn!(%error, notice.id = %taken.id, "a notice of a newer build is not shown; update arrakis-telegram");
            "unsupported"
        }
    };
    services.metrics.notice(result);
    if result == "kept" {
        return;
    }
    if let Err(error) = services.api.delete_notice(taken.id).await {
        // It is taken again: an edit repeats itself, and a message is claimed.
        tracing::warn!(%error, notice.id = %taken.id, "a notice that was shown was not deleted");
    }
}

/// Shows a notice; returns the result for the metric.
async fn show(services: &Services, taken: &TakenNotice, notice: TelegramNotice) -> &'static str {
    let (id, chat) = (taken.id, taken.telegram_user_id);
    let none = Keyboard::default();
    match notice {
        TelegramNotice::Verified {
            session,
            address,
            joined,
        } => result(services, id, (chat, session), &render::verified(&address, joined)).await,
        TelegramNotice::ConsentRequested { session, address } => {
            result(services, id, (chat, session), &render::consent_requested(&address)).await
        }
        TelegramNotice::Refused { session, address } => {
            result(services, id, (chat, session), &render::refused(&address)).await
        }
        TelegramNotice::Consent {
            session,
            requester,
            address,
            expires_at,
        } => {
            let answer = |consents| Press::Answer { session, consents }.data();
            let keyboard = none
                .press("Move the wallet", answer(true))
                .press("Keep it", answer(false));
            send(
                services,
                id,
                chat,
                &render::consent(&requester, &address, expires_at),
                &keyboard,
            )
            .await
        }
        TelegramNotice::Joined { address, discord } => {
            let keyboard = none.press("Separate the accounts", Press::Separate.data());
            send(services, id, chat, &render::joined(&discord, &address), &keyboard).await
        }
        TelegramNotice::Separated => send(services, id, chat, &render::separated_in_discord(), &none).await,
    }
}

/// Replaces the message of a session; without one, or when it cannot be edited, the result is a message of its own.
async fn result(services: &Services, id: Uuid, (chat, session): (i64, Uuid), text: &str) -> &'static str {
    let none = Keyboard::default();
    let Some(message) = services.message_claims.message(session).await else {
        return send(services, id, chat, text, &none).await;
    };
    match services.bot.edit(chat, message, text, &none).await {
        Ok(()) => "shown",
        // The user deleted the message.
        Err(CallError::Refused { .. }) => send(services, id, chat, text, &none).await,
        Err(error @ CallError::Forbidden(_)) => {
            log_unsent(&error, "the result of a session");
            "closed"
        }
        Err(error) => {
            log_unsent(&error, "the result of a session");
            "kept"
        }
    }
}

async fn send(services: &Services, id: Uuid, chat: i64, text: &str, keyboard: &Keyboard) -> &'static str {
    if !services.message_claims.claim_notice(id).await {
        tracing::warn!(notice.id = %id, "a notice was claimed before, so it may have been sent; it is not sent again");
        return "unknown";
    }
    let error = match services.bot.send(chat, text, keyboard).await {
        Ok(_) => return "shown",
        Err(error) => error,
    };
    log_unsent(&error, "a notice");
    match error {
        CallError::Forbidden(_) | CallError::Refused { .. } => "closed",
        CallError::Unknown(_) => "unknown",
        CallError::NotSent(_) | CallError::Limited(_) | CallError::Conflict(_) | CallError::Token(_) => {
            services.message_claims.release_notice(id).await;
            "kept"
        }
    }
}
