//! The kill switch and the freezes that follow from communities.

use arrakis_db::{Database, GuildId, TEARDOWN_FREEZE};
use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope, KillSwitchState, TEARDOWN};

use crate::fixtures::{onboard, one_community, user};

async fn state(database: &Database) -> KillSwitchState {
    let mut tx = database.global().await.unwrap();
    tx.kill_switches().list().await.unwrap()
}

#[tokio::test]
async fn older_entry_does_not_replace_a_newer_one() {
    let (_test, database, _) = one_community().await;
    assert!(!state(&database).await.is_on(KillSwitchScope::Platform));
    let put = async |is_on, version| {
        let mut tx = database.global().await.unwrap();
        let switch = KillSwitch {
            scope: KillSwitchScope::Platform,
            is_on,
            version,
            by: "stilgar".to_owned(),
            reason: "a leaked token".to_owned(),
        };
        let stored = tx.kill_switches().put(&switch).await.unwrap();
        tx.commit().await.unwrap();
        stored
    };
    assert!(put(true, 10).await);
    assert!(!put(false, 10).await && !put(false, 9).await);
    let stored = state(&database).await;
    assert!(stored.is_on(KillSwitchScope::Platform));
    assert_eq!(stored.get(KillSwitchScope::Platform).unwrap().reason, "a leaked token");
    assert!(put(false, 11).await);
    let stored = state(&database).await;
    assert!(!stored.is_on(KillSwitchScope::Platform));
    assert_eq!(stored.version(KillSwitchScope::Platform), 11);
}

#[tokio::test]
async fn freeze_and_its_end_follow_from_the_community() {
    let (_test, database, community) = one_community().await;
    let guild = GuildId::new(200).unwrap();
    let other = onboard(&database, guild.get()).await;
    let scope = KillSwitchScope::Community(guild.get());
    let freeze = async |reason: Option<&str>| {
        let mut tx = database.tenant(other).await.unwrap();
        tx.communities().set_frozen(reason).await.unwrap();
        tx.commit().await.unwrap();
        state(&database).await.get(scope).cloned()
    };
    assert_eq!(state(&database).await.get(scope), None);
    let frozen = freeze(Some("a stolen account")).await.unwrap();
    assert!(
        frozen.is_on && frozen.reason.is_empty() && frozen.by.is_empty(),
        "{frozen:?}"
    );
    let torn_down = freeze(Some(&format!("{TEARDOWN_FREEZE}; a test"))).await.unwrap();
    assert!(torn_down.is_on && torn_down.reason == TEARDOWN && torn_down.version > frozen.version);
    let mut tx = database.tenant(other).await.unwrap();
    tx.communities()
        .take_over(user(7), &format!("{TEARDOWN_FREEZE}; a test"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let taken = state(&database).await.get(scope).cloned().unwrap();
    assert!(
        taken.is_on && taken.reason.is_empty() && taken.version > torn_down.version,
        "a takeover stops gaib, too"
    );
    let ended = freeze(None).await.unwrap();
    assert!(!ended.is_on && ended.version > taken.version, "the end is listed");
    // A change that rolls back, and another community, change nothing.
    let mut tx = database.tenant(community).await.unwrap();
    tx.communities().set_frozen(Some("an incident")).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(state(&database).await.frozen(), 0);
}
