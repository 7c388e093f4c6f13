//! Operations on roles.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Cause, Dispatch, State, audit::differences};
use crate::model::{AuditAction, Id, Intents, Role};

impl State {
    /// Adds a role. Others keep their positions, so that several may have the same one; the lower id ranks above. A move
    /// renumbers all roles. <https://github.com/discord/discord-api-docs/issues/1778>
    pub fn create_role(&mut self, guild: Id, role: Role, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let changes = differences(None::<&Role>, Some(&role));
        let id = role.id;
        server.roles.insert(id, role);
        self.audit(guild, cause, AuditAction::RoleCreate, Some(id), changes, None);
        self.emit_role("GUILD_ROLE_CREATE", guild, id);
    }

    /// Replaces a role by its changed version; does nothing without a change.
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

    /// Moves roles, then renumbers all of them from @everyone up, without gaps. Emits events for those whose position changed.
    /// Does nothing without moves.
    pub fn move_roles(&mut self, guild: Id, positions: &[(Id, i64)], cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild).filter(|_| !positions.is_empty()) else {
            return;
        };
        let stored: BTreeMap<Id, i64> = server.roles.values().map(|role| (role.id, role.position)).collect();
        let before = server.ranks();
        for role in server.roles.values_mut() {
            role.position = before.get(&role.id).copied().unwrap_or(role.position);
        }
        for (id, position) in positions {
            if let Some(role) = server.roles.get_mut(id) {
                role.position = *position;
            }
        }
        let wanted: Vec<Id> = positions.iter().map(|(id, _)| *id).collect();
        number(
            server.roles.values_mut().filter(|role| role.id != guild).collect(),
            &wanted,
            &before,
        );
        let moved: Vec<(Id, i64, i64)> = server
            .roles
            .values()
            .filter_map(|role| {
                let old = *stored.get(&role.id)?;
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

    /// Removes a role, also from members, overwrites and emoji. Only the role's own event is emitted.
    pub fn delete_role(&mut self, guild: Id, id: Id, cause: &Cause) {
        let Some(server) = self.guilds.get_mut(&guild) else {
            return;
        };
        let Some(role) = server.roles.remove(&id) else { return };
        server.clear_role_references(id);
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

/// Numbers roles from 1 in the order of their positions. At equal positions a single moved role is above the other one when it
/// came from below, else below; of several moved roles the lower id is above.
fn number(mut roles: Vec<&mut Role>, moved: &[Id], before: &BTreeMap<Id, i64>) {
    roles.sort_by_key(|role| {
        let came_from = before.get(&role.id).copied().unwrap_or(0);
        let side = if moved.len() > 1 || !moved.contains(&role.id) {
            0
        } else if came_from < role.position {
            1
        } else {
            -1
        };
        (role.position, side, std::cmp::Reverse(role.id))
    });
    for (position, role) in (1..).zip(roles) {
        role.position = position;
    }
}
