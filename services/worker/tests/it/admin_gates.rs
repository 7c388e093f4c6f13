//! `/admin-gates` from the queue to the row and the audit entry, and the check of a gate where a command is dispatched.

use arrakis_db::Actor;
use arrakis_domain::TierId;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::platform::{
    Dispatch, MANAGE_GUILD, Platform, assert_description, assert_refusal, embed, follow_ups, is_ephemeral,
};

/// Send Messages.
const MEMBER: &str = "2048";

/// Sends a command as a member with these permissions; returns the interaction's id and its dispatch, unpublished.
async fn sent(platform: &Platform, user: &str, permissions: &str, command: &str, options: Value) -> (String, Dispatch) {
    platform.delete_cooldowns();
    let id = platform.send_command(user, command, options).await;
    let mut dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(permissions);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    (id, dispatch)
}

async fn run(platform: &Platform, user: &str, permissions: &str, command: &str, options: Value) -> Value {
    let (id, dispatch) = sent(platform, user, permissions, command, options).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await
}

/// Changes a gate as an admin; returns the reply's message.
async fn set(platform: &Platform, what: &str, tier: &str) -> Value {
    let options = json!({"what": what, "tier": tier});
    let reply = run(platform, "chani", MANAGE_GUILD, "admin-gates", options).await;
    reply["message"].clone()
}

