//! One-time codes by time: RFC 6238 with SHA-1, six digits and steps of 30 seconds. Authenticator apps ignore other settings without a
//! warning, so there are none.

use std::fmt;

use rand::RngExt as _;
use time::OffsetDateTime;
use totp_rs::{Algorithm, Builder};

/// Bytes of a secret: the length of SHA-1's output, which RFC 4226 recommends.
pub const SECRET_BYTES: usize = 20;
/// Seconds of a step.
const STEP_SECONDS: u64 = 30;
/// Digits of a code.
const DIGITS: u8 = 6;
/// Steps by which the clock of a phone may differ, in both directions.
const DRIFT_STEPS: u16 = 1;
/// The name that apps show above the account.
const ISSUER: &str = "Arrakis";
/// Longest name of an account, in characters: the QR code stays readable.
const MAX_ACCOUNT: usize = 40;

/// The secret of one person, and its codes. `Debug` prints no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp([u8; SECRET_BYTES]);

/// A secret of another length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret has {SECRET_BYTES} bytes, not {0}")]
pub struct TotpSecretError(usize);

impl Totp {
    /// A new secret from the random source of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::rng().random())
    }

    /// The codes of a stored secret.
    ///
    /// # Errors
    /// When it has another length.
    pub fn from_secret(secret: &[u8]) -> Result<Self, TotpSecretError> {
        let bytes = secret.try_into().map_err(|_| TotpSecretError(secret.len()))?;
        Ok(Self(bytes))
    }

    /// The secret in clear, to be encrypted.
    #[must_use]
    pub const fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// The secret as a person types it into an app that has no camera: base32.
    #[must_use]
    pub fn secret_text(&self) -> String {
        self.codes("").secret().to_base32()
    }

    /// The address that an app reads from a QR code: `otpauth://totp/Arrakis:ACCOUNT?secret=…&issuer=Arrakis`.
    #[must_use]
    pub fn address(&self, account: &str) -> String {
        // A colon separates issuer and account, and control characters have no meaning there.
        let account: String = account
            .chars()
            .filter(|c| *c != ':' && !c.is_control())
            .take(MAX_ACCOUNT)
            .collect();
        let account = if account.trim().is_empty() { "account" } else { &account };
        // The name is not empty and has no colon, which is all that is checked.
        self.codes(account).to_url().unwrap_or_default()
    }

    /// The code of the step at this time. For tests, and for tools that generate codes in place of an authenticator app.
    #[must_use]
    pub fn code_at(&self, at: OffsetDateTime) -> String {
        self.codes("").generate(seconds(at)).to_string()
    }

    /// The step (number of 30 seconds since 1970) whose code this is, among that of `at`, the one before and the one after. The comparison
    /// takes the same time for every code. Whether the step was used before is the caller's to check.
    #[must_use]
    pub fn matched_step(&self, code: &str, at: OffsetDateTime) -> Option<i64> {
        let step = self.codes("").check(code, seconds(at))?;
        i64::try_from(step).ok()
    }

    fn codes(&self, account: &str) -> totp_rs::Totp {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_step_duration(STEP_SECONDS)
            .with_skew(DRIFT_STEPS)
            .with_secret(self.0)
            .with_issuer(Some(ISSUER))
            .with_account_name(account)
            // The length of the secret is that of its type, so nothing that the other constructor checks can be wrong.
            .build_noncompliant()
    }
}

fn seconds(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp()).unwrap_or_default()
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totp([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The secret of RFC 6238, appendix B, for SHA-1.
    const RFC_SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    /// The vectors have eight digits; a code of six digits is the last six of them.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        let totp = Totp::from_secret(RFC_SECRET).unwrap();
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(totp.code_at(at(seconds)), code[2..], "{seconds}");
            assert_eq!(totp.matched_step(&code[2..], at(seconds)), Some(seconds / 30));
        }
    }

    #[test]
    fn code_of_the_neighbouring_steps_matches_and_no_other() {
        let totp = Totp::from_secret(RFC_SECRET).unwrap();
        let code = totp.code_at(at(1_111_111_109));
        let step = 1_111_111_109 / 30;
        for (offset, expected) in [(-60, None), (-30, Some(step)), (30, Some(step)), (60, None)] {
            assert_eq!(
                totp.matched_step(&code, at(1_111_111_109 + offset)),
                expected,
                "{offset}"
            );
        }
    }

    #[test]
    fn address_names_issuer_and_account() {
        let totp = Totp::from_secret(RFC_SECRET).unwrap();
        assert_eq!(totp.secret_text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            totp.address("chani"),
            "otpauth://totp/Arrakis:chani?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Arrakis"
        );
        for odd in ["", ":", "\n", "a:b", "沙丘", &"x".repeat(500)] {
            let address = totp.address(odd);
            assert!(address.starts_with("otpauth://totp/Arrakis:"), "{odd:?}: {address}");
            assert!(address.len() < 600, "{address}");
        }
    }

    #[test]
    fn debug_has_no_secret_and_other_lengths_are_refused() {
        assert_eq!(format!("{:?}", Totp::generate()), "Totp([redacted])");
        assert_ne!(Totp::generate(), Totp::generate());
        assert_eq!(Totp::from_secret(&[0; 19]), Err(TotpSecretError(19)));
    }

    proptest! {
        #[test]
        fn only_a_code_of_the_three_steps_matches(seconds in 60_i64..4_000_000_000, typed in "[0-9]{6}") {
            let totp = Totp::from_secret(RFC_SECRET).unwrap();
            let codes: Vec<String> = [-30, 0, 30].iter().map(|offset| totp.code_at(at(seconds + offset))).collect();
            prop_assert_eq!(totp.matched_step(&typed, at(seconds)).is_some(), codes.contains(&typed));
        }

        #[test]
        fn other_texts_never_match(typed in "\\PC{0,12}") {
            let totp = Totp::from_secret(RFC_SECRET).unwrap();
            let is_code = typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert!(is_code || totp.matched_step(&typed, at(59)).is_none());
        }
    }
}
