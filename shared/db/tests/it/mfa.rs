//! Second factors: one use of each code, throttling, isolation by row-level security, rotation of the key, grants.

use arrakis_db::mfa::{MAX_FAILURES, MfaOutcome, NewGrant, confirm, verify};
use arrakis_db::{AuditEntry, Database, DbError, UserId};
use arrakis_security::mfa::{BackupCode, GrantToken, ProtectedOperation, SecretCipher, Totp};
use arrakis_test_support::TestDatabase;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::{connect, one_community, run, user};

/// The beginning of a step.
const NOW: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);
const OPERATION: ProtectedOperation = ProtectedOperation::Teardown;

fn cipher(id: &str) -> (String, SecretCipher) {
    let key = SecretCipher::generate_key(id).unwrap();
    let cipher = key.parse().unwrap();
    (key, cipher)
}

/// A user with a second factor that was confirmed ten minutes before [`NOW`], and one backup code.
async fn enrolled(database: &Database, cipher: &SecretCipher, user: UserId) -> (Totp, BackupCode) {
    let (totp, code) = (Totp::generate(), BackupCode::generate());
    let before = NOW - Duration::minutes(10);
    let sealed = cipher.seal(user.get(), totp.secret()).unwrap();
    let mut tx = database.global().await.unwrap();
    assert!(tx.mfa().begin(user, &sealed, before).await.unwrap());
    let outcome = confirm(&mut tx, cipher, user, &totp.code_at(before), before)
        .await
        .unwrap();
    assert_eq!(outcome, MfaOutcome::Accepted);
    assert!(
        tx.mfa()
            .replace_backup_codes(cipher, user, std::slice::from_ref(&code))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    (totp, code)
}

async fn checked(
    database: &Database,
    cipher: &SecretCipher,
    user: UserId,
    code: &str,
    at: OffsetDateTime,
) -> MfaOutcome {
    let mut tx = database.global().await.unwrap();
    let outcome = verify(&mut tx, cipher, user, code, OPERATION, at).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn audited(database: &Database) -> Vec<AuditEntry> {
    let mut tx = database.global().await.unwrap();
    let mut entries = tx.platform_audit_entries(1_000).await.unwrap();
    entries.reverse();
    entries
}

#[tokio::test]
async fn only_a_code_of_a_later_step_is_accepted() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let (_, cipher) = cipher("one");
    let chani = user(7);
    let (totp, _) = enrolled(&database, &cipher, chani).await;
    let at = |steps: i64| NOW + Duration::seconds(30 * steps);
    // Of the step after the one of the clock: the phone is ahead.
    let ahead = totp.code_at(at(1));
    assert_eq!(
        checked(&database, &cipher, chani, &ahead, at(0)).await,
        MfaOutcome::Accepted
    );
    for earlier in [totp.code_at(at(1)), totp.code_at(at(0)), totp.code_at(at(-1))] {
        let outcome = checked(&database, &cipher, chani, &earlier, at(0)).await;
        assert_eq!(outcome, MfaOutcome::Replayed, "{earlier}");
    }
    let next = totp.code_at(at(2));
    assert_eq!(
        checked(&database, &cipher, chani, &next, at(2)).await,
        MfaOutcome::Accepted
    );
    let unknown = checked(&database, &cipher, user(8), &next, at(2)).await;
    assert_eq!(unknown, MfaOutcome::NotEnrolled);
    let actions: Vec<String> = audited(&database).await.into_iter().map(|entry| entry.action).collect();
    let expected = [
        "mfa.enrol",
        "mfa.accepted",
        "mfa.refused",
        "mfa.refused",
        "mfa.refused",
        "mfa.accepted",
    ];
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn concurrent_checks_of_one_code_accept_it_once() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let (_, cipher) = cipher("one");
    let chani = user(7);
    let (totp, backup) = enrolled(&database, &cipher, chani).await;
    for code in [totp.code_at(NOW), backup.expose().to_owned()] {
        let (one, other) = tokio::join!(
            checked(&database, &cipher, chani, &code, NOW),
            checked(&database, &cipher, chani, &code, NOW)
        );
        let mut outcomes = [one, other];
        outcomes.sort_by_key(|outcome| *outcome != MfaOutcome::Accepted);
        assert_eq!(outcomes, [MfaOutcome::Accepted, MfaOutcome::Replayed]);
    }
    // However often a used backup code is sent, it is not counted as wrong.
    for _ in 0..2 * MAX_FAILURES {
        let again = checked(&database, &cipher, chani, backup.expose(), NOW).await;
        assert_eq!(again, MfaOutcome::Replayed);
    }
    let wrong = checked(&database, &cipher, chani, BackupCode::generate().expose(), NOW).await;
    assert_eq!(wrong, MfaOutcome::Wrong { attempts_left: 4 });
    // Of a new set, the old ones are wrong.
    let mut tx = database.global().await.unwrap();
    assert!(tx.mfa().replace_backup_codes(&cipher, chani, &[]).await.unwrap());
    tx.commit().await.unwrap();
    let old = checked(&database, &cipher, chani, backup.expose(), NOW).await;
    assert_eq!(old, MfaOutcome::Wrong { attempts_left: 3 });
}

/// What a login of the database can write without `MFA_ENCRYPTION_KEY`: the hash of a code of its choice.
#[tokio::test]
async fn backup_code_that_a_login_of_the_database_stored_is_not_accepted() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let (_, cipher) = cipher("one");
    let chani = user(7);
    let (_, backup) = enrolled(&database, &cipher, chani).await;
    let mut login = connect(&test.app_url()).await;
    run(&mut login, "select set_config('app.mfa_user', '7', false)")
        .await
        .unwrap();
    let plain = "sha256('arrakis backup code'::bytea || '\\x00'::bytea || int8send(7) || 'aaaa-bbbb-cccc-dddd'::bytea)";
    for (forged, counted) in [(plain.to_owned(), 1), (format!("'\\x02'::bytea || {plain}"), 2)] {
        let sql = format!("update mfa_enrolments set backup_codes = backup_codes || array[{forged}] where user_id = 7");
        run(&mut login, &sql).await.unwrap();
        let outcome = checked(&database, &cipher, chani, "aaaa-bbbb-cccc-dddd", NOW).await;
        assert!(matches!(outcome, MfaOutcome::Wrong { .. }), "{forged}: {outcome:?}");
        let mut tx = database.global().await.unwrap();
        let status = tx.mfa().status(chani).await.unwrap().unwrap();
        assert_eq!(status.backup_codes, counted, "{forged}");
    }
    let own = checked(&database, &cipher, chani, backup.expose(), NOW).await;
    assert_eq!(own, MfaOutcome::Accepted);
}

