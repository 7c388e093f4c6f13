//! `automod`: rules of auto moderation.

use std::collections::{BTreeMap, BTreeSet};

use super::names::entries;
use super::{Draft, Names, present};
use crate::config::document::{ActionEntry, AutomodEntry, ServerFile, TriggerEntry, WordsEntry};
use crate::config::reader::{At, Reader};
use crate::config::scalar::{Limited, List};
use crate::config::tree::Mark;
use crate::model::limits::{
    AUTOMOD_ACTIONS, AUTOMOD_ALLOW, AUTOMOD_EXEMPT_CHANNELS, AUTOMOD_EXEMPT_ROLES, AUTOMOD_KEYWORDS, AUTOMOD_PATTERNS,
    AUTOMOD_PRESET_ALLOW, AUTOMOD_RULES,
};
use crate::model::{Address, Attributes, AutomodAction, AutomodRule, AutomodTrigger, Kind, Part};

pub(super) fn build(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    let mut rules: BTreeMap<u64, Vec<(Address, Mark)>> = BTreeMap::new();
    for (name, entry) in entries(document.automod.as_ref()) {
        let Some(address) = present(Kind::Automod, name, names) else {
            continue;
        };
        let rule = read(&address, name, entry, names, reader);
        if let Some(trigger) = &rule.trigger {
            rules
                .entry(trigger.wire())
                .or_default()
                .push((address.clone(), name.at));
        }
        draft.put(address, Attributes::Automod(rule), name.at);
    }
    for (wire, most) in AUTOMOD_RULES {
        // Which of them the server has already is not known here: none may be made while there are too many.
        let too_many = rules.get(&wire).filter(|rules| rules.len() > most);
        for (address, at) in too_many.into_iter().flatten() {
            let reason = format!("more than {most} rules with this trigger; Discord takes no more");
            reader.break_rule_of(*at, address, &[Part::Creation], reason);
        }
    }
}

fn read(
    address: &Address,
    name: &At<String>,
    entry: &At<AutomodEntry>,
    names: &Names,
    reader: &mut Reader<'_>,
) -> AutomodRule {
    let own = &entry.value;
    let trigger = match &own.trigger {
        Some(trigger) => reader.with_subject(address, &[Part::Attribute("trigger".to_owned())], |reader| {
            read_trigger(trigger, reader)
        }),
        None => {
            reader.break_rule_of(name.at, address, &[Part::Creation], "what sets the rule off is missing; write `trigger:` with one of `keyword`, `spam`, `preset`, `mention_spam`, `member_profile`");
            None
        }
    };
    // Which actions fit depends on the trigger.
    let parts = ["actions", "trigger"].map(|field| Part::Attribute(field.to_owned()));
    let actions: Option<Vec<_>> = own.actions.as_ref().map(|actions| {
        reader.with_subject(address, &parts, |reader| {
            let read = |action| read_action(action, trigger.as_ref(), names, reader);
            actions.value.0.iter().filter_map(read).collect()
        })
    });
    let written = own.actions.as_ref().map_or(0, |actions| actions.value.0.len());
    if !AUTOMOD_ACTIONS.contains(&written) {
        let at = own.actions.as_ref().map_or(name.at, |actions| actions.at);
        let most = AUTOMOD_ACTIONS.end();
        let reason = format!("a rule has 1 to {most} actions; this one has {written}");
        reader.break_rule_of(at, address, &parts[..1], reason);
    }
    let mut links = |list: Option<&At<List<_>>>, field: &str, kinds: &[Kind], most: usize| {
        let list = list?;
        reader.with_subject(address, &[Part::Attribute(field.to_owned())], |reader| {
            limit(list, most, "entries", reader);
            Some(names.links(&list.value.0, kinds, reader))
        })
    };
    AutomodRule {
        exempt_roles: links(
            own.exempt_roles.as_ref(),
            "exempt_roles",
            &[Kind::Role],
            AUTOMOD_EXEMPT_ROLES,
        ),
        exempt_channels: links(
            own.exempt_channels.as_ref(),
            "exempt_channels",
            &[Kind::Channel, Kind::Category],
            AUTOMOD_EXEMPT_CHANNELS,
        ),
        name: Some(
            own.name
                .as_ref()
                .map_or_else(|| name.value.clone(), |name| name.value.0.clone()),
        ),
        enabled: own.enabled.as_ref().map(|enabled| enabled.value.0),
        trigger,
        actions,
    }
}

fn limit<T>(list: &At<List<T>>, most: usize, what: &str, reader: &mut Reader<'_>) {
    if let Some(over) = list.value.0.get(most) {
        reader.break_rule(over.at, format!("more than {most} {what}; Discord takes no more"));
    }
}

