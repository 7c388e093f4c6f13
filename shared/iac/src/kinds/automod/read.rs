//! Rules of auto moderation as Discord sends them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger};
use crate::kinds::definition::{ReadContext, ReadNotes};
use crate::kinds::{Attributes, LiveResource};
use crate::values::{Kind, Reference, Snowflake};
use crate::wire::{self, Integer, UnknownValues, Unreadable, number};

const CALL: &str = "GET /guilds/{id}/auto-moderation/rules";

/// Discord's numbers of the known triggers.
const TRIGGERS: [Integer; 5] = [1, 3, 4, 5, 6];

#[derive(Debug, Deserialize)]
struct RuleObject {
    id: Snowflake,
    name: String,
    enabled: bool,
    trigger_type: Integer,
    /// Its shape depends on the trigger.
    trigger_metadata: Option<Value>,
    actions: Vec<ActionObject>,
    exempt_roles: Vec<Snowflake>,
    exempt_channels: Vec<Snowflake>,
}

#[derive(Debug, Deserialize)]
struct ActionObject {
    #[serde(rename = "type")]
    kind: Integer,
    /// Its shape depends on the kind.
    metadata: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct WordsMetadata {
    keyword_filter: Vec<String>,
    regex_patterns: Vec<String>,
    allow_list: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct PresetsMetadata {
    presets: Vec<Integer>,
    allow_list: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct MentionsMetadata {
    mention_total_limit: Integer,
    mention_raid_protection_enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
struct BlockMessageMetadata {
    custom_message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct AlertMetadata {
    channel_id: Snowflake,
}

#[derive(Debug, Deserialize)]
struct TimeoutMetadata {
    duration_seconds: Integer,
}

/// Reads the rules. The OpenAPI document lets a rule be `null`: then the list is incomplete. A trigger cannot be changed, so a
/// rule with an unknown one is noted as unreadable too.
pub(super) fn read(value: &Value, _: ReadContext<'_>, notes: &mut ReadNotes) -> Result<Vec<LiveResource>, Unreadable> {
    let rules: Vec<Option<RuleObject>> = wire::read(CALL, value)?;
    let is_complete = rules.iter().all(Option::is_some);
    notes.incomplete.extend((!is_complete).then_some(Kind::Automod));
    let rules = rules.into_iter().enumerate();
    rules
        .filter_map(|(index, rule)| Some(resource(index, rule?, notes)))
        .collect()
}

fn resource(index: usize, rule: RuleObject, notes: &mut ReadNotes) -> Result<LiveResource, Unreadable> {
    let trigger = trigger(index, &rule)?;
    let actions: Vec<Option<AutomodAction>> = rule
        .actions
        .iter()
        .enumerate()
        .map(|(number, one)| action(&format!("[{index}].actions[{number}].metadata"), one))
        .collect::<Result<_, _>>()?;
    let mut unknown = UnknownValues::of(Kind::Automod, rule.id, &rule.name, &mut notes.unknown);
    if !TRIGGERS.contains(&rule.trigger_type) {
        notes.unreadable.push(unknown.value("trigger", rule.trigger_type));
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
    Ok(LiveResource::new(rule.id, Attributes::Automod(attributes)))
}

/// The trigger; `None` for an unknown trigger or an unknown word list of Discord.
fn trigger(index: usize, rule: &RuleObject) -> Result<Option<AutomodTrigger>, Unreadable> {
    let at = format!("[{index}].trigger_metadata");
    let data = rule.trigger_metadata.as_ref();
    Ok(match rule.trigger_type {
        1 => {
            let words: WordsMetadata = wire::read_part(CALL, &at, data)?;
            Some(AutomodTrigger::Keyword {
                keywords: words.keyword_filter,
                patterns: words.regex_patterns,
                allow: words.allow_list,
            })
        }
        3 => Some(AutomodTrigger::Spam),
        4 => {
            let lists: PresetsMetadata = wire::read_part(CALL, &at, data)?;
            let presets: Option<BTreeSet<_>> = lists
                .presets
                .iter()
                .map(|list| number(*list, AutomodPreset::from_discord_number))
                .collect();
            presets.map(|presets| AutomodTrigger::Preset {
                presets,
                allow: lists.allow_list,
            })
        }
        5 => {
            let mentions: MentionsMetadata = wire::read_part(CALL, &at, data)?;
            let limit = u32::try_from(mentions.mention_total_limit).ok();
            limit.map(|limit| AutomodTrigger::MentionSpam {
                limit,
                raid_protection: mentions.mention_raid_protection_enabled,
            })
        }
        6 => {
            let words: WordsMetadata = wire::read_part(CALL, &at, data)?;
            Some(AutomodTrigger::MemberProfile {
                keywords: words.keyword_filter,
                patterns: words.regex_patterns,
                allow: words.allow_list,
            })
        }
        _ => None,
    })
}

fn action(at: &str, action: &ActionObject) -> Result<Option<AutomodAction>, Unreadable> {
    let data = action.metadata.as_ref();
    Ok(match action.kind {
        1 => {
            let block: Option<BlockMessageMetadata> = wire::read_part(CALL, at, data)?;
            let message = block.and_then(|block| block.custom_message).unwrap_or_default();
            Some(AutomodAction::BlockMessage { message })
        }
        2 => {
            let alert: AlertMetadata = wire::read_part(CALL, at, data)?;
            let channel = Reference::Id(alert.channel_id);
            Some(AutomodAction::Alert { channel })
        }
        3 => {
            let timeout: TimeoutMetadata = wire::read_part(CALL, at, data)?;
            let seconds = u32::try_from(timeout.duration_seconds).ok();
            seconds.map(|seconds| AutomodAction::Timeout { seconds })
        }
        4 => Some(AutomodAction::BlockMember),
        _ => None,
    })
}
