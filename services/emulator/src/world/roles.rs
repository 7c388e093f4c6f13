//! What happens to roles.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Cause, Dispatch, State, audit::differences};
use crate::{
    gateway::Intents,
    model::{AuditAction, Id, Role},
};

impl State {
    /// Adds a role. Roles at or above its position, @everyone apart, move up by one, as on Discord.
    pub fn create_role(&mut self, guild: Id, role: Role, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let changes = differences(None::<&Role>, Some(&role));
        let id = role.id;
        for other in server.roles.values_mut() {
            if other.id != guild && other.position >= role.position {
                other.position += 1;
            }
        }
        server.roles.insert(id, role);
        self.audit(guild, cause, AuditAction::RoleCreate, Some(id), changes, None);
        self.emit_role("GUILD_ROLE_CREATE", guild, id);
    }

    /// Replaces a role by its changed self; nothing happens when nothing changed.
    pub fn update_role(&mut self, guild: Id, role: Role, cause: &Cause) {
        let id = role.id;
        let Some(known) = self.guilds.get_mut(&guild).and_then(|server| server.roles.get_mut(&id)) else {
            return;
        };
        if *known == role {
            return;
        }
        let changes = differences(Some(&*known), Some(&role));
        *known = role;
        self.audit(guild, cause, AuditAction::RoleUpdate, Some(id), changes, None);
        self.emit_role("GUILD_ROLE_UPDATE", guild, id);
    }

    /// Moves roles, then numbers all of them anew from @everyone up, without gaps. Events go out for those that moved.
    pub fn move_roles(&mut self, guild: Id, positions: &[(Id, i64)], cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let before: BTreeMap<Id, i64> = server.roles.values().map(|role| (role.id, role.position)).collect();
        for (id, position) in positions {
            if let Some(role) = server.roles.get_mut(id) {
                role.position = *position;
            }
        }
        let wanted: Vec<Id> = positions.iter().map(|(id, _)| *id).collect();
        let mut order: Vec<&mut Role> = server.roles.values_mut().filter(|role| role.id != guild).collect();
        // At equal positions the role that was moved goes below the one that stayed when it came from below, else above.
        order.sort_by_key(|role| {
            let came_from = before.get(&role.id).copied().unwrap_or(0);
            let moved = wanted.contains(&role.id);
            let side = if !moved || wanted.len() > 1 {
                0
            } else if came_from < role.position {
                1
            } else {
                -1
            };
            (role.position, side, std::cmp::Reverse(role.id))
        });
        for (index, role) in order.into_iter().enumerate() {
            role.position = i64::try_from(index).unwrap_or(i64::MAX - 1) + 1;
        }
        let moved: Vec<(Id, i64, i64)> = server
            .roles
            .values()
            .filter_map(|role| {
                let old = *before.get(&role.id)?;
                (old != role.position).then_some((role.id, old, role.position))
            })
            .collect();
        for (id, old, new) in moved {
            if wanted.contains(&id) {
                let change = crate::model::Change {
                    key: "position".to_owned(),
                    old_value: Some(json!(old)),
                    new_value: Some(json!(new)),
                };
                self.audit(guild, cause, AuditAction::RoleUpdate, Some(id), vec![change], None);
            }
            self.emit_role("GUILD_ROLE_UPDATE", guild, id);
        }
    }

    /// Removes a role, and with it from members, overwrites and emoji. Only the role's own event tells of it.
    pub fn delete_role(&mut self, guild: Id, id: Id, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let Some(role) = server.roles.remove(&id) else { return };
        for member in server.members.values_mut() {
            member.roles.retain(|held| *held != id);
        }
        for channel in server.channels.values_mut() {
            channel.permission_overwrites.retain(|overwrite| overwrite.id != id);
        }
        for emoji in server.emojis.values_mut() {
            emoji.roles.retain(|allowed| *allowed != id);
        }
        let changes = differences(Some(&role), None::<&Role>);
        self.audit(guild, cause, AuditAction::RoleDelete, Some(id), changes, None);
        let d = json!({"guild_id": guild, "role_id": id});
        self.emit(Dispatch::of_guild("GUILD_ROLE_DELETE", guild, Intents::GUILDS, &d).about(id));
    }

    fn emit_role(&self, name: &'static str, guild: Id, id: Id) {
        let Some(role) = self.guilds.get(&guild).and_then(|server| server.roles.get(&id)) else {
            return;
        };
        let d = json!({"guild_id": guild, "role": role});
        self.emit(Dispatch::of_guild(name, guild, Intents::GUILDS, &d).about(id));
    }
}
