//! The kill switch: its state, how states from several sources are merged, and what revokes the permissions to sign.
//!
//! A switch has a scope. [`KillSwitchScope::Platform`] stops every write to Discord. [`KillSwitchScope::Community`] is the freeze of one
//! community: role changes and changes of the structure of its server stop; messages and replies pass.
//!
//! The state is in several places: PostgreSQL, Redis, each replica of the discord-proxy. Each entry has a version, and the entry with the
//! higher version replaces the other one. So the order in which a replica receives the entries does not matter, and receiving one twice has no effect.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Path of a discord-proxy at which the state is read (GET) and entries are written (PUT).
pub const PROXY_PATH: &str = "/internal/kill-switch";
/// Header of a PUT at [`PROXY_PATH`]: the `read` of an earlier response, by which the sender confirms that the replica has the present state.
pub const CONFIRMS: &str = "x-arrakis-confirms";
/// Key of a hash in Redis: one field for each scope, with the entry as JSON.
pub const REDIS_KEY: &str = "kill-switch";
/// Shortest credential for [`PROXY_PATH`], in characters: a shorter one could be guessed.
pub const MIN_CREDENTIAL: usize = 16;
/// Reason of a freeze that a teardown of the server began: gaib, which tears it down, is not stopped by it.
pub const TEARDOWN: &str = "teardown";
/// How far in the future the version of an entry may be that is on. A higher one, which only a forgery has, could not be followed by a higher one
/// still: the entry could never be ended. Clocks may differ by less.
pub const MAX_AHEAD: Duration = Duration::from_secs(24 * 3600);
/// The same for an end, which ends an entry whose version is that far ahead.
const MAX_END_AHEAD: Duration = Duration::from_secs(48 * 3600);
/// The same for entries of [`PROXY_PATH`]: a change that follows such an end.
const MAX_CHANGE_AHEAD: Duration = Duration::from_secs(72 * 3600);
/// Longest name of who changed a switch, in characters.
const MAX_NAME: usize = 100;
/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// What a switch stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillSwitchScope {
    /// Every write to Discord.
    Platform,
    /// Role changes and structural changes of one community, by the id of its Discord server.
    Community(u64),
}

/// A text that is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is platform, or community: and the id of a Discord server")]
pub struct KillSwitchScopeError;

impl fmt::Display for KillSwitchScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("platform"),
            Self::Community(server) => write!(f, "community:{server}"),
        }
    }
}

impl FromStr for KillSwitchScope {
    type Err = KillSwitchScopeError;

    fn from_str(text: &str) -> Result<Self, KillSwitchScopeError> {
        if text == "platform" {
            return Ok(Self::Platform);
        }
        let id = text.strip_prefix("community:").ok_or(KillSwitchScopeError)?;
        // `parse` would also accept a sign.
        if !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(KillSwitchScopeError);
        }
        match id.parse() {
            Ok(0) | Err(_) => Err(KillSwitchScopeError),
            Ok(server) => Ok(Self::Community(server)),
        }
    }
}

impl Serialize for KillSwitchScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KillSwitchScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One switch.
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
    /// Why; empty for a community, whose reason is not for every reader of the state, or [`TEARDOWN`].
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

    /// Whether a place that has no credential of its own, such as Redis, can have this version: it is not far in the future.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.is_ahead_by_at_most(if self.is_on { MAX_AHEAD } else { MAX_END_AHEAD })
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
    /// Stores an entry if its version is higher than that of the stored one. Returns whether it was stored. A version for which
    /// two changes exist is a race of two commands; the one that is on counts.
    pub fn apply(&mut self, switch: KillSwitch) -> bool {
        let is_newer = self.0.get(&switch.scope).is_none_or(|stored| {
            switch.version > stored.version || (switch.version == stored.version && switch.is_on && !stored.is_on)
        });
        if is_newer {
            self.0.insert(switch.scope, switch);
        }
        is_newer
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
        match switches.find(|switch| !switch.is_ahead_by_at_most(MAX_CHANGE_AHEAD)) {
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

/// The key that proves an end of the kill switch in `PostgreSQL`, made of `KILL_SWITCH_CREDENTIAL`.
///
/// The login of an application can add a row to its database. It does not have the credential, so a row without a proof ends nothing. A proof is of
/// one version: stored again, it ends no kill switch that was turned on later.
#[derive(Clone)]
pub struct EndKey(hmac::Key);

impl fmt::Debug for EndKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndKey([redacted])")
    }
}

