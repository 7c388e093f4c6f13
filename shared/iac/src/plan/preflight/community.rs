//! What only a community server has, and what it must keep.

use std::collections::BTreeMap;

use super::{Check, Finding, finding, list};
use crate::model::{Address, Attributes, ChannelKind, Clearable, Kind, Reference};
use crate::plan::document::Step;

impl Check<'_> {
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

    pub(super) fn community(&self, findings: &mut Vec<Finding>) {
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
}
