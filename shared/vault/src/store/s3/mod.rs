//! [`S3Store`]: objects in a bucket of S3, or of a store with its protocol.
//!
//! Bytes are sent as they are with our own SHA-256, which S3 checks. Each write has an id in the metadata: where a response is lost, or where
//! a request is repeated after it took effect, the id in the store decides whether the write took effect.

mod requests;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    Condition, ListedObject, MAX_OBJECT_BYTES, NewObject, Object, ObjectHead, ObjectStore, StoreError, Tags, Version,
};
use crate::aws::{AwsConnection, CallLimits, Failure, FailureKind};
use crate::key::ObjectKey;

/// Name of a write's id in the metadata of an object.
const WRITE_ID: &str = "write-id";
/// Attempts of a write that concurrent writes of the same object prevent.
const CONFLICT_ATTEMPTS: u32 = 5;

/// Options of an [`S3Store`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// Begin of all keys, without slashes at its ends; may be empty.
    pub prefix: String,
    /// Id, ARN or alias of the KMS key that encrypts objects; `None` for the bucket's own encryption.
    pub kms_key: Option<String>,
}

/// A store in a bucket.
#[derive(Debug)]
pub struct S3Store {
    client: Client,
    options: S3Options,
    limits: CallLimits,
    /// Whether the store may be one that ignores conditions.
    is_custom: bool,
    /// Set once conditions were found to be honoured.
    checked: OnceCell<()>,
}

impl S3Store {
    /// A store in a bucket that exists. Sends no request.
    #[must_use]
    pub fn new(connection: &AwsConnection, options: S3Options) -> Self {
        let is_custom = connection.is_custom();
        let config = aws_sdk_s3::config::Builder::from(connection.config())
            .force_path_style(is_custom)
            // Every write has a checksum already; other stores refuse further ones.
            .request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(aws_sdk_s3::config::ResponseChecksumValidation::WhenRequired)
            .build();
        Self {
            client: Client::from_conf(config),
            options,
            limits: connection.limits(),
            is_custom,
            checked: OnceCell::new(),
        }
    }

