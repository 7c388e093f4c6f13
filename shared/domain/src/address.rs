//! Wallet addresses: 20 bytes, written in lower-case hex.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Address of a wallet. Printed and stored in lower case, parsed in any case: the mixed case of EIP-55 is a checksum
/// against typing errors and not a part of the address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a wallet address; write `0x` and 40 hexadecimal digits")]
pub struct AddressError(String);

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
