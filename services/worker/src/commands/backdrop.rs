//! What every answer of a community is drawn with: theme and rules, its token's symbol, and as of when the ranking holds.

use super::CommandError;
use crate::community::Community;
use crate::render::{Freshness, Scene};
use crate::services::Services;

/// The scene of a community as it was read for this call.
pub(super) fn scene<'a>(services: &Services, community: &'a Community) -> Result<Scene<'a>, CommandError> {
    let token = &community.record.token;
    Ok(Scene {
        theme: &community.theme,
        ladder: community.ladder()?,
        symbol: &token.symbol,
        freshness: Freshness::new(token.last_success_at, services.now(), services.stale_after),
    })
}
