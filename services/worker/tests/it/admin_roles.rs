//! `/admin-roles` from the queue to the settings, the audit entry, the job and the roles.

use arrakis_db::Actor;
use arrakis_domain::TierRoles;
use arrakis_test_support::eventually;
use serde_json::{Value, json};

use crate::platform::{Dispatch, Platform, assert_description, assert_refusal, embed};

/// Manage Server.
const MANAGE_GUILD: &str = "32";

async fn dispatch_as(platform: &Platform, id: &str, permissions: &str) -> Dispatch {
    let mut dispatch = platform.dispatch_of(id).await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(permissions);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    dispatch
}

/// Runs the command as an admin; returns its message.
async fn command(platform: &Platform, options: Value) -> Value {
    platform.delete_cooldowns();
    let id = platform.send_command("chani", "admin-roles", options).await;
    let dispatch = dispatch_as(platform, &id, MANAGE_GUILD).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await["message"].clone()
}

/// Presses a button below a message as an admin; returns the interaction's id and its dispatch, unpublished.
async fn pressed(platform: &Platform, message: &Value, custom_id: &str) -> (String, Dispatch) {
    let message = message["id"].as_str().unwrap();
    let id = platform
        .control
        .press(&platform.community, "chani", message, custom_id)
        .await;
    let dispatch = dispatch_as(platform, &id, MANAGE_GUILD).await;
    (id, dispatch)
}

/// Presses a button; returns the edited message.
async fn press(platform: &Platform, message: &Value, custom_id: &str) -> Value {
    let (id, dispatch) = pressed(platform, message, custom_id).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await["message"].clone()
}

async fn until_keys(platform: &Platform, user: &str, is: impl Fn(&[&str]) -> bool) {
    let is_so = async || {
        let member = platform.control.member(&platform.community, user).await;
        is(&platform.community.keys(&member["roles"]))
    };
    eventually(is_so, format!("the roles of {user}")).await;
}

async fn stored_policy(platform: &Platform) -> Option<TierRoles> {
    let mut tx = platform.tenant().await;
    tx.communities().get().await.unwrap().unwrap().tier_roles
}

/// The actions of the audit log with this beginning and their subjects, oldest first.
async fn audited(platform: &Platform, action: &str) -> Vec<(Actor, String, String)> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let found = entries.filter(|entry| entry.action.starts_with(action));
    found.map(|entry| (entry.actor, entry.action, entry.subject)).collect()
}

