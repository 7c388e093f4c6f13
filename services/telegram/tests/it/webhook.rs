//! Updates by a webhook.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::{Bot, Fault, Setup, free_address, message};

struct Hook {
    setup: Setup,
    _bot: Bot,
    url: String,
    secret: String,
}

impl Hook {
    async fn start() -> Self {
        let setup = Setup::start().await;
        let listen = free_address();
        let url = format!("http://{listen}/telegram");
        let changes = [
            ("TELEGRAM_WEBHOOK_URL", url.clone()),
            ("TELEGRAM_WEBHOOK_ADDR", listen.to_string()),
        ];
        let bot = setup.bot_with(&changes).await;
        arrakis_test_support::eventually(|| async { setup.telegram.webhook().is_some() }, "the webhook to be set")
            .await;
        let webhook = setup.telegram.webhook().unwrap();
        assert_eq!(webhook["url"], url);
        let secret = webhook["secret_token"].as_str().unwrap().to_owned();
        assert!(secret.len() == 64 && !secret.contains("SEKRET"), "{secret}");
        Self {
            setup,
            _bot: bot,
            url,
            secret,
        }
    }

    async fn deliver(&self, secret: &str, body: String) -> StatusCode {
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
async fn until_send_calls(hook: &Hook, count: usize) {
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
    // What Telegram would deliver for a day is accepted.
    for body in ["not JSON".to_owned(), json!({"update_id": 9, "message": 1}).to_string()] {
        assert_eq!(hook.deliver(&hook.secret, body).await, StatusCode::OK);
    }
    assert_eq!(
        hook.deliver(&hook.secret, "x".repeat(2 << 20)).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_of_an_update_that_is_delivered_to_two_replicas_at_once_is_valid() {
    let hook = Hook::start().await;
    let listen = free_address();
    let url = format!("http://{listen}/telegram");
    let changes = [
        ("TELEGRAM_WEBHOOK_URL", url.clone()),
        ("TELEGRAM_WEBHOOK_ADDR", listen.to_string()),
    ];
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