/// Stores a member's tier, as a tier sync does.
async fn give_tier(platform: &Platform, user: &str, tier: &str) {
    let (user, tier) = (platform.community.user_id(user), TierId::new(tier).unwrap());
    let mut tx = platform.tenant().await;
    let now = OffsetDateTime::now_utc();
    tx.profiles()
        .record_tier(user, Some(&tier), Some(&tier), now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Gates by key, as stored.
async fn stored(platform: &Platform) -> Vec<(String, String)> {
    let mut tx = platform.tenant().await;
    let community = tx.communities().get().await.unwrap().unwrap();
    let gates = community.gates.iter();
    gates.map(|(key, tier)| (key.to_string(), tier.to_string())).collect()
}

/// The actions of the audit log about gates with their subjects, oldest first.
async fn audited(platform: &Platform) -> Vec<(Actor, String, String)> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let about_gates = entries.filter(|entry| entry.action.starts_with("gate."));
    about_gates
        .map(|entry| (entry.actor, entry.action, entry.subject))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gate_is_set_shown_and_removed_with_audit() {
    let (platform, _worker) = Platform::with_worker().await;
    let reply = set(&platform, "leaderboard", "Ichwan").await;
    assert!(is_ephemeral(&reply));
    assert_description(&reply, "`/leaderboard` is now open from **");
    assert_description(&reply, "Ichwan** on.");
    assert_eq!(
        stored(&platform).await,
        [("leaderboard".to_owned(), "ichwan".to_owned())]
    );

    let shown = run(&platform, "chani", MANAGE_GUILD, "admin-gates", json!({})).await;
    let first = &embed(&shown["message"])["fields"][0];
    assert!(first["name"].as_str().unwrap().ends_with("Ichwan on"), "{first}");
    assert_eq!(first["value"], "`/leaderboard`");

    // A gate that is there already is stored once.
    set(&platform, "/leaderboard", "ichwan").await;
    let reply = set(&platform, "leaderboard", "everyone").await;
    assert_description(&reply, "`/leaderboard` is now open to every member.");
    assert_eq!(stored(&platform).await, []);
    let chani = Actor::Member(platform.community.user_id("chani"));
    let entry = |action: &str| (chani.clone(), action.to_owned(), "leaderboard".to_owned());
    assert_eq!(audited(&platform).await, [entry("gate.set"), entry("gate.remove")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_below_the_gate_is_refused_and_told_the_tier() {
    let (platform, _worker) = Platform::with_worker().await;
    set(&platform, "threshold", "ichwan").await;
    // Harah has no wallet; Jamis holds what Ichwan takes.
    let reply = run(&platform, "harah", MEMBER, "threshold", json!({})).await;
    assert_refusal(&reply["message"], "`/threshold` is open from **");
    assert_refusal(&reply["message"], "Ichwan** on.");
    assert_refusal(&reply["message"], "`/verify start`");
    give_tier(&platform, "jamis", "ichwan").await;
    platform.delete_cached_profiles();
    let reply = run(&platform, "jamis", MEMBER, "threshold", json!({})).await;
    assert_description(&reply["message"], "Rank 69 holds");
    // An admin is not stopped by a gate.
    let reply = run(&platform, "harah", MANAGE_GUILD, "threshold", json!({})).await;
    assert_description(&reply["message"], "Rank 69 holds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_member_starts_no_cooldown_and_is_not_counted() {
    let (platform, _worker) = Platform::with_worker().await;
    set(&platform, "threshold", "naib").await;
    for _ in 0..2 {
        let id = platform.send_command("harah", "threshold", json!({})).await;
        let mut dispatch = platform.dispatch("INTERACTION_CREATE").await;
        let mut body = dispatch.json();
        body["member"]["permissions"] = json!(MEMBER);
        dispatch.body = serde_json::to_vec(&body).unwrap();
        platform.publish(&dispatch).await;
        let reply = platform.control.answered(&id).await;
        assert_refusal(&reply["message"], "`/threshold` is open from **");
    }
    let mut tx = platform.tenant().await;
    let harah = tx
        .profiles()
        .by_user(platform.community.user_id("harah"))
        .await
        .unwrap();
    assert_eq!(harah.unwrap().commands, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn part_of_a_command_has_a_gate_of_its_own() {
    let (platform, _worker) = Platform::with_worker().await;
    set(&platform, "profile-of-others", "naib").await;
    let own = run(&platform, "harah", MEMBER, "profile", json!({})).await;
    assert!(embed(&own["message"])["title"].is_string());
    let other = json!({"member": platform.community.user("stilgar")});
    let reply = run(&platform, "harah", MEMBER, "profile", other).await;
    assert_refusal(&reply["message"], "`/profile` of another member is open from **");
}

/// Presses a button as a member; returns the interaction's record once it has a follow-up or an edited message.
async fn press(platform: &Platform, user: &str, message: &Value, custom_id: &str) -> Value {
    let message = message["id"].as_str().unwrap();
    let id = platform
        .control
        .press(&platform.community, user, message, custom_id)
        .await;
    let mut dispatch = platform.dispatch_of(&id).await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(MEMBER);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await
}

/// Stilgar's wallet is at rank 82, in the waitlist zone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gate_holds_for_the_buttons_of_a_command_and_for_one_that_does_the_same() {
    let (platform, _worker) = Platform::with_worker().await;
    give_tier(&platform, "stilgar", "usul").await;
    let joined = run(&platform, "stilgar", MEMBER, "register-waitlist", json!({})).await;
    let message = &joined["message"];
    press(&platform, "stilgar", message, "register-waitlist:leave").await;
    platform.delete_cached_profiles();
    set(&platform, "register-waitlist", "naib").await;
    let waitlisted_at = async || {
        let mut tx = platform.tenant().await;
        let stilgar = platform.community.user_id("stilgar");
        tx.profiles().by_user(stilgar).await.unwrap().unwrap().waitlisted_at
    };
    for custom_id in ["register-waitlist:join", "verify:waitlist"] {
        let refused = press(&platform, "stilgar", message, custom_id).await;
        let refusal = &follow_ups(&refused)[0];
        assert_refusal(refusal, "`/register-waitlist` is open from **");
        assert_refusal(refusal, "Naib** on.");
        assert_eq!(waitlisted_at().await, None, "{custom_id}");
    }
    // The other buttons of `/verify` have no gate.
    let other = press(&platform, "stilgar", message, "verify:keep").await;
    assert_eq!(follow_ups(&other).len(), 0, "{other:#}");

    set(&platform, "register-waitlist", "everyone").await;
    press(&platform, "stilgar", message, "verify:waitlist").await;
    assert!(waitlisted_at().await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_shows_from_which_tier_a_command_is_open() {
    let (platform, _worker) = Platform::with_worker().await;
    set(&platform, "leaderboard", "ichwan").await;
    let mut reply = json!({});
    // The reply waits for the community for a part of a second, which a busy machine may need.
    for _ in 0..5 {
        reply = run(&platform, "harah", MEMBER, "help", json!({})).await;
        if reply["message"].to_string().contains("/leaderboard") {
            break;
        }
    }
    assert_description(&reply["message"], "`/leaderboard` · from ");
    assert_description(&reply["message"], "Ichwan on\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_have_a_gate_is_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    for (what, tier, refusal) in [
        ("verify", "naib", "\"verify\" cannot have a gate."),
        ("admin-badge", "naib", "\"admin-badge\" cannot have a gate."),
        ("stats", "gold", "There is no tier \"gold\" here."),
    ] {
        assert_refusal(&set(&platform, what, tier).await, refusal);
    }
    let half = run(
        &platform,
        "chani",
        MANAGE_GUILD,
        "admin-gates",
        json!({"what": "stats"}),
    )
    .await;
    assert_refusal(&half["message"], "A gate needs both");
    let reply = run(&platform, "chani", MEMBER, "admin-gates", json!({})).await;
    assert_refusal(&reply["message"], "This command is for the server's admins.");
    assert_eq!((stored(&platform).await, audited(&platform).await), (vec![], vec![]));
}

/// A worker that ended between the commit and the acknowledgement leaves the message to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_one_interaction_changes_nothing_and_replies_the_same() {
    let (platform, _worker) = Platform::with_worker().await;
    let options = json!({"what": "stats", "tier": "naib"});
    let (id, dispatch) = sent(&platform, "chani", MANAGE_GUILD, "admin-gates", options).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    // Another admin removes the gate before the second run.
    set(&platform, "stats", "everyone").await;
    platform.delete_done_markers();
    platform.delete_cooldowns();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let reply = platform.control.interaction(&id).await;
    assert_description(&reply["message"], "`/stats` is now open from **");
    assert_eq!(reply["followups"], json!([]));
    assert_eq!(stored(&platform).await, []);
    assert_eq!(audited(&platform).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_text_in_a_refusal_is_escaped() {
    let (platform, _worker) = Platform::with_worker().await;
    let refused = set(&platform, "**x**", "naib").await;
    assert_refusal(&refused, r#""\*\*x\*\*" cannot have a gate."#);
}
