//! A command's definition: registration, dispatch and `/help` are derived from it.

use std::time::Duration;

use arrakis_security::mfa::ProtectedOperation;
use twilight_model::application::command::{Command as RegisteredCommand, CommandOption, CommandType};
use twilight_model::application::interaction::InteractionContextType;
use twilight_model::guild::Permissions;
use twilight_model::oauth::ApplicationIntegrationType;
use twilight_util::builder::command::CommandBuilder;

use crate::interaction::invocation::InvocationData;
use crate::render::mfa::GUARD;

/// The first response to an interaction. It decides whether the reply is ephemeral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// "Thinking…" immediately, the reply by an edit. For a command that reads a database.
    Deferred {
        /// Only the member sees the reply.
        ephemeral: bool,
    },
    /// For a component: deferred immediately, then the message that contains the component is edited.
    DeferredUpdate,
    /// The reply itself, within three seconds. For a command that waits for nothing.
    Immediate,
    /// A modal, which cannot be deferred.
    Modal,
}

impl ResponseMode {
    /// Whether the first response is a defer.
    pub const fn is_deferred(self) -> bool {
        match self {
            Self::Deferred { .. } | Self::DeferredUpdate => true,
            Self::Immediate | Self::Modal => false,
        }
    }
}

/// Where a command can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandScope {
    /// In onboarded servers.
    Community,
    /// In every server, and in direct messages.
    Anywhere,
}

/// How components of a command are handled whose custom id has this first argument, where that differs from the command's other
/// components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentRule {
    /// The first segment of the custom id after the command's name.
    pub argument: &'static str,
    /// First response to the component.
    pub response: ResponseMode,
    /// Where it can be used.
    pub scope: CommandScope,
}

/// How a command is protected by a second factor. The slash command itself shows what would be done and changes nothing; its buttons and
/// its modals carry it out, and need a code.
///
/// A button with [`MfaRule::reads`] excepted is answered by a modal with a field for the code; when the code is accepted, the button is
/// handled as if it had been pressed then. So a protected component is a button: the values of a menu would be lost. A modal of the
/// command has the field for the code itself (`render::mfa::code_field`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MfaRule {
    /// What is protected.
    pub operation: ProtectedOperation,
    /// First arguments of the components and modals that change nothing, and need no code.
    pub reads: &'static [&'static str],
}

/// How an interaction gets the code of the member's second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MfaNeed {
    /// It has none: the reply is a modal in which the member enters it.
    Ask,
    /// It is a submitted modal with the code, which is checked.
    Check,
}

/// A part of a command that can have a feature gate of its own: it is used when its option is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Key of its gate.
    pub key: &'static str,
    /// The option.
    pub option: &'static str,
    /// The name that members and admins see.
    pub label: &'static str,
}

/// A command, or a part of one, that can have a feature gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GatedPart {
    /// Key of its gate.
    pub(crate) key: &'static str,
    /// The name that members and admins see.
    pub(crate) label: String,
}

/// A command's definition: [`Definition::new`], then the methods for whatever differs from its defaults.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Name, 1 to 32 lower-case characters; also the first segment of its components' custom ids.
    pub name: &'static str,
    /// One line of up to 100 characters, shown by Discord and by `/help`.
    pub description: &'static str,
    /// Options, in the order shown.
    pub options: Vec<CommandOption>,
    /// Permissions that a member needs; `None` for every member. An admin can override what Discord shows, so the worker checks again.
    pub permissions: Option<Permissions>,
    /// First response to the command.
    pub response: ResponseMode,
    /// First response to its components and modals.
    pub component_response: ResponseMode,
    /// Components that are handled differently.
    pub component_rules: &'static [ComponentRule],
    /// Components that do what another command does: the first argument of their custom ids, and the command's name.
    pub acts_as: &'static [(&'static str, &'static str)],
    /// Shortest time between two uses by one member.
    pub cooldown: Duration,
    /// Where it can be used.
    pub scope: CommandScope,
    /// Parts of it that can have a feature gate of their own.
    pub features: &'static [Feature],
    /// Whether it is open to every member, whatever gates an admin would set.
    pub always_open: bool,
    /// How it is protected by a second factor; `None`: it is not.
    pub requires_mfa: Option<MfaRule>,
}

