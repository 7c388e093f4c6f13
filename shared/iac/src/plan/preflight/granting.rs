//! Checks that the bot has each permission that it grants or denies.

use std::collections::BTreeSet;

use arrakis_domain::{Permission, Permissions};

use super::permissions::category_of;
use super::{Problem, StepChecks, list, rules};
use crate::model::{
    Address, Attributes, Channel, Kind, Overwrite, Overwrites, Reference, Snowflake, Target, permission_names,
};
use crate::plan::document::Step;

/// Permissions of a plan that the bot may not grant or deny, for roles and for overwrites.
#[derive(Debug, Default)]
pub(super) struct RefusedGrants {
    roles: RefusedPermissions,
    overwrites: RefusedPermissions,
}

#[derive(Debug, Default)]
struct RefusedPermissions {
    bits: Permissions,
    addresses: BTreeSet<Address>,
}

impl RefusedPermissions {
    fn add(&mut self, bits: Permissions, address: &Address) {
        // The bot cannot lack bits without a permission.
        let known = Permissions::of(Permission::ALL);
        let bits = bits.intersection(known);
        if !bits.is_empty() {
            self.bits |= bits;
            self.addresses.insert(address.clone());
        }
    }
}

impl StepChecks {
    pub(super) fn granted(&mut self, step: &Step) {
        match step {
            Step::Create { address, attributes } => match attributes {
                Attributes::Role(role) => self.role_bits(address, role.permissions.unwrap_or_default()),
                Attributes::Channel(channel) | Attributes::Category(channel) => self.created(address, channel),
                _ => {}
            },
            Step::Update {
                address,
                id,
                attributes: Attributes::Role(role),
                fields,
            } if fields.iter().any(|field| field == "permissions") => {
                let known = self
                    .run
                    .live
                    .role(*id)
                    .and_then(|role| role.permissions)
                    .unwrap_or_default();
                let now = role.permissions.unwrap_or_default();
                self.role_bits(address, now.without(known) | known.without(now));
            }
            Step::PutOverwrite {
                address,
                target,
                overwrite,
            } => self.put(address, target, overwrite),
            _ => {}
        }
    }

    fn role_bits(&mut self, address: &Address, bits: Permissions) {
        let lacking = bits.without(self.bot_permissions());
        self.refused.roles.add(lacking, address);
    }

    /// Checks the overwrites of a channel that is created.
    fn created(&mut self, address: &Address, channel: &Channel) {
        let Some(overwrites) = &channel.overwrites else { return };
        let bits = overwrites
            .values()
            .fold(Permissions::NONE, |sum, one| sum | one.allow | one.deny);
        let category = category_of(channel).and_then(|category| self.run.resolve(category));
        let lacking = bits.without(self.own_bits(category));
        self.refused.overwrites.add(lacking, address);
        let is_administrator = self.bot_permissions().contains(Permission::Administrator);
        if !is_administrator && bits.contains(Permission::ManageRoles) {
            self.problems.push(Problem::new(
                rules::OVERWRITE_MANAGE_ROLES,
                address,
                "only an administrator can create a channel with MANAGE_ROLES in its overwrites: {}",
                "give the bot's own role ADMINISTRATOR; or apply without MANAGE_ROLES first and add it afterwards, which a bot \
                 with MANAGE_ROLES on the server may do",
            ));
        }
    }

    /// Checks an overwrite of an existing channel.
    fn put(&mut self, address: &Address, target: &Target, overwrite: &Overwrite) {
        let Some(channel) = self.run.state.id(address).and_then(|id| self.run.live.channel(id)) else {
            return;
        };
        if self.run.live.bot_manages_overwrites_of(channel) {
            return;
        }
        let nothing = Overwrites::new();
        let known = channel.overwrites.as_ref().unwrap_or(&nothing);
        let before = known.get(&self.by_id(target)).copied().unwrap_or_default();
        let changed = before.allow.without(overwrite.allow)
            | overwrite.allow.without(before.allow)
            | before.deny.without(overwrite.deny)
            | overwrite.deny.without(before.deny);
        let category = match address.kind() {
            Kind::Channel => self.run.category_of(channel),
            _ => None,
        };
        let lacking = changed.without(self.own_bits(category));
        self.refused.overwrites.add(lacking, address);
    }

    /// The target of an overwrite, with the id of the live server.
    fn by_id(&self, target: &Target) -> Target {
        match target {
            Target::Role(role) => {
                let id = self.run.resolve(role);
                id.map_or_else(|| target.clone(), |id| Target::Role(Reference::Id(id)))
            }
            Target::Bot => Target::Member(self.run.live.bot.user_id),
            other => other.clone(),
        }
    }

    /// Permissions of the bot on the server or in the category.
    fn own_bits(&self, category: Option<Snowflake>) -> Permissions {
        let parent = category.and_then(|category| self.run.live.channel(category));
        let of_parent = parent.map_or(Permissions::NONE, |parent| self.run.live.bot_permissions_in(parent));
        self.bot_permissions() | of_parent
    }

    /// The findings for the whole plan.
    pub(super) fn refused_bits(&mut self) {
        let RefusedGrants { roles, overwrites } = std::mem::take(&mut self.refused);
        for (rule, lacked) in [(rules::ROLE_GRANT, roles), (rules::OVERWRITE_GRANT, overwrites)] {
            if lacked.bits.is_empty() {
                continue;
            }
            let names = permission_names(lacked.bits).join(", ");
            let concerned: Vec<String> = lacked.addresses.iter().map(ToString::to_string).collect();
            let what = format!(
                "the bot does not have {names} and cannot allow or deny it in {}",
                list(&concerned)
            );
            let what_to_do = if lacked.bits == Permissions::of(&[Permission::Administrator]) {
                "give the bot's own role ADMINISTRATOR, or remove it from the configuration".to_owned()
            } else {
                format!("give the bot's own role {names} (or ADMINISTRATOR), or remove it from the configuration")
            };
            for address in &lacked.addresses {
                self.problems
                    .push(Problem::new(rule, address, what.clone(), what_to_do.clone()));
            }
        }
    }
}
