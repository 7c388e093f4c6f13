//! What the logins may not do to the registry.

use arrakis_db::registry::{RegistryError, Suspension};
use arrakis_test_support::TestDatabase;

use super::{admin, identity, member};
use crate::fixtures::{connect, count, is_refused, run};

const EVENT: &str = "insert into identity_events (event_id, identity_id, event_type, source, occurred_at, payload";

#[tokio::test]
async fn logins_cannot_change_events_state_or_head() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    identity(&mut tx, 7, &[1, 2]).await;
    tx.commit().await.unwrap();
    for url in [test.app_url(), test.admin_url()] {
        let mut connection = connect(&url).await;
        for sql in [
            "update identity_events set payload = payload",
            "delete from identity_events",
            "truncate identity_events cascade",
            "alter table identity_events disable trigger all",
            "alter table identity_events disable trigger chain_identity_event",
            "alter table identity_events drop column payload",
            "drop trigger refuse_change on identity_events",
            "set session_replication_role = replica",
            "update identity_chain_head set sequence = sequence - 1",
            "update identity_chain_head set sequence = sequence",
            "update identity_chain_head set sequence = sequence + 1, hash = sha256(hash)",
            "update identity_chain_head set (sequence, hash) = (select sequence, hash from identity_events where sequence = 1)",
            "delete from identity_chain_head",
            "insert into identity_chain_head values (false, 0, sha256('x'))",
            "truncate identity_chain_head",
            "alter table identity_chain_head disable trigger all",
            "insert into user_identities select * from user_identities",
            "update user_identities set status = 'suspended'",
            "delete from user_identities",
            "truncate user_identities cascade",
            "insert into identity_wallets select * from identity_wallets",
            "update identity_wallets set removed_at = now()",
            "delete from identity_wallets",
            "select identity_event_hash(e) from identity_events e",
        ] {
            let outcome = run(&mut connection, sql).await;
            assert!(is_refused(&outcome), "{url}: {sql}: {outcome:?}");
        }
    }
    // The owner has the rights; the triggers refuse nevertheless.
    let mut owner = connect(&test.owner_url()).await;
    for sql in [
        "update identity_events set payload = payload",
        "delete from identity_events",
        "truncate identity_events cascade",
        "update identity_chain_head set sequence = sequence - 1",
        "delete from identity_chain_head",
        "truncate identity_chain_head",
    ] {
        let outcome = run(&mut owner, sql).await;
        assert!(is_refused(&outcome), "{sql}: {outcome:?}");
    }
    assert_eq!(count(&mut owner, "identity_events").await, 3);
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
}

#[tokio::test]
async fn triggers_are_enabled_always() {
    let test = TestDatabase::create().await;
    let mut app = connect(&test.app_url()).await;
    let enabled: Vec<(String, String, bool)> = sqlx::query_as(
        "select tgrelid::regclass::text, tgname::text, tgenabled = 'A' from pg_trigger
          where tgrelid in ('identity_events'::regclass, 'identity_chain_head'::regclass) and not tgisinternal order by 1, 2",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    let names: Vec<_> = enabled.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "guard_identity_chain_head",
            "refuse_rows",
            "refuse_truncate",
            "apply_identity_event",
            "chain_identity_event",
            "refuse_change",
            "refuse_truncate",
        ]
    );
    assert!(enabled.iter().all(|(.., always)| *always), "{enabled:?}");
}

#[tokio::test]
async fn event_that_does_not_continue_the_chain_is_refused() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    let chani = identity(&mut tx, 7, &[1]).await.id;
    tx.commit().await.unwrap();
    let mut app = connect(&test.app_url()).await;
    let payload = r#"convert_to('{"discord_user_id":"9","display_name":"x","v":1}', 'UTF8')"#;
    let created =
        format!("gen_random_uuid(), gen_random_uuid(), 'IDENTITY_CREATED', 'discord_verification', now(), {payload}");
    let of_chani = |event_type: &str, source: &str, at: &str, payload: &str| {
        format!(
            "{EVENT}) values (gen_random_uuid(), '{chani}', '{event_type}', '{source}', {at}, convert_to('{payload}', 'UTF8'))"
        )
    };
    for sql in [
        format!("{EVENT}, sequence) values ({created}, 5)"),
        format!("{EVENT}, sequence) values ({created}, 1)"),
        format!("{EVENT}, previous_hash) values ({created}, sha256('x'))"),
        format!("{EVENT}, hash) values ({created}, sha256('x'))"),
        // Two in one statement have the same number.
        format!("{EVENT}) values ({created}), ({created})"),
        of_chani(
            "WALLET_REMOVED",
            "discord_verification",
            "now()",
            r#"{"address":"0x02","reason":"","v":1}"#,
        ),
        of_chani("WALLET_REMOVED", "discord_verification", "'2025-01-01'", "{}"),
        of_chani("WALLET_REMOVED", "admin", "now()", "{}"),
        of_chani("WALLET_REMOVED", "migration", "now()", "{}"),
        of_chani("IDENTITY_SUSPENDED", "discord_verification", "now()", "{}"),
        of_chani("IDENTITY_SUSPENDED", "expiry", "now()", "{}"),
        of_chani("IDENTITY_RESTORED", "discord_verification", "now()", "{}"),
        of_chani("IDENTITY_RESTORED", "expiry", "now()", "{}"),
        of_chani("IDENTITY_DELETED", "discord_verification", "now()", "{}"),
        of_chani(
            "DISCORD_LINKED",
            "discord_verification",
            "now()",
            r#"{"discord_user_id":"9","display_name":"","v":1}"#,
        ),
    ] {
        let outcome = run(&mut app, &sql).await;
        assert!(outcome.is_err(), "{sql}: {outcome:?}");
    }
    assert_eq!(count(&mut app, "identity_events").await, 2);
    assert_eq!(database.verify_registry().await.unwrap().problem, None);
    // The same statement without a number of its own is an event.
    assert_eq!(run(&mut app, &format!("{EVENT}) values ({created})")).await, Ok(1));
}

#[tokio::test]
async fn app_login_cannot_suspend_restore_or_act_as_an_operator() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    let chani = identity(&mut tx, 7, &[1]).await.id;
    tx.commit().await.unwrap();
    let suspension = Suspension {
        reason: "spam",
        by: "ops",
        until: None,
    };
    let refused = |result: Result<(), RegistryError>| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("the login arrakis_app may not append"), "{error}");
    };
    for cause in [admin(1), member(1)] {
        let mut tx = database.global().await.unwrap();
        refused(tx.registry().suspend(chani, &suspension, cause).await);
    }
    let operators = test.admin().await;
    let mut tx = operators.database().global().await.unwrap();
    tx.registry().suspend(chani, &suspension, admin(1)).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.global().await.unwrap();
    refused(tx.registry().restore(chani, "", "", admin(2)).await);
    let mut tx = database.global().await.unwrap();
    refused(
        tx.registry()
            .remove_wallet(chani, super::address(1), "", admin(2))
            .await,
    );
}
