//! The callers: each service has a credential, which is kept as a hash and compared in constant time.
//!
//! To add a caller, add its allow-list to `allow-lists.yaml` and its credential to `PROXY_CREDENTIALS`. A caller may have two
//! credentials while a secret is rotated.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::allow_list::{AllowList, AllowLists};

/// Shortest credential, since a shorter one could be guessed.
const MIN_LENGTH: usize = 16;

/// An item `name=credential` of `PROXY_CREDENTIALS`; the credential is hashed when it is parsed.
#[derive(Clone)]
pub struct Credential {
    name: String,
    hash: [u8; 32],
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=[redacted]", self.name)
    }
}

impl FromStr for Credential {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let (name, secret) = text.split_once('=').ok_or(CredentialError::Form)?;
        let (name, secret) = (name.trim(), secret.trim());
        if name.is_empty() {
            return Err(CredentialError::Form);
        }
        if secret.len() < MIN_LENGTH {
            return Err(CredentialError::TooShort);
        }
        Ok(Self {
            name: name.to_owned(),
            hash: Sha256::digest(secret).into(),
        })
    }
}

/// Why an item of `PROXY_CREDENTIALS` is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The item is not `name=credential`.
    #[error("each item reads name=credential")]
    Form,
    /// The credential is too short.
    #[error("a credential has at least 16 characters; `openssl rand -hex 32` generates one")]
    TooShort,
}

/// Why credentials and allow-lists are inconsistent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallersError {
    /// A name without an allow-list. The error does not contain the name, which may be the credential if both were exchanged.
    #[error(
        "item {number} names a caller that has no allow-list; there are lists for {known}; each item reads name=credential"
    )]
    Unlisted {
        /// Number of the item, from 1.
        number: usize,
        /// Names with an allow-list.
        known: String,
    },
    /// Two callers with one credential.
    #[error("{0} and another caller have the same credential")]
    Duplicate(String),
}

/// A service that may send calls.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub name: String,
    /// The calls that it may send.
    pub allowed: AllowList,
}

impl Caller {
    /// The proxy itself, for its own calls.
    pub(crate) fn proxy() -> Self {
        Self {
            name: "proxy".to_owned(),
            allowed: AllowList::default(),
        }
    }
}

/// All callers.
#[derive(Debug, Clone)]
pub struct Callers(Vec<([u8; 32], Arc<Caller>)>);

impl Callers {
    /// The callers of these credentials with their allow-lists.
    ///
    /// # Errors
    /// A name without an allow-list, or one credential for two callers.
    pub fn new(credentials: Vec<Credential>, lists: &AllowLists) -> Result<Self, CallersError> {
        let mut seen = HashSet::new();
        let mut callers = Vec::new();
        for (number, Credential { name, hash }) in (1..).zip(credentials) {
            let Some(allowed) = lists.of(&name) else {
                return Err(CallersError::Unlisted {
                    number,
                    known: lists.names(),
                });
            };
            if !seen.insert(hash) {
                return Err(CallersError::Duplicate(name));
            }
            callers.push((
                hash,
                Arc::new(Caller {
                    name,
                    allowed: allowed.clone(),
                }),
            ));
        }
        Ok(Self(callers))
    }

    /// The caller whose credential is in the header `Authorization: Bearer …`.
    pub fn authenticate(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, secret) = value.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(secret.trim_ascii()).into();
        // Every hash is compared, so that the time does not depend on the credential.
        let mut found = None;
        for (known, caller) in &self.0 {
            let same: Choice = known.as_slice().ct_eq(hash.as_slice());
            if bool::from(same) {
                found = Some(Arc::clone(caller));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers(text: &str) -> Callers {
        let credentials = text.split(',').map(|item| item.parse().unwrap()).collect();
        Callers::new(credentials, &AllowLists::built_in().unwrap()).unwrap()
    }

    fn caller(callers: &Callers, authorization: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        callers.authenticate(&headers).map(|caller| caller.name.clone())
    }

    #[test]
    fn only_a_whole_credential_identifies_its_caller() {
        let callers = callers("worker=0123456789abcdef,gaib=fedcba9876543210");
        assert_eq!(caller(&callers, "Bearer 0123456789abcdef").as_deref(), Some("worker"));
        assert_eq!(caller(&callers, "bearer fedcba9876543210").as_deref(), Some("gaib"));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer ",
            "Bot 0123456789abcdef",
            "0123456789abcdef",
            "Bear",
        ] {
            assert_eq!(caller(&callers, wrong), None, "{wrong}");
        }
        assert!(callers.authenticate(&HeaderMap::new()).is_none());
    }

    #[test]
    fn caller_may_have_two_credentials() {
        let callers = callers("worker=0123456789abcdef,worker=fedcba9876543210");
        assert_eq!(
            caller(&callers, "Bearer 0123456789abcdef"),
            caller(&callers, "Bearer fedcba9876543210")
        );
    }

    #[test]
    fn credential_is_not_printed() {
        let credential: Credential = "worker=0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{credential:?}"), "worker=[redacted]");
    }
}
