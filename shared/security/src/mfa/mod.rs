//! The second factor (MFA): one-time codes by RFC 6238, backup codes, and the encryption of the secrets at rest.
//!
//! | file | owns |
//! |---|---|
//! | `operation.rs` | [`ProtectedOperation`]: every operation that needs a code |
//! | `totp.rs` | [`Totp`]: secret, address for authenticator apps, matching of a code |
//! | `backup_codes.rs` | [`BackupCode`]: form and hash |
//! | `grant.rs` | [`GrantToken`]: what a tool presents after a code was accepted |
//! | `cipher.rs` | [`SecretCipher`]: encryption of secrets, with rotation of the key |
//!
//! It stores nothing and has no clock: `arrakis_db::mfa` decides whether a code is accepted, in one transaction with the audit entry.
//! To protect another operation: a variant of [`ProtectedOperation`], and a call of `arrakis_db::mfa::verify` before the operation.

mod backup_codes;
mod cipher;
mod grant;
mod operation;
mod totp;

pub use backup_codes::{BACKUP_CODE_HASH_BYTES, BACKUP_CODES, BackupCode};
pub use cipher::{CipherError, CipherKeysError, SealedSecret, SecretCipher};
pub use grant::GrantToken;
pub use operation::{ProtectedOperation, ProtectedOperationError};
pub use totp::{SECRET_BYTES, Totp, TotpSecretError};

/// A code as it was typed: by its form, a one-time code or a backup code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypedCode {
    /// Six digits.
    OneTime(String),
    /// A backup code.
    Backup(BackupCode),
}

impl TypedCode {
    /// Reads a code. Spaces and dashes are skipped, as apps and printed lists show codes in groups. `None` for a text with another form.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let code: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::OneTime(code));
        }
        BackupCode::parse(&code).map(Self::Backup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_of_a_code_decides_its_kind() {
        assert_eq!(
            TypedCode::read(" 012 345 "),
            Some(TypedCode::OneTime("012345".to_owned()))
        );
        let code = BackupCode::generate();
        assert_eq!(TypedCode::read(code.expose()), Some(TypedCode::Backup(code.clone())));
        let upper = code.expose().to_uppercase();
        assert_eq!(TypedCode::read(&upper), Some(TypedCode::Backup(code)));
        for other in [
            "",
            "12345",
            "1234567",
            "١٢٣٤٥٦",
            "abcd-efgh-ijkl-mno1",
            "abcdefghijklmnopq",
        ] {
            assert_eq!(TypedCode::read(other), None, "{other}");
        }
    }
}
