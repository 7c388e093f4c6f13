//! Requests that write the onboarding. <https://discord.com/developers/docs/resources/guild#guild-onboarding-object>

use arrakis_iac::model::{Onboarding, OnboardingOption, OnboardingPrompt, Snowflake};
use http::Method;
use serde_json::{Value, json};

use super::channel::emoji;
use super::form::{Form, FormError, text_or_null};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for Onboarding {
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
        let path = format!("/guilds/{}/onboarding", context.guild);
        let form = form(self, fields, current, context)?;
        Ok(WriteRequest::new(Method::PUT, path, form))
    }

    fn delete(_: Snowflake, _: Snowflake) -> Option<WriteRequest> {
        None
    }

    fn current(_: Snowflake, guild: Snowflake, fields: &[String]) -> Option<Current> {
        // Discord replaces the questions; those that are not sent again are removed.
        let has_prompts = fields.iter().any(|field| field == "prompts");
        has_prompts.then(|| Current {
            path: format!("/guilds/{guild}/onboarding"),
            needed: Some(("GET /guilds/{guild}/onboarding", "prompts")),
        })
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

fn form(onboarding: &Onboarding, fields: &[String], current: &Value, context: &Context<'_>) -> Result<Form, FormError> {
    let (mut form, wanted) = (Form::default(), Some(fields));
    form.put(wanted, "enabled", "enabled", onboarding.enabled.as_ref(), |flag| {
        json!(flag)
    });
    form.put(wanted, "mode", "mode", onboarding.mode.as_ref(), |mode| {
        json!(mode.discord_number())
    });
    let channels = onboarding.default_channels.as_ref();
    form.try_put(
        wanted,
        "default_channels",
        "default_channel_ids",
        channels,
        |channels| Ok(json!(context.ids(channels)?)),
    )?;
    form.try_put(wanted, "prompts", "prompts", onboarding.prompts.as_ref(), |prompts| {
        let numbered = prompts.iter().enumerate();
        numbered
            .map(|(index, one)| prompt(index, one, current, context))
            .collect()
    })?;
    Ok(form)
}

/// Questions and options with unchanged titles keep their ids, and so the choices of members.
fn prompt(index: usize, prompt: &OnboardingPrompt, current: &Value, context: &Context<'_>) -> Result<Value, FormError> {
    let known = item_by_title(&current["prompts"], &prompt.title);
    let options: Result<Vec<Value>, FormError> = prompt
        .options
        .iter()
        .map(|one| option(one, item_by_title(&known["options"], &one.title), context))
        .collect();
    // Discord requires an id for a new question, too, and replaces it.
    let id = known
        .get("id")
        .cloned()
        .unwrap_or_else(|| json!((index + 1).to_string()));
    Ok(json!({
        "id": id,
        "type": prompt.kind.discord_number(),
        "title": prompt.title,
        "single_select": prompt.single_select,
        "required": prompt.required,
        "in_onboarding": prompt.in_onboarding,
        "options": options?,
    }))
}

fn option(option: &OnboardingOption, known: &Value, context: &Context<'_>) -> Result<Value, FormError> {
    let mut body = emoji(option.emoji.as_ref(), context)?;
    body["title"] = json!(option.title);
    body["description"] = text_or_null(&option.description);
    body["role_ids"] = json!(context.ids(&option.roles)?);
    body["channel_ids"] = json!(context.ids(&option.channels)?);
    if let Some(id) = known.get("id") {
        body["id"] = id.clone();
    }
    Ok(body)
}

fn item_by_title<'a>(list: &'a Value, title: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    let mut known = list.as_array().into_iter().flatten();
    known.find(|one| one["title"] == title).unwrap_or(NOTHING)
}
