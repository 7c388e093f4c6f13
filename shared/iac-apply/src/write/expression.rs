//! Forms of emoji, stickers and webhooks.

use arrakis_iac::model::{Emoji, Image, Sticker, Webhook};
use serde_json::{Value, json};

use super::Context;
use super::form::{Form, FormError, Names};
use crate::picture::data_uri;

pub(super) fn picture(image: &Image, context: &Context<'_>) -> Result<Value, FormError> {
    let bytes = context.pictures.bytes(image);
    let uri = bytes.and_then(|bytes| data_uri(&bytes));
    uri.map(Value::from).map_err(|why| FormError::Picture {
        path: image.path.clone(),
        why,
    })
}

/// Discord does not take another picture later, so it goes only when all goes.
pub(super) fn emoji(emoji: &Emoji, wanted: Names<'_>, context: &Context<'_>) -> Result<Form, FormError> {
    let mut form = Form::default();
    form.put(wanted, "name", "name", emoji.name.as_ref(), |name| json!(name));
    form.try_put(wanted, "roles", "roles", emoji.roles.as_ref(), |roles| {
        Ok(json!(context.ids(roles)?))
    })?;
    if wanted.is_none() {
        let image = emoji.image.as_ref().ok_or(FormError::Missing("image"))?;
        form.set("image", picture(image, context)?);
    }
    Ok(form)
}

pub(super) fn sticker(sticker: &Sticker, wanted: Names<'_>) -> Form {
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

/// The channel of a new webhook is in the path.
pub(super) fn webhook(webhook: &Webhook, wanted: Names<'_>, context: &Context<'_>) -> Result<Form, FormError> {
    let mut form = Form::default();
    form.put(wanted, "name", "name", webhook.name.as_ref(), |name| json!(name));
    form.try_put(wanted, "avatar", "avatar", webhook.avatar.as_ref(), |image| {
        picture(image, context)
    })?;
    if wanted.is_some() {
        form.try_put(wanted, "channel", "channel_id", webhook.channel.as_ref(), |channel| {
            Ok(json!(context.id(channel)?.to_string()))
        })?;
    }
    Ok(form)
}
