//! Webhooks of channels and their messages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::Bot;

async fn made(bot: &Bot) -> Value {
    bot.post(
        &format!("/channels/{}/webhooks", bot.channel("general")),
        json!({"name": "Herald"}),
    )
    .await
    .ok(200)
}

fn by_token(webhook: &Value) -> String {
    format!(
        "/webhooks/{}/{}",
        webhook["id"].as_str().unwrap(),
        webhook["token"].as_str().unwrap()
    )
}

#[tokio::test]
async fn a_webhook_posts_under_its_own_name() {
    let bot = Bot::start().await;
    let webhook = made(&bot).await;
    let path = by_token(&webhook);
    assert!(webhook["url"].as_str().unwrap().ends_with(&path));
    let silent = bot
        .open_call(Method::POST, &path, Some(json!({"content": "one"})))
        .await;
    silent.ok(204);
    let body = json!({"content": "two", "username": "Duncan"});
    let sent = bot
        .open_call(Method::POST, &format!("{path}?wait=true"), Some(body))
        .await
        .ok(200);
    assert_eq!(
        (sent["author"]["username"].as_str(), &sent["webhook_id"]),
        (Some("Duncan"), &webhook["id"])
    );
    let one = format!("{path}/messages/{}", sent["id"].as_str().unwrap());
    assert_eq!(
        bot.open_call(Method::PATCH, &one, Some(json!({"content": "three"})))
            .await
            .ok(200)["content"],
        "three"
    );
    assert_eq!(bot.open_call(Method::GET, &one, None).await.ok(200)["content"], "three");
    bot.open_call(Method::DELETE, &one, None).await.ok(204);
    bot.open_call(Method::GET, &one, None).await.refused(404, 10008);
    let bad = json!({"content": "x", "username": "discord bot"});
    bot.open_call(Method::POST, &path, Some(bad))
        .await
        .form_error("/username", "USERNAME_INVALID_CONTAINS");
    bot.open_call(Method::POST, &path, Some(json!({})))
        .await
        .refused(400, 50006);
}

#[tokio::test]
async fn tokens_are_checked_and_gone_webhooks_unknown() {
    let bot = Bot::start().await;
    let webhook = made(&bot).await;
    let id = webhook["id"].as_str().unwrap();
    let body = || Some(json!({"content": "x"}));
    bot.open_call(Method::POST, &format!("/webhooks/{id}/wrong"), body())
        .await
        .refused(401, 50027);
    bot.open_call(Method::POST, "/webhooks/5/wrong", body())
        .await
        .refused(404, 10015);
    bot.delete(&format!("/webhooks/{id}")).await.ok(204);
    bot.open_call(Method::POST, &by_token(&webhook), body())
        .await
        .refused(404, 10015);
    bot.get(&format!("/webhooks/{id}")).await.refused(404, 10015);
}

#[tokio::test]
async fn webhooks_are_listed_edited_and_bounded() {
    let bot = Bot::start().await;
    let webhook = made(&bot).await;
    let one = format!("/webhooks/{}", webhook["id"].as_str().unwrap());
    let moved = bot
        .patch(
            &one,
            json!({"name": "Crier", "channel_id": bot.channel("water").to_string()}),
        )
        .await
        .ok(200);
    assert_eq!(
        (moved["name"].as_str(), &moved["channel_id"]),
        (Some("Crier"), &json!(bot.channel("water").to_string()))
    );
    let own = bot.open_call(Method::GET, &by_token(&webhook), None).await.ok(200);
    assert!(own.get("user").is_none());
    assert_eq!(
        bot.get(&format!("/guilds/{}/webhooks", bot.guild()))
            .await
            .ok(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for _ in 0..15 {
        made(&bot).await;
    }
    let general = format!("/channels/{}/webhooks", bot.channel("general"));
    bot.post(&general, json!({"name": "one more"}))
        .await
        .refused(400, 30007);
    assert_eq!(bot.get(&general).await.ok(200).as_array().unwrap().len(), 15);
    bot.post(&general, json!({"name": "Clyde"}))
        .await
        .form_error("/name", "USERNAME_INVALID_CONTAINS");
    assert_eq!((bot.audit(50).await.len(), bot.audit(51).await.len()), (16, 1));
}

#[tokio::test]
async fn a_webhook_posts_in_a_forum_under_a_title() {
    let bot = Bot::start().await;
    let forum = bot
        .post(
            &format!("/guilds/{}/channels", bot.guild()),
            json!({"name": "tales", "type": 15}),
        )
        .await
        .ok(201);
    let path = format!("/channels/{}/webhooks", forum["id"].as_str().unwrap());
    let webhook = bot.post(&path, json!({"name": "Bard"})).await.ok(200);
    let path = format!("{}?wait=true", by_token(&webhook));
    let untitled = bot
        .open_call(Method::POST, &path, Some(json!({"content": "once"})))
        .await;
    untitled.refused(400, 220_001);
    let body = json!({"content": "once", "thread_name": "The worm", "avatar_url": "https://a.example/x.png"});
    let sent = bot.open_call(Method::POST, &path, Some(body)).await.ok(200);
    assert_eq!(sent["id"], sent["channel_id"]);
    let post = bot
        .get(&format!("/channels/{}", sent["channel_id"].as_str().unwrap()))
        .await
        .ok(200);
    assert_eq!(
        (post["name"].as_str(), &post["parent_id"]),
        (Some("The worm"), &forum["id"])
    );
    assert!(sent["author"]["avatar"].is_string());
}

#[tokio::test]
async fn a_webhook_starts_threads_in_forums_alone_and_not_in_a_thread() {
    let bot = Bot::start().await;
    let path = by_token(&made(&bot).await);
    let body = json!({"content": "x", "thread_name": "t"});
    bot.open_call(Method::POST, &path, Some(body.clone()))
        .await
        .refused(400, 220_003);
    let forum = json!({"name": "forum", "type": 15});
    let forum = bot
        .post(&format!("/guilds/{}/channels", bot.guild()), forum)
        .await
        .ok(201);
    let hooks = format!("/channels/{}/webhooks", forum["id"].as_str().unwrap());
    let path = by_token(&bot.post(&hooks, json!({"name": "w"})).await.ok(200));
    let post = bot
        .open_call(Method::POST, &format!("{path}?wait=true"), Some(body.clone()))
        .await
        .ok(200);
    let within = format!("{path}?thread_id={}", post["channel_id"].as_str().unwrap());
    bot.open_call(Method::POST, &within, Some(body))
        .await
        .refused(400, 220_002);
    bot.open_call(Method::POST, &within, Some(json!({"content": "y"})))
        .await
        .ok(204);
}
