//! `/stats`.

use arrakis_domain::TierId;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{Desk, id};

#[tokio::test]
async fn counts_those_who_are_here() {
    let desk = Desk::with_ranking(&["300", "200"]).await;
    desk.join(
        desk.community.id(),
        [(11, Some(1)), (12, Some(2)), (13, None), (14, None)],
    )
    .await;
    let now = OffsetDateTime::now_utc();
    let naib = TierId::new("naib").unwrap();
    let mut tx = desk.tenant().await;
    tx.profiles()
        .record_tier(id(11), Some(&naib), Some(&naib), now)
        .await
        .unwrap();
    tx.profiles().leave(id(14), now + Duration::SECOND).await.unwrap();
    tx.commit().await.unwrap();
    // Members of another community on the same ranking are none of this one's business.
    let neighbour = desk.neighbour().await;
    desk.join(neighbour, [(21, Some(1)), (22, None)]).await;

    let answer = desk.run("stats", 11, json!([])).await.unwrap();
    assert_eq!(
        answer.description(),
        "**Sietch 1**\n3 sietch dwellers, 2 of them with a verified wallet (66 %)."
    );
    let tiers = answer.field("Tiers");
    assert!(
        tiers.starts_with("👑 **Naib** 1\n⚔️ **Fedaykin** 0\n") && tiers.ends_with("▫️ no tier 2"),
        "{tiers}"
    );
    assert_eq!(answer.field("Ranked wallets"), "2");
}
