//! Operations on members: join, leave, kick, ban, change.

use serde_json::json;

use super::{Cause, Dispatch, State};
use crate::model::{AuditAction, Ban, Change, Id, Intents, Member, Message, Timestamp};

impl State {
    /// A user joins a server. `false` when the user is a member or banned, or when user or server do not exist.
    pub fn join(&mut self, guild: Id, user: Id) -> bool {
        let now = self.now();
        let Some(server) = self.guilds.get_mut(&guild) else {
            return false;
        };
        if !self.users.contains_key(&user) || server.members.contains_key(&user) || server.bans.contains_key(&user) {
            return false;
        }
        server.members.insert(user, Member::joined(user, now));
        let announce = server
            .system_channel_id
            .filter(|_| server.system_channel_flags & 1 == 0);
        self.emit_member("GUILD_MEMBER_ADD", guild, user);
        if let Some(channel) = announce {
            let id = self.next_id();
            let author = crate::model::Author::User(user);
            let mut message = Message::text(id, channel, Some(guild), author, "", now);
            message.kind = 7;
            self.create_message(message);
        }
        true
    }

    /// A member leaves. `false` when the user is not a member.
    pub fn leave(&mut self, guild: Id, user: Id) -> bool {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return false;
        };
        if server.members.remove(&user).is_none() {
            return false;
        }
        for thread in server
            .channels
            .values_mut()
            .filter_map(|channel| channel.thread.as_mut())
        {
            thread.members.retain(|member| member.user_id != user);
        }
        let d = json!({"guild_id": guild, "user": self.users.get(&user)});
        self.emit(Dispatch::of_guild(
            "GUILD_MEMBER_REMOVE",
            guild,
            Intents::GUILD_MEMBERS,
            &d,
        ));
        true
    }

    /// Kicks a member.
    pub fn kick(&mut self, guild: Id, user: Id, cause: &Cause) -> bool {
        let gone = self.leave(guild, user);
        if gone {
            self.audit(guild, cause, AuditAction::MemberKick, Some(user), Vec::new(), None);
        }
        gone
    }

    /// Removes inactive members, with one audit log entry for all of them.
    pub fn prune(&mut self, guild: Id, users: &[Id], days: u64, cause: &Cause) {
        for user in users {
            self.leave(guild, *user);
        }
        let options = json!({"delete_member_days": days.to_string(), "members_removed": users.len().to_string()});
        self.audit(guild, cause, AuditAction::MemberPrune, None, Vec::new(), Some(options));
    }

    /// Bans a user, who leaves if a member; deletes the user's messages since `delete_since`.
    pub fn ban(&mut self, guild: Id, user: Id, delete_since: Option<Timestamp>, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        server.bans.insert(
            user,
            Ban {
                user_id: user,
                reason: cause.reason.clone(),
            },
        );
        self.audit(guild, cause, AuditAction::MemberBanAdd, Some(user), Vec::new(), None);
        self.leave(guild, user);
        let d = json!({"guild_id": guild, "user": self.users.get(&user)});
        self.emit(Dispatch::of_guild(
            "GUILD_BAN_ADD",
            guild,
            Intents::GUILD_MODERATION,
            &d,
        ));
        if let Some(since) = delete_since {
            self.delete_messages_of(guild, user, since);
        }
    }

    /// Lifts a ban. `false` when there is none.
    pub fn unban(&mut self, guild: Id, user: Id, cause: &Cause) -> bool {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return false;
        };
        if server.bans.remove(&user).is_none() {
            return false;
        }
        self.audit(guild, cause, AuditAction::MemberBanRemove, Some(user), Vec::new(), None);
        let d = json!({"guild_id": guild, "user": self.users.get(&user)});
        self.emit(Dispatch::of_guild(
            "GUILD_BAN_REMOVE",
            guild,
            Intents::GUILD_MODERATION,
            &d,
        ));
        true
    }

    /// Replaces a member by the changed version; does nothing without a change.
    pub fn update_member(&mut self, guild: Id, member: Member, cause: &Cause) {
        let user = member.user_id;
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let Some(known) = server.members.get_mut(&user) else {
            return;
        };
        if *known == member {
            return;
        }
        let before = std::mem::replace(known, member);
        let member = &*known;
        let names = |held: &[Id], other: &[Id]| -> Vec<serde_json::Value> {
            let only = held.iter().filter(|id| !other.contains(id));
            only.map(|id| json!({"id": id, "name": server.roles.get(id).map(|role| &role.name)}))
                .collect()
        };
        let sides = [
            ("$add", names(&member.roles, &before.roles)),
            ("$remove", names(&before.roles, &member.roles)),
        ];
        let roles: Vec<Change> = sides
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(key, list)| Change {
                key: key.to_owned(),
                old_value: None,
                new_value: Some(list.into()),
            })
            .collect();
        let fields: Vec<Change> = super::audit::differences(Some(&before.partial()), Some(&member.partial()));
        if !roles.is_empty() {
            self.audit(guild, cause, AuditAction::MemberRoleUpdate, Some(user), roles, None);
        }
        if !fields.is_empty() {
            self.audit(guild, cause, AuditAction::MemberUpdate, Some(user), fields, None);
        }
        self.emit_member("GUILD_MEMBER_UPDATE", guild, user);
    }

    fn emit_member(&self, name: &'static str, guild: Id, id: Id) {
        let (Some(member), Some(user)) = (self.member(guild, id), self.users.get(&id)) else {
            return;
        };
        // Changes of the bot's own member are sent whatever the intents.
        let intents = if id == self.bot_id {
            Intents::empty()
        } else {
            Intents::GUILD_MEMBERS
        };
        self.emit(Dispatch::of_guild(name, guild, intents, &member.event(user, guild)).about(id));
    }
}
