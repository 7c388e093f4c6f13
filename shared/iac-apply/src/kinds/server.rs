//! The request that writes the server's settings. <https://discord.com/developers/docs/resources/guild#modify-guild>

use arrakis_iac::model::{Clearable, Reference, Server, Snowflake};
use serde_json::{Value, json};

use super::form::{Form, FormError, text_or_null};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Server {
    fn create(&self, _: &Context<'_>) -> Result<WriteRequest, FormError> {
        Err(FormError::SINGLE)
    }

    fn update(
        &self,
        _: Snowflake,
        fields: &[String],
        current: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}", context.guild);
        Ok(WriteRequest::patch(path, form(self, fields, current, context)?))
    }

    fn delete(_: Snowflake, _: Snowflake) -> Option<WriteRequest> {
        None
    }

    fn current(_: Snowflake, guild: Snowflake, fields: &[String]) -> Option<Current> {
        // Discord replaces the features; those that are not sent again are removed.
        let has_features = fields.iter().any(|field| field == "community");
        has_features.then(|| Current {
            path: format!("/guilds/{guild}"),
            needed: Some(("GET /guilds/{guild}", "features")),
        })
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

fn form(server: &Server, fields: &[String], current: &Value, context: &Context<'_>) -> Result<Form, FormError> {
    let (mut form, wanted) = (Form::default(), Some(fields));
    form.put(wanted, "name", "name", server.name.as_ref(), |name| json!(name));
    form.put(
        wanted,
        "description",
        "description",
        server.description.as_ref(),
        |text| text_or_null(text),
    );
    let level = server.verification_level.as_ref();
    form.put(wanted, "verification_level", "verification_level", level, |one| {
        json!(one.discord_number())
    });
    let notified = server.default_notifications.as_ref();
    form.put(
        wanted,
        "default_notifications",
        "default_message_notifications",
        notified,
        |one| json!(one.discord_number()),
    );
    let filter = server.explicit_content_filter.as_ref();
    form.put(
        wanted,
        "explicit_content_filter",
        "explicit_content_filter",
        filter,
        |one| json!(one.discord_number()),
    );
    let locale = server.preferred_locale.as_ref();
    form.put(wanted, "preferred_locale", "preferred_locale", locale, |one| {
        json!(one.name())
    });
    form.put(
        wanted,
        "afk_timeout",
        "afk_timeout",
        server.afk_timeout.as_ref(),
        |one| json!(one.discord_number()),
    );
    let suppressed = server.suppressed_messages.as_ref();
    form.put(
        wanted,
        "suppressed_messages",
        "system_channel_flags",
        suppressed,
        |messages| json!(messages.iter().map(|one| one.discord_number()).sum::<u64>()),
    );
    let bar = server.boost_progress_bar.as_ref();
    form.put(
        wanted,
        "boost_progress_bar",
        "premium_progress_bar_enabled",
        bar,
        |flag| json!(flag),
    );
    form.put(wanted, "community", "features", server.community.as_ref(), |on| {
        features(current, *on)
    });
    let channels = [
        ("afk_channel", "afk_channel_id", &server.afk_channel),
        ("system_channel", "system_channel_id", &server.system_channel),
        ("rules_channel", "rules_channel_id", &server.rules_channel),
        (
            "public_updates_channel",
            "public_updates_channel_id",
            &server.public_updates_channel,
        ),
        (
            "safety_alerts_channel",
            "safety_alerts_channel_id",
            &server.safety_alerts_channel,
        ),
    ];
    let id = |channel: &Clearable<Reference>| {
        let id = channel.value().map(|channel| context.id(channel)).transpose()?;
        Ok(json!(id.map(|id| id.to_string())))
    };
    for (field, key, channel) in channels {
        form.try_put(wanted, field, key, channel.as_ref(), id)?;
    }
    if fields.iter().any(|field| field == "community") && server.community == Some(true) {
        with_required_channels(&mut form, fields, current);
    }
    Ok(form)
}

/// Discord enables Community only in a request with both channels, even if the server has them already
/// (<https://github.com/discord/discord-api-docs/issues/6015>).
fn with_required_channels(form: &mut Form, fields: &[String], current: &Value) {
    for (field, key) in [
        ("rules_channel", "rules_channel_id"),
        ("public_updates_channel", "public_updates_channel_id"),
    ] {
        if !fields.iter().any(|sent| sent == field) && current[key].is_string() {
            form.set(key, current[key].clone());
        }
    }
}

/// Discord replaces the whole list of features.
fn features(current: &Value, community: bool) -> Value {
    let known = current["features"].as_array().into_iter().flatten();
    let others = known.filter(|feature| *feature != "COMMUNITY").cloned();
    others.chain(community.then(|| json!("COMMUNITY"))).collect()
}
