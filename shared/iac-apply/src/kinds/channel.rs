//! Requests that write categories, channels and their overwrites. <https://discord.com/developers/docs/resources/channel>

use arrakis_iac::live::{FLAG_HIDE_DOWNLOAD_OPTIONS, FLAG_REQUIRE_TAG};
use arrakis_iac::model::{Channel, EmojiReference, Overwrite, Snowflake, Tag, Target};
use serde_json::{Value, json};

use super::form::{FieldFilter, Form, FormError, is_wanted, text_or_null};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Channel {
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError> {
        // The overwrites are part of the request, so that a private channel is never open.
        let mut form = form(self, None, context)?;
        form.set("type", self.kind.discord_number());
        if let Some(overwrites) = &self.overwrites {
            let overwrites: Result<Vec<Value>, FormError> = overwrites
                .iter()
                .map(|(target, bits)| {
                    let (id, mut body) = overwrite(target, *bits, context)?;
                    body["id"] = json!(id.to_string());
                    Ok(body)
                })
                .collect();
            form.set("permission_overwrites", overwrites?);
        }
        Ok(WriteRequest::post(format!("/guilds/{}/channels", context.guild), form))
    }

    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        current: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let mut form = form(self, Some(fields), context)?;
        if is_wanted(Some(fields), "kind") {
            form.set("type", self.kind.discord_number());
        }
        let managed = [
            ("require_tag", self.require_tag, FLAG_REQUIRE_TAG),
            (
                "hide_download_options",
                self.hide_download_options,
                FLAG_HIDE_DOWNLOAD_OPTIONS,
            ),
        ];
        if managed.iter().any(|(field, ..)| is_wanted(Some(fields), field)) {
            let mut flags = current["flags"].as_u64().unwrap_or(0);
            for (_, on, bit) in managed {
                match on {
                    Some(true) => flags |= bit,
                    Some(false) => flags &= !bit,
                    None => {}
                }
            }
            form.set("flags", flags);
        }
        Ok(WriteRequest::patch(format!("/channels/{id}"), form))
    }

    fn delete(id: Snowflake, _: Snowflake) -> Option<WriteRequest> {
        Some(WriteRequest::delete(format!("/channels/{id}")))
    }

    fn current(id: Snowflake, _: Snowflake, fields: &[String]) -> Option<Current> {
        let has_flag = fields.iter().any(|field| FLAGS.contains(&field.as_str()));
        has_flag.then(|| Current {
            path: format!("/channels/{id}"),
            needed: None,
        })
    }

    fn fields_after_create(&self) -> Vec<String> {
        flags_after_create(self)
    }
}

/// Attributes that are flags at Discord, which a request replaces together.
const FLAGS: [&str; 2] = ["require_tag", "hide_download_options"];

/// Discord does not accept flags on creation.
fn flags_after_create(channel: &Channel) -> Vec<String> {
    let flags = [
        ("require_tag", channel.require_tag),
        ("hide_download_options", channel.hide_download_options),
    ];
    let on = flags.into_iter().filter(|(_, on)| *on == Some(true));
    on.map(|(field, _)| field.to_owned()).collect()
}

/// The target of an overwrite, and its JSON.
pub(crate) fn overwrite(
    target: &Target,
    overwrite: Overwrite,
    context: &Context<'_>,
) -> Result<(Snowflake, Value), FormError> {
    let (id, kind) = match target {
        Target::Everyone => (context.guild, 0),
        Target::Bot => (context.bot, 1),
        Target::Role(role) => (context.id(role)?, 0),
        Target::Member(id) => (*id, 1),
    };
    let body = json!({
        "type": kind,
        "allow": overwrite.allow.to_string(),
        "deny": overwrite.deny.to_string(),
    });
    Ok((id, body))
}

fn form(channel: &Channel, wanted: FieldFilter<'_>, context: &Context<'_>) -> Result<Form, FormError> {
    let mut form = Form::default();
    form.put(wanted, "name", "name", channel.name.as_ref(), |name| json!(name));
    form.try_put(wanted, "category", "parent_id", channel.category.as_ref(), |category| {
        let id = category.value().map(|category| context.id(category)).transpose()?;
        Ok(json!(id.map(|id| id.to_string())))
    })?;
    form.put(wanted, "topic", "topic", channel.topic.as_ref(), |text| {
        text_or_null(text)
    });
    form.put(wanted, "nsfw", "nsfw", channel.nsfw.as_ref(), |flag| json!(flag));
    let (slow, thread_slow) = (channel.slow_mode.as_ref(), channel.thread_slow_mode.as_ref());
    form.put(wanted, "slow_mode", "rate_limit_per_user", slow, |seconds| {
        json!(seconds)
    });
    let key = "default_thread_rate_limit_per_user";
    form.put(wanted, "thread_slow_mode", key, thread_slow, |seconds| json!(seconds));
    let archive = channel.auto_archive.as_ref();
    form.put(
        wanted,
        "auto_archive",
        "default_auto_archive_duration",
        archive,
        |one| json!(one.value().map(|one| one.discord_number())),
    );
    voice(&mut form, channel, wanted);
    posts(&mut form, channel, wanted, context)?;
    Ok(form)
}

