//! `/admin-stats`, with a Discord that does not respond.

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
