//! Discord's limits: how many, how large, and what boosts add.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Finding, finding, list};
use crate::model::limits::{BITRATE_BY_LEVEL, MOST_CHANNELS, MOST_IN_CATEGORY, MOST_ROLES, STAGE_BITRATE};
use crate::model::{Address, Attributes, ChannelKind, Clearable, Kind, Reference};
use crate::plan::document::Action;

impl Check<'_> {
    pub(super) fn limits(&self, findings: &mut Vec<Finding>) {
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

    pub(super) fn boosts(&self, findings: &mut Vec<Finding>) {
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
