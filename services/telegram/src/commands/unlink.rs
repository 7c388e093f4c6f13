//! `/unlink`: replies with a button for each wallet, or one that separates the accounts, and unlinks what is pressed.

use arrakis_contracts::telegram::UnlinkOutcome;

use crate::api::ApiError;
use crate::bot_api::Keyboard;
use crate::buttons::Press;
use crate::message_claims::MessageClaim;
use crate::render;
use crate::services::Services;

/// The reply to `/unlink`: a button for each wallet; with a Discord account, the button that separates the two accounts.
pub(super) async fn show_choices(services: &Services, user: i64) -> Result<(String, Keyboard), ApiError> {
    let status = services.api.account(user).await?;
    let mut keyboard = Keyboard::default();
    if status.suspended {
        return Ok((render::unlink_what(&status), keyboard));
    }
    if status.discord {
        keyboard = keyboard.press("Separate the accounts", Press::Separate.data());
    } else {
        for wallet in &status.wallets {
            let label = format!("Unlink {}", render::short(&wallet.address));
            let unlink = Press::Unlink {
                address: wallet.address.clone(),
                event: wallet.verified_event,
            };
            keyboard = keyboard.press(label, unlink.data());
        }
    }
    if status.discord || !status.wallets.is_empty() {
        keyboard = keyboard.press("Keep", Press::Keep.data());
    }
    Ok((render::unlink_what(&status), keyboard))
}

/// Unlinks a wallet of the user who pressed its button, unless it was unlinked and verified again since the button was shown. Returns the
/// text that replaces the buttons.
pub(super) async fn unlink(services: &Services, user: i64, address: &str, event: u64) -> Result<String, ApiError> {
    let outcome = services.api.unlink(user, address, event).await?;
    Ok(render::unlinked(address, outcome))
}

/// Separates the Telegram account of the user from the Discord account. Returns the text that replaces the button. The press is claimed
/// before the request: one that is delivered again only states what is linked.
pub(super) async fn separate(services: &Services, update: i64, user: i64) -> Result<String, ApiError> {
    let claim = MessageClaim::Effect(update);
    let Some(held) = services.message_claims.claim(claim).await else {
        services.metrics.repeated.inc();
        return state(services, user).await;
    };
    match services.api.separate(user).await {
        // An earlier attempt of this request may have done it.
        Ok((UnlinkOutcome::Already, true)) => Ok(render::separated(UnlinkOutcome::Done)),
        Ok((outcome, _)) => Ok(render::separated(outcome)),
        Err(error @ ApiError::Unknown(_)) => Err(error),
        Err(error) => {
            services.message_claims.release(held).await;
            Err(error)
        }
    }
}

/// States whether the accounts are separated, after a press whose effect is unknown.
async fn state(services: &Services, user: i64) -> Result<String, ApiError> {
    let status = services.api.account(user).await?;
    Ok(if status.discord {
        render::separation_uncertain()
    } else {
        render::separated(UnlinkOutcome::Done)
    })
}
