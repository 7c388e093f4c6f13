//! `/leaderboard`: pages, buttons, and what happens to them while members come and go.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{Answered, Desk, id};

/// Twenty-three ranked members, user 100 + n with rank n, and user 99 without a wallet.
async fn crowd() -> Desk {
    let holdings: Vec<String> = (1..=23).map(|rank| (1_000 - rank).to_string()).collect();
    let holdings: Vec<&str> = holdings.iter().map(String::as_str).collect();
    let desk = Desk::with_ranking(&holdings).await;
    let members = (1..=23_u32).map(|rank| (100 + u64::from(rank), Some(rank)));
    desk.join(desk.community.id(), members.chain([(99, None)])).await;
    desk
}

fn place(answer: &Answered) -> &str {
    answer.description().lines().last().unwrap()
}

fn names(answer: &Answered) -> Vec<u64> {
    let lines = answer.description().lines().filter(|line| line.starts_with('`'));
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
async fn pages_are_turned_by_what_the_buttons_carry() {
    let desk = crowd().await;
    let first = desk.run("leaderboard", 103, json!([])).await.unwrap();
    assert_eq!(place(&first), "Page 1 of 3 · 23 sietch dwellers in the ranking");
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

    let second = desk.press(&first.button("Next page").unwrap(), 103, 103).await.unwrap();
    assert!(!second.aside, "who asked turns the message itself");
    assert_eq!(names(&second), (111..=120).collect::<Vec<_>>());
    let last = desk
        .press(&second.button("Last page").unwrap(), 103, 103)
        .await
        .unwrap();
    assert_eq!(names(&last), [121, 122, 123]);
    assert_eq!((last.button("Next page"), last.button("Last page")), (None, None));
    let back = desk.press(&last.button("Jump to me").unwrap(), 103, 103).await.unwrap();
    assert_eq!(back.description(), first.description());
}

#[tokio::test]
async fn another_member_turns_a_copy_of_their_own() {
    let desk = crowd().await;
    let first = desk.run("leaderboard", 103, json!([])).await.unwrap();
    let copy = desk.press(&first.button("Next page").unwrap(), 115, 103).await.unwrap();
    assert!(copy.aside);
    assert!(copy.description().contains("**member-115** (you)"));
}

#[tokio::test]
async fn a_page_beyond_the_end_is_the_last() {
    let desk = crowd().await;
    let beyond = desk
        .run("leaderboard", 103, json!([{"name": "page", "type": 4, "value": 99}]))
        .await
        .unwrap();
    assert_eq!(place(&beyond), "Page 3 of 3 · 23 sietch dwellers in the ranking");
    let far = json!([{"name": "page", "type": 4, "value": 9_007_199_254_740_991_i64}]);
    assert_eq!(place(&desk.run("leaderboard", 103, far).await.unwrap()), place(&beyond));

    // Members leave while the button waits.
    let mut tx = desk.tenant().await;
    for user in 111..=123 {
        tx.profiles()
            .leave(id(user), OffsetDateTime::now_utc() + Duration::SECOND)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let turned = desk.press("leaderboard:page:3:next", 103, 103).await.unwrap();
    assert_eq!(place(&turned), "Page 1 of 1 · 10 sietch dwellers in the ranking");
}

#[tokio::test]
async fn who_is_not_ranked_is_told_so() {
    let desk = crowd().await;
    let refusal = desk.press("leaderboard:me", 99, 99).await.unwrap_err();
    assert_eq!(
        refusal.what,
        "You are not in \"Census of the sietch\": no wallet of yours is in the ranking."
    );
    assert_eq!(refusal.next, "`/position` says what is missing.");
    let outdated = desk.press("leaderboard:sideways", 103, 103).await.unwrap_err();
    assert!(outdated.what.contains("older version"));
}

#[tokio::test]
async fn other_communities_are_not_in_it() {
    let desk = Desk::with_ranking(&["300", "200"]).await;
    desk.join(desk.community.id(), [(11, Some(2))]).await;
    let neighbour = desk.neighbour().await;
    desk.join(neighbour, [(21, Some(1))]).await;
    let answer = desk.run("leaderboard", 11, json!([])).await.unwrap();
    assert_eq!(names(&answer), [11]);
    assert!(answer.description().starts_with("`  1.`") && answer.description().contains("rank 2"));

    let empty = Desk::with_ranking(&[]).await;
    let answer = empty.run("leaderboard", 11, json!([])).await.unwrap();
    assert!(
        answer
            .description()
            .starts_with("No sietch dweller here has a wallet in the ranking yet.")
    );
    assert_eq!(answer.message["components"], json!([]));
}
