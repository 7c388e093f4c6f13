//! Incoming webhooks. Followed channels and interactions of applications have webhooks too; those are left alone.

use serde_json::Value;

use super::unknown::{UnknownValue, Unknowns};
use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{Attributes, Kind, Reference, Webhook};

/// <https://discord.com/developers/docs/resources/webhook#webhook-object-webhook-types>
const INCOMING: wire::Integer = 1;

const CALL: &str = "GET /guilds/{id}/webhooks";

/// Incoming webhooks, and the others by the value of their kind. Of those nothing else is read.
pub(super) fn resources(value: &Value) -> Result<(Vec<LiveResource>, Vec<UnknownValue>), Unreadable> {
    let heads: Vec<wire::Head> = wire::read(CALL, value)?;
    let (mut incoming, mut others) = (Vec::new(), Vec::new());
    for (index, head) in heads.into_iter().enumerate() {
        if head.kind != INCOMING {
            let name = head.name.unwrap_or_default();
            others.push(Unknowns::of(Kind::Webhook, head.id, &name, &mut Vec::new()).value("kind", head.kind));
            continue;
        }
        let webhook: wire::Webhook = wire::read_part(CALL, &format!("[{index}]"), value.get(index))?;
        let attributes = Webhook {
            name: Some(webhook.name.unwrap_or_default()),
            channel: webhook.channel_id.map(Reference::Id),
            avatar: None,
        };
        incoming.push(plain(webhook.id, Attributes::Webhook(attributes)));
    }
    Ok((incoming, others))
}
