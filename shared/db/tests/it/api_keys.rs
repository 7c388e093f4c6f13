use arrakis_db::{ApiKeyScope, DbError, NewApiKey};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::fixtures::{connect, is_refused, onboard, one_community, run};

fn key(hash: u8) -> NewApiKey<'static> {
    NewApiKey {
        id: Uuid::now_v7(),
        name: "console",
        prefix: "arrakis_abcdefgh",
        hash: [hash; 32],
        scopes: &[ApiKeyScope::UsersRead, ApiKeyScope::UsersExport],
        created_by: "stilgar",
        user: None,
        expires_at: OffsetDateTime::now_utc() + Duration::days(1),
    }
}

#[tokio::test]
async fn key_is_found_by_its_hash_until_it_is_revoked() {
    let (test, database, community) = one_community().await;
    let admin = test.admin().await;
    let (own, platform) = (key(1), key(2));
    let mut tx = database.tenant(community).await.unwrap();
    tx.create_api_key(&own).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = admin.database().global().await.unwrap();
    tx.create_platform_api_key(&platform).await.unwrap();
    tx.commit().await.unwrap();

    let now = OffsetDateTime::now_utc();
    for (new, expected) in [(&own, Some(community)), (&platform, None)] {
        let found = admin.api_key_by_hash(&new.hash).await.unwrap().unwrap();
        assert_eq!(
            (found.id, found.community, found.name.as_str()),
            (new.id, expected, "console")
        );
        assert_eq!(found.scopes, new.scopes);
        assert!(found.is_valid(now) && !found.is_valid(now + Duration::days(2)));
    }
    assert_eq!(admin.api_key_by_hash(&[3; 32]).await.unwrap(), None);

    let mut tx = database.tenant(community).await.unwrap();
    assert!(tx.revoke_api_key(own.id, "stilgar").await.unwrap());
    assert!(
        !tx.revoke_api_key(own.id, "stilgar").await.unwrap(),
        "it is revoked already"
    );
    assert!(!tx.revoke_api_key(platform.id, "stilgar").await.unwrap());
    let listed = tx.api_keys().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(!admin.api_key_by_hash(&own.hash).await.unwrap().unwrap().is_valid(now));
    let mut tx = admin.database().global().await.unwrap();
    assert!(tx.revoke_platform_api_key(platform.id, "stilgar").await.unwrap());
    assert_eq!(tx.platform_api_keys().await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    assert!(
        !admin
            .api_key_by_hash(&platform.hash)
            .await
            .unwrap()
            .unwrap()
            .is_valid(now)
    );
}

#[tokio::test]
async fn of_two_revocations_at_once_one_is_recorded() {
    let (test, database, community) = one_community().await;
    let admin = test.admin().await;
    let new = key(1);
    let mut tx = database.tenant(community).await.unwrap();
    tx.create_api_key(&new).await.unwrap();
    tx.commit().await.unwrap();
    let found = admin.api_key_by_hash(&new.hash).await.unwrap().unwrap();
    assert!(admin.api_key_is_valid(&found).await.unwrap());
    let revoke = async |by: &str| {
        let mut tx = database.tenant(community).await.unwrap();
        let is_first = tx.revoke_api_key(new.id, by).await.unwrap();
        tx.commit().await.unwrap();
        is_first
    };
    let (one, other) = tokio::join!(revoke("stilgar"), revoke("chani"));
    assert!(one != other, "{one} {other}");
    assert!(!admin.api_key_is_valid(&found).await.unwrap());
}

#[tokio::test]
async fn key_that_has_expired_or_is_of_another_owner_is_not_valid() {
    let (test, database, community) = one_community().await;
    let admin = test.admin().await;
    let mut expired = key(1);
    expired.expires_at = OffsetDateTime::now_utc() - Duration::seconds(1);
    let valid = key(2);
    let mut tx = database.tenant(community).await.unwrap();
    tx.create_api_key(&expired).await.unwrap();
    tx.create_api_key(&valid).await.unwrap();
    tx.commit().await.unwrap();
    let found = admin.api_key_by_hash(&expired.hash).await.unwrap().unwrap();
    assert!(!admin.api_key_is_valid(&found).await.unwrap());
    let mut moved = admin.api_key_by_hash(&valid.hash).await.unwrap().unwrap();
    assert!(admin.api_key_is_valid(&moved).await.unwrap());
    moved.community = None;
    assert!(!admin.api_key_is_valid(&moved).await.unwrap());
}

#[tokio::test]
async fn use_is_recorded_at_most_once_an_hour() {
    let (test, database, community) = one_community().await;
    let admin = test.admin().await;
    let new = key(1);
    let mut tx = database.tenant(community).await.unwrap();
    tx.create_api_key(&new).await.unwrap();
    tx.commit().await.unwrap();
    let start = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    let used_at = async |at: OffsetDateTime| {
        let found = admin.api_key_by_hash(&new.hash).await.unwrap().unwrap();
        admin.record_api_key_use(&found, at).await.unwrap();
        admin
            .api_key_by_hash(&new.hash)
            .await
            .unwrap()
            .unwrap()
            .last_used_at
            .unwrap()
    };
    assert_eq!(used_at(start).await, start);
    assert_eq!(used_at(start + Duration::minutes(59)).await, start);
    let later = start + Duration::minutes(60);
    assert_eq!(used_at(later).await, later);
}

#[tokio::test]
async fn app_login_cannot_read_or_create_keys_of_the_platform_or_of_another_tenant() {
    let (test, database, community) = one_community().await;
    let other = onboard(&database, 200).await;
    let mut tx = database.tenant(other).await.unwrap();
    tx.create_api_key(&key(1)).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    assert_eq!(tx.api_keys().await.unwrap(), []);
    tx.commit().await.unwrap();
    let mut tx = database.global().await.unwrap();
    let created = tx.create_platform_api_key(&key(2)).await;
    assert!(matches!(created, Err(DbError::Refused { .. })), "{created:?}");
    let mut app = connect(&test.app_url()).await;
    for sql in [
        "select * from platform_api_keys",
        "update platform_api_keys set revoked_at = null",
    ] {
        let outcome = run(&mut app, sql).await;
        assert!(is_refused(&outcome), "{sql}: {outcome:?}");
    }
}
