//! What a command says of itself: the one source for registration, dispatch and `/help`.

use std::time::Duration;

use twilight_model::application::command::{Command as Registered, CommandOption, CommandType};
use twilight_model::application::interaction::InteractionContextType;
use twilight_model::guild::Permissions;
use twilight_model::oauth::ApplicationIntegrationType;
use twilight_util::builder::command::CommandBuilder;

/// How an interaction is answered first. Whether an answer is private is fixed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// "Thinking…" at once, the answer by an edit. For whatever reads a database.
    Deferred {
        /// Only the member sees it.
        private: bool,
    },
    /// For a press: acknowledged at once, and the message it is on is edited.
    Update,
    /// With the answer itself, within three seconds. For what needs nothing but itself.
    Immediate,
    /// With a form, which cannot be deferred.
    Modal,
}

/// Where a command works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In onboarded servers.
    Community,
    /// In every server, and in direct messages.
    Anywhere,
}

/// A command, declared. To make one: [`Definition::new`], then the methods for what is not as usual.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Name, 1 to 32 lower-case characters; first segment of its custom ids, too.
    pub name: &'static str,
    /// One line, up to 100 characters: in Discord's list, and in `/help`.
    pub description: &'static str,
    /// Options, in the order shown.
    pub options: Vec<CommandOption>,
    /// Who sees it unless the server's admins say otherwise; `None` for everybody. Checked again where it is dispatched.
    pub permissions: Option<Permissions>,
    /// How the command itself is answered.
    pub answers: Answers,
    /// How presses of its buttons and selects, and its forms, are answered.
    pub presses: Answers,
    /// Least time between two uses by the same member.
    pub cooldown: Duration,
    /// Where it works.
    pub scope: Scope,
}

impl Definition {
    /// A command of a community that reads: deferred, private, three seconds of cooldown.
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            options: Vec::new(),
            permissions: None,
            answers: Answers::Deferred { private: true },
            presses: Answers::Update,
            cooldown: Duration::from_secs(3),
            scope: Scope::Community,
        }
    }

    /// Adds an option.
    #[must_use]
    pub fn option(mut self, option: impl Into<CommandOption>) -> Self {
        self.options.push(option.into());
        self
    }

    /// The answer is seen by the whole channel.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.answers = Answers::Deferred { private: false };
        self
    }

    /// Answers in another way.
    #[must_use]
    pub const fn answered(mut self, answers: Answers) -> Self {
        self.answers = answers;
        self
    }

    /// Works in another place.
    #[must_use]
    pub const fn works(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// As Discord is told. Every default is spelled out, so that what is registered can be compared with it.
    pub fn registered(&self) -> Registered {
        self.builder().build()
    }

    /// The builder, which can check what it builds.
    pub(super) fn builder(&self) -> CommandBuilder {
        let contexts = match self.scope {
            Scope::Community => vec![InteractionContextType::Guild],
            Scope::Anywhere => vec![InteractionContextType::Guild, InteractionContextType::BotDm],
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
