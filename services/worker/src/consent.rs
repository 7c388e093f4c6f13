//! The question to the holder of a wallet that another account has signed with: a direct message, or, where Discord does not deliver
//! that, an ephemeral follow-up to the holder's next command.
//!
//! The session in Postgres is the truth. That a holder is to be reminded is a marker in Redis: without Redis the reminder is left out,
//! and `/verify status` shows the question.

use arrakis_cache::{CacheKey, Ttl};
use arrakis_db::{DbError, SessionAccount, SessionNetwork, UserId, VerificationSession};
use arrakis_verification::{Account, AccountNetwork};
use time::OffsetDateTime;
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use crate::interaction::reply::message;
use crate::render::consent::{ConsentView, question};
use crate::services::Services;

/// The question as a message; `None` for a session without a proven wallet.
pub(crate) fn question_of(session: &VerificationSession) -> Option<InteractionResponseData> {
    let address = session.proof?.address;
    let view = ConsentView {
        session: session.id,
        requester: &session.account_name,
        requester_id: &shown_id(session.account),
        address,
        expires_at: session.expires_at,
    };
    let (embed, buttons) = question(&view);
    Some(message(embed, buttons))
}

/// An id that its owner cannot choose: a mention for Discord.
fn shown_id(account: SessionAccount) -> String {
    match account.network {
        SessionNetwork::Discord => format!("<@{}>", account.id),
        SessionNetwork::Telegram => format!("Telegram user {}", account.id),
    }
}

/// The sessions that wait for the answer of a Discord user.
pub(crate) async fn awaiting(
    services: &Services,
    holder: UserId,
    now: OffsetDateTime,
) -> Result<Vec<VerificationSession>, DbError> {
    let mut tx = services.database.global().await?;
    let sessions = tx
        .verification_sessions()
        .awaiting_consent_of(session_account(holder), now)
        .await?;
    tx.commit().await?;
    Ok(sessions)
}

/// A Discord user as sessions name it.
pub(crate) fn session_account(user: UserId) -> SessionAccount {
    SessionAccount {
        network: SessionNetwork::Discord,
        id: user.get().cast_signed(),
    }
}

/// A Discord user as the verification names it.
pub(crate) const fn account(user: Id<UserMarker>) -> Account {
    Account {
        network: AccountNetwork::Discord,
        id: user.get(),
    }
}

/// Notes that the holder's next command is to be followed by the question.
pub(crate) async fn remind(services: &Services, holder: UserId, until: OffsetDateTime, now: OffsetDateTime) {
    let left = u64::try_from((until - now).whole_seconds()).unwrap_or(0).max(1);
    let ttl = Ttl::of(std::time::Duration::from_secs(left));
    services.cache.set_marker(&marker(holder), ttl).await;
}

/// The question that a command of this user is to be followed by; `None` if there is none, or it cannot be read.
pub(crate) async fn reminder(services: &Services, user: UserId) -> Option<InteractionResponseData> {
    if !services.cache.has_marker(&marker(user)).await {
        return None;
    }
    match awaiting(services, user, services.now()).await {
        Ok(sessions) => sessions.first().and_then(question_of),
        Err(error) => {
            tracing::warn!(%error, "the sessions that wait for a holder's answer cannot be read");
            None
        }
    }
}

/// Notes that the question was shown.
pub(crate) async fn reminded(services: &Services, user: UserId) {
    services.cache.clear_marker(&marker(user)).await;
}

fn marker(holder: UserId) -> CacheKey {
    CacheKey::new("consent-reminder", &[&holder])
}
