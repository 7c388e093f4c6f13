//! `/status`: the wallets of the account, and the session in progress.

use crate::api::ApiError;
use crate::bot_api::Keyboard;
use crate::render;
use crate::services::Services;

/// The reply to `/status` of this user.
pub(super) async fn run(services: &Services, user: i64) -> Result<(String, Keyboard), ApiError> {
    let status = services.api.account(user).await?;
    Ok((render::status(&status), Keyboard::default()))
}
