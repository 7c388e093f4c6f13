//! Updates by long polling: answers, confirmation, and faults of Telegram.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{BOT, Fault, Setup, Telegram, message};

fn refusal(code: u16, description: &str) -> Value {
    json!({"ok": false, "error_code": code, "description": description})
}

/// Waits until the bot has polled after everything before.
async fn settle(telegram: &Telegram) {
    telegram.until_confirmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_answered_and_their_updates_confirmed() {
    let setup = Setup::start().await;
    let bot = setup.bot().await;
    let telegram = &setup.telegram;
    for (text, answer) in [
        ("/start", "This bot links your wallet"),
        ("/start unknown-payload", "This bot links your wallet"),
        ("/help", "/verify: Link a wallet"),
        ("/status", "No wallet is linked to you."),
        ("/unlink", "No wallet is linked to you."),
        ("hello", "What you can do here"),
        ("/nothing", "What you can do here"),
    ] {
        let before = telegram.sent().len();
        telegram.write(42, text);
        telegram.messages(42, before + 1).await;
        let last = telegram.sent().pop().unwrap();
        assert!(last.text.contains(answer), "{text}: {}", last.text);
    }
    settle(telegram).await;
    let commands = telegram.calls("setMyCommands");
    assert_eq!(commands[0]["commands"][0]["command"], "verify");
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_gets_a_hint_and_never_a_link() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    let group = json!({"id": -100_500, "type": "supergroup", "title": "Sietch"});
    for text in [
        "/status",
        "/verify@OtherBot",
        "hello",
        "/verify",
        "/verify",
        &format!("/status@{BOT}"),
    ] {
        telegram.update(message(42, group.clone(), text));
    }
    settle(telegram).await;
    let sent = telegram.sent();
    // One hint a minute, however often a command is repeated.
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(
        sent[0].button("Write in private"),
        format!("https://t.me/{BOT}?start=verify")
    );
    assert!(!sent[0].text.contains("http") && setup.identity(42).await.is_none());
}

/// The group in which `/verify` is written.
const GROUP: i64 = -100_500;

fn verify_in_group() -> Value {
    let group = json!({"id": GROUP, "type": "supergroup", "title": "Sietch"});
    message(42, group, &format!("/verify@{BOT}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_gets_a_reply_after_one_that_was_not_sent() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    // Not executed, and not repeated.
    telegram.fail("sendMessage", Fault::Refuse(409, refusal(409, "Conflict")));
    telegram.update(verify_in_group());
    settle(telegram).await;
    assert_eq!((telegram.calls("sendMessage").len(), telegram.sent().len()), (1, 0));
    telegram.update(verify_in_group());
    telegram.messages(GROUP, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_gets_one_reply_a_minute_without_redis() {
    let setup = Setup::start().await;
    let nowhere = format!("redis://{}", crate::support::free_address());
    let _bot = setup.bot_with(&[("REDIS_URL", nowhere)]).await;
    let telegram = &setup.telegram;
    for _ in 0..3 {
        telegram.update(verify_in_group());
    }
    telegram.messages(GROUP, 1).await;
    settle(telegram).await;
    assert_eq!(telegram.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_bots_on_one_redis_answer_updates_with_the_same_ids() {
    const OTHER: &str = "654321:SEKRET_token-of-another-bot";
    let setup = Setup::start().await;
    let other = Telegram::of_bot(OTHER).await;
    let _bot = setup.bot().await;
    let changes = [
        ("TELEGRAM_BOT_TOKEN", OTHER.to_owned()),
        ("TELEGRAM_API_BASE", other.base()),
    ];
    let _other_bot = setup.bot_with(&changes).await;
    for telegram in [&setup.telegram, &other] {
        assert_eq!(telegram.write(42, "/help"), 1000);
        telegram.update(verify_in_group());
        telegram.messages(42, 1).await;
        telegram.messages(GROUP, 1).await;
        settle(telegram).await;
    }
    for bot in ["123456", "654321"] {
        let answer = format!("cache:telegram-update:{bot}:1000");
        assert!(setup.redis.keys().contains(&answer), "{:?}", setup.redis.keys());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_malformed_and_hostile_updates_are_skipped() {
    let setup = Setup::start().await;
    let bot = setup.bot().await;
    let telegram = &setup.telegram;
    telegram.update(json!({"poll": {"id": "1"}}));
    telegram.update(json!({"message": "a text where an object is expected"}));
    telegram.update(json!({"message": {"message_id": 1, "chat": {"id": 42, "type": "private"}, "text": "/status"}}));
    telegram.update(
        json!({"message": {"message_id": 1, "chat": {"id": 42, "type": "private"}, "text": "/status",
                                       "from": {"id": 9, "is_bot": true, "first_name": "Other"}}}),
    );
    telegram.update(json!({"callback_query": {"id": "1", "from": {"id": 42}, "data": "unlink:../../admin/users"}}));
    // The chat of another user.
    telegram.update(message(42, json!({"id": 99, "type": "private"}), "/verify"));
    let mut hostile = message(43, json!({"id": 43, "type": "private"}), "/verify");
    hostile["message"]["from"]["first_name"] = json!(format!("\u{0}\u{202e}<b>{}", "🏜".repeat(5000)));
    telegram.update(hostile);
    telegram.write(44, &format!("/status {}", "x".repeat(4000)));
    telegram.messages(43, 1).await;
    telegram.messages(44, 1).await;
    settle(telegram).await;
    assert_eq!(telegram.sent().len(), 2);
    assert_eq!(bot.metric("arrakis_telegram_updates_total{kind=\"malformed\"}"), 1.0);
    assert_eq!(bot.metric("arrakis_telegram_updates_total{kind=\"other\"}"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_service_answers_what_waited_and_nothing_twice() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let first = setup.bot().await;
    telegram.write(42, "/status");
    telegram.messages(42, 1).await;
    first.stop().await;
    assert!(
        telegram.unconfirmed().is_empty(),
        "a stopped service confirms what it has handled"
    );
    telegram.write(42, "/help");
    let _second = setup.bot().await;
    telegram.messages(42, 2).await;
    settle(telegram).await;
    assert_eq!(telegram.sent().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_is_repeated_only_when_it_was_not_executed() {
    let setup = Setup::start().await;
    let bot = setup.bot().await;
    let telegram = &setup.telegram;
    let limited =
        json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 1}});
    for (user, fault, messages) in [
        (50, Fault::Refuse(429, limited), 1),
        (
            51,
            Fault::Refuse(403, refusal(403, "Forbidden: bot was blocked by the user")),
            0,
        ),
        (52, Fault::Refuse(500, refusal(500, "Internal Server Error")), 0),
        (53, Fault::Refuse(400, refusal(400, "Bad Request: chat not found")), 0),
        // Telegram has the message, and the answer is lost.
        (54, Fault::Cut, 1),
        (55, Fault::Hang, 1),
        (56, Fault::Endless, 1),
    ] {
        telegram.fail("sendMessage", fault.clone());
        telegram.write(user, "/help");
        telegram.until_confirmed().await;
        let sent = telegram.sent().iter().filter(|sent| sent.chat == user).count();
        assert_eq!(sent, messages, "{fault:?}");
    }
    for (outcome, count) in [("limited", 1.0), ("forbidden", 1.0), ("unknown", 4.0), ("refused", 1.0)] {
        let line = format!("arrakis_telegram_calls_total{{method=\"sendMessage\",outcome=\"{outcome}\"}}");
        assert_eq!(bot.metric(&line), count, "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_continues_after_every_fault() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    // Of an earlier delivery by a webhook.
    telegram.set_webhook("https://old.example.org");
    telegram.fail("getMe", Fault::Refuse(502, json!("bad gateway")));
    let bot = setup.bot().await;
    telegram.write(42, "/help");
    telegram.messages(42, 1).await;
    let endless = json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": u64::MAX}});
    for fault in [
        Fault::Refuse(409, refusal(409, "Conflict: terminated by other getUpdates request")),
        Fault::Refuse(429, endless),
        Fault::Refuse(500, json!("<html>")),
        Fault::Cut,
    ] {
        telegram.fail("getUpdates", fault);
    }
    bot.until_health("telegram", "another process requests the updates")
        .await;
    telegram.write(42, "/status");
    tokio::time::timeout(Duration::from_secs(20), telegram.messages(42, 2))
        .await
        .unwrap();
    settle(telegram).await;
    assert_eq!(telegram.sent().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_whose_response_is_too_long_requests_fewer_updates() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    for _ in 0..10 {
        telegram.fail("getUpdates", Fault::Endless);
    }
    telegram.write(42, "/help");
    let bot = setup.bot().await;
    bot.until_health("telegram", "the response to getUpdates has more than")
        .await;
    telegram.messages(42, 1).await;
    settle(telegram).await;
    let limits = || -> Vec<u64> {
        let polls = telegram.calls("getUpdates");
        polls.iter().map(|body| body["limit"].as_u64().unwrap()).collect()
    };
    assert_eq!(limits()[..9], [100, 50, 25, 12, 6, 3, 1, 1, 1]);
    for user in 1001..=1020 {
        telegram.write(user, "/help");
        telegram.messages(user, 1).await;
        settle(telegram).await;
    }
    assert_eq!(limits().last(), Some(&100), "it requests as many as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_states_that_the_api_is_unavailable() {
    let setup = Setup::start().await;
    let nowhere = format!("http://{}", crate::support::free_address());
    let bot = setup.bot_with(&[("API_URL", nowhere)]).await;
    setup.telegram.write(42, "/status");
    let busy = setup.telegram.until_text(42, "try again in a moment").await;
    assert_eq!(busy.chat, 42);
    bot.until_health("api", "unavailable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_without_the_scope_is_named() {
    let setup = Setup::start().await;
    let bot = setup
        .bot_with(&[("API_CREDENTIAL", "arrakis_unknown".to_owned())])
        .await;
    bot.until_health("api", "--scope telegram").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_sessions_are_refused_with_a_time() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    for _ in 0..6 {
        telegram.write(42, "/verify");
    }
    let last = telegram.until_text(42, "many links").await;
    assert!(last.text.contains(" UTC"), "{}", last.text);
    let replaced = telegram
        .sent()
        .iter()
        .filter(|sent| sent.text.contains("earlier link"))
        .count();
    assert_eq!(replaced, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_that_telegram_pauses_delays_no_other_chat() {
    let setup = Setup::start().await;
    let _bot = setup.bot().await;
    let telegram = &setup.telegram;
    telegram.limit(50, 4);
    let paused = telegram.write(50, "/help");
    arrakis_test_support::eventually(
        || async { !telegram.calls("sendMessage").is_empty() },
        "the message to be refused with 429",
    )
    .await;
    for user in 51..=54 {
        telegram.write(user, "/help");
        tokio::time::timeout(Duration::from_secs(3), telegram.messages(user, 1))
            .await
            .unwrap();
    }
    // It is not handled, so it is not confirmed.
    assert_eq!(telegram.unconfirmed()[0]["update_id"], paused);
    telegram.unlimit(50);
    telegram.messages(50, 1).await;
    settle(telegram).await;
    assert_eq!(telegram.sent().len(), 5, "none is answered twice");
}

/// Writes of a chat that is paused for 4 s and of 99 others, so that a poll returns no further update until the first one is confirmed.
/// Returns once the others are answered.
async fn fill_a_poll(telegram: &Telegram) {
    telegram.limit(50, 4);
    telegram.write(50, "/help");
    for user in 1001..=1099 {
        telegram.write(user, "/help");
    }
    arrakis_test_support::eventually(
        || async { telegram.sent().len() == 99 },
        "the updates of the other chats to be answered",
    )
    .await;
    telegram.unlimit(50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_in_progress_is_not_confirmed_because_99_later_ones_were_handled() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let _bot = setup.bot().await;
    fill_a_poll(telegram).await;
    // Longer than the time after which the next poll follows.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let unconfirmed = telegram.unconfirmed();
    assert_eq!(unconfirmed[0]["message"]["chat"]["id"], 50);
    telegram.messages(50, 1).await;
    settle(telegram).await;
    assert_eq!(telegram.sent().len(), 100, "each is answered once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_continues_while_the_oldest_of_100_updates_stays_in_progress() {
    let setup = Setup::start().await;
    let telegram = &setup.telegram;
    let _bot = setup.bot().await;
    fill_a_poll(telegram).await;
    telegram.write(2000, "/help");
    telegram.messages(2000, 1).await;
    assert!(telegram.sent().iter().all(|sent| sent.chat != 50), "it is still paused");
    settle(telegram).await;
    telegram.messages(50, 1).await;
    assert_eq!(telegram.sent().len(), 101, "each is answered once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_without_a_valid_id_do_not_end_or_hasten_the_polls() {
    let setup = Setup::start().await;
    let bot = setup.bot().await;
    let telegram = &setup.telegram;
    for update in [
        json!({"message": {"a": 1}}),
        json!({"update_id": "abc"}),
        json!({"update_id": -1}),
        json!({"update_id": i64::MAX}),
        json!(5),
        Value::Null,
    ] {
        telegram.raw_update(update);
    }
    bot.until_health("telegram", "without a valid update_id").await;
    let before = telegram.calls("getUpdates").len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let polls = telegram.calls("getUpdates").len() - before;
    assert!(polls <= 15, "{polls} polls in a second");
    assert!(bot.metric("arrakis_telegram_updates_total{kind=\"malformed\"}") >= 6.0);
    telegram.write(42, "/help");
    telegram.messages(42, 1).await;
    telegram.write(42, "/status");
    telegram.messages(42, 2).await;
    bot.stop().await;
}
