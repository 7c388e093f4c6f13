//! Requests to the api whose response is lost after they took effect.

use crate::support::{ApiProxy, Bot, Sent, Setup, address_of, key};

async fn start() -> (Setup, ApiProxy, Bot) {
    let setup = Setup::start().await;
    let proxy = ApiProxy::start(&setup.api_url).await;
    let bot = setup.bot_with(&[("API_URL", proxy.url.clone())]).await;
    (setup, proxy, bot)
}

/// The user links the wallet of a key.
async fn verify(setup: &Setup, user: i64, number: u8) {
    setup.telegram.write(user, "/verify");
    let link = setup.telegram.until_text(user, "/verify/").await;
    setup.sign(&link.session_token(), &key(number)).await;
    setup.telegram.until_text(user, "linked to you").await;
}

/// The user and a Discord account share an identity; returns the message that offers to separate them.
async fn separation_question(setup: &Setup) -> Sent {
    setup.discord_holds(8, &key(1)).await;
    verify(setup, 42, 1).await;
    setup.telegram.write(42, "/unlink");
    setup.telegram.until_text(42, "are linked").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_of_a_holder_is_stated_after_a_lost_response() {
    let (setup, proxy, _bot) = start().await;
    let telegram = &setup.telegram;
    verify(&setup, 42, 1).await;
    for (label, answer, requests) in [("Keep", "stays linked", 2), ("Move", "was moved", 4)] {
        telegram.write(43, "/verify");
        let link = telegram.until_text(43, "/verify/").await;
        assert_eq!(setup.sign(&link.session_token(), &key(1)).await, "signed");
        setup.request_move(&link.session_token()).await;
        let question = telegram.until_text(42, "requests it").await;
        proxy.fail("/answer", 1);
        telegram.press(42, &question, &question.button(label));
        telegram.until_text(42, answer).await;
        assert_eq!(proxy.count("/answer"), requests, "the request was repeated");
    }
    assert!(setup.identity(43).await.unwrap().holds(address_of(&key(1))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn separation_is_stated_after_a_lost_response() {
    let (setup, proxy, _bot) = start().await;
    let telegram = &setup.telegram;
    let question = separation_question(&setup).await;
    proxy.fail("/separate", 1);
    telegram.press(42, &question, &question.button("Separate"));
    telegram.until_text(42, "are separated").await;
    assert_eq!(proxy.count("/separate"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlink_without_a_response_is_stated_as_uncertain() {
    let (setup, proxy, _bot) = start().await;
    let telegram = &setup.telegram;
    verify(&setup, 42, 1).await;
    telegram.write(42, "/unlink");
    let question = telegram.until_text(42, "Which wallet").await;
    let data = question.button("Unlink");
    proxy.fail("/wallets/", 3);
    telegram.press(42, &question, &data);
    telegram.until_confirmed().await;
    let hint = telegram.calls("answerCallbackQuery").pop().unwrap();
    assert!(hint["text"].as_str().unwrap().contains("not certain"), "{hint}");
    // The button stays, and states the result.
    telegram.press(42, &question, &data);
    telegram.until_text(42, "is not linked to you any more").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn separation_without_a_response_is_stated_as_uncertain() {
    let (setup, proxy, _bot) = start().await;
    let telegram = &setup.telegram;
    let question = separation_question(&setup).await;
    proxy.fail("/separate", 3);
    telegram.press(42, &question, &question.button("Separate"));
    telegram.until_confirmed().await;
    let hint = telegram.calls("answerCallbackQuery").pop().unwrap();
    assert!(hint["text"].as_str().unwrap().contains("not certain"), "{hint}");
    assert_eq!(proxy.count("/separate"), 3);
    // The button stays, and states the result.
    telegram.press(42, &question, &question.button("Separate"));
    telegram.until_text(42, "No Discord account is linked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_without_a_response_is_not_begun_again() {
    let (setup, proxy, _bot) = start().await;
    proxy.fail("/sessions", 1);
    setup.telegram.write(42, "/verify");
    setup.telegram.until_text(42, "not certain").await;
    assert_eq!(proxy.count("/sessions"), 1);
}
