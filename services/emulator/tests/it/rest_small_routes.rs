//! Routes that bots read when they start or now and then: sounds, stickers, widget, integrations, voice states, prune.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};
use discord_emulator::Options;

#[tokio::test]
async fn sounds_and_stickers_are_lists() {
    let bot = Bot::start().await;
    let guild = format!("/guilds/{}", bot.guild());
    let sounds = bot.get("/soundboard-default-sounds").await.ok(200);
    assert_eq!(
        (&sounds[0]["name"], &sounds[0]["sound_id"]),
        (&json!("quack"), &json!("1"))
    );
    assert_eq!(
        bot.get(&format!("{guild}/soundboard-sounds")).await.ok(200),
        json!({"items": []})
    );
    assert_eq!(bot.get(&format!("{guild}/stickers")).await.ok(200), json!([]));
    assert_eq!(bot.get("/sticker-packs").await.ok(200), json!({"sticker_packs": []}));
    bot.get("/guilds/77/stickers").await.refused(404, 10004);
}

#[tokio::test]
async fn the_application_has_an_empty_summary_and_is_edited_by_its_id_too() {
    let bot = Bot::start().await;
    for path in ["/applications/@me", "/oauth2/applications/@me"] {
        assert_eq!(bot.get(path).await.ok(200)["summary"], "", "{path}");
    }
    let own = format!("/applications/{}", bot.application());
    // As the documentation and as the OpenAPI document write it; the checker reads the latter alone.
    let edited = bot
        .patch(&own, json!({"description": {"default": "sand"}}))
        .await
        .ok(200);
    assert_eq!(
        (&edited["description"], &edited["summary"]),
        (&json!("sand"), &json!(""))
    );
    let token = bot.authorization();
    let request = bot
        .client
        .patch(bot.url("/applications/@me"))
        .header("authorization", token);
    let answer = request.json(&json!({"description": "water"})).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["description"], "water");
    bot.patch("/applications/77", json!({})).await.refused(403, 20012);
}

#[tokio::test]
async fn the_widget_is_closed_until_it_is_switched_on() {
    let bot = Bot::start().await;
    let guild = format!("/guilds/{}", bot.guild());
    let (settings, widget) = (format!("{guild}/widget"), format!("{guild}/widget.json"));
    assert_eq!(
        bot.get(&settings).await.ok(200),
        json!({"enabled": false, "channel_id": null})
    );
    bot.open_call(Method::GET, &widget, None).await.refused(403, 50004);
    let channel = bot.channel("general").to_string();
    let on = json!({"enabled": true, "channel_id": channel});
    assert_eq!(bot.patch(&settings, on.clone()).await.ok(200), on);
    let whole = bot.get(&guild).await.ok(200);
    assert_eq!(
        (&whole["widget_enabled"], &whole["widget_channel_id"]),
        (&json!(true), &json!(channel))
    );
    let shown = bot.open_call(Method::GET, &widget, None).await.ok(200);
    assert_eq!(
        (&shown["name"], &shown["channels"][0]["name"]),
        (&json!("Sietch Tabr"), &json!("voice"))
    );
    bot.patch(&settings, json!({"channel_id": "77"}))
        .await
        .form_error("/channel_id", "CHANNEL_INVALID");
    // A channel that is deleted is not the widget's any more.
    bot.delete(&format!("/channels/{channel}")).await.ok(200);
    assert_eq!(
        bot.get(&settings).await.ok(200),
        json!({"enabled": true, "channel_id": null})
    );
}

#[tokio::test]
async fn vanity_address_and_integrations_are_read_by_moderators() {
    let bot = Bot::start().await;
    let guild = format!("/guilds/{}", bot.guild());
    assert_eq!(
        bot.get(&format!("{guild}/vanity-url")).await.ok(200),
        json!({"code": null, "uses": 0})
    );
    let integrations = bot.get(&format!("{guild}/integrations")).await.ok(200);
    assert_eq!(
        integrations[0]["application"]["id"],
        json!(bot.application().to_string())
    );
    bot.forbid(&["MANAGE_GUILD"]).await;
    for path in ["vanity-url", "integrations", "widget"] {
        bot.get(&format!("{guild}/{path}")).await.refused(403, 50013);
    }
}

#[tokio::test]
async fn every_voice_state_is_unknown() {
    let bot = Bot::start().await;
    let states = format!("/guilds/{}/voice-states", bot.guild());
    for user in ["@me".to_owned(), bot.member("chani").to_string()] {
        let one = format!("{states}/{user}");
        bot.get(&one).await.refused(404, 10065);
        bot.patch(&one, json!({"suppress": true})).await.refused(404, 10065);
    }
    bot.get("/guilds/77/voice-states/@me").await.refused(404, 10004);
}

