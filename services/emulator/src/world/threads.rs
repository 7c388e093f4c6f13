//! Operations on threads in addition to those on channels: members, and unarchiving.

use serde_json::{Value, json};

use super::{Dispatch, State};
use crate::model::{Channel, Id, Intents, ThreadMember};

/// Largest count of a thread's members.
const COUNTED: usize = 50;

impl State {
    /// A thread member as REST shows it.
    #[must_use]
    pub fn thread_member_view(&self, thread: &Channel, member: &ThreadMember, with_member: bool) -> Value {
        let mut view =
            json!({ "id": thread.id, "user_id": member.user_id, "join_timestamp": member.joined, "flags": 0 });
        if with_member && let Some(guild) = thread.guild_id {
            view["member"] = json!(self.member_view(guild, member.user_id));
        }
        view
    }

    /// Adds a user to a thread. `false` when the user is a member already.
    pub fn add_thread_member(&mut self, thread: Id, user: Id) -> bool {
        let joined = self.now();
        let Some(state) = self.channel_mut(thread).and_then(|channel| channel.thread.as_mut()) else {
            return false;
        };
        if state.member(user).is_some() {
            return false;
        }
        let member = ThreadMember { user_id: user, joined };
        state.members.push(member);
        if let Some(channel) = self.channel(thread) {
            let mut view = self.thread_member_view(channel, &member, true);
            view["presence"] = Value::Null;
            self.emit_thread_members(channel, user, "added_members", &json!([view]));
        }
        true
    }

    /// Removes a user from a thread. `false` when the user is not a member.
    pub fn remove_thread_member(&mut self, thread: Id, user: Id) -> bool {
        let Some(state) = self.channel_mut(thread).and_then(|channel| channel.thread.as_mut()) else {
            return false;
        };
        let before = state.members.len();
        state.members.retain(|member| member.user_id != user);
        if state.members.len() == before {
            return false;
        }
        if let Some(channel) = self.channel(thread) {
            self.emit_thread_members(channel, user, "removed_member_ids", &json!([user]));
        }
        true
    }

    /// Unarchives a thread, as a message in it does:
    /// <https://discord.com/developers/docs/topics/threads#active-archived-threads>.
    pub(super) fn unarchive(&mut self, thread: Id) {
        let now = self.now();
        let state = self.channel_mut(thread).and_then(|channel| channel.thread.as_mut());
        let Some(state) = state.filter(|state| state.archived) else {
            return;
        };
        state.archived = false;
        state.archive_timestamp = now;
        self.emit_channel(thread);
    }

    /// Without the members intent a session receives this event for the bot itself alone.
    fn emit_thread_members(&self, thread: &Channel, user: Id, key: &str, changed: &Value) {
        let (Some(guild), Some(state)) = (thread.guild_id, &thread.thread) else {
            return;
        };
        let mut d = json!({ "id": thread.id, "guild_id": guild, "member_count": state.members.len().min(COUNTED) });
        d[key] = changed.clone();
        let intents = if user == self.bot_id {
            Intents::GUILDS | Intents::GUILD_MEMBERS
        } else {
            Intents::GUILD_MEMBERS
        };
        self.emit(Dispatch::of_guild("THREAD_MEMBERS_UPDATE", guild, intents, &d).about(thread.id));
    }
}
