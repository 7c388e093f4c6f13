//! Requests that write emoji. <https://discord.com/developers/docs/resources/emoji>

use arrakis_iac::model::{Emoji, Snowflake};
use serde_json::{Value, json};

use super::form::{FieldFilter, Form, FormError, image_data};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Emoji {
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/emojis", context.guild);
        Ok(WriteRequest::post(path, form(self, None, context)?))
    }

    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        _: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/emojis/{id}", context.guild);
        Ok(WriteRequest::patch(path, form(self, Some(fields), context)?))
    }

    fn delete(id: Snowflake, guild: Snowflake) -> Option<WriteRequest> {
        Some(WriteRequest::delete(format!("/guilds/{guild}/emojis/{id}")))
    }

    fn current(_: Snowflake, _: Snowflake, _: &[String]) -> Option<Current> {
        None
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Discord accepts the image only on creation.
fn form(emoji: &Emoji, wanted: FieldFilter<'_>, context: &Context<'_>) -> Result<Form, FormError> {
    let mut form = Form::default();
    form.put(wanted, "name", "name", emoji.name.as_ref(), |name| json!(name));
    form.try_put(wanted, "roles", "roles", emoji.roles.as_ref(), |roles| {
        Ok(json!(context.ids(roles)?))
    })?;
    if wanted.is_none() {
        let image = emoji.image.as_ref().ok_or(FormError::Missing("image"))?;
        form.set("image", image_data(image, context)?);
    }
    Ok(form)
}
