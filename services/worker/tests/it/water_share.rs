//! `/water-share` and `/admin-water-share` from the queue to rows, audit entries and roles.

use arrakis_db::{BadgeSource, HeldBadge, UserId};
use arrakis_domain::BadgeId;
use arrakis_test_support::eventually;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::platform::{Dispatch, MANAGE_GUILD, Platform, assert_description, assert_refusal, description, embed};

fn water() -> BadgeId {
    BadgeId::new("water-sharer").unwrap()
}

/// Gives the badge to a member, as an admin does.
async fn give(platform: &Platform, name: &str) {
    let mut tx = platform.tenant().await;
    let admin = BadgeSource::Admin(platform.community.user_id("harah"));
    let user = platform.community.user_id(name);
    let now = OffsetDateTime::now_utc();
    assert!(tx.badges().award(user, &water(), admin, now, None).await.unwrap());
    tx.commit().await.unwrap();
}

/// The member's badge, if it is held.
async fn held(platform: &Platform, name: &str) -> Option<HeldBadge> {
    let mut tx = platform.tenant().await;
    let held = tx.badges().of(platform.community.user_id(name)).await.unwrap();
    held.into_iter().find(|held| held.badge == water())
}

/// Actions of the audit log about badges with their subjects, oldest first.
async fn audited(platform: &Platform) -> Vec<(String, String)> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let about_badges = entries.filter(|entry| entry.action.starts_with("badge."));
    about_badges.map(|entry| (entry.action, entry.subject)).collect()
}

fn id(user: UserId) -> String {
    user.to_string()
}

/// Runs a command of a member.
async fn command(platform: &Platform, user: &str, name: &str, options: Value) -> Value {
    platform.delete_cooldowns();
    let id = platform.send_command(user, name, options).await;
    publish_as_admin(platform, &id).await
}

/// Uses a component or modal: `kind`, `custom_id` and what these need.
async fn interact(platform: &Platform, user: &str, mut request: Value) -> Value {
    request["guild_id"] = json!(platform.community.guild);
    request["channel_id"] = json!(platform.community.channel);
    request["user_id"] = json!(user);
    request["force"] = json!(true);
    let id = platform.control.interact(request).await;
    publish_as_admin(platform, &id).await
}

/// Publishes the interaction as that of a member who manages the server; returns its record once it is answered.
async fn publish_as_admin(platform: &Platform, id: &str) -> Value {
    let mut dispatch: Dispatch = platform.dispatch_of(id).await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(MANAGE_GUILD);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    platform.publish(&dispatch).await;
    platform
        .until(id, |view| view["state"] == "answered" || view["callback_type"] == 9)
        .await
}

fn message_id(reply: &Value) -> String {
    reply["message"]["id"].as_str().unwrap().to_owned()
}

