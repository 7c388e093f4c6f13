//! Discord's limits: how many, how large, and what boosts add.

use std::collections::BTreeMap;

use super::{Problem, Sent, Walk, rules};
use crate::model::limits::{BITRATE_BY_LEVEL, STAGE_BITRATE};
use crate::model::{Address, Channel, ChannelKind, Clearable, Kind, Role, Snowflake, Webhook};
use crate::plan::document::Step;
use crate::plan::room::Limit;

impl Walk {
    /// Whether there is room for what a step makes or moves.
    pub(super) fn limits(&mut self, step: &Step) {
        let level = self.run.live.boost_level;
        let Some(address) = step.address() else { return };
        for limit in self.run.adds_to(step) {
            let count = self.run.count(limit) + 1;
            if count > limit.most(level) {
                self.passed.push((limit, address.clone(), count));
            }
        }
    }

    /// The findings about limits that are passed.
    pub(super) fn passed_limits(&mut self) {
        let mut by_limit: BTreeMap<Limit, (usize, Vec<Address>)> = BTreeMap::new();
        for (limit, address, count) in std::mem::take(&mut self.passed) {
            let (most, addresses) = by_limit.entry(limit).or_default();
            *most = count.max(*most);
            addresses.push(address);
        }
        for (limit, (count, addresses)) in by_limit {
            let allowed = limit.most(self.run.live.boost_level);
            let on_the_way = self.run.count(limit) <= allowed;
            let when = if on_the_way { "on the way, " } else { "" };
            let what = format!(
                "{when}{} would have {count} {limit}, and Discord allows {allowed}",
                self.whose(limit)
            );
            let what_to_do = match on_the_way {
                true => {
                    "nothing that goes can go before what comes; apply in two steps: first without what is new, then all of it"
                }
                false => what_makes_room(limit),
            };
            for address in addresses {
                self.problems
                    .push(Problem::new(rule_of(limit), &address, what.clone(), what_to_do));
            }
        }
    }

    fn whose(&self, limit: Limit) -> String {
        match limit {
            Limit::Category(id) => format!("the category {}", self.name_of(Kind::Category, id)),
            Limit::Webhooks(id) => self.name_of(Kind::Channel, id),
            _ => "the server".to_owned(),
        }
    }

    fn name_of(&self, kind: Kind, id: Snowflake) -> String {
        let mut managed = self.run.state.resources.iter();
        let found = managed.find(|(address, entry)| address.kind() == kind && entry.id == id);
        found.map_or_else(|| id.to_string(), |(address, _)| address.to_string())
    }

    /// Bitrates are more with boosts.
    pub(super) fn bitrate(&mut self, address: &Address, channel: &Channel, sent: &Sent<'_>) {
        let live = &self.run.live;
        let level = usize::from(live.boost_level).min(3);
        let most = match channel.kind {
            ChannelKind::Stage => STAGE_BITRATE,
            _ if live.features.contains("VIP_REGIONS") => BITRATE_BY_LEVEL[3],
            _ => BITRATE_BY_LEVEL[level],
        };
        let asked = channel
            .bitrate
            .filter(|bitrate| sent.has("bitrate") && channel.kind.is_voice() && *bitrate > most);
        if let Some(bitrate) = asked {
            self.problems.push(Problem::new(
                rules::BITRATE,
                address,
                format!(
                    "{{}} asks for a bitrate of {bitrate}, and {most} is the most for a {} at boost level {level}",
                    channel.kind
                ),
                format!("write `bitrate: {most}` or less, or boost the server"),
            ));
        }
    }

    /// Icons and gradients of roles come with boosts.
    pub(super) fn boosted_role(&mut self, address: &Address, role: &Role, sent: &Sent<'_>) {
        let has_icon = sent.has("unicode_emoji") && role.unicode_emoji.as_ref().is_some_and(|emoji| !emoji.is_empty());
        let colors = [
            ("secondary_color", &role.secondary_color),
            ("tertiary_color", &role.tertiary_color),
        ];
        let has_gradient = colors
            .into_iter()
            .any(|(field, color)| sent.has(field) && color.as_ref().and_then(Clearable::value).is_some());
        let asked = [
            (has_icon, rules::ROLE_ICON, "ROLE_ICONS", "role icons"),
            (
                has_gradient,
                rules::ROLE_GRADIENT,
                "ENHANCED_ROLE_COLORS",
                "gradient colours",
            ),
        ];
        for (is_asked, rule, feature, words) in asked {
            if is_asked && !self.run.live.features.contains(feature) {
                self.problems.push(Problem::new(
                    rule,
                    address,
                    format!("this server has no {words} (it lacks the feature {feature}): {{}}"),
                    "boost the server, or take them out of the configuration",
                ));
            }
        }
    }

    /// Discord keeps some names to itself.
    pub(super) fn webhook_name(&mut self, address: &Address, webhook: &Webhook, sent: &Sent<'_>) {
        let name = webhook.name.as_deref().unwrap_or_default().to_lowercase();
        let reserved = ["clyde", "discord"].into_iter().find(|word| name.contains(word));
        if let Some(word) = reserved.filter(|_| sent.has("name")) {
            self.problems.push(Problem::new(
                rules::WEBHOOK_NAME,
                address,
                format!("the name of a webhook must not contain `{word}`: {{}}"),
                "give it another name",
            ));
        }
    }
}

const fn rule_of(limit: Limit) -> &'static str {
    match limit {
        Limit::Roles => rules::ROLES_LIMIT,
        Limit::Channels => rules::CHANNELS_LIMIT,
        Limit::Category(_) => rules::CATEGORY_LIMIT,
        Limit::Webhooks(_) => rules::WEBHOOKS_LIMIT,
        Limit::Automod(_) => rules::AUTOMOD_LIMIT,
        Limit::Emoji { .. } => rules::EMOJI_LIMIT,
        Limit::Events => rules::EVENTS_LIMIT,
    }
}

const fn what_makes_room(limit: Limit) -> &'static str {
    match limit {
        Limit::Roles => "remove roles from the server or from the configuration",
        Limit::Channels => "remove channels from the server or from the configuration",
        Limit::Category(_) => "put some of them into another category",
        Limit::Webhooks(_) => "put some of them into another channel",
        Limit::Automod(_) => "remove rules from the server or from the configuration",
        Limit::Emoji { .. } => "remove emoji from the server or from the configuration, or boost the server",
        Limit::Events => "remove events from the server or from the configuration",
    }
}
