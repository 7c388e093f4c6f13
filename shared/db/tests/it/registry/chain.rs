//! Verification finds what somebody with every right on the database did to it, and names the first bad event.

use arrakis_db::Database;
use arrakis_db::registry::{Problem, ProblemKind, Suspension};
use arrakis_test_support::TestDatabase;

use super::{admin, identity, minute};
use crate::fixtures::{connect, run};

/// Nine events: two identities with two wallets each; the first is suspended, restored and suspended again.
async fn registry() -> (TestDatabase, Database) {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let operators = test.admin().await;
    let mut tx = operators.database().global().await.unwrap();
    let chani = identity(&mut tx, 7, &[1, 2]).await.id;
    identity(&mut tx, 8, &[3, 4]).await;
    let suspension = Suspension {
        reason: "spam",
        by: "ops",
        until: Some(minute(100)),
    };
    let mut registry = tx.registry();
    registry.suspend(chani, &suspension, admin(1)).await.unwrap();
    registry.restore(chani, "appeal", "ops", admin(2)).await.unwrap();
    registry.suspend(chani, &suspension, admin(3)).await.unwrap();
    tx.commit().await.unwrap();
    let report = database.verify_registry().await.unwrap();
    assert_eq!((report.problem, report.events, report.identities), (None, 9, 2));
    (test, database)
}

/// Runs this as the owner with the guards switched off, then verifies.
async fn tampered(sql: &str) -> Problem {
    let (test, database) = registry().await;
    let mut owner = connect(&test.owner_url()).await;
    run(
        &mut owner,
        "alter table identity_events disable trigger user; alter table identity_chain_head disable trigger user;
         alter table identity_wallets drop constraint identity_wallets_verified_event_fkey",
    )
    .await
    .unwrap();
    assert!(run(&mut owner, sql).await.unwrap() > 0, "{sql} changed nothing");
    let report = database.verify_registry().await.unwrap();
    match report.problem {
        Some(problem) => problem,
        None => panic!("not found: {sql}"),
    }
}

#[track_caller]
fn assert_problem(problem: &Problem, sequence: u64, kind: ProblemKind) {
    assert_eq!((problem.sequence, problem.kind), (sequence, kind), "{problem:?}");
    assert_ne!(problem.expected, problem.found);
}

#[tokio::test]
async fn changed_field_of_an_event_is_found_at_the_event() {
    for set in [
        "payload = convert_to(replace(convert_from(payload, 'UTF8'), '\"v\"', '\"w\"'), 'UTF8')",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "recorded_at = recorded_at - interval '1 microsecond'",
        "source = 'telegram_verification'",
        "event_id = gen_random_uuid()",
        "identity_id = gen_random_uuid()",
        "event_type = 'IDENTITY_RESTORED'",
        "hash = sha256(hash)",
    ] {
        let problem = tampered(&format!("update identity_events set {set} where sequence = 4")).await;
        assert_problem(&problem, 4, ProblemKind::Hash);
    }
}

#[tokio::test]
async fn rewritten_event_with_its_own_hash_is_found_at_the_next_one() {
    let rewritten = "update identity_events e
           set payload = convert_to(replace(convert_from(payload, 'UTF8'), 'Member 8', 'Member 9'), 'UTF8')
         where sequence = 4;
         update identity_events e set hash = identity_event_hash(e) where sequence = 4";
    let problem = tampered(rewritten).await;
    assert_problem(&problem, 5, ProblemKind::PreviousHash);
}

#[tokio::test]
async fn missing_event_is_found() {
    for sequence in [1, 5, 7] {
        let problem = tampered(&format!("delete from identity_events where sequence = {sequence}")).await;
        assert_problem(&problem, sequence, ProblemKind::Missing);
    }
    // Renumbered events do not continue the chain.
    let renumbered = "delete from identity_events where sequence = 7;
         update identity_events set sequence = 7 where sequence = 8;
         update identity_events set sequence = 8 where sequence = 9";
    assert_problem(&tampered(renumbered).await, 7, ProblemKind::PreviousHash);
}

#[tokio::test]
async fn missing_tail_is_found_by_the_head() {
    let problem = tampered("delete from identity_events where sequence > 7").await;
    assert_problem(&problem, 8, ProblemKind::Head);
    assert!(
        problem.expected.starts_with("event 9,") && problem.found.starts_with("event 7,"),
        "{problem:?}"
    );
    let problem = tampered("update identity_chain_head set sequence = 6").await;
    assert_problem(&problem, 7, ProblemKind::Head);
    let problem = tampered("update identity_chain_head set hash = sha256(hash)").await;
    assert_eq!(problem.kind, ProblemKind::Head);
}

/// Tail and head cut off together leave a whole chain. Then only the tables, or an anchor outside of the database, show it.
#[tokio::test]
async fn tail_that_is_cut_off_with_the_head_is_found_by_the_tables() {
    let cut = "delete from identity_events where sequence > 7;
         update identity_chain_head set (sequence, hash) = (select sequence, hash from identity_events where sequence = 7)";
    let problem = tampered(cut).await;
    assert_problem(&problem, 7, ProblemKind::Tables);
}

#[tokio::test]
async fn changed_tables_are_found() {
    for sql in [
        "update user_identities set status = 'active', suspended_until = null where discord_user_id = 7",
        "update user_identities set discord_user_id = 9 where discord_user_id = 7",
        "update identity_wallets set is_primary = false where is_primary",
        "update identity_wallets set address = '0x00000000000000000000000000000000000000ff' where verified_event = 2",
        "delete from identity_wallets where verified_event = 3",
        "delete from identity_wallets; delete from user_identities",
        "insert into user_identities (identity_id, discord_user_id, display_name, status, created_at, updated_at)
         values (gen_random_uuid(), 99, 'Nobody', 'active', now(), now())",
    ] {
        let problem = tampered(sql).await;
        assert_eq!(problem.kind, ProblemKind::Tables, "{sql}: {problem:?}");
        assert!(problem.identity.is_some());
    }
}

#[tokio::test]
async fn payload_that_is_not_canonical_is_found() {
    let (test, database) = registry().await;
    let mut app = connect(&test.app_url()).await;
    let by_hand = "insert into identity_events (event_id, identity_id, event_type, source, occurred_at, payload)
         select gen_random_uuid(), identity_id, 'WALLET_SET_PRIMARY', 'discord_verification', '2026-06-01',
                convert_to(jsonb_build_object('address', address, 'v', 1)::text, 'UTF8')
           from identity_wallets where verified_event = 2";
    run(&mut app, by_hand).await.unwrap();
    let problem = database.verify_registry().await.unwrap().problem.unwrap();
    assert_problem(&problem, 10, ProblemKind::Payload);
}
