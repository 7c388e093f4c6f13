//! `/position`.

use serde_json::json;

use super::CommandHarness;

#[tokio::test]
async fn ranked_member_sees_both_neighbours() {
    let harness = CommandHarness::with_ranking(&["300", "200.5", "200.5", "6.9"]).await;
    harness
        .join(harness.community.id(), [(11, Some(3)), (12, Some(1)), (13, Some(4))])
        .await;

    let middle = harness.run("position", 11, json!([])).await.unwrap();
    assert!(
        middle.description().starts_with("**Rank 3** · 👑 Naib\n"),
        "{}",
        middle.description()
    );
    assert_eq!(middle.field("Holding"), "200.5 BGT");
    assert_eq!(
        middle.field("Above you"),
        "Rank 2 holds 200.5 BGT as you do and came first; gain any more to overtake it."
    );
    assert_eq!(
        middle.field("Below you"),
        "Rank 4 holds 6.9 BGT. You lead by 193.6 BGT."
    );

    let first = harness.run("position", 12, json!([])).await.unwrap();
    assert!(first.message.to_string().contains("Below you") && !first.message.to_string().contains("Above you"));
    let last = harness.run("position", 13, json!([])).await.unwrap();
    assert!(last.message.to_string().contains("Above you") && !last.message.to_string().contains("Below you"));
}

#[tokio::test]
async fn unranked_member_sees_what_is_missing() {
    let harness = CommandHarness::with_ranking(&["300"]).await;
    harness.join(harness.community.id(), [(11, None), (12, Some(2))]).await;

    let no_wallet = harness.run("position", 11, json!([])).await.unwrap();
    assert!(
        no_wallet
            .description()
            .starts_with("No verified wallet is linked to you here")
    );
    let without_profile = harness.run("position", 99, json!([])).await.unwrap();
    assert_eq!(without_profile.description(), no_wallet.description());

    let empty_wallet = harness.run("position", 12, json!([])).await.unwrap();
    assert!(empty_wallet.description().starts_with("**Not ranked** · no tier yet"));
    assert_eq!(empty_wallet.field("Next: 🏜️ Hajra"), "6.9 BGT more\n▱▱▱▱▱▱▱▱▱▱ 0 %");
}
