//! Moving a wallet of another account: both sides consent.

use arrakis_verification::{MoveAnswer, ProgressState};

use crate::support::{TestService, address_of, code, discord, key, now};

/// Stilgar holds the wallet, and Chani has signed with it.
async fn held_by_another() -> (TestService, uuid::Uuid, String) {
    let service = TestService::start("https://verify.arrakis.example").await;
    service
        .record
        .holders
        .lock()
        .unwrap()
        .insert(address_of(&key(1)), discord(9));
    let (id, token) = service.begin(discord(8), "Chani").await;
    let progress = service.sign_and_submit(&token, &key(1)).await.unwrap();
    assert_eq!(progress.state, ProgressState::Signed);
    (service, id, token)
}

fn holder_of_the_wallet(service: &TestService) -> Option<u64> {
    let holders = service.record.holders.lock().unwrap();
    holders.get(&address_of(&key(1))).map(|holder| holder.id)
}

#[tokio::test]
async fn wallet_of_another_member_stays_until_both_consent() {
    let (service, id, token) = held_by_another().await;
    assert_eq!(
        (service.state(&token).await, holder_of_the_wallet(&service)),
        ("signed", Some(9))
    );
    assert!(service.jobs().await.is_empty());
    // Before the member asks, no answer counts.
    let early = service
        .verification
        .answer_move(id, discord(9), true, now())
        .await
        .unwrap();
    assert_eq!(early, MoveAnswer::NotRequested);

    for _ in 0..2 {
        let asked = service.verification.request_move(&token, now()).await.unwrap();
        assert_eq!(asked.state, ProgressState::AwaitingConsent);
    }
    assert_eq!(
        service.jobs().await,
        [format!("verification:{id}:consent")],
        "asked once"
    );
    let request = service.record.requested.lock().unwrap()[0].clone();
    assert_eq!((request.requester, request.holder), (discord(8), discord(9)));

    // Only the holder's answer counts.
    for account in [discord(8), discord(10)] {
        let answered = service
            .verification
            .answer_move(id, account, true, now())
            .await
            .unwrap();
        assert_eq!(answered, MoveAnswer::NotRequested);
    }
    assert_eq!(holder_of_the_wallet(&service), Some(9));
    let moved = service
        .verification
        .answer_move(id, discord(9), true, now())
        .await
        .unwrap();
    assert!(matches!(moved, MoveAnswer::Moved(_)), "{moved:?}");
    assert_eq!(
        (service.state(&token).await, holder_of_the_wallet(&service)),
        ("completed", Some(8))
    );
    // The button pressed again.
    let again = service
        .verification
        .answer_move(id, discord(9), false, now())
        .await
        .unwrap();
    assert_eq!(
        (again, holder_of_the_wallet(&service)),
        (MoveAnswer::NotRequested, Some(8))
    );
}

#[tokio::test]
async fn holder_who_refuses_keeps_the_wallet() {
    let (service, id, token) = held_by_another().await;
    service.verification.request_move(&token, now()).await.unwrap();
    let kept = service
        .verification
        .answer_move(id, discord(9), false, now())
        .await
        .unwrap();
    assert_eq!((kept, holder_of_the_wallet(&service)), (MoveAnswer::Kept, Some(9)));
    assert_eq!(service.state(&token).await, "refused");
    assert_eq!(
        code(service.verification.request_move(&token, now()).await),
        "holder_refused"
    );
}

#[tokio::test]
async fn answer_after_the_session_or_by_a_former_holder_moves_nothing() {
    let (service, id, token) = held_by_another().await;
    service.verification.request_move(&token, now()).await.unwrap();
    let late = now() + time::Duration::minutes(15);
    let answered = service
        .verification
        .answer_move(id, discord(9), true, late)
        .await
        .unwrap();
    assert_eq!(answered, MoveAnswer::NotRequested);
    service
        .record
        .holders
        .lock()
        .unwrap()
        .insert(address_of(&key(1)), discord(10));
    assert_eq!(
        code(service.verification.answer_move(id, discord(9), true, now()).await),
        "holder_changed"
    );
    assert_eq!(holder_of_the_wallet(&service), Some(10));
}

#[tokio::test]
async fn nothing_is_moved_without_a_signature_or_after_a_replacement() {
    let (service, id, token) = held_by_another().await;
    let (_, next) = service.begin(discord(8), "Chani").await;
    assert_eq!(code(service.verification.request_move(&token, now()).await), "replaced");
    assert_eq!(
        code(service.verification.request_move(&next, now()).await),
        "nothing_to_move"
    );
    let answered = service
        .verification
        .answer_move(id, discord(9), true, now())
        .await
        .unwrap();
    assert_eq!(answered, MoveAnswer::NotRequested);
}
