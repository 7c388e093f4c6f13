//! Rules of auto moderation in a file: how they are read and written.

use std::collections::{BTreeMap, BTreeSet};

use super::{AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger};
use crate::kinds::Attributes;
use crate::kinds::draft::{Draft, Section, present, resource_entry};
use crate::values::limits::{
    AUTOMOD_ACTIONS, AUTOMOD_ALLOW, AUTOMOD_EXEMPT_CHANNELS, AUTOMOD_EXEMPT_ROLES, AUTOMOD_KEYWORDS, AUTOMOD_PATTERNS,
    AUTOMOD_PRESET_ALLOW, AUTOMOD_RULES,
};
use crate::values::{Address, Kind, RulePart};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Limited, Link, List, Named, Number, Pick, Text, Truth};
use crate::yaml::tree::Mark;
use crate::yaml::{KnownAddresses, Yaml, link, texts};

document! {
    /// A rule of auto moderation.
    pub(crate) struct AutomodEntry {
        /// The name; the logical name when absent.
        name: Limited<1, 100>,
        /// Whether it is enabled.
        enabled: Truth,
        /// The trigger: one of `keyword`, `spam`, `preset`, `mention_spam`, `member_profile`.
        trigger: TriggerEntry,
        /// The actions.
        actions: List<ActionEntry>,
        /// Exempt roles.
        exempt_roles: List<Link>,
        /// Exempt channels.
        exempt_channels: List<Link>,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it from the configuration while the flag is off.
        flag: Text<1, 50>,
    }
}

document! {
    /// The trigger of a rule; exactly one key.
    pub(crate) struct TriggerEntry {
        /// Keywords in a message.
        keyword: WordsEntry,
        /// Content that Discord classifies as spam; `true`.
        spam: Truth,
        /// Words in Discord's word lists.
        preset: PresetEntry,
        /// Many mentions in a message.
        mention_spam: MentionsEntry,
        /// Keywords in the profile of a member.
        member_profile: WordsEntry,
    }
}

document! {
    /// Words and patterns.
    pub(crate) struct WordsEntry {
        /// Keywords; `*` at the start or the end matches any continuation.
        keywords: List<Limited<1, 60>>,
        /// Regular expressions in the syntax of Rust's `regex` crate.
        patterns: List<Limited<1, 260>>,
        /// Words that do not trigger the rule.
        allow: List<Limited<1, 60>>,
    }
}

document! {
    /// Word lists of Discord.
    pub(crate) struct PresetEntry {
        /// The word lists.
        presets: List<Pick<AutomodPreset>>,
        /// Words that do not trigger the rule.
        allow: List<Limited<1, 60>>,
    }
}

document! {
    /// Mentions in a message.
    pub(crate) struct MentionsEntry {
        /// Maximum number of mentions in a message.
        limit: Number<1, 50>,
        /// Whether Discord detects mention raids.
        raid_protection: Truth,
    }
}

document! {
    /// An action of a rule; exactly one key.
    pub(crate) struct ActionEntry {
        /// Blocks the message. The text is shown to its author; empty for the default text of Discord.
        block_message: Limited<0, 300>,
        /// Sends an alert to this channel.
        alert: Link,
        /// Times the author out for this number of seconds.
        timeout: Number<1, 2419200>,
        /// Blocks interactions of the member; `true`.
        block_member: Truth,
    }
}

resource_entry!(AutomodEntry, flag);

impl Section for Named<AutomodEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        let mut rules: BTreeMap<u64, Vec<(Address, Mark)>> = BTreeMap::new();
        for (address, name, entry) in present(section, Kind::Automod, names) {
            let rule = rule(&address, name, entry, names, reader);
            if let Some(trigger) = &rule.trigger {
                rules
                    .entry(trigger.discord_number())
                    .or_default()
                    .push((address.clone(), name.at));
            }
            draft.put(address, Attributes::Automod(rule), name.at);
        }
        for (wire, most) in AUTOMOD_RULES {
            // Which of them the server has already is not known here: none may be made while there are too many.
            let too_many = rules.get(&wire).filter(|rules| rules.len() > most);
            for (address, at) in too_many.into_iter().flatten() {
                let reason = format!("more than {most} rules with this trigger; Discord accepts no more");
                reader.break_rule_of(*at, address, &[RulePart::Creation], reason);
            }
        }
    }
}

