//! Wallet addresses: 20 bytes, written in lower-case hex.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha3::{Digest as _, Keccak256};

/// Address of a wallet. Printed and stored in lower case, parsed in any case: the mixed case of EIP-55 is a checksum
/// against typing errors and not a part of the address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a wallet address; write `0x` and 40 hexadecimal digits")]
pub struct AddressError(String);

/// A text that [`Address::parse_checked`] refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckedAddressError {
    /// It is not an address.
    #[error(transparent)]
    Malformed(#[from] AddressError),
    /// Its upper-case and lower-case letters do not match its checksum: a digit is probably wrong.
    #[error(
        "the checksum of `{0}` is wrong (EIP-55: upper and lower case of the letters), so a digit is probably mistyped; copy the address again, \
         or write all its letters in lower case"
    )]
    Checksum(String),
}

impl Address {
    /// The address with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The bytes of the address.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The address with the mixed case of [EIP-55](https://eips.ethereum.org/EIPS/eip-55), which is a checksum: a letter is upper case when
    /// the digit at its place in the Keccak-256 hash of the lower-case digits is 8 or more.
    #[must_use]
    pub fn checksummed(&self) -> String {
        let mut text = hex::encode(self.0);
        let hash = hex::encode(Keccak256::digest(text.as_bytes()));
        let upper: Vec<bool> = hash.bytes().map(|digit| digit >= b'8').collect();
        // All characters are ASCII, so bytes and characters are the same.
        let cased = text.drain(..).zip(upper);
        let digits: String = cased
            .map(|(digit, is_upper)| if is_upper { digit.to_ascii_uppercase() } else { digit })
            .collect();
        format!("0x{digits}")
    }

    /// Parses an address that a person may have typed: digits of one case, or the mixed case of EIP-55, whose checksum is verified.
    ///
    /// # Errors
    /// When the text is not an address, or its mixed case is not that of the address.
    pub fn parse_checked(text: &str) -> Result<Self, CheckedAddressError> {
        let address: Self = text.parse()?;
        let has = |is: fn(&char) -> bool| text.chars().skip(2).any(|letter| is(&letter));
        let is_mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
        if is_mixed && text.get(2..) != address.checksummed().get(2..) {
            return Err(CheckedAddressError::Checksum(text.to_owned()));
        }
        Ok(address)
    }

    /// A shortened form for display: `0x1234…abcd`.
    #[must_use]
    pub fn short(&self) -> String {
        let [a, b, .., y, z] = self.0;
        format!("0x{a:02x}{b:02x}…{y:02x}{z:02x}")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // The message holds at most 48 characters of the input.
        let refuse = || AddressError(text.chars().take(48).collect());
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .ok_or_else(refuse)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        Ok(Self(bytes))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn address_parses_in_any_case(bytes in any::<[u8; 20]>()) {
            let address = Address::from_bytes(bytes);
            prop_assert_eq!(address.to_string().parse(), Ok(address));
            let upper = format!("0x{}", address.to_string()[2..].to_uppercase());
            prop_assert_eq!(upper.parse(), Ok(address));
            prop_assert_eq!(serde_json::from_str::<Address>(&serde_json::to_string(&address).unwrap()).unwrap(), address);
        }
    }

    #[test]
    fn short_form_shows_both_ends() {
        let bgt: Address = "0x656b95E550C07a9ffe548bd4085c72418Ceb1dba".parse().unwrap();
        assert_eq!(bgt.short(), "0x656b…1dba");
        assert_eq!(bgt.to_string(), "0x656b95e550c07a9ffe548bd4085c72418ceb1dba");
    }

    /// The examples of EIP-55.
    const CHECKSUMMED: [&str; 8] = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn checksum_is_that_of_eip_55() {
        for text in CHECKSUMMED {
            let address = Address::parse_checked(text).unwrap();
            assert_eq!(address.checksummed(), text);
            assert_eq!(Address::parse_checked(&address.to_string()), Ok(address));
            let upper = format!("0X{}", text[2..].to_uppercase());
            assert_eq!(Address::parse_checked(&upper), Ok(address));
        }
    }

    #[test]
    fn wrong_checksum_is_refused() {
        for text in [
            "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee",
        ] {
            assert!(matches!(Address::parse_checked(text), Err(CheckedAddressError::Checksum(_))), "{text}");
        }
        assert!(matches!(Address::parse_checked("0x12"), Err(CheckedAddressError::Malformed(_))));
    }

    #[test]
    fn malformed_address_is_refused() {
        for text in [
            "",
            "0x",
            "656b95E550C07a9ffe548bd4085c72418Ceb1dba",
            "0x656b95E550C07a9ffe548bd4085c72418Ceb1db",
            "0x656b95E550C07a9ffe548bd4085c72418Ceb1dbaa",
            "0x656b95E550C07a9ffe548bd4085c72418Ceb1dbg",
            "0x+56b95E550C07a9ffe548bd4085c72418Ceb1dba",
            "vitalik.eth",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let long = "x".repeat(1_000).parse::<Address>().unwrap_err().to_string();
        assert!(long.len() < 150);
    }
}
