//! Updates by a webhook.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::{Bot, Setup, free_address, message};

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
    let (one, other) = tokio::join!(
        hook.deliver(&hook.secret, update(8, "/help")),
        hook.deliver(&hook.secret, update(8, "/help"))
    );
    assert_eq!((one, other), (StatusCode::OK, StatusCode::OK));
    assert_eq!(hook.setup.telegram.sent().len(), 2);
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
    for status in futures_util::future::join_all(deliveries).await {
        assert_eq!(status, StatusCode::OK);
    }
    let sent = telegram.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let token = sent[0].session_token();
    assert_eq!(
        hook.setup.sign(&token, &crate::support::key(1)).await,
        "completed",
        "no other delivery has replaced the session"
    );
}
