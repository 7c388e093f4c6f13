//! Requests that write webhooks. <https://discord.com/developers/docs/resources/webhook>

use arrakis_iac::model::{Snowflake, Webhook};
use serde_json::{Value, json};

use super::form::{FieldFilter, Form, FormError, image_data};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Webhook {
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError> {
        let channel = self.channel.as_ref().ok_or(FormError::Missing("channel"))?;
        let path = format!("/channels/{}/webhooks", context.id(channel)?);
        Ok(WriteRequest::post(path, form(self, None, context)?))
    }

    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        _: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        Ok(WriteRequest::patch(
            format!("/webhooks/{id}"),
            form(self, Some(fields), context)?,
        ))
    }

    fn delete(id: Snowflake, _: Snowflake) -> Option<WriteRequest> {
        Some(WriteRequest::delete(format!("/webhooks/{id}")))
    }

    fn current(_: Snowflake, _: Snowflake, _: &[String]) -> Option<Current> {
        None
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The channel of a new webhook is in the path.
fn form(webhook: &Webhook, wanted: FieldFilter<'_>, context: &Context<'_>) -> Result<Form, FormError> {
    let mut form = Form::default();
    form.put(wanted, "name", "name", webhook.name.as_ref(), |name| json!(name));
    form.try_put(wanted, "avatar", "avatar", webhook.avatar.as_ref(), |image| {
        image_data(image, context)
    })?;
    if wanted.is_some() {
        form.try_put(wanted, "channel", "channel_id", webhook.channel.as_ref(), |channel| {
            Ok(json!(context.id(channel)?.to_string()))
        })?;
    }
    Ok(form)
}
