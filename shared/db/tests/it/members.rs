//! Members come, go, come back, are told of twice and late; what they did and reached; their badges.

use std::collections::BTreeSet;

use arrakis_db::{
    Activity, BadgeSource, CommunityId, DbError, Join, Measurable, SHARED_ALREADY, TenantTx, Told, WALLET_IS_ANOTHERS,
};
use arrakis_domain::{Address, BadgeId, TierId};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::{connect, one_community, run, set_tenant, token, user};

const MONDAY: OffsetDateTime = datetime!(2026-11-16 12:00 UTC);
const TUESDAY: OffsetDateTime = datetime!(2026-11-17 12:00 UTC);
const WEDNESDAY: OffsetDateTime = datetime!(2026-11-18 12:00 UTC);

fn tier(name: &str) -> TierId {
    TierId::new(name).unwrap()
}

fn badge(name: &str) -> BadgeId {
    BadgeId::new(name).unwrap()
}

async fn joined(tx: &mut TenantTx, id: u64, name: &str) {
    assert_eq!(tx.profiles().join(user(id), name, MONDAY).await.unwrap(), Join::New);
}

#[tokio::test]
async fn joining_and_leaving_may_be_told_twice_and_in_any_order() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut profiles = tx.profiles();
    assert_eq!(profiles.join(user(1), "Chani", MONDAY).await.unwrap(), Join::New);
    assert_eq!(profiles.join(user(1), "Chani", MONDAY).await.unwrap(), Join::Known);
    assert!(profiles.leave(user(1), TUESDAY).await.unwrap());
    assert!(!profiles.leave(user(1), TUESDAY).await.unwrap());
    // The join of Monday again, after the leave that followed it.
    assert_eq!(profiles.join(user(1), "Chani", MONDAY).await.unwrap(), Join::Stale);
    assert_eq!(profiles.by_user(user(1)).await.unwrap().unwrap().left_at, Some(TUESDAY));
    // Back on Wednesday; Tuesday's leave comes again.
    assert_eq!(profiles.join(user(1), "Sihaya", WEDNESDAY).await.unwrap(), Join::Known);
    assert!(!profiles.leave(user(1), TUESDAY).await.unwrap());
    let back = profiles.by_user(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (back.display_name.as_str(), back.joined_at, back.left_at),
        ("Sihaya", WEDNESDAY, None)
    );
    assert!(!profiles.leave(user(2), TUESDAY).await.unwrap(), "nobody knows them");
    assert_eq!(profiles.by_user(user(2)).await.unwrap(), None);
}

#[tokio::test]
async fn within_a_session_the_order_of_events_decides_and_not_times() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut profiles = tx.profiles();
    let told = |seq| Told { session: "s", seq };
    let by = |seq| Some(told(seq));
    // All received late, after a resume, and handled from the end: came on Monday, left, came back the same day, left.
    assert!(!profiles.leave_told(user(1), "Chani", TUESDAY, told(4)).await.unwrap());
    let gone = profiles.presence(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (gone.precedes(told(3)), gone.precedes(told(5))),
        (Some(false), Some(true))
    );
    let other = Told { session: "t", seq: 5 };
    assert_eq!(gone.precedes(other), None);
    assert_eq!(
        profiles.join_told(user(1), "Chani", MONDAY, by(3)).await.unwrap(),
        Join::Stale
    );
    assert!(!profiles.leave_told(user(1), "Chani", TUESDAY, told(2)).await.unwrap());
    assert_eq!(profiles.presence(user(1)).await.unwrap().unwrap(), gone);
    // Back again, by an event whose time is before that at which the leave was received.
    assert_eq!(
        profiles.join_told(user(1), "Chani", MONDAY, by(5)).await.unwrap(),
        Join::Known
    );
    assert!(!profiles.leave_told(user(1), "Chani", WEDNESDAY, told(4)).await.unwrap());
    assert_eq!(profiles.by_user(user(1)).await.unwrap().unwrap().left_at, None);
    assert!(profiles.leave_told(user(1), "Chani", TUESDAY, told(6)).await.unwrap());
    // Between sessions there are only times.
    let back = profiles.join_told(user(1), "Chani", MONDAY, Some(other)).await.unwrap();
    assert_eq!(back, Join::Stale);
    let back = profiles
        .join_told(user(1), "Chani", WEDNESDAY, Some(other))
        .await
        .unwrap();
    assert_eq!(back, Join::Known);
}

