//! Handling of values: kept, dropped, normalized or refused, the same on every route.

use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};

async fn administrator(change: impl FnOnce(&mut Value)) -> Bot {
    let mut server = sietch();
    server["bot"]["permissions"] = json!(["ADMINISTRATOR"]);
    change(&mut server);
    let options = discord_emulator::Options {
        rate_limits: false,
        ..Default::default()
    };
    Bot::with(options, &server).await
}

/// Bits and those that are kept: 0 to 53, 47 among them.
const BITS: [(u64, u64); 6] = [
    (1 << 47, 1 << 47),
    (1 << 53, 1 << 53),
    (1 << 54, 0),
    (1 << 63, 0),
    (u64::MAX, (1 << 54) - 1),
    (1 << 60 | 1 << 10, 1 << 10),
];

#[tokio::test]
async fn permission_bits_are_kept_and_dropped_alike_on_every_route() {
    let bot = administrator(|_| {}).await;
    let roles = format!("/guilds/{}/roles", bot.guild());
    let role = format!("{roles}/{}", bot.role("Guest"));
    let channels = format!("/guilds/{}/channels", bot.guild());
    let channel = format!("/channels/{}", bot.channel("general"));
    let overwrite = format!("{channel}/permissions/{}", bot.role("Guest"));
    let commands = format!("/applications/{}/commands", bot.application());
    for (sent, kept) in BITS {
        let (sent, kept) = (sent.to_string(), json!(kept.to_string()));
        let made = bot
            .post(&roles, json!({"name": "r", "permissions": sent}))
            .await
            .ok(200);
        assert_eq!(made["permissions"], kept, "create role {sent}");
        let edited = bot.patch(&role, json!({"permissions": sent})).await.ok(200);
        assert_eq!(edited["permissions"], kept, "edit role {sent}");
        let entry = json!([{"id": bot.role("Guest").to_string(), "type": 0, "allow": sent, "deny": "0"}]);
        let made = bot
            .post(&channels, json!({"name": "c", "permission_overwrites": entry}))
            .await
            .ok(201);
        assert_eq!(made["permission_overwrites"][0]["allow"], kept, "create channel {sent}");
        let edited = bot
            .patch(&channel, json!({"permission_overwrites": entry}))
            .await
            .ok(200);
        assert_eq!(edited["permission_overwrites"][0]["allow"], kept, "edit channel {sent}");
        bot.put(&overwrite, Some(json!({"type": 0, "allow": "0", "deny": sent})))
            .await
            .ok(204);
        let read = bot.get(&channel).await.ok(200);
        assert_eq!(read["permission_overwrites"][0]["deny"], kept, "overwrite {sent}");
        let command = json!({"name": "c", "description": "d", "default_member_permissions": sent});
        let made = bot.post(&commands, command).await;
        if made.status < 400 {
            assert_eq!(
                (&made.body["default_member_permissions"], &json!(sent)),
                (&kept, &kept),
                "command {sent}"
            );
        } else {
            // Here Discord's document has a maximum.
            assert_ne!(json!(sent), kept, "command {sent}");
            made.form_error("/default_member_permissions", "NUMBER_TYPE_MAX");
        }
    }
}

#[tokio::test]
async fn everyones_default_survives_an_edit_of_itself() {
    let bot = administrator(|_| {}).await;
    let everyone = format!("/guilds/{}/roles/{}", bot.guild(), bot.guild());
    let before = bot.get(&everyone).await.ok(200)["permissions"].clone();
    let bits: u64 = before.as_str().unwrap().parse().unwrap();
    assert_ne!(bits & 1 << 47, 0, "Discord grants it by default");
    let after = bot.patch(&everyone, json!({"permissions": before})).await.ok(200);
    assert_eq!(after["permissions"], before);
}

