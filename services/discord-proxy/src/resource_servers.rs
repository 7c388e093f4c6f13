//! The servers of channels and webhooks, whose paths do not state them.
//!
//! While a community is frozen, the server of a structural write decides whether it is sent. A caller states a tenant, which may be another one
//! than that of the channel, so the proxy asks Discord. A channel and a webhook never move to another server, and Discord uses an id once: what
//! is known stays true.

use std::collections::HashMap;
use std::fmt;

use arrakis_discord_http::Response;
use http::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;

/// Most resources that are known. Beyond it all are forgotten, and requested again.
const MAX_KNOWN: usize = 10_000;
/// Discord's error codes of a channel and of a webhook that does not exist.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>
const UNKNOWN: [u64; 2] = [10_003, 10_015];

/// A resource of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// A channel or a thread.
    Channel(u64),
    /// A webhook, by its id without a token.
    Webhook(u64),
}

impl fmt::Display for Resource {
    /// The path of the resource below `/api/v10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(id) => write!(f, "/channels/{id}"),
            Self::Webhook(id) => write!(f, "/webhooks/{id}"),
        }
    }
}

/// What is known about a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It belongs to this server.
    Server(u64),
    /// It belongs to none, or does not exist.
    NoServer,
}

/// The known servers.
#[derive(Debug, Default)]
pub(crate) struct ResourceServers(Mutex<HashMap<Resource, Owner>>);

/// The fields of a channel, of a webhook and of an error that are read.
#[derive(Debug, Deserialize)]
struct ResourceBody {
    #[serde(default)]
    guild_id: Option<String>,
    #[serde(default)]
    code: Option<u64>,
}

impl ResourceServers {
    /// What is known about a resource.
    pub(crate) fn owner(&self, resource: Resource) -> Option<Owner> {
        self.0.lock().get(&resource).copied()
    }

    /// Records Discord's response to a GET of the resource. One that shows nothing has no effect.
    pub(crate) fn record(&self, resource: Resource, response: &Response) {
        let Some(owner) = owner_of(response) else { return };
        let mut known = self.0.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(resource, owner);
    }
}

fn owner_of(response: &Response) -> Option<Owner> {
    let body: ResourceBody = serde_json::from_slice(&response.body).ok()?;
    if response.status.is_success() {
        return match body.guild_id {
            Some(id) => id.parse().ok().map(Owner::Server),
            None => Some(Owner::NoServer),
        };
    }
    let is_unknown = body.code.is_some_and(|code| UNKNOWN.contains(&code));
    (response.status == StatusCode::NOT_FOUND && is_unknown).then_some(Owner::NoServer)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    #[test]
    fn response_that_shows_no_server_is_not_taken_for_one() {
        let owner = |status: u16, body: &'static str| {
            owner_of(&Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
            })
        };
        assert_eq!(owner(200, r#"{"id":"1","guild_id":"7"}"#), Some(Owner::Server(7)));
        assert_eq!(owner(200, r#"{"id":"1","type":1}"#), Some(Owner::NoServer));
        assert_eq!(owner(404, r#"{"code":10003}"#), Some(Owner::NoServer));
        assert_eq!(owner(404, r#"{"code":0}"#), None);
        assert_eq!(owner(403, r#"{"code":50001}"#), None);
        assert_eq!(owner(200, r#"{"guild_id":"x"}"#), None);
        assert_eq!(owner(502, "<html>"), None);
    }
}