#[tokio::test]
async fn a_wallet_is_one_member_s_in_a_community_and_stays_with_who_leaves() {
    let (_test, database, community) = one_community().await;
    let wallet: Address = "0x00000000000000000000000000000000000000aa".parse().unwrap();
    let mut tx = database.tenant(community).await.unwrap();
    joined(&mut tx, 1, "Chani").await;
    joined(&mut tx, 2, "Stilgar").await;
    assert!(tx.profiles().link_wallet(user(1), Some(wallet)).await.unwrap());
    assert!(tx.profiles().leave(user(1), TUESDAY).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = database.tenant(community).await.unwrap();
    let taken = tx.profiles().link_wallet(user(2), Some(wallet)).await.unwrap_err();
    assert!(taken.violates(WALLET_IS_ANOTHERS) && !taken.is_passing(), "{taken}");
    drop(tx);
    let mut tx = database.tenant(community).await.unwrap();
    assert_eq!(tx.profiles().by_wallet(wallet).await.unwrap().unwrap().user, user(1));
    assert!(tx.profiles().link_wallet(user(1), None).await.unwrap());
    assert!(tx.profiles().link_wallet(user(2), Some(wallet)).await.unwrap());
}

#[tokio::test]
async fn tiers_are_remembered_from_the_first_time_on() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    joined(&mut tx, 1, "Chani").await;
    let mut profiles = tx.profiles();
    let (hajra, naib) = (tier("hajra"), tier("naib"));
    assert!(
        profiles
            .record_tier(user(1), Some(&hajra), Some(&hajra), MONDAY)
            .await
            .unwrap()
    );
    assert!(
        !profiles
            .record_tier(user(1), Some(&hajra), Some(&hajra), TUESDAY)
            .await
            .unwrap()
    );
    assert!(
        profiles
            .record_tier(user(1), Some(&naib), Some(&naib), TUESDAY)
            .await
            .unwrap()
    );
    assert!(
        profiles
            .record_tier(user(1), Some(&hajra), Some(&naib), WEDNESDAY)
            .await
            .unwrap()
    );
    let now = profiles.by_user(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (now.tier, now.tier_since, now.highest_tier),
        (Some(hajra.clone()), Some(WEDNESDAY), Some(naib.clone()))
    );
    assert_eq!(
        profiles.tiers_reached(user(1)).await.unwrap(),
        [(hajra, MONDAY), (naib.clone(), TUESDAY)]
    );
    assert!(profiles.record_tier(user(1), None, None, WEDNESDAY).await.unwrap());
    let none = profiles.by_user(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (none.tier, none.tier_since, none.highest_tier),
        (None, None, Some(naib))
    );
    assert!(
        !profiles
            .record_tier(user(9), Some(&tier("hajra")), None, MONDAY)
            .await
            .unwrap(),
        "nobody knows them"
    );
}

