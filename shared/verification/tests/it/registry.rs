//! The identity registry as the record of proven wallets.

use std::sync::Arc;

use arrakis_db::UserId;
use arrakis_db::registry::{Account as RegistryAccount, IdentityRecord, SignatureKind, TelegramUserId};
use arrakis_verification::{
    Account, AccountNetwork, MoveAnswer, ProgressState, RegistryRecord, Submission, Unlinking, VerificationJob,
};

use crate::support::{CHAIN, TestService, address_of, discord, key, now, sign};

async fn service() -> TestService {
    let base = "https://verify.arrakis.example";
    let mut service = TestService::start(base).await;
    service.use_record(base, Arc::new(RegistryRecord));
    service
}

async fn holder(service: &TestService, number: u8) -> Option<IdentityRecord> {
    let mut tx = service.database.global().await.unwrap();
    tx.registry().by_wallet(address_of(&key(number))).await.unwrap()
}

async fn discord_holder(service: &TestService, number: u8) -> Option<u64> {
    holder(service, number).await?.identity.discord_user.map(UserId::get)
}

async fn job(service: &TestService, id: &str) -> VerificationJob {
    let sql = format!(
        "select payload::text from (select job_id, payload from jobs union all select job_id, payload from platform_jobs) j
          where job_id = '{id}'"
    );
    serde_json::from_str(&service.rows(&sql).await[0]).unwrap()
}

const fn telegram(id: u64) -> Account {
    Account {
        network: AccountNetwork::Telegram,
        id,
    }
}

#[tokio::test]
async fn proven_wallet_joins_the_accounts_identity() {
    let service = service().await;
    let (id, token) = service.begin(discord(8), "Chani").await;
    let progress = service.sign_and_submit(&token, &key(1)).await.unwrap();
    assert_eq!(progress.state, ProgressState::Completed);
    let record = holder(&service, 1).await.unwrap();
    assert_eq!(record.identity.discord_user.map(UserId::get), Some(8));
    let wallet = record.held().next().unwrap();
    assert!(wallet.is_primary);
    assert_eq!(wallet.signature.unwrap().kind, SignatureKind::Eip191);
    let expected = VerificationJob::Recorded {
        session: id,
        account: discord(8),
        address: address_of(&key(1)),
        moved_from: None,
        joined: None,
    };
    assert_eq!(job(&service, &expected.id()).await, expected);
    // A second wallet joins the same identity; the first one verified again changes nothing.
    for number in [2, 1] {
        let (_, token) = service.begin(discord(8), "Chani").await;
        service.sign_and_submit(&token, &key(number)).await.unwrap();
    }
    let record = holder(&service, 1).await.unwrap();
    assert_eq!(record.held().count(), 2);
    assert_eq!(service.rows("select event_type from identity_events").await.len(), 3);
}

#[tokio::test]
async fn wallet_moves_between_identities_with_consent() {
    let service = service().await;
    let (_, token) = service.begin(discord(9), "Stilgar").await;
    service.sign_and_submit(&token, &key(1)).await.unwrap();
    let (id, token) = service.begin(discord(8), "Chani").await;
    let progress = service.sign_and_submit(&token, &key(1)).await.unwrap();
    assert_eq!(progress.state, ProgressState::Signed);
    assert_eq!(discord_holder(&service, 1).await, Some(9));
    service.verification.request_move(&token, now()).await.unwrap();
    let consent = job(&service, &format!("verification:{id}:consent")).await;
    assert!(
        matches!(consent, VerificationJob::RequestConsent { holder, requester, .. }
            if holder == discord(9) && requester == discord(8)),
        "{consent:?}"
    );
    let moved = service
        .verification
        .answer_move(id, discord(9), true, now())
        .await
        .unwrap();
    assert!(matches!(moved, MoveAnswer::Moved(_)), "{moved:?}");
    assert_eq!(discord_holder(&service, 1).await, Some(8));
    let recorded = job(&service, &format!("verification:{id}")).await;
    assert!(
        matches!(recorded, VerificationJob::Recorded { moved_from, .. } if moved_from == Some(discord(9))),
        "{recorded:?}"
    );
}

