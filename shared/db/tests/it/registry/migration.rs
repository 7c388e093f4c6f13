//! Verifications from before the registry are migrated.

use arrakis_config::Secret;
use arrakis_db::registry::{Account, EventSource, MigratedVerifications, RefusedVerification, migrate_verifications};
use arrakis_db::{Database, UserId};
use arrakis_test_support::TestDatabase;
use time::OffsetDateTime;

use super::{address, all_events, held, identity, member, minute, wallet};
use crate::fixtures::{connect, one_community, run, user};

async fn migrate(test: &TestDatabase) -> MigratedVerifications {
    migrate_verifications(&Secret::new(test.owner_url())).await.unwrap()
}

/// A row of `wallet_verifications`.
async fn verification(test: &TestDatabase, token: &str, id: u64, number: u8, verified: i64, removed: Option<i64>) {
    let at = |at: OffsetDateTime| format!("to_timestamp({})", at.unix_timestamp());
    let sql = format!(
        "insert into wallet_verifications (token_profile_id, verification_id, address, discord_user_id, verified_at, removed_at)
         values ('{token}', gen_random_uuid(), '{}', {id}, {}, {})",
        address(number),
        at(minute(verified)),
        removed.map_or("null".to_owned(), |removed| at(minute(removed)))
    );
    run(&mut connect(&test.app_url()).await, &sql).await.unwrap();
}

async fn second_token(test: &TestDatabase) {
    let sql = "insert into token_profiles (token_profile_id, name, symbol, chain_id, contract, decimals)
               select 'other', name, symbol, 1, contract, decimals from token_profiles";
    run(&mut connect(&test.app_url()).await, sql).await.unwrap();
}

async fn holdings(database: &Database, id: u64) -> Vec<arrakis_domain::Address> {
    let mut tx = database.global().await.unwrap();
    let record = tx.registry().by_account(Account::Discord(user(id))).await.unwrap();
    record.map(|record| held(&record)).unwrap_or_default()
}

