//! Sessions of wallet verification: single use, replacement, expiry, limits, and who sees which rows.

use arrakis_config::Secret;
use arrakis_db::{
    CommunityId, Database, GlobalTx, MAX_ATTEMPTS, MAX_STARTS, NewVerificationSession, START_WINDOW, SessionAccount,
    SessionKey, SessionNetwork, SessionProof, SessionStart, SessionState, VerificationSession,
};
use arrakis_test_support::TestDatabase;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::fixtures::{connect, count, run};

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
}

fn chani() -> SessionAccount {
    account(8)
}

fn account(id: i64) -> SessionAccount {
    SessionAccount {
        network: SessionNetwork::Discord,
        id,
    }
}

async fn start(database: &Database, account: SessionAccount, token: u8, at: OffsetDateTime) -> (Uuid, SessionStart) {
    let mut tx = database.global().await.unwrap();
    let id = Uuid::now_v7();
    let started = tx
        .verification_sessions()
        .start(&new_session(id, account, token, at))
        .await;
    tx.commit().await.unwrap();
    (id, started.unwrap())
}

fn new_session(id: Uuid, account: SessionAccount, token: u8, at: OffsetDateTime) -> NewVerificationSession<'static> {
    NewVerificationSession {
        id,
        token_hash: [token; 32],
        account,
        account_name: "Chani",
        community: Some(CommunityId::new()),
        interaction_token: None,
        nonce: "k3Xw9ZpQ7aLm2RtB",
        chain_id: 80094,
        created_at: at,
        expires_at: at + Duration::minutes(15),
    }
}

async fn find(database: &Database, token: u8, at: OffsetDateTime) -> Option<VerificationSession> {
    let mut tx = database.global().await.unwrap();
    let found = tx
        .verification_sessions()
        .find(SessionKey::Token([token; 32]), at)
        .await;
    found.unwrap()
}

async fn state(database: &Database, token: u8, at: OffsetDateTime) -> SessionState {
    find(database, token, at).await.unwrap().state
}

fn proof(at: OffsetDateTime) -> SessionProof {
    SessionProof {
        address: "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed".parse().unwrap(),
        method: "eip191",
        signature_digest: [5; 32],
        signed_at: at,
    }
}

async fn consume(tx: &mut GlobalTx, token: u8, at: OffsetDateTime) -> bool {
    tx.verification_sessions()
        .consume([token; 32], &proof(at), at)
        .await
        .unwrap()
}

#[tokio::test]
async fn session_reads_as_it_was_started() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    let (id, started) = start(&database, chani(), 1, at).await;
    assert_eq!(started, SessionStart::Started { replaced: false });
    let session = find(&database, 1, at).await.unwrap();
    assert_eq!(
        (session.id, session.account, session.state),
        (id, chani(), SessionState::Open)
    );
    assert_eq!(
        (session.created_at, session.expires_at),
        (at, at + Duration::minutes(15))
    );
    assert_eq!((session.chain_id, session.nonce.as_str()), (80094, "k3Xw9ZpQ7aLm2RtB"));
    assert_eq!((session.proof, session.holder), (None, None));
    let mut tx = database.global().await.unwrap();
    let by_id = tx.verification_sessions().find(SessionKey::Id(id), at).await.unwrap();
    assert_eq!(by_id, Some(session));
    assert_eq!(find(&database, 2, at).await, None);
}

#[tokio::test]
async fn of_concurrent_signatures_one_is_used() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    start(&database, chani(), 1, at).await;
    let attempts = (0..8).map(|_| {
        let database = database.clone();
        tokio::spawn(async move {
            let mut tx = database.global().await.unwrap();
            let used = consume(&mut tx, 1, at).await;
            tx.commit().await.unwrap();
            used
        })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut used = 0;
    for attempt in attempts {
        used += usize::from(attempt.await.unwrap());
    }
    assert_eq!(used, 1);
    let session = find(&database, 1, at).await.unwrap();
    assert_eq!((session.state, session.proof), (SessionState::Signed, Some(proof(at))));
}

#[tokio::test]
async fn rolled_back_use_leaves_the_session_open() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    start(&database, chani(), 1, at).await;
    let mut tx = database.global().await.unwrap();
    assert!(consume(&mut tx, 1, at).await);
    drop(tx);
    assert_eq!(state(&database, 1, at).await, SessionState::Open);
}

