//! Rules of auto moderation.

use serde::Deserialize;
use serde_json::Value;

use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{Attributes, AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger, Reference, Snowflake};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Trigger {
    keyword_filter: Vec<String>,
    regex_patterns: Vec<String>,
    presets: Vec<u64>,
    allow_list: Vec<String>,
    mention_total_limit: Option<u8>,
    mention_raid_protection_enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActionData {
    channel_id: Option<Snowflake>,
    duration_seconds: Option<u32>,
    custom_message: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(default)]
    metadata: Option<ActionData>,
}

#[derive(Deserialize)]
struct Wire {
    id: Snowflake,
    #[serde(default)]
    name: String,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    trigger_type: u64,
    #[serde(default)]
    trigger_metadata: Option<Trigger>,
    #[serde(default)]
    actions: Vec<Action>,
    #[serde(default)]
    exempt_roles: Vec<Snowflake>,
    #[serde(default)]
    exempt_channels: Vec<Snowflake>,
}

pub(super) fn resources(value: &Value) -> Result<Vec<LiveResource>, Unreadable> {
    let rules: Vec<Wire> = wire::read("rules of auto moderation", value)?;
    Ok(rules.into_iter().map(resource).collect())
}

fn resource(rule: Wire) -> LiveResource {
    let references = |ids: Vec<Snowflake>| Some(ids.into_iter().map(Reference::Id).collect());
    let actions: Option<Vec<AutomodAction>> = rule.actions.into_iter().map(action).collect();
    let attributes = AutomodRule {
        name: Some(rule.name),
        enabled: Some(rule.enabled),
        trigger: trigger(rule.trigger_type, rule.trigger_metadata.unwrap_or_default()),
        actions,
        exempt_roles: references(rule.exempt_roles),
        exempt_channels: references(rule.exempt_channels),
    };
    plain(rule.id, Attributes::Automod(attributes))
}

fn trigger(number: u64, data: Trigger) -> Option<AutomodTrigger> {
    Some(match number {
        1 => AutomodTrigger::Keyword {
            keywords: data.keyword_filter,
            patterns: data.regex_patterns,
            allow: data.allow_list,
        },
        3 => AutomodTrigger::Spam,
        4 => AutomodTrigger::Preset {
            presets: data.presets.into_iter().filter_map(AutomodPreset::from_wire).collect(),
            allow: data.allow_list,
        },
        5 => AutomodTrigger::MentionSpam {
            limit: data.mention_total_limit.unwrap_or(0),
            raid_protection: data.mention_raid_protection_enabled,
        },
        6 => AutomodTrigger::MemberProfile {
            keywords: data.keyword_filter,
            patterns: data.regex_patterns,
            allow: data.allow_list,
        },
        _ => return None,
    })
}

fn action(action: Action) -> Option<AutomodAction> {
    let data = action.metadata.unwrap_or_default();
    Some(match action.kind {
        1 => AutomodAction::BlockMessage {
            message: data.custom_message.unwrap_or_default(),
        },
        2 => AutomodAction::Alert {
            channel: Reference::Id(data.channel_id?),
        },
        3 => AutomodAction::Timeout {
            seconds: data.duration_seconds?,
        },
        4 => AutomodAction::BlockMember,
        _ => return None,
    })
}
