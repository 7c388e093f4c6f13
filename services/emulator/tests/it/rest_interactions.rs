//! Responses to interactions: types, times, follow-ups.

use discord_emulator::model::{Id, InteractionKind, InteractionState};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, Reply};

impl Bot {
    async fn answer(&self, (id, token): &(Id, String), body: Value) -> Reply {
        self.open_call(
            Method::POST,
            &format!("/interactions/{id}/{token}/callback"),
            Some(body),
        )
        .await
    }

    async fn hook(&self, method: Method, token: &str, rest: &str, body: Option<Value>) -> Reply {
        self.open_call(method, &format!("/webhooks/{}/{token}{rest}", self.application()), body)
            .await
    }

    fn state_of(&self, id: Id) -> InteractionState {
        self.emulator
            .app()
            .world
            .read(|state| state.interaction(id).unwrap().state)
    }
}

#[tokio::test]
async fn an_answer_in_time_becomes_a_message() {
    let bot = Bot::start().await;
    let command = bot.command();
    let reply = bot
        .answer(
            &command,
            json!({"type": 4, "data": {"content": "42 spice", "embeds": [{"title": "Stats"}]}}),
        )
        .await;
    assert!(reply.ok(204).is_null());
    let original = bot
        .hook(Method::GET, &command.1, "/messages/@original", None)
        .await
        .ok(200);
    assert_eq!(
        (original["content"].as_str(), original["type"].as_u64()),
        (Some("42 spice"), Some(20))
    );
    assert_eq!(original["interaction_metadata"]["user"]["username"], "chani");
    assert_eq!(original["webhook_id"], bot.application().to_string().as_str());
    // Everyone in the channel sees it.
    let listed = bot
        .get(&format!("/channels/{}/messages", bot.channel("general")))
        .await
        .ok(200);
    assert_eq!(listed[0]["id"], original["id"]);
    assert_eq!(bot.state_of(command.0), InteractionState::Answered);
}

#[tokio::test]
async fn a_second_response_is_refused_whatever_its_type() {
    let bot = Bot::start().await;
    let command = bot.command();
    bot.answer(&command, json!({"type": 5})).await.ok(204);
    for again in [json!({"type": 4, "data": {"content": "x"}}), json!({"type": 5})] {
        bot.answer(&command, again).await.refused(400, 40060);
    }
    // A modal must be the first response, so it comes too late as well.
    let modal = json!({"type": 9, "data": {"custom_id": "m", "title": "t", "components": []}});
    bot.answer(&command, modal).await.refused(400, 40060);
}

#[tokio::test]
async fn after_three_seconds_the_interaction_is_unknown() {
    let bot = Bot::start().await;
    let (late, just) = (bot.command(), bot.command());
    bot.advance(2_000);
    bot.answer(&just, json!({"type": 5})).await.ok(204);
    bot.advance(1_000);
    bot.answer(&late, json!({"type": 5})).await.refused(404, 10062);
    bot.hook(Method::POST, &late.1, "", Some(json!({"content": "x"})))
        .await
        .refused(404, 10015);
    bot.answer(&(Id(5), late.1.clone()), json!({"type": 5}))
        .await
        .refused(404, 10062);
}

#[tokio::test]
async fn token_expires_after_fifteen_minutes() {
    let bot = Bot::start().await;
    let command = bot.command();
    bot.answer(&command, json!({"type": 5})).await.ok(204);
    bot.advance(14 * 60 * 1_000 + 50_000);
    bot.hook(
        Method::PATCH,
        &command.1,
        "/messages/@original",
        Some(json!({"content": "just"})),
    )
    .await
    .ok(200);
    bot.advance(10_000);
    let body = Some(json!({"content": "late"}));
    bot.hook(Method::PATCH, &command.1, "/messages/@original", body.clone())
        .await
        .refused(401, 50027);
    bot.hook(Method::POST, &command.1, "", body).await.refused(401, 50027);
    bot.hook(Method::GET, &command.1, "/messages/@original", None)
        .await
        .refused(401, 50027);
    bot.hook(Method::GET, "bm9uc2Vuc2U", "/messages/@original", None)
        .await
        .refused(404, 10015);
}

