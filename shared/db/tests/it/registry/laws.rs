//! Laws for random histories: replay equals the tables, at the end and at earlier moments; the trigger and the pure functions
//! accept the same events; concurrent operations keep the chain whole.

use arrakis_db::registry::{
    Account, Cause, Change, EventPayload, EventSource, IdentityId, Proved, Registry, RegistryError, RegistryState,
    SignatureKind, SignatureRecord, Suspension, TelegramUserId, Verified, VerifiedWallet,
};
use arrakis_db::{Database, UserId};
use arrakis_test_support::TestDatabase;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

use super::{address, all_events, all_identities, discord, identity, member, minute, telegram, wallet};
use crate::fixtures::connect;

/// Values of one type, by a random source with a fixed seed.
fn samples<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    let sample = |_| strategy.new_tree(&mut runner).unwrap().current();
    (0..count).map(sample).collect()
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Create(Account),
    Link(usize, Account),
    Verify(usize, u8, Option<SignatureKind>, u64),
    Prove(Account, u8, Option<SignatureKind>, u64),
    ProveMoved(Account, Account, u8),
    Separate(usize),
    Remove(usize, u8),
    SetPrimary(usize, u8),
    Move(usize, usize, u8),
    Suspend(usize, Option<i64>),
    Restore(usize),
    End,
}

fn account() -> impl Strategy<Value = Account> {
    prop_oneof![
        (1_u64..7).prop_map(|id| Account::Discord(UserId::new(id).unwrap())),
        (1_i64..5).prop_map(|id| Account::Telegram(TelegramUserId::new(id).unwrap())),
    ]
}

/// How a wallet is proved: by no signature, by a key, or by a contract.
fn kind() -> impl Strategy<Value = Option<SignatureKind>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(SignatureKind::Eip191)),
        2 => Just(Some(SignatureKind::Erc1271)),
        1 => Just(Some(SignatureKind::Erc6492)),
    ]
}

fn signature(kind: Option<SignatureKind>) -> Option<SignatureRecord> {
    kind.map(|kind| SignatureRecord { kind, digest: [7; 32] })
}

