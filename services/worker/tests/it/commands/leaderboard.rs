//! `/leaderboard`.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{CommandHarness, CommandReply, id};

/// Twenty-three ranked members, user 100 + n with rank n, and user 99 without a wallet.
async fn ranked_members() -> CommandHarness {
    let holdings: Vec<String> = (1..=23).map(|rank| (1_000 - rank).to_string()).collect();
    let holdings: Vec<&str> = holdings.iter().map(String::as_str).collect();
    let harness = CommandHarness::with_ranking(&holdings).await;
    let members = (1..=23_u32).map(|rank| (100 + u64::from(rank), Some(rank)));
    harness.join(harness.community.id(), members.chain([(99, None)])).await;
    harness
}

fn page_line(reply: &CommandReply) -> &str {
    reply.description().lines().last().unwrap()
}

fn names(reply: &CommandReply) -> Vec<u64> {
    let lines = reply.description().lines().filter(|line| line.starts_with('`'));
    lines
        .map(|line| {
            line.split("member-")
                .nth(1)
                .unwrap()
                .split('*')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

#[tokio::test]
async fn button_shows_the_page_of_its_custom_id() {
    let harness = ranked_members().await;
    let first = harness.run("leaderboard", 103, json!([])).await.unwrap();
    assert_eq!(page_line(&first), "Page 1 of 3 · 23 sietch dwellers in the ranking");
    assert_eq!(names(&first), (101..=110).collect::<Vec<_>>());
    assert!(
        first
            .description()
            .contains("`  3.` 👑 ➤ **member-103** (you) · 997 BGT · rank 3"),
        "{}",
        first.description()
    );
    assert_eq!(
        (
            first.button("First page"),
            first.button("Previous page"),
            first.button("Jump to me")
        ),
        (None, None, None)
    );

    let second = harness
        .click(&first.button("Next page").unwrap(), 103, 103)
        .await
        .unwrap();
    assert!(
        !second.private,
        "the message is edited for the member who ran the command"
    );
    assert_eq!(names(&second), (111..=120).collect::<Vec<_>>());
    let last = harness
        .click(&second.button("Last page").unwrap(), 103, 103)
        .await
        .unwrap();
    assert_eq!(names(&last), [121, 122, 123]);
    assert_eq!((last.button("Next page"), last.button("Last page")), (None, None));
    let back = harness
        .click(&last.button("Jump to me").unwrap(), 103, 103)
        .await
        .unwrap();
    assert_eq!(back.description(), first.description());
}

#[tokio::test]
async fn click_by_another_member_is_replied_to_with_a_copy() {
    let harness = ranked_members().await;
    let first = harness.run("leaderboard", 103, json!([])).await.unwrap();
    let copy = harness
        .click(&first.button("Next page").unwrap(), 115, 103)
        .await
        .unwrap();
    assert!(copy.private);
    assert!(copy.description().contains("**member-115** (you)"));
}

#[tokio::test]
async fn page_after_the_last_one_is_the_last_page() {
    let harness = ranked_members().await;
    let beyond = harness
        .run("leaderboard", 103, json!([{"name": "page", "type": 4, "value": 99}]))
        .await
        .unwrap();
    assert_eq!(page_line(&beyond), "Page 3 of 3 · 23 sietch dwellers in the ranking");
    let far = json!([{"name": "page", "type": 4, "value": 9_007_199_254_740_991_i64}]);
    assert_eq!(
        page_line(&harness.run("leaderboard", 103, far).await.unwrap()),
        page_line(&beyond)
    );

    // Members leave after the button was rendered.
    let mut tx = harness.tenant().await;
    for user in 111..=123 {
        tx.profiles()
            .leave(id(user), OffsetDateTime::now_utc() + Duration::SECOND)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let page = harness.click("leaderboard:page:3:next", 103, 103).await.unwrap();
    assert_eq!(page_line(&page), "Page 1 of 1 · 10 sietch dwellers in the ranking");
}

#[tokio::test]
async fn own_position_of_an_unranked_member_is_refused() {
    let harness = ranked_members().await;
    let refusal = harness.click("leaderboard:me", 99, 99).await.unwrap_err();
    assert_eq!(
        refusal.what,
        "You are not in \"Census of the sietch\": no wallet of yours is in the ranking."
    );
    assert_eq!(refusal.next, "`/position` says what is missing.");
    let outdated = harness.click("leaderboard:sideways", 103, 103).await.unwrap_err();
    assert!(outdated.what.contains("older version"));
}

#[tokio::test]
async fn members_of_other_communities_are_not_shown() {
    let harness = CommandHarness::with_ranking(&["300", "200"]).await;
    harness.join(harness.community.id(), [(11, Some(2))]).await;
    let second = harness.second_community().await;
    harness.join(second, [(21, Some(1))]).await;
    let reply = harness.run("leaderboard", 11, json!([])).await.unwrap();
    assert_eq!(names(&reply), [11]);
    assert!(reply.description().starts_with("`  1.`") && reply.description().contains("rank 2"));

    let empty = CommandHarness::with_ranking(&[]).await;
    let reply = empty.run("leaderboard", 11, json!([])).await.unwrap();
    assert!(
        reply
            .description()
            .starts_with("No sietch dweller here has a wallet in the ranking yet.")
    );
    assert_eq!(reply.message["components"], json!([]));
}
