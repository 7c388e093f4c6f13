//! `/admin-stats`, with a Discord that does not respond.

use arrakis_db::PostKind;
use serde_json::json;

use super::CommandHarness;

#[tokio::test]
async fn health_is_shown_without_what_discord_would_tell() {
    let harness = CommandHarness::with_ranking(&["300"]).await;
    harness.join(harness.community.id(), [(11, Some(1)), (12, None)]).await;
    let reply = harness.run("admin-stats", 11, json!([])).await.unwrap();
    assert!(
        reply
            .field("Permissions")
            .starts_with("Discord did not respond in time")
    );
    assert!(
        reply
            .field("Members")
            .starts_with("2 sietch dwellers\n1 with a verified wallet")
    );
    assert!(reply.field("Ranking").starts_with("Read <t:"));
    assert_eq!(reply.field("Failed jobs"), "None.");
    // No role of the theme is bound in this community.
    assert!(
        reply
            .description()
            .contains("The role **Naib** of the theme has no role in this server"),
        "{}",
        reply.description()
    );
}

#[tokio::test]
async fn button_switches_a_post_off_and_the_reply_offers_the_opposite() {
    let harness = CommandHarness::with_ranking(&["300"]).await;
    let reply = harness.run("admin-stats", 11, json!([])).await.unwrap();
    assert!(reply.field("Posts").contains("✅ Weekly digest: in `#announcements`"));
    let button = reply.button("Switch off: weekly digest").unwrap();
    let switched = harness.click(&button, 11, 11).await.unwrap();
    assert!(
        switched.description().starts_with("**Weekly digest: off.**"),
        "{}",
        switched.description()
    );
    assert!(switched.field("Posts").contains("⛔ Weekly digest: off"));
    assert!(switched.button("Switch on: weekly digest").is_some());
    let mut tx = harness.tenant().await;
    assert!(!tx.posts().get(PostKind::Digest).await.unwrap().enabled);
    assert!(tx.posts().get(PostKind::Leaderboard).await.unwrap().enabled);
    let entries = tx.audit_entries(10).await.unwrap();
    let switches: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "community.post")
        .map(|entry| (entry.subject.as_str(), entry.detail.clone()))
        .collect();
    assert_eq!(switches, [("digest", json!({"enabled": false}))]);
}

#[tokio::test]
async fn button_of_a_post_that_does_not_exist_changes_nothing() {
    let harness = CommandHarness::with_ranking(&["300"]).await;
    for id in [
        "admin-stats:post:sand:off",
        "admin-stats:post:digest:maybe",
        "admin-stats:x",
    ] {
        let refusal = harness.click(id, 11, 11).await.unwrap_err();
        assert!(refusal.what.contains("older version of me"), "{id}: {refusal:?}");
    }
    let mut tx = harness.tenant().await;
    for post in PostKind::ALL {
        assert!(tx.posts().get(post).await.unwrap().enabled);
    }
}
