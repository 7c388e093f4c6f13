//! [`Damage`]: what is wrong with an object.

use crate::sign::SignError;

/// What is wrong with an object.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The object does not exist.
    #[error("it does not exist")]
    Missing,
    /// The size differs.
    #[error("it has {found} bytes, and {wanted} were written")]
    Size {
        /// Its size in bytes.
        found: u64,
        /// The recorded size in bytes.
        wanted: u64,
    },
    /// The checksum differs.
    #[error("its SHA-256 is {found}, and {wanted} is recorded")]
    Checksum {
        /// Of the present bytes.
        found: String,
        /// As recorded.
        wanted: String,
    },
    /// The content cannot be decompressed.
    #[error("it is not valid gzip: {0}")]
    Gzip(String),
    /// The decompressed content is too large.
    #[error("it has more than {0} bytes when decompressed")]
    TooLarge(u64),
    /// The content cannot be parsed.
    #[error("its content is invalid: {0}")]
    Content(String),
    /// The signature is not accepted.
    #[error("{0}")]
    Signature(SignError),
    /// The content differs from the catalogue's record.
    #[error("its {field} is {found}, and the catalogue records {wanted}")]
    Differs {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// The value of the record.
        wanted: String,
    },
}
