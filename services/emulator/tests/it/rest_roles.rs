//! Roles: creation, hierarchy, positions.

use serde_json::{Value, json};

use crate::rest_support::{Bot, sietch};

fn roles(bot: &Bot) -> String {
    format!("/guilds/{}/roles", bot.guild())
}

fn named<'a>(roles: &'a Value, name: &str) -> &'a Value {
    roles
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["name"] == name)
        .unwrap()
}

#[tokio::test]
async fn a_role_without_permissions_copies_everyones() {
    let bot = Bot::start().await;
    let made = bot.post(&roles(&bot), json!({})).await.ok(200);
    let everyone = bot.get(&format!("{}/{}", roles(&bot), bot.guild())).await.ok(200);
    assert_eq!(
        (made["name"].as_str(), &made["permissions"]),
        (Some("new role"), &everyone["permissions"])
    );
    let made = bot
        .post(
            &roles(&bot),
            json!({"name": "Sandtrout", "permissions": "0", "colors": {"primary_color": 255}, "hoist": true}),
        )
        .await
        .ok(200);
    assert_eq!(
        (made["permissions"].as_str(), made["color"].as_u64()),
        (Some("0"), Some(255))
    );
    assert_eq!(made["hoist"], true);
}

#[tokio::test]
async fn only_own_permissions_can_be_granted() {
    let bot = Bot::start().await;
    bot.post(&roles(&bot), json!({"name": "x", "permissions": "8"}))
        .await
        .refused(403, 50013);
    let guest = format!("{}/{}", roles(&bot), bot.role("Guest"));
    bot.patch(&guest, json!({"permissions": (1_u64 << 22).to_string()}))
        .await
        .refused(403, 50013);
    bot.patch(&guest, json!({"permissions": "2048"})).await.ok(200);
    // Icons and gradients need boosts.
    bot.patch(&guest, json!({"unicode_emoji": "🌊"}))
        .await
        .refused(403, 50101);
}

#[tokio::test]
async fn roles_at_or_above_the_bots_own_are_refused() {
    let bot = Bot::start().await;
    let naib = format!("{}/{}", roles(&bot), bot.role("Naib"));
    let own = format!("{}/{}", roles(&bot), bot.made.bot_role_id);
    for path in [&naib, &own] {
        bot.patch(path, json!({"name": "x"})).await.refused(403, 50013);
        bot.delete(path).await.refused(403, 50013);
    }
    bot.delete(&format!("{}/{}", roles(&bot), bot.role("Booster")))
        .await
        .refused(400, 50028);
    bot.delete(&format!("{}/{}", roles(&bot), bot.guild()))
        .await
        .refused(400, 50028);
    bot.delete(&format!("{}/5", roles(&bot))).await.refused(404, 10011);
    bot.delete(&format!("{}/{}", roles(&bot), bot.role("Guest")))
        .await
        .ok(204);
    let member = bot
        .get(&format!("/guilds/{}/members/{}", bot.guild(), bot.member("jamis")))
        .await
        .ok(200);
    assert_eq!(member["roles"], json!([]));
}

#[tokio::test]
async fn without_manage_roles_nothing_goes() {
    let mut server = sietch();
    server["bot"]["permissions"] = json!(["VIEW_CHANNEL"]);
    let bot = Bot::with(discord_emulator::Options::default(), &server).await;
    bot.post(&roles(&bot), json!({"name": "x"})).await.refused(403, 50013);
    bot.get(&roles(&bot)).await.ok(200);
    bot.get("/guilds/5/roles").await.refused(404, 10004);
}

#[tokio::test]
async fn positions_are_renumbered_and_all_roles_returned() {
    let bot = Bot::start().await;
    let order = |roles: &Value| {
        let mut roles: Vec<(i64, String)> = roles
            .as_array()
            .unwrap()
            .iter()
            .map(|role| {
                (
                    role["position"].as_i64().unwrap(),
                    role["name"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        roles.sort();
        roles
    };
    let before = bot.get(&roles(&bot)).await.ok(200);
    assert!(named(&before, "Fremen")["position"].as_i64() > named(&before, "Guest")["position"].as_i64());
    let top = named(&before, "Fremen")["position"].as_i64().unwrap();
    let body = json!([{"id": bot.role("Guest").to_string(), "position": top}]);
    let after = bot.patch(&roles(&bot), body).await.ok(200);
    assert_eq!(after.as_array().unwrap().len(), before.as_array().unwrap().len());
    assert!(named(&after, "Guest")["position"].as_i64() > named(&after, "Fremen")["position"].as_i64());
    let numbers: Vec<i64> = order(&after).into_iter().map(|(position, _)| position).collect();
    assert_eq!(numbers, (0..i64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    // Neither to a position above the bot's own role, nor a role that is there.
    let high = json!([{"id": bot.role("Guest").to_string(), "position": 99}]);
    bot.patch(&roles(&bot), high).await.refused(403, 50013);
    bot.patch(
        &roles(&bot),
        json!([{"id": bot.role("Naib").to_string(), "position": 1}]),
    )
    .await
    .refused(403, 50013);
    bot.patch(&roles(&bot), json!([{"id": "5", "position": 1}]))
        .await
        .refused(404, 10011);
}

#[tokio::test]
async fn a_server_has_room_for_two_hundred_and_fifty() {
    let mut server = sietch();
    let list = server["roles"].as_array_mut().unwrap();
    // With @everyone and the bot's own, 249.
    list.extend((0..243).map(|index| json!({"name": format!("r{index}")})));
    let options = discord_emulator::Options {
        rate_limits: false,
        ..Default::default()
    };
    let bot = Bot::with(options, &server).await;
    bot.post(&roles(&bot), json!({"name": "last"})).await.ok(200);
    bot.post(&roles(&bot), json!({"name": "one more"}))
        .await
        .refused(400, 30005);
    let counts = bot.get(&format!("{}/member-counts", roles(&bot))).await.ok(200);
    assert_eq!(counts[bot.role("Fremen").to_string()], 1);
}

#[tokio::test]
async fn changes_are_in_the_audit_log_with_their_reason() {
    let bot = Bot::start().await;
    let path = roles(&bot);
    let body = Some(json!({"name": "Watermaster", "permissions": "0"}));
    let made = bot
        .call_with(
            reqwest::Method::POST,
            &path,
            body,
            Some("new%20tier%3A%20Wasser%C3%A4mter"),
        )
        .await
        .ok(200);
    let entry = bot.audit(30).await.remove(0);
    assert_eq!(
        (&entry["target_id"], entry["reason"].as_str()),
        (&made["id"], Some("new tier: Wasserämter"))
    );
    assert_eq!(entry["user_id"], bot.application().to_string().as_str());
    let changed = entry["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|change| change["key"] == "name")
        .unwrap();
    assert_eq!(changed["new_value"], "Watermaster");
    let long = "x".repeat(513);
    let refused = bot
        .call_with(reqwest::Method::POST, &path, Some(json!({})), Some(&long))
        .await;
    refused.refused(400, 50035);
}