async fn press(platform: &Platform, user: &str, message: &str, custom_id: &str) -> Value {
    let request = json!({"kind": "component", "message_id": message, "custom_id": custom_id});
    interact(platform, user, request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_chooses_confirms_and_shares_once() {
    let (platform, _worker) = Platform::with_worker().await;
    give(&platform, "chani").await;
    let menu = command(&platform, "chani", "water-share", json!({})).await;
    assert_description(&menu["message"], "may share it with one member");
    let stilgar = platform.community.user_id("stilgar");
    let choice = json!({
        "kind": "component", "message_id": message_id(&menu), "custom_id": "water-share:choose", "values": [id(stilgar)],
    });
    let question = interact(&platform, "chani", choice).await;
    assert_description(&question["message"], "Share 💧 **Water Sharer** with stilgar?");
    assert_eq!(
        held(&platform, "stilgar").await,
        None,
        "nothing is shared before it is confirmed"
    );

    let done = press(
        &platform,
        "chani",
        &message_id(&menu),
        &format!("water-share:give:{stilgar}"),
    )
    .await;
    assert_description(&done["message"], "stilgar now holds 💧 **Water Sharer**.");
    let chani = platform.community.user_id("chani");
    let badge = held(&platform, "stilgar").await.unwrap();
    assert_eq!(badge.source, BadgeSource::Share(chani));
    assert_eq!(audited(&platform).await, [("badge.share".to_owned(), id(stilgar))]);
    let has_role = async || {
        let member = platform.control.member(&platform.community, "stilgar").await;
        platform.community.keys(&member["roles"]).contains(&"water-sharer")
    };
    eventually(has_role, "the role of the badge").await;

    let again = command(&platform, "chani", "water-share", json!({})).await;
    assert_refusal(
        &again["message"],
        "You have shared **Water Sharer** with stilgar already.",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn share_that_cannot_be_is_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    let to = |name: &str| json!({"member": platform.community.user(name)});
    let nothing = command(&platform, "chani", "water-share", to("stilgar")).await;
    assert_refusal(&nothing["message"], "You do not hold **Water Sharer**");
    give(&platform, "chani").await;
    give(&platform, "stilgar").await;
    for (name, refusal) in [
        ("stilgar", "stilgar holds **Water Sharer** already."),
        ("chani", "You cannot share with yourself."),
        ("stranger", "That is not a member that I know here"),
    ] {
        let refused = command(&platform, "chani", "water-share", to(name)).await;
        assert_refusal(&refused["message"], refusal);
    }
    assert_eq!(audited(&platform).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn share_is_kept_for_later() {
    let (platform, _worker) = Platform::with_worker().await;
    give(&platform, "chani").await;
    let question = command(
        &platform,
        "chani",
        "water-share",
        json!({"member": platform.community.user("jamis")}),
    )
    .await;
    let kept = press(&platform, "chani", &message_id(&question), "water-share:keep").await;
    assert_description(&kept["message"], "Nothing was shared.");
    assert_eq!(held(&platform, "jamis").await, None);
}

/// Both presses were sent before the message changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_press_shares_nothing() {
    let (platform, _worker) = Platform::with_worker().await;
    give(&platform, "chani").await;
    let question = command(
        &platform,
        "chani",
        "water-share",
        json!({"member": platform.community.user("jamis")}),
    )
    .await;
    let jamis = platform.community.user_id("jamis");
    let button = format!("water-share:give:{jamis}");
    press(&platform, "chani", &message_id(&question), &button).await;
    let request = json!({"kind": "component", "message_id": message_id(&question), "custom_id": button});
    let second = interact(&platform, "chani", request).await;
    assert!(
        second
            .to_string()
            .contains("You have shared **Water Sharer** with jamis already."),
        "{second:#}"
    );
    assert_eq!(audited(&platform).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_sees_the_lineage_and_revokes_a_branch() {
    let (platform, _worker) = Platform::with_worker().await;
    give(&platform, "chani").await;
    let users = ["chani", "stilgar", "jamis"].map(|name| platform.community.user_id(name));
    let mut tx = platform.tenant().await;
    for pair in users.windows(2) {
        let source = BadgeSource::Share(pair[0]);
        let now = OffsetDateTime::now_utc();
        assert!(tx.badges().award(pair[1], &water(), source, now, None).await.unwrap());
    }
    tx.commit().await.unwrap();

    let all = command(&platform, "harah", "admin-water-share", json!({})).await;
    assert_description(&all["message"], "3 holders in all");
    assert_description(&all["message"], "chani\n└ stilgar\n  └ jamis");
    let options = json!({"member": platform.community.user("stilgar")});
    let branch = command(&platform, "harah", "admin-water-share", options).await;
    assert_description(&branch["message"], "stilgar\n└ jamis");

    let stilgar = users[1];
    let asked = press(
        &platform,
        "harah",
        &message_id(&branch),
        &format!("admin-water-share:ask:{stilgar}"),
    )
    .await;
    assert_eq!(asked["callback_type"], 9, "{asked:#}");
    let submitted = json!({
        "kind": "modal", "custom_id": format!("admin-water-share:revoke:{stilgar}"), "fields": {"reason": "sold it"},
    });
    let reply = interact(&platform, "harah", submitted).await;
    assert!(
        description(&reply["message"]).contains("Revoked: 2 badges."),
        "{reply:#}"
    );
    assert!(held(&platform, "chani").await.is_some(), "above the branch");
    for name in ["stilgar", "jamis"] {
        assert_eq!(held(&platform, name).await, None, "{name}");
    }
    assert_eq!(
        audited(&platform).await,
        [("badge.revoke_branch".to_owned(), id(stilgar))]
    );
    assert_eq!(embed(&reply["message"])["title"], "Branch of Water Sharer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lineage_is_for_admins() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.run_command("chani", "admin-water-share", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert_refusal(&reply["message"], "This command is for the server's admins.");
}
