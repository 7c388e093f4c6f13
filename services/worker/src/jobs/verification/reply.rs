//! The reply to `/verify start`, edited with the token of its interaction, which the session has. Discord accepts it for 15 minutes, and
//! a session ends one minute before. A reply that cannot be edited any more is left as it is: `/verify status` shows the same.

use arrakis_db::{SessionKey, VerificationSession};
use arrakis_discord::Error;
use arrakis_domain::Address;
use time::{Duration, OffsetDateTime};
use twilight_model::http::interaction::InteractionResponseData;
use uuid::Uuid;

use crate::community::Community;
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::render::verified::{self, VerifiedView};
use crate::render::{Freshness, RenderContext};
use crate::services::Services;

/// How long after the end of its session the token is still used: the minute that is left, less the time of a call. An edit with an
/// expired token counts as an invalid request.
const EDITABLE_AFTER_END: Duration = Duration::seconds(45);

/// Whether the reply was edited, or can never be.
#[derive(Debug, PartialEq, Eq)]
enum Edit {
    Done,
    Impossible,
}

/// Edits the reply to state the result, and deletes the token.
pub(super) async fn show_result(
    services: &Services,
    community: &Community,
    session: Uuid,
    view: &VerifiedView,
) -> Result<(), Failure> {
    let (embed, buttons) = verified::embed(&render_context(services, community)?, view);
    if edit(services, session, &message(embed, buttons)).await? == Edit::Impossible {
        tracing::info!(session.id = %session, "the reply to /verify start cannot be edited any more");
    }
    forget(services, session).await
}

/// Edits the reply to state that the consent of the wallet's holder was requested. The interaction token is kept for the result.
pub(super) async fn show_request(
    services: &Services,
    community: &Community,
    session: &VerificationSession,
    address: Address,
) -> Result<(), Failure> {
    let context = render_context(services, community)?;
    let embed = verified::awaiting_consent(&context, address, session.expires_at);
    edit(services, session.id, &message(embed, Vec::new())).await.map(drop)
}

/// Edits the reply of the account that was refused. A failure is only logged: the wallet page shows the same.
pub(crate) async fn show_refusal(services: &Services, session: &VerificationSession, address: Address) {
    let shown = async {
        let Some(community) = session.community else {
            return Ok(());
        };
        let Some(community) = Community::load(services, community).await? else {
            return Ok(());
        };
        let embed = verified::refused(&render_context(services, &community)?, address);
        edit(services, session.id, &message(embed, Vec::new())).await?;
        forget(services, session.id).await
    };
    if let Err(failure) = shown.await {
        tracing::warn!(%failure, session.id = %session.id, "cannot edit the reply to /verify start to show the refusal");
    }
}

/// Deletes the session's interaction token from PostgreSQL: the reply is not edited any more.
pub(super) async fn forget(services: &Services, session: Uuid) -> Result<(), Failure> {
    let mut tx = services.database.global().await?;
    tx.verification_sessions().forget_interaction(session).await?;
    tx.commit().await?;
    Ok(())
}

async fn edit(services: &Services, session: Uuid, message: &InteractionResponseData) -> Result<Edit, Failure> {
    let now = services.now();
    let mut tx = services.database.global().await?;
    let token = tx.verification_sessions().interaction_of(session).await?;
    let found = tx.verification_sessions().find(SessionKey::Id(session), now).await?;
    tx.commit().await?;
    let (Some(token), Some(found)) = (token, found) else {
        return Ok(Edit::Done);
    };
    if !is_editable(found.expires_at, now) {
        return Ok(Edit::Impossible);
    }
    match services
        .discord
        .interactive(None)
        .edit_original(token.expose(), message)
        .await
    {
        Ok(()) => Ok(Edit::Done),
        // A user deleted the message, or Discord's clock differs.
        Err(Error::Gone { .. } | Error::TokenExpired) => Ok(Edit::Impossible),
        Err(error) => Err(error.into()),
    }
}

fn is_editable(expires_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    now < expires_at + EDITABLE_AFTER_END
}

fn render_context<'a>(services: &Services, community: &'a Community) -> Result<RenderContext<'a>, Failure> {
    let token = &community.record.token;
    Ok(RenderContext {
        theme: &community.theme,
        ladder: community.ladder()?,
        symbol: &token.symbol,
        freshness: Freshness::new(token.last_success_at, services.now(), services.stale_after),
    })
}
