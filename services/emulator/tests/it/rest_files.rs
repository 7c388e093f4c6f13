//! Files of a message, on every route that creates or changes one.

use discord_emulator::model::InteractionKind;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, Reply};

const V2: u64 = 1 << 15;

/// Routes that accept messages with files: method, path, and the payload of a message.
async fn routes(bot: &Bot) -> Vec<(Method, String, fn(Value) -> Value)> {
    let general = format!("/channels/{}", bot.channel("general"));
    let plain = |message| message;
    let hook = bot
        .post(&format!("{general}/webhooks"), json!({"name": "w"}))
        .await
        .ok(200);
    let hook = format!(
        "/webhooks/{}/{}",
        hook["id"].as_str().unwrap(),
        hook["token"].as_str().unwrap()
    );
    let sent = bot
        .post(&format!("{general}/messages"), json!({"content": "x"}))
        .await
        .ok(200);
    let by_hook = bot
        .open_call(
            Method::POST,
            &format!("{hook}?wait=true"),
            Some(json!({"content": "x"})),
        )
        .await
        .ok(200);
    let (id, token) = bot.command();
    let forum = bot
        .post(
            &format!("/guilds/{}/channels", bot.guild()),
            json!({"name": "forum", "type": 15}),
        )
        .await
        .ok(201);
    let (asked, asked_token) = bot.interact(
        InteractionKind::Command,
        json!({"id": "1", "name": "x", "type": 1}),
        None,
    );
    let answered = json!({"type": 4, "data": {"content": "x"}});
    bot.open_call(
        Method::POST,
        &format!("/interactions/{asked}/{asked_token}/callback"),
        Some(answered),
    )
    .await
    .ok(204);
    let follow_up = format!("/webhooks/{}/{asked_token}", bot.application());
    vec![
        (Method::POST, format!("{general}/messages"), plain as fn(Value) -> Value),
        (
            Method::PATCH,
            format!("{general}/messages/{}", sent["id"].as_str().unwrap()),
            plain,
        ),
        (Method::POST, hook.clone(), plain),
        (
            Method::PATCH,
            format!("{hook}/messages/{}", by_hook["id"].as_str().unwrap()),
            plain,
        ),
        (
            Method::POST,
            format!("/interactions/{id}/{token}/callback"),
            |message| json!({"type": 4, "data": message}),
        ),
        (Method::POST, follow_up.clone(), plain),
        (Method::PATCH, format!("{follow_up}/messages/@original"), plain),
        (
            Method::POST,
            format!("/channels/{}/threads", forum["id"].as_str().unwrap()),
            |message| json!({"name": "post", "message": message}),
        ),
    ]
}

