//! Interactions that Discord delivers by HTTP: the emulator signs and sends them to the interactions endpoint, which publishes them; the same
//! worker responds by the same calls. `ARRAKIS_TEST_DELIVERY=http` delivers the interactions of all other tests this way, too.

use arrakis_worker::commands::ResponseMode;
use serde_json::{Value, json};

use crate::platform::{Behavior, Platform, TestCommand};

const PRIVATE: ResponseMode = ResponseMode::Deferred { ephemeral: true };

/// An interaction of Chani with these fields; returns its id.
async fn interact(platform: &Platform, fields: Value) -> String {
    let mut request = json!({
        "guild_id": platform.community.guild, "channel_id": platform.community.channel, "user_id": "chani",
    });
    for (key, value) in fields.as_object().unwrap() {
        request[key] = value.clone();
    }
    platform.control.interact(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_and_button_are_deferred_and_replied_to() {
    let (platform, worker) = Platform::with_worker().await;
    let _endpoint = platform.interactions_service().await;
    let id = platform.send_command("chani", "leaderboard", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["callback_type"], 5, "{reply:#}");
    let message = reply["message"]["id"].as_str().unwrap();
    let pressed = platform
        .control
        .press(&platform.community, "chani", message, "leaderboard:me")
        .await;
    let reply = platform.control.answered(&pressed).await;
    assert_eq!(reply["callback_type"], 6, "{reply:#}");
    assert_eq!(worker.metric("arrakis_worker_interactions_expired_total"), Some(0.0));
    let stats = platform.control.stats().await.unwrap();
    assert_eq!(stats.interaction_deliveries.get("202"), Some(&2), "{stats:?}");
    platform.vhost.finish().await;
}

/// Neither can be deferred: the worker's call to the callback endpoint is the first response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autocomplete_and_modal_are_responded_to_without_a_defer() {
    let platform = Platform::start().await;
    let _endpoint = platform.interactions_service().await;
    let _consumer = platform
        .consume(vec![
            Box::new(TestCommand::new("word", Behavior::Replies, PRIVATE)),
            Box::new(TestCommand::new("modal", Behavior::OpensModal, ResponseMode::Modal)),
        ])
        .await;
    let typed = json!({"kind": "autocomplete", "name": "word", "options": {"word": "spi"}, "focused": "word"});
    let id = interact(&platform, typed).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(
        (&reply["callback_type"], &reply["choices"][0]["value"]),
        (&json!(8), &json!("spi!"))
    );

    let id = interact(&platform, json!({"kind": "command", "name": "modal"})).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(
        (&reply["callback_type"], &reply["modal"]["title"]),
        (&json!(9), &json!("A modal"))
    );

    let submitted = json!({"kind": "modal", "custom_id": "modal:a:b", "fields": {"word": "melange"}});
    let id = interact(&platform, submitted).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["message"]["content"], "a,b: melange", "{reply:#}");
    platform.vhost.finish().await;
}

/// Discord delivers an interaction once; whoever has recorded a request may send it again within the window of its timestamp.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interaction_that_is_delivered_again_has_one_reply() {
    let (platform, worker) = Platform::with_worker().await;
    let id = platform.send_command("chani", "position", json!({})).await;
    let dispatch = platform.dispatch_of(&id).await;
    let endpoint = platform.interactions_service().await;
    for _ in 0..3 {
        assert_eq!(endpoint.deliver(&platform.emulator, &dispatch.body).await, 202);
    }
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    assert_eq!(platform.control.count("POST", "/callback", 204).await, 1);
    let mut tx = platform.tenant().await;
    let chani = platform.community.user_id("chani");
    let profile = tx.profiles().by_user(chani).await.unwrap().unwrap();
    assert_eq!(profile.commands, 1, "the use is counted once");
    assert_eq!(worker.metric("arrakis_worker_interactions_expired_total"), Some(0.0));
    platform.vhost.finish().await;
}

/// The gateway and HTTP give an interaction the same id: a switch of the delivery doubles nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interaction_from_the_gateway_and_by_http_has_one_reply() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.send_command("chani", "position", json!({})).await;
    let dispatch = platform.dispatch_of(&id).await;
    let endpoint = platform.interactions_service().await;
    platform.publish(&dispatch).await;
    assert_eq!(endpoint.deliver(&platform.emulator, &dispatch.body).await, 202);
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    assert_eq!(platform.control.count("POST", "/callback", 204).await, 1);
    platform.vhost.finish().await;
}
