//! [`Checksum`]: the SHA-256 of what is stored or read.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::DbError;
use crate::column::Column;

/// A SHA-256. Printed in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum([u8; 32]);

/// A text that is not a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checksum has 64 hexadecimal digits")]
pub struct ChecksumError;

impl Checksum {
    /// The checksum of a text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// The checksum of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The checksum of several checksums, in this order.
    #[must_use]
    pub fn of_all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part.0);
        }
        Self(digest.finalize().into())
    }

    /// The 32 bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A checksum from a column.
    pub(crate) fn stored(column: Column, bytes: &[u8]) -> Result<Self, DbError> {
        let bytes: Result<[u8; 32], _> = bytes.try_into();
        bytes.map(Self).map_err(|why| column.corrupt("a checksum", why))
    }
}

impl FromStr for Checksum {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ChecksumError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_round_trips_as_hex() {
        let checksum = Checksum::of_text("the spice must flow");
        assert_eq!(checksum.to_string().parse(), Ok(checksum));
        assert_eq!("00".parse::<Checksum>(), Err(ChecksumError));
        assert_ne!(Checksum::of_all([checksum]), checksum);
    }
}
