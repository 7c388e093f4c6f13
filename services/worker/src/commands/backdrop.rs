//! What every answer of a community is drawn with: its token's symbol and as of when the ranking holds, read in the same
//! transaction as the answer's own data.

use arrakis_db::TenantTx;

use super::CommandError;
use crate::community::Community;
use crate::failure::Failure;
use crate::render::{Freshness, Scene};
use crate::services::Services;

/// Read by [`Backdrop::read`], turned into a [`Scene`] by [`Backdrop::scene`].
#[derive(Debug)]
pub(super) struct Backdrop {
    symbol: String,
    freshness: Freshness,
}

impl Backdrop {
    pub(super) async fn read(
        services: &Services,
        tx: &mut TenantTx,
        community: &Community,
    ) -> Result<Self, CommandError> {
        let token = &community.record.token_profile;
        let face = tx.eligibility().face(token).await?;
        let face = face.ok_or_else(|| Failure::permanent(format!("the token profile {token} does not exist")))?;
        let now = services.now();
        Ok(Self {
            symbol: face.symbol,
            freshness: Freshness::new(face.last_success_at, now, services.stale_after),
        })
    }

    pub(super) fn scene<'a>(&'a self, community: &'a Community) -> Result<Scene<'a>, CommandError> {
        Ok(Scene {
            theme: &community.theme,
            ladder: community.ladder()?,
            symbol: &self.symbol,
            freshness: self.freshness,
        })
    }
}