async fn upload(bot: &Bot, method: &Method, path: &str, payload: Value, count: usize) -> Reply {
    let names: Vec<String> = (0..count).map(|index| format!("f{index}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    bot.upload(method.clone(), path, payload, &files).await
}

/// Where the message is in an error's tree.
fn base(wrap: fn(Value) -> Value) -> &'static str {
    let wrapped = wrap(json!({}));
    match (wrapped.get("data"), wrapped.get("message")) {
        (Some(_), _) => "/data",
        (_, Some(_)) => "/message",
        _ => "",
    }
}

#[tokio::test]
async fn more_than_ten_files_are_refused() {
    let bot = Bot::start().await;
    for (method, path, wrap) in routes(&bot).await {
        let body = || wrap(json!({"content": "x"}));
        upload(&bot, &method, &path, body(), 11).await.refused(400, 30015);
        let passed = upload(&bot, &method, &path, body(), 10).await;
        assert!(passed.status < 300, "{method} {path}: {}", passed.body);
    }
}

#[tokio::test]
async fn files_that_an_edit_keeps_count() {
    let bot = Bot::start().await;
    let messages = format!("/channels/{}/messages", bot.channel("general"));
    let sent = upload(&bot, &Method::POST, &messages, json!({"content": "x"}), 6)
        .await
        .ok(200);
    let one = format!("{messages}/{}", sent["id"].as_str().unwrap());
    upload(&bot, &Method::PATCH, &one, json!({}), 5)
        .await
        .refused(400, 30015);
    let kept = json!({"attachments": [{"id": sent["attachments"][5]["id"]}]});
    let edited = upload(&bot, &Method::PATCH, &one, kept, 5).await.ok(200);
    assert_eq!(edited["attachments"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn attachments_name_files_that_are_there() {
    let bot = Bot::start().await;
    for (method, path, wrap) in routes(&bot).await {
        let unknown = wrap(json!({"content": "x", "attachments": [{"id": 0}, {"id": 5}]}));
        let pointer = format!("{}/attachments/1/id", base(wrap));
        upload(&bot, &method, &path, unknown, 1)
            .await
            .form_error(&pointer, "ATTACHMENT_NOT_FOUND");
        let alone = wrap(json!({"content": "x", "attachments": [{"id": 5, "filename": "x"}]}));
        let pointer = format!("{}/attachments/0/id", base(wrap));
        bot.call(method.clone(), &path, Some(alone))
            .await
            .form_error(&pointer, "ATTACHMENT_NOT_FOUND");
        let fits = wrap(json!({"content": "x", "attachments": [{"id": 0, "description": "one"}]}));
        let passed = upload(&bot, &method, &path, fits, 1).await;
        assert!(passed.status < 300, "{method} {path}: {}", passed.body);
    }
}

#[tokio::test]
async fn an_edit_may_name_a_file_that_an_embed_shows() {
    let bot = Bot::start().await;
    let messages = format!("/channels/{}/messages", bot.channel("general"));
    let payload = json!({"embeds": [{"title": "x", "image": {"url": "attachment://f0.txt"}}]});
    let sent = upload(&bot, &Method::POST, &messages, payload, 1).await.ok(200);
    let url = sent["embeds"][0]["image"]["url"].as_str().unwrap();
    let id = url.rsplit('/').nth(1).unwrap();
    let one = format!("{messages}/{}", sent["id"].as_str().unwrap());
    bot.patch(&one, json!({"attachments": [{"id": id}]})).await.ok(200);
}

#[tokio::test]
async fn components_show_files_that_are_there() {
    let bot = Bot::start().await;
    let file = |name: &str| json!({"type": 13, "file": {"url": format!("attachment://{name}")}});
    for (method, path, wrap) in routes(&bot).await {
        if path.contains("/webhooks/") && method == Method::PATCH || path.contains("/messages/") {
            continue;
        }
        let absent = wrap(json!({"flags": V2, "components": [{"type": 10, "content": "x"}, file("nope.txt")]}));
        let pointer = format!("{}/components/1/file/url", base(wrap));
        let code = "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND";
        bot.call(method.clone(), &path, Some(absent))
            .await
            .form_error(&pointer, code);
        let nested = wrap(json!({"flags": V2, "components": [{"type": 17, "components": [
            {"type": 12, "items": [{"media": {"url": "https://a.example/x.png"}}, {"media": {"url": "attachment://f1.txt"}}]}]}]}));
        let pointer = format!("{}/components/0/components/0/items/1/media/url", base(wrap));
        upload(&bot, &method, &path, nested, 1).await.form_error(&pointer, code);
        let there = wrap(
            json!({"flags": V2, "components": [file("f0.txt"), file("new_name.txt")],
            "attachments": [{"id": 1, "filename": "new name.txt"}]}),
        );
        let passed = upload(&bot, &method, &path, there, 2).await;
        assert!(passed.status < 300, "{method} {path}: {}", passed.body);
    }
    // An edit shows files of the message as it was.
    let messages = format!("/channels/{}/messages", bot.channel("general"));
    let sent = upload(
        &bot,
        &Method::POST,
        &messages,
        json!({"flags": V2, "components": [file("f0.txt")]}),
        1,
    )
    .await
    .ok(200);
    let one = format!("{messages}/{}", sent["id"].as_str().unwrap());
    bot.patch(&one, json!({"components": [file("f0.txt")]})).await.ok(200);
    bot.patch(&one, json!({"components": [file("f0.txt")], "attachments": []}))
        .await
        .form_error(
            "/components/0/file/url",
            "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
        );
}
