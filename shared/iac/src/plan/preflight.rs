//! Whether a plan can succeed, told before the first write.
//!
//! Owns what Discord would refuse halfway: the bot's permissions and place among the roles, kinds of channels that only a
//! community has, limits. Each finding says what would be needed.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_domain::{Permission, Permissions};
use serde::{Deserialize, Serialize};

use super::document::{Action, Mode, Plan, Step};
use crate::live::{Live, LiveResource};
use crate::model::limits::{BITRATE_BY_LEVEL, MOST_CHANNELS, MOST_IN_CATEGORY, MOST_ROLES, STAGE_BITRATE};
use crate::model::{
    Address, Attributes, Channel, ChannelKind, Clearable, Kind, Overwrite, Reference, Role, permission_names,
};

/// Something that stands in the way of a plan, or is likely to surprise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Discord would refuse: nothing must be sent.
    pub blocking: bool,
    /// What is wrong, and why.
    pub what: String,
    /// What would be needed.
    pub what_to_do: String,
    /// Whom it concerns.
    pub addresses: Vec<Address>,
}

/// Everything that stands in the way of `plan` on the server that it was made from.
#[must_use]
pub fn preflight(plan: &Plan, live: &Live) -> Vec<Finding> {
    if plan.mode == Mode::RefreshOnly {
        return Vec::new();
    }
    let check = Check {
        plan,
        live,
        permissions: live.bot_permissions(),
    };
    let mut findings = Vec::new();
    check.own_permissions(&mut findings);
    check.hierarchy(&mut findings);
    check.granted(&mut findings);
    check.community(&mut findings);
    check.limits(&mut findings);
    check.boosts(&mut findings);
    check.shut_out(&mut findings);
    findings
}

struct Check<'a> {
    plan: &'a Plan,
    live: &'a Live,
    permissions: Permissions,
}

fn finding(what: String, what_to_do: impl Into<String>, addresses: Vec<Address>) -> Finding {
    Finding {
        blocking: true,
        what,
        what_to_do: what_to_do.into(),
        addresses,
    }
}

/// At most five by name, and how many more.
fn list(items: &[String]) -> String {
    match items.len() {
        0..=5 => items.join(", "),
        count => format!("{} and {} more", items[..5].join(", "), count - 5),
    }
}

fn names_of(permissions: Permissions) -> String {
    permission_names(permissions).join(", ")
}