#[tokio::test]
async fn permissions_of_a_command_are_unset_and_not_for_bots_to_set() {
    let bot = Bot::start().await;
    let (application, guild) = (format!("/applications/{}", bot.application()), bot.guild());
    let command = json!({"name": "x", "description": "d"});
    for scope in [
        format!("{application}/commands"),
        format!("{application}/guilds/{guild}/commands"),
    ] {
        let made = bot.post(&scope, command.clone()).await.ok(201);
        let one = format!(
            "{application}/guilds/{guild}/commands/{}/permissions",
            made["id"].as_str().unwrap()
        );
        bot.get(&one).await.refused(404, 10066);
        bot.put(&one, Some(json!({"permissions": []})))
            .await
            .refused(403, 20001);
    }
    bot.get(&format!("{application}/guilds/{guild}/commands/77/permissions"))
        .await
        .refused(404, 10063);
}

#[tokio::test]
async fn a_scheduled_event_has_no_interested_users() {
    let server = {
        let mut server = sietch();
        server["bot"]["permissions"]
            .as_array_mut()
            .unwrap()
            .push(json!("CREATE_EVENTS"));
        server
    };
    let options = Options {
        rate_limits: false,
        ..Options::default()
    };
    let bot = Bot::with(options, &server).await;
    let events = format!("/guilds/{}/scheduled-events", bot.guild());
    let event = json!({"name": "e", "privacy_level": 2, "scheduled_start_time": "2090-01-01T00:00:00Z", "entity_type": 2,
        "channel_id": bot.channel("voice").to_string()});
    let made = bot.post(&events, event).await.ok(200);
    let users = format!("{events}/{}/users", made["id"].as_str().unwrap());
    assert_eq!(bot.get(&users).await.ok(200), json!([]));
    bot.get(&format!("{users}?limit=101"))
        .await
        .form_error("/limit", "NUMBER_TYPE_MAX");
    bot.get(&format!("{events}/77/users")).await.refused(404, 10070);
}

/// Members who joined long ago: without a role, with one, and one who wrote a message.
async fn inactive() -> Bot {
    let mut server = sietch();
    let old = |name: &str, roles: Value| json!({"name": name, "roles": roles, "joined_days_ago": 40});
    server["members"].as_array_mut().unwrap().extend([
        old("idle", json!([])),
        old("guest", json!(["Guest"])),
        old("fremen", json!(["Fremen", "Guest"])),
        old("writer", json!([])),
    ]);
    server["messages"] = json!([{"channel": "general", "author": "writer", "content": "here", "minutes_ago": 5}]);
    let options = Options {
        rate_limits: false,
        ..Options::default()
    };
    Bot::with(options, &server).await
}

#[tokio::test]
async fn a_prune_counts_and_removes_inactive_members() {
    let bot = inactive().await;
    let prune = format!("/guilds/{}/prune", bot.guild());
    let guest = bot.role("Guest").to_string();
    let count = async |query: &str| bot.get(&format!("{prune}{query}")).await.ok(200)["pruned"].clone();
    assert_eq!(count("").await, 1);
    assert_eq!(count(&format!("?include_roles={guest}&days=30")).await, 2);
    bot.get(&format!("{prune}?days=31"))
        .await
        .form_error("/days", "NUMBER_TYPE_MAX");
    bot.get(&format!("{prune}?include_roles=x"))
        .await
        .form_error("/include_roles", "NUMBER_TYPE_COERCE");
    let body = json!({"days": 7, "include_roles": [guest]});
    let pruned = bot
        .call_with(Method::POST, &prune, Some(body), Some("spring"))
        .await
        .ok(200);
    assert_eq!(pruned["pruned"], 2);
    for (name, status) in [("idle", 404), ("guest", 404), ("fremen", 200), ("writer", 200)] {
        let member = format!("/guilds/{}/members/{}", bot.guild(), bot.member(name));
        assert_eq!(bot.get(&member).await.status, status, "{name}");
    }
    let entry = &bot.audit(21).await[0];
    assert_eq!(entry["reason"], "spring");
    assert_eq!(
        entry["options"],
        json!({"delete_member_days": "7", "members_removed": "2"})
    );
    let uncounted = bot.post(&prune, json!({"compute_prune_count": false})).await.ok(200);
    assert_eq!(uncounted["pruned"], Value::Null);
    bot.forbid(&["KICK_MEMBERS"]).await;
    bot.get(&prune).await.refused(403, 50013);
}
