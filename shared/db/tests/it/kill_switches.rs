//! The kill switch and the freezes that follow from communities.

use arrakis_db::{Actor, Database, EndProof, GuildId, KillSwitchStep, NewAuditEntry, StepState, TEARDOWN_FREEZE};
use arrakis_security::kill_switch::{EndKey, KillSwitch, KillSwitchScope, KillSwitchState, TEARDOWN};
use arrakis_test_support::MERGE_CASES;
use serde_json::json;
use time::OffsetDateTime;

use crate::fixtures::{connect, is_refused, onboard, one_community, run, user};

fn key() -> EndKey {
    EndKey::new("credential-of-the-kill-switch")
}

async fn state(database: &Database) -> KillSwitchState {
    let mut tx = database.global().await.unwrap();
    tx.kill_switches().list(Some(&key())).await.unwrap()
}

fn change(is_on: bool, version: u64) -> KillSwitch {
    KillSwitch {
        scope: KillSwitchScope::Platform,
        is_on,
        version,
        by: "stilgar".to_owned(),
        reason: "a leaked token".to_owned(),
    }
}

/// Appends a change with its audit entry. Returns whether it was appended.
async fn append(database: &Database, switch: &KillSwitch, key: &EndKey) -> bool {
    let mut tx = database.global().await.unwrap();
    let appended = tx.kill_switches().append(switch, Some(key)).await.unwrap();
    let entry = NewAuditEntry {
        actor: Actor::Operator("stilgar".to_owned()),
        action: if switch.is_on {
            "kill_switch.on"
        } else {
            "kill_switch.off"
        },
        subject: "platform",
        reason: None,
        detail: json!({}),
    };
    tx.audit(&entry).await.unwrap();
    tx.commit().await.unwrap();
    appended
}

#[tokio::test]
async fn newest_change_counts_and_an_end_only_with_its_proof() {
    let (_test, database, _) = one_community().await;
    let platform = KillSwitchScope::Platform;
    assert!(!state(&database).await.is_on(platform));
    assert!(append(&database, &change(true, 10), &key()).await);
    assert!(
        !append(&database, &change(true, 10), &key()).await,
        "the same change once"
    );
    append(&database, &change(false, 9), &key()).await;
    let stored = state(&database).await;
    assert!(stored.is_on(platform));
    assert_eq!(stored.get(platform).unwrap().reason, "a leaked token");
    // An end by another credential, with a higher version than the real one.
    let another = EndKey::new("another-credential");
    append(&database, &change(false, 12), &another).await;
    assert!(state(&database).await.is_on(platform));
    append(&database, &change(false, 11), &key()).await;
    let stored = state(&database).await;
    assert!(!stored.is_on(platform));
    assert_eq!(stored.version(platform), 11);
    let mut tx = database.global().await.unwrap();
    assert!(
        tx.kill_switches().list(None).await.unwrap().is_on(platform),
        "no credential"
    );
    assert!(tx.kill_switches().ended_at(11, &key()).await.unwrap().is_some());
    assert_eq!(tx.kill_switches().ended_at(12, &key()).await.unwrap(), None);
    tx.commit().await.unwrap();
    // The proof of an end is not one of the next end.
    append(&database, &change(true, 13), &key()).await;
    append(&database, &change(false, 11), &key()).await;
    assert!(state(&database).await.is_on(platform));
}

/// The credential is changed: the end counts by the previous one, and by the present one after it was stored again.
#[tokio::test]
async fn end_is_proven_again_after_a_change_of_the_credential() {
    let (_test, database, _) = one_community().await;
    let platform = KillSwitchScope::Platform;
    let new = EndKey::new("the-credential-after-it");
    let both = new.clone().with_previous("credential-of-the-kill-switch");
    let seen = async |key: &EndKey| {
        let mut tx = database.global().await.unwrap();
        let is_on = tx.kill_switches().list(Some(key)).await.unwrap().is_on(platform);
        (is_on, tx.kill_switches().end_proof(key).await.unwrap())
    };
    append(&database, &change(true, 10), &key()).await;
    assert_eq!(seen(&new).await, (true, EndProof::NoEnd));
    append(&database, &change(false, 11), &key()).await;
    assert_eq!(seen(&new).await, (true, EndProof::Invalid));
    assert_eq!(seen(&both).await, (false, EndProof::Previous));
    assert!(append(&database, &change(false, 11), &both).await);
    assert!(!append(&database, &change(false, 11), &both).await, "once");
    assert_eq!(seen(&both).await, (false, EndProof::Present));
    assert_eq!(seen(&new).await, (false, EndProof::Present));
    append(&database, &change(true, 12), &new).await;
    assert_eq!(seen(&new).await, (true, EndProof::NoEnd));
}

