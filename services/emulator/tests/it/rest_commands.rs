//! Registration of application commands.

use serde_json::{Value, json};

use crate::rest_support::Bot;

fn global(bot: &Bot) -> String {
    format!("/applications/{}/commands", bot.application())
}

fn in_guild(bot: &Bot) -> String {
    format!("/applications/{}/guilds/{}/commands", bot.application(), bot.guild())
}

fn leaderboard() -> Value {
    json!({
        "name": "leaderboard", "description": "Who holds most", "name_localizations": {"de": "rangliste"},
        "default_member_permissions": "32", "contexts": [0],
        "options": [
            {"type": 4, "name": "page", "description": "Which page", "required": true, "min_value": 1},
            {"type": 3, "name": "tier", "description": "One tier", "autocomplete": true,
                "description_localizations": {"de": "Eine Stufe"}}
        ]
    })
}

#[tokio::test]
async fn a_command_is_made_then_replaced_by_name() {
    let bot = Bot::start().await;
    let made = bot.post(&global(&bot), leaderboard()).await.ok(201);
    assert_eq!(made["default_member_permissions"], "32");
    assert_eq!(made["options"][0]["min_value"], 1);
    let again = bot
        .post(
            &global(&bot),
            json!({"name": "leaderboard", "description": "New words"}),
        )
        .await
        .ok(200);
    assert_eq!((&again["id"], again["options"].is_null()), (&made["id"], true));
    assert_ne!(again["version"], made["version"]);
    // The same name in a server is another command.
    let local = bot.post(&in_guild(&bot), leaderboard()).await.ok(201);
    assert_eq!(local["guild_id"], bot.guild().to_string().as_str());
    assert_eq!(bot.get(&global(&bot)).await.ok(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_omit_localizations_without_the_option() {
    let bot = Bot::start().await;
    bot.post(&global(&bot), leaderboard()).await.ok(201);
    let plain = bot.get(&global(&bot)).await.ok(200);
    assert!(
        plain[0].get("name_localizations").is_none()
            && plain[0]["options"][1].get("description_localizations").is_none()
    );
    let full = bot
        .get(&format!("{}?with_localizations=true", global(&bot)))
        .await
        .ok(200);
    assert_eq!(full[0]["name_localizations"]["de"], "rangliste");
    assert_eq!(full[0]["options"][1]["description_localizations"]["de"], "Eine Stufe");
}

#[tokio::test]
async fn bulk_overwrite_keeps_ids_of_known_names_and_drops_the_rest() {
    let bot = Bot::start().await;
    let kept = bot.post(&global(&bot), leaderboard()).await.ok(201);
    bot.post(&global(&bot), json!({"name": "gone", "description": "d"}))
        .await
        .ok(201);
    let list = json!([leaderboard(), {"name": "stats", "description": "d"}, {"name": "Report", "type": 2}]);
    let now = bot.put(&global(&bot), Some(list)).await.ok(200);
    assert_eq!(now.as_array().unwrap().len(), 3);
    // Nothing changed in it, so not even its version did.
    assert_eq!((&now[0]["id"], &now[0]["version"]), (&kept["id"], &kept["version"]));
    let twice = json!([{"name": "a", "description": "d"}, {"name": "a", "description": "d"}]);
    bot.put(&global(&bot), Some(twice))
        .await
        .form_error("/1", "APPLICATION_COMMANDS_DUPLICATE_NAME");
    assert_eq!(bot.put(&global(&bot), Some(json!([]))).await.ok(200), json!([]));
}

#[tokio::test]
async fn errors_are_nested_to_the_field() {
    let bot = Bot::start().await;
    let wrong = json!([{"name": "ok", "description": "d"}, {"name": "Bad Name", "description": "", "options": [
        {"type": 3, "name": "x", "description": "d"}, {"type": 3, "name": "y", "description": "d", "required": true}]}]);
    let body = bot.put(&global(&bot), Some(wrong)).await.refused(400, 50035);
    let code = |pointer: &str| body["errors"].pointer(pointer).unwrap()["_errors"][0]["code"].clone();
    assert_eq!(code("/1/name"), "APPLICATION_COMMAND_INVALID_NAME");
    assert_eq!(code("/1/description"), "BASE_TYPE_REQUIRED");
    assert_eq!(code("/1/options/1"), "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID");
    assert!(body["errors"].get("0").is_none());
}

#[tokio::test]
async fn editing_and_deleting_by_id() {
    let bot = Bot::start().await;
    let id = bot.post(&in_guild(&bot), leaderboard()).await.ok(201)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{}/{id}", in_guild(&bot));
    let edited = bot
        .patch(
            &path,
            json!({"description": "Shorter", "default_member_permissions": null}),
        )
        .await
        .ok(200);
    assert_eq!(
        (
            edited["description"].as_str(),
            edited["default_member_permissions"].is_null()
        ),
        (Some("Shorter"), true)
    );
    assert_eq!(edited["options"].as_array().unwrap().len(), 2);
    bot.patch(&path, json!({"name": "Not So"}))
        .await
        .form_error("/name", "APPLICATION_COMMAND_INVALID_NAME");
    // A server's command is not reachable as a global one.
    bot.get(&format!("{}/{id}", global(&bot))).await.refused(404, 10063);
    bot.delete(&path).await.ok(204);
    bot.get(&path).await.refused(404, 10063);
}

#[tokio::test]
async fn there_is_room_for_a_hundred() {
    let bot = Bot::start().await;
    let command = |index: usize| json!({"name": format!("c{index}"), "description": "d"});
    let hundred: Vec<Value> = (0..100).map(command).collect();
    bot.put(&global(&bot), Some(json!(hundred))).await.ok(200);
    bot.post(&global(&bot), command(100)).await.refused(400, 30032);
    bot.post(&global(&bot), command(7)).await.ok(200);
    let more: Vec<Value> = (0..101).map(command).collect();
    bot.put(&global(&bot), Some(json!(more))).await.refused(400, 30032);
}

#[tokio::test]
async fn other_applications_and_servers_are_refused() {
    let bot = Bot::start().await;
    bot.get("/applications/5/commands").await.refused(403, 20012);
    bot.get(&format!("/applications/{}/guilds/5/commands", bot.application()))
        .await
        .refused(403, 50001);
}
