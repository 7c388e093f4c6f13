//! Incoming webhooks. Followed channels and interactions of applications have webhooks too; those are left alone.

use serde::Deserialize;
use serde_json::Value;

use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{Attributes, Reference, Snowflake, Webhook};

/// <https://discord.com/developers/docs/resources/webhook#webhook-object-webhook-types>
const INCOMING: u64 = 1;

#[derive(Deserialize)]
struct Wire {
    id: Snowflake,
    #[serde(rename = "type")]
    kind: u64,
    channel_id: Option<Snowflake>,
    name: Option<String>,
}

pub(super) fn resources(value: &Value) -> Result<Vec<LiveResource>, Unreadable> {
    let webhooks: Vec<Wire> = wire::read("webhooks", value)?;
    let incoming = webhooks.into_iter().filter(|webhook| webhook.kind == INCOMING);
    Ok(incoming
        .map(|webhook| {
            let attributes = Webhook {
                name: webhook.name,
                channel: webhook.channel_id.map(Reference::Id),
                avatar: None,
            };
            plain(webhook.id, Attributes::Webhook(attributes))
        })
        .collect())
}