#[tokio::test]
async fn telegram_account_joins_the_identity_that_holds_its_wallet() {
    let service = service().await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    service.sign_and_submit(&token, &key(1)).await.unwrap();
    let (id, token) = service.begin(telegram(42), "Chani").await;
    let progress = service.sign_and_submit(&token, &key(1)).await.unwrap();
    assert_eq!(progress.state, ProgressState::Completed);
    // Both accounts are notified.
    let recorded = job(&service, &format!("verification:{id}")).await;
    assert!(
        matches!(recorded, VerificationJob::Recorded { joined, .. } if joined == Some(discord(8))),
        "{recorded:?}"
    );
    assert_eq!(notices(&service, 42).await, ["verified"]);
    let record = holder(&service, 1).await.unwrap();
    assert_eq!(record.identity.discord_user.map(UserId::get), Some(8));
    assert_eq!(record.identity.telegram_user.map(TelegramUserId::get), Some(42));
    // A Telegram account with an identity of its own does not join; the holder is asked.
    let (_, token) = service.begin(telegram(43), "Stilgar").await;
    service.sign_and_submit(&token, &key(2)).await.unwrap();
    let (_, token) = service.begin(telegram(43), "Stilgar").await;
    let progress = service.sign_and_submit(&token, &key(1)).await.unwrap();
    assert_eq!(progress.state, ProgressState::Signed);
    service.verification.request_move(&token, now()).await.unwrap();
    assert_eq!(notices(&service, 43).await, ["consent_requested", "verified"]);
    // A Discord account joins the identity that only has a Telegram account.
    let (_, token) = service.begin(discord(10), "Stilgar").await;
    service.sign_and_submit(&token, &key(2)).await.unwrap();
    let mut tx = service.database.global().await.unwrap();
    let account = RegistryAccount::Telegram(TelegramUserId::new(43).unwrap());
    let record = tx.registry().by_account(account).await.unwrap().unwrap();
    assert_eq!(record.identity.discord_user.map(UserId::get), Some(10));
    assert_eq!(notices(&service, 43).await, ["consent_requested", "joined", "verified"]);
}

/// The kinds of the notices of a Telegram account.
async fn notices(service: &TestService, user: u64) -> Vec<String> {
    let sql = format!("select payload ->> 'kind' from telegram_notices where telegram_user_id = {user} order by 1");
    service.app_rows(&sql).await
}

#[tokio::test]
async fn holder_in_telegram_is_asked_and_the_requester_is_told_of_the_refusal() {
    let service = service().await;
    for (user, number) in [(42, 1), (43, 2)] {
        let (_, token) = service.begin(telegram(user), "Chani").await;
        service.sign_and_submit(&token, &key(number)).await.unwrap();
    }
    let (id, token) = service.begin(telegram(43), "Stilgar").await;
    service.sign_and_submit(&token, &key(1)).await.unwrap();
    service.verification.request_move(&token, now()).await.unwrap();
    assert_eq!(notices(&service, 42).await, ["consent", "verified"]);
    let kept = service.verification.answer_move(id, telegram(42), false, now()).await;
    assert_eq!(kept.unwrap(), MoveAnswer::Kept);
    assert_eq!(
        notices(&service, 43).await,
        ["consent_requested", "refused", "verified"]
    );
}

#[tokio::test]
async fn either_account_separates_and_the_one_that_came_later_leaves() {
    let service = service().await;
    for (user, by) in [(8, discord(8)), (9, telegram(9))] {
        let number = u8::try_from(user).unwrap();
        for account in [discord(user), telegram(user)] {
            let (_, token) = service.begin(account, "Chani").await;
            service.sign_and_submit(&token, &key(number)).await.unwrap();
        }
        // In Telegram, no wallet of a Discord account is removed.
        let unlinked = service
            .verification
            .unlink(telegram(user), address_of(&key(number)), None, now())
            .await;
        assert_eq!(unlinked.unwrap(), Unlinking::InDiscord);
        let Unlinking::Done(stored) = service.verification.separate(by, now()).await.unwrap() else {
            panic!("not separated");
        };
        let separated = job(&service, &stored.id).await;
        assert!(
            matches!(separated, VerificationJob::Separated { account, .. } if account == discord(user)),
            "{separated:?}"
        );
        let record = holder(&service, number).await.unwrap();
        assert_eq!(record.identity.discord_user.map(UserId::get), Some(user));
        assert_eq!(record.identity.telegram_user, None);
        let again = service.verification.separate(by, now()).await.unwrap();
        assert_eq!(again, Unlinking::Nothing);
    }
    // The Telegram account is notified of what the Discord account did, and not what it did itself.
    assert_eq!(notices(&service, 8).await, ["separated", "verified"]);
    assert_eq!(notices(&service, 9).await, ["verified"]);
}

