//! Rules of auto moderation: <https://discord.com/developers/docs/resources/auto-moderation>.

mod file;
mod read;

use std::collections::BTreeSet;

use arrakis_domain::Permission;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Attributes;
use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, ReadNotes, Requirement, Resolve, Sent,
    Violation, Write,
};
use crate::rules;
use crate::values::limits::AUTOMOD_RULES;
use crate::values::{CHANNEL, CHANNEL_OR_CATEGORY, Image, ImageAttribute, Kind, Kinds, Overwrites, ROLE, Reference};
use crate::wire::Unreadable;
use crate::yaml::Yaml;

pub(crate) use file::AutomodEntry;

choices! {
    /// Word lists of Discord.
    pub enum AutomodPreset {
        /// Swearing and cursing.
        Profanity "profanity" = 1,
        /// Sexually explicit words.
        SexualContent "sexual_content" = 2,
        /// Slurs and hate speech.
        Slurs "slurs" = 3,
    }
}

/// The trigger of a rule. Discord cannot change the kind of trigger: another kind is a replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AutomodTrigger {
    /// Keywords in a message.
    Keyword {
        /// Keywords; `*` at the start or the end matches any continuation.
        #[serde(default)]
        keywords: Vec<String>,
        /// Regular expressions in the syntax of Rust's `regex` crate.
        #[serde(default)]
        patterns: Vec<String>,
        /// Words that do not trigger the rule.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// Content that Discord classifies as spam.
    Spam,
    /// Words in Discord's word lists.
    Preset {
        /// The word lists.
        presets: BTreeSet<AutomodPreset>,
        /// Words that do not trigger the rule.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// Many mentions in a message.
    MentionSpam {
        /// Maximum number of mentions in a message.
        limit: u32,
        /// Whether Discord detects mention raids.
        #[serde(default)]
        raid_protection: bool,
    },
    /// Keywords in the profile of a member.
    MemberProfile {
        /// Keywords; `*` at the start or the end matches any continuation.
        #[serde(default)]
        keywords: Vec<String>,
        /// Regular expressions in the syntax of Rust's `regex` crate.
        #[serde(default)]
        patterns: Vec<String>,
        /// Words that do not trigger the rule.
        #[serde(default)]
        allow: Vec<String>,
    },
}

impl AutomodTrigger {
    /// Discord's number of the kind of trigger.
    #[must_use]
    pub const fn discord_number(&self) -> u64 {
        match self {
            Self::Keyword { .. } => 1,
            Self::Spam => 3,
            Self::Preset { .. } => 4,
            Self::MentionSpam { .. } => 5,
            Self::MemberProfile { .. } => 6,
        }
    }

    /// Discord's number of the event type: 1 for a message, 2 for a member who joins or changes their profile.
    #[must_use]
    pub const fn discord_event_number(&self) -> u64 {
        if matches!(self, Self::MemberProfile { .. }) {
            2
        } else {
            1
        }
    }
}

/// An action of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AutomodAction {
    /// Blocks the message.
    BlockMessage {
        /// Text for the author; empty for the default text of Discord.
        #[serde(default)]
        message: String,
    },
    /// Sends an alert to a channel.
    Alert {
        /// The channel.
        channel: Reference,
    },
    /// Times the author out.
    Timeout {
        /// Duration in seconds, up to four weeks.
        seconds: u32,
    },
    /// Blocks interactions of the member.
    BlockMember,
}

impl AutomodAction {
    /// Discord's number.
    #[must_use]
    pub const fn discord_number(&self) -> u64 {
        match self {
            Self::BlockMessage { .. } => 1,
            Self::Alert { .. } => 2,
            Self::Timeout { .. } => 3,
            Self::BlockMember => 4,
        }
    }
}

attributes! {
    /// A rule of auto moderation.
    pub struct AutomodRule {
        /// The name.
        name: String,
        /// Whether it is enabled.
        enabled: bool,
        /// The trigger.
        trigger: AutomodTrigger,
        /// The actions.
        actions: Vec<AutomodAction>,
        /// Exempt roles.
        exempt_roles: Vec<Reference>,
        /// Exempt channels.
        exempt_channels: Vec<Reference>,
    }
}

impl AutomodAction {
    /// The channel that it names.
    const fn channel(&self) -> Option<&Reference> {
        match self {
            Self::Alert { channel } => Some(channel),
            Self::BlockMessage { .. } | Self::Timeout { .. } | Self::BlockMember => None,
        }
    }
}

