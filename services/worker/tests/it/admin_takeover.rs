//! `/admin-takeover` from the queue to the freeze, the audit entries, and the refusal of other admins.

use arrakis_db::{Actor, Community, JobState};
use arrakis_test_support::eventually;
use serde_json::{Value, json};

use crate::platform::{Dispatch, Platform, Worker, assert_description, assert_refusal};

/// Administrator.
const ADMINISTRATOR: &str = "8";

/// A platform whose worker permits admin commands without MFA.
async fn without_mfa() -> (Platform, Worker) {
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.push(("ADMIN_COMMANDS_WITHOUT_MFA", "yes".to_owned()));
    let worker = Worker::start(&environment).await;
    platform.commands_registered().await;
    (platform, worker)
}

/// The dispatch of an interaction as that of an administrator. Users of its options are administrators as well, except Liet.
async fn dispatch_of(platform: &Platform, id: &str) -> Dispatch {
    let mut dispatch = platform.dispatch_of(id).await;
    let mut body = dispatch.json();
    body["member"]["permissions"] = json!(ADMINISTRATOR);
    let members = body.pointer_mut("/data/resolved/members");
    if let Some(members) = members.and_then(Value::as_object_mut) {
        for (user, member) in members {
            let is_admin = user != platform.community.user("liet");
            member["permissions"] = json!(if is_admin { ADMINISTRATOR } else { "0" });
        }
    }
    dispatch.body = serde_json::to_vec(&body).unwrap();
    dispatch
}

/// Runs a command; returns its record once there is a reply or a modal.
async fn command(platform: &Platform, user: &str, name: &str, options: Value) -> Value {
    platform.delete_cooldowns();
    let id = platform.send_command(user, name, options).await;
    platform.publish(&dispatch_of(platform, &id).await).await;
    platform
        .until(&id, |view| view["state"] == "answered" || view["callback_type"] == 9)
        .await
}

/// A submitted modal; returns the interaction's id and its dispatch, unpublished.
async fn submitted(platform: &Platform, user: &str, custom_id: &str, fields: Value) -> (String, Dispatch) {
    let request = json!({
        "kind": "modal", "custom_id": custom_id, "fields": fields, "guild_id": platform.community.guild,
        "channel_id": platform.community.channel, "user_id": user, "force": true,
    });
    let id = platform.control.interact(request).await;
    let dispatch = dispatch_of(platform, &id).await;
    (id, dispatch)
}

async fn submit(platform: &Platform, user: &str, custom_id: &str, fields: Value) -> Value {
    let (id, dispatch) = submitted(platform, user, custom_id, fields).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await["message"].clone()
}

async fn stored(platform: &Platform) -> Community {
    let mut tx = platform.tenant().await;
    tx.communities().get().await.unwrap().unwrap()
}

/// The actions of the audit log about takeovers with their subjects, oldest first.
async fn audited(platform: &Platform) -> Vec<(Actor, String, String)> {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let found = entries.filter(|entry| entry.action.starts_with("community.takeover"));
    found.map(|entry| (entry.actor, entry.action, entry.subject)).collect()
}

/// Opens the modal that names Stilgar; returns its custom id.
async fn opened(platform: &Platform, user: &str) -> String {
    let stilgar = platform.community.user("stilgar").to_owned();
    let modal = command(platform, user, "admin-takeover", json!({"admin": stilgar})).await;
    assert_eq!(modal["callback_type"], 9, "{modal:#}");
    format!("admin-takeover:begin:{stilgar}")
}

