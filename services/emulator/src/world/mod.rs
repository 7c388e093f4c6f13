//! The whole state of the emulated Discord, behind one lock, and the operations on it.
//!
//! Owns the maps, the ids, and the operations: each operation (a method of [`State`], one file per concept) changes the data,
//! writes the audit log and emits the dispatches, in that order, under the lock, so that every session receives events in the
//! order of the changes. Operations do not validate: `rest` has validated and authorized their values. To add a concept, add a
//! file here with `impl State`, and its map below.
//!
//! Pattern of a REST route: read the state, validate, build the new value (a clone with the changed fields), call the operation
//! with a [`Cause`]. Audit changes are the difference between the old JSON and the new.

mod audit;
mod channels;
mod community;
mod emit;
mod guilds;
mod interactions;
mod members;
mod messages;
pub mod permissions;
mod reactions;
mod roles;
mod threads;
mod view;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc::UnboundedSender, watch};
use url::Url;

pub(crate) use emit::to_body;
pub use emit::{Dispatch, Subscribers};
pub use interactions::{HttpInteraction, NewInteraction};

use crate::{
    clock::Clock,
    model::{Channel, Command, Emoji, Guild, Id, Intents, Interaction, Message, Timestamp, User, Webhook},
};

/// The state and the lock around it.
#[derive(Debug)]
pub struct World {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl World {
    /// A world with an application and its bot, without servers. `to_endpoint` takes the interactions that are delivered by HTTP.
    #[must_use]
    pub fn new(
        application: Application,
        token: String,
        clock: Clock,
        subscribers: Arc<dyn Subscribers>,
        to_endpoint: UnboundedSender<HttpInteraction>,
    ) -> Self {
        let bot = User::bot(application.id, &application.name);
        let state = State {
            clock,
            subscribers,
            to_endpoint,
            interactions_endpoint: None,
            last_id: 0,
            bot_id: bot.id,
            token,
            users: HashMap::from([(bot.id, bot)]),
            application,
            guilds: BTreeMap::new(),
            channel_guilds: HashMap::new(),
            dms: HashMap::new(),
            messages: HashMap::new(),
            blobs: HashMap::new(),
            commands: BTreeMap::new(),
            interactions: BTreeMap::new(),
            webhooks: HashMap::new(),
            application_emojis: BTreeMap::new(),
            marked: None,
        };
        Self {
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
        }
    }

    /// Reads the state.
    pub fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock())
    }

    /// Changes the state and wakes tasks that wait for a change.
    pub fn write<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state.lock());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Counter of changes; tasks that wait for a condition check it again when the counter changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// The bot's application.
#[derive(Clone, Debug)]
pub struct Application {
    /// Snowflake; the bot user has the same.
    pub id: Id,
    /// Name of application and bot.
    pub name: String,
    /// Text on the profile.
    pub description: String,
    /// Key that interaction webhooks are signed with, hexadecimal.
    pub verify_key: String,
    /// Privileged intents that are switched on in the developer portal; others lead to close code 4014.
    pub privileged_intents: Intents,
    /// Further settings of the application, by the field's name.
    pub settings: BTreeMap<&'static str, serde_json::Value>,
}

impl Application {
    /// Public flags: which privileged intents are on. Below 100 servers Discord sets the "limited" ones.
    /// <https://discord.com/developers/docs/resources/application#application-object-application-flags>
    #[must_use]
    pub fn flags(&self) -> u64 {
        let bits = [
            (Intents::GUILD_PRESENCES, 13),
            (Intents::GUILD_MEMBERS, 15),
            (Intents::MESSAGE_CONTENT, 19),
        ];
        bits.iter()
            .filter(|(intent, _)| self.privileged_intents.contains(*intent))
            .map(|(_, bit)| 1 << bit)
            .sum()
    }
}

/// The data of the emulated Discord. Fields are visible in the crate; change them by operations where one exists.
#[derive(Debug)]
pub struct State {
    pub(crate) clock: Clock,
    subscribers: Arc<dyn Subscribers>,
    to_endpoint: UnboundedSender<HttpInteraction>,
    /// Checked address to which interactions are delivered instead of the gateway.
    pub(crate) interactions_endpoint: Option<Url>,
    last_id: u64,
    /// User id of the bot.
    pub(crate) bot_id: Id,
    /// The valid bot token; replaced when no session starts are left.
    pub(crate) token: String,
    pub(crate) application: Application,
    pub(crate) users: HashMap<Id, User>,
    pub(crate) guilds: BTreeMap<Id, Guild>,
    /// Which server a channel or thread is in; direct messages are in `dms`.
    pub(crate) channel_guilds: HashMap<Id, Id>,
    pub(crate) dms: HashMap<Id, Channel>,
    /// Messages by channel, oldest first, ephemeral ones among them.
    pub(crate) messages: HashMap<Id, BTreeMap<Id, Message>>,
    /// Bytes of attachments and images by id or hash.
    pub(crate) blobs: HashMap<String, Bytes>,
    pub(crate) commands: BTreeMap<Id, Command>,
    /// Interactions, oldest first.
    pub(crate) interactions: BTreeMap<Id, Interaction>,
    pub(crate) webhooks: HashMap<Id, Webhook>,
    /// Emoji of the application, usable in every server.
    pub(crate) application_emojis: BTreeMap<Id, Emoji>,
    /// Number of the load run's event that is carried out at the moment.
    pub(crate) marked: Option<u32>,
}

/// Actor and reason of a change, for the audit log.
#[derive(Clone, Debug)]
pub struct Cause {
    /// User who makes the change.
    pub actor: Id,
    /// `X-Audit-Log-Reason`.
    pub reason: Option<String>,
}

impl Cause {
    /// This actor, without a reason.
    #[must_use]
    pub const fn by(actor: Id) -> Self {
        Self { actor, reason: None }
    }
}

impl State {
    /// A new snowflake for the present time, larger than all earlier ones.
    pub fn next_id(&mut self) -> Id {
        let id = Id::at_ms(self.clock.now_ms()).0.max(self.last_id + 1);
        self.last_id = id;
        Id(id)
    }

    /// Now, by the emulator's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A channel or thread of a server, or a direct message.
    #[must_use]
    pub fn channel(&self, id: Id) -> Option<&Channel> {
        match self.channel_guilds.get(&id) {
            Some(guild) => self.guilds.get(guild)?.channels.get(&id),
            None => self.dms.get(&id),
        }
    }

    /// The same, for changes without an event.
    pub(crate) fn channel_mut(&mut self, id: Id) -> Option<&mut Channel> {
        match self.channel_guilds.get(&id) {
            Some(guild) => self.guilds.get_mut(guild)?.channels.get_mut(&id),
            None => self.dms.get_mut(&id),
        }
    }

    /// The users with this user name, by id. At Discord there is at most one; seeds can create several.
    #[must_use]
    pub fn users_named(&self, name: &str) -> Vec<Id> {
        let named = self.users.values().filter(|user| user.username == name);
        let mut ids: Vec<Id> = named.map(|user| user.id).collect();
        ids.sort_unstable();
        ids
    }

    /// A message.
    #[must_use]
    pub fn message(&self, channel: Id, id: Id) -> Option<&Message> {
        self.messages.get(&channel)?.get(&id)
    }
}