impl Definition for AutomodRule {
    const IMAGE: Option<ImageAttribute> = None;
    const LIST: Option<ListRequest> = Some(ListRequest {
        path: "auto-moderation/rules",
        what: "rules of auto moderation",
        permission: "MANAGE_GUILD",
        is_nullable: false,
        read: read::read,
    });
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] =
        &[("exempt_roles", "role."), ("exempt_channels", "channel.")];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Automod(own) => Some(own),
            _ => None,
        }
    }

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn name_mut(&mut self) -> Option<&mut String> {
        self.name.as_mut()
    }

    fn stored_name(&self, name: &str) -> String {
        name.trim().to_owned()
    }

    fn image(&self) -> Option<&Image> {
        None
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        None
    }

    fn defaults(&self) -> Self {
        Self {
            enabled: Some(false),
            exempt_roles: Some(Vec::new()),
            exempt_channels: Some(Vec::new()),
            ..Self::default()
        }
    }

    fn references(&self) -> Vec<&Reference> {
        let exempt = [&self.exempt_roles, &self.exempt_channels];
        let exempt = exempt.into_iter().flatten().flatten();
        let alerted = self.actions.iter().flatten().filter_map(AutomodAction::channel);
        exempt.chain(alerted).collect()
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        self.exempt_roles
            .iter_mut()
            .flatten()
            .for_each(|role| change(ROLE, role));
        let channels = self.exempt_channels.iter_mut().flatten();
        channels.for_each(|channel| change(CHANNEL_OR_CATEGORY, channel));
        for action in self.actions.iter_mut().flatten() {
            if let AutomodAction::Alert { channel } = action {
                change(CHANNEL, channel);
            }
        }
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        for exempt in [&mut self.exempt_roles, &mut self.exempt_channels]
            .into_iter()
            .flatten()
        {
            exempt.retain(|reference| !is_gone(reference));
        }
        match &mut self.actions {
            Some(actions) => {
                actions.retain(|action| !action.channel().is_some_and(is_gone));
                !actions.is_empty()
            }
            None => true,
        }
    }

    fn forces_replacement(&self, after: &Self) -> Option<&'static str> {
        let (Some(before), Some(after)) = (&self.trigger, &after.trigger) else {
            return None;
        };
        (std::mem::discriminant(before) != std::mem::discriminant(after)).then_some("trigger")
    }

    fn is_same_place(&self, found: &Self, _: Resolve<'_>) -> bool {
        let trigger = |trigger: &Option<AutomodTrigger>| trigger.as_ref().map(AutomodTrigger::discord_number);
        found.trigger.is_none() || trigger(&self.trigger) == trigger(&found.trigger)
    }

    fn requirements(_: Write<'_, Self>) -> Vec<Requirement> {
        Requirement::on_server(&[Permission::ManageGuild])
    }

    fn limits(&self, _: Resolve<'_>) -> Vec<Limit> {
        let trigger = self.trigger.as_ref();
        trigger
            .map(|trigger| Limit {
                kind: Kind::Automod,
                group: Group::Variant(trigger.discord_number()),
            })
            .into_iter()
            .collect()
    }

    fn bound(group: Group, _: u8) -> Bound {
        let trigger = match group {
            Group::Variant(trigger) => trigger,
            _ => 0,
        };
        let known = AUTOMOD_RULES.iter().find(|(wire, _)| *wire == trigger);
        Bound {
            most: known.map_or(usize::MAX, |(_, most)| *most),
            what: match trigger {
                1 => "automod rules with the trigger `keyword`",
                3 => "automod rules with the trigger `spam`",
                4 => "automod rules with the trigger `preset`",
                5 => "automod rules with the trigger `mention_spam`",
                _ => "automod rules with the trigger `member_profile`",
            },
            rule: rules::AUTOMOD_LIMIT,
            what_to_do: "remove rules from the server or from the configuration",
        }
    }

    fn violations(&self, sent: Sent<'_>, server: &Abilities<'_>) -> Vec<Violation> {
        // A rule that times members out is for those who may do it themselves.
        let mut actions = self.actions.iter().flatten();
        let times_out = actions.any(|action| matches!(action, AutomodAction::Timeout { .. }));
        if !times_out || !sent.has("actions") || server.bot_permissions.contains(Permission::ModerateMembers) {
            return Vec::new();
        }
        vec![Violation {
            rule: rules::AUTOMOD_TIMEOUT,
            what: "the bot lacks MODERATE_MEMBERS, which the action `timeout` needs: {}".to_owned(),
            what_to_do: "grant: MODERATE_MEMBERS (Server Settings, Roles, the bot's role), or remove the action from the configuration"
                .to_owned(),
        }]
    }

    fn written(&self, field: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        match field {
            "trigger" => Some(vec![(field.to_owned(), file::written_trigger(self.trigger.as_ref()?))]),
            "actions" => {
                let actions = self.actions.iter().flatten().map(file::written_action);
                Some(vec![(field.to_owned(), Yaml::List(actions.collect()))])
            }
            _ => None,
        }
    }

    fn read_answer(answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let found = read::read(&json!([answer]), server, &mut ReadNotes::default())?;
        Ok(found.into_iter().next().map(|found| found.attributes))
    }
}
