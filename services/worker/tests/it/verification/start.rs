//! `/verify start` and `/verify status`.

use serde_json::json;
use time::Duration;

use super::setup::{CHAIN, Setup, address_of, now};
use crate::platform::{Platform, Worker, assert_refusal, embed, is_ephemeral};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_is_shown_to_the_member_alone_and_replaced_by_the_next_one() {
    let setup = Setup::ranked_behind(3, "1600").await;
    let (id, first) = setup.start("harah").await;
    let reply = setup.platform.control.interaction(&id).await;
    assert_eq!(reply["ephemeral"], true);
    assert_eq!(embed(&reply["message"])["title"], "The proof of your water");
    let address = address_of(&setup.key).to_string();
    let message = setup
        .verification
        .message(&first, &address, CHAIN, now())
        .await
        .unwrap();
    assert!(
        message.message.contains(setup.platform.community.user("harah")),
        "{}",
        message.message
    );

    let (_, second) = setup.start("harah").await;
    let refused = setup.sign(&first, &setup.key).await.unwrap_err();
    assert_eq!(refused.shown().code(), "replaced");
    setup.platform.delete_cooldowns();
    let id = setup.platform.run_command("harah", "verify status", json!({})).await;
    let status = setup.platform.control.answered(&id).await;
    let shown = embed(&status["message"]).to_string();
    assert!(shown.contains("Your link waits for a signature"), "{shown}");

    let late = now() + Duration::minutes(15);
    let expired = setup.verification.message(&second, &address, CHAIN, late).await;
    assert_eq!(expired.unwrap_err().shown().code(), "expired");
    assert!(setup.identity("harah").await.is_none());
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_sessions_are_refused_with_the_time_of_the_next_one() {
    let setup = Setup::ranked_behind(3, "1600").await;
    for _ in 0..5 {
        setup.start("harah").await;
    }
    setup.platform.delete_cooldowns();
    let id = setup.platform.run_command("harah", "verify start", json!({})).await;
    let reply = setup.platform.control.answered(&id).await;
    assert_refusal(&reply["message"], "several verifications");
    setup.platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_without_the_address_of_the_page_refuses() {
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.retain(|(name, _)| *name != "VERIFY_BASE_URL");
    let _worker = Worker::start(&environment).await;
    platform.commands_registered().await;
    let id = platform.run_command("harah", "verify start", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert!(is_ephemeral(&reply["message"]));
    assert_refusal(&reply["message"], "not configured");
    platform.vhost.finish().await;
}
