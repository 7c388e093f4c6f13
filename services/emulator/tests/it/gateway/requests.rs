use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

#[tokio::test]
async fn members_come_in_chunks_of_a_thousand() {
    let emu = Emu::start().await;
    let seeded = emu
        .post("seed", json!({"kind": "load", "guilds": 1, "members": 1_500}))
        .await;
    let guild = &seeded["first"]["guild_id"];
    let (mut client, _) = emu.identified(INTENTS).await;
    client
        .send(json!({"op": 8, "d": {"guild_id": guild, "query": "", "limit": 0, "nonce": "n1"}}))
        .await;
    let first = client.event("GUILD_MEMBERS_CHUNK").await;
    let second = client.event("GUILD_MEMBERS_CHUNK").await;
    let shape = |chunk: &Value| {
        let members = chunk["members"].as_array().unwrap().len();
        (
            members,
            chunk["chunk_index"].as_u64().unwrap(),
            chunk["chunk_count"].as_u64().unwrap(),
        )
    };
    assert_eq!((shape(&first), shape(&second)), ((1_000, 0, 2), (501, 1, 2)));
    assert_eq!(first["nonce"], "n1");
}

#[tokio::test]
async fn members_are_found_by_name_and_by_id() {
    let emu = Emu::lively().await;
    let guild = "1200000000000000000";
    let (mut client, _) = emu.identified(1).await;
    client
        .send(json!({"op": 8, "d": {"guild_id": guild, "query": "sti", "limit": 5}}))
        .await;
    let found = client.event("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(found["members"][0]["user"]["username"], "stilgar");
    let ids = json!(["1000000000000000001", "42"]);
    client
        .send(json!({"op": 8, "d": {"guild_id": guild, "user_ids": ids, "limit": 0}}))
        .await;
    let found = client.event("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(found["members"].as_array().unwrap().len(), 1);
    assert_eq!(found["not_found"], json!(["42"]));
    // A request for all members needs the intent: there is no response, and the connection stays open.
    client
        .send(json!({"op": 8, "d": {"guild_id": guild, "query": "", "limit": 0}}))
        .await;
    assert_eq!(client.events_until_now().await, Vec::<String>::new());
}

#[tokio::test]
async fn presence_and_voice_state_are_accepted() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(1 | 1 << 7).await;
    client.send(json!({"op": 3, "d": {"since": null, "activities": [{"name": "the sands", "type": 3}], "status": "dnd", "afk": false}})).await;
    let full = emu.get("guilds/Sietch%20Tabr").await;
    let voice = full["channels"]
        .as_array()
        .unwrap()
        .iter()
        .find(|channel| channel["type"] == 2)
        .unwrap();
    let request = json!({"guild_id": full["id"], "channel_id": voice["id"], "self_mute": true, "self_deaf": false});
    client.send(json!({"op": 4, "d": request})).await;
    let state = client.event("VOICE_STATE_UPDATE").await;
    assert_eq!(
        (&state["channel_id"], &state["self_mute"]),
        (&voice["id"], &json!(true))
    );
}
