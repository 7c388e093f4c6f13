//! What Discord would refuse, taken out of a configuration so that the rest can be planned.
//!
//! A blocked resource that exists stays as it is: others refer to it by its id. One that does not exist is not created, and the overwrites for
//! it are left out, which makes a channel visible to fewer members, never to more.

use std::collections::BTreeSet;

use arrakis_iac::model::{Address, Attributes, Clearable, Configuration, Reference, Target};
use arrakis_iac::plan::Finding;
use arrakis_iac::state::{State, StateEntry};

/// The resources of a manifest that are left out of a plan because Discord would refuse their steps, such as a role above the bot's. The
/// rest is planned and applied without them; an admin sees the findings, and a later reconcile tries again.
///
/// [`LeftOut::of`] takes the resources out before the plan is made, [`LeftOut::restore`] puts their entries back into the state after it was
/// applied.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// Why Discord would refuse them, one finding for each reason, with what an admin can do.
    pub(crate) findings: Vec<Finding>,
    /// The state's entries of left-out resources that exist on the server. They are not in the state while the plan is applied, so that it neither changes nor
    /// deletes them.
    entries: Vec<(Address, StateEntry)>,
}

impl LeftOut {
    /// Takes the resources that blocking findings concern out of the configuration and the state. `None` if nothing is blocked, or if a
    /// finding concerns the whole server: the rest would not succeed either.
    pub(super) fn of(configuration: &mut Configuration, state: &mut State, findings: &[Finding]) -> Option<Self> {
        let blocking: Vec<Finding> = findings.iter().filter(|finding| finding.blocking).cloned().collect();
        if blocking.is_empty() || blocking.iter().any(|finding| finding.addresses.is_empty()) {
            return None;
        }
        let mut blocked: BTreeSet<Address> = blocking
            .iter()
            .flat_map(|finding| finding.addresses.iter().cloned())
            .collect();
        blocked.extend(channels_without_category(configuration, state, &blocked));
        configuration.resources.retain(|address, _| !blocked.contains(address));
        let mut entries = Vec::new();
        for address in &blocked {
            let entry = state.forget(address);
            refer_by_id(configuration, address, entry.as_ref());
            entries.extend(entry.map(|entry| (address.clone(), entry)));
        }
        Some(Self {
            findings: blocking,
            entries,
        })
    }

    /// Puts the entries back into the state; false if there are none.
    pub(crate) fn restore(self, state: &mut State) -> bool {
        let any = !self.entries.is_empty();
        for (address, entry) in self.entries {
            state.record(address, entry);
        }
        any
    }
}

/// The channels of blocked categories that do not exist.
fn channels_without_category(
    configuration: &Configuration,
    state: &State,
    blocked: &BTreeSet<Address>,
) -> Vec<Address> {
    let missing = blocked.iter().filter(|address| state.id(address).is_none());
    missing
        .flat_map(|category| configuration.channels_in(Some(category)).cloned())
        .collect()
}

/// Replaces the references to a resource by its id, or removes the overwrites for it if it does not exist.
fn refer_by_id(configuration: &mut Configuration, address: &Address, entry: Option<&StateEntry>) {
    for resource in configuration.resources.values_mut() {
        if let Some(entry) = entry {
            resource.attributes.map_references(&mut |_, reference| {
                if reference.address() == Some(address) {
                    *reference = Reference::Id(entry.id);
                }
            });
        } else if let Attributes::Category(channel) | Attributes::Channel(channel) = &mut resource.attributes {
            if let Some(overwrites) = &mut channel.overwrites {
                overwrites.retain(|target, _| !is_role(target, address));
            }
            debug_assert_ne!(
                channel
                    .category
                    .as_ref()
                    .and_then(Clearable::value)
                    .and_then(Reference::address),
                Some(address)
            );
        }
    }
}

fn is_role(target: &Target, address: &Address) -> bool {
    matches!(target, Target::Role(role) if role.address() == Some(address))
}

#[cfg(test)]
mod tests {
    use arrakis_iac::config::from_theme;
    use arrakis_iac::model::{Role, Snowflake};
    use arrakis_themes::Registry;

    use super::*;

    fn finding(addresses: &[&str]) -> Finding {
        Finding {
            rule: "role-above-bot".to_owned(),
            blocking: true,
            what: "it is above the bot".to_owned(),
            what_to_do: "move the bot".to_owned(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }

    fn basic() -> Configuration {
        from_theme(Registry::load(None).unwrap().theme("basic").unwrap())
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// The roles in the overwrites of a channel.
    fn roles_of(configuration: &Configuration, channel: &str) -> Vec<Reference> {
        let Some(Attributes::Channel(channel)) = configuration.get(&address(channel)) else {
            panic!("no channel {channel}")
        };
        let targets = channel.overwrites.iter().flatten().map(|(target, _)| target.clone());
        targets
            .filter_map(|target| match target {
                Target::Role(role) => Some(role),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn nothing_is_left_out_without_a_blocking_finding_or_for_the_whole_server() {
        let mut state = State::new("test");
        assert!(LeftOut::of(&mut basic(), &mut state, &[]).is_none());
        assert!(LeftOut::of(&mut basic(), &mut state, &[finding(&[])]).is_none());
    }

    #[test]
    fn missing_role_takes_its_overwrites_along_and_nothing_else() {
        let (mut configuration, mut state) = (basic(), State::new("test"));
        let before = configuration.resources.len();
        let left_out = LeftOut::of(&mut configuration, &mut state, &[finding(&["role.silver"])]).unwrap();
        assert_eq!(configuration.resources.len(), before - 1);
        let silver = Reference::Address(address("role.silver"));
        assert!(!roles_of(&configuration, "channel.silver-lounge").contains(&silver));
        assert!(!left_out.restore(&mut state));
    }

    #[test]
    fn existing_role_is_referred_to_by_id_and_its_entry_comes_back() {
        let (mut configuration, mut state) = (basic(), State::new("test"));
        let id = Snowflake::new(7).unwrap();
        let entry = StateEntry {
            id,
            attributes: Attributes::Role(Role::default()),
        };
        state.record(address("role.silver"), entry);
        let left_out = LeftOut::of(&mut configuration, &mut state, &[finding(&["role.silver"])]).unwrap();
        assert!(roles_of(&configuration, "channel.silver-lounge").contains(&Reference::Id(id)));
        assert_eq!(state.id(&address("role.silver")), None);
        assert!(left_out.restore(&mut state));
        assert_eq!(state.id(&address("role.silver")), Some(id));
    }
}
