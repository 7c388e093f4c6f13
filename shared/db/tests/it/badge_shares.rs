//! Sharing of badges: one share each, the lineage, and the revocation of a branch.

use arrakis_db::{BadgeSource, Database, ShareOutcome, TenantTx, UserId};
use arrakis_domain::BadgeId;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::fixtures::{one_community, user};

const NOW: OffsetDateTime = datetime!(2026-11-16 12:00 UTC);
const ADMIN: u64 = 99;

fn water() -> BadgeId {
    BadgeId::new("water-sharer").unwrap()
}

/// Members 1 to `members`, of whom the first was given the badge by an admin.
async fn give_first(tx: &mut TenantTx, members: u64) {
    for id in 1..=members {
        tx.profiles()
            .join(user(id), &format!("Fremen {id}"), NOW)
            .await
            .unwrap();
    }
    let admin = BadgeSource::Admin(user(ADMIN));
    assert!(tx.badges().award(user(1), &water(), admin, NOW, None).await.unwrap());
}

async fn share(tx: &mut TenantTx, giver: u64, receiver: u64) -> ShareOutcome {
    let mut badges = tx.badges();
    badges.share(user(giver), user(receiver), &water(), NOW).await.unwrap()
}

/// The lineage as user, giver, depth.
async fn lineage(tx: &mut TenantTx, root: Option<u64>) -> Vec<(u64, Option<u64>, u32)> {
    let entries = tx.badges().lineage(root.map(user), &water()).await.unwrap();
    let entries = entries.iter();
    entries
        .map(|entry| (entry.user.get(), entry.from.map(UserId::get), entry.depth))
        .collect()
}

#[tokio::test]
async fn badge_is_shared_once_by_each_holder() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    give_first(&mut tx, 5).await;
    assert_eq!(share(&mut tx, 2, 3).await, ShareOutcome::NotHeld);
    assert_eq!(share(&mut tx, 1, 2).await, ShareOutcome::Shared);
    assert_eq!(share(&mut tx, 1, 3).await, ShareOutcome::SharedBefore(user(2)));
    assert_eq!(
        share(&mut tx, 2, 1).await,
        ShareOutcome::HeldAlready,
        "the share of 2 is not used up"
    );
    assert_eq!(share(&mut tx, 2, 3).await, ShareOutcome::Shared);
    assert_eq!(tx.badges().shared_with(user(2), &water()).await.unwrap(), Some(user(3)));
    assert_eq!(tx.badges().shared_with(user(3), &water()).await.unwrap(), None);
    let held = tx.badges().of(user(3)).await.unwrap();
    assert_eq!(held[0].source, BadgeSource::Share(user(2)));
}

#[tokio::test]
async fn lineage_is_read_depth_first_from_a_member_or_from_all_roots() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    give_first(&mut tx, 6).await;
    let admin = BadgeSource::Admin(user(ADMIN));
    tx.badges().award(user(5), &water(), admin, NOW, None).await.unwrap();
    for (giver, receiver) in [(1, 2), (5, 6), (2, 3), (3, 4)] {
        assert_eq!(share(&mut tx, giver, receiver).await, ShareOutcome::Shared);
    }
    let first = [(1, None, 0), (2, Some(1), 1), (3, Some(2), 2), (4, Some(3), 3)];
    let second = [(5, None, 0), (6, Some(5), 1)];
    assert_eq!(lineage(&mut tx, Some(1)).await, first);
    assert_eq!(lineage(&mut tx, None).await, [&first[..], &second[..]].concat());
    assert_eq!(lineage(&mut tx, Some(3)).await, [(3, None, 0), (4, Some(3), 1)]);
    assert_eq!(lineage(&mut tx, Some(ADMIN)).await, []);
    let names = tx.badges().lineage(Some(user(5)), &water()).await.unwrap();
    assert_eq!(names[1].name, "Fremen 6");
}

#[tokio::test]
async fn branch_is_revoked_with_all_that_came_from_it() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    give_first(&mut tx, 5).await;
    for receiver in 2..=5 {
        assert_eq!(share(&mut tx, receiver - 1, receiver).await, ShareOutcome::Shared);
    }
    let mut revoked = tx
        .badges()
        .revoke_branch(user(3), &water(), user(ADMIN), "sold")
        .await
        .unwrap();
    revoked.sort_unstable_by_key(|user| user.get());
    assert_eq!(revoked, [user(3), user(4), user(5)]);
    assert_eq!(lineage(&mut tx, None).await, [(1, None, 0), (2, Some(1), 1)]);
    let again = tx
        .badges()
        .revoke_branch(user(3), &water(), user(ADMIN), "sold")
        .await
        .unwrap();
    assert_eq!(again, []);
    assert_eq!(
        share(&mut tx, 2, 5).await,
        ShareOutcome::Shared,
        "the share of 2 is free again"
    );
}

#[tokio::test]
async fn revoked_badge_stays_in_the_lineage_while_one_below_it_is_held() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    give_first(&mut tx, 4).await;
    for receiver in 2..=4 {
        share(&mut tx, receiver - 1, receiver).await;
    }
    for member in [2, 4] {
        assert!(
            tx.badges()
                .revoke(user(member), &water(), Some(user(ADMIN)), "x")
                .await
                .unwrap()
        );
    }
    let entries = tx.badges().lineage(None, &water()).await.unwrap();
    let shown: Vec<_> = entries.iter().map(|entry| (entry.user.get(), entry.revoked)).collect();
    assert_eq!(shown, [(1, false), (2, true), (3, false)], "4 has nobody below");
    // A badge that is given again begins a tree of its own.
    let admin = BadgeSource::Admin(user(ADMIN));
    assert!(tx.badges().award(user(2), &water(), admin, NOW, None).await.unwrap());
    assert_eq!(lineage(&mut tx, Some(2)).await, [(2, None, 0)]);
    let revoked = tx
        .badges()
        .revoke_branch(user(1), &water(), user(ADMIN), "x")
        .await
        .unwrap();
    assert_eq!(revoked.len(), 2, "1 and 3, and not the new one of 2: {revoked:?}");
}

/// Both transactions read that the giver has not shared yet; the row lock orders them.
#[tokio::test]
async fn two_shares_at_once_are_one() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    give_first(&mut tx, 3).await;
    tx.commit().await.unwrap();
    let share_to = async |database: &Database, receiver| {
        let mut tx = database.tenant(community).await.unwrap();
        let outcome = share(&mut tx, 1, receiver).await;
        tx.commit().await.unwrap();
        outcome
    };
    let (first, second) = tokio::join!(share_to(&database, 2), share_to(&database, 3));
    let shared = [first, second]
        .into_iter()
        .filter(|outcome| *outcome == ShareOutcome::Shared);
    assert_eq!(shared.count(), 1, "{first:?}, {second:?}");
}
