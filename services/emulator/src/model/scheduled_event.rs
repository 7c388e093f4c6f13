//! Scheduled events. <https://discord.com/developers/docs/resources/guild-scheduled-event>

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use super::{Id, Timestamp};

/// An event. REST adds its creator and the number of interested users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledEvent {
    /// Snowflake of the event.
    pub id: Id,
    /// Server.
    pub guild_id: Id,
    /// Stage or voice channel; `None` for an external event.
    pub channel_id: Option<Id>,
    /// User who created it.
    pub creator_id: Id,
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Start time.
    pub starts: Timestamp,
    /// End time.
    pub ends: Option<Timestamp>,
    /// 1 scheduled, 2 active, 3 completed, 4 cancelled.
    pub status: u8,
    /// 1 stage, 2 voice, 3 external.
    pub entity_type: u8,
    /// Location of an external event.
    pub location: Option<String>,
    /// Hash of the image.
    pub image: Option<String>,
}

impl Serialize for ScheduledEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("id", &self.id)?;
        out.serialize_entry("guild_id", &self.guild_id)?;
        out.serialize_entry("channel_id", &self.channel_id)?;
        out.serialize_entry("creator_id", &self.creator_id)?;
        out.serialize_entry("name", &self.name)?;
        out.serialize_entry("description", &self.description)?;
        out.serialize_entry("scheduled_start_time", &self.starts)?;
        out.serialize_entry("scheduled_end_time", &self.ends)?;
        out.serialize_entry("privacy_level", &2)?;
        out.serialize_entry("status", &self.status)?;
        out.serialize_entry("entity_type", &self.entity_type)?;
        out.serialize_entry("entity_id", &None::<Id>)?;
        let metadata = self.location.as_ref().map(|location| json!({ "location": location }));
        out.serialize_entry("entity_metadata", &metadata)?;
        out.serialize_entry("image", &self.image)?;
        out.serialize_entry("recurrence_rule", &None::<()>)?;
        out.serialize_entry("guild_scheduled_event_exceptions", &[(); 0])?;
        out.end()
    }
}