#[tokio::test]
async fn whether_a_deferred_answer_is_ephemeral_is_fixed_at_the_defer() {
    let bot = Bot::start().await;
    let (hidden, open) = (bot.command(), bot.command());
    bot.answer(&hidden, json!({"type": 5, "data": {"flags": 64}}))
        .await
        .ok(204);
    bot.answer(&open, json!({"type": 5})).await.ok(204);
    let loading = bot
        .hook(Method::GET, &hidden.1, "/messages/@original", None)
        .await
        .ok(200);
    assert_eq!(loading["flags"], 64 | 128);
    // The first follow-up of a deferred interaction is its answer; its own flag does not count.
    let answer = bot
        .hook(Method::POST, &hidden.1, "", Some(json!({"content": "psst"})))
        .await
        .ok(200);
    assert_eq!((&answer["id"], answer["flags"].as_u64()), (&loading["id"], Some(64)));
    let answer = bot
        .hook(Method::POST, &open.1, "", Some(json!({"content": "hear", "flags": 64})))
        .await
        .ok(200);
    assert_eq!(
        (answer["flags"].as_u64(), answer["edited_timestamp"].is_null()),
        (Some(0), true)
    );
    // The second is a message of its own, and may choose.
    let second = bot
        .hook(Method::POST, &open.1, "", Some(json!({"content": "psst", "flags": 64})))
        .await
        .ok(200);
    assert_ne!(second["id"], answer["id"]);
    assert_eq!(second["flags"], 64);
    // Ephemeral messages are visible to one user only.
    let path = format!("/channels/{}/messages", bot.channel("general"));
    assert_eq!(bot.get(&path).await.ok(200).as_array().unwrap().len(), 1);
    bot.get(&format!("{path}/{}", second["id"].as_str().unwrap()))
        .await
        .refused(404, 10008);
}

#[tokio::test]
async fn follow_ups_are_edited_and_deleted_by_token() {
    let bot = Bot::start().await;
    let command = bot.command();
    bot.answer(&command, json!({"type": 4, "data": {"content": "first"}}))
        .await
        .ok(204);
    let made = bot
        .hook(Method::POST, &command.1, "", Some(json!({"content": "second"})))
        .await
        .ok(200);
    let path = format!("/messages/{}", made["id"].as_str().unwrap());
    let edited = bot
        .hook(Method::PATCH, &command.1, &path, Some(json!({"content": "better"})))
        .await
        .ok(200);
    assert_eq!(
        (edited["content"].as_str(), edited["edited_timestamp"].is_null()),
        (Some("better"), false)
    );
    bot.hook(Method::DELETE, &command.1, &path, None).await.ok(204);
    bot.hook(Method::GET, &command.1, &path, None).await.refused(404, 10008);
    bot.hook(Method::DELETE, &command.1, "/messages/@original", None)
        .await
        .ok(204);
    bot.hook(Method::GET, &command.1, "/messages/@original", None)
        .await
        .refused(404, 10008);
    // Another interaction's token reaches none of it.
    let other = bot.command();
    bot.answer(&other, json!({"type": 4, "data": {"content": "mine"}}))
        .await
        .ok(204);
    bot.hook(Method::GET, &other.1, &path, None).await.refused(404, 10008);
}

