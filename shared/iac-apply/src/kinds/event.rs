//! Requests that write scheduled events. <https://discord.com/developers/docs/resources/guild-scheduled-event>

use arrakis_iac::model::{Clearable, Event, EventLocation, Snowflake};
use serde_json::{Value, json};

use super::form::{FieldFilter, Form, FormError, image_data, is_wanted, text_or_null};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Event {
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/scheduled-events", context.guild);
        Ok(WriteRequest::post(path, form(self, None, context)?))
    }

    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        _: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/scheduled-events/{id}", context.guild);
        Ok(WriteRequest::patch(path, form(self, Some(fields), context)?))
    }

    fn delete(id: Snowflake, guild: Snowflake) -> Option<WriteRequest> {
        Some(WriteRequest::delete(format!("/guilds/{guild}/scheduled-events/{id}")))
    }

    fn current(_: Snowflake, _: Snowflake, _: &[String]) -> Option<Current> {
        None
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Visible to members of the server; Discord has no other level.
const GUILD_ONLY: u64 = 2;

fn form(event: &Event, wanted: FieldFilter<'_>, context: &Context<'_>) -> Result<Form, FormError> {
    let mut form = Form::default();
    form.put(wanted, "name", "name", event.name.as_ref(), |name| json!(name));
    form.put(
        wanted,
        "description",
        "description",
        event.description.as_ref(),
        |text| text_or_null(text),
    );
    form.put(wanted, "start", "scheduled_start_time", event.start.as_ref(), |time| {
        json!(time.to_string())
    });
    form.put(wanted, "end", "scheduled_end_time", event.end.as_ref(), |time| {
        json!(time.value().map(ToString::to_string))
    });
    form.try_put(wanted, "image", "image", event.image.as_ref(), |image| {
        image_data(image, context)
    })?;
    if wanted.is_none() {
        form.set("privacy_level", GUILD_ONLY);
    }
    if let Some(place) = &event.place
        && is_wanted(wanted, "place")
    {
        form.set("entity_type", place.discord_number());
        let (channel, location) = match place {
            EventLocation::Stage(channel) | EventLocation::Voice(channel) => {
                (json!(context.id(channel)?.to_string()), Value::Null)
            }
            EventLocation::External(location) => (Value::Null, json!({ "location": location })),
        };
        form.set("channel_id", channel);
        form.set("entity_metadata", location);
        // Discord requires the end of an event with an external location.
        if let Some(Clearable::Set(end)) = event.end.filter(|_| place.discord_number() == 3) {
            form.set("scheduled_end_time", end.to_string());
        }
    }
    Ok(form)
}
