//! Events of members and servers.

use std::collections::BTreeSet;

use arrakis_contracts::names;
use arrakis_db::AuditEntry;
use arrakis_emulator_client::{NewUser, Outage};
use arrakis_test_support::eventually;
use serde_json::{Value, json};

use crate::platform::{Platform, Worker};

async fn audit(platform: &Platform, action: &str) -> Vec<AuditEntry> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap();
    entries.into_iter().filter(|entry| entry.action == action).collect()
}

/// The theme's keys of the roles that a member has at Discord.
async fn roles(platform: &Platform, user: &str) -> BTreeSet<String> {
    let member = platform.control.member(&platform.community, user).await;
    platform
        .community
        .keys(&member["roles"])
        .into_iter()
        .map(str::to_owned)
        .collect()
}

async fn until_roles(platform: &Platform, user: &str, wanted: &[&str]) {
    let wanted: BTreeSet<_> = wanted.iter().map(|key| (*key).to_owned()).collect();
    eventually(
        || async { roles(platform, user).await == wanted },
        format!("{user} to have {wanted:?}"),
    )
    .await;
}

async fn join(platform: &Platform, user: &str) {
    let joining = NewUser {
        user_id: Some(platform.community.user(user).parse().unwrap()),
        name: Some(user.to_owned()),
        ..NewUser::default()
    };
    platform
        .control
        .join(&platform.community.guild, &joining)
        .await
        .unwrap();
}

async fn leave(platform: &Platform, user: &str) {
    platform.control.leave(&platform.community.guild, user).await.unwrap();
}

async fn change_by_hand(platform: &Platform, user: &str, change: Value) {
    let edit = serde_json::from_value(change).unwrap();
    platform
        .control
        .edit_member(&platform.community.guild, user, &edit)
        .await
        .unwrap();
}

async fn until_handled(worker: &Worker, event: &str, outcome: &str, count: f64) {
    let line = format!("arrakis_worker_events_total{{event=\"{event}\",outcome=\"{outcome}\"}}");
    worker.until_metric(&line, count).await;
}

