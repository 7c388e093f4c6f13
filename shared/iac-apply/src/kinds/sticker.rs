//! Requests that write stickers. <https://discord.com/developers/docs/resources/sticker>

use arrakis_iac::model::{Kind, Snowflake, Sticker};
use serde_json::{Value, json};

use super::form::{FieldFilter, Form, FormError};
use super::{Context, Current, Requests, WriteRequest};
use crate::http::Upload;
use crate::image::{check_image, format, media_type};

impl Requests for Sticker {
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError> {
        let image = self.image.as_ref().ok_or(FormError::Missing("image"))?;
        let refuse = |why: String| FormError::Image {
            path: image.path.clone(),
            why,
        };
        let file = context.images.bytes(image).map_err(refuse)?;
        check_image(Kind::Sticker, &file).map_err(refuse)?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let upload = Upload {
            fields: vec![
                ("name", text(&self.name)),
                ("description", text(&self.description)),
                ("tags", text(&self.tags)),
            ],
            file_name: image.path.rsplit('/').next().unwrap_or_default().to_owned(),
            media_type: format(&file).map_or("", media_type),
            file: file.into(),
        };
        Ok(WriteRequest::upload(
            format!("/guilds/{}/stickers", context.guild),
            upload,
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

fn form(sticker: &Sticker, wanted: FieldFilter<'_>) -> Form {
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
