//! Undocumented forms that libraries send and Discord accepts, by opcode and field.
//!
//! A payload is accepted when the connection still responds afterwards. Payloads that Discord refuses are in `close_codes`.

use serde_json::{Value, json};

use crate::support::{Client, Emu, INTENTS};

const GUILD: &str = "1200000000000000000";

/// Sends an IDENTIFY with these fields changed. A null field is sent as null; the fields in `without` are not sent.
async fn identified_with(emu: &Emu, query: &str, fields: Value, without: &[&str]) -> (Client, Value) {
    let url = format!("{}/?{query}", emu.emulator.addresses().gateway);
    let mut client = Client::open(&url).await.past_hello().await;
    let mut identify = emu.identify(INTENTS, json!([0, 1]));
    let d = identify["d"].as_object_mut().unwrap();
    d.extend(fields.as_object().unwrap().clone());
    for field in without {
        d.remove(*field);
    }
    client.send(identify).await;
    let ready = client.event("READY").await;
    emu.post("clock", json!({"advance_ms": 5_000})).await;
    (client, ready)
}

/// The presences that libraries send in IDENTIFY and in op 3.
fn presences() -> Vec<Value> {
    vec![
        // As documented.
        json!({"since": null, "activities": [{"name": "spice", "type": 0}], "status": "online", "afk": false}),
        // hikari.
        json!({"since": null, "afk": false, "game": {"name": "spice", "type": 0, "url": null}, "status": "idle"}),
        json!({"since": 91_879_201, "afk": true, "status": "dnd"}),
        json!({"game": null, "status": "online"}),
        // discord.py and nextcord: an activity without a status.
        json!({"status": null, "game": {"name": "spice", "type": 3, "state": "mining"}, "since": 0, "afk": false}),
        json!({"status": "idle", "activities": [], "since": 0.0, "afk": false}),
        // discordgo, and serenity's time.
        json!({"since": 0, "game": {"name": "", "type": 0, "created_at": "0001-01-01T00:00:00Z"}, "status": "", "afk": false}),
        json!({"afk": false, "status": "online", "since": {"secs_since_epoch": 1_796_000_000, "nanos_since_epoch": 5}, "activities": []}),
        // Eris and JDA.
        json!({"afk": false, "since": null, "status": "online", "activities": null}),
        json!({"activities": [{"name": "Custom Status", "type": 4, "state": "x", "emoji": {"name": "🌊"}}], "status": "online"}),
        json!({"status": "invisible"}),
        json!({"status": "offline", "activities": [{"name": "x", "type": 1, "url": "https://twitch.tv/x"}]}),
        json!({"activities": [{}], "status": "online", "afk": null, "since": null, "broadcast": null}),
        json!({}),
    ]
}

#[tokio::test]
async fn every_presence_that_libraries_send_is_accepted() {
    let emu = Emu::lively().await;
    for presence in presences() {
        let (mut client, _) = identified_with(&emu, "v=10", json!({ "presence": presence }), &[]).await;
        client.send(json!({"op": 3, "d": presence})).await;
        client.events_until_now().await;
    }
}

#[tokio::test]
async fn undocumented_forms_of_identify_fields_are_accepted() {
    let emu = Emu::lively().await;
    for (fields, without) in [
        (
            json!({"properties": {"$os": "linux", "$browser": "x", "$device": "x"}}),
            &[][..],
        ),
        (json!({"properties": {"os": "linux"}}), &[]),
        (json!({"properties": {}}), &[]),
        (
            json!({"properties": {"os": "linux", "browser": "x", "device": "", "system_locale": null}}),
            &[],
        ),
        (
            json!({"shard": null, "presence": null, "large_threshold": null, "compress": null}),
            &[],
        ),
        (
            json!({"compress": false, "large_threshold": 250, "guild_subscriptions": true}),
            &["shard"],
        ),
        (
            json!({"large_threshold": "50", "shard": ["0", "1"], "intents": INTENTS.to_string()}),
            &[],
        ),
        (
            json!({"large_threshold": 50.0, "shard": [0.0, 1.0], "v": 10, "synced_guilds": []}),
            &[],
        ),
        (json!({"capabilities": 0, "client_state": {"guild_versions": {}}}), &[]),
    ] {
        let (_, ready) = identified_with(&emu, "v=10", fields.clone(), without).await;
        assert_eq!(ready["shard"], json!([0, 1]), "{fields}");
    }
    let bare = json!({"token": format!("Bot {}", emu.token())});
    identified_with(&emu, "v=10", bare, &[]).await;
}

