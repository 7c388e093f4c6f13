//! The welcome of a member who joins without a verified wallet, where the community has a channel for it.
//!
//! Not sent again within a day to a member who leaves and comes back: a claim `welcome:{user}` in the inbox has the time of the last one.
//! The decision and the claim of the event's own welcome commit together, so a redelivery of the event continues the one that it had
//! decided on.

use std::time::Duration;

use arrakis_db::registry::IdentityRecord;
use arrakis_db::{Actor, NewAuditEntry, TenantTx, UserId};
use serde_json::json;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use super::Event;
use crate::community::Community;
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::nonced_message::{NoncedMessage, NoncedOutcome};
use crate::render::welcome;
use crate::services::Services;

/// Shortest time between two welcomes of one member.
const PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Whether a welcome is to be sent for this join. Claims it in the transaction of the event: a redelivery of the event gets the same
/// answer, another join of the member within a day gets false.
pub(super) async fn decide(
    services: &Services,
    tx: &mut TenantTx,
    community: &Community,
    user: UserId,
    identity: Option<&IdentityRecord>,
    event: &Event,
) -> Result<bool, Failure> {
    let is_on = community.record.welcome_channel.is_some() && services.verification.is_some();
    if !is_on || community.is_frozen() {
        return Ok(false);
    }
    let now = services.now();
    if identity.is_some_and(|record| record.primary().is_some() || record.identity.is_suspended(now)) {
        return Ok(false);
    }
    let profile = tx.profiles().by_user(user).await?;
    if profile.is_none_or(|profile| profile.wallet.is_some() || profile.left_at.is_some()) {
        return Ok(false);
    }
    let (own, last) = (key(event), format!("welcome:{user}"));
    let ages = tx.claim_ages(&[own.clone(), last.clone()]).await?;
    if ages.contains_key(&own) {
        return Ok(true);
    }
    match ages.get(&last) {
        Some(age) if *age < PAUSE => return Ok(false),
        Some(_) => tx.release_claim(&last).await?,
        None => {}
    }
    // False if another worker has just welcomed the member because of another join.
    Ok(tx.claim(&last).await? && tx.claim(&own).await?)
}

/// Sends the welcome that this event decided on, unless it was sent.
pub(super) async fn send(
    services: &Services,
    event: &Event,
    community: &Community,
    user: Id<UserMarker>,
) -> Result<(), Failure> {
    let Some(channel) = community.record.welcome_channel.and_then(Id::new_checked) else {
        return Ok(());
    };
    let record = &community.record;
    let (embed, buttons) = welcome::embed(&community.theme, &record.name, &record.token.symbol);
    let mut welcome = message(embed, buttons);
    welcome.content = Some(format!("<@{user}>"));
    let calls = services
        .discord
        .sync(community.guild())
        .traced(&event.labels.traceparent);
    let key = key(event);
    let message = NoncedMessage {
        services,
        community: Some(community.id()),
        guild: Some(community.guild()),
        key: &key,
    };
    let sent = message
        .send(|nonce| async move { calls.send_message(channel, &welcome, nonce).await.map(drop) })
        .await?;
    if let NoncedOutcome::Refused(error) = sent {
        record_refusal(services, community, &error.to_string()).await?;
    }
    Ok(())
}

fn key(event: &Event) -> String {
    format!("{}#welcome", event.id())
}

/// Records in the audit log that the channel takes no welcome, once a day.
async fn record_refusal(services: &Services, community: &Community, reason: &str) -> Result<(), Failure> {
    let channel = community.record.welcome_channel.unwrap_or_default();
    let guild = community.guild();
    services.metrics.refused_welcomes.inc();
    tracing::warn!(
        guild.id = %guild,
        "Discord refused the welcome in channel {channel} ({reason}); set another: arrakis-worker welcome {guild} --channel ID --by NAME"
    );
    let mut tx = services.database.tenant(community.id()).await?;
    if tx.claim(&format!("welcome-broken:{}", services.now().date())).await? {
        tx.audit(&NewAuditEntry {
            actor: Actor::System("events".to_owned()),
            action: "welcome.broken",
            subject: &channel.to_string(),
            reason: Some(reason),
            detail: json!({}),
        })
        .await?;
    }
    tx.commit().await?;
    Ok(())
}
