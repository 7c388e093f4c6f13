//! `/threshold`.

use serde_json::json;

use super::CommandHarness;

#[tokio::test]
async fn entry_threshold_is_the_balance_of_rank_69() {
    let holdings: Vec<String> = (1..=102).map(|rank| (1_000 - rank).to_string()).collect();
    let holdings: Vec<&str> = holdings.iter().map(String::as_str).collect();
    let harness = CommandHarness::with_ranking(&holdings).await;
    harness
        .join(harness.community.id(), [(11, Some(70)), (12, Some(69)), (13, None)])
        .await;

    let waiting = harness.run("threshold", 11, json!([])).await.unwrap();
    assert!(
        waiting.description().starts_with("Rank 69 holds **931 BGT**."),
        "{}",
        waiting.description()
    );
    assert_eq!(
        waiting.field("Taqwa: ranks 70 to 100"),
        "31 wallets wait, holding from 900 BGT to 930 BGT."
    );
    assert_eq!(
        waiting.field("You"),
        "You hold 930 BGT. Gain more than 1 BGT to get a place."
    );

    let inside = harness.run("threshold", 12, json!([])).await.unwrap();
    assert_eq!(
        inside.field("You"),
        "You hold 931 BGT and are inside, 0 BGT above the line."
    );
    let without_wallet = harness.run("threshold", 13, json!([])).await.unwrap();
    assert!(!without_wallet.message.to_string().contains("\"You\""));
}

#[tokio::test]
async fn places_are_free_with_fewer_wallets() {
    let harness = CommandHarness::with_ranking(&["5", "4"]).await;
    let reply = harness.run("threshold", 11, json!([])).await.unwrap();
    assert!(
        reply
            .description()
            .starts_with("**67 places are free** among the first 69.")
    );
    assert_eq!(reply.field("Taqwa"), "Nobody waits.");
}
