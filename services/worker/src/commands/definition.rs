//! A command's definition: registration, dispatch and `/help` are derived from it.

use std::time::Duration;

use twilight_model::application::command::{Command as RegisteredCommand, CommandOption, CommandType};
use twilight_model::application::interaction::InteractionContextType;
use twilight_model::guild::Permissions;
use twilight_model::oauth::ApplicationIntegrationType;
use twilight_util::builder::command::CommandBuilder;

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
    /// Shortest time between two uses by one member.
    pub cooldown: Duration,
    /// Where it can be used.
    pub scope: CommandScope,
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
            cooldown: Duration::from_secs(3),
            scope: CommandScope::Community,
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

    /// Sets the shortest time between two uses by one member.
    #[must_use]
    pub const fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
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
        let argument = custom_id.split(':').nth(1)?;
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
