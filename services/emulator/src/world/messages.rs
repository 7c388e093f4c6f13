//! Operations on messages and reactions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Cause, Dispatch, State, permissions, to_body};
use crate::model::{AuditAction, Id, Intents, Message, Permissions, Reaction, Timestamp};

/// Largest number of messages that are kept for each channel.
const KEPT: usize = 20_000;

impl State {
    /// Adds a message to its channel, which unarchives an archived thread. Ephemeral messages are not dispatched.
    pub fn create_message(&mut self, message: Message) {
        let (id, channel) = (message.id, message.channel_id);
        if !message.is_ephemeral() {
            self.unarchive(channel);
        }
        self.put_message(message);
        self.emit_message("MESSAGE_CREATE", channel, id);
    }

    /// Adds a message to its channel without an event, for a server's initial messages.
    pub(crate) fn put_message(&mut self, message: Message) {
        let (id, channel) = (message.id, message.channel_id);
        if let Some(home) = self.channel_mut(channel) {
            home.last_message_id = Some(id);
            if let Some(thread) = &mut home.thread {
                thread.message_count += 1;
            }
        }
        let all = self.messages.entry(channel).or_default();
        all.insert(id, message);
        // A load run writes an unlimited number of messages into the same channel.
        if all.len() > KEPT {
            all.pop_first();
        }
    }

    /// Replaces a message by its changed version.
    pub fn update_message(&mut self, message: Message) {
        let (id, channel) = (message.id, message.channel_id);
        let Some(known) = self.messages.get_mut(&channel).and_then(|all| all.get_mut(&id)) else {
            return;
        };
        *known = message;
        self.emit_message("MESSAGE_UPDATE", channel, id);
    }

    /// Removes a message. `cause` is present when another user's message is removed, which is audited.
    pub fn delete_message(&mut self, channel: Id, id: Id, cause: Option<&Cause>) -> bool {
        let Some(message) = self.messages.get_mut(&channel).and_then(|all| all.remove(&id)) else {
            return false;
        };
        if let (Some(cause), Some(guild)) = (cause, message.guild_id) {
            let options = json!({"channel_id": channel, "count": "1"});
            self.audit(
                guild,
                cause,
                AuditAction::MessageDelete,
                Some(message.author.id()),
                Vec::new(),
                Some(options),
            );
        }
        if !message.is_ephemeral() {
            let mut d = json!({"id": id, "channel_id": channel});
            if let Some(guild) = message.guild_id {
                d["guild_id"] = json!(guild);
            }
            self.emit_in(message.guild_id, "MESSAGE_DELETE", MESSAGES, id, to_body(&d), None);
        }
        true
    }

    /// Removes many messages of one channel at once.
    pub fn delete_messages(&mut self, channel: Id, ids: &[Id], cause: &Cause) {
        let Some(all) = self.messages.get_mut(&channel) else {
            return;
        };
        let gone: Vec<Id> = ids.iter().copied().filter(|id| all.remove(id).is_some()).collect();
        let Some(guild) = self.channel_guilds.get(&channel).copied().filter(|_| !gone.is_empty()) else {
            return;
        };
        let options = json!({"count": gone.len().to_string()});
        self.audit(
            guild,
            cause,
            AuditAction::MessageBulkDelete,
            Some(channel),
            Vec::new(),
            Some(options),
        );
        let d = json!({"ids": gone, "channel_id": channel, "guild_id": guild});
        self.emit_in(Some(guild), "MESSAGE_DELETE_BULK", MESSAGES, channel, to_body(&d), None);
    }

