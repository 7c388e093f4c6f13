//! [`KillSwitchState`]: the entries of all scopes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{KillSwitch, KillSwitchScope};

/// An entry whose version is so far in the future that no change makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the entry of {scope} has the version {version}, which is far in the future (a version is the milliseconds since 1970)"
)]
pub struct ImplausibleVersion {
    /// Its scope.
    pub scope: KillSwitchScope,
    /// Its version.
    pub version: u64,
}

/// The switches, at most one for each scope. In JSON it is the list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<KillSwitch>", into = "Vec<KillSwitch>")]
pub struct KillSwitchState(BTreeMap<KillSwitchScope, KillSwitch>);

impl From<Vec<KillSwitch>> for KillSwitchState {
    fn from(switches: Vec<KillSwitch>) -> Self {
        let mut state = Self::default();
        for switch in switches {
            state.apply(switch);
        }
        state
    }
}

impl From<KillSwitchState> for Vec<KillSwitch> {
    fn from(state: KillSwitchState) -> Self {
        state.0.into_values().collect()
    }
}

impl KillSwitchState {
    /// The newest entries of several states.
    #[must_use]
    pub fn merged<'a>(states: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut merged = Self::default();
        for switch in states.into_iter().flat_map(Self::switches) {
            merged.apply(switch.clone());
        }
        merged
    }

    /// Stores an entry if it replaces the stored one ([`KillSwitch::replaces`]). Returns whether it was stored.
    pub fn apply(&mut self, switch: KillSwitch) -> bool {
        let is_newer = switch.replaces(self.0.get(&switch.scope));
        if is_newer {
            self.0.insert(switch.scope, switch);
        }
        is_newer
    }

    /// The entries that replace those of another state.
    #[must_use]
    pub fn newer_than(&self, other: &Self) -> Vec<KillSwitch> {
        let is_newer = |switch: &&KillSwitch| switch.replaces(other.get(switch.scope));
        self.switches().filter(is_newer).cloned().collect()
    }

    /// Stores an entry as [`KillSwitchState::apply`], but only one that is on. For a source that may close and must not open.
    pub fn apply_if_on(&mut self, switch: KillSwitch) -> bool {
        switch.is_on && self.apply(switch)
    }

    /// The entry of a scope, on or off.
    #[must_use]
    pub fn get(&self, scope: KillSwitchScope) -> Option<&KillSwitch> {
        self.0.get(&scope)
    }

    /// The version of the entry of a scope; 0 without one.
    #[must_use]
    pub fn version(&self, scope: KillSwitchScope) -> u64 {
        self.0.get(&scope).map_or(0, |switch| switch.version)
    }

    /// Whether the switch of this scope is on.
    #[must_use]
    pub fn is_on(&self, scope: KillSwitchScope) -> bool {
        self.0.get(&scope).is_some_and(|switch| switch.is_on)
    }

    /// Whether a switch of any community is on.
    #[must_use]
    pub fn has_frozen(&self) -> bool {
        self.frozen() > 0
    }

    /// How many switches of communities are on.
    #[must_use]
    pub fn frozen(&self) -> usize {
        let is_frozen = |switch: &&KillSwitch| switch.is_on && switch.scope != KillSwitchScope::Platform;
        self.0.values().filter(is_frozen).count()
    }

    /// Checks the versions of entries that were written with a credential.
    ///
    /// # Errors
    /// A version is far in the future. The error names the entry.
    pub fn check_versions(&self) -> Result<(), ImplausibleVersion> {
        let mut switches = self.0.values();
        match switches.find(|switch| !switch.is_plausible_change()) {
            Some(switch) => Err(ImplausibleVersion {
                scope: switch.scope,
                version: switch.version,
            }),
            None => Ok(()),
        }
    }

    /// The entries, by scope.
    pub fn switches(&self) -> impl Iterator<Item = &KillSwitch> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::entry::switch;
    use super::*;

    #[test]
    fn older_entry_has_no_effect() {
        let mut state = KillSwitchState::default();
        assert!(state.apply(switch(KillSwitchScope::Platform, true, 5)));
        for older in [0, 4, 5] {
            assert!(!state.apply(switch(KillSwitchScope::Platform, false, older)), "{older}");
        }
        assert!(state.is_on(KillSwitchScope::Platform));
        assert!(state.apply(switch(KillSwitchScope::Platform, false, 6)));
        assert!(!state.is_on(KillSwitchScope::Platform));
    }

    #[test]
    fn source_that_may_only_close_does_not_open() {
        let mut state = KillSwitchState::default();
        assert!(state.apply_if_on(switch(KillSwitchScope::Platform, true, 1)));
        assert!(!state.apply_if_on(switch(KillSwitchScope::Platform, false, 2)));
        assert!(state.is_on(KillSwitchScope::Platform));
    }

    #[test]
    fn end_does_not_end_what_was_turned_on_meanwhile() {
        let scope = KillSwitchScope::Platform;
        let seen = KillSwitch::changed(scope, true, 0, "a", "b");
        let meanwhile = KillSwitch::changed(scope, true, seen.version, "c", "d");
        let end = KillSwitch::ended(scope, seen.version, "a", "the end");
        for order in [[&seen, &end, &meanwhile], [&meanwhile, &seen, &end]] {
            let state = KillSwitchState::from(order.map(KillSwitch::clone).to_vec());
            assert_eq!(state.get(scope).map(|entry| entry.by.as_str()), Some("c"));
        }
        assert!(!KillSwitchState::from(vec![seen, end]).is_on(scope));
    }

    proptest! {
        #[test]
        fn order_of_entries_does_not_matter(
            entries in prop::collection::vec((0_u64..3, any::<bool>(), 0_u64..6), 0..12),
            rotation in 0_usize..12,
        ) {
            let entries: Vec<KillSwitch> = entries
                .into_iter()
                .map(|(server, is_on, version)| {
                    let scope = match server {
                        0 => KillSwitchScope::Platform,
                        server => KillSwitchScope::Community(server),
                    };
                    switch(scope, is_on, version)
                })
                .collect();
            let mut rotated = entries.clone();
            if !rotated.is_empty() {
                let by = rotation % rotated.len();
                rotated.rotate_left(by);
            }
            let state = KillSwitchState::from(entries);
            prop_assert_eq!(&state, &KillSwitchState::from(rotated));
            let json = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<KillSwitchState>(&json).unwrap(), state);
        }
    }
}
