//! Incoming webhooks. Followed channels and interactions of applications have webhooks too; those are left alone.

use serde_json::Value;

use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{Attributes, Reference, Webhook};

/// <https://discord.com/developers/docs/resources/webhook#webhook-object-webhook-types>
const INCOMING: wire::Integer = 1;

pub(super) fn resources(value: &Value) -> Result<Vec<LiveResource>, Unreadable> {
    let webhooks: Vec<wire::Webhook> = wire::read("GET /guilds/{id}/webhooks", value)?;
    let incoming = webhooks.into_iter().filter(|webhook| webhook.kind == INCOMING);
    Ok(incoming
        .map(|webhook| {
            let attributes = Webhook {
                name: Some(webhook.name.unwrap_or_default()),
                channel: webhook.channel_id.map(Reference::Id),
                avatar: None,
            };
            plain(webhook.id, Attributes::Webhook(attributes))
        })
        .collect())
}
