//! Approvals: one decision, whatever happens at the same time, and an audit trail that no login alters.

use arrakis_db::{
    Approval, ApprovalActor, ApprovalDestination, ApprovalEventType, ApprovalSignature, ApprovalState, ApprovalVerdict,
    ApprovalVia, Database, DecisionAttempt, DecisionOutcome, NewApproval,
};
use arrakis_security::signing::{Algorithm, Signature};
use arrakis_test_support::{TestDatabase, eventually};
use sqlx::AssertSqlSafe;
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::fixtures::{connect, is_refused, run};

const DAY: Duration = Duration::hours(24);

/// Submits an approval of Chani; returns its id.
async fn submitted(database: &Database, needs_mfa: bool, validity: Duration) -> Uuid {
    let new = NewApproval {
        id: Uuid::now_v7(),
        title: "Production: network",
        plan_digest: [7; 32],
        verdict: ApprovalVerdict::NeedsApproval,
        risk_score: 40,
        risk_reasons: &["changes a security group".to_owned()],
        summary: "1 to change",
        requester: "chani",
        submitted_by: "api-key:1",
        needs_mfa,
        validity,
    };
    let mut tx = database.global().await.unwrap();
    assert!(tx.approvals().submit(&new).await.unwrap());
    assert!(!tx.approvals().submit(&new).await.unwrap(), "its id exists");
    tx.commit().await.unwrap();
    new.id
}

fn actor(name: &str) -> ApprovalActor<'_> {
    ApprovalActor {
        name,
        via: ApprovalVia::Slack,
        account: "U1",
    }
}

async fn decide(database: &Database, id: Uuid, approves: bool, name: &str, second_factor: bool) -> bool {
    let mut tx = database.global().await.unwrap();
    let decided = tx.approvals().decide(id, approves, actor(name), second_factor).await;
    tx.commit().await.unwrap();
    decided.unwrap()
}

/// Decides as the services do: with an entry in the audit log.
async fn attempt(database: &Database, id: Uuid, approves: bool, name: &str) {
    let mut tx = database.global().await.unwrap();
    let attempt = DecisionAttempt {
        approval: id,
        approves,
        actor: actor(name),
    };
    let outcome = tx.attempt_decision(attempt, None).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(outcome, DecisionOutcome::Decided(_)), "{outcome:?}");
}

async fn stored(database: &Database, id: Uuid) -> Approval {
    let mut tx = database.global().await.unwrap();
    tx.approvals().get(id).await.unwrap().unwrap()
}

async fn trail(database: &Database, id: Uuid) -> Vec<ApprovalEventType> {
    let mut tx = database.global().await.unwrap();
    let events = tx.approvals().events(id).await.unwrap();
    events.into_iter().map(|event| event.event).collect()
}

#[tokio::test]
async fn approval_is_submitted_and_decided_once() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, false, Duration::days(30)).await;
    let approval = stored(&database, id).await;
    assert_eq!(
        (approval.state, approval.decision.clone()),
        (ApprovalState::Pending, None)
    );
    assert_eq!(approval.record(), None);
    assert_eq!(approval.expires_at - approval.created_at, DAY, "at most 24 hours");

    assert!(decide(&database, id, true, "stilgar", false).await);
    assert!(!decide(&database, id, false, "liet", false).await);
    let approval = stored(&database, id).await;
    assert_eq!(approval.state, ApprovalState::Approved);
    let decision = approval.decision.clone().unwrap();
    assert_eq!((decision.actor.as_str(), decision.second_factor), ("stilgar", false));
    let record: serde_json::Value = serde_json::from_slice(&approval.record().unwrap()).unwrap();
    assert_eq!(record["decided_by"], "stilgar");
    assert_eq!(record["plan_sha256"], "07".repeat(32));
    assert_eq!(
        trail(&database, id).await,
        [ApprovalEventType::Submitted, ApprovalEventType::Approved]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_decisions_make_one() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, false, DAY).await;
    let mut clicks = JoinSet::new();
    for number in 0..50 {
        let database = database.clone();
        clicks.spawn(async move {
            let name = format!("approver-{number}");
            decide(&database, id, number % 2 == 0, &name, false)
                .await
                .then_some(name)
        });
    }
    let decided: Vec<String> = clicks.join_all().await.into_iter().flatten().collect();
    assert_eq!(decided.len(), 1, "{decided:?}");
    assert_eq!(stored(&database, id).await.decision.unwrap().actor, decided[0]);
    assert_eq!(trail(&database, id).await.len(), 2);
}

