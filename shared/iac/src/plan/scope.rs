//! The resources that a plan covers.

use std::collections::BTreeSet;

use super::known::ManagedResources;
use crate::model::{Address, Configuration, Reference};

/// All resources, or targets with the resources that they require.
#[derive(Clone, Debug)]
pub(super) enum TargetScope {
    Everything,
    Only(BTreeSet<Address>),
}

impl TargetScope {
    /// Targets and everything they refer to.
    pub(super) fn with_dependencies(targets: &[Address], configuration: &Configuration) -> Self {
        if targets.is_empty() {
            return Self::Everything;
        }
        let mut included = BTreeSet::new();
        let mut open: Vec<Address> = targets.to_vec();
        while let Some(address) = open.pop() {
            if let Some(attributes) = configuration.get(&address) {
                let needed = attributes.references().into_iter().filter_map(Reference::address);
                open.extend(needed.filter(|needed| !included.contains(*needed)).cloned());
            }
            included.insert(address);
        }
        Self::Only(included)
    }

    /// Targets and all managed resources that refer to them, which cannot exist without them.
    pub(super) fn with_dependents(targets: &[Address], managed: &ManagedResources) -> Self {
        if targets.is_empty() {
            return Self::Everything;
        }
        let mut included: BTreeSet<Address> = targets.iter().cloned().collect();
        // A category's channels, and what refers to these: two rounds reach everything, since nothing refers further.
        for _ in 0..2 {
            let dependents = managed.known.iter().filter(|(address, known)| {
                !address.is_permanent()
                    && known.live.as_ref().is_some_and(|live| {
                        let needed = live.references().into_iter().filter_map(Reference::address);
                        let mut needed = needed.filter(|needed| needed.kind() != crate::model::Kind::Role);
                        needed.any(|needed| included.contains(needed))
                    })
            });
            let found: Vec<Address> = dependents.map(|(address, _)| address.clone()).collect();
            included.extend(found);
        }
        Self::Only(included)
    }

    /// Whether a resource is in it.
    pub(super) fn includes(&self, address: &Address) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(included) => included.contains(address),
        }
    }
}
