//! `resolved`: the users, roles, channels and messages that `data` refers to by id.

use serde_json::{Map, Value, json};

use crate::{
    model::{Id, Permissions},
    rest::permissions,
    world::State,
};

/// Collects resolved objects, for one server or for a direct message.
pub(super) struct Resolved<'a> {
    state: &'a State,
    guild: Option<Id>,
    found: Map<String, Value>,
}

impl<'a> Resolved<'a> {
    pub(super) fn new(state: &'a State, guild: Option<Id>) -> Self {
        Self {
            state,
            guild,
            found: Map::new(),
        }
    }

    fn put(&mut self, group: &str, id: Id, value: Value) {
        let group = self.found.entry(group).or_insert_with(|| json!({}));
        group[id.to_string()] = value;
    }

    /// Adds a user, and the member without `user`, `deaf` and `mute`. `false` when the user does not exist.
    pub(super) fn user(&mut self, id: Id) -> bool {
        let state = self.state;
        let Some(user) = state.users.get(&id) else { return false };
        self.put("users", id, json!(user));
        let guild = self.guild.and_then(|guild| state.guilds.get(&guild));
        if let Some((guild, member)) = guild.and_then(|guild| Some((guild, guild.members.get(&id)?))) {
            let mut view = json!(member.partial());
            if let Some(fields) = view.as_object_mut() {
                fields.remove("deaf");
                fields.remove("mute");
            }
            view["permissions"] = json!(permissions::in_guild(guild, id, state.now()));
            self.put("members", id, view);
        }
        true
    }

    /// Adds a role. `false` when it does not exist.
    pub(super) fn role(&mut self, id: Id) -> bool {
        let guild = self.guild.and_then(|guild| self.state.guilds.get(&guild));
        let Some(role) = guild.and_then(|guild| guild.roles.get(&id)) else {
            return false;
        };
        let role = json!(role);
        self.put("roles", id, role);
        true
    }

    /// Adds a partial channel. Returns the number of its type; `None` when it does not exist.
    pub(super) fn channel(&mut self, id: Id, viewer: Id) -> Option<u8> {
        let guild = self.state.guilds.get(&self.guild?)?;
        let channel = guild.channels.get(&id)?;
        let may: Permissions = permissions::in_channel(guild, channel, viewer, self.state.now());
        let mut view = json!({
            "id": id, "name": channel.name, "type": channel.kind, "permissions": may, "parent_id": channel.parent_id,
            "nsfw": channel.nsfw, "position": channel.position, "flags": channel.flags, "guild_id": guild.id,
            "last_message_id": channel.last_message_id, "topic": channel.topic,
            "rate_limit_per_user": channel.rate_limit_per_user,
        });
        if channel.kind.is_thread() {
            view["thread_metadata"] = json!(channel)["thread_metadata"].take();
        }
        self.put("channels", id, view);
        Some(channel.kind.number())
    }

    /// Adds a message of this channel. `false` when it does not exist.
    pub(super) fn message(&mut self, channel: Id, id: Id) -> bool {
        let Some(message) = self.state.message(channel, id) else {
            return false;
        };
        let view = self.state.message_view(message);
        self.put("messages", id, view);
        true
    }

    /// Adds a file that the member uploads.
    pub(super) fn attachment(&mut self, id: Id, attachment: Value) {
        self.put("attachments", id, attachment);
    }

    /// Writes `resolved` into `data` unless it is empty.
    pub(super) fn into_data(self, data: &mut Value) {
        if !self.found.is_empty() {
            data["resolved"] = Value::Object(self.found);
        }
    }
}
