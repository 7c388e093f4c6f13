//! What every store does. Each part uses keys of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrakis_vault::store::{Tags, Version};
use arrakis_vault::{Condition, NewObject, ObjectKey, ObjectStore, StoreError};

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) async fn run(store: Arc<dyn ObjectStore>) {
    store.check().await.unwrap();
    assert_eq!(store.list("").await.unwrap(), [], "the check leaves no object");
    objects_are_read_as_written(&*store).await;
    missing_objects_are_named(&*store).await;
    conditions_are_honoured(&*store).await;
    deletions_can_be_repeated(&*store).await;
    lists_are_complete_and_sorted(&*store).await;
    tags_are_replaced(&*store).await;
    of_concurrent_creations_one_wins(&store).await;
    concurrent_changes_are_not_lost(&store).await;
    let kept = NewObject::new("kept").tagged("Tier", "free");
    store.put(&key("kept/object"), kept, &Condition::Any).await.unwrap();
}

async fn objects_are_read_as_written(store: &dyn ObjectStore) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    for (number, bytes) in [Vec::new(), all_bytes, vec![7; 300_000]].into_iter().enumerate() {
        let key = key(&format!("read/{number}"));
        let object = NewObject::new(bytes.clone())
            .described("checksum", "a+/=b")
            .tagged("Tier", "premium");
        let version = store.put(&key, object, &Condition::Any).await.unwrap();
        let read = store.get(&key).await.unwrap();
        assert_eq!(read.bytes, bytes);
        assert_eq!(read.head.version, version);
        assert_eq!(read.head.size, bytes.len() as u64);
        let metadata = BTreeMap::from([("checksum".to_owned(), "a+/=b".to_owned())]);
        assert_eq!(read.head.metadata, metadata);
        assert_eq!(store.head(&key).await.unwrap(), read.head);
        assert_eq!(store.tags(&key).await.unwrap(), tags(&[("Tier", "premium")]));
        let age = time::OffsetDateTime::now_utc() - read.head.modified;
        assert!(age.whole_seconds().abs() < 60, "{age}");
    }
}

async fn missing_objects_are_named(store: &dyn ObjectStore) {
    let missing = key("missing/object");
    let some = tags(&[("Tier", "free")]);
    for error in [
        store.get(&missing).await.unwrap_err(),
        store.head(&missing).await.unwrap_err(),
        store.tags(&missing).await.unwrap_err(),
        store.set_tags(&missing, &some).await.unwrap_err(),
    ] {
        assert!(error.is_not_found(), "{error:?}");
        assert!(error.to_string().contains("missing/object"), "{error}");
    }
}

async fn conditions_are_honoured(store: &dyn ObjectStore) {
    let key = key("conditions/object");
    let put = async |text: &str, condition: &Condition| store.put(&key, NewObject::new(text), condition).await;
    let content = async || store.get(&key).await.unwrap().bytes;
    let never = Condition::Version(Version::new("\"00000000000000000000000000000000\""));
    let absent = put("x", &never).await.unwrap_err();
    assert!(absent.is_condition_failed(), "{absent:?}");
    let first = put("first", &Condition::Absent).await.unwrap();
    let exists = put("second", &Condition::Absent).await.unwrap_err();
    assert!(
        exists.is_condition_failed() && exists.to_string().contains("conditions/object"),
        "{exists}"
    );
    assert_eq!(content().await, b"first");
    assert!(put("second", &never).await.unwrap_err().is_condition_failed());
    let second = put("second", &Condition::Version(first.clone())).await.unwrap();
    assert_ne!(first, second);
    assert!(
        put("third", &Condition::Version(first.clone()))
            .await
            .unwrap_err()
            .is_condition_failed()
    );
    assert_eq!(content().await, b"second");
    let changed = store.delete(&key, Some(&first)).await.unwrap_err();
    assert!(matches!(changed, StoreError::ConditionFailed { .. }), "{changed:?}");
    assert_eq!(content().await, b"second");
    store.delete(&key, Some(&second)).await.unwrap();
    assert!(store.get(&key).await.unwrap_err().is_not_found());
    put("again", &Condition::Absent).await.unwrap();
}

