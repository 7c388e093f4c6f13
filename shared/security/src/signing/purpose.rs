//! [`SigningPurpose`]: what a signature is for.

use std::fmt;

/// What a signature is for. Each purpose has a prefix, which is signed with the content, so that a signature for one purpose is not accepted
/// for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningPurpose {
    /// The head of the chain of identity events.
    ChainHead,
    /// The manifest of a snapshot.
    Manifest,
    /// The record of a backup.
    Backup,
    /// A deployment of the theme registry.
    Deployment,
    /// An export: a live server as a configuration.
    Export,
    /// The record of a teardown that is not finished.
    Teardown,
    /// A version of a configuration in the object store.
    Shadow,
    /// The record of a decision on a change of infrastructure.
    Approval,
    /// The link to the wallet page.
    VerificationLink,
    /// The list of public keys that is copied at a rotation.
    PublicKeys,
}

impl SigningPurpose {
    /// Every purpose.
    pub const ALL: [Self; 10] = [
        Self::ChainHead,
        Self::Manifest,
        Self::Backup,
        Self::Deployment,
        Self::Export,
        Self::Teardown,
        Self::Shadow,
        Self::Approval,
        Self::VerificationLink,
        Self::PublicKeys,
    ];

    /// Its name, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainHead => "chain_head",
            Self::Manifest => "manifest",
            Self::Backup => "backup",
            Self::Deployment => "deployment",
            Self::Export => "export",
            Self::Teardown => "teardown",
            Self::Shadow => "shadow",
            Self::Approval => "approval",
            Self::VerificationLink => "verification_link",
            Self::PublicKeys => "public_keys",
        }
    }

    /// Bytes put before the content when it is signed. Never change one: stored signatures would no longer verify.
    #[must_use]
    pub const fn prefix(self) -> &'static [u8] {
        match self {
            Self::ChainHead => b"arrakis head of the identity-event chain 1\n",
            Self::Manifest => b"arrakis-vault sealed document 1\n",
            Self::Backup => b"arrakis-vault backup 1\n",
            Self::Deployment => b"arrakis-vault deployment 1\n",
            Self::Export => b"arrakis-vault export 1\n",
            Self::Teardown => b"arrakis-vault teardown 1\n",
            Self::Shadow => b"arrakis-worker shadow of a configuration 1\n",
            Self::Approval => b"arrakis approval record 1\n",
            Self::VerificationLink => b"arrakis verification link 1\n",
            Self::PublicKeys => b"arrakis list of public keys 1\n",
        }
    }

    /// What is signed: the prefix and the content.
    #[must_use]
    pub fn message(self, content: &[u8]) -> Vec<u8> {
        [self.prefix(), content].concat()
    }

    /// The purpose of a message; `None` for one without a prefix.
    #[must_use]
    pub fn of(message: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| message.starts_with(purpose.prefix()))
    }
}

impl fmt::Display for SigningPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_begins_with_another_one() {
        for one in SigningPurpose::ALL {
            assert_eq!(SigningPurpose::of(&one.message(b"content")), Some(one));
            for other in SigningPurpose::ALL {
                assert!(
                    one == other || !one.prefix().starts_with(other.prefix()),
                    "{one} {other}"
                );
            }
        }
        assert_eq!(SigningPurpose::of(b"content"), None);
    }
}
