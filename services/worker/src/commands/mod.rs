//! Commands, one file each. What a command declares registers it, dispatches to it and documents it.
//!
//! To add one: a file with a type that implements [`Command`], and its line in `all`. Nothing else: the leader registers
//! it with Discord, `/help` lists it, its buttons find it by the first segment of their custom ids (`name:arguments`).

mod definition;
mod help;
mod leaderboard;
mod position;
mod profile;
pub mod registration;
mod stats;
mod threshold;

use arrakis_db::TenantTx;
use async_trait::async_trait;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use twilight_model::application::command::CommandOptionChoice;
use twilight_model::channel::message::MessageFlags;
use twilight_model::http::interaction::InteractionResponseData;

pub use definition::{Answers, Definition, Scope};

use crate::community::Community;
use crate::failure::Failure;
use crate::interactions::invocation::Invocation;
use crate::interactions::refusal::Refusal;
use crate::render::{Freshness, Scene};
use crate::services::Services;

/// Every command, in the order of `/help`.
fn all() -> Vec<Box<dyn Command>> {
    vec![
        Box::new(position::Position),
        Box::new(profile::Profile),
        Box::new(leaderboard::Leaderboard),
        Box::new(threshold::Threshold),
        Box::new(stats::Stats),
        Box::new(help::Help),
    ]
}

/// What a command works with.
#[derive(Debug)]
pub struct Call<'a> {
    /// Database, cache, Discord.
    pub services: &'a Services,
    /// Who asks for what.
    pub invocation: &'a Invocation,
    /// The server's community; `None` only for commands that work [`Scope::Anywhere`].
    pub community: Option<&'a Community>,
    tx: Mutex<Option<TenantTx>>,
}

impl<'a> Call<'a> {
    /// A call in this community, with a transaction on its rows.
    pub fn new(
        services: &'a Services,
        invocation: &'a Invocation,
        community: Option<&'a Community>,
        tx: Option<TenantTx>,
    ) -> Self {
        Self {
            services,
            invocation,
            community,
            tx: Mutex::new(tx),
        }
    }

    /// The one transaction of this call, in which the community was read and in which its use will be counted. Whoever runs
    /// the command commits it; nothing that takes long may be waited for before.
    ///
    /// # Errors
    /// As [`Call::community`].
    pub async fn tx(&self) -> Result<MappedMutexGuard<'_, TenantTx>, CommandError> {
        let tx = self.tx.lock().await;
        MutexGuard::try_map(tx, Option::as_mut)
            .map_err(|_| Failure::permanent("a command that works anywhere asked for its community's rows").into())
    }

    /// The transaction, for who ends it.
    pub(crate) fn into_tx(self) -> Option<TenantTx> {
        self.tx.into_inner()
    }

    /// The community of a command that works in communities only.
    ///
    /// # Errors
    /// A mistake in the code: a command that works anywhere asked for it.
    pub fn community(&self) -> Result<&Community, CommandError> {
        let missing = || Failure::permanent("a command that works anywhere asked for its community");
        self.community.ok_or_else(|| missing().into())
    }

    /// What every answer of a community is drawn with: theme and rules, its token's symbol, and as of when the ranking holds.
    ///
    /// # Errors
    /// As [`Call::community`].
    pub(crate) fn scene(&self) -> Result<Scene<'_>, CommandError> {
        let community = self.community()?;
        let token = &community.record.token;
        Ok(Scene {
            theme: &community.theme,
            ladder: community.ladder()?,
            symbol: &token.symbol,
            freshness: Freshness::new(token.last_success_at, self.services.now(), self.services.stale_after),
        })
    }
}

/// What a command answers.
#[derive(Debug)]
pub enum Reply {
    /// A message: the answer itself, or put in place of "thinking…" or of the pressed message.
    Message(InteractionResponseData),
    /// A new message that only the member sees, whatever the first answer was; a pressed message stays as it is.
    Private(InteractionResponseData),
    /// A form, for [`Answers::Modal`].
    Form(InteractionResponseData),
}

/// Why a command has no answer.
#[derive(Debug)]
pub enum CommandError {
    /// The member cannot have what was asked for; says why and what to do.
    Refused(Refusal),
    /// Something failed.
    Failed(Failure),
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<Failure>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A command's answer.
pub type Answer = Result<Reply, CommandError>;

/// A command. It may be called twice for one interaction (a worker died in between), so it reads, or guards what it writes
/// by the inbox.
#[async_trait]
pub trait Command: Send + Sync {
    /// What it is.
    fn definition(&self) -> Definition;

    /// Answers the command.
    async fn run(&self, call: &Call<'_>) -> Answer;

    /// Answers a press of one of its buttons or selects. `arguments` are the segments of the custom id behind the name.
    async fn press(&self, call: &Call<'_>, arguments: &[&str]) -> Answer {
        let _ = (call, arguments);
        Err(outdated().into())
    }

    /// Answers one of its forms. `arguments` as for a press.
    async fn submit(&self, call: &Call<'_>, arguments: &[&str]) -> Answer {
        let _ = (call, arguments);
        Err(outdated().into())
    }

    /// Suggests values for an option that is being typed. It has no time to lose: at most 25, from the cache or an index.
    async fn suggest(&self, call: &Call<'_>, option: &str, typed: &str) -> Result<Vec<CommandOptionChoice>, Failure> {
        let _ = (call, option, typed);
        Ok(Vec::new())
    }
}

/// What a button that no command knows any more is answered.
pub(crate) fn outdated() -> Refusal {
    Refusal::new(
        "This button belongs to an older version of me.",
        "Run the command again for a fresh one.",
    )
}

/// A message of one embed with rows of components.
pub(crate) fn message(
    embed: twilight_model::channel::message::Embed,
    components: Vec<twilight_model::channel::message::Component>,
) -> InteractionResponseData {
    InteractionResponseData {
        embeds: Some(vec![embed]),
        components: Some(components),
        ..InteractionResponseData::default()
    }
}

/// Marks a message as private.
pub(crate) fn private(mut message: InteractionResponseData) -> InteractionResponseData {
    message.flags = Some(message.flags.unwrap_or(MessageFlags::empty()) | MessageFlags::EPHEMERAL);
    message
}

/// Every command with its definition, found by name.
pub struct Commands(Vec<Entry>);

/// One command.
pub struct Entry {
    /// What it declares.
    pub definition: Definition,
    /// What it does.
    pub command: Box<dyn Command>,
}

impl std::fmt::Debug for Commands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.definitions().map(|definition| definition.name))
            .finish()
    }
}

impl Default for Commands {
    fn default() -> Self {
        Self::new(all())
    }
}

impl Commands {
    /// A set of commands; [`Commands::default`] is ours.
    pub fn new(commands: Vec<Box<dyn Command>>) -> Self {
        let entry = |command: Box<dyn Command>| Entry {
            definition: command.definition(),
            command,
        };
        Self(commands.into_iter().map(entry).collect())
    }

    /// The command of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.definition.name == name)
    }

    /// What all of them declare.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.0.iter().map(|entry| &entry.definition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_one_that_discord_takes() {
        let commands = Commands::default();
        for definition in commands.definitions() {
            let checked = definition.builder().validate();
            assert!(checked.is_ok(), "{}: {:?}", definition.name, checked.err());
        }
    }

    #[test]
    fn no_name_is_taken_twice() {
        let commands = Commands::default();
        let mut names: Vec<_> = commands.definitions().map(|definition| definition.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), commands.definitions().count());
    }
}
