//! `/profile`.

use arrakis_domain::TierId;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{CommandHarness, id, wallet};

fn of(user: u64) -> Value {
    json!([{"name": "member", "type": 6, "value": user.to_string()}])
}

#[tokio::test]
async fn address_is_shown_in_the_own_profile_only() {
    let harness = CommandHarness::with_ranking(&["300", "200"]).await;
    harness
        .join(harness.community.id(), [(11, Some(1)), (12, Some(2))])
        .await;

    let own = harness.run("profile", 11, json!([])).await.unwrap();
    assert_eq!(own.message["embeds"][0]["title"], "member-11");
    assert!(own.description().starts_with("**👑 Naib**\n"), "{}", own.description());
    assert_eq!(own.field("Wallet"), format!("✅ `{}`", wallet(1).short()));
    assert!(own.field("Member").ends_with("(100 days)"));
    // A hundred days give two badges of tenure and the role Veteran; the tier Naib gives three badges of ascent.
    assert_eq!(own.field("Badges: 5 of 12").lines().count(), 5);
    assert_eq!(own.field("Honours"), "Engaged · Veteran");

    let other = harness.run("profile", 11, of(12)).await.unwrap();
    assert_eq!(other.message["embeds"][0]["title"], "member-12");
    assert_eq!(other.field("Wallet"), "✅ verified");
    let myself = harness.run("profile", 11, of(11)).await.unwrap();
    assert_eq!(
        myself.field("Wallet"),
        own.field("Wallet"),
        "the own profile, although the member option is set"
    );
}

#[tokio::test]
async fn time_of_the_tier_is_shown_for_the_present_tier_only() {
    let harness = CommandHarness::with_ranking(&["300"]).await;
    harness.join(harness.community.id(), [(11, Some(1))]).await;
    let record = async |tier: &str| {
        let tier = TierId::new(tier).unwrap();
        let mut tx = harness.tenant().await;
        tx.profiles()
            .record_tier(id(11), Some(&tier), Some(&tier), OffsetDateTime::now_utc())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        harness.run("profile", 11, json!([])).await.unwrap()
    };
    assert!(
        !record("hajra").await.description().contains("since"),
        "the stored tier differs from the present one"
    );
    assert!(record("naib").await.description().starts_with("**👑 Naib** since <t:"));
}

#[tokio::test]
async fn profile_of_a_member_who_is_not_in_the_server_is_refused() {
    let harness = CommandHarness::with_ranking(&["300"]).await;
    harness.join(harness.community.id(), [(11, Some(1)), (12, None)]).await;
    let mut tx = harness.tenant().await;
    tx.profiles()
        .leave(id(12), OffsetDateTime::now_utc() + Duration::SECOND)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for user in [12, 77] {
        let refusal = harness.run("profile", 11, of(user)).await.unwrap_err();
        assert_eq!(refusal.what, format!("member-{user} is not a member that I know here."));
    }
    let refusal = harness.run("profile", 77, json!([])).await.unwrap_err();
    assert_eq!(refusal.what, "I do not know you in this server yet.");
}
