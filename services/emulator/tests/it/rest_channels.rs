//! Channels: kinds, categories, overwrites, positions.

use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};

fn channels(bot: &Bot) -> String {
    format!("/guilds/{}/channels", bot.guild())
}

fn channel(bot: &Bot, name: &str) -> String {
    format!("/channels/{}", bot.channel(name))
}

#[tokio::test]
async fn fields_of_other_channel_types_are_dropped() {
    let bot = Bot::start().await;
    let text = bot
        .post(
            &channels(&bot),
            json!({"name": "Spice Market!", "topic": "trade", "rate_limit_per_user": 5}),
        )
        .await
        .ok(201);
    assert_eq!(
        (text["name"].as_str(), text["topic"].as_str()),
        (Some("spice-market"), Some("trade"))
    );
    let voice = bot
        .post(
            &channels(&bot),
            json!({"name": "Deep Desert", "type": 2, "bitrate": 96_000, "user_limit": 9}),
        )
        .await
        .ok(201);
    assert_eq!(
        (voice["name"].as_str(), voice["bitrate"].as_u64()),
        (Some("Deep Desert"), Some(96_000))
    );
    let forum = bot
        .post(
            &channels(&bot),
            json!({"name": "tales", "type": 15, "available_tags": [{"name": "old"}], "default_forum_layout": 1}),
        )
        .await
        .ok(201);
    assert!(forum["available_tags"][0]["id"].as_str().is_some());
    for kind in [4, 5, 13] {
        bot.post(&channels(&bot), json!({"name": "x", "type": kind}))
            .await
            .ok(201);
    }
    bot.post(&channels(&bot), json!({"name": "x", "type": 3}))
        .await
        .form_error("/type", "BASE_TYPE_CHOICES");
    bot.post(&channels(&bot), json!({}))
        .await
        .form_error("/name", "BASE_TYPE_REQUIRED");
    bot.post(&channels(&bot), json!({"name": "x", "type": 2, "bitrate": 128_000}))
        .await
        .form_error("/bitrate", "NUMBER_TYPE_MAX");
    bot.post(&channels(&bot), json!({"name": "x", "topic": "t".repeat(1_025)}))
        .await
        .form_error("/topic", "BASE_TYPE_MAX_LENGTH");
    let count = bot.get(&channels(&bot)).await.ok(200).as_array().unwrap().len();
    assert_eq!(count, bot.made.channels.len() + 6);
}

#[tokio::test]
async fn some_kinds_are_for_communities() {
    let mut server = sietch();
    server["community"] = json!(false);
    server["channels"] = json!([{"name": "general"}]);
    let bot = Bot::with(discord_emulator::Options::default(), &server).await;
    for kind in [5, 13] {
        bot.post(&channels(&bot), json!({"name": "x", "type": kind}))
            .await
            .refused(400, 50024);
    }
    bot.post(&channels(&bot), json!({"name": "x", "type": 15}))
        .await
        .form_error("/type", "BASE_TYPE_CHOICES");
    bot.patch(&channel(&bot, "general"), json!({"type": 5}))
        .await
        .refused(400, 50024);
}

#[tokio::test]
async fn text_and_announcement_are_the_only_conversion() {
    let bot = Bot::start().await;
    assert_eq!(
        bot.patch(&channel(&bot, "water"), json!({"type": 5})).await.ok(200)["type"],
        5
    );
    assert_eq!(
        bot.patch(&channel(&bot, "water"), json!({"type": 0})).await.ok(200)["type"],
        0
    );
    bot.patch(&channel(&bot, "water"), json!({"type": 2}))
        .await
        .refused(400, 50024);
    bot.patch(&channel(&bot, "voice"), json!({"type": 0}))
        .await
        .refused(400, 50024);
}

#[tokio::test]
async fn required_channels_of_a_community_stay() {
    let bot = Bot::start().await;
    let guild = format!("/guilds/{}", bot.guild());
    let rules = bot.channel("rules").to_string();
    bot.patch(&guild, json!({"rules_channel_id": rules})).await.ok(200);
    bot.delete(&channel(&bot, "rules")).await.refused(400, 50074);
    let gone = bot.delete(&channel(&bot, "water")).await.ok(200);
    assert_eq!(gone["name"], "water");
    bot.get(&channel(&bot, "water")).await.refused(404, 10003);
}