#[tokio::test]
async fn new_session_replaces_the_accounts_open_one_and_no_other() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    start(&database, chani(), 1, at).await;
    start(&database, account(9), 2, at).await;
    // The same number in another network is another account.
    let telegram = SessionAccount {
        network: SessionNetwork::Telegram,
        id: 8,
    };
    let mut tx = database.global().await.unwrap();
    let new = NewVerificationSession {
        community: None,
        ..new_session(Uuid::now_v7(), telegram, 3, at)
    };
    tx.verification_sessions().start(&new).await.unwrap();
    tx.commit().await.unwrap();
    let (_, started) = start(&database, chani(), 4, at).await;
    assert_eq!(started, SessionStart::Started { replaced: true });
    let states = [
        (1, SessionState::Replaced),
        (2, SessionState::Open),
        (3, SessionState::Open),
        (4, SessionState::Open),
    ];
    for (token, expected) in states {
        assert_eq!(state(&database, token, at).await, expected, "{token}");
    }
    let mut tx = database.global().await.unwrap();
    assert!(
        !consume(&mut tx, 1, at).await,
        "a replaced session accepts no signature"
    );
}

#[tokio::test]
async fn concurrent_starts_of_one_account_leave_one_open_session() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    let starts: Vec<_> = (1..=4)
        .map(|token| {
            let database = database.clone();
            tokio::spawn(async move { start(&database, chani(), token, at).await })
        })
        .collect();
    for started in starts {
        assert!(matches!(started.await.unwrap().1, SessionStart::Started { .. }));
    }
    let mut open = 0;
    for token in 1..=4 {
        open += usize::from(state(&database, token, at).await == SessionState::Open);
    }
    assert_eq!(open, 1);
}

#[tokio::test]
async fn expired_session_accepts_nothing() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    start(&database, chani(), 1, at).await;
    let end = at + Duration::minutes(15);
    assert_eq!(
        state(&database, 1, end - Duration::seconds(1)).await,
        SessionState::Open
    );
    assert_eq!(state(&database, 1, end).await, SessionState::Expired);
    let mut tx = database.global().await.unwrap();
    assert!(!tx.verification_sessions().count_attempt([1; 32], end).await.unwrap());
    assert!(!consume(&mut tx, 1, end).await);
    tx.commit().await.unwrap();
    // It was not open any more, so nothing is reported as replaced.
    let (_, started) = start(&database, chani(), 2, end).await;
    assert_eq!(started, SessionStart::Started { replaced: false });
}

#[tokio::test]
async fn starts_and_attempts_are_limited() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    let limit = u8::try_from(MAX_STARTS).unwrap();
    for token in 1..=limit {
        let (_, started) = start(&database, chani(), token, at + Duration::seconds(token.into())).await;
        assert!(matches!(started, SessionStart::Started { .. }), "{token}");
    }
    let next_at = at + Duration::seconds(1) + START_WINDOW;
    let (_, refused) = start(&database, chani(), 50, at + Duration::minutes(1)).await;
    assert_eq!(refused, SessionStart::TooMany { next_at });
    assert_eq!(
        state(&database, limit, at).await,
        SessionState::Open,
        "a refused start replaces nothing"
    );
    let (_, started) = start(&database, account(9), 51, at).await;
    assert!(
        matches!(started, SessionStart::Started { .. }),
        "another account has a limit of its own"
    );
    let (_, started) = start(&database, chani(), 52, next_at).await;
    assert!(matches!(started, SessionStart::Started { .. }));

    let mut tx = database.global().await.unwrap();
    for attempt in 0..MAX_ATTEMPTS {
        let counted = tx.verification_sessions().count_attempt([51; 32], at).await.unwrap();
        assert!(counted, "{attempt}");
    }
    assert!(!tx.verification_sessions().count_attempt([51; 32], at).await.unwrap());
}