fn proof(number: u8, kind: Option<SignatureKind>, chain_id: u64, at: OffsetDateTime) -> VerifiedWallet {
    VerifiedWallet {
        chain_id,
        signature: signature(kind),
        verified_at: at,
        ..wallet(number, 0)
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let who = 0_usize..6;
    let number = 1_u8..9;
    prop_oneof![
        2 => account().prop_map(Operation::Create),
        1 => (who.clone(), account()).prop_map(|(who, account)| Operation::Link(who, account)),
        5 => (who.clone(), number.clone(), kind(), 1_u64..3)
            .prop_map(|(who, number, kind, chain)| Operation::Verify(who, number, kind, chain)),
        4 => (account(), number.clone(), kind(), 1_u64..3)
            .prop_map(|(account, number, kind, chain)| Operation::Prove(account, number, kind, chain)),
        1 => (account(), account(), number.clone())
            .prop_map(|(from, to, number)| Operation::ProveMoved(from, to, number)),
        2 => who.clone().prop_map(Operation::Separate),
        3 => (who.clone(), number.clone()).prop_map(|(who, number)| Operation::Remove(who, number)),
        2 => (who.clone(), number.clone()).prop_map(|(who, number)| Operation::SetPrimary(who, number)),
        2 => (who.clone(), who.clone(), number).prop_map(|(from, to, number)| Operation::Move(from, to, number)),
        2 => (who.clone(), prop::option::of(1_i64..8)).prop_map(|(who, until)| Operation::Suspend(who, until)),
        1 => who.prop_map(Operation::Restore),
        1 => Just(Operation::End),
    ]
}

/// Runs an operation in a transaction of its own; a refusal is as good as a success.
async fn run(database: &Database, known: &mut Vec<IdentityId>, operation: Operation, cause: Cause) {
    let mut tx = database.global().await.unwrap();
    let mut registry = tx.registry();
    let before = known.clone();
    let id = |who: usize| before[who % before.len()];
    let at = cause.at;
    let result = match operation {
        Operation::Create(account) => {
            let created = registry.create(account, "Name", cause).await;
            created.map(|identity| {
                if !known.contains(&identity.id) {
                    known.push(identity.id);
                }
            })
        }
        _ if before.is_empty() => Ok(()),
        Operation::Link(who, account) => registry.link(id(who), account, "Linked", cause).await,
        Operation::Verify(who, number, kind, chain) => {
            let verified = proof(number, kind, chain, at);
            registry.verify_wallet(id(who), &verified, cause).await.map(drop)
        }
        Operation::Prove(account, number, kind, chain) => {
            let proved = registry
                .prove(account, "Prover", &proof(number, kind, chain, at), cause)
                .await;
            note_identity(&mut registry, known, account).await;
            proved.map(drop)
        }
        Operation::ProveMoved(from, to, number) => {
            let wallet = proof(number, None, 1, at);
            let moved = registry.prove_moved(from, (to, "Mover"), &wallet, "moved", cause).await;
            note_identity(&mut registry, known, to).await;
            moved
        }
        Operation::Separate(who) => registry.separate(id(who), "separated", cause).await.map(drop),
        Operation::Remove(who, number) => {
            registry
                .remove_wallet(id(who), address(number), "unlinked", cause)
                .await
        }
        Operation::SetPrimary(who, number) => registry.set_primary(id(who), address(number), cause).await,
        Operation::Move(from, to, number) => {
            registry
                .move_wallet(id(from), id(to), &wallet(number, 0), "moved", cause)
                .await
        }
        Operation::Suspend(who, minutes) => {
            let suspension = Suspension {
                reason: "spam",
                by: "ops",
                until: minutes.map(|minutes| at + time::Duration::minutes(minutes)),
            };
            registry.suspend(id(who), &suspension, cause).await
        }
        Operation::Restore(who) => registry.restore(id(who), "appeal", "ops", cause).await,
        Operation::End => registry.end_expired_suspensions(at, 3).await.map(drop),
    };
    match result {
        Ok(()) => tx.commit().await.unwrap(),
        Err(RegistryError::Refused(_)) => tx.commit().await.unwrap(),
        Err(RegistryError::Db(error)) => panic!("{operation:?}: {error}"),
    }
}

async fn note_identity(registry: &mut Registry<'_>, known: &mut Vec<IdentityId>, account: Account) {
    let found = registry
        .by_account(account)
        .await
        .unwrap()
        .map(|record| record.identity.id);
    if let Some(id) = found.filter(|id| !known.contains(id)) {
        known.push(id);
    }
}

async fn assert_replay_equals_tables(database: &Database) {
    let events = all_events(database).await;
    let state = RegistryState::replay(&events).unwrap();
    let tables = all_identities(database).await;
    assert_eq!(state.identities().cloned().collect::<Vec<_>>(), tables);
    let report = database.verify_registry().await.unwrap();
    assert_eq!(report.problem, None);
    assert_eq!(
        (report.events, report.identities),
        (events.len() as u64, tables.len() as u64)
    );
    assert_eq!(report.head.hash, events.last().unwrap().hash);
}

/// The events up to a moment are a history of their own, and the database replays the same state from them.
async fn assert_replay_at(database: &Database, at: OffsetDateTime) {
    let events = all_events(database).await;
    let state = RegistryState::replay(events.iter().filter(|event| event.occurred_at <= at)).unwrap();
    let mut tx = database.global().await.unwrap();
    let (mut replayed, mut after) = (Vec::new(), None);
    loop {
        let (page, last) = tx.registry().replayed_page(after, at, 2).await.unwrap();
        replayed.extend(page);
        if last.is_none() {
            break;
        }
        after = last;
    }
    tx.commit().await.unwrap();
    assert_eq!(state.identities().cloned().collect::<Vec<_>>(), replayed, "at {at}");
}

#[tokio::test]
async fn replay_of_random_histories_equals_the_tables() {
    // A clock may go back a little: another worker's is behind.
    let step = (operation(), -2_i64..5, prop::bool::ANY);
    for case in samples(&prop::collection::vec(step, 60), 4) {
        let test = TestDatabase::create().await;
        let database = test.admin().await.database().clone();
        let (mut known, mut now) = (Vec::new(), 10);
        for (operation, passed, by_member) in case {
            now += passed;
            let source = if by_member {
                EventSource::DiscordVerification
            } else {
                EventSource::Admin
            };
            let cause = Cause {
                source,
                at: minute(now),
            };
            run(&database, &mut known, operation, cause).await;
        }
        assert_replay_equals_tables(&database).await;
        for at in [0, 15, 30, 45, now] {
            assert_replay_at(&database, minute(at)).await;
        }
    }
}

fn payload() -> impl Strategy<Value = EventPayload> {
    let number = || (1_u8..5).prop_map(address);
    let user = || (1_u64..5).prop_map(|id| UserId::new(id).unwrap());
    let telegram_user = || (1_i64..4).prop_map(|id| TelegramUserId::new(id).unwrap());
    let name = || Just("Name".to_owned());
    prop_oneof![
        3 => (prop::option::of(user()), prop::option::of(telegram_user()), name()).prop_map(
            |(discord_user, telegram_user, display_name)| EventPayload::IdentityCreated {
                discord_user,
                telegram_user,
                display_name
            }
        ),
        1 => (user(), name()).prop_map(|(discord_user, display_name)| EventPayload::DiscordLinked {
            discord_user,
            display_name
        }),
        1 => (telegram_user(), name()).prop_map(|(telegram_user, display_name)| EventPayload::TelegramLinked {
            telegram_user,
            display_name
        }),
        1 => (user(), name(), name()).prop_map(|(discord_user, display_name, reason)| EventPayload::DiscordUnlinked {
            discord_user,
            display_name,
            reason
        }),
        1 => (telegram_user(), name()).prop_map(|(telegram_user, reason)| EventPayload::TelegramUnlinked {
            telegram_user,
            reason
        }),
        5 => (number(), prop::bool::ANY, kind(), 1_u64..3).prop_map(
            |(address, is_primary, kind, chain_id)| EventPayload::WalletVerified {
                address,
                chain_id,
                is_primary,
                signature: signature(kind),
                verified_at: minute(0)
            }
        ),
        2 => (number(), name()).prop_map(|(address, reason)| EventPayload::WalletRemoved { address, reason }),
        2 => number().prop_map(|address| EventPayload::WalletSetPrimary { address }),
        2 => (name(), name(), prop::option::of(0_i64..300)).prop_map(|(reason, by, until)| {
            EventPayload::IdentitySuspended {
                reason,
                by,
                expires_at: until.map(minute),
            }
        }),
        2 => (name(), name()).prop_map(|(reason, by)| EventPayload::IdentityRestored { reason, by }),
    ]
}

async fn insert(connection: &mut PgConnection, id: IdentityId, change: Change<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "insert into identity_events (event_id, identity_id, event_type, source, occurred_at, payload)
         values (gen_random_uuid(), $1, $2, $3, $4, $5) returning sequence",
    )
    .bind(id.uuid())
    .bind(change.payload.event_type().as_str())
    .bind(change.source.as_str())
    .bind(change.occurred_at)
    .bind(change.payload.encode())
    .fetch_one(connection)
    .await
}

