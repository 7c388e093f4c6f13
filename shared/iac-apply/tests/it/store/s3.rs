//! States in S3, with locks in the bucket or in DynamoDB. Both are moto's.

use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_iac_apply::store::{Backend, DynamoLocks, LockRecord, LockTable, RemoteStore, StoreError};
use arrakis_test_support::Moto;
use arrakis_vault::aws::{AwsConnection, AwsCredentials, AwsOptions};
use arrakis_vault::store::{ListedObject, ObjectHead, S3Options, S3Store, Tags, Version};
use arrakis_vault::{Condition, NewObject, Object, ObjectKey, ObjectStore, StoreError as ObjectError};
use async_trait::async_trait;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::common::{Fixture, conformance};
use super::{default, holder};

const BUCKET: &str = "states";
const TABLE: &str = "gaib-locks";
/// Small, so that lists have several pages.
const PAGE: u32 = 3;

mod locks_in_the_bucket {
    use super::*;

    async fn open() -> Fixture {
        let aws = Aws::start().await;
        Fixture::new(aws.store("arrakeen").await, aws)
    }

    conformance!(open);
}

mod locks_in_a_table {
    use super::*;

    async fn open() -> Fixture {
        let aws = Aws::start().await;
        let store = aws.store("arrakeen").await.with_locks(aws.locks(TABLE).await);
        Fixture::new(store, aws)
    }

    conformance!(open);
}

