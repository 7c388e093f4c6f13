//! Members come, go and change; servers too.

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

/// Keys of the theme's roles that a member has at Discord.
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

async fn by_hand(platform: &Platform, user: &str, change: Value) {
    let edit = serde_json::from_value(change).unwrap();
    platform
        .control
        .edit_member(&platform.community.guild, user, &edit)
        .await
        .unwrap();
}

async fn handled(worker: &Worker, event: &str, outcome: &str, count: f64) {
    let line = format!("arrakis_worker_events_total{{event=\"{event}\",outcome=\"{outcome}\"}}");
    worker.until_metric(&line, count).await;
}

/// Gives everybody the roles of their tiers, so that a test begins with nothing to repair.
async fn settled() -> (Platform, Worker) {
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
async fn who_comes_back_has_the_roles_of_the_tier_at_once() {
    let (platform, worker) = settled().await;
    leave(&platform, "stilgar").await;
    platform.deliver("GUILD_MEMBER_REMOVE").await;
    handled(&worker, "GUILD_MEMBER_REMOVE", "done", 1.0).await;
    let user = platform.community.user_id("stilgar");
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap().unwrap();
    assert!(profile.left_at.is_some() && profile.wallet.is_some(), "{profile:?}");
    join(&platform, "stilgar").await;
    let dispatch = platform.deliver("GUILD_MEMBER_ADD").await;
    until_roles(&platform, "stilgar", &["usul"]).await;
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap().unwrap();
    assert!(profile.left_at.is_none() && profile.tier.is_some(), "{profile:?}");
    // Again, and by another worker: nothing happens twice.
    let before = platform.control.count("PUT", "/roles/", 204).await;
    handled(&worker, "GUILD_MEMBER_ADD", "done", 1.0).await;
    let other = platform.worker().await;
    platform.publish(&dispatch).await;
    platform.publish(&dispatch).await;
    platform.until_messages(names::EVENTS_GUILD, 0).await;
    assert_eq!(platform.control.count("PUT", "/roles/", 204).await, before);
    drop((worker, other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_at_once_is_gone_in_any_order_and_nobody_asks_discord() {
    let (platform, worker) = settled().await;
    leave(&platform, "stilgar").await;
    join(&platform, "stilgar").await;
    leave(&platform, "stilgar").await;
    let mut told = Vec::new();
    for event in ["GUILD_MEMBER_REMOVE", "GUILD_MEMBER_ADD", "GUILD_MEMBER_REMOVE"] {
        told.push(platform.dispatch(event).await);
    }
    let asked =
        platform.control.count("GET", "/members/", 200).await + platform.control.count("GET", "/members/", 404).await;
    // The last is handled first, and is the only one that is news.
    platform.publish(&told[2]).await;
    handled(&worker, "GUILD_MEMBER_REMOVE", "done", 1.0).await;
    platform.publish(&told[1]).await;
    handled(&worker, "GUILD_MEMBER_ADD", "nothing", 1.0).await;
    platform.publish(&told[0]).await;
    handled(&worker, "GUILD_MEMBER_REMOVE", "nothing", 1.0).await;
    let user = platform.community.user_id("stilgar");
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap().unwrap();
    assert!(profile.left_at.is_some(), "{profile:?}");
    assert_eq!(audit(&platform, "member.left").await.len(), 1);
    let asked_since =
        platform.control.count("GET", "/members/", 200).await + platform.control.count("GET", "/members/", 404).await;
    assert_eq!(asked_since, asked);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_comes_is_known_and_has_no_role() {
    let (platform, worker) = settled().await;
    let paul = NewUser {
        name: Some("usul".to_owned()),
        display: Some("Paul".to_owned()),
        ..NewUser::default()
    };
    let made = platform.control.join(&platform.community.guild, &paul).await.unwrap();
    platform.deliver("GUILD_MEMBER_ADD").await;
    handled(&worker, "GUILD_MEMBER_ADD", "done", 1.0).await;
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
async fn a_role_taken_or_given_by_hand_is_put_right_and_audited() {
    let (platform, worker) = settled().await;
    // The announcements of our own first changes end by themselves; here they are ended.
    platform.forget_announcements();
    let (usul, naib) = (
        platform.community.roles["usul"].clone(),
        platform.community.roles["naib"].clone(),
    );
    by_hand(
        &platform,
        "stilgar",
        json!({"remove_roles": [usul], "add_roles": [naib]}),
    )
    .await;
    loop {
        // Our own changes at the start came as updates, too; the one by hand is the last.
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
async fn our_own_changes_lead_to_none() {
    let (platform, worker) = settled().await;
    let before = platform.control.count("PUT", "/roles/", 204).await;
    // Three members were given a role, and each gift comes back as an update.
    for _ in 0..before {
        platform.deliver("GUILD_MEMBER_UPDATE").await;
    }
    handled(
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
async fn a_protected_member_is_left_alone() {
    let (platform, worker) = settled().await;
    let mut tx = platform.tenant().await;
    tx.profiles()
        .set_protected(platform.community.user_id("jamis"), true)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let naib = platform.community.roles["naib"].clone();
    by_hand(
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
    handled(&worker, "GUILD_MEMBER_UPDATE", "done", 1.0).await;
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
async fn an_outage_is_never_a_removal() {
    let (platform, worker) = settled().await;
    let guild_id = platform.community.guild.parse().unwrap();
    let outage = |unavailable| Outage { guild_id, unavailable };
    platform.control.set_outage(outage(true)).await.unwrap();
    let dispatch = platform.deliver("GUILD_DELETE").await;
    assert_eq!(dispatch.json()["unavailable"], true);
    handled(&worker, "GUILD_DELETE", "nothing", 1.0).await;
    assert!(audit(&platform, "guild.bot_removed").await.is_empty());
    // Its end is no new server, but a reason to look whether anything was missed.
    platform.control.set_outage(outage(false)).await.unwrap();
    platform.deliver_for("GUILD_CREATE", &platform.community.guild).await;
    handled(&worker, "GUILD_CREATE", "done", 1.0).await;
    platform.until_messages("arrakis.jobs.reconcile", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_is_noted_once() {
    let (platform, worker) = settled().await;
    platform.control.remove_guild(&platform.community.guild).await.unwrap();
    let dispatch = platform.deliver("GUILD_DELETE").await;
    handled(&worker, "GUILD_DELETE", "done", 1.0).await;
    platform.forget_done();
    platform.publish(&dispatch).await;
    handled(&worker, "GUILD_DELETE", "done", 2.0).await;
    assert_eq!(audit(&platform, "guild.bot_removed").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_role_is_forgotten_and_told_by_name() {
    let (platform, worker) = settled().await;
    let (guild, role) = (&platform.community.guild, &platform.community.roles["usul"]);
    platform.control.delete_role(guild, role).await.unwrap();
    platform.deliver("GUILD_ROLE_DELETE").await;
    handled(&worker, "GUILD_ROLE_DELETE", "done", 1.0).await;
    let entries = audit(&platform, "role.broken").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].subject, "usul");
    let bindings = platform.tenant().await.communities().role_bindings().await.unwrap();
    assert!(!bindings.keys().any(|key| key.as_str() == "usul"), "{bindings:?}");
}
