//! Profiles: joins and leaves, repeated and out of order; activity and tiers; badges.

use std::collections::BTreeSet;

use arrakis_db::{
    Activity, BadgeSource, CommunityId, DbError, EvaluationInput, GatewayPosition, JoinOutcome, TenantTx,
    WALLET_UNIQUE_CONSTRAINT,
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
    assert_eq!(
        tx.profiles().join(user(id), name, MONDAY).await.unwrap(),
        JoinOutcome::New
    );
}

#[tokio::test]
async fn joins_and_leaves_may_be_repeated_and_out_of_order() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut profiles = tx.profiles();
    assert_eq!(profiles.join(user(1), "Chani", MONDAY).await.unwrap(), JoinOutcome::New);
    assert_eq!(
        profiles.join(user(1), "Chani", MONDAY).await.unwrap(),
        JoinOutcome::Known
    );
    assert!(profiles.leave(user(1), TUESDAY).await.unwrap());
    assert!(!profiles.leave(user(1), TUESDAY).await.unwrap());
    // The join of Monday again, after the leave that followed it.
    assert_eq!(
        profiles.join(user(1), "Chani", MONDAY).await.unwrap(),
        JoinOutcome::Stale
    );
    assert_eq!(profiles.by_user(user(1)).await.unwrap().unwrap().left_at, Some(TUESDAY));
    // Back on Wednesday; Tuesday's leave comes again.
    assert_eq!(
        profiles.join(user(1), "Sihaya", WEDNESDAY).await.unwrap(),
        JoinOutcome::Known
    );
    assert!(!profiles.leave(user(1), TUESDAY).await.unwrap());
    let back = profiles.by_user(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (back.display_name.as_str(), back.joined_at, back.left_at),
        ("Sihaya", WEDNESDAY, None)
    );
    assert!(!profiles.leave(user(2), TUESDAY).await.unwrap(), "there is no profile");
    assert_eq!(profiles.by_user(user(2)).await.unwrap(), None);
}

#[tokio::test]
async fn within_a_gateway_session_sequence_numbers_decide_and_not_times() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    let mut profiles = tx.profiles();
    let event = |sequence| GatewayPosition { session: "s", sequence };
    let some_event = |sequence| Some(event(sequence));
    // All received late, after a resume, and handled from the end: came on Monday, left, came back the same day, left.
    assert!(
        !profiles
            .leave_by_event(user(1), "Chani", TUESDAY, event(4))
            .await
            .unwrap()
    );
    let gone = profiles.presence(user(1)).await.unwrap().unwrap();
    assert_eq!(
        (gone.precedes(event(3)), gone.precedes(event(5))),
        (Some(false), Some(true))
    );
    let other = GatewayPosition {
        session: "t",
        sequence: 5,
    };
    assert_eq!(gone.precedes(other), None);
    assert_eq!(
        profiles
            .join_by_event(user(1), "Chani", MONDAY, some_event(3))
            .await
            .unwrap(),
        JoinOutcome::Stale
    );
    assert!(
        !profiles
            .leave_by_event(user(1), "Chani", TUESDAY, event(2))
            .await
            .unwrap()
    );
    assert_eq!(profiles.presence(user(1)).await.unwrap().unwrap(), gone);
    // Back again, by an event whose time is before that at which the leave was received.
    assert_eq!(
        profiles
            .join_by_event(user(1), "Chani", MONDAY, some_event(5))
            .await
            .unwrap(),
        JoinOutcome::Known
    );
    assert!(
        !profiles
            .leave_by_event(user(1), "Chani", WEDNESDAY, event(4))
            .await
            .unwrap()
    );
    assert_eq!(profiles.by_user(user(1)).await.unwrap().unwrap().left_at, None);
    assert!(
        profiles
            .leave_by_event(user(1), "Chani", TUESDAY, event(6))
            .await
            .unwrap()
    );
    // Between sessions there are only times.
    let back = profiles
        .join_by_event(user(1), "Chani", MONDAY, Some(other))
        .await
        .unwrap();
    assert_eq!(back, JoinOutcome::Stale);
    let back = profiles
        .join_by_event(user(1), "Chani", WEDNESDAY, Some(other))
        .await
        .unwrap();
    assert_eq!(back, JoinOutcome::Known);
}

#[tokio::test]
async fn wallet_belongs_to_one_member_of_a_community_and_stays_after_a_leave() {
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
    assert!(
        taken.violates(WALLET_UNIQUE_CONSTRAINT) && !taken.is_transient(),
        "{taken}"
    );
    drop(tx);
    let mut tx = database.tenant(community).await.unwrap();
    assert_eq!(tx.profiles().by_wallet(wallet).await.unwrap().unwrap().user, user(1));
    assert!(tx.profiles().link_wallet(user(1), None).await.unwrap());
    assert!(tx.profiles().link_wallet(user(2), Some(wallet)).await.unwrap());
}

