//! Presenting a signature: the order of checks, single use, and what is written.

use arrakis_chain::CallResult;
use arrakis_verification::{AccountNetwork, ProgressState, Started};
use time::Duration;

use crate::support::{TestService, accepting, address_of, code, discord, key, now, sign, submission};

const BASE: &str = "https://verify.arrakis.example";

#[tokio::test]
async fn signature_links_the_wallet_and_enqueues_one_job() {
    let service = TestService::start(BASE).await;
    let (id, token) = service.begin(discord(8), "Chani").await;
    let progress = service.sign_and_submit(&token, &key(1)).await.unwrap();
    assert_eq!(progress.state, ProgressState::Completed);
    assert_eq!(service.state(&token).await, "completed");
    assert_eq!(
        service.record.holders.lock().unwrap().get(&address_of(&key(1))),
        Some(&discord(8))
    );
    assert_eq!(service.jobs().await, [format!("verification:{id}:record")]);
    // The job can still edit the Discord answer.
    let mut tx = service.database.global().await.unwrap();
    assert!(tx.verification_sessions().interaction_of(id).await.unwrap().is_some());
    // Neither token nor signature is stored.
    let row = service.stored_session(id).await;
    assert!(row.contains("eip191") && !row.contains(&token), "{row}");
}

#[tokio::test]
async fn telegram_session_has_no_community_and_works_the_same() {
    let service = TestService::start(BASE).await;
    let account = arrakis_verification::Account {
        network: AccountNetwork::Telegram,
        id: 42,
    };
    let (id, token) = service.begin(account, "Zoë 🐛").await;
    service.sign_and_submit(&token, &key(1)).await.unwrap();
    assert_eq!(service.jobs().await, [format!("verification:{id}:record")]);
}

#[tokio::test]
async fn second_signature_is_refused_also_when_it_is_the_same() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    let message = service.message(&token, address_of(&key(1))).await;
    let first = submission(address_of(&key(1)), Some(&message), &sign(&key(1), &message));
    service.verification.submit(&token, &first, now()).await.unwrap();
    assert_eq!(
        code(service.verification.submit(&token, &first, now()).await),
        "already_used"
    );
    // In the account's next session the earlier message has another nonce.
    let (_, next) = service.begin(discord(8), "Chani").await;
    assert_eq!(
        code(service.verification.submit(&next, &first, now()).await),
        "another_session"
    );
    assert_eq!(service.jobs().await.len(), 1);
}

#[tokio::test]
async fn of_concurrent_submissions_one_is_recorded() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    let message = service.message(&token, address_of(&key(1))).await;
    let signed = submission(address_of(&key(1)), Some(&message), &sign(&key(1), &message));
    let attempts: Vec<_> = (0..6)
        .map(|_| {
            let (verification, token, signed) = (service.verification.clone(), token.clone(), signed.clone());
            tokio::spawn(async move { verification.submit(&token, &signed, now()).await })
        })
        .collect();
    let mut accepted = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => accepted += 1,
            refused => assert_eq!(code(refused), "already_used"),
        }
    }
    assert_eq!((accepted, service.jobs().await.len()), (1, 1));
}

#[tokio::test]
async fn each_fault_has_its_own_refusal_and_leaves_the_session_open() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    let (_, other) = service.begin(discord(9), "Stilgar").await;
    let wallet = address_of(&key(1));
    let message = service.message(&token, wallet).await;
    let others = service.message(&other, wallet).await;
    let valid = sign(&key(1), &message);
    let evil = message.replace("verify.arrakis.example wants", "v\u{435}rify.arrakis.example wants");
    let chain = message.replace("Chain ID: 80094", "Chain ID: 1");
    for (text, signature, refusal) in [
        (&others, sign(&key(1), &others), "other_account"),
        (&evil, sign(&key(1), &evil), "wrong_domain"),
        (&chain, sign(&key(1), &chain), "wrong_chain"),
        (
            &format!("{message}\n- https://evil.example"),
            valid.clone(),
            "extra_lines",
        ),
        (&message, sign(&key(2), &message), "wrong_signer"),
        (&message, sign(&key(1), &others), "wrong_signer"),
        (&message, format!("{}02", &valid[..130]), "wrong_recovery_code"),
        (&message, valid[..100].to_owned(), "malformed_signature"),
        (&message, "0xnothex".to_owned(), "malformed_signature"),
    ] {
        let submitted = submission(wallet, Some(text), &signature);
        assert_eq!(
            code(service.verification.submit(&token, &submitted, now()).await),
            refusal
        );
    }
    let mut no_address = submission(wallet, None, &valid);
    no_address.address = "chani.eth".to_owned();
    assert_eq!(
        code(service.verification.submit(&token, &no_address, now()).await),
        "invalid_address"
    );
    let other_chain = service
        .verification
        .message(&token, &wallet.to_string(), 1, now())
        .await;
    assert_eq!(code(other_chain), "wrong_chain");
    assert_eq!(service.state(&token).await, "open");
    // Without the text, the session's message is taken.
    let submitted = submission(wallet, None, &valid);
    service.verification.submit(&token, &submitted, now()).await.unwrap();
}