#[tokio::test]
async fn new_roles_share_the_lowest_position_and_rank_by_id() {
    let bot = Bot::start().await;
    let roles = format!("/guilds/{}/roles", bot.guild());
    let before = bot.get(&roles).await.ok(200);
    let mut made = Vec::new();
    for name in ["first", "second", "third"] {
        let role = bot
            .post(&roles, json!({"name": name, "permissions": "0"}))
            .await
            .ok(200);
        assert_eq!(role["position"], 1, "{name}");
        made.push(role["id"].clone());
    }
    // Other roles keep their positions.
    let after = bot.get(&roles).await.ok(200);
    for role in before.as_array().unwrap() {
        let now = after
            .as_array()
            .unwrap()
            .iter()
            .find(|now| now["id"] == role["id"])
            .unwrap();
        assert_eq!(now["position"], role["position"], "{}", role["name"]);
    }
    // A move renumbers all of them; of equal positions the lower id was above.
    let guest = bot.role("Guest").to_string();
    let moved = bot.patch(&roles, json!([{"id": made[2], "position": 2}])).await.ok(200);
    let place =
        |id: &Value| moved.as_array().unwrap().iter().find(|role| role["id"] == *id).unwrap()["position"].as_i64();
    let order = [&made[1], &made[2], &made[0], &json!(guest)].map(place);
    assert_eq!(order, [Some(1), Some(2), Some(3), Some(4)], "{moved}");
    let mut positions: Vec<i64> = moved
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["position"].as_i64().unwrap())
        .collect();
    positions.sort_unstable();
    assert_eq!(
        positions,
        (0..i64::try_from(positions.len()).unwrap()).collect::<Vec<_>>()
    );
    // A move to the same position changes nothing.
    let same = bot
        .patch(
            &roles,
            json!([{"id": made[2], "position": 2}, {"id": made[0], "position": null}]),
        )
        .await
        .ok(200);
    assert_eq!(same, moved);
}

#[tokio::test]
async fn bitrates_go_as_high_as_boosts_and_vip_regions_allow() {
    for (tier, features, highest) in [
        (0, json!([]), 96_000),
        (1, json!([]), 128_000),
        (2, json!([]), 256_000),
        (3, json!([]), 384_000),
        (0, json!(["VIP_REGIONS"]), 384_000),
        (1, json!(["VIP_REGIONS"]), 384_000),
    ] {
        let bot = administrator(|server| {
            server["premium_tier"] = json!(tier);
            server["features"] = features.clone();
        })
        .await;
        let voice = format!("/channels/{}", bot.channel("voice"));
        let create = format!("/guilds/{}/channels", bot.guild());
        let at = |bitrate: i64| json!({"name": "voice", "type": 2, "bitrate": bitrate});
        assert_eq!(bot.post(&create, at(highest)).await.ok(201)["bitrate"], highest);
        assert_eq!(
            bot.patch(&voice, json!({"bitrate": highest})).await.ok(200)["bitrate"],
            highest
        );
        bot.post(&create, at(highest + 1))
            .await
            .form_error("/bitrate", "NUMBER_TYPE_MAX");
        bot.patch(&voice, json!({"bitrate": highest + 1}))
            .await
            .form_error("/bitrate", "NUMBER_TYPE_MAX");
        // A stage has at most 64,000 at every boost level.
        let stage = json!({"name": "s", "type": 13, "bitrate": 64_001});
        bot.post(&create, stage).await.form_error("/bitrate", "NUMBER_TYPE_MAX");
    }
}

