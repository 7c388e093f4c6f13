//! Builds a message from a validated message form: mentions, embeds and stored attachments. The module `files`
//! decides which files a message may have.
//!
//! Channel messages, interaction responses and webhooks all use this module. Each of those callers checks the
//! sender's permissions itself.

use serde_json::Value;

use super::{
    cdn::{dimensions, guess_type},
    files,
};
use crate::{
    model::{
        Attachment, Embed, Id, Message, Permissions,
        message::{FLAG_COMPONENTS_V2, FLAG_SUPPRESS_EMBEDS, FLAG_SUPPRESS_NOTIFICATIONS},
    },
    rest::{
        call::{Call, UploadedFile},
        errors::{ApiResult, ErrorCode},
        validate::{
            form::FormField,
            message::{AllowedMentions, AttachmentForm, MessageForm},
        },
    },
    world::State,
};

/// Flags that a sender may set on a new message, without the ephemeral one.
const SENDER_FLAGS: u64 = FLAG_SUPPRESS_EMBEDS | FLAG_SUPPRESS_NOTIFICATIONS | FLAG_COMPONENTS_V2;

/// Refuses a new message that is empty or whose files are not valid.
///
/// # Errors
/// 50006; those of [`files::check`].
pub(super) fn check_new(form: &MessageForm, uploaded: &[UploadedFile]) -> ApiResult<()> {
    if form.is_empty() && uploaded.is_empty() && form.forwarded().is_none() {
        return Err(ErrorCode::CannotSendEmptyMessage.into());
    }
    files::check(form, uploaded, None)
}

/// Fills a new message from its form. `mentions_all` is whether its author may mention @everyone and every role.
pub(super) fn fill(state: &mut State, message: &mut Message, form: &MessageForm, call: &Call, mentions_all: bool) {
    message.flags |= form.flags.as_value().copied().unwrap_or(0) & SENDER_FLAGS;
    message.tts = form.tts;
    message.nonce.clone_from(&form.nonce);
    if let FormField::Value(content) = &form.content {
        message.content.clone_from(content);
    }
    set_parts(message, form);
    let named = form.attachments.as_value().map_or(&[][..], Vec::as_slice);
    message.attachments = store_files(state, message, &call.body.files, named, call.cdn());
    resolve_attachment_urls(message);
    set_mentions(state, message, form.allowed_mentions.as_value(), mentions_all);
}

/// Applies an edit form to a message.
///
/// # Errors
/// 50006 when the message would be empty; those of [`files::check`].
pub(super) fn edit(state: &mut State, message: &mut Message, form: &MessageForm, call: &Call) -> ApiResult<()> {
    files::check(form, &call.body.files, Some(message))?;
    if let FormField::Value(flags) = form.flags {
        let editable = FLAG_SUPPRESS_EMBEDS | FLAG_COMPONENTS_V2;
        message.flags =
            (message.flags & !FLAG_SUPPRESS_EMBEDS) | (flags & editable) | (message.flags & FLAG_COMPONENTS_V2);
    }
    match &form.content {
        FormField::Absent => {}
        FormField::Null => message.content.clear(),
        FormField::Value(content) => message.content.clone_from(content),
    }
    set_parts(message, form);
    let named = form.attachments.as_value().map_or(&[][..], Vec::as_slice);
    let added = store_files(state, message, &call.body.files, named, call.cdn());
    if form.attachments.is_given() {
        message
            .attachments
            .retain(|kept| named.iter().any(|wanted| wanted.id == kept.id.0));
    }
    message.attachments.extend(added);
    resolve_attachment_urls(message);
    let shows = !message.content.is_empty()
        || !message.embeds.is_empty()
        || !message.components.is_empty()
        || !message.attachments.is_empty()
        || message.snapshot.is_some();
    if !shows {
        return Err(ErrorCode::CannotSendEmptyMessage.into());
    }
    if form.content.is_given() {
        set_mentions(state, message, form.allowed_mentions.as_value(), false);
    }
    Ok(())
}

fn set_parts(message: &mut Message, form: &MessageForm) {
    match &form.embeds {
        FormField::Absent => {}
        FormField::Null => message.embeds.clear(),
        FormField::Value(embeds) => message.embeds = embeds.iter().filter_map(to_embed).collect(),
    }
    match &form.components {
        FormField::Absent => {}
        FormField::Null => message.components.clear(),
        FormField::Value(components) => message.components.clone_from(components),
    }
}

fn to_embed(value: &Value) -> Option<Embed> {
    serde_json::from_value(value.clone())
        .inspect_err(|error| tracing::error!(%error, "a validated embed does not fit the model"))
        .ok()
}

