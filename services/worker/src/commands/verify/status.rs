//! `/verify status`: the member's wallets, rank and session in progress; and the question of an account that requests one of the wallets.

use arrakis_db::registry::TelegramUserId;
use arrakis_db::{SessionState, VerificationSession};
use arrakis_domain::Zones;
use time::OffsetDateTime;

use super::{CommandContext, identity, wallets};
use crate::community::user_id;
use crate::consent;
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::render::suspended::Suspended;
use crate::render::verify::{SessionStage, StatusView, status};

/// Replies with the member's wallets, rank and session; with a request for one of the wallets, also the question and its buttons.
pub(super) async fn run(context: &CommandContext<'_>) -> CommandResult {
    let token = &context.community()?.record.token_profile;
    let user = user_id(context.invocation.author.id)?;
    let now = context.services.now();
    let record = identity(context, user).await?;
    let (ranking, session, asked) = {
        let mut tx = context.tx().await?;
        let ranking = tx.profiles().ranking_position(token, user, Zones::STANDARD).await?;
        let mut sessions = tx.verification_sessions();
        let account = consent::session_account(user);
        let session = sessions.current_of(account, now).await?;
        (ranking, session, sessions.awaiting_consent_of(account, now).await?)
    };
    let wallets = wallets(record.as_ref());
    let telegram = record
        .as_ref()
        .and_then(|record| record.identity.telegram_user)
        .map(TelegramUserId::get);
    let view = StatusView {
        wallets: &wallets,
        suspended: record.and_then(|record| Suspended::of(&record.identity, now)),
        standing: ranking.standing,
        entry: ranking.entry,
        session: session.as_ref().and_then(stage),
        telegram,
    };
    let (embed, buttons) = status(&context.render_context()?, &view);
    let mut reply = message(embed, buttons);
    // The question comes with its own buttons.
    if !asked.is_empty() {
        consent::reminded(context.services, user).await;
    }
    if let Some(question) = asked.first().and_then(consent::question_of) {
        reply
            .embeds
            .get_or_insert_default()
            .extend(question.embeds.unwrap_or_default());
        reply
            .components
            .get_or_insert_default()
            .extend(question.components.unwrap_or_default());
    }
    Ok(Reply::Message(reply))
}

fn stage(session: &VerificationSession) -> Option<(SessionStage, OffsetDateTime)> {
    let stage = match session.state {
        SessionState::Open => SessionStage::Open,
        SessionState::Signed => SessionStage::HeldByAnother,
        SessionState::AwaitingConsent => SessionStage::AwaitingConsent,
        SessionState::Completed | SessionState::Refused | SessionState::Replaced | SessionState::Expired => {
            return None;
        }
    };
    Some((stage, session.expires_at))
}