    /// Adds or removes one user's reaction. `false` when that changes nothing.
    pub fn react(&mut self, channel: Id, message: Id, user: Id, emoji: &Value, add: bool) -> bool {
        let Some(known) = self.messages.get_mut(&channel).and_then(|all| all.get_mut(&message)) else {
            return false;
        };
        let (guild, author) = (known.guild_id, known.author.id());
        let found = known.reactions.iter_mut().position(|reaction| reaction.emoji == *emoji);
        match (found, add) {
            (Some(at), true) if known.reactions[at].users.contains(&user) => return false,
            (Some(at), true) => known.reactions[at].users.push(user),
            (None, true) => known.reactions.push(Reaction {
                emoji: emoji.clone(),
                users: vec![user],
            }),
            (None, false) => return false,
            (Some(at), false) => {
                let users = &mut known.reactions[at].users;
                let before = users.len();
                users.retain(|pressed| *pressed != user);
                if users.len() == before {
                    return false;
                }
                if users.is_empty() {
                    known.reactions.remove(at);
                }
            }
        }
        let mut d = json!({"user_id": user, "channel_id": channel, "message_id": message, "emoji": emoji, "burst": false, "type": 0});
        if let Some(guild) = guild {
            d["guild_id"] = json!(guild);
            if add {
                d["member"] = json!(self.member_view(guild, user));
            }
        }
        if add {
            d["message_author_id"] = json!(author);
        }
        let name = if add {
            "MESSAGE_REACTION_ADD"
        } else {
            "MESSAGE_REACTION_REMOVE"
        };
        self.emit_in(guild, name, REACTIONS, message, to_body(&d), None);
        true
    }

    pub(super) fn delete_messages_of(&mut self, guild: Id, user: Id, since: Timestamp) {
        let channels: Vec<Id> = self
            .guilds
            .get(&guild)
            .map(|server| server.channels.keys().copied().collect())
            .unwrap_or_default();
        for channel in channels {
            let Some(all) = self.messages.get(&channel) else {
                continue;
            };
            let theirs = |message: &&Message| message.author.id() == user && message.timestamp >= since;
            let ids: Vec<Id> = all.values().filter(theirs).map(|message| message.id).collect();
            for id in ids {
                self.delete_message(channel, id, None);
            }
        }
    }

    fn emit_message(&self, name: &'static str, channel: Id, id: Id) {
        let Some(message) = self.message(channel, id).filter(|message| !message.is_ephemeral()) else {
            return;
        };
        if !self.bot_sees(message) {
            return;
        }
        let view = self.message_event(message);
        // Own messages, mentions and direct messages have their content with all intents.
        let open = message.guild_id.is_none()
            || message.author.id() == self.bot_id
            || message.application_id == Some(self.application.id)
            || message.mentions.contains(&self.bot_id);
        let wanted = self
            .subscribers
            .intents()
            .unwrap_or_default()
            .contains(Intents::MESSAGE_CONTENT);
        let richer = (!open && wanted).then(|| (Intents::MESSAGE_CONTENT, to_body(&view)));
        let body = if open { to_body(&view) } else { without_content(view) };
        self.emit_in(message.guild_id, name, MESSAGES, id, body, richer);
    }

    /// A bot receives messages only from channels that it can view.
    fn bot_sees(&self, message: &Message) -> bool {
        let Some(guild) = message.guild_id.and_then(|guild| self.guilds.get(&guild)) else {
            return true;
        };
        let Some(channel) = guild.channels.get(&message.channel_id) else {
            return false;
        };
        permissions::in_channel(guild, channel, self.bot_id, self.now()).contains(Permissions::VIEW_CHANNEL)
    }

    fn emit_in(
        &self,
        guild: Option<Id>,
        name: &'static str,
        intents: [Intents; 2],
        subject: Id,
        body: Arc<str>,
        richer: Option<(Intents, Arc<str>)>,
    ) {
        let intents = if guild.is_some() { intents[0] } else { intents[1] };
        self.emit(Dispatch {
            name,
            guild_id: guild,
            intents,
            subject: Some(subject),
            body,
            richer,
        });
    }
}

/// Intents in a server and in direct messages.
const MESSAGES: [Intents; 2] = [Intents::GUILD_MESSAGES, Intents::DIRECT_MESSAGES];
const REACTIONS: [Intents; 2] = [Intents::GUILD_MESSAGE_REACTIONS, Intents::DIRECT_MESSAGE_REACTIONS];

/// Empties the fields that need the message content intent.
/// <https://discord.com/developers/docs/events/gateway#message-content-intent>
fn without_content(mut view: Value) -> Arc<str> {
    view["content"] = "".into();
    for field in ["embeds", "attachments", "components"] {
        view[field] = json!([]);
    }
    to_body(&view)
}
