//! Which roles an admin may grant through the bot: those that Discord permits the admin to grant.
//!
//! The bot may assign roles that the admin may not. Without this rule, Manage Server would suffice to become an administrator.

use std::collections::BTreeMap;

use arrakis_domain::{self as domain, RoleBindings, Theme};
use twilight_model::guild::{Permissions, Role};
use twilight_model::id::Id;
use twilight_model::id::marker::{GuildMarker, RoleMarker, UserMarker};

use super::CommandContext;
use crate::interaction::invocation::Author;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;
use crate::render::text;

/// Most permissions that a refusal names.
const MAX_NAMED: usize = 3;

/// An admin with the server's roles, as Discord has them at this moment.
#[derive(Debug)]
pub(super) struct RoleGranter {
    is_owner: bool,
    is_administrator: bool,
    /// Permissions on the server: those in a channel may be more, such as Manage Roles by an overwrite.
    permissions: Permissions,
    /// The admin's highest role.
    highest: Option<Role>,
    roles: Vec<Role>,
}

impl RoleGranter {
    /// Reads the server for the admin who uses the command.
    ///
    /// # Errors
    /// If Discord is unavailable, or the bot is not on the server.
    pub(super) async fn read(context: &CommandContext<'_>, guild: Id<GuildMarker>) -> Result<Self, CommandError> {
        let calls = context.services.discord.interactive(Some(guild));
        let reading = async move { calls.guild(guild).await };
        let server = context.without_tx(Box::pin(reading)).await??;
        Ok(Self::new(
            &context.invocation.author,
            server.owner_id,
            guild,
            server.roles,
        ))
    }

    fn new(author: &Author, owner: Id<UserMarker>, guild: Id<GuildMarker>, roles: Vec<Role>) -> Self {
        // The id of @everyone equals the server's id.
        let everyone: Id<RoleMarker> = guild.cast();
        let has = |role: &&Role| role.id == everyone || author.roles.contains(&role.id);
        let permissions = roles
            .iter()
            .filter(has)
            .fold(Permissions::empty(), |all, role| all | role.permissions);
        let is_owner = author.id == owner;
        // No overwrite of a channel gives Administrator.
        let is_administrator = is_owner || (permissions | author.permissions).contains(Permissions::ADMINISTRATOR);
        Self {
            is_owner,
            is_administrator,
            permissions,
            // `Role` is ordered by position: the higher role is the greater.
            highest: roles.iter().filter(has).max().cloned(),
            roles,
        }
    }

    /// Refuses roles of the theme by which members would get permissions that the admin lacks ([`RoleGranter::check_bound`]). Discord is read
    /// only for an admin who may lack one.
    ///
    /// # Errors
    /// Also if Discord or Postgres is unavailable.
    pub(super) async fn check_roles(context: &CommandContext<'_>, roles: &[&domain::Role]) -> Result<(), CommandError> {
        let permissions = context.invocation.author.permissions;
        if roles.is_empty() || permissions.contains(Permissions::ADMINISTRATOR) {
            return Ok(());
        }
        let guild = context.community()?.guild();
        let bindings = context.tx().await?.communities().role_bindings().await?;
        let granter = Self::read(context, guild).await?;
        for role in roles {
            granter.check_bound(role, &bindings)?;
        }
        Ok(())
    }

    /// The server's role with this id.
    pub(super) fn role(&self, id: u64) -> Option<&Role> {
        self.roles.iter().find(|role| role.id.get() == id)
    }

    /// Refuses a role of the server that the admin may not grant.
    pub(super) fn check(&self, role: &Role) -> Result<(), Refusal> {
        let name = text::name(&role.name);
        if !self.is_administrator && !self.permissions.contains(Permissions::MANAGE_ROLES) {
            return Err(Refusal::new(
                format!("You cannot choose the role {name}: you lack the permission Manage Roles."),
                "Ask an admin with this permission to choose it.",
            ));
        }
        self.check_permissions(&role.name, role.permissions)?;
        let is_below = self.highest.as_ref().is_some_and(|highest| highest > role);
        if self.is_owner || is_below {
            return Ok(());
        }
        Err(Refusal::new(
            format!("You cannot choose the role {name}: it is not below your highest role."),
            "Ask an admin with a higher role, or the owner of the server, to choose it.",
        ))
    }

    /// Refuses a role with permissions that the admin lacks.
    fn check_permissions(&self, role: &str, permissions: Permissions) -> Result<(), Refusal> {
        let lacking = permissions.difference(self.permissions);
        if self.is_administrator || lacking.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = lacking.iter_names().map(|(name, _)| name).take(MAX_NAMED).collect();
        Err(Refusal::new(
            format!(
                "The role {} has permissions that you lack: {}.",
                text::name(role),
                text::name(&names.join(", "))
            ),
            "Ask an administrator of the server to do this.",
        ))
    }