#[tokio::test]
async fn empty_and_wrong_answers_are_refused_and_do_not_acknowledge() {
    let bot = Bot::start().await;
    let command = bot.command();
    bot.answer(&command, json!({"type": 4, "data": {}}))
        .await
        .refused(400, 50006);
    bot.answer(
        &command,
        json!({"type": 4, "data": {"embeds": [{"title": "x".repeat(257)}]}}),
    )
    .await
    .form_error("/data/embeds/0/title", "BASE_TYPE_MAX_LENGTH");
    bot.answer(&command, json!({"type": 13}))
        .await
        .form_error("/type", "BASE_TYPE_CHOICES");
    bot.answer(&command, json!({"data": {}}))
        .await
        .form_error("/type", "BASE_TYPE_REQUIRED");
    // Updates belong to components, choices to autocomplete.
    for kind in [6, 7, 8] {
        bot.answer(&command, json!({"type": kind, "data": {"choices": []}}))
            .await
            .form_error("/type", "BASE_TYPE_CHOICES");
    }
    assert_eq!(bot.state_of(command.0), InteractionState::Pending);
    bot.answer(&command, json!({"type": 4, "data": {"content": "at last"}}))
        .await
        .ok(204);
}

#[tokio::test]
async fn with_response_gives_back_what_was_made() {
    let bot = Bot::start().await;
    let (id, token) = bot.command();
    let path = format!("/interactions/{id}/{token}/callback?with_response=true");
    let body = json!({"type": 4, "data": {"content": "hi", "flags": 64}});
    let made = bot.open_call(Method::POST, &path, Some(body)).await.ok(200);
    assert_eq!(made["resource"]["message"]["content"], "hi");
    assert_eq!(made["interaction"]["response_message_ephemeral"], true);
    let (id, token) = bot.command();
    let path = format!("/interactions/{id}/{token}/callback?with_response=true");
    let made = bot
        .open_call(Method::POST, &path, Some(json!({"type": 5})))
        .await
        .ok(200);
    assert_eq!(made["interaction"]["response_message_loading"], true);
}

#[tokio::test]
async fn a_button_updates_its_message_or_answers_anew() {
    let bot = Bot::start().await;
    let row = json!([{"type": 1, "components": [{"type": 2, "style": 1, "label": "next", "custom_id": "page:2"}]}]);
    let general = bot.channel("general");
    let board = bot
        .post(
            &format!("/channels/{general}/messages"),
            json!({"content": "page 1", "components": row}),
        )
        .await
        .ok(200);
    let message: Id = board["id"].as_str().unwrap().parse().unwrap();
    let press = || {
        bot.interact(
            InteractionKind::Component,
            json!({"custom_id": "page:2", "component_type": 2}),
            Some(message),
        )
    };
    let pressed = press();
    bot.answer(
        &pressed,
        json!({"type": 7, "data": {"content": "page 2", "components": []}}),
    )
    .await
    .ok(204);
    let original = bot
        .hook(Method::GET, &pressed.1, "/messages/@original", None)
        .await
        .ok(200);
    assert_eq!(
        (&original["id"], original["content"].as_str()),
        (&board["id"], Some("page 2"))
    );
    assert_eq!(original["components"], json!([]));
    // Deferred, the message stays as it is until it is edited; a follow-up is a reply of its own.
    let pressed = press();
    bot.answer(&pressed, json!({"type": 6})).await.ok(204);
    assert_eq!(bot.state_of(pressed.0), InteractionState::Deferred);
    let more = bot
        .hook(Method::POST, &pressed.1, "", Some(json!({"content": "aside"})))
        .await
        .ok(200);
    assert_eq!(more["message_reference"]["message_id"], board["id"]);
    bot.hook(
        Method::PATCH,
        &pressed.1,
        "/messages/@original",
        Some(json!({"content": "page 3"})),
    )
    .await
    .ok(200);
    let now = bot
        .get(&format!("/channels/{general}/messages/{message}"))
        .await
        .ok(200);
    assert_eq!(now["content"], "page 3");
}

