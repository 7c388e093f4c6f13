//! Requests that write the welcome screen. <https://discord.com/developers/docs/resources/guild#modify-guild-welcome-screen>

use arrakis_iac::model::{Snowflake, WelcomeChannel, WelcomeScreen};
use serde_json::{Value, json};

use super::channel::emoji;
use super::form::{Form, FormError, text_or_null};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for WelcomeScreen {
    fn create(&self, _: &Context<'_>) -> Result<WriteRequest, FormError> {
        Err(FormError::SINGLE)
    }

    fn update(
        &self,
        _: Snowflake,
        fields: &[String],
        _: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/welcome-screen", context.guild);
        Ok(WriteRequest::patch(path, form(self, fields, context)?))
    }

    fn delete(_: Snowflake, _: Snowflake) -> Option<WriteRequest> {
        None
    }

    fn current(_: Snowflake, _: Snowflake, _: &[String]) -> Option<Current> {
        None
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

fn form(screen: &WelcomeScreen, fields: &[String], context: &Context<'_>) -> Result<Form, FormError> {
    let (mut form, wanted) = (Form::default(), Some(fields));
    form.put(wanted, "enabled", "enabled", screen.enabled.as_ref(), |flag| {
        json!(flag)
    });
    form.put(
        wanted,
        "description",
        "description",
        screen.description.as_ref(),
        |text| text_or_null(text),
    );
    form.try_put(
        wanted,
        "channels",
        "welcome_channels",
        screen.channels.as_ref(),
        |channels| {
            let channel = |one: &WelcomeChannel| {
                let mut body = emoji(one.emoji.as_ref(), context)?;
                body["channel_id"] = json!(context.id(&one.channel)?.to_string());
                body["description"] = json!(one.description);
                Ok(body)
            };
            channels.iter().map(channel).collect()
        },
    )?;
    Ok(form)
}
