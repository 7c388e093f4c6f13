//! `/profile`.

use arrakis_domain::TierId;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{Desk, id, wallet};

fn of(user: u64) -> Value {
    json!([{"name": "member", "type": 6, "value": user.to_string()}])
}

#[tokio::test]
async fn ones_own_and_anothers() {
    let desk = Desk::with_ranking(&["300", "200"]).await;
    desk.join(desk.community.id(), [(11, Some(1)), (12, Some(2))]).await;

    let own = desk.run("profile", 11, json!([])).await.unwrap();
    assert_eq!(own.message["embeds"][0]["title"], "member-11");
    assert!(own.description().starts_with("**👑 Naib**\n"), "{}", own.description());
    assert_eq!(own.field("Wallet"), format!("✅ `{}`", wallet(1).short()));
    assert!(own.field("Member").ends_with("(100 days)"));
    // A hundred days are two badges of tenure and Veteran; the first seat is all three of ascent.
    assert_eq!(own.field("Badges: 5 of 12").lines().count(), 5);
    assert_eq!(own.field("Honours"), "Engaged · Veteran");

    let other = desk.run("profile", 11, of(12)).await.unwrap();
    assert_eq!(other.message["embeds"][0]["title"], "member-12");
    assert_eq!(other.field("Wallet"), "✅ verified");
    let myself = desk.run("profile", 11, of(11)).await.unwrap();
    assert_eq!(
        myself.field("Wallet"),
        own.field("Wallet"),
        "naming oneself is asking for one's own"
    );
}

#[tokio::test]
async fn since_when_is_said_of_the_tier_that_is_held() {
    let desk = Desk::with_ranking(&["300"]).await;
    desk.join(desk.community.id(), [(11, Some(1))]).await;
    let record = async |tier: &str| {
        let tier = TierId::new(tier).unwrap();
        let mut tx = desk.tenant().await;
        tx.profiles()
            .record_tier(id(11), Some(&tier), Some(&tier), OffsetDateTime::now_utc())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        desk.run("profile", 11, json!([])).await.unwrap()
    };
    assert!(
        !record("hajra").await.description().contains("since"),
        "the ranking has moved on from Hajra"
    );
    assert!(record("naib").await.description().starts_with("**👑 Naib** since <t:"));
}

#[tokio::test]
async fn strangers_and_those_who_left_are_not_known() {
    let desk = Desk::with_ranking(&["300"]).await;
    desk.join(desk.community.id(), [(11, Some(1)), (12, None)]).await;
    let mut tx = desk.tenant().await;
    tx.profiles()
        .leave(id(12), OffsetDateTime::now_utc() + Duration::SECOND)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for user in [12, 77] {
        let refusal = desk.run("profile", 11, of(user)).await.unwrap_err();
        assert_eq!(refusal.what, format!("member-{user} is not a member that I know here."));
    }
    let refusal = desk.run("profile", 77, json!([])).await.unwrap_err();
    assert_eq!(refusal.what, "I do not know you in this server yet.");
}