fn counts(migrated: u64, removed: u64, already_there: u64, conflicts: &[(&'static str, u64)]) -> MigratedVerifications {
    MigratedVerifications {
        migrated,
        removed,
        already_there,
        conflicts: conflicts.iter().copied().collect(),
        refused: Vec::new(),
    }
}

/// The wallet of this number, verified by `id` and held by Discord user `holder`.
fn wallet_held(number: u8, id: u64, holder: u64) -> RefusedVerification {
    RefusedVerification {
        address: address(number),
        user: user(id),
        holder: Some(format!("Discord user {holder}")),
        conflict: "wallet_held",
    }
}

#[tokio::test]
async fn verifications_are_migrated_once_with_their_times() {
    let (test, database, community) = one_community().await;
    second_token(&test).await;
    let mut tx = database.tenant(community).await.unwrap();
    for (id, name, number) in [(1, "Chani", 1), (2, "Stilgar", 2), (3, "Jamis", 3)] {
        tx.profiles().join(user(id), name, minute(0)).await.unwrap();
        tx.profiles()
            .link_wallet(user(id), Some(address(number)))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    // Chani's for two tokens, overlapping: one verification from 10 on. Before, the wallet was Stilgar's.
    verification(&test, "bgt", 2, 1, 5, Some(9)).await;
    verification(&test, "bgt", 1, 1, 10, Some(20)).await;
    verification(&test, "other", 1, 1, 15, None).await;
    verification(&test, "bgt", 2, 2, 9, None).await;
    // Held by two users for two tokens: the first one keeps it.
    verification(&test, "bgt", 4, 4, 30, None).await;
    verification(&test, "other", 5, 4, 31, None).await;
    // Two periods of one user.
    verification(&test, "bgt", 4, 5, 40, Some(41)).await;
    verification(&test, "bgt", 4, 5, 42, None).await;

    let mut expected = counts(7, 2, 0, &[("wallet_held", 1)]);
    expected.refused = vec![wallet_held(4, 5, 4)];
    assert_eq!(migrate(&test).await, expected);
    assert_eq!(holdings(&database, 1).await, [address(1)]);
    assert_eq!(holdings(&database, 2).await, [address(2)]);
    assert_eq!(holdings(&database, 3).await, [address(3)], "from the profile alone");
    assert_eq!(holdings(&database, 4).await, [address(4), address(5)]);
    assert!(holdings(&database, 5).await.is_empty());
    let events = all_events(&database).await;
    assert!(events.iter().all(|event| event.source == EventSource::Migration));
    let mut tx = database.global().await.unwrap();
    let chani = tx
        .registry()
        .by_account(Account::Discord(user(1)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(chani.identity.display_name, "Chani");
    assert_eq!(
        (chani.identity.created_at, chani.wallets[0].verified_at),
        (minute(10), minute(10))
    );
    // At minute 7 the wallet was Stilgar's.
    let stilgar = tx
        .registry()
        .by_account(Account::Discord(user(2)))
        .await
        .unwrap()
        .unwrap()
        .identity
        .id;
    let then = tx.registry().replayed(stilgar, minute(7)).await.unwrap().unwrap();
    assert_eq!(held(&then), [address(1)]);
    assert_eq!(then.identity.created_at, minute(5));
    assert_eq!(
        tx.registry().replayed(chani.identity.id, minute(7)).await.unwrap(),
        None
    );
    tx.commit().await.unwrap();

    let again = migrate(&test).await;
    let mut expected = counts(0, 0, 7, &[("wallet_held", 1)]);
    expected.refused = vec![wallet_held(4, 5, 4)];
    assert_eq!(again, expected);
    assert_eq!(all_events(&database).await, events);
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

#[tokio::test]
async fn registry_is_right_where_it_has_the_wallet_already() {
    let (test, database, community) = one_community().await;
    verification(&test, "bgt", 1, 1, 10, None).await;
    verification(&test, "bgt", 2, 2, 10, None).await;
    let mut tx = database.tenant(community).await.unwrap();
    for (id, number) in [(3, 3), (4, 4)] {
        tx.profiles().join(user(id), "Member", minute(0)).await.unwrap();
        tx.profiles()
            .link_wallet(user(id), Some(address(number)))
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    // The members unlinked after the new build came, before or after the migration.
    let unlink = async |id: u64, number: u8, at: i64| {
        let mut tx = database.global().await.unwrap();
        let mut registry = tx.registry();
        let account = Account::Discord(UserId::new(id).unwrap());
        let identity = registry.by_account(account).await.unwrap().unwrap().identity.id;
        registry
            .remove_wallet(identity, address(number), "unlinked", member(at))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let mut tx = database.global().await.unwrap();
    identity(&mut tx, 1, &[1]).await;
    identity(&mut tx, 3, &[3]).await;
    tx.commit().await.unwrap();
    unlink(1, 1, 20).await;
    unlink(3, 3, 20).await;
    assert_eq!(migrate(&test).await, counts(2, 0, 2, &[]));
    unlink(2, 2, 30).await;
    unlink(4, 4, 300_000).await;
    // The profile is written after the wallet was unlinked: it is a copy that is behind.
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().rename(user(4), "Renamed").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(migrate(&test).await, counts(0, 0, 4, &[]));
    for id in 1..=4 {
        assert!(holdings(&database, id).await.is_empty(), "{id}");
    }
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

/// An identity that exists when the migration runs: the wallet keeps its time, the event comes behind the identity's last one.
#[tokio::test]
async fn migrated_wallet_of_an_existing_identity_keeps_its_time() {
    let (test, database, _) = one_community().await;
    verification(&test, "bgt", 1, 1, -50, None).await;
    let mut tx = database.global().await.unwrap();
    let chani = identity(&mut tx, 1, &[2]).await.id;
    tx.registry()
        .verify_wallet(chani, &wallet(3, 9), member(9))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(migrate(&test).await, counts(1, 0, 0, &[]));
    let mut tx = database.global().await.unwrap();
    let record = super::record(&mut tx, chani).await;
    assert_eq!(record.wallets[2].verified_at, minute(-50));
    assert_eq!(record.identity.updated_at, minute(9));
}

#[tokio::test]
async fn only_the_owner_migrates() {
    let test = TestDatabase::create().await;
    for url in [test.app_url(), test.admin_url()] {
        let error = migrate_verifications(&Secret::new(url)).await.unwrap_err();
        assert!(matches!(error, arrakis_db::DbError::Login(_)), "{error}");
    }
    assert_eq!(migrate(&test).await, MigratedVerifications::default());
}
