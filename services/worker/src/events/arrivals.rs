//! Records joins and departures for the post about them, in the transaction of the claim of their event. Where the theme has no channel
//! for the post, or the post is switched off, nothing is recorded.

use arrakis_db::{NewArrival, PostKind, TenantTx, UserId};

use super::Event;
use crate::community::Community;
use crate::failure::Failure;
use crate::jobs::notify::posts::channel_key;

/// Records a join or a departure.
pub(super) async fn record(
    tx: &mut TenantTx,
    community: &Community,
    event: &Event,
    user: UserId,
    display_name: &str,
    joined: bool,
) -> Result<(), Failure> {
    if channel_key(&community.theme, PostKind::Arrivals).is_none() {
        return Ok(());
    }
    let arrival = NewArrival {
        event: event.id(),
        user,
        display_name,
        joined,
    };
    tx.posts().add_arrival(&arrival).await?;
    Ok(())
}