fn rule(
    address: &Address,
    name: &At<String>,
    entry: &At<AutomodEntry>,
    names: &KnownAddresses,
    reader: &mut Reader<'_>,
) -> AutomodRule {
    let own = &entry.value;
    let trigger = match &own.trigger {
        Some(trigger) => reader.with_subject(address, &[RulePart::Attribute("trigger".to_owned())], |reader| {
            read_trigger(trigger, reader)
        }),
        None => {
            reader.break_rule_of(name.at, address, &[RulePart::Creation], "the `trigger` is missing; write `trigger:` with one of `keyword`, `spam`, `preset`, `mention_spam`, `member_profile`");
            None
        }
    };
    // Which actions fit depends on the trigger.
    let parts = ["actions", "trigger"].map(|field| RulePart::Attribute(field.to_owned()));
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
        reader.with_subject(address, &[RulePart::Attribute(field.to_owned())], |reader| {
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
        reader.break_rule(over.at, format!("more than {most} {what}; Discord accepts no more"));
    }
}

fn read_texts<const MIN: usize, const MAX: usize>(
    list: Option<&At<List<Limited<MIN, MAX>>>>,
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
        let keywords = read_texts(own.keywords.as_ref(), AUTOMOD_KEYWORDS, "words", reader);
        let patterns = read_texts(own.patterns.as_ref(), AUTOMOD_PATTERNS, "patterns", reader);
        (
            keywords,
            patterns,
            read_texts(own.allow.as_ref(), AUTOMOD_ALLOW, "allowed words", reader),
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
                "`presets` is missing; write `presets: [profanity, sexual_content, slurs]`, or some of them",
            );
        }
        let allow = read_texts(
            entry.value.allow.as_ref(),
            AUTOMOD_PRESET_ALLOW,
            "allowed words",
            reader,
        );
        return Some(AutomodTrigger::Preset { presets, allow });
    }
    if let Some(entry) = mention_spam {
        let Some(limit) = &entry.value.limit else {
            reader.refuse(
                entry.at,
                "`limit`, the maximum number of mentions in a message, is missing; write `limit: 5`",
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
    names: &KnownAddresses,
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
            .required(channel, Kind::Channel, reader)
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
                "`timeout` requires one of the triggers `keyword` and `mention_spam`",
            );
        }
        return Some(AutomodAction::Timeout {
            seconds: seconds.value.0,
        });
    }
    if trigger.is_some() && !profile {
        reader.break_rule(entry.at, "`block_member` requires the trigger `member_profile`");
    }
    Some(AutomodAction::BlockMember)
}

/// A trigger as a file has it.
pub(super) fn written_trigger(trigger: &AutomodTrigger) -> Yaml {
    let words = |lists: [(&str, &Vec<String>); 3]| {
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        Yaml::Map(lists.map(|(word, list)| (word.to_owned(), texts(list))).collect())
    };
    let (word, value) = match trigger {
        AutomodTrigger::Keyword {
            keywords,
            patterns,
            allow,
        } => (
            "keyword",
            words([("keywords", keywords), ("patterns", patterns), ("allow", allow)]),
        ),
        AutomodTrigger::MemberProfile {
            keywords,
            patterns,
            allow,
        } => (
            "member_profile",
            words([("keywords", keywords), ("patterns", patterns), ("allow", allow)]),
        ),
        AutomodTrigger::Spam => ("spam", Yaml::Plain("true".to_owned())),
        AutomodTrigger::Preset { presets, allow } => {
            let presets = Yaml::List(presets.iter().map(|preset| Yaml::text(preset.name())).collect());
            let mut fields = vec![("presets".to_owned(), presets)];
            if !allow.is_empty() {
                fields.push(("allow".to_owned(), texts(allow)));
            }
            ("preset", Yaml::Map(fields))
        }
        AutomodTrigger::MentionSpam { limit, raid_protection } => {
            let mut fields = vec![("limit".to_owned(), Yaml::Plain(limit.to_string()))];
            if *raid_protection {
                fields.push(("raid_protection".to_owned(), Yaml::Plain("true".to_owned())));
            }
            ("mention_spam", Yaml::Map(fields))
        }
    };
    Yaml::Map(vec![(word.to_owned(), value)])
}

/// An action as a file has it.
pub(super) fn written_action(action: &AutomodAction) -> Yaml {
    let (word, value) = match action {
        AutomodAction::BlockMessage { message } => ("block_message", Yaml::text(message)),
        AutomodAction::Alert { channel } => ("alert", link(channel, "channel.")),
        AutomodAction::Timeout { seconds } => ("timeout", Yaml::Plain(seconds.to_string())),
        AutomodAction::BlockMember => ("block_member", Yaml::Plain("true".to_owned())),
    };
    Yaml::Map(vec![(word.to_owned(), value)])
}
