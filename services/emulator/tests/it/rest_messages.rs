//! Messages of channels and direct messages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};

fn messages(bot: &Bot) -> String {
    format!("/channels/{}/messages", bot.channel("general"))
}

fn id(message: &Value) -> String {
    message["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_message_is_sent_read_edited_and_deleted() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let sent = bot
        .post(
            &path,
            json!({"content": "water", "nonce": "n1", "embeds": [{"title": "t", "fields": [{"name": "a", "value": "b"}],
                "timestamp": "2026-08-01T10:00:00Z", "footer": {"text": "f"}, "author": {"name": "n"}}],
                "components": [{"type": 1, "components": [{"type": 3, "custom_id": "s", "options": [{"label": "l", "value": "v"}]}]}]}),
        )
        .await
        .ok(200);
    assert_eq!((sent["nonce"].as_str(), sent["flags"].as_u64()), (Some("n1"), Some(0)));
    let one = format!("{path}/{}", id(&sent));
    assert_eq!(bot.get(&one).await.ok(200)["embeds"][0]["fields"][0]["inline"], false);
    let edited = bot
        .patch(&one, json!({"content": "spice", "embeds": null}))
        .await
        .ok(200);
    assert_eq!(
        (edited["content"].as_str(), edited["embeds"].as_array().unwrap().len()),
        (Some("spice"), 0)
    );
    assert!(!edited["edited_timestamp"].is_null());
    bot.patch(&one, json!({"content": "", "components": []}))
        .await
        .refused(400, 50006);
    bot.delete(&one).await.ok(204);
    bot.get(&one).await.refused(404, 10008);
}

#[tokio::test]
async fn empty_and_oversized_messages_are_refused() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    for empty in [json!({}), json!({"content": "  "}), json!({"embeds": []})] {
        bot.post(&path, empty).await.refused(400, 50006);
    }
    bot.post(&path, json!({"content": "x".repeat(2_001)}))
        .await
        .form_error("/content", "BASE_TYPE_MAX_LENGTH");
    bot.post(&path, json!({"content": "x", "message_reference": {"message_id": "5"}}))
        .await
        .form_error("/message_reference", "REPLIES_UNKNOWN_MESSAGE");
    bot.post(
        &format!("/channels/{}/messages", bot.channel("Halls")),
        json!({"content": "x"}),
    )
    .await
    .refused(400, 50008);
    bot.post("/channels/5/messages", json!({"content": "x"}))
        .await
        .refused(404, 10003);
    bot.post(
        &format!("/channels/{}/messages", bot.channel("council")),
        json!({"content": "x"}),
    )
    .await
    .refused(403, 50001);
}

#[tokio::test]
async fn sending_takes_the_permissions_that_it_uses() {
    let mut server = sietch();
    server["everyone"] = json!(["VIEW_CHANNEL"]);
    server["bot"]["permissions"] = json!(["VIEW_CHANNEL", "SEND_MESSAGES"]);
    let options = discord_emulator::Options {
        rate_limits: false,
        ..Default::default()
    };
    let bot = Bot::with(options, &server).await;
    let path = messages(&bot);
    bot.post(&path, json!({"content": "x"})).await.ok(200);
    bot.post(&path, json!({"embeds": [{"title": "x"}]}))
        .await
        .refused(403, 50013);
    bot.upload(Method::POST, &path, json!({"content": "x"}), &[("a.txt", b"a")])
        .await
        .refused(403, 50013);
    // Without READ_MESSAGE_HISTORY the list is empty, and a single message is refused.
    assert_eq!(bot.get(&path).await.ok(200), json!([]));
    bot.post(&path, json!({"content": "x", "message_reference": {"message_id": "5"}}))
        .await
        .refused(400, 160_002);
    bot.delete(&format!("{path}/5")).await.refused(404, 10008);
}

#[tokio::test]
async fn an_enforced_nonce_sends_once() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let body = json!({"content": "once", "nonce": "job-7", "enforce_nonce": true});
    let first = bot.post(&path, body.clone()).await.ok(200);
    let second = bot.post(&path, body.clone()).await.ok(200);
    assert_eq!(first["id"], second["id"]);
    assert_eq!(bot.get(&path).await.ok(200).as_array().unwrap().len(), 1);
    // The nonce is stored for some minutes only.
    bot.advance(10 * 60 * 1_000);
    assert_ne!(bot.post(&path, body).await.ok(200)["id"], first["id"]);
}