#[tokio::test]
async fn a_category_has_children_that_outlive_it() {
    let bot = Bot::start().await;
    let halls = bot.channel("Halls").to_string();
    let made = bot
        .post(&channels(&bot), json!({"name": "third", "parent_id": halls}))
        .await
        .ok(201);
    assert_eq!(made["parent_id"], halls.as_str());
    bot.post(&channels(&bot), json!({"name": "x", "parent_id": "5"}))
        .await
        .form_error("/parent_id", "CHANNEL_PARENT_INVALID");
    let general = bot.channel("general").to_string();
    bot.post(&channels(&bot), json!({"name": "x", "parent_id": general}))
        .await
        .form_error("/parent_id", "CHANNEL_PARENT_INVALID_TYPE");
    for index in 3..50 {
        bot.post(
            &channels(&bot),
            json!({"name": format!("c{index}"), "parent_id": halls}),
        )
        .await
        .ok(201);
    }
    bot.post(&channels(&bot), json!({"name": "x", "parent_id": halls}))
        .await
        .form_error("/parent_id", "CHANNEL_PARENT_MAX_CHANNELS");
    bot.delete(&channel(&bot, "Halls")).await.ok(200);
    assert!(bot.get(&channel(&bot, "general")).await.ok(200)["parent_id"].is_null());
}

#[tokio::test]
async fn overwrites_are_set_within_own_permissions() {
    let bot = Bot::start().await;
    let guest = bot.role("Guest");
    let path = format!("{}/permissions/{guest}", channel(&bot, "general"));
    bot.put(&path, Some(json!({"type": 0, "allow": "1024", "deny": "2048"})))
        .await
        .ok(204);
    let found = bot.get(&channel(&bot, "general")).await.ok(200)["permission_overwrites"].clone();
    let own = found
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["id"] == guest.to_string().as_str())
        .unwrap();
    assert_eq!(
        (own["type"].as_u64(), own["allow"].as_str(), own["deny"].as_str()),
        (Some(0), Some("1024"), Some("2048"))
    );
    bot.put(&path, Some(json!({"type": 0, "allow": "4194304"})))
        .await
        .refused(403, 50013);
    // Discord's OpenAPI document does not require the type: it is a role's id.
    bot.put(&path, Some(json!({"allow": "1024"}))).await.ok(204);
    let unknown = format!("{}/permissions/5", channel(&bot, "general"));
    bot.put(&unknown, Some(json!({"type": 0}))).await.refused(404, 10009);
    bot.delete(&path).await.ok(204);
    bot.delete(&path).await.refused(404, 10009);
    assert_eq!((bot.audit(13).await.len(), bot.audit(15).await.len()), (1, 1));
}

#[tokio::test]
async fn managing_roles_in_a_channel_is_given_by_administrators() {
    let bot = Bot::start().await;
    let manage_roles = (1_u64 << 28).to_string();
    let guest = json!([{"id": bot.role("Guest").to_string(), "type": 0, "allow": manage_roles}]);
    bot.post(&channels(&bot), json!({"name": "x", "permission_overwrites": guest}))
        .await
        .refused(403, 50013);
    let speak = json!([{"id": bot.role("Guest").to_string(), "type": 0, "deny": "2048"}]);
    bot.post(&channels(&bot), json!({"name": "x", "permission_overwrites": speak}))
        .await
        .ok(201);
    // With the permission in the channel itself, the bot may set permissions there that it does not have.
    let own = format!("{}/permissions/{}", channel(&bot, "water"), bot.made.bot_role_id);
    bot.put(&own, Some(json!({"type": 0, "allow": manage_roles})))
        .await
        .ok(204);
    let target = format!("{}/permissions/{}", channel(&bot, "water"), bot.role("Guest"));
    bot.put(&target, Some(json!({"type": 0, "allow": "4194304"})))
        .await
        .ok(204);
}

