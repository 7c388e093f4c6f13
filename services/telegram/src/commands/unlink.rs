//! `/unlink`: replies with a button for each wallet, or one that separates the accounts, and unlinks what is pressed.

use crate::api::ApiError;
use crate::bot_api::Keyboard;
use crate::buttons::Press;
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
            keyboard = keyboard.press(label, Press::Unlink(wallet.address.clone()).data());
        }
    }
    if status.discord || !status.wallets.is_empty() {
        keyboard = keyboard.press("Keep", Press::Keep.data());
    }
    Ok((render::unlink_what(&status), keyboard))
}

/// Unlinks a wallet of the user who pressed its button. Returns the text that replaces the buttons.
pub(super) async fn unlink(services: &Services, user: i64, address: &str) -> Result<String, ApiError> {
    let outcome = services.api.unlink(user, address).await?;
    Ok(render::unlinked(address, outcome))
}

/// Separates the Telegram account of the user from the Discord account. Returns the text that replaces the button. A second press
/// changes nothing.
pub(super) async fn separate(services: &Services, user: i64) -> Result<String, ApiError> {
    let outcome = services.api.separate(user).await?;
    Ok(render::separated(outcome))
}
