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
async fn member_who_signs_while_the_service_is_down_is_told_after_its_start() {
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
