//! Members, their roles, kicks, bans and timeouts.

use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};

fn members(bot: &Bot) -> String {
    format!("/guilds/{}/members", bot.guild())
}

fn member(bot: &Bot, name: &str) -> String {
    format!("{}/{}", members(bot), bot.member(name))
}

#[tokio::test]
async fn members_are_found_listed_and_searched() {
    let bot = Bot::start().await;
    let chani = bot.get(&member(&bot, "chani")).await.ok(200);
    assert_eq!(
        (chani["user"]["username"].as_str(), &chani["roles"][0]),
        (Some("chani"), &json!(bot.role("Fremen").to_string()))
    );
    bot.get(&format!("{}/5", members(&bot))).await.refused(404, 10013);
    let all = bot.get(&format!("{}?limit=1000", members(&bot))).await.ok(200);
    let ids: Vec<u64> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|view| view["user"]["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(ids.is_sorted() && ids.len() >= 4);
    let rest = bot
        .get(&format!("{}?limit=1000&after={}", members(&bot), ids[1]))
        .await
        .ok(200);
    assert_eq!(rest.as_array().unwrap().len(), ids.len() - 2);
    assert_eq!(bot.get(&members(&bot)).await.ok(200).as_array().unwrap().len(), 1);
    let found = bot
        .get(&format!("{}/search?query=CHA&limit=10", members(&bot)))
        .await
        .ok(200);
    assert_eq!(
        (found.as_array().unwrap().len(), found[0]["user"]["username"].as_str()),
        (1, Some("chani"))
    );
    bot.get(&format!("{}/search", members(&bot)))
        .await
        .form_error("/query", "BASE_TYPE_REQUIRED");
}

#[tokio::test]
async fn roles_are_assigned_and_removed_one_by_one() {
    let bot = Bot::start().await;
    let role = |name: &str| format!("{}/roles/{}", member(&bot, "jamis"), bot.role(name));
    for _ in 0..2 {
        bot.put(&role("Fremen"), None).await.ok(204);
    }
    let held = bot.get(&member(&bot, "jamis")).await.ok(200)["roles"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(held, 2);
    bot.delete(&role("Fremen")).await.ok(204);
    bot.delete(&role("Fremen")).await.ok(204);
    // Calls without a change are not in the audit log.
    assert_eq!(bot.audit(25).await.len(), 2);
    bot.put(&role("Naib"), None).await.refused(403, 50013);
    bot.put(&role("Booster"), None).await.refused(400, 50028);
    bot.put(&format!("{}/roles/5", member(&bot, "jamis")), None)
        .await
        .refused(404, 10011);
    bot.put(&format!("{}/5/roles/{}", members(&bot), bot.role("Guest")), None)
        .await
        .refused(404, 10013);
    // Roles are below the bot, even where the member is above it.
    bot.put(
        &format!("{}/roles/{}", member(&bot, "stilgar"), bot.role("Guest")),
        None,
    )
    .await
    .ok(204);
}

#[tokio::test]
async fn an_edit_is_checked_field_by_field() {
    let bot = Bot::start().await;
    let path = member(&bot, "chani");
    let edited = bot
        .patch(
            &path,
            json!({"nick": "Sihaya", "roles": [bot.role("Guest").to_string()]}),
        )
        .await
        .ok(200);
    assert_eq!(
        (edited["nick"].as_str(), edited["roles"].as_array().unwrap().len()),
        (Some("Sihaya"), 1)
    );
    assert!(bot.patch(&path, json!({"nick": null})).await.ok(200)["nick"].is_null());
    bot.patch(&path, json!({"nick": "x".repeat(33)}))
        .await
        .form_error("/nick", "BASE_TYPE_MAX_LENGTH");
    bot.patch(&path, json!({"roles": ["5"]})).await.refused(404, 10011);
    bot.patch(&path, json!({"roles": [bot.role("Naib").to_string()]}))
        .await
        .refused(403, 50013);
    bot.patch(&member(&bot, "stilgar"), json!({"nick": "x"}))
        .await
        .refused(403, 50013);
    bot.patch(&path, json!({"mute": true})).await.refused(403, 50013);
    let own = bot
        .patch(&format!("{}/@me", members(&bot)), json!({"nick": "Mentat"}))
        .await
        .ok(200);
    assert_eq!(own["nick"], "Mentat");
}

#[tokio::test]
async fn a_timeout_ends_and_has_a_limit() {
    let bot = Bot::start().await;
    let path = member(&bot, "chani");
    let after = |ms: u64| discord_emulator::model::Timestamp(bot.emulator.app().clock.now_ms() + ms).to_string();
    let until = after(60_000);
    let edited = bot
        .patch(&path, json!({"communication_disabled_until": until}))
        .await
        .ok(200);
    assert_eq!(edited["communication_disabled_until"], until.as_str());
    let too_long = after(29 * 24 * 60 * 60 * 1_000);
    bot.patch(&path, json!({"communication_disabled_until": too_long}))
        .await
        .form_error("/communication_disabled_until", "GUILD_MEMBER_TIMEOUT_TOO_LONG");
    bot.patch(&path, json!({"communication_disabled_until": "soon"}))
        .await
        .form_error("/communication_disabled_until", "DATE_TIME_TYPE_PARSE");
    bot.patch(
        &member(&bot, "stilgar"),
        json!({"communication_disabled_until": after(60_000)}),
    )
    .await
    .refused(403, 50013);
}

#[tokio::test]
async fn kicks_and_bans_respect_rank() {
    let bot = Bot::start().await;
    let bans = format!("/guilds/{}/bans", bot.guild());
    bot.delete(&member(&bot, "stilgar")).await.refused(403, 50013);
    bot.delete(&member(&bot, "jamis")).await.ok(204);
    bot.get(&member(&bot, "jamis")).await.refused(404, 10007);
    bot.delete(&member(&bot, "jamis")).await.refused(404, 10007);
    let chani = format!("{bans}/{}", bot.member("chani"));
    let reason = Some("water%20theft");
    bot.call_with(
        reqwest::Method::PUT,
        &chani,
        Some(json!({"delete_message_seconds": 60})),
        reason,
    )
    .await
    .ok(204);
    assert_eq!(bot.get(&chani).await.ok(200)["reason"], "water theft");
    assert_eq!(bot.get(&bans).await.ok(200).as_array().unwrap().len(), 1);
    bot.get(&member(&bot, "chani")).await.refused(404, 10007);
    bot.put(&format!("{bans}/{}", bot.member("stilgar")), None)
        .await
        .refused(403, 50013);
    bot.put(&format!("{bans}/5"), None).await.refused(404, 10013);
    bot.put(&chani, Some(json!({"delete_message_seconds": 604_801})))
        .await
        .form_error("/delete_message_seconds", "NUMBER_TYPE_MAX");
    bot.delete(&chani).await.ok(204);
    bot.delete(&chani).await.refused(404, 10026);
    bot.get(&chani).await.refused(404, 10026);
    assert_eq!(
        (
            bot.audit(20).await.len(),
            bot.audit(22).await.len(),
            bot.audit(23).await.len()
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn bulk_ban_returns_banned_and_failed_users() {
    let bot = Bot::start().await;
    let path = format!("/guilds/{}/bulk-ban", bot.guild());
    let ids = |names: &[&str]| {
        names
            .iter()
            .map(|name| bot.member(name).to_string())
            .collect::<Vec<_>>()
    };
    let body = json!({"user_ids": ids(&["chani", "stilgar"])});
    let done = bot.post(&path, body.clone()).await.ok(200);
    assert_eq!(
        (&done["banned_users"], &done["failed_users"]),
        (&json!(ids(&["chani"])), &json!(ids(&["stilgar"])))
    );
    bot.post(&path, body).await.refused(400, 500_000);
}

#[tokio::test]
async fn adding_a_member_needs_an_access_token() {
    let bot = Bot::start().await;
    bot.put(&member(&bot, "chani"), Some(json!({"access_token": "x"})))
        .await
        .ok(204);
    bot.put(&format!("{}/5", members(&bot)), Some(json!({"access_token": "x"})))
        .await
        .refused(400, 50025);
}

#[tokio::test]
async fn each_permission_is_needed() {
    let mut server = sietch();
    server["bot"] = json!({"permissions": ["VIEW_CHANNEL"]});
    server["everyone"] = json!(["VIEW_CHANNEL"]);
    let bot = Bot::with(
        discord_emulator::Options {
            rate_limits: false,
            ..Default::default()
        },
        &server,
    )
    .await;
    let chani = member(&bot, "chani");
    let calls: [(reqwest::Method, String, Option<Value>); 7] = [
        (reqwest::Method::DELETE, chani.clone(), None),
        (reqwest::Method::PATCH, chani.clone(), Some(json!({"nick": "x"}))),
        (
            reqwest::Method::PUT,
            format!("{chani}/roles/{}", bot.role("Guest")),
            None,
        ),
        (
            reqwest::Method::PUT,
            format!("/guilds/{}/bans/{}", bot.guild(), bot.member("chani")),
            None,
        ),
        (
            reqwest::Method::GET,
            format!("/guilds/{}/audit-logs", bot.guild()),
            None,
        ),
        (
            reqwest::Method::PATCH,
            format!("/guilds/{}", bot.guild()),
            Some(json!({"name": "xx"})),
        ),
        (
            reqwest::Method::POST,
            format!("/guilds/{}/channels", bot.guild()),
            Some(json!({"name": "x"})),
        ),
    ];
    for (method, path, body) in calls {
        bot.call(method, &path, body).await.refused(403, 50013);
    }
}