#[tokio::test]
async fn ended_sessions_are_refused_by_their_reason() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    let wallet = address_of(&key(1));
    let message = service.message(&token, wallet).await;
    let signed = submission(wallet, Some(&message), &sign(&key(1), &message));
    let later = now() + Duration::minutes(15);
    assert_eq!(
        code(service.verification.submit(&token, &signed, later).await),
        "expired"
    );
    assert_eq!(
        code(
            service
                .verification
                .message(&token, &wallet.to_string(), 80094, later)
                .await
        ),
        "expired"
    );
    service.begin(discord(8), "Chani").await;
    assert_eq!(
        code(service.verification.submit(&token, &signed, now()).await),
        "replaced"
    );
    let unknown = "A".repeat(43);
    assert_eq!(
        code(service.verification.submit(&unknown, &signed, now()).await),
        "unknown_session"
    );
    assert_eq!(
        code(service.verification.session("verify", now()).await),
        "unknown_session"
    );
}

#[tokio::test]
async fn failure_of_the_registry_undoes_the_use_of_the_signature() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    *service.record.fails.lock().unwrap() = true;
    assert_eq!(code(service.sign_and_submit(&token, &key(1)).await), "internal_error");
    assert_eq!((service.state(&token).await, service.jobs().await.len()), ("open", 0));
    service.sign_and_submit(&token, &key(1)).await.unwrap();
}

#[tokio::test]
async fn contract_wallet_is_checked_on_the_chain() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    let wallet = address_of(&key(7));
    // Three owners of a Safe.
    let signature = format!("0x{}", "1b".repeat(195));
    let signed = submission(wallet, None, &signature);
    let submit = || service.verification.submit(&token, &signed, now());
    *service.chain.down.lock().unwrap() = true;
    assert_eq!(code(submit().await), "chain_unavailable");
    *service.chain.down.lock().unwrap() = false;
    assert_eq!(code(submit().await), "malformed_signature");
    let set = |result| service.chain.contracts.lock().unwrap().insert(wallet, result);
    set(CallResult::Reverted(Vec::new()));
    assert_eq!(code(submit().await), "refused_by_contract");
    set(accepting());
    assert_eq!(submit().await.unwrap().state, ProgressState::Completed);
}

#[tokio::test]
async fn attempts_of_a_session_and_starts_of_an_account_are_limited() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(8), "Chani").await;
    let wrong = submission(address_of(&key(1)), None, "0x00");
    let mut codes = Vec::new();
    for _ in 0..21 {
        codes.push(code(service.verification.submit(&token, &wrong, now()).await));
    }
    assert_eq!(codes[19], "malformed_signature");
    assert_eq!(codes[20], "too_many_attempts");
    for _ in 0..4 {
        service.begin(discord(8), "Chani").await;
    }
    let new = service.new_session(discord(8), "Chani");
    let refused = service.verification.start(&new, now()).await.unwrap();
    assert!(matches!(refused, Started::TooMany { .. }), "{refused:?}");
}

#[tokio::test]
async fn view_names_the_account_and_no_secret() {
    let service = TestService::start(BASE).await;
    let (_, token) = service.begin(discord(1_300_000_000_000_000_001), "Chani").await;
    let view = service.verification.session(&token, now()).await.unwrap();
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["state"], "open");
    assert_eq!(json["account"]["id"], "1300000000000000001");
    assert_eq!(json["chain_id"], 80094);
    // A minute before the interaction's token ends.
    assert!((830..=840).contains(&view.seconds_left), "{}", view.seconds_left);
    assert_eq!(json.as_object().unwrap().len(), 6);
}