    /// Refuses a role of the theme by which members would get permissions that the admin lacks: those of the server's role that it is
    /// bound to, else those with which the theme creates it.
    fn check_bound(&self, role: &domain::Role, bindings: &RoleBindings) -> Result<(), Refusal> {
        match bindings.get(&role.key).and_then(|id| self.role(id.0)) {
            Some(bound) => self.check_permissions(&bound.name, bound.permissions),
            None => self.check_permissions(&role.name, of_theme(role.permissions)),
        }
    }

    /// Refuses a setup by which members would get roles that the admin may not grant. `existing` are the server's roles that stand for roles
    /// of the theme, by key.
    pub(super) fn check_setup(&self, theme: &Theme, existing: &BTreeMap<String, u64>) -> Result<(), Refusal> {
        for role in theme.roles.iter().filter(|role| role.given_to.is_automatic()) {
            // Also where an existing role stands for it: one that is deleted is created as the theme has it.
            self.check_permissions(&role.name, of_theme(role.permissions))?;
            if let Some(existing) = existing.get(role.key.as_str()).and_then(|id| self.role(*id)) {
                self.check(existing)?;
            }
        }
        Ok(())
    }
}

fn of_theme(permissions: domain::Permissions) -> Permissions {
    permissions.iter().fold(Permissions::empty(), |all, permission| {
        all | Permissions::from_bits_truncate(permission.bits())
    })
}

#[cfg(test)]
mod tests {
    use arrakis_themes::Registry;
    use serde_json::json;

    use super::*;

    /// Id of the server and of `@everyone`.
    const GUILD: u64 = 1;
    const OWNER: u64 = 2;
    const ADMIN: u64 = 3;

    fn role(id: u64, position: i64, permissions: Permissions) -> Role {
        serde_json::from_value(json!({
            "id": id.to_string(), "name": format!("role-{id}"), "color": 0,
            "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
            "hoist": false, "managed": false, "mentionable": false, "position": position, "flags": 0,
            "permissions": permissions.bits().to_string(),
        }))
        .unwrap()
    }

    /// A user with the role 10 of these permissions, and with these permissions in the channel.
    fn granter(user: u64, of_role: Permissions, in_channel: Permissions) -> RoleGranter {
        let author = Author {
            id: Id::new(user),
            name: "chani".to_owned(),
            permissions: in_channel,
            roles: vec![Id::new(10)],
        };
        let roles = vec![
            role(GUILD, 0, Permissions::SEND_MESSAGES),
            role(10, 5, of_role),
            role(11, 4, Permissions::KICK_MEMBERS),
            role(12, 6, Permissions::empty()),
            role(13, 3, Permissions::ADMINISTRATOR),
            role(14, 2, Permissions::SEND_MESSAGES),
        ];
        RoleGranter::new(&author, Id::new(OWNER), Id::new(GUILD), roles)
    }

    /// The roles that the user may grant.
    fn granted(granter: &RoleGranter) -> Vec<u64> {
        let all = (11..=14).filter(|id| granter.check(granter.role(*id).unwrap()).is_ok());
        all.collect()
    }

    #[test]
    fn role_is_granted_as_discord_permits_it() {
        let none = Permissions::empty();
        let manager = Permissions::MANAGE_GUILD | Permissions::MANAGE_ROLES;
        for (user, of_role, expected) in [
            (ADMIN, Permissions::MANAGE_GUILD, vec![]),
            (ADMIN, manager, vec![14]),
            (ADMIN, manager | Permissions::KICK_MEMBERS, vec![11, 14]),
            (ADMIN, Permissions::ADMINISTRATOR, vec![11, 13, 14]),
            (OWNER, none, vec![11, 12, 13, 14]),
        ] {
            assert_eq!(granted(&granter(user, of_role, none)), expected, "{user} {of_role:?}");
        }
    }

    #[test]
    fn permission_of_a_channel_grants_no_role() {
        let in_channel = Permissions::MANAGE_GUILD | Permissions::MANAGE_ROLES;
        assert!(granted(&granter(ADMIN, Permissions::MANAGE_GUILD, in_channel)).is_empty());
    }

    #[test]
    fn theme_with_a_privileged_role_is_for_administrators() {
        let themes = Registry::load(None).unwrap();
        let (sietch, basic) = (themes.theme("sietch").unwrap(), themes.theme("basic").unwrap());
        let none = BTreeMap::new();
        let manager = granter(ADMIN, Permissions::MANAGE_GUILD, Permissions::empty());
        assert_eq!(manager.check_setup(basic, &none), Ok(()));
        let refusal = manager.check_setup(sietch, &none).unwrap_err();
        assert_eq!(
            refusal.what,
            "The role Naib has permissions that you lack: ADMINISTRATOR."
        );
        let existing = BTreeMap::from([("naib".to_owned(), 14)]);
        assert!(manager.check_setup(sietch, &existing).is_err());
        let existing = BTreeMap::from([("gold".to_owned(), 13)]);
        assert!(manager.check_setup(basic, &existing).is_err());
        let administrator = granter(ADMIN, Permissions::ADMINISTRATOR, Permissions::empty());
        assert_eq!(administrator.check_setup(sietch, &none), Ok(()));
        assert_eq!(administrator.check_setup(basic, &existing), Ok(()));
    }
}
