//! What several subjects share for their writes: times of objects that are named by their time, and sealed documents.

use serde::Serialize;
use serde::de::DeserializeOwned;
use time::{Duration, OffsetDateTime, UtcOffset};

use super::Vault;
use crate::error::VaultError;
use crate::key::ObjectKey;
use crate::sealed::{self, SealError};
use crate::store::{Condition, StoreError, Version};

/// Largest number of milliseconds between an object's name and the time of its creation, where other objects have the earlier names.
const MAX_SHIFT_MS: i64 = 20;
/// How often the write of a document is repeated when another process wrote it meanwhile.
pub(super) const MAX_WRITES: u32 = 10;

/// Names and records have milliseconds, in UTC.
pub(super) fn to_millisecond(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.to_offset(UtcOffset::UTC);
    time - Duration::nanoseconds(i64::from(time.nanosecond() % 1_000_000))
}

/// The times that may name an object: the time of its creation, to the millisecond, and the milliseconds after it.
#[derive(Debug)]
pub(super) struct NameTimes {
    first: OffsetDateTime,
    shift_ms: i64,
}

impl NameTimes {
    /// Begins with the time of the creation.
    pub(super) fn from_now(now: OffsetDateTime) -> Self {
        Self {
            first: to_millisecond(now),
            shift_ms: 0,
        }
    }

    /// The time of the next write.
    pub(super) fn current(&self) -> OffsetDateTime {
        self.first + Duration::milliseconds(self.shift_ms)
    }

    /// Whether a write under the current time, of an object that must not exist, took effect. Where another object has the name, the next time
    /// becomes the current one.
    ///
    /// # Errors
    /// The error of the write, also where every time is taken.
    pub(super) fn is_written(&mut self, written: Result<Version, StoreError>) -> Result<bool, StoreError> {
        match written {
            Ok(_) => Ok(true),
            Err(error) if error.is_condition_failed() && self.shift_ms < MAX_SHIFT_MS => {
                self.shift_ms += 1;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
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
    fn taken_name_is_followed_by_the_next_millisecond_up_to_the_limit() {
        let first = datetime!(2026-12-01 02:50:00.123 UTC);
        let taken = || {
            Err(StoreError::ConditionFailed {
                operation: "write",
                object: "object".to_owned(),
            })
        };
        let mut times = NameTimes::from_now(first);
        for shift in 0..MAX_SHIFT_MS {
            assert_eq!(times.current(), first + Duration::milliseconds(shift));
            assert!(!times.is_written(taken()).unwrap());
        }
        assert!(times.is_written(Ok(Version::new("1"))).unwrap());
        assert!(times.is_written(taken()).unwrap_err().is_condition_failed());
    }

    #[test]
    fn time_has_milliseconds_in_utc() {
        assert_eq!(
            to_millisecond(datetime!(2026-12-01 05:50:00.123999 +03:00)),
            datetime!(2026-12-01 02:50:00.123 UTC)
        );
    }
}
