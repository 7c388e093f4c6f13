//! Stickers of servers: upload, change, removal, limits and permissions.

use base64::Engine as _;
use discord_emulator::{
    Options,
    model::{Sticker, StickerFormat},
    world::Cause,
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::rest_support::{Bot, Reply, sietch};

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn pixel() -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(PIXEL).unwrap()
}

fn stickers(bot: &Bot) -> String {
    format!("/guilds/{}/stickers", bot.guild())
}

/// Uploads a sticker from form fields and a file, as Discord's documentation describes it.
async fn upload(bot: &Bot, fields: Value, content_type: &str, bytes: Vec<u8>) -> Reply {
    let mut form = Form::new();
    for (name, value) in fields.as_object().unwrap() {
        form = form.text(name.clone(), value.as_str().unwrap().to_owned());
    }
    let file = Part::bytes(bytes).file_name("sticker").mime_str(content_type).unwrap();
    let request = bot
        .client
        .post(bot.url(&stickers(bot)))
        .header("authorization", bot.authorization())
        .header("x-audit-log-reason", "spring")
        .multipart(form.part("file", file));
    let mut sent = fields;
    sent["file"] = json!("");
    bot.read(Method::POST, &stickers(bot), Some(&sent), request.send().await.unwrap())
        .await
}

/// Uploads a PNG of one pixel as a sticker.
pub(crate) async fn create(bot: &Bot, name: &str) -> Reply {
    let fields = json!({"name": name, "description": "The maker", "tags": "worm"});
    upload(bot, fields, "image/png", pixel()).await
}

fn one(bot: &Bot, sticker: &Value) -> String {
    format!("{}/{}", stickers(bot), sticker["id"].as_str().unwrap())
}

#[tokio::test]
async fn sticker_is_created_changed_and_removed() {
    let bot = Bot::start().await;
    let made = create(&bot, "shai-hulud").await.ok(201);
    assert_eq!(
        (&made["type"], &made["format_type"], &made["available"]),
        (&json!(2), &json!(1), &json!(true))
    );
    assert_eq!(made["user"]["id"], json!(bot.application()));
    let path = one(&bot, &made);
    assert_eq!(bot.get(&path).await.ok(200), made);
    assert_eq!(bot.get(&stickers(&bot)).await.ok(200), json!([made]));
    let guild = bot.get(&format!("/guilds/{}", bot.guild())).await.ok(200);
    assert_eq!(guild["stickers"][0]["name"], "shai-hulud");
    let by_id = bot
        .get(&format!("/stickers/{}", made["id"].as_str().unwrap()))
        .await
        .ok(200);
    assert_eq!((&by_id["id"], &by_id["user"]), (&made["id"], &Value::Null));
    let edited = bot
        .patch(&path, json!({"name": "maker", "description": null, "tags": "sand"}))
        .await
        .ok(200);
    assert_eq!(
        (&edited["name"], &edited["description"], &edited["tags"]),
        (&json!("maker"), &Value::Null, &json!("sand"))
    );
    bot.delete(&path).await.ok(204);
    bot.get(&path).await.refused(404, 10060);
    bot.patch(&path, json!({})).await.refused(404, 10060);
    bot.get("/stickers/77").await.refused(404, 10060);
    bot.get("/guilds/77/stickers").await.refused(404, 10004);
    let created = &bot.audit(90).await[0];
    assert_eq!(
        (&created["target_id"], &created["reason"]),
        (&made["id"], &json!("spring"))
    );
    for action in [91, 92] {
        assert_eq!(bot.audit(action).await[0]["target_id"], made["id"], "{action}");
    }
}

#[tokio::test]
async fn sticker_file_is_served_by_the_content_network() {
    let bot = Bot::start().await;
    let made = create(&bot, "shai-hulud").await.ok(201);
    let root = bot.emulator.addresses().rest.trim_end_matches("/api/v10");
    let url = format!("{root}/stickers/{}.png", made["id"].as_str().unwrap());
    let image = bot.client.get(url).send().await.unwrap();
    assert_eq!(image.bytes().await.unwrap(), pixel());
}

