//! A plan as the policies read it, whatever its format.

use serde_json::Value;

use crate::finding::Counts;

/// A plan as the policies read it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The input of the policies.
    pub input: Value,
    /// The number of its changes by action.
    pub counts: Counts,
    /// Number of changes of resources, or of steps of gaib, which the policy must confirm.
    pub checked: usize,
}