impl Check<'_> {
    /// What the bot must be allowed for each kind of request.
    fn own_permissions(&self, findings: &mut Vec<Finding>) {
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

    fn rank(&self, role: &LiveResource) -> (i64, std::cmp::Reverse<u64>) {
        (role.position, std::cmp::Reverse(role.id.get()))
    }

    /// Whether the bot may touch a role: it stands strictly below the bot's highest.
    fn reaches(&self, role: &LiveResource) -> bool {
        let own = self.live.bot_role();
        role.id == self.live.guild_id
            || self.live.bot_is_owner()
            || own.is_some_and(|own| self.rank(role) < self.rank(own))
    }

    fn hierarchy(&self, findings: &mut Vec<Finding>) {
        let mut beyond = BTreeMap::new();
        let mut of_applications = BTreeMap::new();
        for step in &self.plan.steps {
            let touched: Vec<(Address, &LiveResource)> = match step {
                Step::Update { address, id, .. } | Step::Delete { address, id } if address.kind() == Kind::Role => self
                    .live
                    .get(Kind::Role, *id)
                    .map(|role| (address.clone(), role))
                    .into_iter()
                    .collect(),
                Step::BotRole { address, .. } => self
                    .of_address(address)
                    .map(|role| (address.clone(), role))
                    .into_iter()
                    .collect(),
                Step::MoveRoles { places } => {
                    let moved = places.iter().filter_map(|place| {
                        let address = place.of.address()?;
                        Some((address.clone(), self.of_address(address)?))
                    });
                    moved.collect()
                }
                _ => continue,
            };
            for (address, role) in touched {
                let name = role.attributes.name().unwrap_or_default().to_owned();
                if !self.reaches(role) {
                    beyond.insert(address.clone(), name.clone());
                }
                if role.managed && matches!(step, Step::Delete { .. } | Step::BotRole { .. }) {
                    of_applications.insert(address, name);
                }
            }
        }
        self.unplaceable(&mut beyond);
        if !beyond.is_empty() {
            let roles: Vec<String> = beyond
                .iter()
                .map(|(address, name)| format!("`{name}` ({address})"))
                .collect();
            let own = self.live.bot_role().and_then(|role| role.attributes.name());
            let (where_it_is, what_to_do) = match own {
                Some(own) => (
                    format!("the bot's highest role `{own}` does not stand above"),
                    format!(
                        "drag `{own}` above them (Server Settings, Roles); Discord lets nobody touch a role at or above their own"
                    ),
                ),
                None => (
                    "the bot has no role that stands above".to_owned(),
                    "give the bot a role above them".to_owned(),
                ),
            };
            findings.push(finding(
                format!("{where_it_is} {}", list(&roles)),
                what_to_do,
                beyond.into_keys().collect(),
            ));
        }
        for (address, name) in of_applications {
            findings.push(finding(
                format!("the role `{name}` ({address}) belongs to an application or to boosting and cannot be removed or given"),
                format!("forget it: `gaib server state rm {address}`"),
                vec![address],
            ));
        }
    }

    /// New roles whose place in the order would be at or above the bot's highest.
    fn unplaceable(&self, beyond: &mut BTreeMap<Address, String>) {
        let placed: Option<BTreeSet<&Reference>> = self.plan.steps.iter().find_map(|step| match step {
            Step::MoveRoles { places } => Some(places.iter().map(|place| &place.of).collect()),
            _ => None,
        });
        let Some(placed) = placed else { return };
        for change in &self.plan.changes {
            let made = change.action == Action::Create && change.address.kind() == Kind::Role;
            if made && !placed.contains(&Reference::Address(change.address.clone())) {
                beyond.insert(change.address.clone(), change.name.clone().unwrap_or_default());
            }
        }
    }

    fn of_address(&self, address: &Address) -> Option<&LiveResource> {
        let change = self.plan.changes.iter().find(|change| change.address == *address);
        let id = change.and_then(|change| change.id)?;
        self.live.get(address.kind(), id)
    }

    /// Nobody grants what they do not have.
    fn granted(&self, findings: &mut Vec<Finding>) {
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
                format!("give the bot's own role {lacking} (or ADMINISTRATOR), or take it out of the configuration"),
                addresses,
            ));
        }
    }

    /// Whether the server is a community once the plan is carried out.
    fn will_be_community(&self) -> bool {
        let server = self
            .plan
            .changes
            .iter()
            .find(|change| change.address == Address::SERVER);
        let said = server.and_then(|change| match &change.after {
            Some(Attributes::Server(server)) => server.community,
            _ => None,
        });
        said.unwrap_or_else(|| self.live.is_community())
    }

    fn community(&self, findings: &mut Vec<Finding>) {
        if !self.will_be_community() {
            let mut by_kind: BTreeMap<ChannelKind, Vec<Address>> = BTreeMap::new();
            for (address, channel) in self.written_channels() {
                if channel.kind.needs_community() {
                    by_kind.entry(channel.kind).or_default().push(address.clone());
                }
            }
            for (kind, addresses) in by_kind {
                let concerned: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let instead = if kind.is_voice() { "voice" } else { "text" };
                findings.push(finding(
                    format!("{kind} channels are for community servers, and this is none: {}", list(&concerned)),
                    format!("enable Community (Server Settings, Enable Community, or `community: true` of the server), or write `kind: {instead}` instead"),
                    addresses,
                ));
            }
            let singles = [Address::WELCOME_SCREEN, Address::ONBOARDING];
            for address in singles.into_iter().filter(|address| {
                self.plan
                    .changes
                    .iter()
                    .any(|change| change.address == *address && change.after.is_some())
            }) {
                let what = format!(
                    "the {} is for community servers, and this is none",
                    address.kind().words()
                );
                findings.push(finding(
                    what,
                    "enable Community first (Server Settings, Enable Community)",
                    vec![address],
                ));
            }
        }
        self.kept_by_community(findings);
    }

    /// Discord does not let go of the rules channel and of the channel of its updates (error 50074).
    fn kept_by_community(&self, findings: &mut Vec<Finding>) {
        let named = self
            .live
            .get(Kind::Server, self.live.guild_id)
            .map(|server| &server.attributes);
        let Some(Attributes::Server(server)) = named.filter(|_| self.live.is_community()) else {
            return;
        };
        let changed = |field: &str| {
            let server = self
                .plan
                .changes
                .iter()
                .find(|change| change.address == Address::SERVER);
            server.is_some_and(|change| change.fields.iter().any(|name| name == field || name == "community"))
        };
        let kept = [
            ("rules_channel", &server.rules_channel),
            ("public_updates_channel", &server.public_updates_channel),
        ];
        for (field, reference) in kept {
            let Some(Reference::Id(kept)) = reference.as_ref().and_then(Clearable::value) else {
                continue;
            };
            let removed = self.plan.steps.iter().find_map(|step| match step {
                Step::Delete { address, id } if id == kept => Some(address),
                _ => None,
            });
            if let Some(address) = removed.filter(|_| !changed(field)) {
                findings.push(finding(
                    format!("{address} is the server's {field}, which a community server must have"),
                    format!("choose another channel as `{field}` of the server first (Server Settings, Community), or keep it: `gaib server state rm {address}`"),
                    vec![address.clone()],
                ));
            }
        }
    }

    fn limits(&self, findings: &mut Vec<Finding>) {
        let count = |kind: Kind, action: Action| {
            self.plan
                .changes
                .iter()
                .filter(|change| change.action == action && change.address.kind() == kind)
                .count()
        };
        let after = |kind: Kind| {
            (self.live.of_kind(kind).count() + count(kind, Action::Create)).saturating_sub(count(kind, Action::Delete))
        };
        let roles = after(Kind::Role);
        if roles > MOST_ROLES && count(Kind::Role, Action::Create) > 0 {
            findings.push(finding(
                format!("the server would have {roles} roles (@everyone among them), and Discord allows {MOST_ROLES}"),
                "remove roles from the server or from the configuration",
                Vec::new(),
            ));
        }
        let channels = after(Kind::Channel) + after(Kind::Category) + self.live.foreign_channels;
        if channels > MOST_CHANNELS && count(Kind::Channel, Action::Create) + count(Kind::Category, Action::Create) > 0
        {
            findings.push(finding(
                format!("the server would have {channels} channels and categories, and Discord allows {MOST_CHANNELS}"),
                "remove channels from the server or from the configuration",
                Vec::new(),
            ));
        }
        self.full_categories(findings);
    }

    fn full_categories(&self, findings: &mut Vec<Finding>) {
        let mut ids: BTreeMap<&Address, Reference> = BTreeMap::new();
        for change in &self.plan.changes {
            if let Some(id) = change.id {
                ids.insert(&change.address, Reference::Id(id));
            }
        }
        let mut members: BTreeMap<Reference, (i64, bool)> = BTreeMap::new();
        let mut add = |category: Option<&Clearable<Reference>>, number: i64| {
            let Some(reference) = category.and_then(Clearable::value) else {
                return;
            };
            let reference = reference
                .address()
                .and_then(|address| ids.get(address))
                .unwrap_or(reference);
            let (count, grows) = members.entry(reference.clone()).or_default();
            *count += number;
            *grows |= number > 0;
        };
        let touched: BTreeSet<_> = self
            .plan
            .changes
            .iter()
            .filter(|change| change.address.kind() == Kind::Channel)
            .filter_map(|change| change.id)
            .collect();
        for channel in self.live.of_kind(Kind::Channel) {
            if let Attributes::Channel(attributes) = &channel.attributes
                && !touched.contains(&channel.id)
            {
                add(attributes.category.as_ref(), 1);
            }
        }
        for change in &self.plan.changes {
            let after = match (&change.after, change.id) {
                (Some(Attributes::Channel(after)), id) => after
                    .category
                    .as_ref()
                    .or_else(|| self.live.channel(id?)?.category.as_ref()),
                _ => None,
            };
            add(after, 1);
        }
        for (category, (count, grows)) in members {
            let count = usize::try_from(count).unwrap_or(0);
            if grows && count > MOST_IN_CATEGORY {
                findings.push(finding(
                    format!("the category {category} would have {count} channels, and Discord allows {MOST_IN_CATEGORY} in a category"),
                    "put some of them into another category",
                    category.address().into_iter().cloned().collect(),
                ));
            }
        }
    }

    fn boosts(&self, findings: &mut Vec<Finding>) {
        let level = usize::from(self.live.boost_level).min(3);
        for (address, channel) in self.written_channels() {
            let most = if channel.kind == ChannelKind::Stage {
                STAGE_BITRATE
            } else {
                BITRATE_BY_LEVEL[level]
            };
            if let Some(bitrate) = channel
                .bitrate
                .filter(|bitrate| channel.kind.is_voice() && *bitrate > most)
            {
                findings.push(finding(
                    format!("{address} asks for a bitrate of {bitrate}, and {most} is the most for a {} at boost level {level}", channel.kind),
                    format!("write `bitrate: {most}` or less, or boost the server"),
                    vec![address.clone()],
                ));
            }
        }
        let features = [
            ("ENHANCED_ROLE_COLORS", "gradient colours"),
            ("ROLE_ICONS", "role icons"),
        ];
        for (feature, what) in features {
            if self.live.features.contains(feature) {
                continue;
            }
            let asked = self.plan.changes.iter().filter(|change| {
                matches!(change.action, Action::Create | Action::Update | Action::Adopt)
                    && asks_for(feature, change.after.as_ref())
            });
            let addresses: Vec<Address> = asked.map(|change| change.address.clone()).collect();
            if !addresses.is_empty() {
                let concerned: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                findings.push(finding(
                    format!(
                        "this server has no {what} (it lacks the feature {feature}): {}",
                        list(&concerned)
                    ),
                    "boost the server, or take them out of the configuration",
                    addresses,
                ));
            }
        }
    }

    /// A bot that is no administrator must be let into what it closes to everyone, or it cannot change it again.
    fn shut_out(&self, findings: &mut Vec<Finding>) {
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
                .get(&crate::model::Target::Everyone)
                .is_some_and(|everyone| everyone.deny.contains(Permission::ViewChannel));
            let let_in = overwrites.iter().any(|(target, overwrite)| match target {
                crate::model::Target::Bot => sees(overwrite),
                crate::model::Target::Role(Reference::Id(id)) => self.live.bot.roles.contains(id) && sees(overwrite),
                crate::model::Target::Role(Reference::Address(role)) => sees(overwrite) && self.is_of_bot(role),
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

    /// Categories and channels that are made or changed, as they will be.
    fn written_channels(&self) -> impl Iterator<Item = (&Address, &Channel)> {
        let written = self.plan.changes.iter().filter(|change| {
            matches!(
                change.action,
                Action::Create | Action::Update | Action::Replace | Action::Adopt
            )
        });
        written.filter_map(|change| match &change.after {
            Some(Attributes::Channel(channel) | Attributes::Category(channel)) => Some((&change.address, channel)),
            _ => None,
        })
    }
}

fn asks_for(feature: &str, attributes: Option<&Attributes>) -> bool {
    let Some(Attributes::Role(role)) = attributes else {
        return false;
    };
    match feature {
        "ROLE_ICONS" => role.unicode_emoji.as_ref().is_some_and(|emoji| !emoji.is_empty()),
        _ => [&role.secondary_color, &role.tertiary_color]
            .into_iter()
            .flatten()
            .any(|color| color.value().is_some()),
    }
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
