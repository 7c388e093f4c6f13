//! Shows what happened outside of the chats. The api leases notices for a minute; one is deleted after it was shown, so a process that
//! ends loses none. Notices are shown independently of each other: a chat that Telegram pauses delays no other chat. Of the notices about
//! one session, the api returns a later one only after the earlier one was deleted, since they edit the same message.
//!
//! The result of a session replaces the message with its link, which may be repeated. Any other notice is a message of its own, claimed
//! for each attempt (`message_claims`). An attempt that outlives its process may have sent the message: it is not sent again, unless the
//! notice protects an account (`Joined`, `Consent`), which is then sent again.

use std::time::Duration;

use arrakis_contracts::telegram::{TakenNotice, TelegramNotice};
use serde::Deserialize as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bot_api::{CallError, Keyboard};
use crate::buttons::Press;
use crate::message_claims::MessageClaim;
use crate::render;
use crate::services::{Delivery, Services, Shared, log_unsent};

/// Notices in progress; above that, no more are taken.
const MAX_IN_PROGRESS: usize = 200;
/// Attempts to send a notice that protects an account, each with an unknown outcome.
const ATTEMPTS: u8 = 3;

/// What became of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoticeResult {
    /// It was shown.
    Shown,
    /// The chat is closed, or the message was refused.
    Closed,
    /// It may not have been sent, and is not sent again.
    Unknown,
    /// It was not shown, and is taken again.
    Kept,
    /// It is of a kind that a newer build has added.
    Unsupported,
}

impl NoticeResult {
    /// The label `result` of `arrakis_telegram_notices_total`.
    const fn label(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
            Self::Kept => "kept",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Takes and shows notices until `stop` is cancelled. Those that it has then are shown, or left for the next process.
pub(crate) async fn run(services: &Shared, stop: CancellationToken) {
    let mut tasks = JoinSet::<()>::new();
    while !stop.is_cancelled() {
        while tasks.try_join_next().is_some() {}
        if tasks.len() >= MAX_IN_PROGRESS {
            tokio::select! {
                _ = tasks.join_next() => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        let taken = tokio::select! {
            taken = services.api.take_notices(services.tuning.notice_wait) => taken,
            () = stop.cancelled() => break,
        };
        match taken {
            Ok(notices) => {
                for notice in notices {
                    let services = services.clone();
                    tasks.spawn(async move { handle(&services, &notice).await });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take notices from the api; retrying");
                pause(services.tuning.pause, &stop).await;
            }
        }
    }
    while tasks.join_next().await.is_some() {}
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
            NoticeResult::Unsupported
        }
    };
    services.metrics.notice(result.label());
    if result == NoticeResult::Kept {
        return;
    }
    if let Err(error) = services.api.delete_notice(taken.id).await {
        // It is taken again: an edit repeats itself, and a message is claimed.
        tracing::warn!(%error, notice.id = %taken.id, "a notice that was shown was not deleted");
    }
}

/// Shows a notice.
async fn show(services: &Services, taken: &TakenNotice, notice: TelegramNotice) -> NoticeResult {
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
            let text = render::consent(&requester, &address, expires_at);
            send_again(services, id, chat, &text, &keyboard).await
        }
        TelegramNotice::Joined { address, discord } => {
            let keyboard = none.press("Separate the accounts", Press::Separate.data());
            send_again(services, id, chat, &render::joined(&discord, &address), &keyboard).await
        }
        TelegramNotice::Separated => send(services, id, chat, &render::separated_in_discord(), &none).await,
    }
}

/// Replaces the message of a session; without one, or when it cannot be edited, the result is a message of its own.
async fn result(services: &Services, id: Uuid, (chat, session): (i64, Uuid), text: &str) -> NoticeResult {
    let none = Keyboard::default();
    let Some(message) = services.message_claims.message(session).await else {
        return send(services, id, chat, text, &none).await;
    };
    match services.bot.edit(chat, message, text, &none).await {
        Ok(()) => NoticeResult::Shown,
        // The user deleted the message.
        Err(CallError::Refused { .. }) => send(services, id, chat, text, &none).await,
        Err(error @ CallError::Forbidden(_)) => {
            log_unsent(&error, "the result of a session");
            NoticeResult::Closed
        }
        Err(error) => {
            log_unsent(&error, "the result of a session");
            NoticeResult::Kept
        }
    }
}

/// Sends a notice at most once.
async fn send(services: &Services, id: Uuid, chat: i64, text: &str, keyboard: &Keyboard) -> NoticeResult {
    match services
        .deliver(MessageClaim::Notice(id, 1), chat, text, keyboard)
        .await
    {
        Delivery::Sent(_) => NoticeResult::Shown,
        Delivery::Claimed => {
            tracing::warn!(notice.id = %id, "a notice was claimed before, so it may have been sent; it is not sent again");
            NoticeResult::Unknown
        }
        Delivery::Failed(error) => {
            log_unsent(&error, "a notice");
            unsent(&error)
        }
        Delivery::Stopped => NoticeResult::Kept,
    }
}

/// Sends a notice that protects an account: after an attempt with an unknown outcome, it is sent again, a few times.
async fn send_again(services: &Services, id: Uuid, chat: i64, text: &str, keyboard: &Keyboard) -> NoticeResult {
    if services.message_claims.is_sent(id).await {
        return NoticeResult::Shown;
    }
    for attempt in 1..=ATTEMPTS {
        let claim = MessageClaim::Notice(id, attempt);
        match services.deliver(claim, chat, text, keyboard).await {
            Delivery::Sent(_) => {
                services.message_claims.set_sent(id).await;
                return NoticeResult::Shown;
            }
            // An earlier attempt, whose outcome is unknown.
            Delivery::Claimed => {}
            // The next attempt follows when the notice is taken again.
            Delivery::Failed(error) if error.is_unknown() && attempt < ATTEMPTS => {
                tracing::warn!(notice.id = %id, %error, "a notice has an unknown outcome; it is sent again, since it protects an account");
                return NoticeResult::Kept;
            }
            Delivery::Failed(error) => {
                log_unsent(&error, "a notice");
                return unsent(&error);
            }
            Delivery::Stopped => return NoticeResult::Kept,
        }
    }
    tracing::warn!(notice.id = %id, "all attempts to send a notice have an unknown outcome; it is not sent again");
    NoticeResult::Unknown
}

/// The result of a notice that is not known to be sent.
const fn unsent(error: &CallError) -> NoticeResult {
    match error {
        CallError::Forbidden(_) | CallError::Refused { .. } => NoticeResult::Closed,
        CallError::Unknown(_) | CallError::Oversized(_) => NoticeResult::Unknown,
        CallError::NotSent(_) | CallError::Limited(_) | CallError::Conflict(_) | CallError::Token(_) => {
            NoticeResult::Kept
        }
    }
}