fn texts<const LEAST: usize, const MOST: usize>(
    list: Option<&At<List<Limited<LEAST, MOST>>>>,
    most: usize,
    what: &str,
    reader: &mut Reader<'_>,
) -> Vec<String> {
    let Some(list) = list else { return Vec::new() };
    limit(list, most, what, reader);
    list.value.0.iter().map(|text| text.value.0.clone()).collect()
}

fn read_trigger(entry: &At<TriggerEntry>, reader: &mut Reader<'_>) -> Option<AutomodTrigger> {
    let TriggerEntry {
        keyword,
        spam,
        preset,
        mention_spam,
        member_profile,
    } = &entry.value;
    let given = [
        keyword.is_some(),
        spam.as_ref().is_some_and(|spam| spam.value.0),
        preset.is_some(),
        mention_spam.is_some(),
        member_profile.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        reader.refuse(
            entry.at,
            "a rule has one trigger: `keyword`, `spam`, `preset`, `mention_spam` or `member_profile`",
        );
        return None;
    }
    let words = |entry: &At<WordsEntry>, reader: &mut Reader<'_>| {
        let own = &entry.value;
        let keywords = texts(own.keywords.as_ref(), AUTOMOD_KEYWORDS, "words", reader);
        let patterns = texts(own.patterns.as_ref(), AUTOMOD_PATTERNS, "patterns", reader);
        (
            keywords,
            patterns,
            texts(own.allow.as_ref(), AUTOMOD_ALLOW, "words that are let through", reader),
        )
    };
    if let Some(entry) = keyword {
        let (keywords, patterns, allow) = words(entry, reader);
        return Some(AutomodTrigger::Keyword {
            keywords,
            patterns,
            allow,
        });
    }
    if let Some(entry) = member_profile {
        let (keywords, patterns, allow) = words(entry, reader);
        return Some(AutomodTrigger::MemberProfile {
            keywords,
            patterns,
            allow,
        });
    }
    if let Some(entry) = preset {
        let presets: BTreeSet<_> = entry
            .value
            .presets
            .iter()
            .flat_map(|list| &list.value.0)
            .map(|one| one.value.0)
            .collect();
        if presets.is_empty() {
            reader.break_rule(
                entry.at,
                "which lists is missing; write `presets: [profanity, sexual_content, slurs]`, or some of them",
            );
        }
        let allow = texts(
            entry.value.allow.as_ref(),
            AUTOMOD_PRESET_ALLOW,
            "words that are let through",
            reader,
        );
        return Some(AutomodTrigger::Preset { presets, allow });
    }
    if let Some(entry) = mention_spam {
        let Some(limit) = &entry.value.limit else {
            reader.refuse(
                entry.at,
                "how many mentions a message may have is missing; write `limit: 5`",
            );
            return None;
        };
        return Some(AutomodTrigger::MentionSpam {
            limit: limit.value.0,
            raid_protection: entry.value.raid_protection.as_ref().is_some_and(|on| on.value.0),
        });
    }
    Some(AutomodTrigger::Spam)
}

fn read_action(
    entry: &At<ActionEntry>,
    trigger: Option<&AutomodTrigger>,
    names: &Names,
    reader: &mut Reader<'_>,
) -> Option<AutomodAction> {
    let ActionEntry {
        block_message,
        alert,
        timeout,
        block_member,
    } = &entry.value;
    let given = [
        block_message.is_some(),
        alert.is_some(),
        timeout.is_some(),
        block_member.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        reader.refuse(
            entry.at,
            "an action is one of `block_message`, `alert`, `timeout`, `block_member`",
        );
        return None;
    }
    if let Some(message) = block_message {
        return Some(AutomodAction::BlockMessage {
            message: message.value.0.clone(),
        });
    }
    if let Some(channel) = alert {
        return names
            .needed(channel, Kind::Channel, reader)
            .map(|channel| AutomodAction::Alert { channel });
    }
    let profile = matches!(trigger, Some(AutomodTrigger::MemberProfile { .. }));
    if let Some(seconds) = timeout {
        if !matches!(
            trigger,
            None | Some(AutomodTrigger::Keyword { .. } | AutomodTrigger::MentionSpam { .. })
        ) {
            reader.break_rule(
                seconds.at,
                "`timeout` goes with the triggers `keyword` and `mention_spam`",
            );
        }
        return Some(AutomodAction::Timeout {
            seconds: seconds.value.0,
        });
    }
    if trigger.is_some() && !profile {
        reader.break_rule(entry.at, "`block_member` goes with the trigger `member_profile`");
    }
    Some(AutomodAction::BlockMember)
}
