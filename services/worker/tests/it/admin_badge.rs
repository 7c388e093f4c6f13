//! `/admin-badge` from the queue to the row, the audit entry, and the roles.

use arrakis_db::{Actor, BadgeSource, HeldBadge, ShareOutcome};
use arrakis_domain::{BadgeId, RoleId};
use arrakis_test_support::eventually;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::platform::{Dispatch, MANAGE_GUILD, Platform, assert_description, assert_refusal, is_ephemeral};

/// Sends the command as a member with these permissions; returns the interaction's id and its dispatch, unpublished.
async fn sent(platform: &Platform, permissions: &str, options: &Value) -> (String, Dispatch) {
    let id = platform.send_command("chani", "admin-badge", options.clone()).await;
    let mut dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(permissions);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    (id, dispatch)
}

async fn run(platform: &Platform, permissions: &str, options: &Value) -> Value {
    platform.delete_cooldowns();
    let (id, dispatch) = sent(platform, permissions, options).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await
}

fn options(platform: &Platform, action: &str, badge: &str) -> Value {
    let member = platform.community.user("stilgar");
    json!({"action": action, "member": member, "badge": badge, "reason": "for the maps"})
}

/// The badges of Stilgar that no rule awards.
async fn given(platform: &Platform) -> Vec<HeldBadge> {
    let mut tx = platform.tenant().await;
    let held = tx.badges().of(platform.community.user_id("stilgar")).await.unwrap();
    held.into_iter()
        .filter(|held| held.source != BadgeSource::Rule)
        .collect()
}

