//! [`MERGE_CASES`]: the rule by which entries of the kill switch are merged. It is stated in Rust, in SQL and in a script of Redis, and each has a
//! test with these cases.

/// An entry that a place has, and one that it receives for the same scope. An entry is whether the switch is on, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeCase {
    /// The entry that the place has; `None` without one.
    pub stored: Option<(bool, u64)>,
    /// The entry that it receives.
    pub received: (bool, u64),
    /// Whether the received entry replaces the stored one.
    pub replaces: bool,
}

impl MergeCase {
    const fn new(stored: Option<(bool, u64)>, received: (bool, u64), replaces: bool) -> Self {
        Self {
            stored,
            received,
            replaces,
        }
    }

    /// The entry that the place has afterwards.
    #[must_use]
    pub const fn merged(self) -> Option<(bool, u64)> {
        if self.replaces {
            Some(self.received)
        } else {
            self.stored
        }
    }

    /// The case with versions that are higher by this much, for a place that has the entries of earlier cases: each is older than those of the case.
    #[must_use]
    pub fn above(self, base: u64) -> Self {
        let above = |(is_on, version): (bool, u64)| (is_on, base + version);
        Self {
            stored: self.stored.map(above),
            received: above(self.received),
            replaces: self.replaces,
        }
    }
}

/// The cases, with versions from 4 to 6.
pub const MERGE_CASES: [MergeCase; 14] = [
    MergeCase::new(None, (true, 5), true),
    MergeCase::new(None, (false, 5), true),
    MergeCase::new(Some((true, 5)), (true, 4), false),
    MergeCase::new(Some((true, 5)), (true, 5), false),
    MergeCase::new(Some((true, 5)), (true, 6), true),
    MergeCase::new(Some((true, 5)), (false, 4), false),
    // Two changes with one version: the one that is on counts.
    MergeCase::new(Some((true, 5)), (false, 5), false),
    MergeCase::new(Some((true, 5)), (false, 6), true),
    MergeCase::new(Some((false, 5)), (true, 4), false),
    MergeCase::new(Some((false, 5)), (true, 5), true),
    MergeCase::new(Some((false, 5)), (true, 6), true),
    MergeCase::new(Some((false, 5)), (false, 4), false),
    MergeCase::new(Some((false, 5)), (false, 5), false),
    MergeCase::new(Some((false, 5)), (false, 6), true),
];