#[tokio::test]
async fn wrong_codes_are_throttled_for_longer_each_time() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let (_, cipher) = cipher("one");
    let chani = user(7);
    let (totp, backup) = enrolled(&database, &cipher, chani).await;
    let mut at = NOW;
    for minutes in [15, 30, 60] {
        for left in (0..MAX_FAILURES).rev() {
            let outcome = checked(&database, &cipher, chani, "no code", at).await;
            assert_eq!(outcome, MfaOutcome::Wrong { attempts_left: left });
        }
        let until = at + Duration::minutes(minutes);
        for code in [totp.code_at(at), backup.expose().to_owned()] {
            let outcome = checked(&database, &cipher, chani, &code, at).await;
            assert_eq!(outcome, MfaOutcome::Throttled { until });
        }
        at = until;
    }
    // The right code ends it, and the count begins again.
    let right = totp.code_at(at);
    assert_eq!(
        checked(&database, &cipher, chani, &right, at).await,
        MfaOutcome::Accepted
    );
    let wrong = checked(&database, &cipher, chani, "no code", at).await;
    assert_eq!(wrong, MfaOutcome::Wrong { attempts_left: 4 });
}

#[tokio::test]
async fn begun_enrolment_is_no_second_factor_and_a_confirmed_one_is_not_replaced() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let (_, cipher) = cipher("one");
    let chani = user(7);
    let mut tx = database.global().await.unwrap();
    let (first, second) = (Totp::generate(), Totp::generate());
    for totp in [&first, &second] {
        let sealed = cipher.seal(7, totp.secret()).unwrap();
        assert!(tx.mfa().begin(chani, &sealed, NOW).await.unwrap());
    }
    let unconfirmed = verify(&mut tx, &cipher, chani, &second.code_at(NOW), OPERATION, NOW)
        .await
        .unwrap();
    assert_eq!(unconfirmed, MfaOutcome::NotEnrolled);
    let codes = [BackupCode::generate()];
    assert!(!tx.mfa().replace_backup_codes(&cipher, chani, &codes).await.unwrap());
    let confirmed = confirm(&mut tx, &cipher, chani, &second.code_at(NOW), NOW)
        .await
        .unwrap();
    assert_eq!(confirmed, MfaOutcome::Accepted);
    let sealed = cipher.seal(7, first.secret()).unwrap();
    assert!(!tx.mfa().begin(chani, &sealed, NOW).await.unwrap());
    let again = confirm(&mut tx, &cipher, chani, &second.code_at(NOW), NOW)
        .await
        .unwrap();
    assert_eq!(again, MfaOutcome::NotEnrolled);
    let used = verify(&mut tx, &cipher, chani, &second.code_at(NOW), OPERATION, NOW)
        .await
        .unwrap();
    assert_eq!(used, MfaOutcome::Replayed, "the code that confirmed it is used");
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn rows_of_others_are_not_visible_and_not_changed() {
    let test = TestDatabase::create().await;
    let database = test.database().await;
    let (_, cipher) = cipher("one");
    enrolled(&database, &cipher, user(7)).await;
    enrolled(&database, &cipher, user(8)).await;
    let mut app = connect(&test.app_url()).await;
    let count = "select count(*) from mfa_enrolments";
    let unnamed: i64 = sqlx::query_scalar(count).fetch_one(&mut app).await.unwrap();
    assert_eq!(unnamed, 0);
    sqlx::query("select set_config('app.mfa_user', '7', false)")
        .execute(&mut app)
        .await
        .unwrap();
    let named: i64 = sqlx::query_scalar(count).fetch_one(&mut app).await.unwrap();
    assert_eq!(named, 1);
    let changed = sqlx::query("update mfa_enrolments set failures = 4")
        .execute(&mut app)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 1);
    let moved = sqlx::query("update mfa_enrolments set user_id = 9")
        .execute(&mut app)
        .await;
    assert!(moved.is_err());
}