#[tokio::test]
async fn mentions_follow_what_is_allowed() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let (chani, fremen) = (bot.member("chani"), bot.role("Fremen"));
    let text = format!("<@{chani}> <@&{fremen}> @everyone");
    let open = bot.post(&path, json!({"content": text})).await.ok(200);
    assert_eq!(open["mentions"][0]["username"], "chani");
    assert_eq!(
        (open["mention_roles"][0].as_str(), open["mention_everyone"].as_bool()),
        (Some(fremen.to_string().as_str()), Some(true))
    );
    let quiet = bot
        .post(&path, json!({"content": text, "allowed_mentions": {"parse": []}}))
        .await
        .ok(200);
    assert_eq!(
        (&quiet["mentions"], &quiet["mention_roles"], &quiet["mention_everyone"]),
        (&json!([]), &json!([]), &json!(false))
    );
    let chosen = bot
        .post(
            &path,
            json!({"content": text, "allowed_mentions": {"users": [chani.to_string()]}}),
        )
        .await
        .ok(200);
    assert_eq!(
        (chosen["mentions"].as_array().unwrap().len(), &chosen["mention_roles"]),
        (1, &json!([]))
    );
}

#[tokio::test]
async fn replies_refer_to_their_message() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let first = bot.post(&path, json!({"content": "first"})).await.ok(200);
    let reply = bot
        .post(
            &path,
            json!({"content": "second", "message_reference": {"message_id": id(&first)}}),
        )
        .await
        .ok(200);
    assert_eq!(
        (reply["type"].as_u64(), &reply["referenced_message"]["id"]),
        (Some(19), &first["id"])
    );
    let lax = json!({"content": "third", "message_reference": {"message_id": "5", "fail_if_not_exists": false}});
    assert_eq!(bot.post(&path, lax).await.ok(200)["type"], 0);
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let mut ids = Vec::new();
    for index in 0..7 {
        ids.push(id(&bot
            .post(&path, json!({"content": index.to_string()}))
            .await
            .ok(200)));
    }
    let page = |reply: Value| reply.as_array().unwrap().iter().map(id).collect::<Vec<_>>();
    let newest: Vec<String> = ids.iter().rev().take(3).cloned().collect();
    assert_eq!(page(bot.get(&format!("{path}?limit=3")).await.ok(200)), newest);
    let before = page(bot.get(&format!("{path}?limit=2&before={}", ids[3])).await.ok(200));
    assert_eq!(before, [ids[2].clone(), ids[1].clone()]);
    let after = page(bot.get(&format!("{path}?limit=2&after={}", ids[3])).await.ok(200));
    assert_eq!(after, [ids[5].clone(), ids[4].clone()]);
    let around = page(bot.get(&format!("{path}?limit=3&around={}", ids[3])).await.ok(200));
    assert!(around.contains(&ids[3]) && around.len() == 3);
    bot.get(&format!("{path}?limit=0"))
        .await
        .form_error("/limit", "NUMBER_TYPE_MIN");
}

#[tokio::test]
async fn files_come_back_as_they_were_sent() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let payload = json!({"attachments": [{"id": "0", "filename": "renamed.txt", "description": "words"}]});
    let sent = bot
        .upload(
            Method::POST,
            &path,
            payload,
            &[("a.txt", b"Shai-Hulud"), ("b.bin", &[0, 255])],
        )
        .await
        .ok(200);
    let file = &sent["attachments"][0];
    assert_eq!(
        (
            file["filename"].as_str(),
            file["description"].as_str(),
            file["size"].as_u64()
        ),
        (Some("renamed.txt"), Some("words"), Some(10))
    );
    let fetched = bot.client.get(file["url"].as_str().unwrap()).send().await.unwrap();
    assert!(
        fetched.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    assert_eq!(fetched.bytes().await.unwrap(), &b"Shai-Hulud"[..]);
    // An edit keeps the listed ones only.
    let kept = sent["attachments"][1]["id"].clone();
    let edited = bot
        .patch(&format!("{path}/{}", id(&sent)), json!({"attachments": [{"id": kept}]}))
        .await
        .ok(200);
    assert_eq!(
        (
            edited["attachments"].as_array().unwrap().len(),
            &edited["attachments"][0]["id"]
        ),
        (1, &kept)
    );
}