#[tokio::test]
async fn invalid_sticker_fields_are_refused() {
    let bot = Bot::start().await;
    let fields =
        |name: &str, description: &str, tags: &str| json!({"name": name, "description": description, "tags": tags});
    for (fields, pointer) in [
        (fields("x", "", "worm"), "/name"),
        (fields(&"x".repeat(31), "", "worm"), "/name"),
        (fields("maker", "x", "worm"), "/description"),
        (fields("maker", "", &"x".repeat(201)), "/tags"),
    ] {
        upload(&bot, fields, "image/png", pixel())
            .await
            .form_error(pointer, "BASE_TYPE_BAD_LENGTH");
    }
    let without_tags = json!({"name": "maker"});
    upload(&bot, without_tags, "image/png", pixel())
        .await
        .form_error("/tags", "BASE_TYPE_REQUIRED");
    bot.post(&stickers(&bot), json!({"name": "maker", "tags": "worm"}))
        .await
        .form_error("/file", "BASE_TYPE_REQUIRED");
    let empty = upload(&bot, fields("maker", "", "worm"), "image/png", pixel())
        .await
        .ok(201);
    assert_eq!(empty["description"], "");
}

#[tokio::test]
async fn invalid_sticker_files_are_refused() {
    let bot = Bot::start().await;
    let fields = json!({"name": "maker", "tags": "worm"});
    let lottie = json!({"w": 1, "h": 1, "fr": 1, "ip": 0, "op": 1, "layers": []}).to_string();
    for (content_type, bytes, code) in [
        ("image/png", vec![0; 512 * 1_024 + 1], 50045),
        ("image/png", b"no image".to_vec(), 50046),
        ("application/octet-stream", pixel(), 50046),
        // Only verified and partnered servers have Lottie stickers.
        ("application/json", lottie.into_bytes(), 50046),
    ] {
        upload(&bot, fields.clone(), content_type, bytes)
            .await
            .refused(400, code);
    }
}

#[tokio::test]
async fn sticker_slots_follow_the_boost_level() {
    for (level, slots) in [(0, 5), (1, 15)] {
        let mut server = sietch();
        server["premium_tier"] = json!(level);
        let options = Options {
            rate_limits: false,
            ..Options::default()
        };
        let bot = Bot::with(options, &server).await;
        for index in 0..slots {
            create(&bot, &format!("sticker {index}")).await.ok(201);
        }
        create(&bot, "one more").await.refused(400, 30039);
    }
}

#[tokio::test]
async fn own_stickers_take_create_and_others_take_manage() {
    let bot = Bot::start().await;
    let made = create(&bot, "maker").await.ok(201);
    let path = one(&bot, &made);
    bot.forbid(&["MANAGE_GUILD_EXPRESSIONS"]).await;
    bot.patch(&path, json!({"name": "worm"})).await.ok(200);
    let sticker = Sticker {
        id: made["id"].as_str().unwrap().parse().unwrap(),
        name: "worm".to_owned(),
        description: None,
        tags: "worm".to_owned(),
        format: StickerFormat::Png,
        available: true,
        guild_id: bot.guild(),
        user_id: bot.member("chani"),
    };
    let cause = Cause {
        actor: bot.member("chani"),
        reason: None,
    };
    let world = &bot.emulator.app().world;
    world.write(|state| state.put_sticker(sticker, &cause));
    bot.patch(&path, json!({"name": "maker"})).await.refused(403, 50013);
    bot.delete(&path).await.refused(403, 50013);
    bot.forbid(&["CREATE_GUILD_EXPRESSIONS"]).await;
    create(&bot, "second").await.refused(403, 50013);
    bot.delete(&path).await.ok(204);
}
