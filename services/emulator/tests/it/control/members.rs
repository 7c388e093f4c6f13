use http::Method;
use serde_json::json;

use crate::support::{Emu, INTENTS};

const MEMBERS: &str = "guilds/Sietch%20Tabr/members";

#[tokio::test]
async fn a_person_joins_leaves_and_comes_back() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let joined = emu.post(MEMBERS, json!({"name": "duncan", "display": "Duncan"})).await;
    let id = joined["user_id"].clone();
    let add = client.event("GUILD_MEMBER_ADD").await;
    assert_eq!(
        (&add["user"]["id"], &add["guild_id"]),
        (&id, &json!("1200000000000000000"))
    );
    assert_eq!(add["user"]["global_name"], "Duncan");
    let (status, _) = emu.refused(MEMBERS, json!({"name": "duncan"})).await;
    assert_eq!(status, 409);
    emu.control(Method::DELETE, &format!("{MEMBERS}/duncan"), None).await;
    assert_eq!(client.event("GUILD_MEMBER_REMOVE").await["user"]["id"], id);
    // The name is that of the same user.
    assert_eq!(emu.post(MEMBERS, json!({"name": "duncan"})).await["user_id"], id);
}

#[tokio::test]
async fn names_and_ids_are_checked() {
    let emu = Emu::lively().await;
    for name in ["", "x", "With Space", "ÜBER"] {
        let (status, error) = emu.refused(MEMBERS, json!({"name": name})).await;
        assert_eq!(status, 400, "{error}");
    }
    let (status, error) = emu.refused(MEMBERS, json!({"user_id": "77", "name": "stilgar"})).await;
    assert_eq!((status, error.contains("another user")), (409, true), "{error}");
    let (status, _) = emu.refused("guilds/Nowhere/members", json!({"name": "duncan"})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn roles_and_nickname_change_by_hand_and_are_audited() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let edit = json!({"nick": "The Newcomer", "add_roles": ["Hajra", "Veteran"], "by": "stilgar"});
    emu.control(Method::PATCH, &format!("{MEMBERS}/nayla"), Some(edit))
        .await;
    let update = client.event("GUILD_MEMBER_UPDATE").await;
    assert_eq!(update["nick"], "The Newcomer");
    assert_eq!(update["roles"], json!(["1200000000000000109", "1200000000000000114"]));
    let edit = json!({"nick": null, "remove_roles": ["Veteran"]});
    emu.control(Method::PATCH, &format!("{MEMBERS}/nayla"), Some(edit))
        .await;
    let update = client.event("GUILD_MEMBER_UPDATE").await;
    assert_eq!(
        (&update["nick"], &update["roles"]),
        (&json!(null), &json!(["1200000000000000109"]))
    );
    let log = emu.get("guilds/Sietch%20Tabr/audit-log").await;
    let first = log["audit_log_entries"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .find(|entry| entry["action_type"] == 25)
        .unwrap();
    assert_eq!(first["user_id"], "1000000000000000001");
    assert_eq!(first["changes"][0]["key"], "$add");
}

#[tokio::test]
async fn a_banned_person_cannot_join_until_the_ban_is_lifted() {
    let emu = Emu::lively().await;
    emu.post("guilds/Sietch%20Tabr/bans/nayla", json!({"reason": "water theft"}))
        .await;
    emu.refused(MEMBERS, json!({"name": "nayla"})).await;
    emu.control(Method::DELETE, "guilds/Sietch%20Tabr/bans/nayla", None)
        .await;
    emu.post(MEMBERS, json!({"name": "nayla"})).await;
}
