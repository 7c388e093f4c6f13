use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

/// An emulator in which Stilgar received a response with these components. Returns the message's id too.
async fn answered_with(components: Value, flags: u64) -> (Emu, String) {
    let emu = Emu::with_commands().await;
    let interaction = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    let data = json!({"content": "choose", "flags": flags, "components": components});
    emu.respond(&interaction, json!({"type": 4, "data": data})).await;
    let message = emu.record(&interaction.0).await["message"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    (emu, message)
}

fn rows() -> Value {
    json!([
        {"type": 1, "components": [
            {"type": 2, "style": 1, "custom_id": "next", "label": "Next"},
            {"type": 2, "style": 1, "custom_id": "off", "label": "Off", "disabled": true}]},
        {"type": 1, "components": [{"type": 3, "custom_id": "tier", "min_values": 1, "max_values": 2, "options": [
            {"label": "Naib", "value": "naib"}, {"label": "Hajra", "value": "hajra"}]}]},
        {"type": 1, "components": [{"type": 5, "custom_id": "who"}]},
    ])
}

#[tokio::test]
async fn a_button_is_pressed() {
    let (emu, message) = answered_with(rows(), 0).await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let pressed = emu
        .interact(json!({"kind": "component", "message_id": message, "custom_id": "next", "user_id": "chani"}))
        .await;
    let d = client.event("INTERACTION_CREATE").await;
    assert_eq!(
        (&d["type"], &d["data"]["custom_id"], &d["data"]["component_type"]),
        (&json!(3), &json!("next"), &json!(2))
    );
    assert_eq!(
        (&d["message"]["id"], &d["message"]["content"]),
        (&json!(message), &json!("choose"))
    );
    emu.respond(&pressed, json!({"type": 7, "data": {"content": "page 2"}}))
        .await;
    let path = "guilds/Sietch%20Tabr/channels/support/messages?viewer=nayla";
    assert_eq!(emu.get(path).await[0]["content"], "page 2");
    assert_eq!(emu.record(&pressed.0).await["command"], "stats");
}

#[tokio::test]
async fn selects_have_values_and_resolved_objects() {
    let (emu, message) = answered_with(rows(), 0).await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let chosen = json!({"kind": "component", "message_id": message, "custom_id": "tier", "values": ["naib", "hajra"]});
    emu.interact(chosen).await;
    let data = client.event("INTERACTION_CREATE").await["data"].take();
    assert_eq!(
        (&data["component_type"], &data["values"]),
        (&json!(3), &json!(["naib", "hajra"]))
    );
    let chosen =
        json!({"kind": "component", "message_id": message, "custom_id": "who", "values": ["1000000000000000003"]});
    emu.interact(chosen).await;
    let data = client.event("INTERACTION_CREATE").await["data"].take();
    assert_eq!(
        data["resolved"]["members"]["1000000000000000003"]["roles"][0],
        "1200000000000000101"
    );
}

#[tokio::test]
async fn component_that_cannot_be_used_is_refused() {
    let (emu, message) = answered_with(rows(), 64).await;
    for (fields, word) in [
        (json!({"custom_id": "nothing"}), "no component"),
        (json!({"custom_id": "off"}), "disabled"),
        (json!({"custom_id": "tier", "values": []}), "0 values"),
        (json!({"custom_id": "tier", "values": ["usul"]}), "no option"),
        (json!({"custom_id": "who", "values": ["stilgar"]}), "not an id"),
        (json!({"custom_id": "who", "values": ["42"]}), "cannot be selected"),
        // The message is ephemeral: it is not visible to Chani.
        (json!({"custom_id": "next", "user_id": "chani"}), "no message"),
        (json!({}), "custom_id"),
    ] {
        let mut fields = fields;
        fields["kind"] = "component".into();
        fields["message_id"] = message.as_str().into();
        let (_, error) = emu.refused("interactions", Emu::scene(fields.clone())).await;
        assert!(error.contains(word), "{fields}: {error}");
    }
}

#[tokio::test]
async fn a_modal_is_filled_in_and_submitted() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let opener = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    client.event("INTERACTION_CREATE").await;
    let modal = json!({"type": 9, "data": {"custom_id": "share", "title": "Share", "components": [
        {"type": 1, "components": [{"type": 4, "custom_id": "why", "style": 2, "label": "Why", "min_length": 3}]},
        {"type": 1, "components": [{"type": 4, "custom_id": "note", "style": 1, "label": "Note", "required": false}]},
    ]}});
    emu.respond(&opener, modal).await;
    let record = emu.record(&opener.0).await;
    assert_eq!(
        (&record["state"], &record["modal"]["custom_id"]),
        (&json!("answered"), &json!("share"))
    );
    for (fields, word) in [
        (json!({"custom_id": "share", "fields": {"why": "no"}}), "2 characters"),
        (
            json!({"custom_id": "share", "fields": {"why": "because", "who": "me"}}),
            "no field",
        ),
        (json!({"custom_id": "other", "fields": {}}), "no such modal"),
    ] {
        let mut fields = fields;
        fields["kind"] = "modal".into();
        let (_, error) = emu.refused("interactions", Emu::scene(fields)).await;
        assert!(error.contains(word), "{error}");
    }
    emu.interact(json!({"kind": "modal", "custom_id": "share", "fields": [{"custom_id": "why", "value": "because"}]}))
        .await;
    let d = client.event("INTERACTION_CREATE").await;
    assert_eq!((&d["type"], &d["data"]["custom_id"]), (&json!(5), &json!("share")));
    let field = |row: usize| d["data"]["components"][row]["components"][0].clone();
    assert_eq!(
        (&field(0)["custom_id"], &field(0)["value"]),
        (&json!("why"), &json!("because"))
    );
    assert_eq!(field(1)["value"], "");
}