    /// The full key of an object.
    fn full(&self, key: &str) -> String {
        if self.options.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.options.prefix)
        }
    }

    fn error(&self, operation: &'static str, key: &str, failure: Failure) -> StoreError {
        let (object, attempts) = (self.describe(key), self.limits.attempts);
        let hint = failure.hint();
        let Failure { kind, reason } = failure;
        match kind {
            FailureKind::NotFound => StoreError::NotFound { object },
            FailureKind::NoContainer => StoreError::NoBucket { object, reason },
            FailureKind::ConditionFailed | FailureKind::Conflict => StoreError::ConditionFailed { operation, object },
            FailureKind::Denied | FailureKind::NoCredentials => StoreError::Denied {
                operation,
                object,
                reason,
                hint,
            },
            FailureKind::Throttled => StoreError::Throttled {
                operation,
                object,
                attempts,
                reason,
            },
            FailureKind::Unavailable | FailureKind::NoResponse => StoreError::Unavailable {
                operation,
                object,
                attempts,
                reason,
            },
            FailureKind::TimedOut => StoreError::TimedOut {
                operation,
                object,
                limit: self.limits.call_timeout,
            },
            FailureKind::Refused => StoreError::Refused {
                operation,
                object,
                reason,
            },
        }
    }

    /// Writes an object, again after a conflict. The id of the write stays the same.
    async fn write(&self, key: &str, object: &NewObject, condition: &Condition) -> Result<Version, StoreError> {
        let write_id = Uuid::new_v4().to_string();
        let mut attempt = 1;
        let failure = loop {
            match self.put_once(key, object, condition, &write_id).await {
                Ok(version) => return Ok(version),
                Err(failure) if failure.kind == FailureKind::Conflict && attempt < CONFLICT_ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(50) * 2_u32.pow(attempt)).await;
                    attempt += 1;
                }
                Err(failure) => break failure,
            }
        };
        if !failure.may_have_written() {
            return Err(self.error("write", key, failure));
        }
        match self.head_once(key).await {
            Ok(head) if head.metadata.get(WRITE_ID) == Some(&write_id) => Ok(head.version),
            Ok(_) => Err(self.not_written(key, failure, condition)),
            Err(read) if read.kind == FailureKind::NotFound => Err(self.not_written(key, failure, condition)),
            // The store decided about the condition, only its own state is not readable.
            Err(_) if failure.kind == FailureKind::ConditionFailed => Err(self.error("write", key, failure)),
            Err(_) => Err(StoreError::UnknownOutcome {
                operation: "write",
                object: self.describe(key),
                reason: failure.reason,
            }),
        }
    }

    /// The error of a write that did not take effect.
    fn not_written(&self, key: &str, mut failure: Failure, condition: &Condition) -> StoreError {
        // The response to If-Match where there is no object.
        if failure.kind == FailureKind::NotFound && matches!(condition, Condition::Version(_)) {
            failure.kind = FailureKind::ConditionFailed;
        }
        self.error("write", key, failure)
    }

    /// Checks once, before the first conditional write, that another store than AWS's honours conditions.
    async fn require_conditions(&self) -> Result<(), StoreError> {
        if !self.is_custom {
            return Ok(());
        }
        self.checked.get_or_try_init(|| self.test_conditions()).await.copied()
    }

    async fn test_conditions(&self) -> Result<(), StoreError> {
        let key = format!(".condition-check.{}", Uuid::new_v4());
        let object = NewObject::new("test of conditional writes; may be deleted");
        self.write(&key, &object, &Condition::Absent).await?;
        let second = self.write(&key, &object, &Condition::Absent).await;
        let other_version = Condition::Version(Version::new("\"00000000000000000000000000000000\""));
        let third = self.write(&key, &object, &other_version).await;
        let deleted = self.delete_once(&key, None).await;
        for refused in [second, third] {
            match refused {
                Err(StoreError::ConditionFailed { .. }) => {}
                Ok(_) => {
                    return Err(StoreError::IgnoresConditions {
                        store: self.describe(""),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        deleted.map_err(|failure| self.error("delete", &key, failure))
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    fn describe(&self, key: &str) -> String {
        format!("s3://{}/{}", self.options.bucket, self.full(key))
    }

    fn deletes_tagged(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.checked.get_or_try_init(|| self.test_conditions()).await.copied()
    }

    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, StoreError> {
        let size = object.bytes.len() as u64;
        if size > MAX_OBJECT_BYTES {
            let object = self.describe(key.as_str());
            return Err(StoreError::TooLarge { object, size });
        }
        if *condition != Condition::Any {
            self.require_conditions().await?;
        }
        self.write(key.as_str(), &object, condition).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, StoreError> {
        self.read(key.as_str()).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, StoreError> {
        let key = key.as_str();
        let head = self.head_once(key).await;
        let mut head = head.map_err(|failure| self.error("read", key, failure))?;
        head.metadata.remove(WRITE_ID);
        Ok(head)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, StoreError> {
        let mut listed = self
            .list_all(prefix)
            .await
            .map_err(|failure| self.error("list", prefix, failure))?;
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), StoreError> {
        let key = key.as_str();
        let deleted = self.delete_once(key, only).await;
        deleted.map_err(|failure| self.error("delete", key, failure))
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, StoreError> {
        let key = key.as_str();
        let tags = self.tags_once(key).await;
        tags.map_err(|failure| self.error("read the tags of", key, failure))
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), StoreError> {
        let key = key.as_str();
        let set = self.set_tags_once(key, tags).await;
        set.map_err(|failure| self.error("tag", key, failure))
    }
}

/// Metadata of a write, with its id.
fn metadata(object: &NewObject, write_id: &str) -> HashMap<String, String> {
    let own = object
        .metadata
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    own.chain([(WRITE_ID.to_owned(), write_id.to_owned())]).collect()
}
