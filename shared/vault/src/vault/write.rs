//! What several subjects share for their writes: times of objects that are named by their time, and sealed documents.

use serde::Serialize;
use serde::de::DeserializeOwned;
use time::{Duration, OffsetDateTime, UtcOffset};

use super::Vault;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::sealed::{self, SealError};
use crate::store::{Condition, StoreError};

/// How many milliseconds later an object may be named, where another one has its time.
pub(super) const MAX_SHIFT_MS: i64 = 20;
/// How often the write of a document is repeated when another process wrote it meanwhile.
pub(super) const MAX_WRITES: u32 = 10;

/// Names and records have milliseconds, in UTC.
pub(super) fn to_millisecond(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.to_offset(UtcOffset::UTC);
    time - Duration::nanoseconds(i64::from(time.nanosecond() % 1_000_000))
}

impl Vault {
    /// A document with a checksum.
    pub(super) fn seal<T: Serialize>(&self, key: &ObjectKey, content: &T) -> Result<Vec<u8>, VaultError> {
        sealed::seal(content).map_err(|error| self.unsealed(key, error))
    }

    pub(super) fn unsealed(&self, key: &ObjectKey, error: SealError) -> VaultError {
        match error {
            SealError::Json(error) => VaultError::encode(&self.name(key), &error),
            SealError::Sign(error) => VaultError::Sign {
                object: self.name(key),
                error,
            },
        }
    }

    /// A sealed document, and the condition under which it may be replaced; `None` where it does not exist.
    pub(super) async fn read_document<T: DeserializeOwned>(
        &self,
        key: &ObjectKey,
    ) -> Result<(Option<T>, Condition), VaultError> {
        match self.parts.store.get(key).await {
            Ok(object) => {
                let content = sealed::open(&object.bytes).map_err(|damage| self.damaged(key, damage))?;
                Ok((Some(content), Condition::Version(object.head.version)))
            }
            Err(StoreError::NotFound { .. }) => Ok((None, Condition::Absent)),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn time_has_milliseconds_in_utc() {
        assert_eq!(
            to_millisecond(datetime!(2026-12-01 05:50:00.123999 +03:00)),
            datetime!(2026-12-01 02:50:00.123 UTC)
        );
    }
}