#[tokio::test]
async fn repeated_unlink_does_not_remove_a_wallet_that_was_verified_again() {
    let service = service().await;
    let unlink = async |event| {
        let unlinked = service
            .verification
            .unlink(telegram(42), address_of(&key(1)), Some(event), now())
            .await;
        unlinked.unwrap()
    };
    let mut events = Vec::new();
    for _ in 0..2 {
        let (_, token) = service.begin(telegram(42), "Chani").await;
        service.sign_and_submit(&token, &key(1)).await.unwrap();
        let record = holder(&service, 1).await.unwrap();
        events.push(record.held().next().unwrap().verified_event);
        if let [first, _] = events[..] {
            assert_eq!(unlink(first).await, Unlinking::VerifiedAgain);
            assert!(holder(&service, 1).await.is_some());
        }
        let newest = *events.last().unwrap();
        assert!(matches!(unlink(newest).await, Unlinking::Done(_)));
        assert_eq!(unlink(newest).await, Unlinking::Nothing);
    }
}

#[tokio::test]
async fn concurrent_verifications_of_one_wallet_leave_one_holder_and_one_identity() {
    let service = service().await;
    let mut attempts = Vec::new();
    for account in 1..=8 {
        let (_, token) = service.begin(discord(account), "Fremen").await;
        let address = address_of(&key(1));
        let message = service.message(&token, address).await;
        let signed = crate::support::submission(address, Some(&message), &crate::support::sign(&key(1), &message));
        let verification = service.verification.clone();
        attempts.push(tokio::spawn(async move {
            verification.submit(&token, &signed, now()).await
        }));
    }
    let mut states = Vec::new();
    for attempt in attempts {
        states.push(attempt.await.unwrap().unwrap().state);
    }
    let completed = states
        .iter()
        .filter(|state| **state == ProgressState::Completed)
        .count();
    let held = states.iter().filter(|state| **state == ProgressState::Signed).count();
    assert_eq!((completed, held), (1, 7), "{states:?}");
    let held = "select address from identity_wallets where removed_at is null";
    assert_eq!(service.rows(held).await.len(), 1);
    assert_eq!(service.rows("select display_name from user_identities").await.len(), 1);
}

#[tokio::test]
async fn suspended_account_begins_no_session_and_opens_no_link() {
    let service = service().await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    let message = service.message(&token, address_of(&key(1))).await;
    let until = now() + time::Duration::days(3);
    service.suspend(8, Some(until)).await;
    let verification = &service.verification;
    let started = verification
        .start(&service.new_session(discord(8), "Chani"), now())
        .await;
    let opened = verification.session(&token, now()).await;
    let address = address_of(&key(1)).to_string();
    let asked = verification.message(&token, &address, CHAIN, now()).await;
    let submission = Submission {
        signature: sign(&key(1), &message),
        address,
        message: Some(message),
    };
    let submitted = verification.submit(&token, &submission, now()).await;
    for refused in [started.err(), opened.err(), asked.err(), submitted.err()] {
        let refusal = refused.unwrap().shown();
        assert_eq!(refusal.code(), "account_suspended");
        let text = refusal.to_string();
        assert!(
            text.starts_with(&format!("Your account is suspended here until {}", until.date())),
            "{text}"
        );
    }
    // Another account is not affected.
    service.begin(discord(9), "Stilgar").await;
}
