//! The directory, the council, and the health of a community.

use arrakis_db::{Actor, BadgeSource, Database, DirectoryFilter, JobOutcome, NewAuditEntry, NewJob, TenantTx, UserId};
use arrakis_domain::{Address, BadgeId, Balance, Rank, TierId};
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::{onboard, one_community, token, user};

const NOW: OffsetDateTime = datetime!(2026-11-16 12:00 UTC);

fn wallet(number: u8) -> Address {
    Address::from_bytes([number; 20])
}

fn tier(id: &str) -> TierId {
    TierId::new(id).unwrap()
}

/// A ranking of three wallets; the wallet of rank n is `wallet(n)`.
async fn put_ranking(database: &Database) {
    let ranking: Vec<(Address, Balance)> = [300, 200, 100]
        .into_iter()
        .zip(1..)
        .map(|(held, number)| (wallet(number), Balance::from_tokens(held)))
        .collect();
    let mut tx = database.global().await.unwrap();
    tx.replace_ranking(&token(), &ranking, 1, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

/// Members 1 to 4: 1 and 2 with the ranks 3 and 1, the others without a wallet. 1 and 3 have the tier Hajra.
async fn join_four(tx: &mut TenantTx) {
    for (id, name, linked) in [
        (1, "liet", Some(3)),
        (2, "chani", Some(1)),
        (3, "zaha", None),
        (4, "alia", None),
    ] {
        let mut profiles = tx.profiles();
        profiles.join(user(id), name, NOW).await.unwrap();
        profiles.link_wallet(user(id), linked.map(wallet)).await.unwrap();
    }
    for id in [1, 3] {
        let hajra = tier("hajra");
        let mut profiles = tx.profiles();
        profiles
            .record_tier(user(id), Some(&hajra), Some(&hajra), NOW)
            .await
            .unwrap();
    }
}

async fn listed(tx: &mut TenantTx, filter: &DirectoryFilter) -> (Vec<u64>, u32) {
    let page = tx.profiles().directory(&token(), filter, 0, 10).await.unwrap();
    let users = page.entries.iter().map(|entry| entry.user.get()).collect();
    (users, page.total)
}

#[tokio::test]
async fn directory_lists_ranked_members_first_and_the_others_by_name() {
    let (_test, database, community) = one_community().await;
    put_ranking(&database).await;
    let other = onboard(&database, 200).await;
    let mut tx = database.tenant(other).await.unwrap();
    tx.profiles().join(user(9), "count", NOW).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    join_four(&mut tx).await;
    assert_eq!(listed(&mut tx, &DirectoryFilter::All).await, (vec![2, 1, 4, 3], 4));
    assert_eq!(
        listed(&mut tx, &DirectoryFilter::Tier(tier("hajra"))).await,
        (vec![1, 3], 2)
    );
    assert_eq!(listed(&mut tx, &DirectoryFilter::Tier(tier("naib"))).await, (vec![], 0));

    let water = BadgeId::new("water-sharer").unwrap();
    let admin = BadgeSource::Admin(user(99));
    for id in [3, 4] {
        tx.badges().award(user(id), &water, admin, NOW, None).await.unwrap();
    }
    tx.badges().revoke(user(4), &water, None, "lost").await.unwrap();
    assert_eq!(listed(&mut tx, &DirectoryFilter::Badge(water)).await, (vec![3], 1));

    let page = tx
        .profiles()
        .directory(&token(), &DirectoryFilter::All, 2, 1)
        .await
        .unwrap();
    assert_eq!((page.entries[0].user, page.entries.len(), page.total), (user(4), 1, 4));
    let behind = tx
        .profiles()
        .directory(&token(), &DirectoryFilter::All, 40, 10)
        .await
        .unwrap();
    assert_eq!((behind.entries.len(), behind.total), (0, 4));
}

#[tokio::test]
async fn hidden_member_and_one_who_left_are_not_listed() {
    let (_test, database, community) = one_community().await;
    put_ranking(&database).await;
    let mut tx = database.tenant(community).await.unwrap();
    join_four(&mut tx).await;
    assert_eq!(tx.profiles().is_hidden(user(1)).await.unwrap(), Some(false));
    assert!(tx.profiles().set_hidden(user(1), true).await.unwrap());
    assert!(
        !tx.profiles().set_hidden(user(77), true).await.unwrap(),
        "there is no profile"
    );
    assert_eq!(tx.profiles().is_hidden(user(1)).await.unwrap(), Some(true));
    assert_eq!(tx.profiles().is_hidden(user(77)).await.unwrap(), None);
    tx.profiles().leave(user(4), NOW + Duration::HOUR).await.unwrap();
    assert_eq!(tx.profiles().is_hidden(user(4)).await.unwrap(), None);
    assert_eq!(listed(&mut tx, &DirectoryFilter::All).await, (vec![2, 3], 2));
    let behind = tx
        .profiles()
        .directory(&token(), &DirectoryFilter::All, 10, 10)
        .await
        .unwrap();
    assert_eq!(behind.total, 2);
    let all: Vec<UserId> = (1..=4).map(user).collect();
    let still = tx.profiles().still_listed(&all).await.unwrap();
    assert_eq!(still, [user(2), user(3)].into());
    tx.profiles().set_hidden(user(1), false).await.unwrap();
    assert_eq!(listed(&mut tx, &DirectoryFilter::All).await, (vec![2, 1, 3], 3));
}

#[tokio::test]
async fn seats_have_the_members_of_the_community_who_hold_them() {
    let (_test, database, community) = one_community().await;
    put_ranking(&database).await;
    let mut tx = database.tenant(community).await.unwrap();
    join_four(&mut tx).await;
    tx.profiles().set_hidden(user(1), true).await.unwrap();
    let seats = tx.profiles().seats(&token(), Rank::new(3).unwrap()).await.unwrap();
    let holders: Vec<_> = seats
        .iter()
        .map(|seat| {
            let holder = seat.holder.as_ref();
            (seat.rank.get(), holder.map(|holder| (holder.user.get(), holder.hidden)))
        })
        .collect();
    assert_eq!(holders, [(1, Some((2, false))), (2, None), (3, Some((1, true)))]);
    assert_eq!(seats[0].held, Balance::from_tokens(300));
    let first = tx.profiles().seats(&token(), Rank::FIRST).await.unwrap();
    assert_eq!(first.len(), 1);
}

#[tokio::test]
async fn former_holders_are_present_members_without_the_tier() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    join_four(&mut tx).await;
    let naib = tier("naib");
    for (id, hours) in [(1, 1), (2, 2), (3, 3), (4, 4)] {
        let at = NOW + Duration::hours(hours);
        tx.profiles()
            .record_tier(user(id), Some(&naib), None, at)
            .await
            .unwrap();
    }
    // 1, 2 and 3 lose it; 2 hides.
    for id in 1..=3 {
        tx.profiles()
            .record_tier(user(id), None, None, NOW + Duration::DAY)
            .await
            .unwrap();
    }
    tx.profiles().set_hidden(user(2), true).await.unwrap();
    let former = tx.profiles().former_holders(&naib, 10).await.unwrap();
    let users: Vec<u64> = former.iter().map(|former| former.user.get()).collect();
    assert_eq!(users, [3, 1], "the latest first");
    assert_eq!(former[0].reached_at, NOW + Duration::hours(3));
    assert_eq!(tx.profiles().former_holders(&naib, 1).await.unwrap().len(), 1);
}

async fn enqueue(tx: &mut TenantTx, id: &str, kind: &str, due_at: OffsetDateTime) {
    let job = NewJob {
        id,
        kind,
        payload: json!({}),
        due_at,
    };
    assert!(tx.jobs().enqueue(&job).await.unwrap());
}

#[tokio::test]
async fn jobs_are_counted_by_state_and_failures_by_kind() {
    let (_test, database, community) = one_community().await;
    let now = OffsetDateTime::now_utc();
    let mut tx = database.tenant(community).await.unwrap();
    for (id, kind) in [
        ("a", "tier-sync"),
        ("b", "tier-sync"),
        ("c", "reconcile"),
        ("d", "reconcile"),
    ] {
        enqueue(&mut tx, id, kind, now - Duration::HOUR).await;
    }
    enqueue(&mut tx, "later", "reconcile", now + Duration::HOUR).await;
    for id in ["a", "b", "c"] {
        tx.jobs().start(id, now).await.unwrap();
    }
    for (id, error) in [("a", "first"), ("b", "second")] {
        tx.jobs().end(id, 1, &JobOutcome::Failed { error }).await.unwrap();
    }
    let open = tx.open_jobs(now).await.unwrap();
    assert_eq!((open.queued, open.running, open.waiting), (2, 1, 0));
    let due = open.due_since.unwrap();
    assert!((now - Duration::HOUR - due).abs() < Duration::SECOND, "{due}");
    let failed = tx.failed_jobs(now - Duration::DAY).await.unwrap();
    assert_eq!(
        (failed.len(), failed[0].kind.as_str(), failed[0].count),
        (1, "tier-sync", 2)
    );
    assert_eq!(tx.failed_jobs(now + Duration::DAY).await.unwrap(), []);
}

#[tokio::test]
async fn audit_entries_that_report_a_problem_are_counted_by_action() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    for (action, subject) in [
        ("role.broken", "naib"),
        ("role.broken", "hajra"),
        ("reconcile.list_not_believed", "r"),
        ("badge.give", "7"),
        ("discord.outcome_unknown", "event"),
    ] {
        let entry = NewAuditEntry {
            actor: Actor::System("test".to_owned()),
            action,
            subject,
            reason: Some("why"),
            detail: json!({}),
        };
        tx.audit(&entry).await.unwrap();
    }
    let problems = tx
        .recorded_problems(OffsetDateTime::now_utc() - Duration::DAY)
        .await
        .unwrap();
    let mut counted: Vec<(&str, u32)> = problems
        .iter()
        .map(|problem| (problem.action.as_str(), problem.count))
        .collect();
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            ("discord.outcome_unknown", 1),
            ("reconcile.list_not_believed", 1),
            ("role.broken", 2)
        ]
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem.last_reason.as_deref() == Some("why"))
    );
}