#[tokio::test]
async fn secret_is_read_after_the_rotation_and_not_without_its_key() {
    let test = TestDatabase::create().await;
    let (database, admin) = (test.database().await, test.admin().await);
    let (old, old_cipher) = cipher("old");
    let (new, new_cipher) = cipher("new");
    let both: SecretCipher = format!("{new},{old}").parse().unwrap();
    let chani = user(7);
    let (totp, _) = enrolled(&database, &old_cipher, chani).await;
    let mut tx = database.global().await.unwrap();
    let code = totp.code_at(NOW);
    let lost = verify(&mut tx, &new_cipher, chani, &code, OPERATION, NOW)
        .await
        .unwrap_err();
    assert!(matches!(lost, DbError::Corrupt { .. }), "{lost}");
    drop(tx);
    let secrets = admin.mfa_secrets_not_of("new").await.unwrap();
    let [(found, sealed)] = secrets.as_slice() else {
        panic!("{secrets:?}");
    };
    let secret = both.open(found.get(), sealed).unwrap();
    let resealed = both.seal(found.get(), &secret).unwrap();
    let mut tx = admin.database().global().await.unwrap();
    assert!(tx.mfa().reseal(chani, sealed, &resealed).await.unwrap());
    assert!(
        !tx.mfa().reseal(chani, sealed, &resealed).await.unwrap(),
        "it has changed since"
    );
    tx.commit().await.unwrap();
    assert!(admin.mfa_secrets_not_of("new").await.unwrap().is_empty());
    assert_eq!(
        checked(&database, &new_cipher, chani, &code, NOW).await,
        MfaOutcome::Accepted
    );
}

#[tokio::test]
async fn grant_is_of_one_user_operation_and_plan_and_expires() {
    let (_test, database, community) = one_community().await;
    let grant = |token: &GrantToken| NewGrant {
        hash: token.hash(),
        user: user(7),
        operation: OPERATION,
        plan_digest: [1; 32],
        created_at: NOW,
    };
    let (token, late) = (GrantToken::generate(), GrantToken::generate());
    let mut tx = database.tenant(community).await.unwrap();
    let expires_at = tx.store_mfa_grant(&grant(&token)).await.unwrap();
    tx.store_mfa_grant(&grant(&late)).await.unwrap();
    let hash = token.hash();
    let roles = ProtectedOperation::DeleteRoles;
    assert!(
        !tx.use_mfa_grant([0; 32], user(7), OPERATION, [1; 32], NOW)
            .await
            .unwrap()
    );
    assert!(!tx.use_mfa_grant(hash, user(8), OPERATION, [1; 32], NOW).await.unwrap());
    assert!(!tx.use_mfa_grant(hash, user(7), roles, [1; 32], NOW).await.unwrap());
    assert!(!tx.use_mfa_grant(hash, user(7), OPERATION, [2; 32], NOW).await.unwrap());
    assert!(tx.use_mfa_grant(hash, user(7), OPERATION, [1; 32], NOW).await.unwrap());
    assert!(!tx.use_mfa_grant(hash, user(7), OPERATION, [1; 32], NOW).await.unwrap());
    let expired = tx
        .use_mfa_grant(late.hash(), user(7), OPERATION, [1; 32], expires_at)
        .await;
    assert!(!expired.unwrap());
    tx.commit().await.unwrap();
}
