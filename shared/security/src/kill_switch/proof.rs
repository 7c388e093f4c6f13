//! [`EndKey`]: proves an end of the kill switch in PostgreSQL.

use std::fmt;

use aws_lc_rs::hmac;

use super::KillSwitch;

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
}
