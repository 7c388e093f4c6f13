//! [`EndKey`]: proves an end of the kill switch in PostgreSQL.

use std::fmt;

use aws_lc_rs::hmac;

use super::KillSwitch;

/// The key that proves an end of the kill switch in `PostgreSQL`, made of `KILL_SWITCH_CREDENTIAL`.
///
/// The login of an application can add a row to its database. It does not have the credential, so a row without a proof ends nothing. A proof is of
/// one version: stored again, it ends no kill switch that was turned on later.
///
/// While the credential is changed, proofs by the previous one count as well, and workers store them again by the present one.
#[derive(Clone)]
pub struct EndKey {
    present: hmac::Key,
    previous: Option<hmac::Key>,
}

/// The credential that made a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvenBy {
    /// `KILL_SWITCH_CREDENTIAL`.
    Present,
    /// `KILL_SWITCH_CREDENTIAL_PREVIOUS`.
    Previous,
}

impl fmt::Debug for EndKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndKey([redacted])")
    }
}

impl EndKey {
    /// The key of a credential.
    #[must_use]
    pub fn new(credential: &str) -> Self {
        Self {
            present: hmac_key(credential),
            previous: None,
        }
    }

    /// The same key, which accepts proofs by this credential as well, and makes none by it.
    #[must_use]
    pub fn with_previous(self, credential: &str) -> Self {
        Self {
            previous: Some(hmac_key(credential)),
            ..self
        }
    }

    /// Whether proofs by a previous credential count.
    #[must_use]
    pub const fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// The proof of an end by the present credential: HMAC-SHA256, 32 bytes.
    #[must_use]
    pub fn prove(&self, end: &KillSwitch) -> Vec<u8> {
        hmac::sign(&self.present, &proven(end)).as_ref().to_vec()
    }

    /// Which credential made `proof` for this end; `None`: neither. Never of an entry that is on.
    #[must_use]
    pub fn verifies(&self, end: &KillSwitch, proof: &[u8]) -> Option<ProvenBy> {
        if end.is_on {
            return None;
        }
        self.made(&proven(end), proof)
    }

    /// The proof that a step of a kill switch is in this state: HMAC-SHA256, 32 bytes.
    #[must_use]
    pub fn prove_step(&self, step: &str, version: u64, state: &str) -> Vec<u8> {
        hmac::sign(&self.present, &proven_step(step, version, state))
            .as_ref()
            .to_vec()
    }

    /// Whether a credential made `proof` for this state of the step.
    #[must_use]
    pub fn verifies_step(&self, step: &str, version: u64, state: &str, proof: &[u8]) -> bool {
        self.made(&proven_step(step, version, state), proof).is_some()
    }

    /// Which credential made the proof of these bytes.
    fn made(&self, bytes: &[u8], proof: &[u8]) -> Option<ProvenBy> {
        let is_by = |key: &hmac::Key| hmac::verify(key, bytes, proof).is_ok();
        if is_by(&self.present) {
            return Some(ProvenBy::Present);
        }
        self.previous.as_ref().is_some_and(is_by).then_some(ProvenBy::Previous)
    }
}

fn hmac_key(credential: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, credential.as_bytes())
}

/// What a proof of an end covers: the whole entry.
fn proven(end: &KillSwitch) -> Vec<u8> {
    let scope = end.scope.to_string();
    bytes_of(
        b"arrakis: end of the kill switch\0",
        end.version,
        &[&scope, &end.by, &end.reason],
    )
}

/// What a proof of a step covers.
fn proven_step(step: &str, version: u64, state: &str) -> Vec<u8> {
    bytes_of(b"arrakis: step of the kill switch\0", version, &[step, state])
}

/// The lengths keep two lists apart whose texts are split differently.
fn bytes_of(purpose: &[u8], version: u64, texts: &[&str]) -> Vec<u8> {
    let mut bytes = purpose.to_vec();
    bytes.extend(version.to_be_bytes());
    for text in texts {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::{KillSwitchScope, entry::switch};
    use super::*;

    #[test]
    fn proof_is_of_one_end_by_one_credential() {
        let (key, end) = (
            EndKey::new("0123456789abcdef"),
            switch(KillSwitchScope::Platform, false, 7),
        );
        let proof = key.prove(&end);
        assert_eq!(proof.len(), 32);
        assert_eq!(key.verifies(&end, &proof), Some(ProvenBy::Present));
        assert_eq!(EndKey::new("0123456789abcdeg").verifies(&end, &proof), None);
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
            assert_eq!(key.verifies(&another, &proof), None, "{another:?}");
        }
        assert_eq!(key.verifies(&end, &[]), None);
    }

    #[test]
    fn proof_of_a_step_is_of_one_step_version_and_state() {
        let key = EndKey::new("0123456789abcdef");
        let proof = key.prove_step("signing", 7, "revoked");
        assert_eq!(proof.len(), 32);
        assert!(key.verifies_step("signing", 7, "revoked", &proof));
        for (step, version, state) in [
            ("sessions", 7, "revoked"),
            ("signing", 8, "revoked"),
            ("signing", 7, "restored"),
        ] {
            assert!(
                !key.verifies_step(step, version, state, &proof),
                "{step} {version} {state}"
            );
        }
        assert!(!EndKey::new("0123456789abcdeg").verifies_step("signing", 7, "revoked", &proof));
    }

    #[test]
    fn proof_by_the_previous_credential_counts_and_new_ones_are_by_the_present_one() {
        let end = switch(KillSwitchScope::Platform, false, 7);
        let (old, new) = (EndKey::new("0123456789abcdef"), EndKey::new("fedcba9876543210"));
        let both = new.clone().with_previous("0123456789abcdef");
        assert!(both.has_previous() && !new.has_previous());
        assert_eq!(both.verifies(&end, &old.prove(&end)), Some(ProvenBy::Previous));
        assert_eq!(both.verifies(&end, &both.prove(&end)), Some(ProvenBy::Present));
        assert_eq!(new.verifies(&end, &both.prove(&end)), Some(ProvenBy::Present));
        assert_eq!(both.verifies(&end, &EndKey::new("of-somebody-else!").prove(&end)), None);
    }
}
