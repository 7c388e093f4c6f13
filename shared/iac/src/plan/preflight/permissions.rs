//! Checks that the bot has the permissions that each request requires, on the server or in the channel.

use std::collections::BTreeSet;

use arrakis_domain::{Permission, Permissions};

use super::{Problem, StepChecks, list, rules};
use crate::kinds::{CheckedAt, Requirement, Write};
use crate::model::{Address, Channel, Clearable, Kind, Reference};
use crate::plan::document::Step;

/// Missing permissions of the whole plan, which become one finding.
#[derive(Debug, Default)]
pub(super) struct MissingPermissions {
    permissions: BTreeSet<Permission>,
    addresses: BTreeSet<Address>,
}

/// The permissions that a request requires.
struct Need {
    permissions: Vec<Permission>,
    /// The channel in which Discord checks them; `None` for the server.
    channel: Option<Channel>,
}

impl StepChecks {
    pub(super) fn permissions(&mut self, step: &Step) {
        let address = step.address().cloned();
        for need in self.needs(step) {
            let own = match &need.channel {
                Some(channel) => {
                    let own = self.run.live.bot_permissions_in(channel);
                    if self.is_inaccessible(channel, own, step) {
                        continue;
                    }
                    own
                }
                None => self.bot_permissions(),
            };
            let missing = need
                .permissions
                .into_iter()
                .filter(|permission| !own.contains(*permission));
            let missing: Vec<Permission> = missing.collect();
            if !missing.is_empty() {
                self.lacking.permissions.extend(missing);
                self.lacking.addresses.extend(address.clone());
            }
        }
    }

    /// Whether the bot cannot view or join a channel. Reports this instead of the permissions that it lacks there.
    fn is_inaccessible(&mut self, channel: &Channel, own: Permissions, step: &Step) -> bool {
        let (what, what_to_do) = if !own.contains(Permission::ViewChannel) {
            (
                "the bot cannot view {} and therefore cannot change it",
                "add `bot: { allow: [VIEW_CHANNEL] }` to its overwrites manually (the channel's settings, Permissions), or give the bot ADMINISTRATOR",
            )
        } else if channel.kind.is_voice() && !own.contains(Permission::Connect) {
            (
                "the bot is not allowed to join {} and therefore cannot change it",
                "allow the bot CONNECT there manually (the channel's settings, Permissions), or give the bot ADMINISTRATOR",
            )
        } else {
            return false;
        };
        if let Some(address) = step.address() {
            self.problems
                .push(Problem::new(rules::CHANNEL_ACCESS, address, what, what_to_do));
        }
        true
    }

    /// The finding for the missing permissions.
    pub(super) fn lacking_permissions(&mut self) {
        let MissingPermissions { permissions, addresses } = std::mem::take(&mut self.lacking);
        if permissions.is_empty() {
            return;
        }
        let names: Vec<String> = permissions.iter().map(ToString::to_string).collect();
        let (names, is) = (names.join(", "), if names.len() == 1 { "is" } else { "are" });
        let concerned: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let whom = match concerned.is_empty() {
            true => "the order of channels or roles".to_owned(),
            false => list(&concerned),
        };
        let what = format!("the bot lacks {names}, which {is} required for {whom}");
        let what_to_do = format!(
            "grant: {names} (Server Settings, Roles, the bot's role), or invite the bot again with {}",
            if is == "is" { "it" } else { "them" }
        );
        let mut problem = Problem::new(rules::BOT_PERMISSIONS, &Address::SERVER, what, what_to_do);
        problem.address = None;
        self.problems.push(problem);
    }

    /// Sources: the pages of each resource at <https://discord.com/developers/docs/resources>.
    fn needs(&self, step: &Step) -> Vec<Need> {
        let on_server = |permission| Requirement::on_server(&[permission]);
        let found = |kind: Kind, id| self.run.live.get(kind, id).map(|found| &found.attributes);
        let requirements = match step {
            Step::MoveRoles { .. } | Step::BotRole { .. } => on_server(Permission::ManageRoles),
            Step::MoveChannels { .. } => on_server(Permission::ManageChannels),
            Step::PutOverwrite { .. } | Step::DeleteOverwrite { .. } => vec![Requirement {
                permissions: vec![Permission::ManageRoles],
                at: CheckedAt::Itself,
            }],
            Step::Create { address, attributes } => address.kind().requirements(&Write::Create(attributes)),
            Step::Update {
                address,
                id,
                attributes,
                ..
            } => address.kind().requirements(&Write::Update {
                before: found(address.kind(), *id),
                after: attributes,
            }),
            Step::Delete { address, id } => address.kind().requirements(&Write::Delete {
                before: found(address.kind(), *id),
            }),
            Step::Adopt { .. } | Step::Refresh { .. } | Step::Forget { .. } => Vec::new(),
        };
        requirements
            .into_iter()
            .filter_map(|requirement| self.need(requirement, step.address()))
            .collect()
    }

    /// A requirement with the channel in which Discord checks it; `None` when Discord checks it nowhere.
    fn need(&self, Requirement { permissions, at }: Requirement, address: Option<&Address>) -> Option<Need> {
        let is_optional = !matches!(at, CheckedAt::ReadableChannel(_));
        let channel = match at {
            CheckedAt::Server => None,
            CheckedAt::Itself => address.and_then(|address| self.run.state.id(address)),
            CheckedAt::Channel(channel) | CheckedAt::ReadableChannel(channel) => self.run.resolve(&channel),
        };
        let channel = channel.and_then(|id| self.run.live.channel(id)).cloned();
        (is_optional || channel.is_some()).then_some(Need { permissions, channel })
    }
}

/// The category of a channel that a step creates.
pub(super) const fn category_of(channel: &Channel) -> Option<&Reference> {
    match &channel.category {
        Some(Clearable::Set(category)) => Some(category),
        _ => None,
    }
}
