//! State of posts, joins and departures, and what a digest reads.

use arrakis_db::{BadgeSource, NewArrival, NewNotification, NotificationKind, Post, PostKind, TenantTx};
use arrakis_domain::BadgeId;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::fixtures::{one_community, token, user};

async fn join(tx: &mut TenantTx, members: u64) {
    let now = OffsetDateTime::now_utc();
    for id in 1..=members {
        tx.profiles()
            .join(user(id), &format!("Fremen {id}"), now)
            .await
            .unwrap();
    }
}

async fn arrive(tx: &mut TenantTx, event: &str, member: u64, joined: bool) {
    let arrival = NewArrival {
        event,
        user: user(member),
        display_name: "Chani",
        joined,
    };
    tx.posts().add_arrival(&arrival).await.unwrap();
}

#[tokio::test]
async fn message_of_a_post_is_removed_by_the_end_of_its_attempt_only() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let kind = PostKind::Leaderboard;
    assert_eq!(tx.posts().get(kind).await.unwrap(), Post::default());
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(tx.posts().begin_attempt(kind, one).await.unwrap(), one);
    assert_eq!(
        tx.posts().begin_attempt(kind, other).await.unwrap(),
        one,
        "two workers create one message"
    );
    let post = Post {
        channel: Some(5),
        message: Some(6),
        content_hash: Some(7),
        ..Post::default()
    };
    tx.posts().put(kind, &post).await.unwrap();
    tx.posts()
        .put(
            kind,
            &Post {
                message: None,
                ..post.clone()
            },
        )
        .await
        .unwrap();
    let stored = tx.posts().get(kind).await.unwrap();
    assert_eq!((stored.message, stored.attempt), (Some(6), Some(one)));
    tx.posts().end_attempt(kind, Some(other)).await.unwrap();
    assert_eq!(tx.posts().get(kind).await.unwrap().message, Some(6), "another attempt");
    tx.posts().end_attempt(kind, Some(one)).await.unwrap();
    let ended = tx.posts().get(kind).await.unwrap();
    assert_eq!((ended.message, ended.attempt, ended.channel), (None, None, Some(5)));
}

