use http::Method;
use serde_json::json;

use crate::support::{Emu, INTENTS};

const TABR: &str = "guilds/Sietch%20Tabr";

#[tokio::test]
async fn roles_by_hand() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let role = emu
        .post(
            &format!("{TABR}/roles"),
            json!({"name": "Sword", "color": "#010203", "position": 2}),
        )
        .await;
    assert_eq!((&role["color"], &role["position"]), (&json!(0x01_0203), &json!(2)));
    assert_eq!(client.event("GUILD_ROLE_CREATE").await["role"]["id"], role["id"]);
    let edit = json!({"name": "Blade", "permissions": ["KICK_MEMBERS"]});
    emu.control(Method::PATCH, &format!("{TABR}/roles/Sword"), Some(edit))
        .await;
    assert_eq!(client.event("GUILD_ROLE_UPDATE").await["role"]["permissions"], "2");
    emu.control(Method::DELETE, &format!("{TABR}/roles/Blade"), None).await;
    assert_eq!(client.event("GUILD_ROLE_DELETE").await["role_id"], role["id"]);
    let (status, answer) = emu
        .try_control(Method::DELETE, &format!("{TABR}/roles/@everyone"), None)
        .await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn moving_a_role_renumbers_without_gaps() {
    let emu = Emu::lively().await;
    emu.control(
        Method::PATCH,
        &format!("{TABR}/roles/Hajra"),
        Some(json!({"position": 14})),
    )
    .await;
    let full = emu.get(TABR).await;
    let order: Vec<_> = full["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(order[..4], ["Arrakis", "Hajra", "Naib", "Fedaykin"]);
    let mut positions: Vec<_> = full["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["position"].as_i64().unwrap())
        .collect();
    positions.reverse();
    assert_eq!(positions, (0..16).collect::<Vec<i64>>());
}

#[tokio::test]
async fn channels_by_hand() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let made = emu
        .post(
            &format!("{TABR}/channels"),
            json!({"name": "armoury", "parent": "🛠️ SUPPORT", "topic": "Blades"}),
        )
        .await;
    assert_eq!(client.event("CHANNEL_CREATE").await["id"], made["id"]);
    let edit = json!({"topic": "Knives", "permission_overwrites": [{"member": "chani", "deny": ["SEND_MESSAGES"]}]});
    emu.control(Method::PATCH, &format!("{TABR}/channels/armoury"), Some(edit))
        .await;
    let update = client.event("CHANNEL_UPDATE").await;
    assert_eq!(
        update["permission_overwrites"][0],
        json!({"id": "1000000000000000003", "type": 1, "allow": "0", "deny": "2048"})
    );
    emu.control(Method::DELETE, &format!("{TABR}/channels/🛠️ SUPPORT"), None)
        .await;
    client.event("CHANNEL_DELETE").await;
    // The channels of a deleted category are kept.
    assert_eq!(client.event("CHANNEL_UPDATE").await["parent_id"], json!(null));
}