fn store_files(
    state: &mut State,
    message: &Message,
    files: &[UploadedFile],
    named: &[AttachmentForm],
    cdn: &str,
) -> Vec<Attachment> {
    files
        .iter()
        .map(|file| {
            let id = state.next_id();
            let form = named.iter().find(|form| form.id == file.index);
            let filename = safe_name(form.and_then(|form| form.filename.as_deref()).unwrap_or(&file.filename));
            state.blobs.insert(id.to_string(), file.bytes.clone());
            let url = format!("{cdn}/attachments/{}/{id}/{filename}", message.channel_id);
            let size = dimensions(&file.bytes);
            Attachment {
                id,
                description: form.and_then(|form| form.description.clone()),
                content_type: Some(file.content_type.clone().unwrap_or_else(|| guess_type(&filename))),
                size: file.bytes.len(),
                proxy_url: url.clone(),
                url,
                width: size.map(|(width, _)| width),
                height: size.map(|(_, height)| height),
                ephemeral: message.is_ephemeral(),
                filename,
            }
        })
        .collect()
}

/// Discord keeps only letters, digits, dots, dashes and underscores of a file name.
pub(super) fn safe_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let safe: String = base
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || ".-_".contains(character) {
                character
            } else {
                '_'
            }
        })
        .collect();
    if safe.is_empty() { "unknown".to_owned() } else { safe }
}

/// Replaces `attachment://name` by the URL of the file; an image of an embed gets the file's alternative text. Files shown by embeds are removed from the list of attachments.
fn resolve_attachment_urls(message: &mut Message) {
    let attachments = message.attachments.clone();
    let file = |url: &str| {
        let name = url.strip_prefix("attachment://")?;
        attachments.iter().find(|file| file.filename == safe_name(name))
    };
    let mut shown: Vec<Id> = Vec::new();
    for embed in &mut message.embeds {
        for media in embed.image.iter_mut().chain(embed.thumbnail.iter_mut()) {
            if let Some(found) = file(&media.url) {
                shown.push(found.id);
                media.url.clone_from(&found.url);
                media.description.clone_from(&found.description);
            }
        }
        let icons = embed.author.iter_mut().filter_map(|author| author.icon_url.as_mut());
        let foot = embed.footer.iter_mut().filter_map(|footer| footer.icon_url.as_mut());
        for url in icons.chain(foot) {
            if let Some(found) = file(url) {
                shown.push(found.id);
                url.clone_from(&found.url);
            }
        }
    }
    for component in &mut message.components {
        resolve_in(component, &|url| file(url).map(|found| found.url.clone()));
    }
    message.attachments.retain(|file| !shown.contains(&file.id));
}

fn resolve_in(value: &mut Value, address: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(found) = address(text) {
                *text = found;
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| resolve_in(entry, address)),
        Value::Object(fields) => fields.values_mut().for_each(|entry| resolve_in(entry, address)),
        _ => {}
    }
}

/// Finds `<@user>`, `<@&role>`, `@everyone` and `@here` in the content, as far as `allowed_mentions` allows them.
pub(super) fn set_mentions(
    state: &State,
    message: &mut Message,
    allowed: Option<&AllowedMentions>,
    mentions_all: bool,
) {
    let parses = |word: &str| allowed.is_none_or(|allowed| allowed.parse.iter().any(|parsed| parsed == word));
    let lists = |list: fn(&AllowedMentions) -> &Vec<u64>, id: Id| allowed.is_some_and(|all| list(all).contains(&id.0));
    let content = message.content.as_str();
    message.mentions = marks(content, "<@")
        .into_iter()
        .filter(|id| state.users.contains_key(id) && (parses("users") || lists(|all| &all.users, *id)))
        .collect();
    let roles = message
        .guild_id
        .and_then(|guild| state.guilds.get(&guild))
        .map(|guild| &guild.roles);
    message.mention_roles = marks(content, "<@&")
        .into_iter()
        .filter(|id| {
            roles
                .and_then(|roles| roles.get(id))
                .is_some_and(|role| role.mentionable || mentions_all)
        })
        .filter(|id| parses("roles") || lists(|all| &all.roles, *id))
        .collect();
    let calls_all = content.contains("@everyone") || content.contains("@here");
    message.mention_everyone = calls_all && mentions_all && parses("everyone");
}

/// Ids in mentions such as `<@123>`; `<@!123>` is the older form for users.
fn marks(content: &str, opening: &str) -> Vec<Id> {
    let mut ids = Vec::new();
    for (at, _) in content.match_indices(opening) {
        let rest = content[at + opening.len()..].trim_start_matches('!');
        if let Some((digits, _)) = rest.split_once('>')
            && let Ok(id) = digits.parse::<Id>()
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    ids
}

/// Whether an author with these permissions may mention everyone; not in direct messages.
pub(super) const fn may_mention_all(granted: Option<Permissions>) -> bool {
    match granted {
        Some(granted) => granted.contains(Permissions::MENTION_EVERYONE),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_are_found_once_each() {
        assert_eq!(marks("hi <@1> <@!2> <@1> <@&3> <@x>", "<@"), [Id(1), Id(2)]);
        assert_eq!(marks("<@&3> <@4>", "<@&"), [Id(3)]);
    }

    #[test]
    fn file_names_cannot_leave_their_folder() {
        assert_eq!(safe_name("../../etc/pass wd"), "pass_wd");
        assert_eq!(safe_name("bild ä.png"), "bild__.png");
    }
}
