//! Rules of auto moderation.

use std::collections::BTreeSet;

use serde_json::Value;

use super::unknown::{UnknownValue, Unknowns, number};
use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{Attributes, AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger, Kind, Reference, Snowflake};

const CALL: &str = "GET /guilds/{id}/auto-moderation/rules";

/// Discord's numbers of the triggers that are known.
const TRIGGERS: [wire::Integer; 5] = [1, 3, 4, 5, 6];

/// The rules, and whether that is all of them: the OpenAPI document lets a rule be `null`. A trigger cannot be changed, so a
/// rule with an unknown one is noted as unreadable too.
pub(super) fn resources(
    value: &Value,
    unknown: &mut Vec<UnknownValue>,
    unreadable: &mut Vec<UnknownValue>,
) -> Result<(Vec<LiveResource>, bool), Unreadable> {
    let rules: Vec<Option<wire::AutomodRule>> = wire::read(CALL, value)?;
    let is_complete = rules.iter().all(Option::is_some);
    let rules = rules.into_iter().enumerate();
    let found: Result<_, _> = rules
        .filter_map(|(index, rule)| Some(resource(index, rule?, unknown, unreadable)))
        .collect();
    Ok((found?, is_complete))
}

fn resource(
    index: usize,
    rule: wire::AutomodRule,
    unknown: &mut Vec<UnknownValue>,
    unreadable: &mut Vec<UnknownValue>,
) -> Result<LiveResource, Unreadable> {
    let trigger = trigger(index, &rule)?;
    let actions: Vec<Option<AutomodAction>> = rule
        .actions
        .iter()
        .enumerate()
        .map(|(number, one)| action(&format!("[{index}].actions[{number}].metadata"), one))
        .collect::<Result<_, _>>()?;
    let mut unknown = Unknowns::of(Kind::Automod, rule.id, &rule.name, unknown);
    if !TRIGGERS.contains(&rule.trigger_type) {
        unreadable.push(unknown.value("trigger", rule.trigger_type));
    }
    let kinds: Vec<String> = rule.actions.iter().map(|action| action.kind.to_string()).collect();
    let references = |ids: Vec<Snowflake>| Some(ids.into_iter().map(Reference::Id).collect());
    let attributes = AutomodRule {
        trigger: unknown.check("trigger", trigger, rule.trigger_type),
        actions: unknown.check("actions", actions.into_iter().collect(), kinds.join(", ")),
        name: Some(rule.name),
        enabled: Some(rule.enabled),
        exempt_roles: references(rule.exempt_roles),
        exempt_channels: references(rule.exempt_channels),
    };
    Ok(plain(rule.id, Attributes::Automod(attributes)))
}

/// What sets it off; `None` for a trigger, or one of Discord's lists, that is unknown.
fn trigger(index: usize, rule: &wire::AutomodRule) -> Result<Option<AutomodTrigger>, Unreadable> {
    let at = format!("[{index}].trigger_metadata");
    let data = rule.trigger_metadata.as_ref();
    Ok(match rule.trigger_type {
        1 => {
            let words: wire::Words = wire::read_part(CALL, &at, data)?;
            Some(AutomodTrigger::Keyword {
                keywords: words.keyword_filter,
                patterns: words.regex_patterns,
                allow: words.allow_list,
            })
        }
        3 => Some(AutomodTrigger::Spam),
        4 => {
            let lists: wire::Presets = wire::read_part(CALL, &at, data)?;
            let presets: Option<BTreeSet<_>> = lists
                .presets
                .iter()
                .map(|list| number(*list, AutomodPreset::from_wire))
                .collect();
            presets.map(|presets| AutomodTrigger::Preset {
                presets,
                allow: lists.allow_list,
            })
        }
        5 => {
            let mentions: wire::Mentions = wire::read_part(CALL, &at, data)?;
            let limit = u32::try_from(mentions.mention_total_limit).ok();
            limit.map(|limit| AutomodTrigger::MentionSpam {
                limit,
                raid_protection: mentions.mention_raid_protection_enabled,
            })
        }
        6 => {
            let words: wire::Words = wire::read_part(CALL, &at, data)?;
            Some(AutomodTrigger::MemberProfile {
                keywords: words.keyword_filter,
                patterns: words.regex_patterns,
                allow: words.allow_list,
            })
        }
        _ => None,
    })
}

fn action(at: &str, action: &wire::AutomodAction) -> Result<Option<AutomodAction>, Unreadable> {
    let data = action.metadata.as_ref();
    Ok(match action.kind {
        1 => {
            let block: Option<wire::BlockMessage> = wire::read_part(CALL, at, data)?;
            let message = block.and_then(|block| block.custom_message).unwrap_or_default();
            Some(AutomodAction::BlockMessage { message })
        }
        2 => {
            let alert: wire::Alert = wire::read_part(CALL, at, data)?;
            let channel = Reference::Id(alert.channel_id);
            Some(AutomodAction::Alert { channel })
        }
        3 => {
            let timeout: wire::Timeout = wire::read_part(CALL, at, data)?;
            let seconds = u32::try_from(timeout.duration_seconds).ok();
            seconds.map(|seconds| AutomodAction::Timeout { seconds })
        }
        4 => Some(AutomodAction::BlockMember),
        _ => None,
    })
}