/// Events without any check by an operation: the trigger in SQL and the functions in Rust accept the same ones.
#[tokio::test]
async fn trigger_and_replay_accept_the_same_events() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut owner = connect(&test.owner_url()).await;
    let ids: Vec<_> = (0..4).map(|_| IdentityId::new()).collect();
    let source = prop::sample::select(vec![EventSource::Admin, EventSource::Expiry]);
    let (mut state, mut accepted, mut now) = (RegistryState::default(), 0, 0);
    for (who, payload, passed, source) in samples(&(0_usize..4, payload(), -1_i64..3, source), 900) {
        now += passed;
        let change = Change {
            sequence: accepted + 1,
            source,
            occurred_at: minute(now),
            payload: &payload,
        };
        let expected = state.apply(ids[who], change);
        let mut savepoint = owner.begin().await.unwrap();
        match insert(&mut savepoint, ids[who], change).await {
            Ok(sequence) => {
                savepoint.commit().await.unwrap();
                accepted += 1;
                assert_eq!(expected, Ok(()), "the trigger accepted {change:?}");
                assert_eq!(sequence.cast_unsigned(), accepted);
            }
            Err(error) => {
                savepoint.rollback().await.unwrap();
                assert!(expected.is_err(), "the trigger refused {change:?}: {error}");
            }
        }
    }
    assert!(
        accepted > 30,
        "{accepted} events were accepted: too few for a comparison"
    );
    assert_eq!(
        state.identities().cloned().collect::<Vec<_>>(),
        all_identities(&database).await
    );
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