/// The events are a list: the newest one counts by the rule of every other place.
#[tokio::test]
async fn events_are_merged_as_at_every_other_place() {
    let (_test, database, _) = one_community().await;
    for (case, base) in MERGE_CASES.into_iter().zip((0..).step_by(10)) {
        let case = case.above(base);
        for (is_on, version) in case.stored.into_iter().chain([case.received]) {
            append(&database, &change(is_on, version), &key()).await;
        }
        let present = state(&database).await;
        let present = present
            .get(KillSwitchScope::Platform)
            .map(|entry| (entry.is_on, entry.version));
        assert_eq!(present, case.merged(), "{case:?}");
    }
}

#[tokio::test]
async fn no_login_ends_the_kill_switch_or_a_freeze_by_a_row() {
    let (test, database, community) = one_community().await;
    append(&database, &change(true, 10), &key()).await;
    let mut tx = database.tenant(community).await.unwrap();
    tx.communities().set_frozen(Some("a stolen account")).await.unwrap();
    tx.commit().await.unwrap();
    let zeros = "decode(repeat('00', 32), 'hex')";
    let insert = "insert into kill_switch_events (event_id, is_on, version, changed_by, reason, proof) values (gen_random_uuid(),";
    for url in [test.app_url(), test.admin_url()] {
        let mut login = connect(&url).await;
        for sql in [
            "update kill_switches set is_on = false".to_owned(),
            "insert into kill_switches values ('platform', false, 99, '', '')".to_owned(),
            "delete from kill_switches".to_owned(),
            "update kill_switch_events set is_on = false".to_owned(),
            "delete from kill_switch_events".to_owned(),
            "insert into kill_switch_steps values ('sessions', 1, 'revoked')".to_owned(),
            // Without an audit entry in the transaction; an older one is of another transaction.
            format!("{insert} false, 11, '', '', {zeros})"),
            format!("{insert} true, 11, '', '', null)"),
        ] {
            let outcome = run(&mut login, &sql).await;
            assert!(is_refused(&outcome), "{sql}: {outcome:?}");
        }
        // An end without a proof is not one.
        let outcome = run(&mut login, &format!("{insert} false, 11, '', '', null)")).await;
        assert!(outcome.unwrap_err().starts_with("23514"));
    }
    let stored = state(&database).await;
    assert!(stored.is_on(KillSwitchScope::Platform) && stored.has_frozen());
}