impl Definition {
    /// A command of a community: deferred, ephemeral, with a cooldown of three seconds.
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            options: Vec::new(),
            permissions: None,
            response: ResponseMode::Deferred { ephemeral: true },
            component_response: ResponseMode::DeferredUpdate,
            component_rules: &[],
            acts_as: &[],
            cooldown: Duration::from_secs(3),
            scope: CommandScope::Community,
            features: &[],
            always_open: false,
            requires_mfa: None,
        }
    }

    /// Adds an option.
    #[must_use]
    pub fn option(mut self, option: impl Into<CommandOption>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Requires permissions of the member in the channel, or Administrator.
    #[must_use]
    pub const fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// The reply is visible to the channel.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.response = ResponseMode::Deferred { ephemeral: false };
        self
    }

    /// Sets the first response to the command.
    #[must_use]
    pub const fn response(mut self, response: ResponseMode) -> Self {
        self.response = response;
        self
    }

    /// Sets where the command can be used.
    #[must_use]
    pub const fn scope(mut self, scope: CommandScope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets the components that are handled differently.
    #[must_use]
    pub const fn component_rules(mut self, rules: &'static [ComponentRule]) -> Self {
        self.component_rules = rules;
        self
    }

    /// Sets which components do what another command does, by the first argument of their custom ids. The feature gates of that command
    /// apply to them.
    #[must_use]
    pub const fn acts_as(mut self, components: &'static [(&'static str, &'static str)]) -> Self {
        self.acts_as = components;
        self
    }

    /// Sets the shortest time between two uses by one member.
    #[must_use]
    pub const fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Sets the parts that can have a feature gate of their own.
    #[must_use]
    pub const fn features(mut self, features: &'static [Feature]) -> Self {
        self.features = features;
        self
    }

    /// The command cannot have a feature gate: members need it to reach a tier.
    #[must_use]
    pub const fn always_open(mut self) -> Self {
        self.always_open = true;
        self
    }

    /// Requires a second factor for its components and modals.
    #[must_use]
    pub const fn requires_mfa(mut self, rule: MfaRule) -> Self {
        self.requires_mfa = Some(rule);
        self
    }

    /// The command and its parts that can have feature gates. Commands of admins and those outside of a community have none.
    pub(crate) fn gated_parts(&self) -> Vec<GatedPart> {
        if self.always_open || self.permissions.is_some() || self.scope == CommandScope::Anywhere {
            return Vec::new();
        }
        let command = GatedPart {
            key: self.name,
            label: format!("`/{}`", self.name),
        };
        let features = self.features.iter().map(|feature| GatedPart {
            key: feature.key,
            label: feature.label.to_owned(),
        });
        std::iter::once(command).chain(features).collect()
    }

    /// Those of [`Definition::gated_parts`] that an interaction uses.
    pub(crate) fn gated_parts_of(&self, data: &InvocationData) -> Vec<GatedPart> {
        let mut parts = self.gated_parts();
        parts.retain(|part| {
            let feature = self.features.iter().find(|feature| feature.key == part.key);
            match (feature, data) {
                (None, _) => true,
                (Some(feature), InvocationData::Command { options, .. }) => options.was_sent(feature.option),
                (Some(_), _) => false,
            }
        });
        parts
    }

    /// Name of the other command that does what the component of an interaction does.
    pub(crate) fn command_of(&self, data: &InvocationData) -> Option<&'static str> {
        let (InvocationData::Component { custom_id, .. } | InvocationData::ModalSubmit { custom_id, .. }) = data else {
            return None;
        };
        let argument = custom_id.split(':').nth(1)?;
        let found = self.acts_as.iter().find(|(component, _)| *component == argument);
        found.map(|(_, command)| *command)
    }

    /// How this interaction gets a code; `None`: it needs none.
    pub(crate) fn mfa_need(&self, data: &InvocationData) -> Option<MfaNeed> {
        let rule = self.requires_mfa?;
        let (custom_id, need) = match data {
            InvocationData::Command { .. } | InvocationData::Autocomplete { .. } => return None,
            InvocationData::Component { custom_id, .. } => (custom_id, MfaNeed::Ask),
            InvocationData::ModalSubmit { custom_id, .. } => (custom_id, MfaNeed::Check),
        };
        let argument = custom_id.split(':').nth(1).unwrap_or_default();
        (!rule.reads.contains(&argument)).then_some(need)
    }

    /// The custom id of the button for which a modal has asked for a code, from the custom id of that modal.
    pub(crate) fn confirmed_button(&self, custom_id: &str) -> Option<String> {
        self.requires_mfa?;
        let mut segments = custom_id.splitn(3, ':');
        let (name, guard, rest) = (segments.next()?, segments.next()?, segments.next()?);
        (guard == GUARD).then(|| format!("{name}:{rest}"))
    }

    /// First response to a component or modal with this custom id.
    pub(crate) fn response_to(&self, custom_id: &str) -> ResponseMode {
        self.rule_of(custom_id)
            .map_or(self.component_response, |rule| rule.response)
    }

    /// Where a component or modal with this custom id can be used.
    pub(crate) fn scope_of(&self, custom_id: &str) -> CommandScope {
        self.rule_of(custom_id).map_or(self.scope, |rule| rule.scope)
    }

    fn rule_of(&self, custom_id: &str) -> Option<&ComponentRule> {
        let confirmed = self.confirmed_button(custom_id);
        let argument = confirmed.as_deref().unwrap_or(custom_id).split(':').nth(1)?;
        self.component_rules.iter().find(|rule| rule.argument == argument)
    }

    /// The command as it is registered with Discord. Every default is explicit, so that it can be compared with what Discord returns.
    pub fn registered(&self) -> RegisteredCommand {
        self.builder().build()
    }

    /// The builder of the registered command; it can validate.
    pub(super) fn builder(&self) -> CommandBuilder {
        let contexts = match self.scope {
            CommandScope::Community => vec![InteractionContextType::Guild],
            CommandScope::Anywhere => vec![InteractionContextType::Guild, InteractionContextType::BotDm],
        };
        let mut builder = CommandBuilder::new(self.name, self.description, CommandType::ChatInput)
            .contexts(contexts)
            .integration_types([ApplicationIntegrationType::GuildInstall]);
        if let Some(permissions) = self.permissions {
            builder = builder.default_member_permissions(permissions);
        }
        for option in &self.options {
            builder = builder.option(option.clone());
        }
        builder
    }
}