#[tokio::test]
async fn first_time_of_each_tier_is_kept() {
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
        "there is no profile"
    );
}

#[tokio::test]
async fn evaluation_input_holds_the_facts_of_the_rules() {
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
        tx.profiles()
            .count_activity(user(7), Activity::Command, at)
            .await
            .unwrap();
    }
    tx.profiles()
        .count_activity(user(7), Activity::Message, now - Duration::days(1))
        .await
        .unwrap();
    tx.profiles()
        .count_activity(user(99), Activity::Message, now)
        .await
        .unwrap();
    let naib = tier("naib");
    tx.profiles()
        .record_tier(user(7), Some(&naib), Some(&naib), now)
        .await
        .unwrap();
    tx.profiles().set_waitlisted(user(7), Some(now)).await.unwrap();
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

    let evaluation_input = async |tx: &mut TenantTx, id| {
        tx.profiles()
            .evaluation_input(&token(), user(id), now, 100)
            .await
            .unwrap()
    };
    let EvaluationInput {
        member,
        facts,
        earned,
        suspended,
        ranking_known,
    } = evaluation_input(&mut tx, 7).await.unwrap();
    assert!(!suspended && !ranking_known);
    assert_eq!(earned, BTreeSet::from([badge("month")]));
    assert_eq!(Some(member), tx.profiles().standing(&token(), user(7)).await.unwrap());
    assert_eq!(
        (facts.tenure_days, facts.join_order, facts.active_days),
        (40, Some(3), 3)
    );
    assert_eq!(facts.reached, BTreeSet::from([naib]));
    assert_eq!(facts.given, BTreeSet::from([badge("contributor")]));
    assert!(facts.waitlisted);
    assert_eq!(evaluation_input(&mut tx, 99).await, None);
    let profile = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!(
        (profile.commands, profile.messages, profile.last_active_at),
        (4, 1, Some(now))
    );

    assert_eq!(tx.profiles().prune_activity(now).await.unwrap(), 0);
    assert_eq!(tx.profiles().prune_activity(now + Duration::days(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn earned_badges_are_synced_and_given_ones_stay() {
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
    assert_eq!(badges.sync_earned(user(1), &earned, MONDAY).await.unwrap(), 2);
    assert_eq!(badges.sync_earned(user(1), &earned, TUESDAY).await.unwrap(), 0);
    assert_eq!(
        badges
            .sync_earned(user(1), &BTreeSet::from([badge("month")]), TUESDAY)
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
async fn invalid_value_is_an_error_with_table_and_column() {
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
async fn activity_is_counted_once_for_an_event_and_with_the_transaction() {
    let (_test, database, community) = one_community().await;
    let at = datetime!(2026-11-21 23:59:59.123456 UTC);
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().join(user(7), "Chani", MONDAY).await.unwrap();
    tx.commit().await.unwrap();

    // Any event id is one text literal and never SQL.
    for event in ["1", "it's; rollback; --", r"\', 'x'); commit; --", "ñ🪱", "$$", "\u{1}"] {
        for first in [true, false] {
            let tx = database.tenant(community).await.unwrap();
            let counted = tx
                .count_once_and_commit(event, user(7), Activity::Command, at)
                .await
                .unwrap();
            assert_eq!(counted, first, "{event}");
        }
        let mut tx = database.tenant(community).await.unwrap();
        assert!(!tx.claim(event).await.unwrap(), "{event} is claimed as it is");
    }
    let tx = database.tenant(community).await.unwrap();
    assert!(
        tx.count_once_and_commit("message", user(7), Activity::Message, at)
            .await
            .unwrap()
    );
    let tx = database.tenant(community).await.unwrap();
    assert!(
        tx.count_once_and_commit("nobody's", user(99), Activity::Message, at)
            .await
            .unwrap()
    );

    let mut tx = database.tenant(community).await.unwrap();
    let chani = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!((chani.commands, chani.messages, chani.last_active_at), (6, 1, Some(at)));
    let chani = tx
        .profiles()
        .evaluation_input(&token(), user(7), at, 0)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(chani.facts.active_days, 1);
    tx.commit().await.unwrap();

    // A violated constraint is an error, and the whole transaction is rolled back.
    let mut tx = database.tenant(community).await.unwrap();
    tx.profiles().rename(user(7), "Sihaya").await.unwrap();
    let refused = tx
        .count_once_and_commit("", user(7), Activity::Command, at)
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("activity.count_once: violates the constraint"),
        "{refused}"
    );
    let mut tx = database.tenant(community).await.unwrap();
    let chani = tx.profiles().by_user(user(7)).await.unwrap().unwrap();
    assert_eq!((chani.display_name.as_str(), chani.commands), ("Chani", 6));
}
