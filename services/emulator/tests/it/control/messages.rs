use serde_json::{Value, json};

use crate::support::Emu;

const SUPPORT: &str = "guilds/Sietch%20Tabr/channels/support/messages";

fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn member_without_permission_to_write_gets_the_reason() {
    let emu = Emu::lively().await;
    let path = "guilds/Sietch%20Tabr/channels/council-rock/messages";
    let (status, error) = emu
        .refused(path, json!({"user_id": "nayla", "content": "let me in"}))
        .await;
    assert_eq!(status, 403);
    assert!(error.contains("VIEW_CHANNEL"), "{error}");
    emu.post(path, json!({"user_id": "stilgar", "content": "we are seven"}))
        .await;
    let (status, _) = emu.refused(SUPPORT, json!({"user_id": "nayla", "content": ""})).await;
    assert_eq!(status, 400);
    let (status, _) = emu
        .refused(SUPPORT, json!({"user_id": "nayla", "content": "x".repeat(2_001)}))
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_ephemeral_answer_is_seen_by_one() {
    let emu = Emu::with_commands().await;
    let interaction = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    emu.respond(
        &interaction,
        json!({"type": 4, "data": {"content": "for your eyes", "flags": 64}}),
    )
    .await;
    let seen = async |viewer: &str| emu.get(&format!("{SUPPORT}?viewer={viewer}")).await;
    assert_eq!(texts(&seen("stilgar").await), ["for your eyes"]);
    assert_eq!(texts(&seen("chani").await), Vec::<&str>::new());
}

#[tokio::test]
async fn replies_mentions_and_reactions() {
    let emu = Emu::lively().await;
    let first = emu
        .post(SUPPORT, json!({"user_id": "stilgar", "content": "who is there?"}))
        .await;
    let reply = json!({"user_id": "chani", "content": "<@1000000000000000003> me", "reply_to": first["id"]});
    let reply = emu.post(SUPPORT, reply).await;
    assert_eq!(
        (&reply["type"], &reply["referenced_message"]["id"]),
        (&json!(19), &first["id"])
    );
    assert_eq!(reply["mentions"][0]["username"], "chani");
    let path = format!("{SUPPORT}/{}/reactions", first["id"].as_str().unwrap());
    assert_eq!(
        emu.post(&path, json!({"user_id": "chani", "emoji": "💧"})).await["changed"],
        true
    );
    assert_eq!(
        emu.post(&path, json!({"user_id": "chani", "emoji": "💧"})).await["changed"],
        false
    );
}

#[tokio::test]
async fn direct_messages_are_visible_to_their_recipients_only() {
    let emu = Emu::lively().await;
    let sent = emu
        .post("dms", json!({"user_id": "chani", "content": "hello bot"}))
        .await;
    let path = format!("dms/{}/messages", sent["channel_id"].as_str().unwrap());
    let (status, _) = emu
        .refused(&path, json!({"user_id": "stilgar", "content": "spying"}))
        .await;
    assert_eq!(status, 403);
    emu.post("dms/chani/messages", json!({"user_id": "chani", "content": "again"}))
        .await;
    assert_eq!(texts(&emu.get(&path).await), ["hello bot", "again"]);
}
