//! The buttons by which the holder of a wallet gives it to the account that has signed with it, or keeps it.

use uuid::Uuid;

use crate::api::ApiError;
use crate::render;
use crate::services::Services;

/// Sends the answer of the user who pressed a button to the api. Returns the text that replaces the question.
pub(super) async fn answer(services: &Services, user: i64, session: Uuid, consents: bool) -> Result<String, ApiError> {
    let outcome = services.api.answer(session, user, consents).await?;
    Ok(render::answered(&outcome))
}
