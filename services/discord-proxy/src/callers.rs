//! Who asks: a credential for each service, kept as a hash and compared in constant time.
//!
//! Refuses to say which part of a credential was wrong. To add a caller, give it a list in `allow-lists.yaml` and a
//! credential in `PROXY_CREDENTIALS`; two credentials under one name let a secret be rotated.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::allow_list::{AllowList, AllowLists};

/// Shortest credential: less could be guessed.
const SHORTEST: usize = 16;

/// `name=credential`, hashed as soon as it is read.
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
    type Err = NotACredential;

    fn from_str(text: &str) -> Result<Self, NotACredential> {
        let (name, secret) = text.split_once('=').ok_or(NotACredential::Form)?;
        let (name, secret) = (name.trim(), secret.trim());
        if name.is_empty() {
            return Err(NotACredential::Form);
        }
        if secret.len() < SHORTEST {
            return Err(NotACredential::Short);
        }
        Ok(Self {
            name: name.to_owned(),
            hash: Sha256::digest(secret).into(),
        })
    }
}

/// Why the text is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotACredential {
    /// Not `name=credential`.
    #[error("each item reads name=credential")]
    Form,
    /// Could be guessed.
    #[error("a credential has at least 16 characters; `openssl rand -hex 32` makes a good one")]
    Short,
}

/// Why credentials and allow-lists do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCallers {
    /// A name without a list. The name is not told: where name and credential were exchanged, it is the credential.
    #[error(
        "item {number} names a caller that has no allow-list; there are lists for {known}; each item reads name=credential"
    )]
    Unlisted {
        /// Which item, from 1.
        number: usize,
        /// Names that have lists.
        known: String,
    },
    /// Two callers could not be told apart.
    #[error("{0} and another caller have the same credential")]
    Same(String),
}

/// A service that may ask.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub name: String,
    /// What it may ask for.
    pub allowed: AllowList,
}

impl Caller {
    /// The proxy itself, which asks Discord about the bot token and for nothing else.
    pub(crate) fn of_the_proxy() -> Self {
        Self {
            name: "proxy".to_owned(),
            allowed: AllowList::default(),
        }
    }
}

/// Every caller.
#[derive(Debug, Clone)]
pub struct Callers(Vec<([u8; 32], Arc<Caller>)>);

impl Callers {
    /// Joins credentials and lists.
    ///
    /// # Errors
    /// A name without a list, or one credential for two callers.
    pub fn new(credentials: Vec<Credential>, lists: &AllowLists) -> Result<Self, BadCallers> {
        let mut seen = HashSet::new();
        let mut callers = Vec::new();
        for (number, Credential { name, hash }) in (1..).zip(credentials) {
            let Some(allowed) = lists.of(&name) else {
                return Err(BadCallers::Unlisted {
                    number,
                    known: lists.names(),
                });
            };
            if !seen.insert(hash) {
                return Err(BadCallers::Same(name));
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

    /// The caller whose credential `headers` carry as `Authorization: Bearer …`.
    pub fn authenticate(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, secret) = value.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(secret.trim_ascii()).into();
        // Every hash is compared, so that time tells nothing about which caller came near.
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

    fn asks(callers: &Callers, authorization: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        callers.authenticate(&headers).map(|caller| caller.name.clone())
    }

    #[test]
    fn a_credential_names_its_caller_and_nothing_else_does() {
        let callers = callers("worker=0123456789abcdef,gaib=fedcba9876543210");
        assert_eq!(asks(&callers, "Bearer 0123456789abcdef").as_deref(), Some("worker"));
        assert_eq!(asks(&callers, "bearer fedcba9876543210").as_deref(), Some("gaib"));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer ",
            "Bot 0123456789abcdef",
            "0123456789abcdef",
            "Bear",
        ] {
            assert_eq!(asks(&callers, wrong), None, "{wrong}");
        }
        assert!(callers.authenticate(&HeaderMap::new()).is_none());
    }

    #[test]
    fn one_name_may_have_two_credentials_while_a_secret_is_rotated() {
        let callers = callers("worker=0123456789abcdef,worker=fedcba9876543210");
        assert_eq!(
            asks(&callers, "Bearer 0123456789abcdef"),
            asks(&callers, "Bearer fedcba9876543210")
        );
    }

    #[test]
    fn a_credential_does_not_print_itself() {
        let credential: Credential = "worker=0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{credential:?}"), "worker=[redacted]");
    }
}
