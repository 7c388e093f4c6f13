//! `/verify`: a link to the wallet page. The message is edited once the member has signed (`notices`).

use arrakis_contracts::telegram::SessionStarted;

use crate::api::ApiError;
use crate::bot_api::{Keyboard, User};
use crate::render;
use crate::services::{Handled, Services};

/// Begins a session of this user and sends the link in reply to the update. Of several deliveries of the update at once, one begins a
/// session: another one would end the link that is shown.
pub(super) async fn run(services: &Services, update: i64, chat: i64, user: &User) -> Handled {
    let held = match services.claim_handling(update).await {
        Ok(held) => held,
        Err(handled) => return handled,
    };
    let handled = begin(services, update, chat, user).await;
    if let Some(held) = held {
        services.message_claims.release(held).await;
    }
    handled
}

async fn begin(services: &Services, update: i64, chat: i64, user: &User) -> Handled {
    let started = services.api.start_session(user.id, user.name()).await;
    let (session, link, text) = match started.and_then(|started| check(services, started)) {
        Ok(SessionStarted::Started {
            session,
            link,
            expires_at,
            replaced,
        }) => {
            // Telegram refuses buttons with an address of this machine.
            let has_button = link.starts_with("https://");
            let text = render::link((!has_button).then_some(link.as_str()), expires_at, replaced);
            (Some(session), has_button.then_some(link), text)
        }
        Ok(SessionStarted::TooMany { next_at }) => (None, None, render::too_many(next_at)),
        Ok(SessionStarted::Suspended { until }) => (None, None, render::suspended(until)),
        Err(error) => (None, None, super::unavailable(&error).0),
    };
    let keyboard = link.map_or_else(Keyboard::default, |link| {
        Keyboard::default().link("Open the wallet page", link)
    });
    let (handled, sent) = services.answer(update, chat, &text, &keyboard).await;
    if let (Some(session), Some(sent)) = (session, sent) {
        services.message_claims.set_message(session, sent.message_id).await;
    }
    handled
}

/// A link to another website would be a request to sign there.
fn check(services: &Services, started: SessionStarted) -> Result<SessionStarted, ApiError> {
    if let SessionStarted::Started { link, .. } = &started {
        let page = services.wallet_page.origin();
        let is_ours = url::Url::parse(link).is_ok_and(|link| link.origin() == page);
        if !is_ours {
            return Err(ApiError::Refused(
                "its link is not to VERIFY_BASE_URL; set the same VERIFY_BASE_URL for the api and this service"
                    .to_owned(),
            ));
        }
    }
    Ok(started)
}
