//! A store and a catalogue that fail, slow down, lose responses and deny.

use std::time::{Duration, Instant};

use arrakis_domain::Plan;
use arrakis_vault::catalogue::CatalogueError;
use arrakis_vault::{
    Catalogue as _, Condition, LimitPolicy, NewObject, ObjectKey, ObjectStore as _, Operation, RecordKind, StoreError,
    Use, VaultError,
};

use crate::support::aws::Aws;
use crate::support::middleman::{Action, Seen};
use crate::support::{NOW, SERVER, expected, new_backup, state};

const FAILED: Action = Action::Respond(
    500,
    "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>",
);
const SLOW_DOWN: Action = Action::Respond(
    503,
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
);
const DENIED: Action = Action::Respond(
    403,
    "<Error><Code>AccessDenied</Code><Message>User is not authorized to perform: s3:PutObject</Message></Error>",
);
const THROTTLED: Action = Action::Respond(
    400,
    "{\"__type\":\"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException\",\"message\":\"Too many requests\"}",
);

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn is_put(seen: &Seen) -> bool {
    seen.is_put()
}

#[tokio::test]
async fn transient_failures_of_s3_are_retried() {
    let aws = Aws::start().await;
    let store = aws.store();
    store.check().await.unwrap();
    for (number, action) in [FAILED, SLOW_DOWN, Action::Cut].into_iter().enumerate() {
        for (name, condition) in [("any", Condition::Any), ("absent", Condition::Absent)] {
            let key = key(&format!("{name}/{number}"));
            aws.middleman.first(2, action, is_put);
            store.put(&key, NewObject::new("x"), &condition).await.unwrap();
            aws.middleman.first(2, action, |_| true);
            assert_eq!(store.get(&key).await.unwrap().bytes, b"x");
            aws.middleman.first(2, action, |_| true);
            assert_eq!(store.list(&format!("{name}/{number}")).await.unwrap().len(), 1);
            aws.middleman.first(2, action, |_| true);
            store.delete(&key, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn lost_response_of_a_write_is_recognised_as_success() {
    let aws = Aws::start().await;
    let store = aws.store();
    store.check().await.unwrap();
    let key = key("lost/response");
    aws.middleman.first(1, Action::LoseResponse, is_put);
    let first = store
        .put(&key, NewObject::new("first"), &Condition::Absent)
        .await
        .unwrap();
    aws.middleman.first(1, Action::LoseResponse, is_put);
    let second = store
        .put(&key, NewObject::new("second"), &Condition::Version(first.clone()))
        .await
        .unwrap();
    aws.middleman.first(3, Action::LoseResponse, is_put);
    let third = store.put(&key, NewObject::new("third"), &Condition::Any).await.unwrap();
    let read = store.get(&key).await.unwrap();
    assert_eq!(
        (read.bytes.as_slice(), &read.head.version),
        (b"third".as_slice(), &third)
    );
    // The same bytes by another writer are not the own write.
    aws.middleman.first(1, Action::Cut, is_put);
    let refused = store
        .put(&key, NewObject::new("third"), &Condition::Absent)
        .await
        .unwrap_err();
    assert!(refused.is_condition_failed(), "{refused:?}");
    let refused = store
        .put(&key, NewObject::new("third"), &Condition::Version(second))
        .await
        .unwrap_err();
    assert!(refused.is_condition_failed(), "{refused:?}");
    aws.middleman
        .first(1, Action::LoseResponse, |seen| seen.method == http::Method::DELETE);
    store.delete(&key, Some(&third)).await.unwrap();
}

#[tokio::test]
async fn write_whose_effect_cannot_be_read_has_an_unknown_outcome() {
    let aws = Aws::start().await;
    let store = aws.store();
    let key = key("unknown/outcome");
    aws.middleman.set(|seen| {
        if seen.is_put() {
            Action::LoseResponse
        } else {
            Action::Cut
        }
    });
    let error = store.put(&key, NewObject::new("x"), &Condition::Any).await.unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownOutcome { .. }) && error.is_transient(),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("s3://gaib-backups-123456789012/production/one/unknown/outcome"),
        "{error}"
    );
    // Where the store can be read, it decides.
    aws.middleman
        .set(|seen| if seen.is_put() { FAILED } else { Action::Forward });
    let other = "unknown/failed".parse().unwrap();
    let error = store
        .put(&other, NewObject::new("x"), &Condition::Any)
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::Unavailable { attempts: 3, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn permanent_failures_of_s3_are_named() {
    let aws = Aws::start().await;
    let store = aws.store();
    store.check().await.unwrap();
    let key = key("permanent/object");
    aws.middleman.set(|_| DENIED);
    let before = aws.middleman.count();
    let error = store.put(&key, NewObject::new("x"), &Condition::Any).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    assert!(
        error.to_string().contains("s3:PutObject") && error.to_string().contains("AWS_PROFILE"),
        "{error}"
    );
    assert_eq!(aws.middleman.count(), before + 1, "a denied request is not repeated");
    aws.middleman.set(|_| SLOW_DOWN);
    let error = store.get(&key).await.unwrap_err();
    assert!(matches!(error, StoreError::Throttled { attempts: 3, .. }), "{error:?}");
    aws.middleman.set(|_| FAILED);
    let error = store.list("").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    aws.middleman.set(|_| Action::Forward);
    let error = aws.store_in("no-such-bucket").get(&key).await.unwrap_err();
    assert!(matches!(error, StoreError::NoBucket { .. }), "{error:?}");
    assert!(error.to_string().contains("BACKUP_STORE"), "{error}");
}

#[tokio::test]
async fn slow_store_ends_in_a_time_limit() {
    let aws = Aws::start().await;
    let store = aws.store();
    aws.middleman.set(|_| Action::Delay(Duration::from_secs(60)));
    let began = Instant::now();
    let error = store.get(&key("slow/object")).await.unwrap_err();
    assert!(matches!(error, StoreError::TimedOut { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn content_that_ends_early_is_read_again() {
    let aws = Aws::start().await;
    let store = aws.store();
    let key = key("truncated/object");
    store
        .put(&key, NewObject::new("0123456789"), &Condition::Any)
        .await
        .unwrap();
    let is_get = |seen: &Seen| seen.method == http::Method::GET;
    aws.middleman.first(1, Action::Truncate, is_get);
    assert_eq!(store.get(&key).await.unwrap().bytes, b"0123456789");
}

#[tokio::test]
async fn store_that_ignores_conditions_is_refused_before_the_first_write() {
    let aws = Aws::start().await;
    let store = aws.store();
    aws.middleman.set(|_| Action::WithoutConditions);
    let key = key("ignored/conditions");
    let error = store
        .put(&key, NewObject::new("x"), &Condition::Absent)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::IgnoresConditions { .. }), "{error:?}");
    assert_eq!(store.list("").await.unwrap(), []);
    store.put(&key, NewObject::new("x"), &Condition::Any).await.unwrap();
}

#[tokio::test]
async fn faults_of_the_catalogue_are_retried_and_nothing_counts_twice() {
    let aws = Aws::start().await;
    let catalogue = aws.catalogue();
    for action in [THROTTLED, Action::Cut, Action::LoseResponse] {
        let new_use = || Use::new(SERVER, Plan::Free, Operation::Restore, NOW).unwrap();
        let uses = [new_use(), new_use(), new_use()];
        for counted in &uses {
            aws.middleman.first(1, action, |seen| seen.operation() == "UpdateItem");
            assert!(catalogue.take(counted).await.unwrap(), "{action:?}");
        }
        assert!(!catalogue.take(&new_use()).await.unwrap(), "{action:?}");
        for counted in &uses {
            aws.middleman.first(1, action, |seen| seen.operation() == "UpdateItem");
            catalogue.give_back(counted).await.unwrap();
        }
        aws.middleman.first(2, action, |_| true);
        assert_eq!(catalogue.plan(SERVER).await.unwrap(), Plan::Free);
    }
    aws.middleman.set(|_| THROTTLED);
    let error = catalogue.plan(SERVER).await.unwrap_err();
    assert!(
        matches!(error, CatalogueError::Throttled { attempts: 3, .. }) && error.is_transient(),
        "{error:?}"
    );
    aws.middleman.set(|_| {
        Action::Respond(
            400,
            "{\"__type\":\"AccessDeniedException\",\"message\":\"not authorized\"}",
        )
    });
    let error = catalogue.plan(SERVER).await.unwrap_err();
    assert!(
        matches!(error, CatalogueError::Denied { .. }) && !error.is_transient(),
        "{error:?}"
    );
}

#[tokio::test]
async fn backup_survives_every_lost_response() {
    let aws = Aws::start().await;
    let vault = aws.vault(LimitPolicy::ByPlan);
    let content = state(SERVER, 1);
    aws.middleman.first(1, Action::LoseResponse, is_put);
    let one = vault.create_backup(new_backup(SERVER, &content), NOW).await.unwrap();
    aws.middleman
        .first(1, Action::LoseResponse, |seen| seen.operation() == "PutItem");
    let two = vault.create_backup(new_backup(SERVER, &content), NOW).await.unwrap();
    aws.middleman.set(|_| Action::Forward);
    let page = vault.list(SERVER, RecordKind::Backup, 20, None, NOW).await.unwrap();
    assert_eq!(page.records, [two.clone(), one]);
    assert_eq!(vault.store().list("state/").await.unwrap().len(), 2);
    assert_eq!(vault.read_backup(&two, &expected(SERVER)).await.unwrap(), content);
    // Damage in the bucket.
    let key = two.object().unwrap();
    let mut damaged = vault.store().get(&key).await.unwrap().bytes;
    damaged[7] ^= 1;
    vault
        .store()
        .put(&key, NewObject::new(damaged), &Condition::Any)
        .await
        .unwrap();
    let error = vault.read_backup(&two, &expected(SERVER)).await.unwrap_err();
    assert!(matches!(error, VaultError::Damaged { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&format!("s3://gaib-backups-123456789012/production/one/{key}")),
        "{error}"
    );
}