/// A platform with a worker, once the reconcile has assigned the tier roles.
async fn with_roles() -> (Platform, crate::platform::Worker) {
    let (platform, worker) = Platform::with_worker().await;
    until_keys(&platform, "stilgar", |keys| keys.contains(&"usul")).await;
    until_keys(&platform, "jamis", |keys| keys.contains(&"ichwan")).await;
    (platform, worker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_is_previewed_then_changed_by_a_job() {
    let (platform, _worker) = with_roles().await;
    let shown = command(&platform, json!({})).await;
    assert_description(&shown, "**exclusive**");

    let preview = command(&platform, json!({"policy": "cumulative"})).await;
    assert_description(&preview, "members would gain");
    assert!(
        embed(&preview)["fields"][0]["value"]
            .as_str()
            .unwrap()
            .contains("Ichwan: 1 member, +1 each")
    );
    assert_eq!(
        stored_policy(&platform).await,
        None,
        "nothing changes before it is confirmed"
    );

    let changed = press(&platform, &preview, "admin-roles:apply:cumulative").await;
    assert_description(&changed, "**cumulative**");
    assert_eq!(stored_policy(&platform).await, Some(TierRoles::Cumulative));
    until_keys(&platform, "jamis", |keys| {
        keys.contains(&"ichwan") && keys.contains(&"hajra")
    })
    .await;
    until_keys(&platform, "stilgar", |keys| {
        ["usul", "sayyadina", "mushtamal", "sihaya", "qanat", "ichwan", "hajra"]
            .iter()
            .all(|key| keys.contains(key))
            && !keys.contains(&"fedaykin")
    })
    .await;

    let back = command(&platform, json!({"policy": "theme"})).await;
    assert_description(&back, "members would lose");
    press(&platform, &back, "admin-roles:apply:theme").await;
    until_keys(&platform, "stilgar", |keys| {
        keys.contains(&"usul") && !keys.contains(&"sayyadina") && !keys.contains(&"hajra")
    })
    .await;
    assert_eq!(stored_policy(&platform).await, None);
    let chani = Actor::Member(platform.community.user_id("chani"));
    let entry = |policy: &str| (chani.clone(), "community.tier_roles".to_owned(), policy.to_owned());
    assert_eq!(
        audited(&platform, "community.tier_roles").await,
        [entry("cumulative"), entry("exclusive")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_of_the_job_is_shown_until_it_ends() {
    let (platform, _worker) = with_roles().await;
    let preview = command(&platform, json!({"policy": "cumulative"})).await;
    let changed = press(&platform, &preview, "admin-roles:apply:cumulative").await;
    let button = changed["components"][0]["components"][0]["custom_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(button.starts_with("admin-roles:progress:"), "{button}");
    until_keys(&platform, "stilgar", |keys| keys.contains(&"hajra")).await;
    let is_done = async || {
        let shown = press(&platform, &changed, &button).await;
        embed(&shown)["title"] == "All roles are changed"
    };
    eventually(is_done, "the job to be shown as done").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tier_roles_of_a_member_are_removed_and_given_back() {
    let (platform, _worker) = with_roles().await;
    let stilgar = platform.community.user("stilgar").to_owned();
    let question = command(&platform, json!({"member": stilgar})).await;
    assert_description(&question, "Remove all tier roles of stilgar?");
    let done = press(&platform, &question, &format!("admin-roles:remove:{stilgar}")).await;
    assert_description(&done, "All tier roles of stilgar are removed");
    until_keys(&platform, "stilgar", |keys| !keys.contains(&"usul")).await;
    let mut tx = platform.tenant().await;
    let user = platform.community.user_id("stilgar");
    assert!(tx.profiles().by_user(user).await.unwrap().unwrap().protected);
    drop(tx);

    let question = command(&platform, json!({"member": stilgar})).await;
    assert_description(&question, "stilgar is protected");
    press(&platform, &question, &format!("admin-roles:return:{stilgar}")).await;
    until_keys(&platform, "stilgar", |keys| keys.contains(&"usul")).await;
    let actions: Vec<String> = audited(&platform, "roles.re")
        .await
        .into_iter()
        .map(|(_, action, _)| action)
        .collect();
    assert_eq!(actions, ["roles.remove_of_tiers", "roles.return_to_rules"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_in_a_frozen_community_and_by_a_member_is_refused() {
    let (platform, _worker) = with_roles().await;
    let preview = command(&platform, json!({"policy": "cumulative"})).await;
    let id = platform.send_command("harah", "admin-roles", json!({})).await;
    platform.publish(&dispatch_as(&platform, &id, "2048").await).await;
    let reply = platform.control.answered(&id).await;
    assert_refusal(&reply["message"], "This command is for the server's admins.");

    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some("a drill")).await.unwrap();
    tx.commit().await.unwrap();
    let refused = command(&platform, json!({"policy": "cumulative"})).await;
    assert_refusal(&refused, "The community is frozen");
    let (id, dispatch) = pressed(&platform, &preview, "admin-roles:apply:cumulative").await;
    platform.publish(&dispatch).await;
    let view = platform
        .until(&id, |view| {
            view["followups"].as_array().is_some_and(|sent| !sent.is_empty())
        })
        .await;
    assert_refusal(&view["followups"][0], "The community is frozen");
    assert_eq!(stored_policy(&platform).await, None);
    assert_eq!(audited(&platform, "community.tier_roles").await, []);
}

/// A worker that ended between the commit and the acknowledgement leaves the message to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_one_press_changes_nothing_and_replies_the_same() {
    let (platform, _worker) = with_roles().await;
    let preview = command(&platform, json!({"policy": "cumulative"})).await;
    let (id, dispatch) = pressed(&platform, &preview, "admin-roles:apply:cumulative").await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    platform.delete_done_markers();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let reply = platform.control.interaction(&id).await;
    assert_description(&reply["message"], "**cumulative**");
    assert_eq!(audited(&platform, "community.tier_roles").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn button_with_an_id_beyond_a_bigint_is_refused() {
    let (platform, _worker) = with_roles().await;
    let shown = command(&platform, json!({})).await;
    for custom_id in [
        "admin-roles:remove:9223372036854775808",
        "water-share:give:18446744073709551615",
        "water-share:give:0",
    ] {
        platform.delete_cooldowns();
        let (id, dispatch) = pressed(&platform, &shown, custom_id).await;
        platform.publish(&dispatch).await;
        let view = platform.control.answered(&id).await;
        assert_refusal(&view["followups"][0], "This button belongs to an older version of me.");
    }
    assert_eq!(platform.messages("arrakis.dlq").await, 0);
}