#[tokio::test]
async fn the_facts_that_badges_rest_on() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let now = datetime!(2026-11-21 09:00 UTC);
    for (id, days) in [(5, 100), (6, 40), (7, 40)] {
        tx.profiles()
            .join(user(id), "Fremen", now - Duration::days(days))
            .await
            .unwrap();
    }
    // Thirty days back from today, today among them: the 22nd of October is outside.
    for at in [
        datetime!(2026-10-22 23:59 UTC),
        datetime!(2026-10-23 00:00 UTC),
        now,
        now,
    ] {
        tx.profiles().count(user(7), Activity::Command, at).await.unwrap();
    }
    tx.profiles()
        .count(user(7), Activity::Message, now - Duration::days(1))
        .await
        .unwrap();
    tx.profiles().count(user(99), Activity::Message, now).await.unwrap();
    let naib = tier("naib");
    tx.profiles()
        .record_tier(user(7), Some(&naib), Some(&naib), now)
        .await
        .unwrap();
    tx.profiles().waitlist(user(7), Some(now)).await.unwrap();
    tx.badges()
        .award(
            user(7),
            &badge("contributor"),
            BadgeSource::Admin(user(5)),
            now,
            Some("maps"),
        )
        .await
        .unwrap();
    tx.badges()
        .award(user(7), &badge("month"), BadgeSource::Rule, now, None)
        .await
        .unwrap();

    let measurable =
        async |tx: &mut TenantTx, id| tx.profiles().measurable(&token(), user(id), now, 100).await.unwrap();
    let Measurable { member, facts } = measurable(&mut tx, 7).await.unwrap();
    assert_eq!(Some(member), tx.profiles().standing(&token(), user(7)).await.unwrap());
    assert_eq!(
        (facts.tenure_days, facts.join_order, facts.active_days),
        (40, Some(3), 3)
    );
    assert_eq!(facts.reached, BTreeSet::from([naib]));
    assert_eq!(facts.given, BTreeSet::from([badge("contributor")]));
    assert!(facts.waitlisted);
    assert_eq!(measurable(&mut tx, 99).await, None);
    let profile = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!(
        (profile.commands, profile.messages, profile.last_active_at),
        (4, 1, Some(now))
    );

    assert_eq!(tx.profiles().prune_activity(now).await.unwrap(), 0);
    assert_eq!(tx.profiles().prune_activity(now + Duration::days(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn earned_badges_follow_the_rules_and_given_ones_stay() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    joined(&mut tx, 1, "Chani").await;
    let mut badges = tx.badges();
    badges
        .award(
            user(1),
            &badge("contributor"),
            BadgeSource::Admin(user(2)),
            MONDAY,
            Some("maps"),
        )
        .await
        .unwrap();
    let earned = BTreeSet::from([badge("month"), badge("active")]);
    assert_eq!(badges.settle(user(1), &earned, MONDAY).await.unwrap(), 2);
    assert_eq!(badges.settle(user(1), &earned, TUESDAY).await.unwrap(), 0);
    assert_eq!(
        badges
            .settle(user(1), &BTreeSet::from([badge("month")]), TUESDAY)
            .await
            .unwrap(),
        1
    );
    let held = badges.of(user(1)).await.unwrap();
    let names: Vec<_> = held.iter().map(|held| held.badge.as_str()).collect();
    assert_eq!(names, ["contributor", "month"]);
    assert_eq!(held[0].source, BadgeSource::Admin(user(2)));
    assert_eq!(held[0].reason.as_deref(), Some("maps"));
    assert!(
        badges
            .revoke(user(1), &badge("contributor"), Some(user(2)), "given in error")
            .await
            .unwrap()
    );
    assert!(
        !badges
            .revoke(user(1), &badge("contributor"), Some(user(2)), "again")
            .await
            .unwrap()
    );
    assert!(
        badges
            .award(
                user(1),
                &badge("contributor"),
                BadgeSource::Admin(user(2)),
                WEDNESDAY,
                None
            )
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_shared_badge_is_passed_on_once_and_its_lineage_is_kept() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    for id in 1..=5 {
        joined(&mut tx, id, "Fremen").await;
    }
    let water = badge("water-sharer");
    let mut badges = tx.badges();
    assert!(
        badges
            .award(user(1), &water, BadgeSource::Admin(user(9)), MONDAY, None)
            .await
            .unwrap()
    );
    assert!(
        badges
            .award(user(2), &water, BadgeSource::Share(user(1)), TUESDAY, None)
            .await
            .unwrap()
    );
    assert!(
        badges
            .award(user(3), &water, BadgeSource::Share(user(2)), WEDNESDAY, None)
            .await
            .unwrap()
    );
    // Held already: nothing happens, and the giver's one share is not used up.
    assert!(
        !badges
            .award(user(1), &water, BadgeSource::Share(user(3)), WEDNESDAY, None)
            .await
            .unwrap()
    );
    let line: Vec<_> = badges
        .lineage(user(1), &water)
        .await
        .unwrap()
        .iter()
        .map(|entry| (entry.user, entry.from, entry.depth))
        .collect();
    assert_eq!(
        line,
        [
            (user(1), None, 0),
            (user(2), Some(user(1)), 1),
            (user(3), Some(user(2)), 2)
        ]
    );
    assert_eq!(badges.lineage(user(2), &water).await.unwrap().len(), 2);
    assert_eq!(badges.lineage(user(4), &water).await.unwrap(), []);
    let second = badges
        .award(user(4), &water, BadgeSource::Share(user(1)), WEDNESDAY, None)
        .await
        .unwrap_err();
    assert!(second.violates(SHARED_ALREADY), "{second}");
}

#[tokio::test]
async fn a_row_that_the_domain_refuses_is_named_by_table_and_column() {
    let (test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    joined(&mut tx, 1, "Chani").await;
    tx.commit().await.unwrap();
    spoil(
        &test.owner_url(),
        community,
        "update profiles set tier = 'No Such Key', tier_since = now()",
    )
    .await;
    let mut tx = database.tenant(community).await.unwrap();
    let error = tx.profiles().by_user(user(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            DbError::Corrupt {
                table: "profiles",
                column: "tier",
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("profiles.tier holds `No Such Key`"),
        "{error}"
    );
}

async fn spoil(owner_url: &str, community: CommunityId, sql: &str) {
    let mut owner = connect(owner_url).await;
    set_tenant(&mut owner, Some(community)).await;
    assert_eq!(run(&mut owner, sql).await, Ok(1));
}

#[tokio::test]
async fn a_deed_counts_once_for_an_event_and_with_the_transaction() {
    let (_test, database, community) = one_community().await;
    let at = datetime!(2026-11-21 23:59:59.123456 UTC);
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(7), "Chani", MONDAY).await.unwrap();
    tx.commit().await.unwrap();

    // Whatever a message carries as its event's id is one text, and no SQL.
    for event in ["1", "it's; rollback; --", r"\', 'x'); commit; --", "ñ🪱", "$$", "\u{1}"] {
        for first in [true, false] {
            let tx = database.tenant(community).await.unwrap();
            let counted = tx.commit_counted(event, user(7), Activity::Command, at).await.unwrap();
            assert_eq!(counted, first, "{event}");
        }
        let mut tx = database.tenant(community).await.unwrap();
        assert!(!tx.claim(event).await.unwrap(), "{event} is claimed as it is");
    }
    let tx = database.tenant(community).await.unwrap();
    assert!(
        tx.commit_counted("message", user(7), Activity::Message, at)
            .await
            .unwrap()
    );
    let tx = database.tenant(community).await.unwrap();
    assert!(
        tx.commit_counted("nobody's", user(99), Activity::Message, at)
            .await
            .unwrap()
    );

    let mut tx = database.tenant(community).await.unwrap();
    let chani = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!((chani.commands, chani.messages, chani.last_active_at), (6, 1, Some(at)));
    let chani = tx
        .profiles()
        .measurable(&token(), user(7), at, 0)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(chani.facts.active_days, 1);
    tx.commit().await.unwrap();

    // What the schema refuses is an error, and the whole transaction is undone with it.
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().rename(user(7), "Sihaya").await.unwrap();
    let refused = tx.commit_counted("", user(7), Activity::Command, at).await.unwrap_err();
    assert!(
        refused.to_string().starts_with("activity.count_once: refused by"),
        "{refused}"
    );
    let mut tx = database.tenant(community).await.unwrap();
    let chani = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!((chani.display_name.as_str(), chani.commands), ("Chani", 6));
}
