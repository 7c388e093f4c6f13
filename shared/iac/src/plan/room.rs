//! Discord's limits on numbers of resources, and the step that would exceed one.
//!
//! Owns the check whether the server, as it is before a step, has room for the step. [`super::fit`] moves deletions ahead to
//! make room; preflight reports steps without room.

use super::document::Step;
use super::simulate::Simulation;
use crate::kinds::{Bound, Group, Limit};
use crate::model::{Attributes, Channel, Clearable, Kind, Reference, Snowflake, Webhook};

impl Simulation {
    /// The limits to whose count a step adds a resource.
    pub(super) fn adds_to(&self, step: &Step) -> Vec<Limit> {
        match step {
            Step::Create { attributes, .. } => self.limits_of(attributes),
            Step::Update {
                address,
                id,
                attributes,
                fields,
            } => {
                let kind = address.kind();
                let moves = |container: &str| fields.iter().any(|name| name == container);
                if !kind.container().is_some_and(moves) {
                    return Vec::new();
                }
                let before = self.live.get(kind, *id).map(|found| self.limits_of(&found.attributes));
                let before = before.unwrap_or_default();
                let mut now = self.limits_of(attributes);
                now.retain(|limit| matches!(limit.group, Group::Within(_)) && !before.contains(limit));
                now
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn limits_of(&self, attributes: &Attributes) -> Vec<Limit> {
        attributes.limits(&|reference| self.resolve(reference))
    }

    /// Whether a creation results in an animated emoji.
    pub(super) fn creation_is_animated(&self, attributes: &Attributes) -> bool {
        let limits = self.limits_of(attributes);
        limits.iter().any(|limit| limit.group == Group::Animated(true))
    }

    /// The number of resources that count towards a limit.
    pub(super) fn count(&self, limit: Limit) -> usize {
        let live = &self.live;
        let of_kind = live.of_kind(limit.kind);
        match (limit.kind, limit.group) {
            (Kind::Channel, Group::All) => {
                of_kind.count() + live.of_kind(Kind::Category).count() + live.foreign_channels
            }
            // Discord does not return images; the snapshot has the ids of animated emoji.
            (_, Group::Animated(animated)) => of_kind
                .filter(|found| !found.managed && live.animated_emoji.contains(&found.id) == animated)
                .count(),
            (_, Group::All) => of_kind.count(),
            (_, Group::Within(_) | Group::Variant(_)) => of_kind
                .filter(|found| self.limits_of(&found.attributes).contains(&limit))
                .count(),
        }
    }

    /// The maximum number of resources on this server.
    pub(super) fn bound(&self, limit: Limit) -> Bound {
        limit.kind.bound(limit.group, self.live.boost_level)
    }

    /// The first limit that a step would exceed.
    pub(super) fn first_exceeded(&self, step: &Step) -> Option<Limit> {
        let mut limits = self.adds_to(step).into_iter();
        limits.find(|limit| self.count(*limit) >= self.bound(*limit).most)
    }

    /// The id of a reference; `None` if it is not resolved.
    pub(super) fn resolve(&self, reference: &Reference) -> Option<Snowflake> {
        match reference {
            Reference::Id(id) => Some(*id),
            Reference::Address(address) => self.state.id(address),
        }
    }

    /// The id of a channel's category.
    pub(super) fn category_of(&self, channel: &Channel) -> Option<Snowflake> {
        self.resolve(channel.category.as_ref().and_then(Clearable::value)?)
    }

    /// The id of a webhook's channel.
    pub(super) fn channel_of_webhook(&self, id: Snowflake) -> Option<Snowflake> {
        match &self.live.get(Kind::Webhook, id)?.attributes {
            Attributes::Webhook(Webhook { channel, .. }) => self.resolve(channel.as_ref()?),
            _ => None,
        }
    }
}
