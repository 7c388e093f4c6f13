//! From `/verify` to `/status`, with the wallet page and the registry of a running api.

use arrakis_db::UserId;

use crate::support::{Setup, address_of, key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_verifies_a_wallet_and_the_message_is_edited() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    assert_eq!(setup.sign(&link.session_token(), &key(1)).await, "completed");
    let edited = telegram.until_text(42, "is linked to you").await;
    let address = address_of(&key(1)).to_string();
    assert_eq!((edited.id, edited.edits), (link.id, 1));
    assert!(
        edited.text.contains(&address) && !edited.text.contains("/verify/"),
        "{}",
        edited.text
    );
    telegram.write(42, "/status");
    let status = telegram.until_text(42, "Your wallets").await;
    assert!(
        status.text.contains(&format!("{address}, your primary wallet")),
        "{}",
        status.text
    );
    assert!(setup.identity(42).await.unwrap().holds(address_of(&key(1))));
    assert_eq!(telegram.sent().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wallet_of_a_discord_account_joins_the_accounts_and_separating_undoes_it() {
    let setup = Setup::start().await;
    setup.discord_holds(8, &key(1)).await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    telegram.write(42, "/start verify");
    let link = telegram.until_text(42, "/verify/").await;
    assert_eq!(setup.sign(&link.session_token(), &key(1)).await, "completed");
    telegram.until_text(42, "belongs to it now").await;
    let record = setup.identity(42).await.unwrap();
    assert_eq!(record.identity.discord_user.map(UserId::get), Some(8));

    // The wallet stays with the Discord account.
    telegram.write(42, "/unlink");
    let question = telegram.until_text(42, "are linked").await;
    telegram.press(42, &question, &question.button("Separate"));
    let answer = telegram.until_text(42, "are separated").await;
    assert_eq!(answer.id, question.id);
    assert!(setup.identity(42).await.is_none());
    // After that, a signature alone does not join them again.
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    assert_eq!(setup.sign(&link.session_token(), &key(1)).await, "signed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holder_in_telegram_is_asked_and_answers_by_a_button() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    for (user, number) in [(42, 1), (43, 2)] {
        telegram.write(user, "/verify");
        let link = telegram.until_text(user, "/verify/").await;
        setup.sign(&link.session_token(), &key(number)).await;
        telegram.until_text(user, "is linked to you").await;
    }
    for (label, answer, result) in [
        ("Keep", "stays linked", "did not agree"),
        ("Move", "was moved", "is linked to you"),
    ] {
        telegram.write(43, "/verify");
        let link = telegram.until_text(43, "/verify/").await;
        assert_eq!(setup.sign(&link.session_token(), &key(1)).await, "signed");
        setup.request_move(&link.session_token()).await;
        let asked = telegram.until_text(43, "was asked").await;
        assert_eq!(asked.id, link.id);
        let question = telegram.until_text(42, "requests it").await;
        assert!(
            question.text.contains("The Telegram account “User 43” (43)"),
            "{}",
            question.text
        );
        let data = question.button(label);
        // A press by another account changes nothing.
        telegram.press(44, &question, &data);
        telegram.press(42, &question, &data);
        telegram.until_text(42, answer).await;
        telegram.until_text(43, result).await;
        // A second press states the same, and the other button that the request has ended.
        telegram.press(42, &question, &data);
        telegram.until_confirmed().await;
        telegram.until_text(42, answer).await;
        let other = question.button(if label == "Keep" { "Move" } else { "Keep" });
        telegram.press(42, &question, &other);
        telegram.until_text(42, "has ended").await;
    }
    assert!(setup.identity(43).await.unwrap().holds(address_of(&key(1))));
    assert!(!setup.identity(42).await.unwrap().holds(address_of(&key(1))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wallet_of_a_telegram_account_is_unlinked_by_its_button() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    setup.sign(&link.session_token(), &key(1)).await;
    telegram.until_text(42, "is linked to you").await;
    telegram.write(42, "/unlink");
    let question = telegram.until_text(42, "Which wallet").await;
    telegram.press(42, &question, &question.button("Keep"));
    telegram.until_text(42, "Nothing was changed").await;
    telegram.write(42, "/unlink");
    let question = telegram.until_text(42, "Which wallet").await;
    let data = question.button("Unlink");
    // Twice: the second press states the same.
    telegram.press(42, &question, &data);
    telegram.press(42, &question, &data);
    telegram.until_text(42, "is not linked to you any more").await;
    telegram.until_confirmed().await;
    assert_eq!(setup.identity(42).await.unwrap().held().count(), 0);
}