#[tokio::test]
async fn wallet_moves_only_by_the_holder_who_was_asked() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    let (id, _) = start(&database, chani(), 1, at).await;
    let holder = account(9);
    let mut tx = database.global().await.unwrap();
    let sessions = &mut tx.verification_sessions();
    assert!(
        !sessions.await_consent([1; 32], at).await.unwrap(),
        "nothing was signed"
    );
    assert!(sessions.consume([1; 32], &proof(at), at).await.unwrap());
    assert!(
        !sessions.await_consent([1; 32], at).await.unwrap(),
        "there is no holder"
    );
    assert!(sessions.set_holder(id, holder).await.unwrap());
    assert!(
        !sessions.lock_for_answer(id, holder, at).await.unwrap(),
        "the holder was not asked"
    );
    assert!(sessions.await_consent([1; 32], at).await.unwrap());
    assert!(!sessions.await_consent([1; 32], at).await.unwrap(), "asked once");
    assert!(
        !sessions.lock_for_answer(id, chani(), at).await.unwrap(),
        "the asker cannot consent"
    );
    let end = at + Duration::minutes(15);
    assert!(!sessions.lock_for_answer(id, holder, end).await.unwrap(), "too late");
    assert!(sessions.lock_for_answer(id, holder, at).await.unwrap());
    assert!(sessions.complete(id, at).await.unwrap());
    assert!(!sessions.refuse(id, at).await.unwrap());
    tx.commit().await.unwrap();
    let session = find(&database, 1, end).await.unwrap();
    assert_eq!((session.state, session.holder), (SessionState::Completed, Some(holder)));
}

#[tokio::test]
async fn interaction_token_is_deleted_at_the_end() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    let secret = Secret::new("aW50ZXJhY3Rpb24");
    let begin = async |token| {
        let mut tx = database.global().await.unwrap();
        let id = Uuid::now_v7();
        let new = NewVerificationSession {
            interaction_token: Some(&secret),
            ..new_session(id, chani(), token, at)
        };
        tx.verification_sessions().start(&new).await.unwrap();
        tx.commit().await.unwrap();
        id
    };
    let replaced = begin(1).await;
    let id = begin(2).await;
    let mut tx = database.global().await.unwrap();
    let sessions = &mut tx.verification_sessions();
    assert!(sessions.interaction_of(replaced).await.unwrap().is_none());
    assert!(sessions.consume([2; 32], &proof(at), at).await.unwrap());
    assert!(sessions.complete(id, at).await.unwrap());
    let kept = sessions.interaction_of(id).await.unwrap();
    assert_eq!(kept.as_ref().map(Secret::expose), Some(secret.expose()));
    sessions.forget_interaction(id).await.unwrap();
    assert!(sessions.interaction_of(id).await.unwrap().is_none());
}

#[tokio::test]
async fn rows_are_visible_only_by_their_own_key() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let at = now();
    let (id, _) = start(&database, chani(), 1, at).await;
    start(&database, account(9), 2, at).await;
    let mut app = connect(&test.app_url()).await;
    assert_eq!(count(&mut app, "verification_sessions").await, 0);
    for (key, visible) in [
        (String::new(), 0),
        ("account:discord:8".to_owned(), 1),
        ("account:telegram:8".to_owned(), 0),
        (format!("session:{id}"), 1),
        (format!("session:{}", Uuid::now_v7()), 0),
        (format!("token:{}", "01".repeat(32)), 1),
        (format!("token:{}", "03".repeat(32)), 0),
        ("%".to_owned(), 0),
    ] {
        run(&mut app, &format!("set app.verification_key = '{key}'"))
            .await
            .unwrap();
        assert_eq!(count(&mut app, "verification_sessions").await, visible, "{key}");
        let changed = run(&mut app, "update verification_sessions set attempts = attempts + 1").await;
        assert_eq!(changed, Ok(visible.unsigned_abs()), "{key}");
    }
    run(&mut app, "set app.verification_key = 'account:discord:8'")
        .await
        .unwrap();
    let taken = run(
        &mut app,
        "update verification_sessions set session_id = gen_random_uuid(), account_id = 9",
    )
    .await;
    assert!(
        taken.is_err_and(|why| why.starts_with("42501")),
        "a row cannot become another account's"
    );
}

#[tokio::test]
async fn pruning_deletes_only_what_ended_a_day_ago() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    start(&database, account(1), 1, now() - Duration::days(2)).await;
    start(&database, account(2), 2, now() - Duration::hours(20)).await;
    start(&database, account(3), 3, now()).await;
    let mut tx = database.global().await.unwrap();
    assert_eq!(tx.verification_sessions().prune().await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mut kept = Vec::new();
    for token in 1..=3 {
        kept.push(find(&database, token, now()).await.is_some());
    }
    assert_eq!(kept, [false, true, true]);
}
