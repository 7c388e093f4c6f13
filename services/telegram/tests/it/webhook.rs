//! Updates by a webhook.

use arrakis_test_support::Process;
use reqwest::{Body, Client, StatusCode};
use serde_json::{Value, json};

use crate::support::{Bot, Fault, Setup, free_address, message};

/// The service with a webhook: a [`Bot`] or a [`Process`].
struct Hook<S> {
    setup: Setup,
    service: S,
    url: String,
    secret: String,
}

/// A public address of this machine with this path, and the variables for it.
fn address(path: &str) -> (String, [(&'static str, String); 2]) {
    let listen = free_address();
    let url = format!("http://{listen}{path}");
    let changes = [
        ("TELEGRAM_WEBHOOK_URL", url.clone()),
        ("TELEGRAM_WEBHOOK_ADDR", listen.to_string()),
    ];
    (url, changes)
}

impl Hook<Bot> {
    async fn start() -> Self {
        Self::start_at("/telegram", Setup::start().await).await
    }

    async fn start_at(path: &str, setup: Setup) -> Self {
        let (url, changes) = address(path);
        let bot = setup.bot_with(&changes).await;
        Self::of(setup, bot, url).await
    }
}

impl Hook<Process> {
    async fn start_process() -> Self {
        let setup = Setup::start().await;
        let (url, changes) = address("/telegram");
        let process = setup.process(&changes).await;
        Self::of(setup, process, url).await
    }
}

impl<S> Hook<S> {
    async fn of(setup: Setup, service: S, url: String) -> Self {
        arrakis_test_support::eventually(|| async { setup.telegram.webhook().is_some() }, "the webhook to be set")
            .await;
        let webhook = setup.telegram.webhook().unwrap();
        assert_eq!(webhook["url"], url);
        let secret = webhook["secret_token"].as_str().unwrap().to_owned();
        assert!(secret.len() == 64 && !secret.contains("SEKRET"), "{secret}");
        Self {
            setup,
            service,
            url,
            secret,
        }
    }

    async fn deliver(&self, secret: &str, body: impl Into<Body>) -> StatusCode {
        let request = Client::new()
            .post(&self.url)
            .header("x-telegram-bot-api-secret-token", secret)
            .body(body);
        request.send().await.unwrap().status()
    }
}

fn update(id: i64, text: &str) -> String {
    let mut update: Value = message(42, json!({"id": 42, "type": "private"}), text);
    update["update_id"] = json!(id);
    update.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_is_answered_once_however_often_it_is_repeated() {
    let hook = Hook::start().await;
    for _ in 0..3 {
        assert_eq!(hook.deliver(&hook.secret, update(7, "/status")).await, StatusCode::OK);
    }
    assert_eq!(hook.setup.telegram.sent().len(), 1, "the 200 follows the answer");
}

/// Waits until the service has called `sendMessage` so often.
async fn until_send_calls(hook: &Hook<Bot>, count: usize) {
    let telegram = &hook.setup.telegram;
    arrakis_test_support::eventually(
        || async { telegram.calls("sendMessage").len() == count },
        format!("{count} calls of sendMessage"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_of_an_update_in_progress_is_answered_with_503() {
    let hook = Hook::start().await;
    let limited =
        json!({"ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 2}});
    hook.setup.telegram.fail("sendMessage", Fault::Refuse(429, limited));
    let (first, second) = tokio::join!(hook.deliver(&hook.secret, update(8, "/help")), async {
        until_send_calls(&hook, 1).await;
        hook.deliver(&hook.secret, update(8, "/help")).await
    });
    assert_eq!((first, second), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(hook.deliver(&hook.secret, update(8, "/help")).await, StatusCode::OK);
    assert_eq!(hook.setup.telegram.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_of_one_chat_in_progress_are_limited() {
    let hook = Hook::start().await;
    for _ in 0..8 {
        hook.setup.telegram.fail("sendMessage", Fault::Hang);
    }
    let first = (1..=8).map(|id| hook.deliver(&hook.secret, update(id, "/help")));
    let (first, (ninth, other_chat)) = tokio::join!(futures_util::future::join_all(first), async {
        until_send_calls(&hook, 8).await;
        let mut other: Value = message(43, json!({"id": 43, "type": "private"}), "/help");
        other["update_id"] = json!(10);
        (
            hook.deliver(&hook.secret, update(9, "/help")).await,
            hook.deliver(&hook.secret, other.to_string()).await,
        )
    });
    assert_eq!(first, [StatusCode::OK; 8]);
    assert_eq!((ninth, other_chat), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    assert_eq!(hook.deliver(&hook.secret, update(9, "/help")).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_without_the_secret_is_refused() {
    let hook = Hook::start().await;
    let without = Client::new()
        .post(&hook.url)
        .body(update(7, "/status"))
        .send()
        .await
        .unwrap();
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
    for secret in ["", "wrong", &hook.secret[1..], &format!("{}0", hook.secret)] {
        assert_eq!(
            hook.deliver(secret, update(7, "/status")).await,
            StatusCode::UNAUTHORIZED,
            "{secret}"
        );
    }
    assert!(hook.setup.telegram.sent().is_empty());
    assert_eq!(
        hook.service
            .metric("arrakis_telegram_updates_total{kind=\"malformed\"}"),
        0.0
    );
}

/// Telegram would deliver them again for a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_that_can_never_be_handled_is_accepted_counted_and_logged() {
    let hook = Hook::start().await;
    let too_long = || "x".repeat(2 << 20).into_bytes();
    let undecodable = json!({"update_id": 9, "message": 1}).to_string();
    for body in [b"{".to_vec(), vec![], vec![0xff], undecodable.into_bytes(), too_long()] {
        assert_eq!(hook.deliver(&hook.secret, body).await, StatusCode::OK);
    }
    let malformed = hook
        .service
        .metric("arrakis_telegram_updates_total{kind=\"malformed\"}");
    assert_eq!(malformed, 5.0);

    let hook = Hook::start_process().await;
    for (body, line) in [
        (b"{".to_vec(), "a delivery to the webhook is not JSON"),
        (too_long(), "a delivery to the webhook has more than 1048576 bytes"),
    ] {
        assert_eq!(hook.deliver(&hook.secret, body).await, StatusCode::OK);
        hook.service.line(line).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn path_of_the_webhook_may_have_segments_that_begin_with_a_colon_or_an_asterisk() {
    let hook = Hook::start_at("/*hook/:bot/%7Bid%7D", Setup::start().await).await;
    assert_eq!(hook.deliver(&hook.secret, update(7, "/help")).await, StatusCode::OK);
    assert_eq!(hook.setup.telegram.sent().len(), 1);
    let other = hook.url.replace(":bot", "other");
    let response = Client::new().post(other).body(update(8, "/help")).send().await;
    assert_eq!(response.unwrap().status(), StatusCode::NOT_FOUND, "it is no parameter");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_is_set_although_telegram_demands_a_pause_without_end() {
    let setup = Setup::start().await;
    let limited = json!({"ok": false, "error_code": 429, "description": "x", "parameters": {"retry_after": u64::MAX}});
    setup.telegram.fail("setWebhook", Fault::Refuse(429, limited));
    let hook = Hook::start_at("/telegram", setup).await;
    assert_eq!(hook.setup.telegram.calls("setWebhook").len(), 2);
}

/// The press of a button of this message by user 42.
fn press(id: i64, message_id: i64) -> String {
    let mut update: Value = message(42, json!({"id": 42, "type": "private"}), "");
    let mut pressed = update["message"].take();
    pressed["message_id"] = json!(message_id);
    let query =
        json!({"id": "77", "from": pressed["from"].clone(), "chat_instance": "1", "data": "keep", "message": pressed});
    json!({"update_id": id, "callback_query": query}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_is_charged_once_and_those_above_the_rate_limit_are_not_answered() {
    let hook = Hook::start().await;
    let telegram = &hook.setup.telegram;
    hook.deliver(&hook.secret, update(1, "/help")).await;
    let sent = telegram.sent().pop().unwrap();
    hook.deliver(&hook.secret, press(2, sent.id)).await;
    assert_eq!(telegram.calls("editMessageText").len(), 1);
    for id in 3..=40 {
        assert_eq!(hook.deliver(&hook.secret, update(id, "/help")).await, StatusCode::OK);
    }
    let limited = hook.service.metric("arrakis_telegram_limited_updates_total");
    let answers = telegram.sent().len();
    assert!(answers >= 14 && limited > 0.0, "{answers} answers, {limited} limited");
    // The press has no second effect, and is executed again: the first process may have ended during it.
    hook.deliver(&hook.secret, press(2, sent.id)).await;
    assert_eq!(telegram.calls("editMessageText").len(), 2);
    hook.deliver(&hook.secret, update(1, "/help")).await;
    assert_eq!(telegram.sent().len(), answers, "it is not answered again");
    assert_eq!(hook.service.metric("arrakis_telegram_repeated_updates_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_of_an_update_that_is_delivered_to_two_replicas_at_once_is_valid() {
    let hook = Hook::start().await;
    let (url, changes) = address("/telegram");
    let _second = hook.setup.bot_with(&changes).await;
    let telegram = &hook.setup.telegram;
    arrakis_test_support::eventually(
        || async { telegram.webhook().is_some_and(|webhook| webhook["url"] == url) },
        "the second replica",
    )
    .await;
    let deliveries = (0..8).map(|number| {
        let address = if number % 2 == 0 { &hook.url } else { &url };
        let request = Client::new()
            .post(address)
            .header("x-telegram-bot-api-secret-token", &hook.secret)
            .body(update(7, "/verify"));
        async move { request.send().await.unwrap().status() }
    });
    let statuses = futures_util::future::join_all(deliveries).await;
    assert!(statuses.contains(&StatusCode::OK), "{statuses:?}");
    for status in statuses {
        // The other deliveries came during or after the handling.
        assert!(
            matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE),
            "{status}"
        );
    }
    assert_eq!(hook.deliver(&hook.secret, update(7, "/verify")).await, StatusCode::OK);
    let sent = telegram.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let token = sent[0].session_token();
    assert_eq!(
        hook.setup.sign(&token, &crate::support::key(1)).await,
        "completed",
        "no other delivery has replaced the session"
    );
}
