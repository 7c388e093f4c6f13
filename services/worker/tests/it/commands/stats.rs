//! `/stats`.

use arrakis_domain::TierId;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{CommandHarness, id};

#[tokio::test]
async fn only_members_in_the_server_are_counted() {
    let harness = CommandHarness::with_ranking(&["300", "200"]).await;
    harness
        .join(
            harness.community.id(),
            [(11, Some(1)), (12, Some(2)), (13, None), (14, None)],
        )
        .await;
    let now = OffsetDateTime::now_utc();
    let naib = TierId::new("naib").unwrap();
    let mut tx = harness.tenant().await;
    tx.profiles()
        .record_tier(id(11), Some(&naib), Some(&naib), now)
        .await
        .unwrap();
    tx.profiles().leave(id(14), now + Duration::SECOND).await.unwrap();
    tx.commit().await.unwrap();
    // Members of another community with the same ranking are not counted.
    let second = harness.second_community().await;
    harness.join(second, [(21, Some(1)), (22, None)]).await;

    let reply = harness.run("stats", 11, json!([])).await.unwrap();
    assert_eq!(
        reply.description(),
        "**Sietch 1**\n3 sietch dwellers, 2 of them with a verified wallet (66 %)."
    );
    let tiers = reply.field("Tiers");
    assert!(
        tiers.starts_with("👑 **Naib** 1\n⚔️ **Fedaykin** 0\n") && tiers.ends_with("▫️ no tier 2"),
        "{tiers}"
    );
    assert_eq!(reply.field("Ranked wallets"), "2");
}
