//! Operations on channels, threads and overwrites.

use serde_json::json;

use super::{Cause, Dispatch, State, audit::differences};
use crate::model::{AuditAction, Channel, Id, Intents, Overwrite};

impl State {
    /// Adds a channel or thread to its server.
    pub fn create_channel(&mut self, channel: Channel, cause: &Cause) {
        let (id, thread) = (channel.id, channel.kind.is_thread());
        let Some(guild) = channel.guild_id else { return };
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let changes = differences(None::<&Channel>, Some(&channel));
        let mut d = json!(channel);
        server.channels.insert(id, channel);
        self.channel_guilds.insert(id, guild);
        let action = if thread {
            AuditAction::ThreadCreate
        } else {
            AuditAction::ChannelCreate
        };
        self.audit(guild, cause, action, Some(id), changes, None);
        if thread {
            d["newly_created"] = true.into();
        }
        let name = if thread { "THREAD_CREATE" } else { "CHANNEL_CREATE" };
        self.emit(Dispatch::of_guild(name, guild, Intents::GUILDS, &d).about(id));
    }

    /// Replaces a channel by its changed version; does nothing without a change. Changed overwrites have audit entries of their
    /// own.
    pub fn update_channel(&mut self, channel: Channel, cause: &Cause) {
        let (id, thread) = (channel.id, channel.kind.is_thread());
        let Some(guild) = channel.guild_id else { return };
        let Some(known) = self.channel_mut(id) else { return };
        if *known == channel {
            return;
        }
        let mut changes = differences(Some(&*known), Some(&channel));
        changes.retain(|change| change.key != "permission_overwrites");
        let before = std::mem::replace(known, channel);
        if !changes.is_empty() {
            let action = if thread {
                AuditAction::ThreadUpdate
            } else {
                AuditAction::ChannelUpdate
            };
            self.audit(guild, cause, action, Some(id), changes, None);
        }
        self.audit_overwrites(guild, id, &before.permission_overwrites, cause);
        self.emit_channel(id);
        self.drop_unknown_tags(guild, id);
    }

    /// Removes deleted tags of a forum from its posts.
    fn drop_unknown_tags(&mut self, guild: Id, forum: Id) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let Some(channel) = server.channels.get(&forum).filter(|channel| channel.kind.is_forum()) else {
            return;
        };
        let known: Vec<Id> = channel.available_tags.iter().map(|tag| tag.id).collect();
        let mut changed = Vec::new();
        for post in server
            .channels
            .values_mut()
            .filter(|post| post.parent_id == Some(forum))
        {
            if let Some(thread) = &mut post.thread {
                let before = thread.applied_tags.len();
                thread.applied_tags.retain(|tag| known.contains(tag));
                if thread.applied_tags.len() < before {
                    changed.push(post.id);
                }
            }
        }
        for post in changed {
            self.emit_channel(post);
        }
    }

    /// Moves channels; emits events for those that changed.
    pub fn move_channels(&mut self, guild: Id, changed: Vec<Channel>, cause: &Cause) {
        for channel in changed {
            debug_assert_eq!(channel.guild_id, Some(guild));
            self.update_channel(channel, cause);
        }
    }

    /// Removes a channel with its messages, webhooks and threads. Channels of a deleted category are kept without a category.
    pub fn delete_channel(&mut self, id: Id, cause: &Cause) {
        let Some(&guild) = self.channel_guilds.get(&id) else {
            return;
        };
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let Some(channel) = server.channels.remove(&id) else {
            return;
        };
        let server_changed = server.clear_channel_references(id);
        let children: Vec<(Id, bool)> = server
            .channels
            .values()
            .filter(|child| child.parent_id == Some(id))
            .map(|child| (child.id, child.kind.is_thread()))
            .collect();
        self.clear_channel_references(id);
        let thread = channel.kind.is_thread();
        let changes = differences(Some(&channel), None::<&Channel>);
        let action = if thread {
            AuditAction::ThreadDelete
        } else {
            AuditAction::ChannelDelete
        };
        self.audit(guild, cause, action, Some(id), changes, None);
        let d = if thread {
            json!({"id": id, "guild_id": guild, "parent_id": channel.parent_id, "type": channel.kind})
        } else {
            json!(channel)
        };
        let name = if thread { "THREAD_DELETE" } else { "CHANNEL_DELETE" };
        self.emit(Dispatch::of_guild(name, guild, Intents::GUILDS, &d).about(id));
        if let Some(server) = self.guilds.get(&guild).filter(|_| server_changed) {
            self.emit(Dispatch::of_guild("GUILD_UPDATE", guild, Intents::GUILDS, server));
        }
        for (child, is_thread) in children {
            if is_thread {
                if let Some(server) = self.guilds.get_mut(&guild) {
                    server.channels.remove(&child);
                }
                self.clear_channel_references(child);
            } else {
                if let Some(child) = self.channel_mut(child) {
                    child.parent_id = None;
                }
                self.emit_channel(child);
            }
        }
    }

    /// The direct-message channel with a user; created when there is none yet.
    pub fn dm_with(&mut self, user: Id) -> Id {
        if let Some(dm) = self.dms.values().find(|dm| dm.recipients == [user]) {
            return dm.id;
        }
        let id = self.next_id();
        let dm = Channel::dm(id, user);
        let d = self.channel_view(&dm);
        self.dms.insert(id, dm);
        self.emit(Dispatch::of_user("CHANNEL_CREATE", Intents::DIRECT_MESSAGES, &d).about(id));
        id
    }

    fn clear_channel_references(&mut self, id: Id) {
        self.channel_guilds.remove(&id);
        self.messages.remove(&id);
        self.webhooks.retain(|_, webhook| webhook.channel_id != id);
    }

    fn audit_overwrites(&mut self, guild: Id, channel: Id, before: &[Overwrite], cause: &Cause) {
        let Some(after) = self
            .channel(channel)
            .map(|channel| channel.permission_overwrites.clone())
        else {
            return;
        };
        let find = |set: &[Overwrite], id: Id| set.iter().find(|overwrite| overwrite.id == id).copied();
        let mut ids: Vec<Id> = before.iter().chain(&after).map(|overwrite| overwrite.id).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let (old, new) = (find(before, id), find(&after, id));
            let action = match (old, new) {
                (None, Some(_)) => AuditAction::ChannelOverwriteCreate,
                (Some(_), None) => AuditAction::ChannelOverwriteDelete,
                (Some(old), Some(new)) if old != new => AuditAction::ChannelOverwriteUpdate,
                _ => continue,
            };
            let kind = old.or(new).map_or(0, |overwrite| {
                u8::from(overwrite.kind == crate::model::OverwriteKind::Member)
            });
            let options = json!({"id": id, "type": kind.to_string()});
            let changes = differences(old.as_ref(), new.as_ref());
            self.audit(guild, cause, action, Some(channel), changes, Some(options));
        }
    }

    pub(super) fn emit_channel(&self, id: Id) {
        let Some(channel) = self.channel(id) else { return };
        let Some(guild) = channel.guild_id else { return };
        let name = if channel.kind.is_thread() {
            "THREAD_UPDATE"
        } else {
            "CHANNEL_UPDATE"
        };
        self.emit(Dispatch::of_guild(name, guild, Intents::GUILDS, channel).about(id));
    }
}
