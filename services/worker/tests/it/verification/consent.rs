//! Moving a wallet that another member holds.

use arrakis_test_support::eventually;
use arrakis_verification::ProgressState;
use reqwest::Method;
use serde_json::{Value, json};

use super::setup::{Setup, address_of, button, now};
use crate::platform::{assert_description, embed};

/// Harah has signed with the wallet that Chani holds, and requests it; returns the interaction of `/verify start`.
async fn requested(setup: &Setup) -> String {
    setup.hold("chani").await;
    let (id, token) = setup.start("harah").await;
    let progress = setup.sign(&token, &setup.key).await.unwrap();
    assert_eq!((progress.state, progress.job), (ProgressState::Signed, None));
    let requested = setup.verification.request_move(&token, now()).await.unwrap();
    let job = requested.job.unwrap();
    setup.publish(&job).await;
    setup.until_succeeded(&job.id).await;
    // Repeated, the question is not sent again.
    setup.repeat(&job).await;
    let reply = setup.platform.control.interaction(&id).await;
    assert_description(&reply["message"], "was asked to give it up");
    id
}

/// The reply to an interaction once its description contains this text.
async fn until_description(setup: &Setup, id: &str, text: &str) -> Value {
    let contains = |view: &Value| {
        let description = view["message"]["embeds"][0]["description"].as_str();
        description.is_some_and(|description| description.contains(text))
    };
    setup.platform.until(id, contains).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holder_moves_the_wallet_by_the_button_of_a_direct_message() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let id = requested(&setup).await;
    let messages = setup.direct_messages("chani").await;
    assert_eq!(messages.len(), 1, "{messages:#?}");
    assert_description(&messages[0], "requests to move it");
    let press = setup
        .press_in_dm("chani", &messages[0], &button(&messages[0], "Move"))
        .await;
    until_description(&setup, &press, "was moved").await;
    until_description(&setup, &id, "is linked to you").await;
    setup.until_roles("harah", &["fedaykin"]).await;
    setup.until_roles("chani", &[]).await;
    assert!(setup.identity("harah").await.unwrap().holds(address_of(&setup.key)));
    eventually(
        || async { setup.profile_wallet("chani").await.is_none() },
        "the holder's profile to lose the wallet",
    )
    .await;
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holder_without_direct_messages_is_asked_after_the_next_command_and_refuses() {
    let setup = Setup::ranked_behind(9, "1600").await;
    let platform = &setup.platform;
    let chani = platform.community.user("chani");
    let closed = json!({"accepts_dms": false});
    let _: Value = platform
        .control
        .request(Method::PATCH, &format!("/users/{chani}"), Some(&closed))
        .await
        .unwrap();
    let id = requested(&setup).await;
    assert!(setup.direct_messages("chani").await.is_empty());

    let command = platform.run_command("chani", "position", json!({})).await;
    let reminded = platform
        .until(&command, |view| {
            view["followups"].as_array().is_some_and(|all| !all.is_empty())
        })
        .await;
    let question = &reminded["followups"][0];
    assert_description(question, "requests to move it");
    // The status shows it, too, also when Redis has lost the reminder.
    let status = platform.run_command("chani", "verify status", json!({})).await;
    let status = platform.control.answered(&status).await;
    assert!(status["message"]["embeds"].to_string().contains("requests to move it"));
    assert_eq!(status["followups"], json!([]));

    let reply = setup.press("chani", question, &button(question, "Keep it")).await;
    assert_eq!(embed(&reply["message"])["title"], "Kept");
    until_description(&setup, &id, "did not agree").await;
    assert!(setup.identity("chani").await.unwrap().holds(address_of(&setup.key)));
    setup.platform.vhost.finish().await;
}