#[tokio::test]
async fn channel_names_are_written_as_discord_writes_them() {
    let bot = Bot::start().await;
    let create = format!("/guilds/{}/channels", bot.guild());
    for (kind, sent, kept) in [
        (0, "what?! now", "what-now"),
        (5, "News & Rumours", "news-rumours"),
        (15, "-- Fragen --", "fragen"),
        (0, "🌊 Wasser", "🌊-wasser"),
        (2, "What?! Now", "What?! Now"),
        (4, "HALLS & YARDS", "HALLS & YARDS"),
    ] {
        let made = bot.post(&create, json!({"name": sent, "type": kind})).await.ok(201);
        assert_eq!(made["name"], kept);
        // The normalized name is not changed again.
        let path = format!("/channels/{}", made["id"].as_str().unwrap());
        assert_eq!(bot.patch(&path, json!({"name": kept})).await.ok(200)["name"], kept);
    }
}

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test]
async fn value_is_read_as_it_was_set_and_null_removes_it() {
    let bot = administrator(|_| {}).await;
    let forum = bot
        .post(
            &format!("/guilds/{}/channels", bot.guild()),
            json!({"name": "f", "type": 15}),
        )
        .await
        .ok(201);
    let forum = format!("/channels/{}", forum["id"].as_str().unwrap());
    let guild = format!("/guilds/{}", bot.guild());
    for (path, field, value, read) in [
        (&forum, "default_tag_setting", json!("match_all"), json!("match_all")),
        (&forum, "default_tag_setting", json!("match_some"), json!("match_some")),
        (&forum, "default_sort_order", json!(1), json!(1)),
        (&guild, "discovery_splash", json!(PIXEL), Value::Null),
        (&guild, "home_header", json!(PIXEL), Value::Null),
        (&guild, "splash", json!(PIXEL), Value::Null),
    ] {
        bot.patch(path, json!({ field: value })).await.ok(200);
        let set = bot.get(path).await.ok(200)[field].clone();
        if read.is_null() {
            assert!(set.as_str().is_some_and(|hash| hash.len() == 32), "{field}: {set}");
        } else {
            assert_eq!(set, read, "{field}");
        }
        bot.patch(path, json!({ field: null })).await.ok(200);
        assert_eq!(bot.get(path).await.ok(200)[field], Value::Null, "{field}");
    }
    bot.patch(&forum, json!({"default_tag_setting": "match_none"}))
        .await
        .form_error("/default_tag_setting", "BASE_TYPE_CHOICES");
    let own = format!("{guild}/members/@me");
    let member = bot
        .patch(&own, json!({"avatar": PIXEL, "banner": PIXEL, "bio": "x"}))
        .await
        .ok(200);
    assert!(member["avatar"].is_string() && member["banner"].is_string(), "{member}");
    let member = bot.patch(&own, json!({"avatar": null, "banner": null})).await.ok(200);
    assert_eq!((&member["avatar"], &member["banner"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn the_applications_settings_are_kept() {
    let bot = Bot::start().await;
    let settings = json!({
        "tags": ["spice", "sand"], "custom_install_url": "https://example.org/",
        "interactions_endpoint_url": "https://example.org/i", "role_connections_verification_url": "https://example.org/r",
        "event_webhooks_url": "https://example.org/e", "event_webhooks_status": 2,
        "event_webhooks_types": ["ENTITLEMENT_CREATE"], "explicit_content_filter": 1, "max_participants": -1,
        "install_params": {"scopes": ["bot"], "permissions": 8},
    });
    let edited = bot.patch("/applications/@me", settings.clone()).await.ok(200);
    let read = bot.get("/applications/@me").await.ok(200);
    for (key, value) in settings.as_object().unwrap() {
        let shown = json!({"scopes": ["bot"], "permissions": "8"});
        let value = if key == "install_params" { &shown } else { value };
        assert_eq!((&edited[key], &read[key]), (value, value), "{key}");
    }
    let nulls: Value = settings
        .as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), Value::Null))
        .collect();
    let cleared = bot.patch("/applications/@me", nulls).await.ok(200);
    assert_eq!(
        (&cleared["interactions_endpoint_url"], &cleared["tags"]),
        (&Value::Null, &Value::Null)
    );
    bot.patch("/applications/@me", json!({"tags": ["x".repeat(21)]}))
        .await
        .form_error("/tags/0", "BASE_TYPE_BAD_LENGTH");
}

#[tokio::test]
async fn interaction_callbacks_have_no_bucket() {
    let bot = Bot::with(discord_emulator::Options::default(), &sietch()).await;
    let (id, token) = bot.command();
    let path = format!("/interactions/{id}/{token}/callback");
    let answered = bot
        .open_call(reqwest::Method::POST, &path, Some(json!({"type": 5})))
        .await;
    assert_eq!((answered.status, answered.header("x-ratelimit-bucket")), (204, None));
}
