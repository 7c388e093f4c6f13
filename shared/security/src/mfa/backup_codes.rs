//! Backup codes, for a person whose phone is lost. Each is accepted once.
//!
//! A code has 80 random bits, so a fast hash is enough: a slow one protects words that people choose, and adds nothing to a random text that no
//! dictionary has. The hash has a key, which follows from the secret of the person's one-time codes: whoever can write to the database, and does not
//! have `MFA_ENCRYPTION_KEY`, cannot store the hash of a code of their choice. It stays the same when that key is rotated. The hash includes the
//! person's id, so that equal codes of two persons would differ.

use std::fmt;

use aws_lc_rs::hmac;
use rand::RngExt as _;

use super::Totp;

/// Number of codes that a person has at a time.
pub const BACKUP_CODES: usize = 10;
/// Characters of a code, without dashes: five bits each.
const LENGTH: usize = 16;
/// Characters between dashes.
const GROUP: usize = 4;
/// The alphabet of base32 in lower case: no 0 and 1, which look like letters.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Separates these hashes from every other use of the secret.
const DOMAIN: &[u8] = b"arrakis backup code\0";
/// The first byte of each hash. Hashes of an earlier build had no key and no such byte: they match no code.
const FORM: u8 = 2;
/// Bytes of a hash.
pub const BACKUP_CODE_HASH_BYTES: usize = 33;

/// A backup code in clear: `xxxx-xxxx-xxxx-xxxx`. It is shown once and not stored. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupCode(String);

impl BackupCode {
    /// A new code from the random source of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        let random: [u8; LENGTH] = rand::rng().random();
        let letters = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
        Self::grouped(&letters.collect::<String>())
    }

    /// Generates ten new random backup codes for one person.
    #[must_use]
    pub fn generate_all() -> [Self; BACKUP_CODES] {
        std::array::from_fn(|_| Self::generate())
    }

    /// Reads a code without dashes, in either case. `None` for a text with another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code = text.to_ascii_lowercase();
        let has_form = code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte));
        has_form.then(|| Self::grouped(&code))
    }

    /// The code in clear, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The hash that is stored for this person, whose one-time codes have this secret.
    #[must_use]
    pub fn hash(&self, user: u64, totp: &Totp) -> Vec<u8> {
        let mut hash = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, totp.secret()));
        hash.update(DOMAIN);
        hash.update(&user.to_be_bytes());
        hash.update(self.0.as_bytes());
        let mut stored = Vec::with_capacity(BACKUP_CODE_HASH_BYTES);
        stored.push(FORM);
        stored.extend_from_slice(hash.sign().as_ref());
        stored
    }

    fn grouped(letters: &str) -> Self {
        let mut code = String::with_capacity(LENGTH + LENGTH / GROUP);
        for (index, letter) in letters.chars().enumerate() {
            if index > 0 && index.is_multiple_of(GROUP) {
                code.push('-');
            }
            code.push(letter);
        }
        Self(code)
    }
}

impl fmt::Debug for BackupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_and_are_read_again() {
        let codes = BackupCode::generate_all();
        for code in &codes {
            assert_eq!(code.expose().len(), 19);
            let typed = code.expose().replace('-', "");
            assert_eq!(BackupCode::parse(&typed).as_ref(), Some(code));
            assert_eq!(BackupCode::parse(&typed.to_uppercase()).as_ref(), Some(code));
            assert_eq!(codes.iter().filter(|other| *other == code).count(), 1);
        }
        assert_eq!(BackupCode::parse("abcdefghijklmno1"), None);
        assert_eq!(BackupCode::parse("abcdefghijklmnoé"), None);
    }

    #[test]
    fn hash_depends_on_the_person_and_the_secret_and_debug_has_no_code() {
        let (code, totp) = (BackupCode::generate(), Totp::generate());
        assert_eq!(code.hash(7, &totp), code.clone().hash(7, &totp));
        assert_eq!(code.hash(7, &totp).len(), BACKUP_CODE_HASH_BYTES);
        assert_ne!(code.hash(7, &totp), code.hash(8, &totp));
        assert_ne!(code.hash(7, &totp), code.hash(7, &Totp::generate()));
        assert_ne!(code.hash(7, &totp), BackupCode::generate().hash(7, &totp));
        assert!(!format!("{code:?}").contains(code.expose()));
    }
}
