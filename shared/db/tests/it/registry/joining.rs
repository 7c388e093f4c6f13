//! Joining two accounts by a proof, separating them, and contract wallets on several chains.

use arrakis_db::registry::{
    Cause, EventSource, Proved, Refusal, Separated, SignatureKind, SignatureRecord, Suspension, TelegramUserId,
    VerifiedWallet,
};
use arrakis_db::{Database, GlobalTx, UserId};
use arrakis_test_support::TestDatabase;

use super::{
    address, admin, all_identities, assert_refused, discord, held, identity, member, minute, record, telegram, wallet,
};

fn by_telegram(at: i64) -> Cause {
    Cause {
        source: EventSource::TelegramVerification,
        at: minute(at),
    }
}

fn contract(number: u8, chain_id: u64) -> VerifiedWallet {
    VerifiedWallet {
        chain_id,
        signature: Some(SignatureRecord {
            kind: SignatureKind::Erc1271,
            digest: [7; 32],
        }),
        ..wallet(number, 1)
    }
}

async fn start() -> (TestDatabase, Database, GlobalTx) {
    let test = TestDatabase::create().await;
    let database = test.admin().await.database().clone();
    let tx = database.global().await.unwrap();
    (test, database, tx)
}

#[tokio::test]
async fn proof_of_the_primary_wallet_joins_and_of_another_one_does_not() {
    let (_test, database, mut tx) = start().await;
    let chani = identity(&mut tx, 7, &[1, 2]).await.id;
    let secondary = tx
        .registry()
        .prove(telegram(9), "Chani", &wallet(2, 1), by_telegram(1))
        .await;
    assert_refused(secondary, Refusal::WalletHeld);
    let joined = tx
        .registry()
        .prove(telegram(9), "Chani", &wallet(1, 1), by_telegram(1))
        .await
        .unwrap();
    assert_eq!(joined, Proved::Joined { with: discord(7) });
    let repeated = tx
        .registry()
        .prove(telegram(9), "Chani", &wallet(1, 2), by_telegram(2))
        .await
        .unwrap();
    assert_eq!(repeated, Proved::AlreadyHeld);
    // It has a Telegram account now; and a second Discord account never joins.
    for account in [telegram(10), discord(8)] {
        let other = tx.registry().prove(account, "Feyd", &wallet(1, 3), member(3)).await;
        assert_refused(other, Refusal::WalletHeld);
    }
    // An account with an identity of its own does not join either.
    identity(&mut tx, 20, &[3]).await;
    tx.registry()
        .prove(telegram(11), "Stilgar", &wallet(4, 3), by_telegram(3))
        .await
        .unwrap();
    let own = tx
        .registry()
        .prove(telegram(11), "Stilgar", &wallet(3, 4), by_telegram(4))
        .await;
    assert_refused(own, Refusal::WalletHeld);
    assert_eq!(
        record(&mut tx, chani)
            .await
            .identity
            .telegram_user
            .map(TelegramUserId::get),
        Some(9)
    );
    tx.commit().await.unwrap();
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

#[tokio::test]
async fn nobody_joins_a_suspended_identity() {
    let (_test, _database, mut tx) = start().await;
    let chani = identity(&mut tx, 7, &[1]).await.id;
    let suspension = Suspension {
        reason: "spam",
        by: "ops",
        until: None,
    };
    tx.registry().suspend(chani, &suspension, admin(1)).await.unwrap();
    let joined = tx
        .registry()
        .prove(telegram(9), "Chani", &wallet(1, 2), by_telegram(2))
        .await;
    assert_refused(joined, Refusal::Suspended);
}

#[tokio::test]
async fn account_that_was_linked_later_leaves_with_what_it_has_verified() {
    let (_test, database, mut tx) = start().await;
    // Discord first, then Telegram, which adds a wallet; so does Discord.
    let chani = identity(&mut tx, 7, &[1]).await.id;
    let mut registry = tx.registry();
    registry
        .prove(telegram(9), "Chani", &wallet(1, 1), by_telegram(1))
        .await
        .unwrap();
    registry
        .prove(telegram(9), "Chani", &wallet(2, 2), by_telegram(2))
        .await
        .unwrap();
    registry
        .prove(discord(7), "Chani", &wallet(3, 3), member(3))
        .await
        .unwrap();
    let separated = registry.separate(chani, "separated", by_telegram(4)).await.unwrap();
    assert_eq!((separated.left, separated.kept), (telegram(9), discord(7)));
    assert_refused(registry.separate(chani, "again", member(5)).await, Refusal::NotJoined);
    assert_eq!(held(&record(&mut tx, chani).await), [address(1), address(3)]);
    assert!(tx.registry().by_account(telegram(9)).await.unwrap().is_none());
    // It can verify its own wallet again, and a signature joins it no more.
    let mut registry = tx.registry();
    let again = registry
        .prove(telegram(9), "Chani", &wallet(1, 6), by_telegram(6))
        .await;
    assert_refused(again, Refusal::WalletHeld);
    registry
        .prove(telegram(9), "Chani", &wallet(2, 6), by_telegram(6))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(all_identities(&database).await.len(), 2);
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

#[tokio::test]
async fn discord_account_that_joined_a_telegram_account_leaves_it() {
    let (_test, database, mut tx) = start().await;
    let mut registry = tx.registry();
    registry
        .prove(telegram(9), "Stilgar", &wallet(1, 1), by_telegram(1))
        .await
        .unwrap();
    let joined = registry
        .prove(discord(7), "Thief", &wallet(1, 2), member(2))
        .await
        .unwrap();
    assert_eq!(joined, Proved::Joined { with: telegram(9) });
    let stilgar = registry.by_account(telegram(9)).await.unwrap().unwrap().identity;
    assert_eq!(stilgar.display_name, "Thief");
    // Whoever requests it, the account that came later leaves.
    let separated = registry.separate(stilgar.id, "separated", member(3)).await.unwrap();
    let expected = Separated {
        left: discord(7),
        kept: telegram(9),
    };
    assert_eq!(separated, expected);
    let record = record(&mut tx, stilgar.id).await;
    assert_eq!(
        (record.identity.display_name.as_str(), held(&record)),
        ("Stilgar", vec![address(1)])
    );
    // With a clock that is behind, the account gets its next identity after the separation, not before it.
    let mut registry = tx.registry();
    registry
        .prove(discord(7), "Thief", &wallet(5, 0), member(0))
        .await
        .unwrap();
    let next = registry.by_account(discord(7)).await.unwrap().unwrap();
    assert_eq!(next.identity.created_at, minute(3));
    tx.commit().await.unwrap();
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

#[tokio::test]
async fn contract_wallet_is_held_for_its_chain_and_a_key_for_all() {
    let (_test, database, mut tx) = start().await;
    let mut registry = tx.registry();
    registry
        .prove(discord(1), "A", &contract(1, 1), member(1))
        .await
        .unwrap();
    // The contract at the same address of another chain is another person's.
    assert_eq!(
        registry
            .prove(discord(2), "B", &contract(1, 2), member(1))
            .await
            .unwrap(),
        Proved::Added
    );
    assert_refused(
        registry.prove(discord(3), "C", &contract(1, 2), member(1)).await,
        Refusal::WalletHeld,
    );
    // A key controls the address on both chains.
    assert_refused(
        registry.prove(discord(3), "C", &wallet(1, 1), member(1)).await,
        Refusal::WalletHeld,
    );
    assert!(registry.by_account(discord(3)).await.unwrap().is_none());
    let holder = registry.holder_of(&contract(1, 2)).await.unwrap().unwrap();
    assert_eq!(holder.identity.discord_user.map(UserId::get), Some(2));
    // And a wallet with a key excludes contracts.
    registry.prove(discord(4), "D", &wallet(2, 1), member(1)).await.unwrap();
    assert_refused(
        registry.prove(discord(5), "E", &contract(2, 9), member(1)).await,
        Refusal::WalletHeld,
    );
    // One of two holders cannot give away what a key would take from both.
    let key = registry
        .prove_moved(discord(1), (discord(6), "F"), &wallet(1, 2), "moved", member(2))
        .await;
    assert_refused(key, Refusal::WalletHeld);
    registry
        .prove_moved(discord(1), (discord(6), "F"), &contract(1, 1), "moved", member(2))
        .await
        .unwrap();
    let moved = registry.by_account(discord(6)).await.unwrap().unwrap();
    assert_eq!(held(&moved), [address(1)]);
    tx.commit().await.unwrap();
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

#[tokio::test]
async fn address_on_several_chains_is_one_wallet_to_its_holder() {
    let (_test, database, mut tx) = start().await;
    let mut registry = tx.registry();
    for chain in [1, 2] {
        registry
            .prove(discord(1), "A", &contract(1, chain), member(1))
            .await
            .unwrap();
    }
    assert_eq!(
        registry
            .prove(discord(1), "A", &contract(1, 2), member(2))
            .await
            .unwrap(),
        Proved::AlreadyHeld
    );
    registry.prove(discord(1), "A", &wallet(2, 2), member(2)).await.unwrap();
    let id = registry.by_account(discord(1)).await.unwrap().unwrap().identity.id;
    registry.set_primary(id, address(2), member(3)).await.unwrap();
    registry.set_primary(id, address(1), member(4)).await.unwrap();
    let primary = registry.by_id(id).await.unwrap().unwrap().primary().cloned().unwrap();
    assert_eq!((primary.address, primary.chain_id), (address(1), 1));
    registry
        .remove_wallet(id, address(1), "unlinked", member(5))
        .await
        .unwrap();
    assert_eq!(held(&record(&mut tx, id).await), [address(2)]);
    tx.commit().await.unwrap();
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

/// What an operation reads while it holds the lock of the head does not grow with the wallets that were removed.
#[tokio::test]
async fn removed_wallets_are_not_read_by_operations() {
    let (test, _database, mut tx) = start().await;
    let chani = identity(&mut tx, 7, &[]).await.id;
    for round in 0..60 {
        let number = u8::try_from(round % 200).unwrap();
        tx.registry()
            .verify_wallet(chani, &wallet(number, round), member(round))
            .await
            .unwrap();
        tx.registry()
            .remove_wallet(chani, address(number), "unlinked", member(round))
            .await
            .unwrap();
    }
    assert_eq!(record(&mut tx, chani).await.wallets.len(), 60);
    tx.commit().await.unwrap();
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    let sql = "explain (format text) select * from identity_wallets where identity_id = any(array[gen_random_uuid()])
               and removed_at is null order by verified_event";
    sqlx::raw_sql("set enable_seqscan = off")
        .execute(&mut owner)
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut owner).await.unwrap();
    assert!(plan.join("\n").contains("identity_wallets_held"), "{plan:#?}");
}
