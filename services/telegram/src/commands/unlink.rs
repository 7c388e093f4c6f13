//! `/unlink`: asks what is to be unlinked, and unlinks it when its button is pressed.

use crate::api::ApiError;
use crate::bot_api::Keyboard;
use crate::buttons::Press;
use crate::render;
use crate::services::Services;

/// Asks which wallet, or whether the accounts are to be separated.
pub(super) async fn ask(services: &Services, user: i64) -> Result<(String, Keyboard), ApiError> {
    let status = services.api.account(user).await?;
    let mut keyboard = Keyboard::default();
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

/// Unlinks a wallet.
pub(super) async fn unlink(services: &Services, user: i64, address: &str) -> Result<String, ApiError> {
    let outcome = services.api.unlink(user, address).await?;
    Ok(render::unlinked(address, outcome))
}

/// Separates the accounts. A second press finds them separated, and states the same.
pub(super) async fn separate(services: &Services, user: i64) -> Result<String, ApiError> {
    let outcome = services.api.separate(user).await?;
    Ok(render::separated(outcome))
}