impl EndKey {
    /// The key of a credential.
    #[must_use]
    pub fn new(credential: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, credential.as_bytes()))
    }

    /// The proof of an end: HMAC-SHA256, 32 bytes.
    #[must_use]
    pub fn prove(&self, end: &KillSwitch) -> Vec<u8> {
        hmac::sign(&self.0, &proven(end)).as_ref().to_vec()
    }

    /// Whether `proof` is of this end. Never of an entry that is on.
    #[must_use]
    pub fn verifies(&self, end: &KillSwitch, proof: &[u8]) -> bool {
        !end.is_on && hmac::verify(&self.0, &proven(end), proof).is_ok()
    }
}

/// What a proof covers: the whole entry. The lengths keep two entries apart whose texts are split differently.
fn proven(end: &KillSwitch) -> Vec<u8> {
    let mut bytes = b"arrakis: end of the kill switch\0".to_vec();
    bytes.extend(end.version.to_be_bytes());
    for text in [&end.scope.to_string(), &end.by, &end.reason] {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The permissions to sign that were revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedSigning {
    /// Policies that no longer permit to sign.
    pub policies: Vec<String>,
    /// How many accessors of tokens were revoked.
    pub accessors: usize,
}

/// Why permissions to sign were not revoked or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevokeSigningError {
    /// The signing service does not respond; it may be repeated.
    #[error("{0}")]
    Unavailable(String),
    /// The signing service refuses: this service may not revoke.
    #[error("{0}")]
    Refused(String),
}

/// Revokes every permission to sign, and restores them. Both may be repeated.
#[async_trait]
pub trait RevokeSigning: fmt::Debug + Send + Sync {
    /// Revokes every policy and every accessor of a token that may sign.
    ///
    /// # Errors
    /// When the signing service is unavailable or refuses. Some permissions may be revoked then.
    async fn revoke_all(&self) -> Result<RevokedSigning, RevokeSigningError>;

    /// Restores the policies. Tokens are not restored: each service logs in again.
    ///
    /// # Errors
    /// When the signing service is unavailable or refuses.
    async fn restore(&self) -> Result<(), RevokeSigningError>;

    /// Revokes a permission that exists for this drill only, and checks that it is revoked. `None`: there is nothing of that kind.
    ///
    /// # Errors
    /// When the signing service is unavailable or refuses.
    async fn drill(&self) -> Result<Option<RevokedSigning>, RevokeSigningError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn switch(scope: KillSwitchScope, is_on: bool, version: u64) -> KillSwitch {
        KillSwitch {
            scope,
            is_on,
            version,
            by: String::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn scopes_round_trip() {
        for scope in [KillSwitchScope::Platform, KillSwitchScope::Community(u64::MAX)] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        for text in [
            "",
            "Platform",
            "community:",
            "community:0",
            "community:+1",
            "community:1 ",
        ] {
            assert_eq!(text.parse::<KillSwitchScope>(), Err(KillSwitchScopeError), "{text}");
        }
    }

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

    #[test]
    fn proof_is_of_one_end_by_one_credential() {
        let (key, end) = (
            EndKey::new("0123456789abcdef"),
            switch(KillSwitchScope::Platform, false, 7),
        );
        let proof = key.prove(&end);
        assert_eq!(proof.len(), 32);
        assert!(key.verifies(&end, &proof));
        assert!(!EndKey::new("0123456789abcdeg").verifies(&end, &proof));
        let another = [
            switch(KillSwitchScope::Platform, false, 8),
            switch(KillSwitchScope::Platform, true, 7),
            switch(KillSwitchScope::Community(1), false, 7),
            KillSwitch {
                by: "stilgar".to_owned(),
                ..end.clone()
            },
        ];
        for another in another {
            assert!(!key.verifies(&another, &proof), "{another:?}");
        }
        assert!(!key.verifies(&end, &[]));
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
