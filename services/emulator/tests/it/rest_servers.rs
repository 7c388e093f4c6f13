//! Servers, emoji and the audit log.

use serde_json::json;

use crate::rest_support::Bot;

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test]
async fn a_server_is_read_and_changed() {
    let bot = Bot::start().await;
    let path = format!("/guilds/{}", bot.guild());
    let plain = bot.get(&path).await.ok(200);
    assert!(plain.get("approximate_member_count").is_none());
    assert!(bot.get(&format!("{path}?with_counts=true")).await.ok(200)["approximate_member_count"].as_u64() >= Some(4));
    bot.get(&format!("{path}/preview")).await.ok(200);
    let body = json!({"name": "Sietch Jacurutu", "verification_level": 2, "icon": PIXEL, "description": "outcasts",
        "system_channel_id": bot.channel("general").to_string(), "afk_channel_id": bot.channel("voice").to_string()});
    let changed = bot.patch(&path, body).await.ok(200);
    assert_eq!(
        (changed["name"].as_str(), changed["verification_level"].as_u64()),
        (Some("Sietch Jacurutu"), Some(2))
    );
    let icon = changed["icon"].as_str().unwrap();
    let address = format!(
        "{}/icons/{}/{icon}.png",
        bot.emulator.addresses().rest.trim_end_matches("/api/v10"),
        bot.guild()
    );
    assert_eq!(
        bot.client.get(address).send().await.unwrap().headers()["content-type"],
        "image/png"
    );
    assert_eq!(bot.audit(1).await.len(), 1);
    bot.patch(&path, json!({"name": "x"}))
        .await
        .form_error("/name", "BASE_TYPE_BAD_LENGTH");
    bot.patch(&path, json!({"verification_level": 9}))
        .await
        .form_error("/verification_level", "BASE_TYPE_CHOICES");
    bot.patch(&path, json!({"afk_channel_id": bot.channel("general").to_string()}))
        .await
        .form_error("/afk_channel_id", "CHANNEL_INVALID");
    bot.patch(&path, json!({"icon": "nonsense"}))
        .await
        .form_error("/icon", "IMAGE_INVALID");
    // Only administrators may add or remove COMMUNITY.
    bot.patch(&path, json!({"features": []})).await.refused(403, 50013);
    bot.get("/guilds/5").await.refused(404, 10004);
}

#[tokio::test]
async fn emoji_are_uploaded_renamed_and_served() {
    let bot = Bot::start().await;
    for base in [
        format!("/guilds/{}/emojis", bot.guild()),
        format!("/applications/{}/emojis", bot.application()),
    ] {
        let made = bot.post(&base, json!({"name": "spice", "image": PIXEL})).await.ok(201);
        let one = format!("{base}/{}", made["id"].as_str().unwrap());
        assert_eq!(
            bot.patch(&one, json!({"name": "melange"})).await.ok(200)["name"],
            "melange"
        );
        assert_eq!(
            bot.get(&one).await.ok(200)["user"]["id"],
            bot.application().to_string().as_str()
        );
        let root = bot.emulator.addresses().rest.trim_end_matches("/api/v10");
        let image = bot
            .client
            .get(format!("{root}/emojis/{}.png", made["id"].as_str().unwrap()))
            .send()
            .await
            .unwrap();
        assert!(image.bytes().await.unwrap().starts_with(b"\x89PNG"));
        bot.post(&base, json!({"name": "no spaces", "image": PIXEL}))
            .await
            .form_error("/name", "STRING_TYPE_REGEX");
        bot.post(&base, json!({"name": "x"}))
            .await
            .form_error("/image", "BASE_TYPE_REQUIRED");
        bot.get(&base).await.ok(200);
        bot.delete(&one).await.ok(204);
        bot.get(&one).await.refused(404, 10014);
    }
}

#[tokio::test]
async fn a_server_has_room_for_fifty_emoji() {
    let bot = Bot::start().await;
    let base = format!("/guilds/{}/emojis", bot.guild());
    for index in 0..50 {
        bot.post(&base, json!({"name": format!("e{index}"), "image": PIXEL}))
            .await
            .ok(201);
    }
    bot.post(&base, json!({"name": "more", "image": PIXEL}))
        .await
        .refused(400, 30008);
}

#[tokio::test]
async fn the_audit_log_is_filtered_and_paged() {
    let bot = Bot::start().await;
    let path = format!("/guilds/{}/audit-logs", bot.guild());
    for name in ["a", "b", "c"] {
        bot.post(
            &format!("/guilds/{}/roles", bot.guild()),
            json!({"name": name, "permissions": "0"}),
        )
        .await
        .ok(200);
    }
    bot.post(&format!("/guilds/{}/channels", bot.guild()), json!({"name": "x"}))
        .await
        .ok(201);
    let all = bot.get(&path).await.ok(200);
    let entries = all["audit_log_entries"].as_array().unwrap();
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry["action_type"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [10, 30, 30, 30]
    );
    assert_eq!(all["users"][0]["id"], bot.application().to_string().as_str());
    let second = entries[1]["id"].as_str().unwrap();
    let older = bot.get(&format!("{path}?before={second}&limit=1")).await.ok(200);
    assert_eq!(older["audit_log_entries"][0]["id"], entries[2]["id"]);
    let newer = bot.get(&format!("{path}?after={second}")).await.ok(200);
    assert_eq!(newer["audit_log_entries"].as_array().unwrap().len(), 1);
    let nobody = bot
        .get(&format!("{path}?user_id={}", bot.member("chani")))
        .await
        .ok(200);
    assert_eq!(nobody["audit_log_entries"], json!([]));
}
