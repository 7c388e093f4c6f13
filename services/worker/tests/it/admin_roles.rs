//! `/admin-roles` from the queue to the settings, the audit entry, the job and the roles.

use arrakis_db::Actor;
use arrakis_domain::TierRoles;
use arrakis_test_support::eventually;
use serde_json::json;

use crate::platform::{Platform, Worker, assert_description, assert_refusal, embed};

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
async fn with_roles() -> (Platform, Worker) {
    once_assigned(Platform::with_worker().await).await
}

/// The same without rate limits.
async fn with_roles_and_no_rate_limits() -> (Platform, Worker) {
    once_assigned(Platform::with_worker_without_rate_limits().await).await
}

async fn once_assigned((platform, worker): (Platform, Worker)) -> (Platform, Worker) {
    platform.until_keys("stilgar", |keys| keys.contains(&"usul")).await;
    platform.until_keys("jamis", |keys| keys.contains(&"ichwan")).await;
    (platform, worker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_is_previewed_then_changed_by_a_job() {
    let (platform, _worker) = with_roles_and_no_rate_limits().await;
    let shown = platform.run_as_admin("admin-roles", json!({})).await;
    assert_description(&shown, "**exclusive**");

    let preview = platform
        .run_as_admin("admin-roles", json!({"policy": "cumulative"}))
        .await;
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

    let changed = platform.press_as_admin(&preview, "admin-roles:apply:cumulative").await;
    assert_description(&changed, "**cumulative**");
    assert_eq!(stored_policy(&platform).await, Some(TierRoles::Cumulative));
    platform
        .until_keys("jamis", |keys| keys.contains(&"ichwan") && keys.contains(&"hajra"))
        .await;
    platform
        .until_keys("stilgar", |keys| {
            ["usul", "sayyadina", "mushtamal", "sihaya", "qanat", "ichwan", "hajra"]
                .iter()
                .all(|key| keys.contains(key))
                && !keys.contains(&"fedaykin")
        })
        .await;

    let back = platform.run_as_admin("admin-roles", json!({"policy": "theme"})).await;
    assert_description(&back, "members would lose");
    platform.press_as_admin(&back, "admin-roles:apply:theme").await;
    platform
        .until_keys("stilgar", |keys| {
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
    let (platform, _worker) = with_roles_and_no_rate_limits().await;
    let preview = platform
        .run_as_admin("admin-roles", json!({"policy": "cumulative"}))
        .await;
    let changed = platform.press_as_admin(&preview, "admin-roles:apply:cumulative").await;
    let button = changed["components"][0]["components"][0]["custom_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(button.starts_with("admin-roles:progress:"), "{button}");
    platform.until_keys("stilgar", |keys| keys.contains(&"hajra")).await;
    let is_done = async || {
        let shown = platform.press_as_admin(&changed, &button).await;
        embed(&shown)["title"] == "All roles are changed"
    };
    eventually(is_done, "the job to be shown as done").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tier_roles_of_a_member_are_removed_and_given_back() {
    let (platform, _worker) = with_roles().await;
    let stilgar = platform.community.user("stilgar").to_owned();
    let question = platform.run_as_admin("admin-roles", json!({"member": stilgar})).await;
    assert_description(&question, "Remove all tier roles of stilgar?");
    let done = platform
        .press_as_admin(&question, &format!("admin-roles:remove:{stilgar}"))
        .await;
    assert_description(&done, "All tier roles of stilgar are removed");
    platform.until_keys("stilgar", |keys| !keys.contains(&"usul")).await;
    let mut tx = platform.tenant().await;
    let user = platform.community.user_id("stilgar");
    assert!(tx.profiles().by_user(user).await.unwrap().unwrap().protected);
    drop(tx);

    let question = platform.run_as_admin("admin-roles", json!({"member": stilgar})).await;
    assert_description(&question, "stilgar is protected");
    platform
        .press_as_admin(&question, &format!("admin-roles:return:{stilgar}"))
        .await;
    platform.until_keys("stilgar", |keys| keys.contains(&"usul")).await;
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
    let preview = platform
        .run_as_admin("admin-roles", json!({"policy": "cumulative"}))
        .await;
    let id = platform.send_command("harah", "admin-roles", json!({})).await;
    platform.publish(&platform.dispatch_as(&id, "2048").await).await;
    let reply = platform.control.answered(&id).await;
    assert_refusal(&reply["message"], "This command is for the server's admins.");

    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some("a drill")).await.unwrap();
    tx.commit().await.unwrap();
    let refused = platform
        .run_as_admin("admin-roles", json!({"policy": "cumulative"}))
        .await;
    assert_refusal(&refused, "The community is frozen");
    let (id, dispatch) = platform
        .pressed_by_admin(&preview, "admin-roles:apply:cumulative")
        .await;
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
    let preview = platform
        .run_as_admin("admin-roles", json!({"policy": "cumulative"}))
        .await;
    let (id, dispatch) = platform
        .pressed_by_admin(&preview, "admin-roles:apply:cumulative")
        .await;
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
    let shown = platform.run_as_admin("admin-roles", json!({})).await;
    for custom_id in [
        "admin-roles:remove:9223372036854775808",
        "water-share:give:18446744073709551615",
        "water-share:give:0",
    ] {
        platform.delete_cooldowns();
        let (id, dispatch) = platform.pressed_by_admin(&shown, custom_id).await;
        platform.publish(&dispatch).await;
        let view = platform.control.answered(&id).await;
        assert_refusal(&view["followups"][0], "This button belongs to an older version of me.");
    }
    assert_eq!(platform.messages("arrakis.dlq").await, 0);
}