#[tokio::test]
async fn requester_missing_second_factor_and_time_prevent_a_decision() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, true, DAY).await;
    assert!(!decide(&database, id, true, "chani", true).await, "the requester");
    assert!(
        !decide(&database, id, true, "Chani", true).await,
        "the requester in capitals"
    );
    assert!(!decide(&database, id, false, "chani", false).await, "the requester");
    assert!(!decide(&database, id, true, "stilgar", false).await, "no second factor");
    assert!(
        !decide(&database, Uuid::now_v7(), true, "stilgar", true).await,
        "unknown"
    );
    assert!(decide(&database, id, true, "stilgar", true).await);
    // A rejection is the safe direction and needs no second factor.
    let rejected = submitted(&database, true, DAY).await;
    assert!(decide(&database, rejected, false, "stilgar", false).await);

    let late = submitted(&database, false, Duration::milliseconds(1)).await;
    let kept = submitted(&database, false, DAY).await;
    let lapsed = eventually(
        || async {
            let mut tx = database.global().await.unwrap();
            let lapsed = tx.approvals().lapse().await.unwrap();
            tx.commit().await.unwrap();
            (!lapsed.is_empty()).then_some(lapsed)
        },
        "the approval to lapse",
    )
    .await;
    assert_eq!(lapsed, [late]);
    assert!(!decide(&database, late, true, "stilgar", true).await);
    assert_eq!(stored(&database, late).await.state, ApprovalState::Lapsed);
    assert_eq!(stored(&database, kept).await.state, ApprovalState::Pending);
}

#[tokio::test]
async fn refused_attempts_are_in_the_trail_up_to_a_limit() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, false, DAY).await;
    let mut tx = database.global().await.unwrap();
    for _ in 0..110 {
        tx.approvals()
            .record_refusal(id, actor("chani"), "own request")
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let trail = trail(&database, id).await;
    let refused = trail.iter().filter(|event| **event == ApprovalEventType::Refused);
    assert_eq!(refused.count(), 100);
    assert_eq!(stored(&database, id).await.state, ApprovalState::Pending);
}

#[tokio::test]
async fn no_login_alters_the_audit_trail_or_the_state() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, true, DAY).await;
    assert!(decide(&database, id, false, "stilgar", false).await);
    let (before, events) = (stored(&database, id).await, trail(&database, id).await);
    for url in [test.app_url(), test.admin_url(), test.owner_url()] {
        let mut connection = connect(&url).await;
        for sql in [
            "update approval_events set event_type = 'APPROVED' where event_type = 'REJECTED'".to_owned(),
            "delete from approval_events".to_owned(),
            "truncate approval_events cascade".to_owned(),
            "update approvals set state = 'approved'".to_owned(),
            "update approvals set plan_digest = sha256('another plan')".to_owned(),
            "update approvals set expires_at = expires_at + interval '1 hour'".to_owned(),
            "delete from approvals".to_owned(),
            "truncate approvals cascade".to_owned(),
            "set session_replication_role = replica".to_owned(),
            format!(
                "insert into approval_events (event_id, approval_id, event_type, actor, via, account, second_factor, occurred_at)
                 values (gen_random_uuid(), '{id}', 'SUBMITTED', 'stilgar', 'api', 'x', false, now())"
            ),
        ] {
            let outcome = run(&mut connection, &sql).await;
            assert!(is_refused(&outcome), "{url}: {sql}: {outcome:?}");
        }
    }
    assert_eq!(stored(&database, id).await, before);
    assert_eq!(trail(&database, id).await, events);
}