fn voice(form: &mut Form, channel: &Channel, wanted: FieldFilter<'_>) {
    form.put(wanted, "bitrate", "bitrate", channel.bitrate.as_ref(), |bits| {
        json!(bits)
    });
    form.put(
        wanted,
        "user_limit",
        "user_limit",
        channel.user_limit.as_ref(),
        |limit| json!(limit),
    );
    form.put(wanted, "region", "rtc_region", channel.region.as_ref(), |region| {
        json!(region.value())
    });
    let quality = channel.video_quality.as_ref();
    form.put(wanted, "video_quality", "video_quality_mode", quality, |one| {
        json!(one.discord_number())
    });
}

fn posts(form: &mut Form, channel: &Channel, wanted: FieldFilter<'_>, context: &Context<'_>) -> Result<(), FormError> {
    form.try_put(wanted, "tags", "available_tags", channel.tags.as_ref(), |tags| {
        tags.iter().map(|one| tag(one, context)).collect()
    })?;
    let reaction = channel.default_reaction.as_ref();
    form.try_put(
        wanted,
        "default_reaction",
        "default_reaction_emoji",
        reaction,
        |reaction| {
            reaction
                .value()
                .map_or(Ok(Value::Null), |one| emoji(Some(one), context))
        },
    )?;
    let order = channel.sort_order.as_ref();
    form.put(wanted, "sort_order", "default_sort_order", order, |order| {
        json!(order.value().map(|order| order.discord_number()))
    });
    form.put(
        wanted,
        "layout",
        "default_forum_layout",
        channel.layout.as_ref(),
        |one| json!(one.discord_number()),
    );
    form.put(
        wanted,
        "tag_match",
        "default_tag_setting",
        channel.tag_match.as_ref(),
        |one| json!(one.value().map(|one| one.name())),
    );
    Ok(())
}

/// An existing tag is sent with its id, so that its posts keep it.
fn tag(tag: &Tag, context: &Context<'_>) -> Result<Value, FormError> {
    let mut form = emoji(tag.emoji.as_ref(), context)?;
    form["name"] = json!(tag.name);
    form["moderated"] = json!(tag.moderated);
    if let Some(id) = tag.id {
        form["id"] = json!(id.to_string());
    }
    Ok(form)
}

/// `emoji_id` and `emoji_name`, one of them `null`.
pub(super) fn emoji(emoji: Option<&EmojiReference>, context: &Context<'_>) -> Result<Value, FormError> {
    let (id, name) = match emoji {
        None => (None, None),
        Some(EmojiReference::Unicode(text)) => (None, Some(text)),
        Some(EmojiReference::Own(reference)) => (Some(context.id(reference)?.to_string()), None),
    };
    Ok(json!({ "emoji_id": id, "emoji_name": name }))
}

#[cfg(test)]
mod tests {
    use arrakis_domain::Permissions;
    use arrakis_iac::state::State;

    use super::*;
    use crate::ImageFolder;

    #[test]
    fn bits_above_64_are_sent_unchanged() {
        let (guild, bot) = (Snowflake::new(1).unwrap(), Snowflake::new(2).unwrap());
        let (state, images) = (State::new("lineage"), ImageFolder("".into()));
        let context = Context {
            guild,
            bot,
            state: &state,
            images: &images,
        };
        let read = |text: &str| text.parse::<Permissions>().unwrap();
        let sent = Overwrite {
            allow: read("340282366920938463463374607431768211456"),
            deny: read("18446744073709551617"),
        };
        let (id, body) = overwrite(&Target::Everyone, sent, &context).unwrap();
        assert_eq!(id, guild);
        assert_eq!(
            body,
            json!({ "type": 0, "allow": "340282366920938463463374607431768211456", "deny": "18446744073709551617" })
        );
    }
}
