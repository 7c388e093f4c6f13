//! Snapshots of a whole server: what they record, how two of them differ, and how a server gets back to one.
//!
//! [`ServerRecord`] is the server as it was read, [`MembersRecord`] the roles of its members. [`compare_servers`] and
//! [`compare_states`] list differences by attribute. [`restoration`] makes a configuration and a state, from which the planner plans
//! the way back. A restore merges: it creates and changes resources, and deletes none.
//!
//! To record more of a server: a field of [`ServerRecord`] with a serde default, so that earlier snapshots can be read.

mod compare;
mod fit;
mod pairs;
mod record;
mod restore;

pub use compare::{
    Comparison, Difference, DifferenceKind, MemberDifference, Side, compare_members, compare_servers, compare_states,
};
pub use record::{ImageRecord, MemberRoles, MembersRecord, RecordError, SERVER_FILE, ServerRecord, VERSION};
pub use restore::{Restoration, RestoreInputs, StateParts, Unmapped, restoration};

use crate::model::limits::MAX_LOGICAL_NAME_LENGTH;
use crate::model::{Address, Attributes, LogicalName};

/// The address, or with a number the next one that is not taken.
fn free_address(wanted: &Address, is_taken: impl Fn(&Address) -> bool) -> Address {
    if !is_taken(wanted) {
        return wanted.clone();
    }
    let base = wanted.key().map(LogicalName::as_str).unwrap_or_default();
    let numbered = |number: usize| {
        let suffix = format!("-{number}");
        let kept: String = base.chars().take(MAX_LOGICAL_NAME_LENGTH - suffix.len()).collect();
        let key = LogicalName::new(format!("{}{suffix}", kept.trim_end_matches('-'))).ok()?;
        Some(Address::of(wanted.kind(), key))
    };
    let free = (2..).filter_map(numbered).find(|address| !is_taken(address));
    free.unwrap_or_else(|| wanted.clone())
}

/// Removes the ids of a forum's tags, which a configuration does not have.
fn without_tag_ids(attributes: &mut Attributes) {
    let tags = attributes.channel_mut().and_then(|channel| channel.tags.as_mut());
    for tag in tags.into_iter().flatten() {
        tag.id = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_address_gets_the_next_free_number() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let taken = ["role.naib", "role.naib-2"].map(address);
        let free = |text: &str| free_address(&address(text), |one| taken.contains(one)).to_string();
        assert_eq!(free("role.guard"), "role.guard");
        assert_eq!(free("role.naib"), "role.naib-3");
        let long = address(&format!("role.{}", "a".repeat(MAX_LOGICAL_NAME_LENGTH)));
        let next = free_address(&long, |one| *one == long);
        assert_eq!(
            next.to_string(),
            format!("role.{}-2", "a".repeat(MAX_LOGICAL_NAME_LENGTH - 2))
        );
    }
}
