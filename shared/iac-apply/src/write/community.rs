//! Forms of welcome screen and onboarding. <https://discord.com/developers/docs/resources/guild#guild-onboarding-object>

use arrakis_iac::model::{Onboarding, OnboardingOption, OnboardingPrompt, WelcomeScreen};
use serde_json::{Value, json};

use super::Context;
use super::channel::emoji;
use super::form::{Form, FormError, text_or_null};

pub(super) fn welcome_screen(
    screen: &WelcomeScreen,
    fields: &[String],
    context: &Context<'_>,
) -> Result<Form, FormError> {
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
            let channel = |one: &arrakis_iac::model::WelcomeChannel| {
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

pub(super) fn onboarding(
    onboarding: &Onboarding,
    fields: &[String],
    current: &Value,
    context: &Context<'_>,
) -> Result<Form, FormError> {
    let (mut form, wanted) = (Form::default(), Some(fields));
    form.put(wanted, "enabled", "enabled", onboarding.enabled.as_ref(), |flag| {
        json!(flag)
    });
    form.put(wanted, "mode", "mode", onboarding.mode.as_ref(), |mode| {
        json!(mode.wire())
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

/// A question and an answer keep their ids, and so what members chose, as long as their titles stay.
fn prompt(index: usize, prompt: &OnboardingPrompt, current: &Value, context: &Context<'_>) -> Result<Value, FormError> {
    let known = titled(&current["prompts"], &prompt.title);
    let options: Result<Vec<Value>, FormError> = prompt
        .options
        .iter()
        .map(|one| option(one, titled(&known["options"], &one.title), context))
        .collect();
    // Discord wants an id of a new question too, and gives it another one.
    let id = known
        .get("id")
        .cloned()
        .unwrap_or_else(|| json!((index + 1).to_string()));
    Ok(json!({
        "id": id,
        "type": prompt.kind.wire(),
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

fn titled<'a>(list: &'a Value, title: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    let mut known = list.as_array().into_iter().flatten();
    known.find(|one| one["title"] == title).unwrap_or(NOTHING)
}
