//! What the bot may do, and so may grant.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::{Permission, Permissions};

use super::{Check, Finding, finding, list};
use crate::model::{Address, Attributes, Channel, Kind, Overwrite, Reference, Role, Target, permission_names};
use crate::plan::document::{Action, Step};

impl Check<'_> {
    /// What the bot must be allowed for each kind of request.
    pub(super) fn own_permissions(&self, findings: &mut Vec<Finding>) {
        let mut needed: BTreeMap<&str, (Permissions, Vec<Address>)> = BTreeMap::new();
        for step in self.plan.steps.iter().filter(|step| step.is_a_request()) {
            for permission in needed_for(step) {
                let (bits, addresses) = needed.entry(permission.name()).or_default();
                *bits = Permissions::of(&[permission]);
                addresses.extend(step.address().cloned());
            }
        }
        for (name, (bits, mut addresses)) in needed {
            if bits.without(self.permissions).is_empty() {
                continue;
            }
            addresses.sort();
            addresses.dedup();
            let concerned: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            findings.push(finding(
                format!("the bot lacks {name}, which is needed for {}", list(&concerned)),
                format!("give the bot's role {name} (Server Settings, Roles), or invite the bot again with it"),
                addresses,
            ));
        }
    }

    /// Nobody grants what they do not have.
    pub(super) fn granted(&self, findings: &mut Vec<Finding>) {
        let mut refused: BTreeMap<u64, Vec<Address>> = BTreeMap::new();
        let mut refuse = |bits: Permissions, address: &Address| {
            let lacking = bits.without(self.permissions);
            if !lacking.is_empty() {
                refused.entry(lacking.bits()).or_default().push(address.clone());
            }
        };
        for change in &self.plan.changes {
            let Some(after) = &change.after else { continue };
            match (after, &change.before) {
                (Attributes::Role(after), before) => {
                    let known = match before {
                        Some(Attributes::Role(Role { permissions, .. })) => permissions.unwrap_or_default(),
                        _ => Permissions::NONE,
                    };
                    refuse(after.permissions.unwrap_or_default().without(known), &change.address);
                }
                (Attributes::Channel(after) | Attributes::Category(after), before) => {
                    let nothing = Channel::default();
                    let before = match before {
                        Some(Attributes::Channel(before) | Attributes::Category(before))
                            if change.action != Action::Replace =>
                        {
                            before
                        }
                        _ => &nothing,
                    };
                    refuse(changed_bits(before, after), &change.address);
                }
                _ => {}
            }
        }
        for (bits, mut addresses) in refused {
            addresses.sort();
            addresses.dedup();
            let lacking = names_of(Permissions::from_bits(bits));
            let concerned: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            findings.push(finding(
                format!(
                    "the bot does not have {lacking} itself and so cannot give or withhold it in {}",
                    list(&concerned)
                ),
                if bits == Permission::Administrator.bits() {
                    "give the bot's own role ADMINISTRATOR, or take it out of the configuration".to_owned()
                } else {
                    format!("give the bot's own role {lacking} (or ADMINISTRATOR), or take it out of the configuration")
                },
                addresses,
            ));
        }
    }

    /// A bot that is no administrator must be let into what it closes to everyone, or it cannot change it again.
    pub(super) fn shut_out(&self, findings: &mut Vec<Finding>) {
        if self.permissions.contains(Permission::Administrator) {
            return;
        }
        let sees = |overwrite: &Overwrite| overwrite.allow.contains(Permission::ViewChannel);
        let mut shut = Vec::new();
        for (address, channel) in self.written_channels() {
            let Some(overwrites) = &channel.overwrites else {
                continue;
            };
            let closed = overwrites
                .get(&Target::Everyone)
                .is_some_and(|everyone| everyone.deny.contains(Permission::ViewChannel));
            let let_in = overwrites.iter().any(|(target, overwrite)| match target {
                Target::Bot => sees(overwrite),
                Target::Role(Reference::Id(id)) => self.live.bot.roles.contains(id) && sees(overwrite),
                Target::Role(Reference::Address(role)) => sees(overwrite) && self.is_of_bot(role),
                _ => false,
            });
            if closed && !let_in {
                shut.push(address.clone());
            }
        }
        if !shut.is_empty() {
            let concerned: Vec<String> = shut.iter().map(ToString::to_string).collect();
            findings.push(finding(
                format!("the bot is no administrator and would shut itself out of {}", list(&concerned)),
                "add `bot: { allow: [VIEW_CHANNEL, MANAGE_CHANNELS, MANAGE_ROLES] }` to its overwrites, or give the bot ADMINISTRATOR",
                shut,
            ));
        }
    }

    /// Whether the bot has, or is given, a role of the plan.
    fn is_of_bot(&self, role: &Address) -> bool {
        let held = self
            .of_address(role)
            .is_some_and(|role| self.live.bot.roles.contains(&role.id));
        held || self
            .plan
            .steps
            .iter()
            .any(|step| matches!(step, Step::BotRole { address, give: true } if address == role))
    }
}

fn names_of(permissions: Permissions) -> String {
    permission_names(permissions).join(", ")
}

/// Bits that differ between two sets of overwrites.
fn changed_bits(before: &Channel, after: &Channel) -> Permissions {
    let Some(after) = &after.overwrites else {
        return Permissions::NONE;
    };
    let nothing = BTreeMap::new();
    let before = before.overwrites.as_ref().unwrap_or(&nothing);
    let targets: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    targets.into_iter().fold(Permissions::NONE, |bits, target| {
        let old = before.get(target).copied().unwrap_or_default();
        let new = after.get(target).copied().unwrap_or_default();
        bits | old.allow.without(new.allow)
            | new.allow.without(old.allow)
            | old.deny.without(new.deny)
            | new.deny.without(old.deny)
    })
}

/// What a request needs: <https://discord.com/developers/docs/topics/permissions>.
fn needed_for(step: &Step) -> Vec<Permission> {
    let Some(address) = step.address() else {
        return match step {
            Step::MoveRoles { .. } => vec![Permission::ManageRoles],
            _ => vec![Permission::ManageChannels],
        };
    };
    match (address.kind(), step) {
        (_, Step::PutOverwrite { .. } | Step::DeleteOverwrite { .. }) | (Kind::Role, _) => {
            vec![Permission::ManageRoles]
        }
        (Kind::Category | Kind::Channel, _) => vec![Permission::ManageChannels],
        (Kind::Server | Kind::WelcomeScreen | Kind::Automod, _) => vec![Permission::ManageGuild],
        (Kind::Onboarding, _) => vec![Permission::ManageGuild, Permission::ManageRoles],
        (Kind::Emoji | Kind::Sticker, Step::Create { .. }) => vec![Permission::CreateGuildExpressions],
        (Kind::Emoji | Kind::Sticker, _) => vec![Permission::ManageGuildExpressions],
        (Kind::Webhook, _) => vec![Permission::ManageWebhooks],
        (Kind::Event, Step::Create { .. }) => vec![Permission::CreateEvents],
        (Kind::Event, _) => vec![Permission::ManageEvents],
    }
}
