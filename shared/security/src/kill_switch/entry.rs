//! [`KillSwitch`]: an entry of the state, its version, and the rule by which one entry replaces another.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::KillSwitchScope;

/// How far in the future the version of an entry may be that is on. A higher one, which only a forgery has, could not be followed by a higher one
/// still: the entry could never be ended. Clocks may differ by less.
pub const MAX_AHEAD: Duration = Duration::from_secs(24 * 3600);
/// The same for an end, which ends an entry whose version is that far ahead.
const MAX_END_AHEAD: Duration = Duration::from_secs(48 * 3600);
/// The same for entries of [`PROXY_PATH`](super::PROXY_PATH): a change that follows such an end.
const MAX_CHANGE_AHEAD: Duration = Duration::from_secs(72 * 3600);
/// Longest name of who changed a switch, in characters.
const MAX_NAME: usize = 100;
/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// An entry: a scope is on or off since a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillSwitch {
    /// What it stops.
    pub scope: KillSwitchScope,
    /// Whether it is on.
    pub is_on: bool,
    /// Version of this entry: each change has a higher one. Of an entry that is on, at least the milliseconds since 1970; of an end, one more than
    /// that of the entry that it ends.
    pub version: u64,
    /// Who changed it; empty for a community.
    #[serde(default)]
    pub by: String,
    /// Why; empty for a community, whose reason is not for every reader of the state, or [`TEARDOWN`](super::TEARDOWN).
    #[serde(default)]
    pub reason: String,
}

impl KillSwitch {
    /// A change of a switch whose present version is `present`. Name and reason are cut to the lengths that every place stores.
    #[must_use]
    pub fn changed(scope: KillSwitchScope, is_on: bool, present: u64, by: &str, reason: &str) -> Self {
        Self {
            scope,
            is_on,
            version: now_ms().max(present.saturating_add(1)),
            by: by.chars().take(MAX_NAME).collect(),
            reason: reason.chars().take(MAX_REASON).collect(),
        }
    }

    /// The entry in a field of [`REDIS_KEY`](super::REDIS_KEY), as bytes, since Redis has no other. `None` where it cannot be read, is of another
    /// scope than the field, or has a version that no change makes.
    #[must_use]
    pub fn of_field(field: &[u8], json: &[u8]) -> Option<Self> {
        let entry: Self = serde_json::from_slice(json).ok()?;
        (entry.scope.to_string().as_bytes() == field && entry.is_plausible()).then_some(entry)
    }

    /// Whether this entry replaces the stored one of its scope: its version is higher. A version for which two changes exist is a race of two
    /// commands; the one that is on counts. No entry is the same as one of version 0 that is off.
    #[must_use]
    pub fn replaces(&self, stored: Option<&Self>) -> bool {
        let stored = stored.map_or((0, false), |stored| (stored.version, stored.is_on));
        (self.version, self.is_on) > stored
    }