#[tokio::test]
async fn bulk_delete_takes_two_to_a_hundred_young_messages() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id(&bot.post(&path, json!({"content": "x"})).await.ok(200)));
    }
    let bulk = format!("{path}/bulk-delete");
    bot.post(&bulk, json!({"messages": [ids[0]]})).await.refused(400, 50016);
    bot.post(&bulk, json!({"messages": ["175928847299117063", ids[0]]}))
        .await
        .refused(400, 50034);
    bot.post(&bulk, json!({"messages": [ids[0], ids[1]]})).await.ok(204);
    assert_eq!(bot.get(&path).await.ok(200).as_array().unwrap().len(), 1);
    assert_eq!(bot.audit(73).await.len(), 1);
}

#[tokio::test]
async fn pins_are_set_listed_and_announced() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let sent = bot.post(&path, json!({"content": "rule one"})).await.ok(200);
    bot.put(&format!("{path}/pins/{}", id(&sent)), None).await.ok(204);
    let pins = bot.get(&format!("{path}/pins")).await.ok(200);
    assert_eq!(
        (&pins["items"][0]["message"]["id"], pins["has_more"].as_bool()),
        (&sent["id"], Some(false))
    );
    assert_eq!(bot.get(&path).await.ok(200)[0]["type"], 6);
    bot.delete(&format!("/channels/{}/pins/{}", bot.channel("general"), id(&sent)))
        .await
        .ok(204);
    assert_eq!(
        bot.get(&format!("/channels/{}/pins", bot.channel("general")))
            .await
            .ok(200),
        json!([])
    );
}

#[tokio::test]
async fn reactions_are_counted_once_for_each_user() {
    let bot = Bot::start().await;
    let path = messages(&bot);
    let sent = format!(
        "{path}/{}",
        id(&bot.post(&path, json!({"content": "vote"})).await.ok(200))
    );
    let heart = format!("{sent}/reactions/%E2%9D%A4");
    for _ in 0..2 {
        bot.put(&format!("{heart}/@me"), None).await.ok(204);
    }
    let reactions = bot.get(&sent).await.ok(200)["reactions"].clone();
    assert_eq!(
        (reactions[0]["count"].as_u64(), reactions[0]["me"].as_bool()),
        (Some(1), Some(true))
    );
    assert_eq!(
        bot.get(&heart).await.ok(200)[0]["id"],
        bot.application().to_string().as_str()
    );
    bot.put(&format!("{sent}/reactions/abc/@me"), None)
        .await
        .refused(400, 10014);
    bot.put(&format!("{sent}/reactions/water:5/@me"), None)
        .await
        .refused(400, 10014);
    bot.delete(&format!("{heart}/@me")).await.ok(204);
    assert!(bot.get(&sent).await.ok(200).get("reactions").is_none());
}

#[tokio::test]
async fn direct_messages_are_sent_to_users_who_accept_them() {
    let bot = Bot::start().await;
    let open = |name: &str| json!({"recipient_id": bot.member(name).to_string()});
    let channel = bot.post("/users/@me/channels", open("chani")).await.ok(200);
    assert_eq!(channel["recipients"][0]["username"], "chani");
    let again = bot.post("/users/@me/channels", open("chani")).await.ok(200);
    assert_eq!(channel["id"], again["id"]);
    let path = format!("/channels/{}/messages", id(&channel));
    let sent = bot.post(&path, json!({"content": "hello"})).await.ok(200);
    assert!(sent.get("guild_id").is_none());
    let refusing = bot.post("/users/@me/channels", open("jamis")).await.ok(200);
    bot.post(
        &format!("/channels/{}/messages", id(&refusing)),
        json!({"content": "hello"}),
    )
    .await
    .refused(403, 50007);
    bot.post("/users/@me/channels", json!({"recipient_id": "5"}))
        .await
        .refused(400, 50033);
    bot.post("/users/@me/channels", json!({}))
        .await
        .form_error("/recipient_id", "BASE_TYPE_REQUIRED");
}

#[tokio::test]
async fn announcements_are_published_once() {
    let bot = Bot::start().await;
    let path = format!("/channels/{}/messages", bot.channel("news"));
    let sent = id(&bot.post(&path, json!({"content": "the spice must flow"})).await.ok(200));
    assert_eq!(
        bot.post_empty(&format!("{path}/{sent}/crosspost")).await.ok(200)["flags"],
        1
    );
    bot.post_empty(&format!("{path}/{sent}/crosspost"))
        .await
        .refused(400, 40033);
    bot.post_empty(&format!("{}/{sent}/crosspost", messages(&bot)))
        .await
        .refused(400, 50024);
    bot.post_empty(&format!("/channels/{}/typing", bot.channel("general")))
        .await
        .ok(204);
}