/// The actions of the audit log about badges, oldest first.
async fn audited(platform: &Platform) -> Vec<(Actor, String, String, Option<String>)> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let about_badges = entries.filter(|entry| entry.action.starts_with("badge."));
    about_badges
        .map(|entry| (entry.actor, entry.action, entry.subject, entry.reason))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn badge_is_given_and_taken_with_reason_and_audit() {
    let (platform, _worker) = Platform::with_worker().await;
    let reply = run(&platform, MANAGE_GUILD, &options(&platform, "give", "contributor")).await;
    assert!(is_ephemeral(&reply["message"]));
    assert_description(&reply["message"], "stilgar now holds 🛠️ **Contributor**");
    let held = given(&platform).await;
    assert_eq!(held.len(), 1);
    let chani = platform.community.user_id("chani");
    assert_eq!(held[0].source, BadgeSource::Admin(chani));
    assert_eq!(held[0].reason.as_deref(), Some("for the maps"));

    let again = run(&platform, MANAGE_GUILD, &options(&platform, "give", "contributor")).await;
    assert_refusal(&again["message"], "stilgar holds **Contributor** already.");

    let reply = run(&platform, MANAGE_GUILD, &options(&platform, "take", "Contributor")).await;
    assert_description(&reply["message"], "stilgar no longer holds");
    assert_eq!(given(&platform).await, []);
    let stilgar = platform.community.user("stilgar").to_owned();
    let entry = |action: &str| {
        let reason = Some("for the maps".to_owned());
        (Actor::Member(chani), action.to_owned(), stilgar.clone(), reason)
    };
    assert_eq!(audited(&platform).await, [entry("badge.give"), entry("badge.revoke")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_of_the_badge_follows() {
    let (platform, _worker) = Platform::with_worker().await;
    run(&platform, MANAGE_GUILD, &options(&platform, "give", "water-sharer")).await;
    let has_role = async |wanted: bool| {
        let is_as_wanted = async || {
            let member = platform.control.member(&platform.community, "stilgar").await;
            platform.community.keys(&member["roles"]).contains(&"water-sharer") == wanted
        };
        eventually(is_as_wanted, format!("the role of the badge: {wanted}")).await;
    };
    has_role(true).await;
    run(&platform, MANAGE_GUILD, &options(&platform, "take", "water-sharer")).await;
    has_role(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn badge_that_was_shared_on_is_not_taken_and_its_branch_stays() {
    let (platform, _worker) = Platform::with_worker().await;
    run(&platform, MANAGE_GUILD, &options(&platform, "give", "water-sharer")).await;
    let badge = BadgeId::new("water-sharer").unwrap();
    let (stilgar, jamis) = (
        platform.community.user_id("stilgar"),
        platform.community.user_id("jamis"),
    );
    let mut tx = platform.tenant().await;
    let shared = tx
        .badges()
        .share(stilgar, jamis, &badge, OffsetDateTime::now_utc())
        .await;
    assert_eq!(shared.unwrap(), ShareOutcome::Shared);
    tx.commit().await.unwrap();
    let reply = run(&platform, MANAGE_GUILD, &options(&platform, "take", "water-sharer")).await;
    assert_refusal(
        &reply["message"],
        "stilgar has shared **Water Sharer**: 1 member holds it from that share.",
    );
    assert_refusal(&reply["message"], "`/admin-water-share` with the member");
    let mut tx = platform.tenant().await;
    assert_eq!(tx.badges().lineage(Some(stilgar), &badge).await.unwrap().len(), 2);
    drop(tx);

    // The last holder of a branch loses it, and the giver may share again.
    let mut of_jamis = options(&platform, "take", "water-sharer");
    of_jamis["member"] = json!(platform.community.user("jamis"));
    let reply = run(&platform, MANAGE_GUILD, &of_jamis).await;
    assert_description(&reply["message"], "jamis no longer holds");
    let mut tx = platform.tenant().await;
    assert_eq!(tx.badges().lineage(Some(stilgar), &badge).await.unwrap().len(), 1);
    assert_eq!(audited(&platform).await.len(), 2);
}

/// Discord shows the command only to admins, but an admin of the server can have changed that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_without_the_permission_is_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    let reply = run(&platform, "2048", &options(&platform, "give", "contributor")).await;
    assert_refusal(&reply["message"], "This command is for the server's admins.");
    assert_eq!(given(&platform).await, []);
    assert_eq!(audited(&platform).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_given_is_refused_with_what_can() {
    let (platform, _worker) = Platform::with_worker().await;
    for (badge, refusal) in [
        ("sandrider", "**Sandrider** is earned by a rule"),
        ("spice", "There is no badge \"spice\" here."),
    ] {
        let reply = run(&platform, MANAGE_GUILD, &options(&platform, "give", badge)).await;
        assert_refusal(&reply["message"], refusal);
        assert_refusal(&reply["message"], "You can give and take: Contributor, Water Sharer.");
    }
    let mut nobody = options(&platform, "give", "contributor");
    nobody["member"] = json!(platform.community.user("stranger"));
    let reply = run(&platform, MANAGE_GUILD, &nobody).await;
    assert_refusal(&reply["message"], "is not a member that I know here");
    let mut short = options(&platform, "give", "contributor");
    short["reason"] = json!("x");
    let reply = run(&platform, MANAGE_GUILD, &short).await;
    assert_refusal(&reply["message"], "`reason` cannot be");
    assert_eq!(audited(&platform).await, []);
}

/// A worker that ended between the commit and the acknowledgement leaves the message to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_one_interaction_changes_nothing_and_replies_the_same() {
    let (platform, _worker) = Platform::with_worker().await;
    let (id, dispatch) = sent(&platform, MANAGE_GUILD, &options(&platform, "give", "contributor")).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    platform.delete_done_markers();
    platform.delete_cooldowns();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let reply = platform.control.interaction(&id).await;
    assert_description(&reply["message"], "stilgar now holds");
    assert_eq!(reply["followups"], json!([]));
    assert_eq!(given(&platform).await.len(), 1);
    assert_eq!(audited(&platform).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn badges_that_are_given_are_suggested() {
    let (platform, _worker) = Platform::with_worker().await;
    let member = platform.community.user("stilgar");
    let request = json!({
        "kind": "autocomplete", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
        "user_id": "chani", "name": "admin-badge", "focused": "badge", "force": true,
        "options": {"action": "give", "member": member, "badge": "wat"},
    });
    let id = platform.control.interact(request).await;
    let mut dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(MANAGE_GUILD);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    platform.publish(&dispatch).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["choices"].as_array().unwrap().len(), 1, "{reply:#}");
    assert_eq!(reply["choices"][0]["value"], "water-sharer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn badge_whose_role_has_permissions_that_the_admin_lacks_is_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    let role = json!({"name": "Boss", "permissions": "8"});
    let role = platform
        .control
        .create_role(&platform.community.guild, &role)
        .await
        .unwrap();
    let role = RoleId(role["id"].as_str().unwrap().parse().unwrap());
    let mut tx = platform.tenant().await;
    let key = "water-sharer".parse().unwrap();
    tx.communities().bind_role(&key, role).await.unwrap();
    tx.commit().await.unwrap();
    let reply = run(&platform, MANAGE_GUILD, &options(&platform, "give", "water-sharer")).await;
    let refusal = "The role Boss has permissions that you lack: ADMINISTRATOR.";
    assert_refusal(&reply["message"], refusal);
    assert_eq!(given(&platform).await, []);
    let reply = run(&platform, MANAGE_GUILD, &options(&platform, "give", "contributor")).await;
    assert_description(&reply["message"], "stilgar now holds");
}
