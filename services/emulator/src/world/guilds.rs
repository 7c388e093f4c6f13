//! Operations on servers: the bot joins, outages, changes, removal of the bot; and on emoji, stickers and webhooks.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use super::{Cause, Dispatch, State, audit::differences, to_body};
use crate::model::{AuditAction, Emoji, Guild, Id, Intents, Sticker, Webhook, guild::Values};

impl State {
    /// Adds a complete server of which the bot is a member.
    pub fn add_guild(&mut self, guild: Guild) {
        let id = guild.id;
        self.channel_guilds
            .extend(guild.channels.keys().map(|channel| (*channel, id)));
        self.guilds.insert(id, guild);
        self.emit_guild_create(id);
    }

    /// Removes the bot from a server, and the server from the state.
    pub fn remove_guild(&mut self, id: Id) -> bool {
        let Some(guild) = self.guilds.remove(&id) else {
            return false;
        };
        for channel in guild.channels.keys() {
            self.channel_guilds.remove(channel);
            self.messages.remove(channel);
        }
        self.webhooks.retain(|_, webhook| webhook.guild_id != id);
        self.commands.retain(|_, command| command.guild_id != Some(id));
        self.emit(Dispatch::of_guild(
            "GUILD_DELETE",
            id,
            Intents::GUILDS,
            &json!({"id": id}),
        ));
        true
    }

    /// Changes the server's own fields, without roles, channels and members.
    pub fn update_guild(&mut self, id: Id, change: impl FnOnce(&mut Guild), cause: &Cause) {
        let Some(guild) = self.guilds.get_mut(&id) else { return };
        let before = serde_json::to_value(&*guild).unwrap_or_default();
        change(guild);
        let after = serde_json::to_value(&*guild).unwrap_or_default();
        let changes = differences(Some(&before), Some(&after));
        if changes.is_empty() {
            return;
        }
        self.audit(id, cause, AuditAction::GuildUpdate, Some(id), changes, None);
        self.emit(Dispatch::of_guild("GUILD_UPDATE", id, Intents::GUILDS, &after));
    }

    /// Begins an outage (`GUILD_DELETE` with `unavailable`) or ends it (`GUILD_CREATE`). `false` for an unknown server.
    pub fn set_unavailable(&mut self, id: Id, unavailable: bool) -> bool {
        let Some(guild) = self.guilds.get_mut(&id) else {
            return false;
        };
        let changed = std::mem::replace(&mut guild.unavailable, unavailable) != unavailable;
        if changed && unavailable {
            let d = json!({"id": id, "unavailable": true});
            self.emit(Dispatch::of_guild("GUILD_DELETE", id, Intents::GUILDS, &d));
        } else if changed {
            self.emit_guild_create(id);
        }
        true
    }

    /// Creates an emoji, or replaces the one with the same id.
    pub fn put_emoji(&mut self, guild: Id, emoji: Emoji, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let id = emoji.id;
        let before = server.emojis.insert(id, emoji);
        let changes = differences(before.as_ref(), server.emojis.get(&id));
        let action = if before.is_some() {
            AuditAction::EmojiUpdate
        } else {
            AuditAction::EmojiCreate
        };
        self.audit(guild, cause, action, Some(id), changes, None);
        self.emit_emojis(guild);
    }

    /// Removes an emoji. `false` when it does not exist.
    pub fn delete_emoji(&mut self, guild: Id, id: Id, cause: &Cause) -> bool {
        let Some(gone) = self.guilds.get_mut(&guild).and_then(|server| server.emojis.remove(&id)) else {
            return false;
        };
        let changes = differences(Some(&gone), None::<&Emoji>);
        self.audit(guild, cause, AuditAction::EmojiDelete, Some(id), changes, None);
        self.emit_emojis(guild);
        true
    }

    /// Creates a sticker, or replaces the one with the same id.
    pub fn put_sticker(&mut self, sticker: Sticker, cause: &Cause) {
        let (id, guild) = (sticker.id, sticker.guild_id);
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let before = server.stickers.insert(id, sticker);
        let changes = differences(before.as_ref(), server.stickers.get(&id));
        let action = if before.is_some() {
            AuditAction::StickerUpdate
        } else {
            AuditAction::StickerCreate
        };
        self.audit(guild, cause, action, Some(id), changes, None);
        self.emit_stickers(guild);
    }

    /// Removes a sticker. `false` when it does not exist.
    pub fn delete_sticker(&mut self, guild: Id, id: Id, cause: &Cause) -> bool {
        let Some(gone) = self
            .guilds
            .get_mut(&guild)
            .and_then(|server| server.stickers.remove(&id))
        else {
            return false;
        };
        let changes = differences(Some(&gone), None::<&Sticker>);
        self.audit(guild, cause, AuditAction::StickerDelete, Some(id), changes, None);
        self.emit_stickers(guild);
        true
    }