#[tokio::test]
async fn an_edit_of_a_category_reaches_synced_children() {
    let bot = Bot::start().await;
    let guest = bot.role("Guest");
    // The channel "water" gets overwrites of its own first.
    let own = format!("{}/permissions/{}", channel(&bot, "water"), bot.role("Fremen"));
    bot.put(&own, Some(json!({"type": 0, "deny": "2048"}))).await.ok(204);
    let halls = format!("{}/permissions/{guest}", channel(&bot, "Halls"));
    bot.put(&halls, Some(json!({"type": 0, "deny": "1024"}))).await.ok(204);
    let has = |view: Value| {
        view["permission_overwrites"]
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["id"] == guest.to_string().as_str())
    };
    assert!(has(bot.get(&channel(&bot, "general")).await.ok(200)));
    assert!(!has(bot.get(&channel(&bot, "water")).await.ok(200)));
    // A new channel begins with the category's overwrites.
    let body = json!({"name": "new", "parent_id": bot.channel("Halls").to_string()});
    assert!(has(bot.post(&channels(&bot), body).await.ok(201)));
}

#[tokio::test]
async fn one_call_moves_many_but_changes_one_category() {
    let bot = Bot::start().await;
    let id = |name: &str| bot.channel(name).to_string();
    let both = json!([{"id": id("general"), "parent_id": null}, {"id": id("water"), "parent_id": null}]);
    let refused = bot.call(reqwest::Method::PATCH, &channels(&bot), Some(both)).await;
    refused.refused(400, 40009);
    let order = json!([{"id": id("water"), "position": 0}, {"id": id("general"), "position": 1}]);
    assert!(bot.patch(&channels(&bot), order).await.ok(204).is_null());
    let all = bot.get(&channels(&bot)).await.ok(200);
    let position = |name: &str| {
        all.as_array()
            .unwrap()
            .iter()
            .find(|channel| channel["name"] == name)
            .unwrap()["position"]
            .as_i64()
            .unwrap()
    };
    assert!(position("water") < position("general"));
    // The bot cannot view the channel "council": it may change the position, which needs the server permission, and not the
    // category.
    let hidden = |change: Value| {
        let mut entry = json!({"id": id("council")});
        entry
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!([entry])
    };
    bot.patch(&channels(&bot), hidden(json!({"position": 3}))).await.ok(204);
    bot.patch(&channels(&bot), hidden(json!({"parent_id": id("Halls")})))
        .await
        .refused(403, 50001);
    let lock = json!([{"id": id("rules"), "parent_id": id("Halls"), "lock_permissions": true}]);
    bot.patch(&channels(&bot), lock).await.ok(204);
    let moved = bot.get(&channel(&bot, "rules")).await.ok(200);
    assert_eq!(moved["parent_id"], id("Halls").as_str());
}

#[tokio::test]
async fn a_server_has_room_for_five_hundred_channels() {
    let mut server = sietch();
    let list = server["channels"].as_array_mut().unwrap();
    list.extend((0..492).map(|index| json!({"name": format!("c{index}")})));
    let options = discord_emulator::Options {
        rate_limits: false,
        ..Default::default()
    };
    let bot = Bot::with(options, &server).await;
    bot.post(&channels(&bot), json!({"name": "last"})).await.ok(201);
    bot.post(&channels(&bot), json!({"name": "x"}))
        .await
        .refused(400, 30013);
}

#[tokio::test]
async fn threads_grow_in_their_channel() {
    let bot = Bot::start().await;
    let general = channel(&bot, "general");
    let sent = bot
        .post(&format!("{general}/messages"), json!({"content": "topic"}))
        .await
        .ok(200);
    let id = sent["id"].as_str().unwrap();
    let path = format!("{general}/messages/{id}/threads");
    let thread = bot
        .post(&path, json!({"name": "about it", "auto_archive_duration": 60}))
        .await
        .ok(201);
    assert_eq!((thread["id"].as_str(), thread["type"].as_u64()), (Some(id), Some(11)));
    bot.post(&path, json!({"name": "again"})).await.refused(400, 160_004);
    bot.post(&format!("/channels/{id}/messages"), json!({"content": "in it"}))
        .await
        .ok(200);
    let active = bot
        .get(&format!("/guilds/{}/threads/active", bot.guild()))
        .await
        .ok(200);
    assert_eq!(active["threads"].as_array().unwrap().len(), 1);
    let archived = bot
        .patch(&format!("/channels/{id}"), json!({"archived": true}))
        .await
        .ok(200);
    assert_eq!(archived["thread_metadata"]["archived"], true);
    bot.patch(&format!("/channels/{id}"), json!({"name": "x"}))
        .await
        .refused(400, 50083);
    bot.post(&channels(&bot), json!({"name": "forum", "type": 15}))
        .await
        .ok(201);
}