async fn deletions_can_be_repeated(store: &dyn ObjectStore) {
    let key = key("deleted/object");
    let version = store.put(&key, NewObject::new("x"), &Condition::Any).await.unwrap();
    store.delete(&key, None).await.unwrap();
    store.delete(&key, None).await.unwrap();
    store.delete(&key, Some(&version)).await.unwrap();
    assert!(store.tags(&key).await.unwrap_err().is_not_found());
}

async fn lists_are_complete_and_sorted(store: &dyn ObjectStore) {
    let mut keys: Vec<ObjectKey> = (0..8).map(|number| key(&format!("list/a/{number}"))).collect();
    keys.extend([key("list/a.b"), key("list/b/c/d"), key("list-other")]);
    for key in &keys {
        store
            .put(key, NewObject::new(key.as_str()), &Condition::Any)
            .await
            .unwrap();
    }
    keys.sort();
    for prefix in [
        "list/",
        "list/a",
        "list/a/",
        "list/a/7",
        "list",
        "nothing/",
        "list/b/c/",
    ] {
        let listed = store.list(prefix).await.unwrap();
        let found: Vec<_> = listed.iter().map(|object| &object.key).collect();
        let wanted: Vec<_> = keys.iter().filter(|key| key.as_str().starts_with(prefix)).collect();
        assert_eq!(found, wanted, "{prefix}");
        assert!(
            listed
                .iter()
                .all(|object| object.size == object.key.as_str().len() as u64)
        );
    }
}

async fn tags_are_replaced(store: &dyn ObjectStore) {
    let key = key("tags/object");
    let object = NewObject::new("x").tagged("Tier", "free").tagged("Purpose", "a b+c");
    let version = store.put(&key, object, &Condition::Any).await.unwrap();
    assert_eq!(
        store.tags(&key).await.unwrap(),
        tags(&[("Tier", "free"), ("Purpose", "a b+c")])
    );
    let replaced = tags(&[("Tier", "free"), ("Retain", "expired")]);
    store.set_tags(&key, &replaced).await.unwrap();
    assert_eq!(store.tags(&key).await.unwrap(), replaced);
    assert_eq!(store.head(&key).await.unwrap().version, version);
    store.set_tags(&key, &Tags::new()).await.unwrap();
    assert_eq!(store.tags(&key).await.unwrap(), Tags::new());
    store.put(&key, NewObject::new("y"), &Condition::Any).await.unwrap();
    assert_eq!(store.tags(&key).await.unwrap(), Tags::new());
}

async fn of_concurrent_creations_one_wins(store: &Arc<dyn ObjectStore>) {
    let key = key("concurrent/creation");
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..6 {
        let (store, key) = (Arc::clone(store), key.clone());
        writers.spawn(async move {
            let object = NewObject::new(format!("writer {number}"));
            let written = store.put(&key, object, &Condition::Absent).await;
            written.map(|_| format!("writer {number}"))
        });
    }
    let results = writers.join_all().await;
    let winners: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    assert!(
        results
            .iter()
            .filter_map(|result| result.as_ref().err())
            .all(StoreError::is_condition_failed)
    );
    assert_eq!(store.get(&key).await.unwrap().bytes, winners[0].as_bytes());
}

async fn concurrent_changes_are_not_lost(store: &Arc<dyn ObjectStore>) {
    let key = key("concurrent/counter");
    store.put(&key, NewObject::new("0"), &Condition::Absent).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, key) = (Arc::clone(store), key.clone());
        writers.spawn(async move {
            for _ in 0..3 {
                add_one(&*store, &key).await;
            }
        });
    }
    writers.join_all().await;
    assert_eq!(store.get(&key).await.unwrap().bytes, b"12");
}

async fn add_one(store: &dyn ObjectStore, key: &ObjectKey) {
    loop {
        let read = store.get(key).await.unwrap();
        let number: u32 = String::from_utf8(read.bytes).unwrap().parse().unwrap();
        let condition = Condition::Version(read.head.version);
        match store
            .put(key, NewObject::new((number + 1).to_string()), &condition)
            .await
        {
            Ok(_) => return,
            Err(error) => assert!(error.is_condition_failed(), "{error:?}"),
        }
    }
}