#[tokio::test]
async fn intents_are_optional_up_to_v7_and_message_content_needs_no_intent_up_to_v9() {
    let emu = Emu::lively().await;
    for version in ["v=6", "v=7", ""] {
        let (mut client, _) = identified_with(&emu, version, json!({}), &["intents"]).await;
        client.event("GUILD_CREATE").await;
        emu.join("duncan").await;
        client.event("GUILD_MEMBER_ADD").await;
        emu.control(http::Method::DELETE, "guilds/Sietch%20Tabr/members/duncan", None)
            .await;
    }
    let said = json!({"user_id": "stilgar", "content": "the spice must flow"});
    for (version, content) in [("v=9", "the spice must flow"), ("v=10", "")] {
        let (mut client, _) = identified_with(&emu, version, json!({}), &[]).await;
        emu.post("guilds/Sietch%20Tabr/channels/support/messages", said.clone())
            .await;
        assert_eq!(client.event("MESSAGE_CREATE").await["content"], content, "{version}");
    }
}

#[tokio::test]
async fn heartbeats_carry_a_number_in_any_form_or_null() {
    let emu = Emu::start().await;
    let mut client = emu.connect().await;
    for d in [json!(null), json!(5), json!(5.0), json!("5")] {
        client.send(json!({"op": 1, "d": d})).await;
        assert_eq!(client.payload().await["op"], 11, "{d}");
    }
    client.send(json!({"op": 1})).await;
    assert_eq!(client.payload().await["op"], 11);
    client
        .send(json!({"op": 1, "d": null, "s": null, "t": null, "extra": {}}))
        .await;
    assert_eq!(client.payload().await["op"], 11);
}

#[tokio::test]
async fn sequence_of_resume_may_be_absent_or_a_string() {
    let emu = Emu::lively().await;
    for seq in [json!(1), json!("1"), json!(1.0), json!(null)] {
        let (client, ready) = emu.identified(INTENTS).await;
        client.close(4900).await;
        let mut again = emu.connect_to_resume().await;
        again
            .send(json!({"op": 6, "d": {"token": emu.token(), "session_id": ready["session_id"], "seq": seq, "extra": 1}}))
            .await;
        again.event("RESUMED").await;
        emu.post("clock", json!({"advance_ms": 5_000})).await;
    }
}

#[tokio::test]
async fn a_voice_state_needs_a_server_only() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(1 | 1 << 7).await;
    let guild: u64 = GUILD.parse().unwrap();
    for (d, mute) in [
        (
            json!({"guild_id": GUILD, "channel_id": null, "self_mute": true, "self_deaf": false}),
            true,
        ),
        (json!({"guild_id": GUILD, "channel_id": null}), false),
        (json!({"guild_id": guild}), false),
        (
            json!({"guild_id": guild, "channel_id": null, "self_mute": null, "self_deaf": null, "self_video": false, "flags": 2}),
            false,
        ),
    ] {
        client.send(json!({"op": 4, "d": d})).await;
        let state = client.event("VOICE_STATE_UPDATE").await;
        assert_eq!(
            (&state["self_mute"], &state["channel_id"]),
            (&json!(mute), &Value::Null),
            "{d}"
        );
    }
}