#[tokio::test]
async fn states_and_locks_are_the_same_on_two_machines() {
    let aws = Aws::start().await;
    for locks in [None, Some(aws.locks(TABLE).await)] {
        let (one, other) = (aws.store("arrakeen").await, aws.store("carthag").await);
        let (one, other) = match locks {
            Some(locks) => (one.with_locks(Arc::clone(&locks)), other.with_locks(locks)),
            None => (one, other),
        };
        let mut guard = one.lock(&default(), &holder("stilgar")).await.unwrap();
        guard.write(b"one").await.unwrap();
        let id = guard.record().id.clone();
        let refused = other.lock(&default(), &holder("chani")).await.unwrap_err().to_string();
        assert!(
            refused.contains("stilgar on arrakeen") && refused.contains(&format!("force-unlock {id}")),
            "{refused}"
        );
        other.unlock(&default(), &id, true).await.unwrap();
        let mut next = other.lock(&default(), &holder("chani")).await.unwrap();
        next.write(b"two").await.unwrap();
        let refused = guard.write(b"three").await.unwrap_err();
        assert!(matches!(refused, StoreError::StateChanged { .. }), "{refused}");
        assert!(guard.release().await.is_err());
        next.release().await.unwrap();
        assert_eq!(one.read(&default()).await.unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(
            one.read_previous(&default()).await.unwrap().as_deref(),
            Some(&b"one"[..])
        );
        assert!(
            one.describe(&default())
                .starts_with("s3://states/gaib/workspaces/default/")
        );
    }
}

#[tokio::test]
async fn lock_that_was_removed_is_reported_at_the_release_also_where_no_other_operation_has_it() {
    let aws = Aws::start().await;
    for locks in [None, Some(aws.locks(TABLE).await)] {
        let (one, other) = (aws.store("arrakeen").await, aws.store("carthag").await);
        let (one, other) = match locks {
            Some(locks) => (one.with_locks(Arc::clone(&locks)), other.with_locks(locks)),
            None => (one, other),
        };
        let guard = one.lock(&default(), &holder("stilgar")).await.unwrap();
        let id = guard.record().id.clone();
        other.unlock(&default(), &id, true).await.unwrap();
        let lost = guard.release().await.unwrap_err();
        assert!(matches!(lost, StoreError::LockLost { .. }), "{lost}");
        let guard = one.lock(&default(), &holder("stilgar")).await.unwrap();
        guard.release().await.unwrap();
        assert_eq!(other.held(&default()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn absent_bucket_and_table_are_errors_with_advice() {
    let aws = Aws::start().await;
    let store = aws.store("arrakeen").await.with_locks(aws.locks("nowhere").await);
    let refused = store
        .lock(&default(), &holder("stilgar"))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("nowhere") && refused.contains("`LockID`"), "{refused}");
    // The cause, and not the response with its headers.
    assert!(
        refused.contains("ResourceNotFoundException") && !refused.contains("Headers"),
        "{refused}"
    );
    let store = aws.store_in("no-such-bucket", "arrakeen").await;
    let refused = store.read(&default()).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::NoBucket { .. }) && refused.to_string().contains(".gaib/config.yaml"),
        "{refused}"
    );
}

/// moto with a bucket and a table of locks.
struct Aws {
    moto: Moto,
    folder: TempDir,
    options: AwsOptions,
    turn: Arc<Mutex<()>>,
}

impl Aws {
    async fn start() -> Self {
        let moto = Moto::start(PAGE).await;
        let options = AwsOptions {
            endpoint: Some(moto.url().to_owned()),
            region: Some("us-east-1".to_owned()),
            profile: None,
            credentials: Some(AwsCredentials {
                access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret_access_key: Secret::new("secret"),
            }),
            attempts: 2,
            attempt_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
        };
        let aws = Self {
            moto,
            folder: tempfile::tempdir().unwrap(),
            options,
            turn: Arc::default(),
        };
        aws.moto.create_bucket(BUCKET).await;
        aws.create_table().await;
        aws
    }

    async fn create_table(&self) {
        let table = json!({
            "TableName": TABLE,
            "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.moto.dynamo("CreateTable", &table).await;
    }

    async fn store(&self, host: &str) -> RemoteStore {
        self.store_in(BUCKET, host).await
    }

    async fn store_in(&self, bucket: &str, host: &str) -> RemoteStore {
        let connection = AwsConnection::load(&self.options).await.unwrap();
        let options = S3Options {
            bucket: bucket.to_owned(),
            prefix: "gaib".to_owned(),
            kms_key: None,
        };
        let objects = OneAtATime {
            inner: S3Store::new(&connection, options),
            turn: Arc::clone(&self.turn),
        };
        RemoteStore::new(Arc::new(objects), self.folder.path().join(host).join(".gaib"), host)
    }

    async fn locks(&self, table: &str) -> Arc<dyn LockTable> {
        let connection = AwsConnection::load(&self.options).await.unwrap();
        Arc::new(OneAtATime {
            inner: DynamoLocks::new(&connection, table, "states/gaib"),
            turn: Arc::clone(&self.turn),
        })
    }
}

/// Sends one request at a time: conditional writes of moto are not atomic between concurrent requests, which those of AWS are.
#[derive(Debug)]
struct OneAtATime<T> {
    inner: T,
    turn: Arc<Mutex<()>>,
}

#[async_trait]
impl LockTable for OneAtATime<DynamoLocks> {
    async fn create(&self, name: &str, record: &LockRecord) -> Result<bool, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.create(name, record).await
    }

    async fn read(&self, name: &str) -> Result<Option<LockRecord>, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.read(name).await
    }

    async fn remove(&self, name: &str, id: &str) -> Result<bool, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.remove(name, id).await
    }

    async fn remove_unreadable(&self, name: &str) -> Result<bool, StoreError> {
        let _turn = self.turn.lock().await;
        self.inner.remove_unreadable(name).await
    }
}

#[async_trait]
impl ObjectStore for OneAtATime<S3Store> {
    fn describe(&self, key: &str) -> String {
        self.inner.describe(key)
    }

    fn deletes_tagged(&self) -> bool {
        self.inner.deletes_tagged()
    }

    async fn check(&self) -> Result<(), ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.check().await
    }

    async fn put(&self, key: &ObjectKey, object: NewObject, condition: &Condition) -> Result<Version, ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.put(key, object, condition).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Object, ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.get(key).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectHead, ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ListedObject>, ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.list(prefix).await
    }

    async fn delete(&self, key: &ObjectKey, only: Option<&Version>) -> Result<(), ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.delete(key, only).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<Tags, ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.tags(key).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: &Tags) -> Result<(), ObjectError> {
        let _turn = self.turn.lock().await;
        self.inner.set_tags(key, tags).await
    }
}
