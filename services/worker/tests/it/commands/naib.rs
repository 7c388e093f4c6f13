//! `/naib`.

use arrakis_domain::{RoleId, TierId};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{CommandHarness, id};

/// Members with the ranks 1, 3 and 8, and one who held a seat before.
async fn council() -> CommandHarness {
    let holdings = ["900", "800", "700", "600", "500", "400", "300", "200"];
    let harness = CommandHarness::with_ranking(&holdings).await;
    let members = [(11, Some(1)), (13, Some(3)), (18, Some(8)), (99, None)];
    harness.join(harness.community.id(), members).await;
    let naib = TierId::new("naib").unwrap();
    let at = OffsetDateTime::now_utc() - Duration::days(9);
    let mut tx = harness.tenant().await;
    tx.profiles()
        .record_tier(id(99), Some(&naib), Some(&naib), at)
        .await
        .unwrap();
    tx.profiles().record_tier(id(99), None, None, at).await.unwrap();
    tx.commit().await.unwrap();
    harness
}

#[tokio::test]
async fn seats_and_former_holders_are_listed() {
    let harness = council().await;
    let reply = harness.run("naib", 18, json!([])).await.unwrap();
    let description = reply.description();
    assert!(description.starts_with("**2 of 7 seats** are held by"), "{description}");
    for line in [
        "`1.` **member-11** · 900 BGT",
        "`2.` a wallet of no member here · 800 BGT",
        "`3.` **member-13** · 700 BGT",
    ] {
        assert!(description.contains(line), "{line}: {description}");
    }
    assert!(!description.contains("member-18"), "rank 8 has no seat");
    assert!(
        reply
            .field("Former Naib")
            .starts_with("**member-99** · first reached <t:")
    );
    assert_eq!(reply.field("You"), "You have no seat.");
    assert_eq!(reply.message["components"], json!([]));
}

#[tokio::test]
async fn role_of_the_seat_is_offered_when_it_is_bound() {
    let harness = council().await;
    let unbound = harness.run("naib", 13, json!([])).await.unwrap();
    assert_eq!(
        unbound.field("You"),
        "Seat 3 is yours. The role **Naib** does not exist in this server any more."
    );
    assert_eq!(unbound.message["components"], json!([]));
    let mut tx = harness.tenant().await;
    let naib = "naib".parse().unwrap();
    tx.communities().bind_role(&naib, RoleId(500)).await.unwrap();
    tx.commit().await.unwrap();
    let bound = harness.run("naib", 13, json!([])).await.unwrap();
    assert_eq!(bound.field("You"), "Seat 3 is yours, and the role **Naib** is missing.");
    assert_eq!(bound.button("Take the role Naib").as_deref(), Some("naib:take"));
    let refusal = harness.click("naib:take", 18, 18).await.unwrap_err();
    assert_eq!(
        (refusal.what.as_str(), refusal.next.as_str()),
        ("You have no seat.", "`/position` shows how far it is to a seat.")
    );
    let mut tx = harness.tenant().await;
    tx.profiles().set_protected(id(13), true).await.unwrap();
    tx.commit().await.unwrap();
    let refusal = harness.click("naib:take", 13, 13).await.unwrap_err();
    assert!(refusal.what.contains("set by hand here"), "{}", refusal.what);
}

#[tokio::test]
async fn member_who_hides_is_not_named() {
    let harness = council().await;
    let mut tx = harness.tenant().await;
    for user in [11, 99] {
        tx.profiles().set_hidden(id(user), true).await.unwrap();
    }
    tx.commit().await.unwrap();
    let reply = harness.run("naib", 18, json!([])).await.unwrap();
    assert!(
        reply
            .description()
            .contains("`1.` a sietch dweller who hides · 900 BGT"),
        "{}",
        reply.description()
    );
    assert_eq!(reply.field("Former Naib"), "Nobody yet.");
    let own = harness.run("naib", 11, json!([])).await.unwrap();
    assert!(own.description().contains("`1.` ➤ **member-11** (you)"));
}