/// Opens the modal that ends the takeover; returns its custom id.
async fn opened_end(platform: &Platform) -> String {
    let modal = command(platform, "stilgar", "admin-takeover", json!({})).await;
    assert_eq!(modal["callback_type"], 9, "{modal:#}");
    "admin-takeover:end".to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn community_is_frozen_handed_over_and_given_back() {
    let (platform, _worker) = without_mfa().await;
    let stilgar = platform.community.user("stilgar").to_owned();
    let modal = opened(&platform, "chani").await;
    assert_eq!(
        stored(&platform).await.frozen,
        None,
        "nothing changes before it is confirmed"
    );

    let fields = json!({"name": "Sietch Tabr", "reason": "a stolen account"});
    let reply = submit(&platform, "chani", &modal, fields).await;
    assert_description(&reply, &format!("<@{stilgar}> alone controls it"));
    let record = stored(&platform).await;
    assert_eq!(record.frozen.unwrap().reason, "a stolen account");
    assert_eq!(record.controlled_by, Some(platform.community.user_id("stilgar")));

    // Another admin is refused, also by the command itself.
    for name in ["admin-gates", "admin-takeover"] {
        let refused = command(&platform, "chani", name, json!({})).await;
        assert_refusal(&refused["message"], &format!("<@{stilgar}> alone controls it."));
    }
    // Members still read.
    let read = command(&platform, "chani", "threshold", json!({})).await;
    assert_description(&read["message"], "Rank 69 holds");

    let modal = opened_end(&platform).await;
    let reply = submit(&platform, "stilgar", &modal, json!({"name": "Sietch Tabr"})).await;
    assert_description(&reply, "The freeze has ended");
    let record = stored(&platform).await;
    assert_eq!((record.frozen, record.controlled_by), (None, None));
    let member = |name: &str| Actor::Member(platform.community.user_id(name));
    assert_eq!(
        audited(&platform).await,
        [
            (member("chani"), "community.takeover".to_owned(), stilgar.clone()),
            (member("stilgar"), "community.takeover_end".to_owned(), stilgar.clone()),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconcile_follows_the_end_of_a_takeover() {
    let (platform, _worker) = without_mfa().await;
    let modal = opened(&platform, "chani").await;
    let fields = json!({"name": "Sietch Tabr", "reason": "a drill"});
    submit(&platform, "chani", &modal, fields).await;
    let modal = opened_end(&platform).await;
    let (id, dispatch) = submitted(&platform, "stilgar", &modal, json!({"name": "Sietch Tabr"})).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    let job = format!("reconcile:takeover:{id}");
    let has_ended = async || {
        let job = platform.tenant().await.jobs().get(&job).await.unwrap();
        job.is_some_and(|job| job.state == JobState::Succeeded)
    };
    eventually(has_ended, "the reconcile").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_or_no_admin_changes_nothing() {
    let (platform, _worker) = without_mfa().await;
    let modal = opened(&platform, "chani").await;
    let fields = json!({"name": "sietch tabr", "reason": "a drill"});
    let reply = submit(&platform, "chani", &modal, fields).await;
    assert_refusal(&reply, "The name that you typed is not the community's");
    let options = json!({"admin": platform.community.user("liet")});
    let refused = command(&platform, "chani", "admin-takeover", options).await;
    assert_refusal(&refused["message"], "liet does not manage this server.");
    let refused = command(&platform, "chani", "admin-takeover", json!({})).await;
    assert_refusal(&refused["message"], "This community is not taken over.");
    assert_eq!(stored(&platform).await.frozen, None);
    assert_eq!(audited(&platform).await, []);
}

/// Freezes the community as an operator does, which also ends a takeover.
async fn freeze(platform: &Platform) {
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(None).await.unwrap();
    tx.communities().set_frozen(Some("an incident")).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_of_the_operator_is_neither_taken_over_nor_ended() {
    let (platform, _worker) = without_mfa().await;
    let begin = opened(&platform, "chani").await;
    let fields = json!({"name": "Sietch Tabr", "reason": "a drill"});
    submit(&platform, "chani", &begin, fields.clone()).await;
    let end = opened_end(&platform).await;
    freeze(&platform).await;
    // The modal was opened before.
    let reply = submit(&platform, "stilgar", &end, json!({"name": "Sietch Tabr"})).await;
    assert_refusal(&reply, "This community is not taken over.");
    let reply = submit(&platform, "chani", &begin, fields).await;
    assert_refusal(&reply, "This community is frozen already: an incident.");
    let options = json!({"admin": platform.community.user("stilgar")});
    let refused = command(&platform, "chani", "admin-takeover", options).await;
    assert_refusal(&refused["message"], "This community is frozen already: an incident.");
    let record = stored(&platform).await;
    assert_eq!(record.frozen.unwrap().reason, "an incident");
    assert_eq!(record.controlled_by, None);
    assert_eq!(audited(&platform).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_and_modal_are_refused_without_mfa() {
    let (platform, worker) = without_mfa().await;
    let modal = opened(&platform, "chani").await;
    // The next worker does not permit it.
    worker.stop().await.unwrap();
    let _worker = platform.worker().await;
    let options = json!({"admin": platform.community.user("stilgar")});
    let refused = command(&platform, "chani", "admin-takeover", options).await;
    assert_refusal(&refused["message"], "`/admin-takeover` needs a second factor");
    let fields = json!({"name": "Sietch Tabr", "reason": "a drill"});
    let reply = submit(&platform, "chani", &modal, fields).await;
    assert_refusal(&reply, "`/admin-takeover` needs a second factor");
    assert_eq!(stored(&platform).await.frozen, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_run_of_one_submission_changes_nothing() {
    let (platform, _worker) = without_mfa().await;
    let modal = opened(&platform, "stilgar").await;
    let fields = json!({"name": "Sietch Tabr", "reason": "a drill"});
    let (id, dispatch) = submitted(&platform, "stilgar", &modal, fields).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(None).await.unwrap();
    tx.commit().await.unwrap();
    platform.delete_done_markers();
    platform.publish(&dispatch).await;
    platform.until_messages("arrakis.interactions", 0).await;
    assert_description(&platform.control.interaction(&id).await["message"], "alone controls it");
    assert_eq!(stored(&platform).await.frozen, None);
    assert_eq!(audited(&platform).await.len(), 1);
}

/// Two admins submit before either takeover is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_of_two_takeovers_at_once_is_refused() {
    let (platform, _worker) = without_mfa().await;
    let stilgar = platform.community.user("stilgar").to_owned();
    let jamis = platform.community.user("jamis").to_owned();
    let fields = json!({"name": "Sietch Tabr", "reason": "a drill"});
    let mut submissions = Vec::new();
    for (user, admin) in [("chani", &stilgar), ("harah", &jamis)] {
        let modal = format!("admin-takeover:begin:{admin}");
        let options = json!({"admin": admin});
        let opened = command(&platform, user, "admin-takeover", options).await;
        assert_eq!(opened["callback_type"], 9, "{opened:#}");
        submissions.push(submitted(&platform, user, &modal, fields.clone()).await);
    }
    let mut tx = platform.tenant().await;
    tx.communities().lock().await.unwrap();
    for (_, dispatch) in &submissions {
        platform.publish(dispatch).await;
    }
    for (id, _) in &submissions {
        platform.until(id, |view| view["callback_type"] == 5).await;
    }
    tx.commit().await.unwrap();
    let mut refused = 0;
    for (id, _) in &submissions {
        let message = platform.control.answered(id).await["message"].clone();
        if message.to_string().contains("This community is frozen since") {
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(audited(&platform).await.len(), 1);
}