#[tokio::test]
async fn steps_begin_with_each_kill_switch_that_is_newer() {
    let (_test, database, _) = one_community().await;
    let steps = async || {
        let mut tx = database.global().await.unwrap();
        let steps = tx.kill_switches().steps(Some(&key())).await.unwrap();
        tx.commit().await.unwrap();
        steps
            .into_iter()
            .map(|step| (step.step, step.version, step.state))
            .collect::<Vec<_>>()
    };
    let set = async |version, state| {
        let mut tx = database.global().await.unwrap();
        tx.kill_switches()
            .set_step(KillSwitchStep::Signing, version, state, Some(&key()))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let (sessions, signing) = (KillSwitchStep::Sessions, KillSwitchStep::Signing);
    assert!(steps().await.is_empty());
    append(&database, &change(true, 10), &key()).await;
    let pending = StepState::Pending;
    assert_eq!(steps().await, [(sessions, 10, pending), (signing, 10, pending)]);
    set(10, StepState::Revoked).await;
    append(&database, &change(false, 11), &key()).await;
    append(&database, &change(true, 9), &key()).await;
    assert_eq!(
        steps().await,
        [(sessions, 10, pending), (signing, 10, StepState::Revoked)]
    );
    // An end of the version that is on did not end it.
    set(10, StepState::Restored).await;
    assert_eq!(steps().await[1], (signing, 10, StepState::Revoked));
    set(11, StepState::Restored).await;
    assert_eq!(steps().await[1], (signing, 10, StepState::Restored));
    append(&database, &change(true, 12), &key()).await;
    // A process that has not seen the newer one completes the older one.
    set(11, StepState::Restored).await;
    assert_eq!(steps().await, [(sessions, 12, pending), (signing, 12, pending)]);
}

/// What a login of the database can do to the steps: no row of it counts, and none delays the next kill switch.
#[tokio::test]
async fn step_that_a_login_marked_as_revoked_is_pending() {
    let (test, database, _) = one_community().await;
    append(&database, &change(true, 10), &key()).await;
    let states = async || {
        let mut tx = database.global().await.unwrap();
        let steps = tx.kill_switches().steps(Some(&key())).await.unwrap();
        steps.iter().map(|step| (step.version, step.state)).collect::<Vec<_>>()
    };
    let mut login = connect(&test.app_url()).await;
    for sql in [
        "update kill_switch_steps set version = 9000000000000000000",
        "delete from kill_switch_steps",
    ] {
        let outcome = run(&mut login, sql).await;
        assert!(is_refused(&outcome), "{sql}: {outcome:?}");
    }
    run(&mut login, "begin").await.unwrap();
    let locked = run(&mut login, "lock table kill_switch_steps in share mode").await;
    assert!(is_refused(&locked), "{locked:?}");
    run(&mut login, "rollback").await.unwrap();
    run(
        &mut login,
        "update kill_switch_steps set state = 'revoked', proof = decode(repeat('00', 32), 'hex')",
    )
    .await
    .unwrap();
    assert_eq!(states().await, [(10, StepState::Pending), (10, StepState::Pending)]);
    let mut tx = database.global().await.unwrap();
    tx.kill_switches()
        .set_step(KillSwitchStep::Signing, 10, StepState::Revoked, Some(&key()))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(states().await, [(10, StepState::Pending), (10, StepState::Revoked)]);
    // The rows are locked until the session of the login ends.
    run(&mut login, "begin").await.unwrap();
    run(&mut login, "select from kill_switch_steps for update")
        .await
        .unwrap();
    let (change, key) = (change(true, 12), key());
    let appended = append(&database, &change, &key);
    let appended = tokio::time::timeout(std::time::Duration::from_secs(5), appended).await;
    assert_eq!(appended, Ok(true));
    assert_eq!(states().await, [(12, StepState::Pending), (12, StepState::Pending)]);
}

#[tokio::test]
async fn version_far_in_the_future_is_refused() {
    let (_test, database, _) = one_community().await;
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap() * 1_000;
    let day = 24 * 3600 * 1_000;
    for (is_on, ahead, is_stored) in [
        (true, day / 2, true),
        (false, day + day / 2, true),
        (true, 2 * day, false),
        (false, 3 * day, false),
    ] {
        let mut tx = database.global().await.unwrap();
        let appended = tx
            .kill_switches()
            .append(&change(is_on, now + ahead), Some(&key()))
            .await;
        assert_eq!(appended.is_ok(), is_stored, "{is_on} {ahead}");
        drop(tx);
    }
    let mut tx = database.global().await.unwrap();
    assert!(tx.kill_switches().append(&change(true, u64::MAX), None).await.is_err());
}

#[tokio::test]
async fn freeze_and_its_end_follow_from_the_community() {
    let (_test, database, community) = one_community().await;
    let guild = GuildId::new(200).unwrap();
    let other = onboard(&database, guild.get()).await;
    let scope = KillSwitchScope::Community(guild.get());
    let freeze = async |reason: Option<&str>| {
        let mut tx = database.tenant(other).await.unwrap();
        tx.communities().set_frozen(reason).await.unwrap();
        tx.commit().await.unwrap();
        state(&database).await.get(scope).cloned()
    };
    assert_eq!(state(&database).await.get(scope), None);
    let frozen = freeze(Some("a stolen account")).await.unwrap();
    assert!(
        frozen.is_on && frozen.reason.is_empty() && frozen.by.is_empty(),
        "{frozen:?}"
    );
    let torn_down = freeze(Some(&format!("{TEARDOWN_FREEZE}; a test"))).await.unwrap();
    assert!(torn_down.is_on && torn_down.reason == TEARDOWN && torn_down.version > frozen.version);
    let mut tx = database.tenant(other).await.unwrap();
    tx.communities()
        .take_over(user(7), &format!("{TEARDOWN_FREEZE}; a test"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let taken = state(&database).await.get(scope).cloned().unwrap();
    assert!(
        taken.is_on && taken.reason.is_empty() && taken.version > torn_down.version,
        "a takeover stops gaib, too"
    );
    let ended = freeze(None).await.unwrap();
    assert!(!ended.is_on && ended.version > taken.version, "the end is listed");
    // A change that rolls back, and another community, change nothing.
    let mut tx = database.tenant(community).await.unwrap();
    tx.communities().set_frozen(Some("an incident")).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(state(&database).await.frozen(), 0);
}
