//! The public keys of all versions of a key, as the server lists them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;

use crate::signing::{PublicKey, PublicKeyVersion};

/// What the server returns about a key.
#[derive(Deserialize)]
pub(super) struct KeyData {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    allow_plaintext_backup: bool,
    latest_version: u32,
    keys: BTreeMap<u32, Value>,
}

impl KeyData {
    /// Whether the key may be used: nobody can read the private key of one that is not exportable.
    ///
    /// # Errors
    /// The reason.
    fn check(&self) -> Result<(), String> {
        if self.kind != "ed25519" {
            return Err(format!("it has the type {}, and must have the type ed25519", self.kind));
        }
        if self.exportable || self.allow_plaintext_backup {
            return Err(
                "its private key can be read: it must be neither exportable nor in plain-text backups".to_owned(),
            );
        }
        Ok(())
    }

    fn public_keys(&self) -> Result<BTreeMap<u32, PublicKey>, String> {
        let parsed = self.keys.iter().map(|(version, data)| {
            let key = data["public_key"].as_str().and_then(|text| STANDARD.decode(text).ok());
            let key: Option<[u8; 32]> = key.and_then(|bytes| bytes.try_into().ok());
            let key = key.ok_or_else(|| format!("the public key of version {version} cannot be read"))?;
            Ok((*version, PublicKey::from_bytes(key)))
        });
        parsed.collect()
    }
}

/// The public keys that are known. None is ever removed or changed.
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: RwLock<BTreeMap<u32, PublicKey>>,
}

impl Keys {
    pub(super) fn is_empty(&self) -> bool {
        self.known.read().is_empty()
    }

    /// The key of a version, if it is known.
    pub(super) fn get(&self, version: u32) -> Option<PublicKey> {
        self.known.read().get(&version).copied()
    }

    /// Every known version, the oldest first.
    pub(super) fn all(&self, name: &str) -> Vec<PublicKeyVersion> {
        let known = self.known.read();
        let all = known.iter().map(|(version, public_key)| PublicKeyVersion {
            key: name.to_owned(),
            version: *version,
            public_key: *public_key,
        });
        all.collect()
    }

    /// Adds versions that the server may not list any more.
    pub(super) fn remember<'a>(&self, keys: impl Iterator<Item = &'a PublicKeyVersion>) {
        let mut known = self.known.write();
        for key in keys {
            known.entry(key.version).or_insert(key.public_key);
        }
    }

    /// Adds the versions that the server lists. Returns the version that signs.
    ///
    /// # Errors
    /// The key must not be used, or is another one than before.
    pub(super) fn add(&self, data: &KeyData) -> Result<u32, String> {
        data.check()?;
        let listed = data.public_keys()?;
        let mut known = self.known.write();
        for (version, key) in &listed {
            if known.get(version).is_some_and(|before| before != key) {
                return Err(format!(
                    "version {version} has another public key than before: the key was deleted and created again"
                ));
            }
        }
        known.extend(listed);
        Ok(data.latest_version)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(change: impl FnOnce(&mut Value)) -> KeyData {
        let mut json = json!({
            "type": "ed25519", "exportable": false, "allow_plaintext_backup": false, "latest_version": 2,
            "keys": {
                "1": {"name": "ed25519", "public_key": STANDARD.encode([1; 32])},
                "2": {"name": "ed25519", "public_key": STANDARD.encode([2; 32])},
            },
        });
        change(&mut json);
        serde_json::from_str(&json.to_string()).unwrap()
    }

    #[test]
    fn weaker_key_is_refused() {
        let add = |data: &KeyData| Keys::default().add(data);
        assert_eq!(add(&data(|_| {})), Ok(2));
        for (field, value) in [
            ("type", json!("aes256-gcm96")),
            ("type", json!("rsa-2048")),
            ("exportable", json!(true)),
            ("allow_plaintext_backup", json!(true)),
        ] {
            let refused = add(&data(|json| json[field] = value.clone()));
            assert!(refused.is_err(), "{field} {value}");
        }
        let short = add(&data(|json| json["keys"]["2"]["public_key"] = json!("AAAA")));
        assert!(short.unwrap_err().contains("version 2"));
    }

    #[test]
    fn known_version_is_never_replaced_or_removed() {
        let keys = Keys::default();
        keys.add(&data(|_| {})).unwrap();
        assert_eq!(keys.get(1), Some(PublicKey::from_bytes([1; 32])));
        assert_eq!(keys.get(3), None);
        let other = data(|json| json["keys"]["1"]["public_key"] = json!(STANDARD.encode([9; 32])));
        let error = keys.add(&other).unwrap_err();
        assert!(error.contains("another public key"), "{error}");
        // The server does not list a version below its `min_decryption_version`.
        let cut = data(|json| drop(json["keys"].as_object_mut().unwrap().remove("1")));
        assert_eq!(keys.add(&cut), Ok(2));
        let remembered = PublicKeyVersion {
            key: "arrakis".to_owned(),
            version: 2,
            public_key: PublicKey::from_bytes([9; 32]),
        };
        keys.remember([&remembered].into_iter());
        let all: Vec<_> = keys
            .all("arrakis")
            .into_iter()
            .map(|key| (key.version, key.public_key))
            .collect();
        assert_eq!(
            all,
            [(1, PublicKey::from_bytes([1; 32])), (2, PublicKey::from_bytes([2; 32]))]
        );
    }
}
