//! What the bot must be allowed for each request, on the server or in the channel.

use std::collections::BTreeSet;

use arrakis_domain::{Permission, Permissions};

use super::{Problem, Walk, list, rules};
use crate::model::{Address, Attributes, AutomodAction, Channel, Clearable, EventPlace, Kind, Reference};
use crate::plan::document::Step;

/// What is missing over a whole plan: told as one sum.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    permissions: BTreeSet<Permission>,
    addresses: BTreeSet<Address>,
}

/// What a request needs.
struct Need {
    permissions: Vec<Permission>,
    /// The channel in which Discord looks; `None` for the server.
    channel: Option<Channel>,
}

impl Walk {
    pub(super) fn permissions(&mut self, step: &Step) {
        let address = step.address().cloned();
        for need in self.needs(step) {
            let own = match &need.channel {
                Some(channel) => {
                    let own = self.run.live.bot_permissions_in(channel);
                    if self.is_out_of_reach(channel, own, step) {
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

    /// Whether the bot does not see a channel or cannot join it. Reports that instead of all that it lacks there.
    fn is_out_of_reach(&mut self, channel: &Channel, own: Permissions, step: &Step) -> bool {
        let (what, what_to_do) = if !own.contains(Permission::ViewChannel) {
            (
                "the bot does not see {}, and so cannot change it",
                "add `bot: { allow: [VIEW_CHANNEL] }` to its overwrites by hand (the channel's settings, Permissions), or give the bot ADMINISTRATOR",
            )
        } else if channel.kind.is_voice() && !own.contains(Permission::Connect) {
            (
                "the bot may not join {}, and so cannot change it",
                "allow the bot CONNECT there by hand (the channel's settings, Permissions), or give the bot ADMINISTRATOR",
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

    /// The finding about all that is missing.
    pub(super) fn lacking_permissions(&mut self) {
        let Lacking { permissions, addresses } = std::mem::take(&mut self.lacking);
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
        let what = format!("the bot lacks {names}, which {is} needed for {whom}");
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
        use Permission as P;
        let on_server = |permissions: &[Permission]| Need {
            permissions: permissions.to_vec(),
            channel: None,
        };
        let Some(address) = step.address() else {
            let moves_roles = matches!(step, Step::MoveRoles { .. });
            return vec![on_server(&[if moves_roles {
                P::ManageRoles
            } else {
                P::ManageChannels
            }])];
        };
        let live = &self.run.live;
        let there = |reference: Option<&Reference>| {
            let id = reference.and_then(|reference| self.run.resolve(reference));
            id.and_then(|id| live.channel(id)).cloned()
        };
        let itself = || there(Some(&Reference::Address(address.clone())));
        let in_channel = |permissions: &[Permission], channel: Option<Channel>| Need {
            permissions: permissions.to_vec(),
            channel,
        };
        match (address.kind(), step) {
            (_, Step::PutOverwrite { .. } | Step::DeleteOverwrite { .. }) => {
                vec![in_channel(&[P::ManageRoles], itself())]
            }
            (Kind::Role, _) => vec![on_server(&[P::ManageRoles])],
            (Kind::Category | Kind::Channel, Step::Create { .. }) => vec![on_server(&[P::ManageChannels])],
            (Kind::Category | Kind::Channel, _) => vec![in_channel(&[P::ManageChannels], itself())],
            (Kind::Server | Kind::WelcomeScreen | Kind::Automod, _) => vec![on_server(&[P::ManageGuild])],
            (Kind::Onboarding, _) => vec![on_server(&[P::ManageGuild, P::ManageRoles])],
            (Kind::Emoji | Kind::Sticker, Step::Create { .. }) => vec![on_server(&[P::CreateGuildExpressions])],
            (Kind::Emoji | Kind::Sticker, _) => vec![on_server(&[P::ManageGuildExpressions])],
            (Kind::Webhook, _) => self
                .webhook_channels(step)
                .into_iter()
                .map(|channel| in_channel(&[P::ManageWebhooks], Some(channel)))
                .collect(),
            (Kind::Event, Step::Create { attributes, .. }) => event_needs(P::CreateEvents, attributes, there),
            (Kind::Event, Step::Update { attributes, .. }) => event_needs(P::ManageEvents, attributes, there),
            (Kind::Event, _) => vec![on_server(&[P::ManageEvents])],
        }
    }

    /// The channels of a webhook: where it is, and where it will be.
    fn webhook_channels(&self, step: &Step) -> Vec<Channel> {
        let now = match step {
            Step::Update { id, .. } | Step::Delete { id, .. } => self.run.channel_of_webhook(*id),
            _ => None,
        };
        let next = match step {
            Step::Create {
                attributes: Attributes::Webhook(webhook),
                ..
            }
            | Step::Update {
                attributes: Attributes::Webhook(webhook),
                ..
            } => webhook.channel.as_ref().and_then(|channel| self.run.resolve(channel)),
            _ => None,
        };
        let ids: BTreeSet<_> = [now, next].into_iter().flatten().collect();
        ids.into_iter()
            .filter_map(|id| self.run.live.channel(id))
            .cloned()
            .collect()
    }

    /// A rule that times members out is for those who may do it themselves.
    pub(super) fn automod_timeout(
        &mut self,
        address: &Address,
        rule: &crate::model::AutomodRule,
        sent: &super::Sent<'_>,
    ) {
        let times_out = rule
            .actions
            .iter()
            .flatten()
            .any(|action| matches!(action, AutomodAction::Timeout { .. }));
        if times_out && sent.has("actions") && !self.bot_permissions().contains(Permission::ModerateMembers) {
            self.problems.push(Problem::new(
                rules::AUTOMOD_TIMEOUT,
                address,
                "the bot lacks MODERATE_MEMBERS, which the action `timeout` needs: {}",
                "grant: MODERATE_MEMBERS (Server Settings, Roles, the bot's role), or take the action out of the configuration",
            ));
        }
    }
}

/// <https://discord.com/developers/docs/resources/guild-scheduled-event#guild-scheduled-event-object-permissions-requirements>
fn event_needs(
    permission: Permission,
    attributes: &Attributes,
    there: impl Fn(Option<&Reference>) -> Option<Channel>,
) -> Vec<Need> {
    use Permission as P;
    let place = match attributes {
        Attributes::Event(event) => event.place.as_ref(),
        _ => None,
    };
    let (permissions, channel) = match place {
        Some(EventPlace::Stage(channel)) => (
            vec![permission, P::ManageChannels, P::MuteMembers, P::MoveMembers],
            there(Some(channel)),
        ),
        Some(EventPlace::Voice(channel)) => (vec![permission, P::ViewChannel, P::Connect], there(Some(channel))),
        _ => (vec![permission], None),
    };
    vec![Need { permissions, channel }]
}

/// The category of a channel that is about to be made.
pub(super) const fn category_of(channel: &Channel) -> Option<&Reference> {
    match &channel.category {
        Some(Clearable::Set(category)) => Some(category),
        _ => None,
    }
}
