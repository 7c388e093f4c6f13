use http::Method;
use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

const MEMBERS: &str = "guilds/Sietch%20Tabr/members";

#[tokio::test]
async fn user_joins_leaves_and_joins_again() {
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
    // The name belongs to the same user.
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
async fn banned_user_cannot_join_until_the_ban_is_lifted() {
    let emu = Emu::lively().await;
    emu.post("guilds/Sietch%20Tabr/bans/nayla", json!({"reason": "water theft"}))
        .await;
    emu.refused(MEMBERS, json!({"name": "nayla"})).await;
    emu.control(Method::DELETE, "guilds/Sietch%20Tabr/bans/nayla", None)
        .await;
    emu.post(MEMBERS, json!({"name": "nayla"})).await;
}

/// Two servers that each have a stilgar of their own, and a third without one.
async fn namesakes() -> Emu {
    let emu = Emu::start().await;
    for (guild, user) in [("Tabr", "101"), ("Carthag", "102")] {
        let members = json!([{"name": "stilgar", "user_id": user, "nick": "  "}]);
        let channels = json!([{"name": "general"}]);
        let guild = json!({"name": guild, "members": members, "channels": channels});
        emu.post("seed", json!({"kind": "server", "guild": guild})).await;
    }
    emu.post("seed", json!({"kind": "server", "guild": {"name": "Arrakeen"}}))
        .await;
    emu
}

#[tokio::test]
async fn name_selects_the_member_of_the_named_server() {
    let emu = namesakes().await;
    let said = json!({"user_id": "stilgar", "content": "x"});
    for (guild, user) in [("Tabr", "101"), ("Carthag", "102")] {
        let sent = emu
            .post(&format!("guilds/{guild}/channels/general/messages"), said.clone())
            .await;
        assert_eq!(sent["author"]["id"], user);
        let shown = emu.get(&format!("guilds/{guild}/members/stilgar")).await;
        assert_eq!(shown["user"]["id"], user);
        // A nickname of white space is none.
        assert_eq!(shown["nick"], Value::Null);
        let edited = emu
            .control(
                Method::PATCH,
                &format!("guilds/{guild}/members/stilgar"),
                Some(json!({"nick": "The Naib"})),
            )
            .await;
        assert_eq!(
            (&edited["user"]["id"], &edited["nick"]),
            (&json!(user), &json!("The Naib"))
        );
    }
    let (_, banned) = emu
        .try_control(Method::POST, "guilds/Carthag/bans/stilgar", Some(json!({})))
        .await;
    assert_eq!(banned["banned"], "102");
    let lifted = emu.control(Method::DELETE, "guilds/Carthag/bans/stilgar", None).await;
    assert_eq!(lifted["unbanned"], "102");
}

#[tokio::test]
async fn a_name_of_several_users_is_refused_where_no_server_decides() {
    let emu = namesakes().await;
    for path in ["dms", "guilds/Arrakeen/members"] {
        let body = if path == "dms" {
            json!({"user_id": "stilgar", "content": "x"})
        } else {
            json!({"name": "stilgar"})
        };
        let (status, error) = emu.refused(path, body).await;
        assert_eq!(
            (status, error.as_str()),
            (409, "2 users are named \"stilgar\": 101, 102"),
            "{path}"
        );
    }
    let guild = json!({"name": "Giedi", "members": [{"name": "stilgar"}]});
    let (_, error) = emu.refused("seed", json!({"kind": "server", "guild": guild})).await;
    assert!(error.contains("several users"), "{error}");
}

#[tokio::test]
async fn a_nickname_of_white_space_is_none_and_its_ends_are_cut() {
    let emu = Emu::lively().await;
    let chani = "guilds/Sietch%20Tabr/members/chani";
    for (nick, kept) in [
        ("  Sihaya ", json!("Sihaya")),
        ("   ", Value::Null),
        ("\u{3000}", Value::Null),
    ] {
        let edited = emu.control(Method::PATCH, chani, Some(json!({ "nick": nick }))).await;
        assert_eq!(edited["nick"], kept, "{nick:?}");
    }
    let long = format!("   {}   ", "x".repeat(32));
    let edited = emu.control(Method::PATCH, chani, Some(json!({ "nick": long }))).await;
    assert_eq!(edited["nick"], "x".repeat(32));
    let edited = emu
        .control(Method::PATCH, "users/chani", Some(json!({"display": "  "})))
        .await;
    assert_eq!(edited["global_name"], Value::Null);
    let made = emu.post("users", json!({"name": "farok", "display": " Farok "})).await;
    assert_eq!(made["global_name"], "Farok");
}
