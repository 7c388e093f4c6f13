//! Results of sessions: shown once, whatever fails between.

use serde_json::json;

use crate::support::{Fault, Setup, Telegram, key};

/// A session whose message was sent; returns its token.
async fn link(telegram: &Telegram) -> String {
    telegram.write(42, "/verify");
    let link = telegram.until_text(42, "/verify/").await;
    telegram.until_confirmed().await;
    link.session_token()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_of_a_session_that_ended_while_the_service_was_down_is_shown_after_its_start() {
    let setup = Setup::start().await;
    let bot = setup.bot().await;
    let token = link(&setup.telegram).await;
    bot.stop().await;
    assert_eq!(setup.sign(&token, &key(1)).await, "completed");
    let _bot = setup.bot().await;
    let edited = setup.telegram.until_text(42, "is linked to you").await;
    assert_eq!(edited.edits, 1);
    setup.until_no_notice().await;
    assert_eq!(setup.telegram.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_is_a_message_when_the_link_was_deleted() {
    let setup = Setup::start().await;
    let bot = setup.bot().await;
    let token = link(&setup.telegram).await;
    let message = setup.telegram.sent()[0].id;
    setup.telegram.delete(message);
    setup.sign(&token, &key(1)).await;
    let sent = setup.telegram.until_text(42, "is linked to you").await;
    assert_ne!(sent.id, message);
    setup.until_no_notice().await;
    assert_eq!(setup.telegram.sent().len(), 1);
    assert_eq!(bot.metric("arrakis_telegram_notices_total{result=\"shown\"}"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_is_repeated_after_any_fault_and_shows_once() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let token = link(&setup.telegram).await;
    for fault in [Fault::Refuse(500, json!("<html>")), Fault::Cut] {
        setup.telegram.fail("editMessageText", fault);
    }
    setup.sign(&token, &key(1)).await;
    let edited = setup.telegram.until_text(42, "is linked to you").await;
    setup.until_no_notice().await;
    assert_eq!((edited.edits, setup.telegram.sent().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_about_one_session_after_a_downtime_are_shown_in_their_order() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let bot = setup.bot().await;
    let token = link(telegram).await;
    setup.sign(&token, &key(1)).await;
    telegram.until_text(42, "is linked to you").await;
    telegram.write(43, "/verify");
    let link = telegram.until_text(43, "/verify/").await;
    telegram.until_confirmed().await;
    setup.until_no_notice().await;
    bot.stop().await;
    assert_eq!(setup.sign(&link.session_token(), &key(1)).await, "signed");
    setup.request_move(&link.session_token()).await;
    setup.consent(42).await;
    // The first edit is repeated, and the other one waits for it.
    telegram.fail("editMessageText", Fault::Refuse(500, json!("<html>")));
    let _bot = setup.bot().await;
    telegram.until_text(43, "is linked to you").await;
    setup.until_no_notice().await;
    let result = telegram.until_text(43, "is linked to you").await;
    assert_eq!((result.id, result.edits), (link.id, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notice_to_a_user_who_blocked_the_bot_is_given_up() {
    let setup = Setup::start().await;
    let bot = setup.bot().await;
    let token = link(&setup.telegram).await;
    let blocked = json!({"ok": false, "error_code": 403, "description": "Forbidden: bot was blocked by the user"});
    setup.telegram.fail("editMessageText", Fault::Refuse(403, blocked));
    setup.sign(&token, &key(1)).await;
    setup.until_no_notice().await;
    assert_eq!(bot.metric("arrakis_telegram_notices_total{result=\"closed\"}"), 1.0);
}
