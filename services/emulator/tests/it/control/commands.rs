use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

#[tokio::test]
async fn a_command_reaches_the_bot_as_discord_sends_it() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let options = json!({"to": "chani", "amount": 7, "kind": "spice", "channel": "support"});
    emu.interact(json!({"kind": "command", "name": "give", "options": options}))
        .await;
    let d = client.event("INTERACTION_CREATE").await;
    assert_eq!(
        (&d["type"], &d["version"], &d["context"]),
        (&json!(2), &json!(1), &json!(0))
    );
    let chani = "1000000000000000003";
    let value = |name: &str| {
        let options = d["data"]["options"].as_array().unwrap();
        options.iter().find(|option| option["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(
        (value("to"), value("amount"), value("kind")),
        (json!(chani), json!(7), json!("spice"))
    );
    assert_eq!(d["data"]["resolved"]["users"][chani]["username"], "chani");
    assert_eq!(
        d["data"]["resolved"]["members"][chani]["roles"][0],
        "1200000000000000101"
    );
    let channel = value("channel");
    assert_eq!(
        d["data"]["resolved"]["channels"][channel.as_str().unwrap()]["name"],
        "support"
    );
    assert_eq!(
        (&d["guild_id"], &d["channel"]["name"]),
        (&json!("1200000000000000000"), &json!("support"))
    );
    let permissions: u64 = d["member"]["permissions"].as_str().unwrap().parse().unwrap();
    assert_ne!(permissions & 1 << 31, 0, "may use commands");
    assert!(d["app_permissions"].as_str().is_some());
}

#[tokio::test]
async fn subcommands_are_nested() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.interact(json!({"kind": "command", "name": "verify start"})).await;
    let options = client.event("INTERACTION_CREATE").await["data"]["options"].take();
    assert_eq!(options, json!([{"name": "start", "type": 1, "options": []}]));
    emu.interact(json!({"kind": "command", "name": "verify link add", "options": {"url": "abc"}}))
        .await;
    let options = client.event("INTERACTION_CREATE").await["data"]["options"].take();
    let url = json!([{"name": "url", "type": 3, "value": "abc"}]);
    assert_eq!(
        options,
        json!([{"name": "link", "type": 2, "options": [{"name": "add", "type": 1, "options": url}]}])
    );
}

#[tokio::test]
async fn interaction_that_discords_client_refuses_needs_force() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    for (fields, word) in [
        (json!({"name": "dance"}), "no command"),
        (json!({"name": "verify dance"}), "no subcommand"),
        (json!({"name": "give"}), "required"),
        (
            json!({"name": "give", "options": {"to": "chani", "amount": 0}}),
            "does not fit",
        ),
        (
            json!({"name": "give", "options": {"to": "chani", "amount": 101}}),
            "does not fit",
        ),
        (
            json!({"name": "give", "options": {"to": "chani", "amount": "7"}}),
            "does not fit",
        ),
        (
            json!({"name": "give", "options": {"to": "chani", "kind": "water"}}),
            "does not fit",
        ),
        (json!({"name": "give", "options": {"to": "nobody_at_all"}}), "no user"),
        (
            json!({"name": "give", "options": {"to": "chani", "colour": 1}}),
            "no option",
        ),
        (
            json!({"name": "verify link add", "options": {"url": "ab"}}),
            "does not fit",
        ),
        (json!({"name": "stats", "user_id": "rider"}), "no user"),
        (
            json!({"name": "stats", "channel_id": "council-rock", "user_id": "nayla"}),
            "may not",
        ),
        (json!({"name": "admin", "user_id": "nayla"}), "MANAGE_GUILD"),
    ] {
        let mut fields = fields;
        fields["kind"] = "command".into();
        let (_, error) = emu.refused("interactions", Emu::scene(fields.clone())).await;
        assert!(error.contains(word), "{fields}: {error}");
    }
    let forced = json!({"kind": "command", "name": "give", "options": {"to": "chani", "amount": 101}, "force": true});
    emu.interact(forced).await;
    let d = client.event("INTERACTION_CREATE").await;
    assert_eq!(
        d["data"]["options"]
            .as_array()
            .unwrap()
            .iter()
            .find(|o| o["name"] == "amount")
            .unwrap()["value"],
        101
    );
}

