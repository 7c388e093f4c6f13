//! `/badges`.

use arrakis_db::BadgeSource;
use arrakis_domain::BadgeId;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{CommandHarness, id};

fn of(user: u64) -> Value {
    json!([{"name": "member", "type": 6, "value": user.to_string()}])
}

#[tokio::test]
async fn card_is_attached_with_its_text_alternative() {
    let harness = CommandHarness::with_ranking(&["300", "200"]).await;
    harness
        .join(harness.community.id(), [(11, Some(1)), (12, Some(2))])
        .await;
    let own = harness.run("badges", 11, json!([])).await.unwrap();
    let embed = &own.message["embeds"][0];
    assert_eq!(embed["title"], "member-11");
    assert_eq!(embed["image"]["url"], "attachment://badges.png");
    assert_eq!(own.message["attachments"].as_array().unwrap().len(), 1);
    let attachment = &own.message["attachments"][0];
    assert_eq!(attachment["filename"], "badges.png");
    // A hundred days give two badges of tenure; the tier Naib gives three badges of ascent.
    let alternative = attachment["description"].as_str().unwrap();
    assert!(
        alternative.starts_with("Badge card of member-11: Naib, rank 1, 100 days here, 5 of 12 badges."),
        "{alternative}"
    );
    assert!(
        own.description().starts_with("**5 of 12 badges**"),
        "{}",
        own.description()
    );
    assert_eq!(own.field("Within reach").lines().count(), 2);

    let other = harness.run("badges", 11, of(12)).await.unwrap();
    assert_eq!(other.message["embeds"][0]["title"], "member-12");
    let fields = other.message["embeds"][0]["fields"].as_array().unwrap();
    assert_eq!(
        fields.len(),
        1,
        "what another member could earn is not shown: {fields:?}"
    );
}

#[tokio::test]
async fn badge_that_an_admin_gave_is_shown_until_it_is_revoked() {
    let harness = CommandHarness::with_ranking(&[]).await;
    harness.join(harness.community.id(), [(11, None)]).await;
    let contributor = BadgeId::new("contributor").unwrap();
    let shown = async || {
        let reply = harness.run("badges", 11, json!([])).await.unwrap();
        reply.description().contains("Contributor")
    };
    assert!(!shown().await);
    let mut tx = harness.tenant().await;
    let (by, now) = (BadgeSource::Admin(id(12)), OffsetDateTime::now_utc());
    tx.badges()
        .award(id(11), &contributor, by, now, Some("the docs"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(shown().await);
    let mut tx = harness.tenant().await;
    tx.badges()
        .revoke(id(11), &contributor, Some(id(12)), "by mistake")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(!shown().await);
}

#[tokio::test]
async fn badges_of_a_member_who_is_not_in_the_server_are_refused() {
    let harness = CommandHarness::with_ranking(&["300"]).await;
    harness.join(harness.community.id(), [(11, Some(1)), (12, None)]).await;
    let mut tx = harness.tenant().await;
    tx.profiles()
        .leave(id(12), OffsetDateTime::now_utc() + Duration::SECOND)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for user in [12, 77] {
        let refusal = harness.run("badges", 11, of(user)).await.unwrap_err();
        assert_eq!(refusal.what, format!("member-{user} is not a member that I know here."));
    }
    let refusal = harness.run("badges", 77, json!([])).await.unwrap_err();
    assert_eq!(refusal.what, "I do not know you in this server yet.");
}
