//! Requests that write rules of auto moderation. <https://discord.com/developers/docs/resources/auto-moderation>

use arrakis_iac::model::{AutomodAction, AutomodRule, AutomodTrigger, Snowflake};
use serde_json::{Value, json};

use super::form::{FieldFilter, Form, FormError, is_wanted};
use super::{Context, Current, Requests, WriteRequest};

impl Requests for AutomodRule {
    fn create(&self, context: &Context<'_>) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/auto-moderation/rules", context.guild);
        Ok(WriteRequest::post(path, form(self, None, context)?))
    }

    fn update(
        &self,
        id: Snowflake,
        fields: &[String],
        _: &Value,
        context: &Context<'_>,
    ) -> Result<WriteRequest, FormError> {
        let path = format!("/guilds/{}/auto-moderation/rules/{id}", context.guild);
        Ok(WriteRequest::patch(path, form(self, Some(fields), context)?))
    }

    fn delete(id: Snowflake, guild: Snowflake) -> Option<WriteRequest> {
        Some(WriteRequest::delete(format!(
            "/guilds/{guild}/auto-moderation/rules/{id}"
        )))
    }

    fn current(_: Snowflake, _: Snowflake, _: &[String]) -> Option<Current> {
        None
    }

    fn fields_after_create(&self) -> Vec<String> {
        Vec::new()
    }
}

fn form(rule: &AutomodRule, wanted: FieldFilter<'_>, context: &Context<'_>) -> Result<Form, FormError> {
    let mut form = Form::default();
    form.put(wanted, "name", "name", rule.name.as_ref(), |name| json!(name));
    form.put(wanted, "enabled", "enabled", rule.enabled.as_ref(), |flag| json!(flag));
    if let Some(trigger) = &rule.trigger
        && is_wanted(wanted, "trigger")
    {
        // Discord accepts the type of the trigger only on creation.
        if wanted.is_none() {
            form.set("trigger_type", trigger.discord_number());
            form.set("event_type", trigger.discord_event_number());
        }
        if let Some(data) = metadata(trigger) {
            form.set("trigger_metadata", data);
        }
    }
    form.try_put(wanted, "actions", "actions", rule.actions.as_ref(), |actions| {
        actions.iter().map(|one| action(one, context)).collect()
    })?;
    let (roles, channels) = (rule.exempt_roles.as_ref(), rule.exempt_channels.as_ref());
    form.try_put(wanted, "exempt_roles", "exempt_roles", roles, |ids| {
        Ok(json!(context.ids(ids)?))
    })?;
    form.try_put(wanted, "exempt_channels", "exempt_channels", channels, |ids| {
        Ok(json!(context.ids(ids)?))
    })?;
    Ok(form)
}

fn metadata(trigger: &AutomodTrigger) -> Option<Value> {
    Some(match trigger {
        AutomodTrigger::Keyword {
            keywords,
            patterns,
            allow,
        }
        | AutomodTrigger::MemberProfile {
            keywords,
            patterns,
            allow,
        } => json!({ "keyword_filter": keywords, "regex_patterns": patterns, "allow_list": allow }),
        AutomodTrigger::Spam => return None,
        AutomodTrigger::Preset { presets, allow } => {
            let presets: Vec<u64> = presets.iter().map(|one| one.discord_number()).collect();
            json!({ "presets": presets, "allow_list": allow })
        }
        AutomodTrigger::MentionSpam { limit, raid_protection } => {
            json!({ "mention_total_limit": limit, "mention_raid_protection_enabled": raid_protection })
        }
    })
}

fn action(action: &AutomodAction, context: &Context<'_>) -> Result<Value, FormError> {
    let metadata = match action {
        AutomodAction::BlockMessage { message } if message.is_empty() => json!({}),
        AutomodAction::BlockMessage { message } => json!({ "custom_message": message }),
        AutomodAction::Alert { channel } => json!({ "channel_id": context.id(channel)?.to_string() }),
        AutomodAction::Timeout { seconds } => json!({ "duration_seconds": seconds }),
        AutomodAction::BlockMember => json!({}),
    };
    Ok(json!({ "type": action.discord_number(), "metadata": metadata }))
}
