//! Operations on messages that do not change their text: pins, removal of reactions, typing.

use serde_json::{Value, json};

use super::{Cause, Dispatch, State};
use crate::model::{AuditAction, Author, Id, Intents, Message};

impl State {
    /// Pins or unpins a message. A pin creates a system message, as at Discord.
    pub fn set_pinned(&mut self, channel: Id, id: Id, pinned: bool, cause: &Cause) {
        let Some(mut message) = self.message(channel, id).cloned() else {
            return;
        };
        message.pinned = pinned;
        let (guild, author) = (message.guild_id, message.author.id());
        self.update_message(message);
        let now = self.now();
        let newest = self.messages.get(&channel).and_then(|all| {
            all.values()
                .filter(|known| known.pinned)
                .map(|known| known.timestamp)
                .max()
        });
        if let Some(home) = self.channel_mut(channel) {
            home.last_pin_timestamp = if pinned { Some(now) } else { newest };
        }
        let last = self.channel(channel).and_then(|home| home.last_pin_timestamp);
        let mut d = json!({"channel_id": channel, "last_pin_timestamp": last});
        if let Some(guild) = guild {
            d["guild_id"] = json!(guild);
            let options = json!({"channel_id": channel, "message_id": id});
            let action = if pinned {
                AuditAction::MessagePin
            } else {
                AuditAction::MessageUnpin
            };
            self.audit(guild, cause, action, Some(author), Vec::new(), Some(options));
        }
        self.emit_near(
            guild,
            "CHANNEL_PINS_UPDATE",
            [Intents::GUILDS, Intents::DIRECT_MESSAGES],
            &d,
        );
        if pinned {
            let mut notice = Message::text(self.next_id(), channel, guild, Author::User(cause.actor), "", now);
            notice.kind = 6;
            let mut reference = json!({"type": 0, "channel_id": channel, "message_id": id});
            if let Some(guild) = guild {
                reference["guild_id"] = json!(guild);
            }
            notice.message_reference = Some(reference);
            self.create_message(notice);
        }
    }

    /// Removes all reactions of a message, or all with one emoji.
    pub fn clear_reactions(&mut self, channel: Id, id: Id, emoji: Option<&Value>) {
        let Some(message) = self.messages.get_mut(&channel).and_then(|all| all.get_mut(&id)) else {
            return;
        };
        let before = message.reactions.len();
        message
            .reactions
            .retain(|known| emoji.is_some_and(|emoji| known.emoji != *emoji));
        if message.reactions.len() == before {
            return;
        }
        let guild = message.guild_id;
        let mut d = json!({"channel_id": channel, "message_id": id});
        if let Some(guild) = guild {
            d["guild_id"] = json!(guild);
        }
        let name = match emoji {
            Some(emoji) => {
                d["emoji"] = emoji.clone();
                "MESSAGE_REACTION_REMOVE_EMOJI"
            }
            None => "MESSAGE_REACTION_REMOVE_ALL",
        };
        let intents = [Intents::GUILD_MESSAGE_REACTIONS, Intents::DIRECT_MESSAGE_REACTIONS];
        self.emit_near(guild, name, intents, &d);
    }

    /// Emits the typing event of a user.
    pub fn start_typing(&self, channel: Id, user: Id) {
        let Some(home) = self.channel(channel) else { return };
        let mut d = json!({"channel_id": channel, "user_id": user, "timestamp": self.now().0 / 1_000});
        if let Some(guild) = home.guild_id {
            d["guild_id"] = json!(guild);
            d["member"] = json!(self.member_view(guild, user));
        }
        let intents = [Intents::GUILD_MESSAGE_TYPING, Intents::DIRECT_MESSAGE_TYPING];
        self.emit_near(home.guild_id, "TYPING_START", intents, &d);
    }

    /// Emits under the first intent in a server, under the second in direct messages.
    fn emit_near(&self, guild_id: Option<Id>, name: &'static str, intents: [Intents; 2], d: &Value) {
        self.emit(match guild_id {
            Some(guild) => Dispatch::of_guild(name, guild, intents[0], d),
            None => Dispatch::of_user(name, intents[1], d),
        });
    }
}