#[tokio::test]
async fn approval_cannot_be_stored_as_approved() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = Uuid::now_v7();
    let mut app = connect(&test.app_url()).await;
    let sql = format!(
        "insert into approvals (approval_id, title, plan_digest, verdict, risk_score, risk_reasons, summary, requester, submitted_by,
                needs_mfa, state, created_at, expires_at)
         values ('{id}', 't', sha256('a'), 'passed', 0, '{{}}', '', 'chani', 'x', false, 'approved', now() + interval '1 year',
                now() + interval '2 years')"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut app).await.unwrap();
    let approval = stored(&database, id).await;
    assert_eq!(approval.state, ApprovalState::Pending);
    assert!(approval.expires_at <= OffsetDateTime::now_utc() + Duration::hours(25));
}

#[tokio::test]
async fn signature_is_stored_once_for_a_decided_approval() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, false, DAY).await;
    let signature = |value: &str| ApprovalSignature {
        record: b"{}".to_vec(),
        signature: Signature {
            algorithm: Algorithm::Ed25519,
            key: "approvals".to_owned(),
            version: 2,
            value: value.to_owned(),
        },
    };
    let mut tx = database.global().await.unwrap();
    assert!(tx.approvals().unsigned(10).await.unwrap().is_empty());
    assert!(
        tx.approvals().put_signature(id, &signature("a")).await.is_err(),
        "it is pending"
    );
    drop(tx);
    attempt(&database, id, true, "stilgar").await;
    let mut tx = database.global().await.unwrap();
    assert_eq!(tx.approvals().unsigned(10).await.unwrap(), [id]);
    assert!(tx.approvals().put_signature(id, &signature("a")).await.unwrap());
    assert!(!tx.approvals().put_signature(id, &signature("b")).await.unwrap());
    assert!(tx.approvals().unsigned(10).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    assert_eq!(stored(&database, id).await.signature, Some(signature("a")));
}

#[tokio::test]
async fn decision_without_its_entry_in_the_audit_log_is_not_signed() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let forged = submitted(&database, true, DAY).await;
    assert!(decide(&database, forged, true, "stilgar", true).await);
    let rejected = submitted(&database, false, DAY).await;
    attempt(&database, rejected, false, "stilgar").await;
    let mut tx = database.global().await.unwrap();
    assert_eq!(tx.approvals().unsigned(10).await.unwrap(), [rejected]);
}

#[tokio::test]
async fn name_that_only_resembles_the_requester_is_refused() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, false, DAY).await;
    for name in ["chani ", " chani", "chani\u{a0}", "ch\u{430}ni", "chani\n"] {
        let mut tx = database.global().await.unwrap();
        let decided = tx.approvals().decide(id, true, actor(name), false).await;
        assert!(decided.is_err(), "{name:?}: {decided:?}");
    }
    assert_eq!(stored(&database, id).await.state, ApprovalState::Pending);
}

#[tokio::test]
async fn message_is_taken_until_it_shows_the_state() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let id = submitted(&database, false, DAY).await;
    let (slack, discord) = (ApprovalDestination::Slack, ApprovalDestination::Discord);
    let now = OffsetDateTime::now_utc();
    let take = async |destination, after: i64| {
        let at = now + Duration::seconds(after);
        let mut tx = database.global().await.unwrap();
        let taken = tx
            .approvals()
            .take_messages(destination, 10, at, at + Duration::seconds(30))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        taken
            .into_iter()
            .map(|due| (due.approval, due.sent))
            .collect::<Vec<_>>()
    };
    let record = async |state| {
        let mut tx = database.global().await.unwrap();
        tx.approvals()
            .record_message(id, slack, "C1", "171.5", state)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    assert_eq!(take(slack, 0).await, [(id, None)]);
    assert!(take(slack, 1).await.is_empty(), "another process has it");
    assert_eq!(take(discord, 1).await, [(id, None)], "of the other destination");
    assert_eq!(take(slack, 31).await, [(id, None)], "that process may have ended");
    record(ApprovalState::Pending).await;
    assert!(take(slack, 90).await.is_empty());
    assert!(decide(&database, id, true, "stilgar", false).await);
    assert_eq!(
        take(slack, 91).await,
        [(id, Some(("C1".to_owned(), "171.5".to_owned())))]
    );
    record(ApprovalState::Approved).await;
    assert!(take(slack, 150).await.is_empty());
    assert!(take(discord, 150).await.is_empty(), "decided before it was sent");
}