#[tokio::test]
async fn members_are_requested_in_every_form() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS | 1 << 8).await;
    let guild: u64 = GUILD.parse().unwrap();
    for (d, found) in [
        (json!({"guild_id": GUILD, "query": "sti", "limit": 5}), 1),
        (
            json!({"guild_id": guild, "query": "sti", "limit": "5", "presences": false}),
            1,
        ),
        (
            json!({"guild_id": [GUILD], "query": "sti", "limit": 5.0, "user_ids": null}),
            1,
        ),
        (json!({"guild_id": GUILD, "query": "sti"}), 1),
        // discordgo and serenity.
        (
            json!({"guild_id": [GUILD], "query": "sti", "limit": 5, "presences": false}),
            1,
        ),
        (
            json!({"guild_id": GUILD, "query": "sti", "limit": 5, "presences": false, "nonce": ""}),
            1,
        ),
        (
            json!({"guild_id": GUILD, "user_ids": "1000000000000000001", "limit": 0}),
            1,
        ),
        (json!({"guild_id": GUILD, "user_ids": 1_000_000_000_000_000_001_u64}), 1),
        (
            json!({"guild_id": [guild], "user_ids": ["1000000000000000001"], "query": null, "nonce": null}),
            1,
        ),
        (json!({"guild_id": GUILD, "query": "sti", "limit": 1, "nonce": 5}), 1),
        (
            json!({"guild_id": GUILD, "query": "nobody is called so", "limit": 5}),
            0,
        ),
    ] {
        client.send(json!({"op": 8, "d": d})).await;
        let chunk = client.event("GUILD_MEMBERS_CHUNK").await;
        assert_eq!(chunk["members"].as_array().unwrap().len(), found, "{d}");
        assert!(
            chunk["nonce"].as_str().unwrap_or_default().is_empty() && chunk["presences"].is_null(),
            "{d}"
        );
    }
    // A list of servers, as before intents: each is answered.
    let market = emu.get("guilds/Arrakeen%20Market").await["id"].clone();
    client
        .send(json!({"op": 8, "d": {"guild_id": [GUILD, market], "query": "x", "limit": 1}}))
        .await;
    assert_eq!(client.event("GUILD_MEMBERS_CHUNK").await["guild_id"], GUILD);
    assert_eq!(client.event("GUILD_MEMBERS_CHUNK").await["guild_id"], market);
    let with = json!({"guild_id": GUILD, "query": "sti", "limit": 1, "presences": true, "nonce": "x".repeat(32)});
    client.send(json!({"op": 8, "d": with})).await;
    let chunk = client.event("GUILD_MEMBERS_CHUNK").await;
    assert_eq!((&chunk["presences"], &chunk["nonce"]), (&json!([]), &with["nonce"]));
    // A nonce that is too long is omitted.
    client
        .send(json!({"op": 8, "d": {"guild_id": GUILD, "query": "sti", "limit": 1, "nonce": "x".repeat(33)}}))
        .await;
    assert!(client.event("GUILD_MEMBERS_CHUNK").await["nonce"].is_null());
}

#[tokio::test]
async fn all_members_of_a_server_are_sent_once_in_thirty_seconds() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let market = "Arrakeen%20Market";
    let other = emu.get(&format!("guilds/{market}")).await["id"].clone();
    let all = |guild: &Value| json!({"op": 8, "d": {"guild_id": guild, "query": "", "limit": 0, "nonce": "n"}});
    client.send(all(&json!(GUILD))).await;
    client.event("GUILD_MEMBERS_CHUNK").await;
    // An absent query or limit has the same meaning.
    client
        .send(json!({"op": 8, "d": {"guild_id": GUILD, "nonce": "n"}}))
        .await;
    let limited = client.event("RATE_LIMITED").await;
    assert_eq!(
        (&limited["opcode"], &limited["meta"]),
        (&json!(8), &json!({"guild_id": GUILD, "nonce": "n"}))
    );
    let seconds = limited["retry_after"].as_f64().unwrap();
    assert!(seconds > 0.0 && seconds <= 30.0, "{seconds}");
    // Another server, some of the members, and a later time are allowed.
    client.send(all(&other)).await;
    client.event("GUILD_MEMBERS_CHUNK").await;
    client
        .send(json!({"op": 8, "d": {"guild_id": GUILD, "query": "sti", "limit": 1}}))
        .await;
    client.event("GUILD_MEMBERS_CHUNK").await;
    emu.post("clock", json!({"advance_ms": 30_000})).await;
    client.send(all(&json!(GUILD))).await;
    client.event("GUILD_MEMBERS_CHUNK").await;
}

#[tokio::test]
async fn every_request_for_all_members_needs_the_intent() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(1).await;
    for d in [
        json!({"guild_id": GUILD, "query": "", "limit": 0}),
        json!({"guild_id": GUILD}),
        json!({"guild_id": [GUILD], "query": null}),
    ] {
        client.send(json!({"op": 8, "d": d})).await;
        assert_eq!(client.events_until_now().await, Vec::<String>::new(), "{d}");
    }
}

#[tokio::test]
async fn sounds_and_channel_info_are_answered() {
    let emu = Emu::lively().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let guild: u64 = GUILD.parse().unwrap();
    for ids in [json!([GUILD]), json!([guild]), json!(GUILD)] {
        client.send(json!({"op": 31, "d": {"guild_ids": ids}})).await;
        assert_eq!(client.event("SOUNDBOARD_SOUNDS").await["guild_id"], GUILD);
    }
    client
        .send(json!({"op": 43, "d": {"guild_id": GUILD, "fields": ["status", "voice_start_time"]}}))
        .await;
    assert_eq!(
        client.event("CHANNEL_INFO").await,
        json!({"guild_id": GUILD, "channels": []})
    );
}

#[tokio::test]
async fn payloads_may_be_binary_frames() {
    use tokio_tungstenite::tungstenite::Message;

    let emu = Emu::start().await;
    let mut client = emu.connect().await;
    client
        .send_message(Message::binary(emu.identify(1, json!([0, 1])).to_string()))
        .await;
    client.event("READY").await;
}
