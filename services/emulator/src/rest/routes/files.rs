//! Rules for the files of a message: their number, and references to them in `attachments` and components.

use serde_json::Value;

use super::compose::safe_name;
use crate::{
    model::{Message, message::FLAG_COMPONENTS_V2},
    rest::{
        call::UploadedFile,
        errors::{ApiResult, ErrorCode, FieldErrors},
        validate::message::MessageForm,
    },
};

/// Largest number of files of a message.
const MOST: usize = 10;

/// Checks the files of a form; `edited` is the edited message.
///
/// # Errors
/// 30015 for more than ten files, those that an edit keeps included; 50035 for an entry of `attachments` or a component that
/// refers to an absent file.
pub(super) fn check(form: &MessageForm, uploaded: &[UploadedFile], edited: Option<&Message>) -> ApiResult<()> {
    let named = form.attachments.as_value().map_or(&[][..], Vec::as_slice);
    let kept = edited.map_or(&[][..], |message| &message.attachments).iter();
    let kept: Vec<_> = kept
        .filter(|file| !form.attachments.is_given() || named.iter().any(|entry| entry.id == file.id.0))
        .collect();
    if kept.len() + uploaded.len() > MOST {
        return Err(ErrorCode::MaximumAttachments.into());
    }
    let errors = FieldErrors::default();
    for (index, entry) in named.iter().enumerate() {
        let known = uploaded.iter().any(|file| file.index == entry.id)
            || edited.is_some_and(|message| has_file(message, entry.id));
        if !known {
            let at = ["attachments".to_owned(), index.to_string(), "id".to_owned()];
            // The refusal follows from the meaning of `id`; the code is the emulator's own.
            errors.add(
                &[form.path.as_slice(), &at].concat(),
                "ATTACHMENT_NOT_FOUND",
                format!("No file or attachment has the id {}", entry.id),
            );
        }
    }
    let uploaded = uploaded.iter().map(|file| {
        let renamed = named.iter().find(|entry| entry.id == file.index);
        safe_name(
            renamed
                .and_then(|entry| entry.filename.as_deref())
                .unwrap_or(&file.filename),
        )
    });
    let names: Vec<String> = uploaded.chain(kept.iter().map(|file| file.filename.clone())).collect();
    let flags = form.flags.as_value().copied().unwrap_or(0) | edited.map_or(0, |message| message.flags);
    if flags & FLAG_COMPONENTS_V2 != 0
        && let Some(components) = form.components.as_value()
    {
        let mut path = form.path.clone();
        path.push("components".to_owned());
        for (index, component) in components.iter().enumerate() {
            path.push(index.to_string());
            check_component(component, &names, &mut path, &errors);
            path.pop();
        }
    }
    errors.finish(())
}

/// Whether a message has this file: as an attachment, or shown by an embed, which removes it from the attachments.
fn has_file(message: &Message, id: u64) -> bool {
    let place = format!("/attachments/{}/{id}/", message.channel_id);
    let media = message
        .embeds
        .iter()
        .flat_map(|embed| embed.image.iter().chain(&embed.thumbnail));
    message.attachments.iter().any(|file| file.id.0 == id) || media.into_iter().any(|media| media.url.contains(&place))
}

/// Refuses `attachment://name` without a file of this name. The code is from memory.
fn check_component(value: &Value, names: &[String], path: &mut Vec<String>, errors: &FieldErrors) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                path.push(key.clone());
                let name = value.as_str().and_then(|text| text.strip_prefix("attachment://"));
                match name.filter(|_| key == "url") {
                    Some(name) if !names.contains(&safe_name(name)) => errors.add(
                        path,
                        "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
                        "The referenced attachment was not found",
                    ),
                    _ => check_component(value, names, path, errors),
                }
                path.pop();
            }
        }
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                path.push(index.to_string());
                check_component(entry, names, path, errors);
                path.pop();
            }
        }
        _ => {}
    }
}