/// A platform and a worker whose first reconcile has assigned the missing roles, so that a test starts without differences.
async fn reconciled() -> (Platform, Worker) {
    let (platform, worker) = Platform::with_worker().await;
    until_roles(&platform, "chani", &["naib"]).await;
    until_roles(&platform, "stilgar", &["usul"]).await;
    until_roles(&platform, "jamis", &["ichwan"]).await;
    for queue in ["arrakis.jobs.reconcile", "arrakis.jobs.tier-sync"] {
        platform.until_messages(queue, 0).await;
    }
    (platform, worker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_who_rejoins_is_assigned_the_roles_of_the_tier() {
    let (platform, worker) = reconciled().await;
    leave(&platform, "stilgar").await;
    platform.deliver("GUILD_MEMBER_REMOVE").await;
    until_handled(&worker, "GUILD_MEMBER_REMOVE", "done", 1.0).await;
    let user = platform.community.user_id("stilgar");
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap().unwrap();
    assert!(profile.left_at.is_some() && profile.wallet.is_some(), "{profile:?}");
    join(&platform, "stilgar").await;
    let dispatch = platform.deliver("GUILD_MEMBER_ADD").await;
    until_roles(&platform, "stilgar", &["usul"]).await;
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap().unwrap();
    assert!(profile.left_at.is_none() && profile.tier.is_some(), "{profile:?}");
    // Repeated by another worker, the event has no further effect.
    let before = platform.control.count("PUT", "/roles/", 204).await;
    until_handled(&worker, "GUILD_MEMBER_ADD", "done", 1.0).await;
    let other = platform.worker().await;
    platform.publish(&dispatch).await;
    platform.publish(&dispatch).await;
    platform.until_messages(names::EVENTS_GUILD, 0).await;
    assert_eq!(platform.control.count("PUT", "/roles/", 204).await, before);
    drop((worker, other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_who_joins_and_leaves_has_left_in_any_order_without_a_call_to_discord() {
    let (platform, worker) = reconciled().await;
    leave(&platform, "stilgar").await;
    join(&platform, "stilgar").await;
    leave(&platform, "stilgar").await;
    let mut dispatches = Vec::new();
    for event in ["GUILD_MEMBER_REMOVE", "GUILD_MEMBER_ADD", "GUILD_MEMBER_REMOVE"] {
        dispatches.push(platform.dispatch(event).await);
    }
    let reads =
        platform.control.count("GET", "/members/", 200).await + platform.control.count("GET", "/members/", 404).await;
    // The last event is handled first; the others are then outdated.
    platform.publish(&dispatches[2]).await;
    until_handled(&worker, "GUILD_MEMBER_REMOVE", "done", 1.0).await;
    platform.publish(&dispatches[1]).await;
    until_handled(&worker, "GUILD_MEMBER_ADD", "nothing", 1.0).await;
    platform.publish(&dispatches[0]).await;
    until_handled(&worker, "GUILD_MEMBER_REMOVE", "nothing", 1.0).await;
    let user = platform.community.user_id("stilgar");
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap().unwrap();
    assert!(profile.left_at.is_some(), "{profile:?}");
    assert_eq!(audit(&platform, "member.left").await.len(), 1);
    let reads_since =
        platform.control.count("GET", "/members/", 200).await + platform.control.count("GET", "/members/", 404).await;
    assert_eq!(reads_since, reads);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_member_has_a_profile_and_no_role() {
    let (platform, worker) = reconciled().await;
    let paul = NewUser {
        name: Some("usul".to_owned()),
        display: Some("Paul".to_owned()),
        ..NewUser::default()
    };
    let made = platform.control.join(&platform.community.guild, &paul).await.unwrap();
    platform.deliver("GUILD_MEMBER_ADD").await;
    until_handled(&worker, "GUILD_MEMBER_ADD", "done", 1.0).await;
    let user = made["user"]["id"].as_str().or(made["user_id"].as_str()).unwrap();
    let profile = platform
        .tenant()
        .await
        .profiles()
        .by_user(user.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(profile.display_name, "Paul");
    assert_eq!(profile.tier, None);
    assert!(roles(&platform, user).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_role_change_is_repaired_and_audited() {
    let (platform, worker) = reconciled().await;
    // The announcements of the worker's own changes would expire after 15 s.
    platform.delete_announcements();
    let (usul, naib) = (
        platform.community.roles["usul"].clone(),
        platform.community.roles["naib"].clone(),
    );
    change_by_hand(
        &platform,
        "stilgar",
        json!({"remove_roles": [usul], "add_roles": [naib]}),
    )
    .await;
    loop {
        // The first reconcile has caused updates, too; that of the manual change is the last.
        let dispatch = platform.deliver("GUILD_MEMBER_UPDATE").await;
        if dispatch.json()["roles"].as_array().unwrap().contains(&json!(naib))
            && dispatch.json()["user"]["id"] == platform.community.user("stilgar")
        {
            break;
        }
    }
    until_roles(&platform, "stilgar", &["usul"]).await;
    let entries = audit(&platform, "roles.put_right").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0].subject, platform.community.user("stilgar"));
    assert_eq!(
        entries[0].detail,
        json!({"given_back": ["usul"], "taken_back": ["naib"]})
    );
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_change_of_the_worker_causes_no_further_change() {
    let (platform, worker) = reconciled().await;
    let before = platform.control.count("PUT", "/roles/", 204).await;
    // Three members were assigned a role, each of which causes an update.
    for _ in 0..before {
        platform.deliver("GUILD_MEMBER_UPDATE").await;
    }
    until_handled(
        &worker,
        "GUILD_MEMBER_UPDATE",
        "done",
        f64::from(u32::try_from(before).unwrap()),
    )
    .await;
    assert_eq!(platform.control.count("PUT", "/roles/", 204).await, before);
    assert_eq!(platform.control.count("DELETE", "/roles/", 204).await, 0);
    assert!(audit(&platform, "roles.put_right").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_of_a_protected_member_are_kept() {
    let (platform, worker) = reconciled().await;
    let mut tx = platform.tenant().await;
    tx.profiles()
        .set_protected(platform.community.user_id("jamis"), true)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let naib = platform.community.roles["naib"].clone();
    change_by_hand(
        &platform,
        "jamis",
        json!({"add_roles": [naib], "nick": "Jamis the Loud"}),
    )
    .await;
    let dispatch = loop {
        let dispatch = platform.dispatch("GUILD_MEMBER_UPDATE").await;
        if dispatch.json()["nick"] == "Jamis the Loud" {
            break dispatch;
        }
    };
    platform.publish(&dispatch).await;
    until_handled(&worker, "GUILD_MEMBER_UPDATE", "done", 1.0).await;
    assert_eq!(
        roles(&platform, "jamis").await,
        BTreeSet::from(["ichwan".to_owned(), "naib".to_owned()])
    );
    let profile = platform
        .tenant()
        .await
        .profiles()
        .by_user(platform.community.user_id("jamis"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(profile.display_name, "Jamis the Loud");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_is_not_recorded_as_a_removal() {
    let (platform, worker) = reconciled().await;
    let guild_id = platform.community.guild.parse().unwrap();
    let outage = |unavailable| Outage { guild_id, unavailable };
    platform.control.set_outage(outage(true)).await.unwrap();
    let dispatch = platform.deliver("GUILD_DELETE").await;
    assert_eq!(dispatch.json()["unavailable"], true);
    until_handled(&worker, "GUILD_DELETE", "nothing", 1.0).await;
    assert!(audit(&platform, "guild.bot_removed").await.is_empty());
    // The end of the outage enqueues a reconcile.
    platform.control.set_outage(outage(false)).await.unwrap();
    platform.deliver_for("GUILD_CREATE", &platform.community.guild).await;
    until_handled(&worker, "GUILD_CREATE", "done", 1.0).await;
    platform.until_messages("arrakis.jobs.reconcile", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_of_the_bot_is_audited_once() {
    let (platform, worker) = reconciled().await;
    platform.control.remove_guild(&platform.community.guild).await.unwrap();
    let dispatch = platform.deliver("GUILD_DELETE").await;
    until_handled(&worker, "GUILD_DELETE", "done", 1.0).await;
    platform.delete_done_markers();
    platform.publish(&dispatch).await;
    until_handled(&worker, "GUILD_DELETE", "done", 2.0).await;
    assert_eq!(audit(&platform, "guild.bot_removed").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_role_is_unbound_and_audited() {
    let (platform, worker) = reconciled().await;
    let (guild, role) = (&platform.community.guild, &platform.community.roles["usul"]);
    platform.control.delete_role(guild, role).await.unwrap();
    platform.deliver("GUILD_ROLE_DELETE").await;
    until_handled(&worker, "GUILD_ROLE_DELETE", "done", 1.0).await;
    let entries = audit(&platform, "role.broken").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].subject, "usul");
    let bindings = platform.tenant().await.communities().role_bindings().await.unwrap();
    assert!(!bindings.keys().any(|key| key.as_str() == "usul"), "{bindings:?}");
}
