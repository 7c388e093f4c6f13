//! The few fields of an interaction that its labels need. The body of the message stays the unchanged bytes that Discord sent.
//!
//! The gateway (`d` of `INTERACTION_CREATE`) and the interactions endpoint (the body of the request) have the same fields, so an
//! interaction has the same id, routing key and priority whichever way Discord delivers it.

use std::borrow::Cow;

use serde::Deserialize;

use crate::event::EventId;
use crate::routing::{InteractionKind, Route};

/// Gateway name of an interaction; the property `type` of its message.
pub const INTERACTION_CREATE: &str = "INTERACTION_CREATE";
/// The label `session` of an interaction that Discord delivered to the interactions endpoint, where there is no gateway session.
pub const HTTP_SESSION: &str = "http";

/// Number of a PING, with which Discord checks an interactions endpoint.
/// <https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object-interaction-type>
pub const PING: u64 = 1;

/// What labels and routing key need of an interaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InteractionFields {
    /// Id of the interaction, a snowflake.
    pub id: u64,
    /// Number of its type.
    pub kind: u64,
    /// Guild id; `None` in direct messages.
    pub guild: Option<u64>,
    /// Routing key and priority.
    pub route: Route,
}

/// Why the fields of an interaction cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InteractionFieldsError {
    /// It is not JSON in the form of an interaction.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    /// Its id is no snowflake.
    #[error("the interaction has no id that is a snowflake")]
    Id,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: u64,
    #[serde(borrow, default)]
    guild_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize, Default)]
struct Data<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    custom_id: Option<Cow<'a, str>>,
}

impl InteractionFields {
    /// Reads the fields of an interaction.
    ///
    /// # Errors
    /// When it is not JSON in the form of an interaction, or its id is no snowflake.
    pub fn read(body: &[u8]) -> Result<Self, InteractionFieldsError> {
        let read: Payload<'_> = serde_json::from_slice(body)?;
        let data = read.data.unwrap_or_default();
        let name = data.name.as_deref().unwrap_or_default();
        let custom_id = data.custom_id.as_deref().unwrap_or_default();
        // https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object-interaction-type
        let kind = match read.kind {
            2 => InteractionKind::Command(name),
            3 => InteractionKind::Component(custom_id),
            4 => InteractionKind::Autocomplete(name),
            5 => InteractionKind::Modal(custom_id),
            other => InteractionKind::Other(other),
        };
        Ok(Self {
            id: read.id.parse().map_err(|_| InteractionFieldsError::Id)?,
            kind: read.kind,
            guild: read.guild_id.and_then(|id| id.parse().ok()),
            route: Route::of_interaction(kind),
        })
    }

    /// Id of the event: the same from the gateway and from the interactions endpoint.
    pub fn event_id(&self) -> EventId {
        EventId::of_interaction(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> InteractionFields {
        InteractionFields::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn fields_of_a_command_are_read() {
        let fields = read(
            r#"{"id":"42","type":2,"token":"t","guild_id":"7","data":{"name":"position","options":[{"name":"x"}]}}"#,
        );
        assert_eq!((fields.id, fields.kind, fields.guild), (42, 2, Some(7)));
        assert_eq!(
            (fields.route.key.as_str(), fields.route.priority),
            ("interaction.command.position", 10)
        );
        assert_eq!(fields.event_id(), EventId::of_interaction(42));
    }

    #[test]
    fn ping_has_no_data() {
        let fields = read(r#"{"id":"42","type":1,"application_id":"1","version":1}"#);
        assert_eq!((fields.kind, fields.guild), (PING, None));
    }

    #[test]
    fn invalid_payload_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            r#"{"id":"42"}"#,
            r#"{"id":42,"type":2}"#,
            r#"{"id":"42","type":"2"}"#,
        ] {
            let error = InteractionFields::read(text.as_bytes()).unwrap_err();
            assert!(matches!(error, InteractionFieldsError::Malformed(_)), "{text}: {error}");
        }
        let error = InteractionFields::read(br#"{"id":"-1","type":2}"#).unwrap_err();
        assert!(matches!(error, InteractionFieldsError::Id), "{error}");
    }
}