#[tokio::test]
async fn autocomplete_returns_the_choices_of_the_bot() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let typing = json!({"kind": "autocomplete", "name": "give", "options": {"place": "si"}, "focused": "place"});
    let interaction = emu.interact(typing).await;
    let d = client.event("INTERACTION_CREATE").await;
    assert_eq!(d["type"], 4);
    assert_eq!(
        d["data"]["options"],
        json!([{"name": "place", "type": 3, "value": "si", "focused": true}])
    );
    emu.respond(
        &interaction,
        json!({"type": 8, "data": {"choices": [{"name": "Sietch", "value": "sietch"}]}}),
    )
    .await;
    let record = emu.record(&interaction.0).await;
    assert_eq!(
        (&record["state"], &record["choices"][0]["value"]),
        (&json!("answered"), &json!("sietch"))
    );
    let wrong = json!({"kind": "autocomplete", "name": "give", "options": {"kind": "s"}, "focused": "kind"});
    let (_, error) = emu.refused("interactions", Emu::scene(wrong)).await;
    assert!(error.contains("no autocomplete"), "{error}");
}

#[tokio::test]
async fn record_has_the_bots_responses() {
    let emu = Emu::with_commands().await;
    let interaction = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    let state = async || emu.get(&format!("interactions/{}", interaction.0)).await;
    assert_eq!(state().await["state"], "pending");
    emu.respond(&interaction, json!({"type": 5})).await;
    let deferred = state().await;
    assert_eq!(
        (&deferred["state"], &deferred["callback_type"]),
        (&json!("deferred"), &json!(5))
    );
    assert!(deferred["acknowledged_after_ms"].as_u64().unwrap() < 3_000);
    let waiting = async { emu.record(&interaction.0).await };
    let application = emu.application().await;
    let original = format!("/webhooks/{application}/{}/messages/@original", interaction.1);
    let answering = emu.rest(http::Method::PATCH, &original, Some(json!({"content": "42"})));
    let (record, (status, _)) = tokio::join!(waiting, answering);
    assert_eq!(status, 200);
    assert_eq!(
        (&record["state"], &record["message"]["content"]),
        (&json!("answered"), &json!("42"))
    );
    let followup = format!("/webhooks/{application}/{}", interaction.1);
    emu.rest(http::Method::POST, &followup, Some(json!({"content": "and more"})))
        .await;
    assert_eq!(state().await["followups"][0]["content"], "and more");
}

#[tokio::test]
async fn unanswered_interaction_expires_by_the_clock() {
    let emu = Emu::with_commands().await;
    let interaction = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    let waiting = async { emu.record(&interaction.0).await };
    let (record, _) = tokio::join!(waiting, emu.post("clock", json!({"advance_ms": 3_000})));
    assert_eq!(record["state"], "expired");
}

#[tokio::test]
async fn user_commands_and_files_are_resolved() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.interact(json!({"kind": "command", "name": "Look at", "target_id": "1000000000000000003"}))
        .await;
    let data = client.event("INTERACTION_CREATE").await["data"].take();
    assert_eq!(
        (&data["type"], &data["target_id"]),
        (&json!(2), &json!("1000000000000000003"))
    );
    assert_eq!(data["resolved"]["users"]["1000000000000000003"]["username"], "chani");
    let proof = json!({"filename": "worm.png", "content_type": "image/png", "data_base64": "aGVsbG8="});
    emu.interact(json!({"kind": "command", "name": "give", "options": {"to": "chani", "proof": proof}}))
        .await;
    let data = client.event("INTERACTION_CREATE").await["data"].take();
    let file = data["resolved"]["attachments"]
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap();
    assert_eq!((&file["filename"], &file["size"]), (&json!("worm.png"), &json!(5)));
}

#[tokio::test]
async fn commands_in_direct_messages_have_a_user_and_no_member() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.post(
        "interactions",
        json!({"kind": "command", "user_id": "chani", "name": "stats"}),
    )
    .await;
    let d = client.event("INTERACTION_CREATE").await;
    assert_eq!(
        (&d["user"]["username"], &d["member"], &d["guild_id"]),
        (&json!("chani"), &Value::Null, &Value::Null)
    );
    assert_eq!((&d["context"], &d["channel"]["type"]), (&json!(1), &json!(1)));
}