    /// Creates a webhook, or replaces the one with the same id.
    pub fn put_webhook(&mut self, webhook: Webhook, cause: &Cause) {
        let (id, guild, channel) = (webhook.id, webhook.guild_id, webhook.channel_id);
        let before = self.webhooks.insert(id, webhook);
        let mut changes = differences(before.as_ref(), self.webhooks.get(&id));
        changes.retain(|change| change.key != "token");
        let action = if before.is_some() {
            AuditAction::WebhookUpdate
        } else {
            AuditAction::WebhookCreate
        };
        self.audit(guild, cause, action, Some(id), changes, None);
        self.emit_webhooks(guild, channel);
        if let Some(old) = before.map(|before| before.channel_id).filter(|old| *old != channel) {
            self.emit_webhooks(guild, old);
        }
    }

    /// Removes a webhook. `false` when it does not exist.
    pub fn delete_webhook(&mut self, id: Id, cause: &Cause) -> bool {
        let Some(gone) = self.webhooks.remove(&id) else {
            return false;
        };
        let mut changes = differences(Some(&gone), None::<&Webhook>);
        changes.retain(|change| change.key != "token");
        self.audit(
            gone.guild_id,
            cause,
            AuditAction::WebhookDelete,
            Some(id),
            changes,
            None,
        );
        self.emit_webhooks(gone.guild_id, gone.channel_id);
        true
    }

    /// `GUILD_CREATE` of a server; `None` for an unknown one.
    ///
    /// Without the presences intent it lists the bot alone, and the bot requests the other members. The long form is built only
    /// when `intents`, those of the receivers, include presences.
    /// <https://discord.com/developers/docs/events/gateway-events#guild-create>
    #[must_use]
    pub(crate) fn guild_create(&self, id: Id, intents: Intents) -> Option<Dispatch> {
        let guild = self.guilds.get(&id)?;
        let with = |all_members| GuildCreate {
            state: self,
            guild,
            all_members,
        };
        let mut dispatch = Dispatch::of_guild("GUILD_CREATE", id, Intents::GUILDS, &with(false)).about(id);
        if guild.members.len() <= LARGE && intents.contains(Intents::GUILD_PRESENCES) {
            dispatch.richer = Some((Intents::GUILD_PRESENCES, to_body(&with(true))));
        }
        Some(dispatch)
    }

    fn emit_guild_create(&self, id: Id) {
        let intents = self.subscribers.intents();
        if let Some(dispatch) = intents.and_then(|intents| self.guild_create(id, intents)) {
            self.emit(dispatch);
        }
    }

    fn emit_emojis(&self, guild: Id) {
        let Some(server) = self.guilds.get(&guild) else { return };
        let d = json!({"guild_id": guild, "emojis": Values(&server.emojis)});
        self.emit(Dispatch::of_guild(
            "GUILD_EMOJIS_UPDATE",
            guild,
            Intents::GUILD_EXPRESSIONS,
            &d,
        ));
    }

    fn emit_stickers(&self, guild: Id) {
        let Some(server) = self.guilds.get(&guild) else { return };
        let d = json!({"guild_id": guild, "stickers": Values(&server.stickers)});
        self.emit(Dispatch::of_guild(
            "GUILD_STICKERS_UPDATE",
            guild,
            Intents::GUILD_EXPRESSIONS,
            &d,
        ));
    }

    fn emit_webhooks(&self, guild: Id, channel: Id) {
        let d = json!({"guild_id": guild, "channel_id": channel});
        self.emit(Dispatch::of_guild(
            "WEBHOOKS_UPDATE",
            guild,
            Intents::GUILD_WEBHOOKS,
            &d,
        ));
    }
}

/// Above this number of members a server is "large" and `GUILD_CREATE` lists the bot alone.
const LARGE: usize = 250;

struct GuildCreate<'a> {
    state: &'a State,
    guild: &'a Guild,
    all_members: bool,
}

impl Serialize for GuildCreate<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let guild = self.guild;
        let large = guild.members.len() > LARGE;
        let member = |id: &Id| {
            let user = self.state.users.get(id)?;
            guild.members.get(id).map(|member| member.view(user))
        };
        let members: Vec<_> = if self.all_members {
            guild.members.keys().filter_map(member).collect()
        } else {
            member(&self.state.bot_id).into_iter().collect()
        };
        let of = |threads: bool| {
            guild
                .channels
                .values()
                .filter(move |channel| channel.kind.is_thread() == threads)
                // Archived threads are not sent: they are listed by REST.
                .filter(|channel| channel.thread.as_ref().is_none_or(|thread| !thread.archived))
        };
        let mut out = serializer.serialize_map(None)?;
        guild.serialize_fields(&mut out)?;
        out.serialize_entry("joined_at", &guild.joined_at)?;
        out.serialize_entry("large", &large)?;
        out.serialize_entry("unavailable", &false)?;
        out.serialize_entry("member_count", &guild.members.len())?;
        out.serialize_entry("voice_states", &[(); 0])?;
        out.serialize_entry("members", &members)?;
        out.serialize_entry("channels", &of(false).collect::<Vec<_>>())?;
        out.serialize_entry("threads", &of(true).collect::<Vec<_>>())?;
        out.serialize_entry("presences", &[(); 0])?;
        out.serialize_entry("stage_instances", &[(); 0])?;
        out.serialize_entry("guild_scheduled_events", &Values(&guild.scheduled_events))?;
        out.serialize_entry("soundboard_sounds", &[(); 0])?;
        out.end()
    }
}
