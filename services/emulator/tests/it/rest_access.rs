//! Access to routes: tokens, versions, unknown paths, invalid bodies.

use discord_emulator::{Options, gateway::Intents};
use reqwest::Method;
use serde_json::json;

use crate::rest_support::{Bot, sietch};

#[tokio::test]
async fn a_bot_token_is_needed_and_checked() {
    let bot = Bot::start().await;
    let body = bot.open_call(Method::GET, "/users/@me", None).await.refused(401, 0);
    assert_eq!(body, json!({"message": "401: Unauthorized", "code": 0}));
    for wrong in ["Bot nonsense", "Bearer x", &bot.emulator.token()] {
        let request = bot.client.get(bot.url("/users/@me")).header("authorization", wrong);
        assert_eq!(request.send().await.unwrap().status(), 401, "{wrong}");
    }
    let me = bot.get("/users/@me").await.ok(200);
    assert_eq!(
        (me["id"].as_str(), me["bot"].as_bool()),
        (Some(bot.application().to_string().as_str()), Some(true))
    );
}

#[tokio::test]
async fn errors_of_path_method_and_version_differ() {
    let bot = Bot::start().await;
    let body = bot.get("/nowhere").await.refused(404, 0);
    assert_eq!(body["message"], "404: Not Found");
    let body = bot.put("/users/@me", None).await.refused(405, 0);
    assert_eq!(body["message"], "405: Method Not Allowed");
    let root = bot.emulator.addresses().rest.trim_end_matches("/v10").to_owned();
    for (path, status) in [
        ("/v9/gateway", 200),
        ("/gateway", 200),
        ("/v11/gateway", 400),
        ("/v0/gateway", 400),
    ] {
        let answer = bot.client.get(format!("{root}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        if status == 400 {
            assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["code"], 50041);
        }
    }
}

#[tokio::test]
async fn path_parameters_must_be_snowflakes() {
    let bot = Bot::start().await;
    let body = bot.get("/channels/general").await;
    assert_eq!(
        body.body["errors"]["channel_id"]["_errors"][0]["message"],
        "Value \"general\" is not snowflake."
    );
    body.form_error("/channel_id", "NUMBER_TYPE_COERCE");
    bot.get(&format!("/guilds/{}/members/@me", bot.guild()))
        .await
        .form_error("/user_id", "NUMBER_TYPE_COERCE");
}

#[tokio::test]
async fn broken_json_is_refused() {
    let bot = Bot::start().await;
    let request = bot
        .client
        .post(bot.url(&format!("/channels/{}/messages", bot.channel("general"))))
        .header("authorization", bot.authorization())
        .header("content-type", "application/json")
        .body("{\"content\": ");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["code"], 50109);
}

#[tokio::test]
async fn date_header_has_the_emulators_time() {
    let bot = Bot::start().await;
    bot.advance(365 * 24 * 60 * 60 * 1_000);
    let reply = bot.get("/gateway/bot").await;
    let year: i32 = reply
        .header("date")
        .unwrap()
        .split(' ')
        .nth(3)
        .unwrap()
        .parse()
        .unwrap();
    let now = bot.emulator.app().clock.now().to_string();
    assert_eq!(now[..4].parse::<i32>().unwrap(), year);
    let body = reply.ok(200);
    assert_eq!(body["url"], bot.emulator.addresses().gateway.as_str());
    assert_eq!(body["session_start_limit"]["total"], 1_000);
}

#[tokio::test]
async fn users_and_the_application_are_described() {
    let bot = Bot::start().await;
    let chani = bot.get(&format!("/users/{}", bot.member("chani"))).await.ok(200);
    assert_eq!(chani["global_name"], "Chani");
    bot.get("/users/5").await.refused(404, 10013);
    let application = bot.get("/applications/@me").await.ok(200);
    assert_eq!(application["id"], bot.application().to_string().as_str());
    bot.get("/oauth2/applications/@me").await.ok(200);
    bot.get("/applications/5").await.refused(403, 20012);
    let guilds = bot.get("/users/@me/guilds?with_counts=true").await.ok(200);
    assert_eq!(
        (guilds[0]["name"].as_str(), guilds[0]["owner"].as_bool()),
        (Some("Sietch Tabr"), Some(false))
    );
    bot.get("/users/@me/guilds?limit=201")
        .await
        .form_error("/limit", "NUMBER_TYPE_MAX");
    bot.get(&format!("/users/@me/guilds/{}/member", bot.guild()))
        .await
        .refused(403, 20001);
    let edited = bot.patch("/users/@me", json!({"username": "muad-dib"})).await.ok(200);
    assert_eq!(edited["username"], "muad-dib");
}

#[tokio::test]
async fn the_member_list_needs_its_intent() {
    let options = Options {
        rate_limits: false,
        privileged_intents: Intents::empty(),
        ..Options::default()
    };
    let bot = Bot::with(options, &sietch()).await;
    bot.get(&format!("/guilds/{}/members", bot.guild()))
        .await
        .refused(403, 50001);
    // A single member can be read, and search works without the intent.
    bot.get(&format!("/guilds/{}/members/{}", bot.guild(), bot.member("chani")))
        .await
        .ok(200);
}