    /// Whether a place that has no credential of its own, such as Redis, can have this version: it is not far in the future.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.is_ahead_by_at_most(if self.is_on { MAX_AHEAD } else { MAX_END_AHEAD })
    }

    /// Whether an entry that was written with a credential can have this version.
    pub(super) fn is_plausible_change(&self) -> bool {
        self.is_ahead_by_at_most(MAX_CHANGE_AHEAD)
    }

    fn is_ahead_by_at_most(&self, ahead: Duration) -> bool {
        let ahead = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
        self.version <= now_ms().saturating_add(ahead)
    }

    /// The end of the entry with version `ended`. It has the next version, whatever the clock: a change that the caller did not see has a higher
    /// one, and stays.
    #[must_use]
    pub fn ended(scope: KillSwitchScope, ended: u64, by: &str, reason: &str) -> Self {
        Self {
            version: ended.saturating_add(1),
            ..Self::changed(scope, false, ended, by, reason)
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// An entry without texts.
#[cfg(test)]
pub(super) fn switch(scope: KillSwitchScope, is_on: bool, version: u64) -> KillSwitch {
    KillSwitch {
        scope,
        is_on,
        version,
        by: String::new(),
        reason: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use arrakis_test_support::MERGE_CASES;

    use super::super::KillSwitchState;
    use super::*;

    #[test]
    fn entry_replaces_another_one_by_the_merge_rule() {
        let platform = |(is_on, version)| switch(KillSwitchScope::Platform, is_on, version);
        for case in MERGE_CASES {
            let stored = case.stored.map(platform);
            let received = platform(case.received);
            assert_eq!(received.replaces(stored.as_ref()), case.replaces, "{case:?}");
            let before = KillSwitchState::from(Vec::from_iter(stored));
            let mut after = before.clone();
            assert_eq!(after.apply(received.clone()), case.replaces, "{case:?}");
            // What a place lacks is what it would store.
            let lacks = KillSwitchState::from(vec![received]).newer_than(&before);
            assert_eq!(lacks.len(), usize::from(case.replaces), "{case:?}");
            let merged = KillSwitchState::merged([&after, &before]);
            assert_eq!(merged, after, "{case:?}");
        }
    }

    #[test]
    fn entry_of_version_0_that_is_off_is_no_entry() {
        assert!(!switch(KillSwitchScope::Platform, false, 0).replaces(None));
        assert!(switch(KillSwitchScope::Platform, true, 0).replaces(None));
    }

    #[test]
    fn entry_of_another_scope_or_with_a_forged_version_is_not_read() {
        let on = switch(KillSwitchScope::Platform, true, 7);
        let json = serde_json::to_string(&on).unwrap();
        let of_field = |field: &str, json: &str| KillSwitch::of_field(field.as_bytes(), json.as_bytes());
        assert_eq!(of_field("platform", &json), Some(on));
        assert_eq!(of_field("community:7", &json), None);
        assert_eq!(of_field("platform", "x"), None);
        assert_eq!(of_field("platform", &json.replace("7,", "7.0,")), None);
        assert_eq!(KillSwitch::of_field(b"platform", &[0xff]), None);
        let forged = serde_json::to_string(&switch(KillSwitchScope::Platform, true, u64::MAX)).unwrap();
        assert_eq!(of_field("platform", &forged), None);
    }

    #[test]
    fn change_has_a_higher_version_whatever_the_clock() {
        let changed = KillSwitch::changed(KillSwitchScope::Platform, true, u64::MAX - 1, "a", "b");
        assert_eq!(changed.version, u64::MAX);
        let changed = KillSwitch::changed(KillSwitchScope::Platform, true, 0, &"ä".repeat(600), &"ä".repeat(600));
        assert!(changed.version > 1_600_000_000_000);
        assert_eq!((changed.by.chars().count(), changed.reason.chars().count()), (100, 500));
    }

    #[test]
    fn version_far_in_the_future_is_not_plausible_and_every_plausible_one_can_be_ended() {
        let scope = KillSwitchScope::Platform;
        let hour = 3600 * 1_000;
        let on = switch(scope, true, now_ms() + 24 * hour);
        assert!(on.is_plausible());
        let end = KillSwitch::ended(scope, on.version, "a", "b");
        assert!(end.is_plausible() && !end.is_on && end.version == on.version + 1);
        let again = KillSwitch::changed(scope, true, end.version, "a", "b");
        assert_eq!(KillSwitchState::from(vec![again]).check_versions(), Ok(()));
        for (is_on, version) in [
            (true, now_ms() + 25 * hour),
            (false, now_ms() + 49 * hour),
            (true, u64::MAX),
        ] {
            assert!(!switch(scope, is_on, version).is_plausible(), "{version}");
        }
        let error = KillSwitchState::from(vec![switch(scope, false, u64::MAX)]).check_versions();
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("platform") && text.contains("18446744073709551615"),
            "{text}"
        );
    }
}
