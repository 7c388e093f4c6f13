//! Requests that write stickers. <https://discord.com/developers/docs/resources/sticker>

use arrakis_iac::model::{Snowflake, Sticker};
use serde_json::{Value, json};

use super::form::{Form, FormError, Names};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Sticker {
    fn create(&self, _: &Context<'_>) -> Result<WriteRequest, FormError> {
        Err(FormError::Unsupported(
            "a sticker is uploaded in Discord's settings and then imported",
        ))
    }

    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        _: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/stickers/{id}", context.guild);
        Ok(WriteRequest::patch(path, form(self, Some(fields))))
    }

    fn delete(id: Snowflake, guild: Snowflake) -> Option<WriteRequest> {
        Some(WriteRequest::delete(format!("/guilds/{guild}/stickers/{id}")))
    }

    fn current(_: Snowflake, _: Snowflake, _: &[String]) -> Option<Current> {
        None
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

fn form(sticker: &Sticker, wanted: Names<'_>) -> Form {
    let mut form = Form::default();
    form.put(wanted, "name", "name", sticker.name.as_ref(), |name| json!(name));
    form.put(
        wanted,
        "description",
        "description",
        sticker.description.as_ref(),
        |text| json!(text),
    );
    form.put(wanted, "tags", "tags", sticker.tags.as_ref(), |tags| json!(tags));
    form
}