/// Pools of several workers.
async fn pools(test: &TestDatabase, count: usize) -> Vec<Database> {
    let mut pools = Vec::new();
    for _ in 0..count {
        pools.push(test.database().await);
    }
    pools
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_verifications_of_one_wallet_leave_one_owner() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    let mut identities = Vec::new();
    for id in 1..=8 {
        identities.push(identity(&mut tx, id, &[]).await.id);
    }
    tx.commit().await.unwrap();
    let pools = pools(&test, 8).await;
    for number in 1..=5 {
        let tasks: Vec<_> = identities
            .iter()
            .zip(&pools)
            .map(|(id, database)| {
                let (database, id) = (database.clone(), *id);
                tokio::spawn(async move {
                    let mut tx = database.global().await.unwrap();
                    let result = tx.registry().verify_wallet(id, &wallet(number, 1), member(1)).await;
                    tx.commit().await.unwrap();
                    result
                })
            })
            .collect();
        let mut added = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(Verified::Added) => added += 1,
                Ok(Verified::AlreadyHeld) => panic!("no identity held it before"),
                Err(error) => assert_eq!(
                    error.refusal(),
                    Some(arrakis_db::registry::Refusal::WalletHeld),
                    "{error}"
                ),
            }
        }
        assert_eq!(added, 1, "wallet {number}");
    }
    assert_replay_equals_tables(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creations_for_one_account_make_one_identity() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let pools = pools(&test, 8).await;
    for account in [discord(7), telegram(7)] {
        let tasks: Vec<_> = pools
            .iter()
            .map(|database| {
                let database = database.clone();
                tokio::spawn(async move {
                    let mut tx = database.global().await.unwrap();
                    let identity = tx.registry().create(account, "Chani", member(0)).await.unwrap();
                    tx.commit().await.unwrap();
                    identity.id
                })
            })
            .collect();
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(task.await.unwrap());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }
    assert_replay_equals_tables(&database).await;
}

/// Appends wait for the head; nothing is lost and no number is left out, also when transactions roll back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_append_without_gaps() {
    const EACH: u64 = 25;
    let test = TestDatabase::create().await;
    let pools = pools(&test, 8).await;
    let tasks: Vec<_> = (0_u64..)
        .zip(&pools)
        .map(|(writer, database)| {
            let database = database.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let mut tx = database.global().await.unwrap();
                    let account = discord(1 + writer * EACH + n);
                    tx.registry().create(account, "Chani", member(0)).await.unwrap();
                    if n % 5 == 0 {
                        drop(tx);
                    } else {
                        tx.commit().await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let report = pools[0].verify_registry().await.unwrap();
    assert_eq!((report.problem, report.events), (None, 8 * EACH * 4 / 5));
}

/// Many accounts without an identity prove one wallet at once: one gets it, and the others leave no identity behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_race_for_a_wallet_leaves_no_identity() {
    let test = TestDatabase::create().await;
    let pools = pools(&test, 8).await;
    for number in 1..=5 {
        let tasks: Vec<_> = (1_u64..)
            .zip(&pools)
            .map(|(id, database)| {
                let database = database.clone();
                let account = discord(u64::from(number) * 100 + id);
                tokio::spawn(async move {
                    let mut tx = database.global().await.unwrap();
                    let result = tx
                        .registry()
                        .prove(account, "Fremen", &wallet(number, 1), member(1))
                        .await;
                    tx.commit().await.unwrap();
                    result.map_err(|error| error.refusal())
                })
            })
            .collect();
        let mut added = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(Proved::Added) => added += 1,
                other => assert_eq!(other, Err(Some(arrakis_db::registry::Refusal::WalletHeld))),
            }
        }
        assert_eq!(added, 1, "wallet {number}");
    }
    let identities = all_identities(&pools[0]).await;
    assert_eq!(identities.len(), 5);
    assert!(identities.iter().all(|record| record.held().count() == 1));
    assert_replay_equals_tables(&pools[0]).await;
}

/// A Discord and a Telegram account prove the wallet of one of them at once, many times: they join, or one of them joins; neither is
/// without a wallet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_proofs_of_two_networks_join_two_accounts() {
    let test = TestDatabase::create().await;
    let pools = pools(&test, 2).await;
    for number in 1..=8 {
        let tasks: Vec<_> = [discord(number.into()), telegram(number.into())]
            .into_iter()
            .zip(&pools)
            .map(|(account, database)| {
                let database = database.clone();
                tokio::spawn(async move {
                    let mut tx = database.global().await.unwrap();
                    let proved = tx
                        .registry()
                        .prove(account, "Chani", &wallet(number, 1), member(1))
                        .await
                        .unwrap();
                    tx.commit().await.unwrap();
                    proved
                })
            })
            .collect();
        let mut joined = 0;
        for task in tasks {
            joined += usize::from(matches!(task.await.unwrap(), Proved::Joined { .. }));
        }
        assert_eq!(joined, 1, "wallet {number}");
    }
    let identities = all_identities(&pools[0]).await;
    assert_eq!(identities.len(), 8);
    assert!(
        identities
            .iter()
            .all(|record| record.held().count() == 1 && record.identity.telegram_user.is_some())
    );
    assert_replay_equals_tables(&pools[0]).await;
}
