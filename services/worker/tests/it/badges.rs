//! `/badges` from the queue to the image that Discord serves.

use arrakis_db::BadgeSource;
use arrakis_emulator_client::{Fault, RestCall};
use serde_json::{Value, json};

use crate::platform::{Platform, assert_description, assert_refusal, embed, is_ephemeral};

/// The uploads of images, with their `payload_json`.
async fn uploads(platform: &Platform) -> Vec<Value> {
    let calls = platform.control.rest_calls().await.unwrap();
    let is_upload = |call: &&RestCall| call.method == "PATCH" && call.path.contains("/messages/@original");
    let body = |call: &RestCall| serde_json::from_str(call.request.as_deref().unwrap()).unwrap();
    calls.iter().filter(is_upload).map(body).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drawn_card_is_uploaded_and_served() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.run_command("chani", "badges", json!({})).await;
    let reply = platform.control.answered(&id).await;
    let message = &reply["message"];
    assert!(is_ephemeral(message), "{message:#}");
    assert_description(message, "of 12 badges**");
    let url = embed(message)["image"]["url"].as_str().unwrap();
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/png");
    let image = response.bytes().await.unwrap();
    assert!(image.starts_with(b"\x89PNG\r\n"), "{url}");
    let width = u32::from_be_bytes(image[16..20].try_into().unwrap());
    assert_eq!(width, 1_080);

    let uploads = uploads(&platform).await;
    assert_eq!(uploads.len(), 1);
    let attachment = &uploads[0]["payload_json"]["attachments"][0];
    let alternative = attachment["description"].as_str().unwrap();
    assert!(
        alternative.starts_with("Badge card of chani: Naib, rank 1, "),
        "{alternative}"
    );
    assert_eq!(uploads[0]["files"][0]["size"], image.len());
    platform.until_messages("arrakis.interactions", 0).await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_command_has_a_cooldown() {
    let (platform, _worker) = Platform::with_worker().await;
    let first = platform.run_command("stilgar", "badges", json!({})).await;
    platform.control.answered(&first).await;
    let second = platform.run_command("stilgar", "badges", json!({})).await;
    let reply = platform.control.answered(&second).await;
    assert_refusal(&reply["message"], "You have just used `/badges`");
    assert_eq!(uploads(&platform).await.len(), 2, "the card, and the refusal");
}

/// The edit took effect, and its response was lost: it is sent again, as any edit is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_that_is_repeated_leaves_one_image() {
    let (platform, _worker) = Platform::with_worker().await;
    let fault = Fault::of_kind("rest_lost_answer").count(1).method("PATCH");
    platform.control.fault(&fault).await.unwrap();
    let id = platform.run_command("chani", "badges", json!({})).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    assert_eq!(uploads(&platform).await.len(), 2);
    let message = platform.control.interaction(&id).await["message"].clone();
    assert_eq!(message["embeds"].as_array().unwrap().len(), 1, "{message:#}");
    assert_eq!(
        message["attachments"],
        json!([]),
        "the embed shows the only one: {message:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_sync_stores_the_badges_that_members_earn() {
    let (platform, worker) = Platform::with_worker().await;
    worker
        .until_metric("arrakis_worker_jobs_total{kind=\"tier-sync\",outcome=\"done\"}", 1.0)
        .await;
    let stored = async |name: &str| {
        let mut tx = platform.tenant().await;
        let held = tx.badges().of(platform.community.user_id(name)).await.unwrap();
        assert!(held.iter().all(|held| held.source == BadgeSource::Rule), "{held:?}");
        let mut badges: Vec<_> = held.iter().map(|held| held.badge.to_string()).collect();
        badges.sort();
        badges
    };
    assert_eq!(
        stored("chani").await,
        ["crysknife", "first-crossing", "seat-of-the-seven"],
        "a Naib"
    );
    assert_eq!(stored("stilgar").await, ["first-crossing"], "Usul, above Hajra");
    assert_eq!(stored("liet").await, Vec::<String>::new(), "below Hajra");
}
