//! Permissions of the bot, and of a member without roles, in a channel:
//! <https://discord.com/developers/docs/topics/permissions#permission-overwrites>.

use arrakis_domain::{Permission, Permissions};

use super::LiveServer;
use crate::model::{Channel, Overwrite, Overwrites, Reference, Snowflake, Target};

impl LiveServer {
    /// Permissions of the bot in a channel or category: those on the server, changed by the overwrites of @everyone, of
    /// its roles together, and of the bot. None in a channel that it cannot view.
    #[must_use]
    pub fn bot_permissions_in(&self, channel: &Channel) -> Permissions {
        let base = self.bot_permissions();
        if base.contains(Permission::Administrator) {
            return base;
        }
        let nothing = Overwrites::new();
        let overwrites = channel.overwrites.as_ref().unwrap_or(&nothing);
        let of_roles = overwrites
            .iter()
            .filter(|(target, _)| matches!(target, Target::Role(Reference::Id(id)) if self.bot.roles.contains(id)))
            .fold(Overwrite::default(), |sum, (_, one)| Overwrite {
                allow: sum.allow | one.allow,
                deny: sum.deny | one.deny,
            });
        let everyone = overwrites.get(&Target::Everyone).copied().unwrap_or_default();
        let own = self.bot_overwrite(overwrites).unwrap_or_default();
        let bits = [everyone, of_roles, own]
            .iter()
            .fold(base, |bits, overwrite| bits.without(overwrite.deny) | overwrite.allow);
        implied(bits, channel)
    }

    /// The overwrite for the bot as a member.
    fn bot_overwrite(&self, overwrites: &Overwrites) -> Option<Overwrite> {
        let by_id = Target::Member(self.bot.user_id);
        overwrites.get(&Target::Bot).or_else(|| overwrites.get(&by_id)).copied()
    }

    /// Whether an overwrite of the channel allows the bot, or a role that it has, `MANAGE_ROLES`.
    #[must_use]
    pub fn bot_manages_overwrites_of(&self, channel: &Channel) -> bool {
        channel.overwrites.iter().flatten().any(|(target, overwrite)| {
            let is_own = match target {
                Target::Bot => true,
                Target::Member(id) => *id == self.bot.user_id,
                Target::Role(Reference::Id(id)) => self.bot.roles.contains(id),
                _ => false,
            };
            is_own && overwrite.allow.contains(Permission::ManageRoles)
        })
    }

    /// Permissions in a channel of a member who has no role, or only this one.
    #[must_use]
    pub fn member_permissions_in(&self, channel: &Channel, role: Option<Snowflake>) -> Permissions {
        let of = |id: Snowflake| self.role(id).and_then(|role| role.permissions).unwrap_or_default();
        let base = of(self.guild_id) | role.map(of).unwrap_or_default();
        if base.contains(Permission::Administrator) {
            return Permissions::ALL;
        }
        let nothing = Overwrites::new();
        let overwrites = channel.overwrites.as_ref().unwrap_or(&nothing);
        let targets = [
            Some(Target::Everyone),
            role.map(|role| Target::Role(Reference::Id(role))),
        ];
        let named = targets.iter().flatten().filter_map(|target| overwrites.get(target));
        let bits = named.fold(base, |bits, overwrite| bits.without(overwrite.deny) | overwrite.allow);
        implied(bits, channel)
    }
}

/// Without `VIEW_CHANNEL` there are no permissions in a channel; without `CONNECT`, only some in a voice channel.
fn implied(bits: Permissions, channel: &Channel) -> Permissions {
    if !bits.contains(Permission::ViewChannel) {
        return Permissions::NONE;
    }
    if channel.kind.is_voice() && !bits.contains(Permission::Connect) {
        return bits.intersection(Permissions::of(&[
            Permission::ViewChannel,
            Permission::ReadMessageHistory,
        ]));
    }
    bits
}