#[tokio::test]
async fn autocomplete_takes_choices_only() {
    let bot = Bot::start().await;
    let typing = || {
        let data = json!({"id": "1", "name": "top", "type": 1,
            "options": [{"type": 4, "name": "page", "value": "1", "focused": true}]});
        bot.interact(InteractionKind::Autocomplete, data, None)
    };
    let typed = typing();
    bot.answer(&typed, json!({"type": 4, "data": {"content": "x"}}))
        .await
        .form_error("/type", "BASE_TYPE_CHOICES");
    bot.answer(
        &typed,
        json!({"type": 8, "data": {"choices": [{"name": "one", "value": "eins"}]}}),
    )
    .await
    .form_error("/data/choices/0/value", "NUMBER_TYPE_COERCE");
    let many: Vec<Value> = (0..26)
        .map(|index| json!({"name": format!("n{index}"), "value": index}))
        .collect();
    bot.answer(&typed, json!({"type": 8, "data": {"choices": many}}))
        .await
        .form_error("/data/choices", "BASE_TYPE_MAX_LENGTH");
    bot.answer(
        &typed,
        json!({"type": 8, "data": {"choices": [{"name": "one", "value": 1}]}}),
    )
    .await
    .ok(204);
    let choices = bot
        .emulator
        .app()
        .world
        .read(|state| state.interaction(typed.0).unwrap().choices.clone());
    assert_eq!(choices, Some(json!([{"name": "one", "value": 1}])));
    bot.hook(Method::POST, &typed.1, "", Some(json!({"content": "x"})))
        .await
        .refused(404, 10015);
}

#[tokio::test]
async fn a_modal_is_kept_and_its_submission_opens_no_other() {
    let bot = Bot::start().await;
    let modal = json!({"type": 9, "data": {"custom_id": "wallet", "title": "Wallet", "components": [
        {"type": 1, "components": [{"type": 4, "custom_id": "address", "style": 1, "label": "Address"}]}]}});
    let command = bot.command();
    bot.answer(&command, modal.clone()).await.ok(204);
    let kept = bot
        .emulator
        .app()
        .world
        .read(|state| state.interaction(command.0).unwrap().modal.clone())
        .unwrap();
    assert_eq!(kept["components"][0]["components"][0]["custom_id"], "address");
    let submitted = bot.interact(
        InteractionKind::Modal,
        json!({"custom_id": "wallet", "components": []}),
        None,
    );
    bot.answer(&submitted, modal)
        .await
        .form_error("/type", "BASE_TYPE_CHOICES");
    bot.answer(
        &submitted,
        json!({"type": 4, "data": {"content": "thanks", "flags": 64}}),
    )
    .await
    .ok(204);
}

#[tokio::test]
async fn files_travel_with_the_callback() {
    let bot = Bot::start().await;
    let (id, token) = bot.command();
    let payload = json!({"type": 4, "data": {"content": "chart", "attachments": [{"id": 0, "description": "a chart"}],
        "embeds": [{"title": "t", "image": {"url": "attachment://chart.png"}}]}});
    let path = format!("/interactions/{id}/{token}/callback");
    bot.upload(
        Method::POST,
        &path,
        payload,
        &[("chart.png", b"\x89PNG\r\n\x1a\n"), ("notes.txt", b"spice")],
    )
    .await
    .ok(204);
    let original = bot.hook(Method::GET, &token, "/messages/@original", None).await.ok(200);
    // The one that an embed shows is not listed on its own.
    assert_eq!(original["attachments"].as_array().unwrap().len(), 1);
    assert_eq!(original["attachments"][0]["filename"], "notes.txt");
    assert_eq!(original["embeds"][0]["image"]["description"], "a chart");
    for (url, bytes) in [
        (&original["attachments"][0]["url"], &b"spice"[..]),
        (&original["embeds"][0]["image"]["url"], &b"\x89PNG\r\n\x1a\n"[..]),
    ] {
        let file = bot.client.get(url.as_str().unwrap()).send().await.unwrap();
        assert_eq!(file.bytes().await.unwrap(), bytes, "{url}");
    }
}
