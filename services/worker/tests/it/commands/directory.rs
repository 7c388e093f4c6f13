//! `/directory`.

use arrakis_domain::TierId;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{CommandHarness, CommandReply, id};

/// Twelve members: user 100 + n with rank n, the first two with the tier Naib; and user 99 without a wallet.
async fn members() -> CommandHarness {
    let holdings: Vec<String> = (1..=12).map(|rank| (1_000 - rank).to_string()).collect();
    let holdings: Vec<&str> = holdings.iter().map(String::as_str).collect();
    let harness = CommandHarness::with_ranking(&holdings).await;
    let ranked = (1..=12_u32).map(|rank| (100 + u64::from(rank), Some(rank)));
    harness.join(harness.community.id(), ranked.chain([(99, None)])).await;
    let naib = TierId::new("naib").unwrap();
    let mut tx = harness.tenant().await;
    for user in [101, 102] {
        let now = OffsetDateTime::now_utc();
        let mut profiles = tx.profiles();
        profiles
            .record_tier(id(user), Some(&naib), Some(&naib), now)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    harness
}

fn named(option: &str, value: &str) -> Value {
    json!([{"name": option, "type": 3, "value": value}])
}

fn names(reply: &CommandReply) -> Vec<u64> {
    let lines = reply.description().lines().filter(|line| line.contains("**member-"));
    lines
        .map(|line| {
            let name = line.split("member-").nth(1).unwrap();
            name.split('*').next().unwrap().parse().unwrap()
        })
        .collect()
}

#[tokio::test]
async fn pages_are_turned_by_buttons() {
    let harness = members().await;
    let first = harness.run("directory", 103, json!([])).await.unwrap();
    assert_eq!(names(&first), (101..=110).collect::<Vec<_>>());
    assert!(
        first
            .description()
            .starts_with("**13 sietch dwellers** in the directory.")
    );
    assert!(
        first.description().contains("➤ **member-103** (you)"),
        "{}",
        first.description()
    );
    assert!(first.field("You").starts_with("You are listed"));
    let second = harness
        .click(&first.button("Next page").unwrap(), 103, 103)
        .await
        .unwrap();
    assert_eq!(names(&second), [111, 112, 99], "those without a rank come last");
    assert!(second.description().ends_with("Page 2 of 2"));
    let far = json!([{"name": "page", "type": 4, "value": 99}]);
    let last = harness.run("directory", 103, far).await.unwrap();
    assert_eq!(names(&last), names(&second));
}

#[tokio::test]
async fn tier_is_named_by_id_or_name() {
    let harness = members().await;
    for typed in ["naib", "Naib", " NAIB "] {
        let reply = harness.run("directory", 103, named("tier", typed)).await.unwrap();
        assert_eq!(names(&reply), [101, 102], "{typed}");
        assert!(reply.description().starts_with("**👑 Naib**: 2 sietch dwellers."));
    }
    let empty = harness
        .run("directory", 103, named("badge", "water-sharer"))
        .await
        .unwrap();
    assert!(
        empty.description().starts_with("No sietch dweller who holds **"),
        "{}",
        empty.description()
    );
    assert_eq!(
        empty.field("What next"),
        "`/directory` without options lists everybody."
    );
}

#[tokio::test]
async fn unknown_tier_and_two_filters_are_refused() {
    let harness = members().await;
    let refusal = harness.run("directory", 103, named("tier", "gold")).await.unwrap_err();
    assert_eq!(refusal.what, "There is no tier \"gold\" here.");
    assert!(
        refusal.next.starts_with("Choose one of: Naib, Fedaykin,"),
        "{}",
        refusal.next
    );
    let both =
        json!([{"name": "tier", "type": 3, "value": "naib"}, {"name": "badge", "type": 3, "value": "contributor"}]);
    let refusal = harness.run("directory", 103, both).await.unwrap_err();
    assert_eq!(refusal.next, "Leave one of the two options out.");
    for outdated in [
        "directory:page:t.gold:1:next",
        "directory:page:all:x:next",
        "directory:burn:all:1",
    ] {
        let refusal = harness.click(outdated, 103, 103).await.unwrap_err();
        assert!(refusal.what.contains("older version"), "{outdated}: {}", refusal.what);
    }
}

#[tokio::test]
async fn user_without_a_profile_sees_the_list_and_no_setting() {
    let harness = members().await;
    let reply = harness.run("directory", 77, named("tier", "naib")).await.unwrap();
    assert_eq!(names(&reply), [101, 102]);
    assert_eq!(reply.message["components"], json!([]));
}