#[tokio::test]
async fn leaderboard_is_due_after_a_new_ranking_and_after_an_hour() {
    let (_test, database, community) = one_community().await;
    let now = OffsetDateTime::now_utc();
    let mut tx = database.tenant(community).await.unwrap();
    let kind = PostKind::Leaderboard;
    assert!(
        tx.posts().is_leaderboard_due(&token(), now).await.unwrap(),
        "never written"
    );
    let post = Post {
        checked_at: Some(now),
        ..Post::default()
    };
    tx.posts().put(kind, &post).await.unwrap();
    assert!(!tx.posts().is_leaderboard_due(&token(), now).await.unwrap());
    assert!(
        tx.posts()
            .is_leaderboard_due(&token(), now + Duration::hours(1))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    let mut tx = database.global().await.unwrap();
    tx.replace_ranking(&token(), &[], 1, now + Duration::SECOND)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    assert!(
        tx.posts()
            .is_leaderboard_due(&token(), now + Duration::minutes(1))
            .await
            .unwrap()
    );
    tx.posts().set_enabled(kind, false).await.unwrap();
    assert!(
        !tx.posts()
            .is_leaderboard_due(&token(), now + Duration::hours(1))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn arrivals_are_in_one_message_each() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 3).await;
    assert_eq!(tx.posts().compose_arrivals(Uuid::now_v7()).await.unwrap(), None);
    arrive(&mut tx, "a", 1, true).await;
    arrive(&mut tx, "a", 1, true).await;
    arrive(&mut tx, "b", 2, false).await;
    assert_eq!(tx.posts().unposted_arrivals().await.unwrap(), 2);
    let id = Uuid::now_v7();
    assert_eq!(tx.posts().compose_arrivals(id).await.unwrap(), Some(id));
    arrive(&mut tx, "c", 3, true).await;
    let next = Uuid::now_v7();
    assert_eq!(
        tx.posts().compose_arrivals(next).await.unwrap(),
        Some(id),
        "it is not posted yet"
    );
    let found = tx.posts().arrivals_of(id).await.unwrap();
    assert_eq!(
        found.iter().map(|found| found.joined).collect::<Vec<_>>(),
        [true, false]
    );
    tx.profiles().set_hidden(user(2), true).await.unwrap();
    let found = tx.posts().arrivals_of(id).await.unwrap();
    assert_eq!(
        found.iter().map(|found| found.hidden).collect::<Vec<_>>(),
        [false, true]
    );
    tx.posts().finish_arrivals(id).await.unwrap();
    assert_eq!(tx.posts().compose_arrivals(next).await.unwrap(), Some(next));
    assert_eq!(tx.posts().unposted_arrivals().await.unwrap(), 1);
    tx.posts().set_enabled(PostKind::Arrivals, false).await.unwrap();
    assert_eq!(tx.posts().unposted_arrivals().await.unwrap(), 0);
    arrive(&mut tx, "d", 3, false).await;
    assert_eq!(tx.posts().unposted_arrivals().await.unwrap(), 0, "switched off");
    let later = OffsetDateTime::now_utc() + Duration::hours(1);
    assert_eq!(tx.posts().prune_arrivals(later).await.unwrap(), 3);
}

#[tokio::test]
async fn digest_reads_moves_from_the_first_to_the_last_change() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join(&mut tx, 3).await;
    let place = |rank: u32| json!({"rank": rank, "held": "1"});
    let rank = |id: &str, member, payload| NewNotification {
        id: id.to_owned(),
        kind: NotificationKind::Rank,
        user: Some(user(member)),
        payload,
    };
    let events = [
        rank("1", 1, json!({"before": place(9), "after": place(7)})),
        rank("2", 1, json!({"before": place(7), "after": place(3)})),
        rank("3", 2, json!({"before": null, "after": place(5)})),
        rank("4", 3, json!({"before": place(4), "after": place(4)})),
        NewNotification {
            id: "5".to_owned(),
            kind: NotificationKind::Threshold,
            user: None,
            payload: json!({"before": {"places_free": 1}, "after": {"held": "5"}}),
        },
    ];
    assert_eq!(tx.notifications().add(&events).await.unwrap(), 5);
    let now = OffsetDateTime::now_utc();
    let badge = BadgeId::new("contributor").unwrap();
    for member in [1, 2] {
        let source = BadgeSource::Admin(user(3));
        assert!(
            tx.badges()
                .award(user(member), &badge, source, now, None)
                .await
                .unwrap()
        );
    }
    let (from, to) = (now - Duration::hours(1), now + Duration::hours(1));
    let moves = tx.posts().rank_moves(from, to).await.unwrap();
    let shown: Vec<_> = moves
        .iter()
        .map(|found| (found.display_name.as_str(), found.before, found.after))
        .collect();
    assert_eq!(shown, [("Fremen 1", Some(9), Some(3)), ("Fremen 2", None, Some(5))]);
    let badges = tx.posts().awarded_badges(from, to).await.unwrap();
    assert_eq!((badges.len(), badges[0].count, badges[0].names.len()), (1, 2, 2));
    for (member, names) in [(1, 1), (2, 0)] {
        tx.profiles().set_hidden(user(member), true).await.unwrap();
        let badges = tx.posts().awarded_badges(from, to).await.unwrap();
        assert_eq!((badges[0].count, badges[0].names.len()), (2, names));
        assert_eq!(tx.posts().rank_moves(from, to).await.unwrap().len(), names);
    }
    assert_eq!(tx.posts().threshold_changes(from, to).await.unwrap().len(), 1);
    assert!(tx.posts().rank_moves(from, from).await.unwrap().is_empty());
}

#[tokio::test]
async fn post_waits_while_a_job_of_it_does() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    assert!(!tx.posts().is_job_pending(PostKind::Digest).await.unwrap());
    let job = arrakis_db::NewJob {
        id: "notify:digest:1",
        kind: "notify",
        payload: json!({"post": "digest"}),
        due_at: OffsetDateTime::now_utc(),
    };
    tx.jobs().enqueue(&job).await.unwrap();
    assert!(tx.posts().is_job_pending(PostKind::Digest).await.unwrap());
    assert!(!tx.posts().is_job_pending(PostKind::Arrivals).await.unwrap());
}
