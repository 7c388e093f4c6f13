//! `/reconcile`: comparisons with a report, repairs of the server, and changes of the rule set.

use std::collections::BTreeMap;

use arrakis_db::{JobState, RuleChange};
use arrakis_domain::{RoleId, RoleKey};
use arrakis_emulator_client::Fault;
use arrakis_test_support::{eventually, eventually_within};
use arrakis_worker::jobs::reconcile::scheduled_id;
use arrakis_worker::reconcile_report::{ReconcileReport, StructureReport};
use arrakis_worker::synthesis::{Manifest, Structure};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::platform::{Dispatch, MANAGE_GUILD, Platform, Worker, assert_description, assert_refusal};

async fn until_reconciled(platform: &Platform) {
    until_ended(platform, &scheduled_id(OffsetDateTime::now_utc())).await;
}

async fn until_ended(platform: &Platform, id: &str) -> JobState {
    eventually(
        || async {
            let job = platform.tenant().await.jobs().get(id).await.unwrap();
            job.map(|job| job.state).filter(|state| state.is_final())
        },
        format!("job {id} to end"),
    )
    .await
}

/// An admin runs `/reconcile` with these options.
async fn run(platform: &Platform, options: Value) -> String {
    platform.delete_cooldowns();
    let id = platform.send_command("harah", "reconcile", options).await;
    platform.deliver_with_permissions(MANAGE_GUILD).await;
    id
}

/// The admin presses a button of a message; returns the interaction and its dispatch.
async fn press(platform: &Platform, message: &Value, custom_id: &str) -> (String, Dispatch) {
    let message = message["id"].as_str().unwrap();
    let id = platform
        .control
        .press(&platform.community, "harah", message, custom_id)
        .await;
    let dispatch = platform.deliver_with_permissions(MANAGE_GUILD).await;
    platform.control.answered(&id).await;
    (id, dispatch)
}

async fn report(platform: &Platform, interaction: &str) -> ReconcileReport {
    let id = format!("reconcile:command:{interaction}");
    let stored = eventually(
        || async { platform.tenant().await.reconcile_reports().get(&id).await.unwrap() },
        "the report",
    )
    .await;
    ReconcileReport::read(&stored.report).unwrap()
}

/// The community's server is managed: its roles, without channels.
async fn manage(platform: &Platform) {
    let manifest = Manifest {
        theme: "sietch".to_owned(),
        rule_set: "balance".to_owned(),
        structure: Structure::RolesOnly,
        roles: BTreeMap::new(),
    };
    let mut tx = platform.tenant().await;
    tx.manifests().put(&manifest.to_value(), "a test").await.unwrap();
    tx.commit().await.unwrap();
}

async fn admin_platform() -> (Platform, Worker) {
    let (platform, worker) = Platform::with_worker().await;
    until_reconciled(&platform).await;
    (platform, worker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_deleted_by_hand_is_reported_and_repaired() {
    let (platform, _worker) = admin_platform().await;
    manage(&platform).await;
    let first = run(&platform, json!({})).await;
    let found = report(&platform, &first).await;
    let StructureReport::Differs { job: Some(job), .. } = &found.structure else {
        panic!("the bot's role is missing: {found:?}")
    };
    assert_eq!(until_ended(&platform, job).await, JobState::Succeeded);
    let usul = &platform.community.roles["usul"];
    platform
        .control
        .delete_role(&platform.community.guild, usul)
        .await
        .unwrap();
    let second = run(&platform, json!({})).await;
    let found = report(&platform, &second).await;
    assert!(
        found.broken.iter().any(|broken| broken.name == "role Usul"),
        "{found:?}"
    );
    let StructureReport::Differs {
        changes,
        job: Some(job),
    } = &found.structure
    else {
        panic!("no difference: {found:?}")
    };
    assert!(changes.iter().any(|change| change == "create role Usul"), "{changes:?}");
    assert_eq!(until_ended(&platform, job).await, JobState::Succeeded);
    let bindings = platform.tenant().await.communities().role_bindings().await.unwrap();
    assert_ne!(bindings[&"usul".parse::<RoleKey>().unwrap()].to_string(), *usul);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_that_is_bound_while_members_are_read_stays_bound() {
    let (platform, _worker) = admin_platform().await;
    let roles_read = || platform.control.count("GET", "/roles", 200);
    let before = roles_read().await;
    let slow = Fault::rest_latency(2_000).method("GET").path("/members").count(1);
    platform.control.fault(&slow).await.unwrap();
    let id = run(&platform, json!({"action": "compare"})).await;
    eventually(|| async { roles_read().await > before }, "the roles to be read").await;
    let made = platform
        .control
        .create_role(&platform.community.guild, &json!({"name": "New"}))
        .await
        .unwrap();
    let role = RoleId(made["id"].as_str().unwrap().parse().unwrap());
    let key: RoleKey = "water-sharer".parse().unwrap();
    let mut tx = platform.tenant().await;
    tx.communities().bind_role(&key, role).await.unwrap();
    tx.commit().await.unwrap();
    report(&platform, &id).await;
    let bindings = platform.tenant().await.communities().role_bindings().await.unwrap();
    assert_eq!(bindings.get(&key), Some(&role));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comparison_alone_changes_nothing() {
    let (platform, _worker) = admin_platform().await;
    manage(&platform).await;
    let id = run(&platform, json!({"action": "compare"})).await;
    let found = report(&platform, &id).await;
    assert!(found.only_compared);
    let StructureReport::Differs { job, changes } = &found.structure else {
        panic!("no difference: {found:?}")
    };
    assert_eq!(*job, None);
    assert!(
        changes.iter().any(|change| change == "create role Shai-Hulud"),
        "{changes:?}"
    );
    let created = platform.control.count("POST", "/roles", 200).await;
    assert_eq!(created, 0);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_without_the_permission_is_refused() {
    let (platform, _worker) = admin_platform().await;
    let id = platform.run_command("chani", "reconcile", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert_refusal(&reply["message"], "This command is for the server's admins.");
    platform.vhost.finish().await;
}

async fn use_ranked_rules(platform: &Platform) {
    let mut tx = platform.tenant().await;
    let rules = "ranked".parse().unwrap();
    tx.communities().set_rule_set(&rules).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_the_rules_is_previewed_and_takes_effect_after_its_grace_period() {
    let (platform, _worker) = admin_platform().await;
    use_ranked_rules(&platform).await;
    let options = json!({"action": "rules", "rule-set": "balance", "grace-days": 7});
    let id = run(&platform, options).await;
    let reply = platform.control.answered(&id).await;
    // Jamis and Liet hold little and rank well.
    assert_description(&reply["message"], "2 members get a lower tier");
    let pending = platform.tenant().await.rule_changes().pending().await.unwrap();
    assert_eq!(pending, None, "a preview changes nothing");
    press(&platform, &reply["message"], "reconcile:apply:balance:7").await;
    let pending: RuleChange = platform.tenant().await.rule_changes().pending().await.unwrap().unwrap();
    assert_eq!(pending.rule_set.as_str(), "balance");
    assert_eq!((pending.effective_at - pending.requested_at).whole_days(), 7);
    // Those affected are told, and the rules stay.
    let told = format!("rule-change:{}:tell", pending.id);
    assert_eq!(until_ended(&platform, &told).await, JobState::Succeeded);
    let record = platform.tenant().await.communities().get().await.unwrap().unwrap();
    assert_eq!(record.rule_set.as_str(), "ranked");
    let due = platform
        .tenant()
        .await
        .jobs()
        .get(&format!("rule-change:{}", pending.id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((due.state, due.due_at), (JobState::Queued, pending.effective_at));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_without_grace_is_in_force_at_once() {
    let (platform, _worker) = admin_platform().await;
    use_ranked_rules(&platform).await;
    let id = run(&platform, json!({"action": "rules", "rule-set": "balance"})).await;
    let reply = platform.control.answered(&id).await;
    let (_, dispatch) = press(&platform, &reply["message"], "reconcile:apply:balance:0").await;
    // Delivered twice: the change is stored once.
    platform.delete_done_markers();
    platform.publish(&dispatch).await;
    eventually(
        || async {
            let record = platform.tenant().await.communities().get().await.unwrap().unwrap();
            record.rule_set.as_str() == "balance"
        },
        "the rules to be in force",
    )
    .await;
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    let count = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
    assert_eq!((count("rules.announce"), count("rules.changed")), (1, 1));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_change_of_the_rules_is_shown_and_cancelled() {
    let (platform, _worker) = admin_platform().await;
    use_ranked_rules(&platform).await;
    let options = json!({"action": "rules", "rule-set": "balance", "grace-days": 7});
    let id = run(&platform, options).await;
    let reply = platform.control.answered(&id).await;
    press(&platform, &reply["message"], "reconcile:apply:balance:7").await;
    let pending: RuleChange = platform.tenant().await.rule_changes().pending().await.unwrap().unwrap();
    let shown = run(&platform, json!({"action": "rules"})).await;
    let reply = platform.control.answered(&shown).await;
    assert_description(&reply["message"], "The rules **balance** are in force from");
    let cancel = format!("reconcile:cancel:{}", pending.id);
    let (_, dispatch) = press(&platform, &reply["message"], &cancel).await;
    // Delivered twice: it is cancelled once.
    platform.delete_done_markers();
    platform.publish(&dispatch).await;
    let event = dispatch.labels().event_id;
    eventually(
        || async { platform.has_done_marker(event.as_str()) },
        "the second run of the press to end",
    )
    .await;
    assert_eq!(platform.tenant().await.rule_changes().pending().await.unwrap(), None);
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    let cancelled = entries.iter().filter(|entry| entry.action == "rules.cancel").count();
    assert_eq!(cancelled, 1);
    let again = run(&platform, json!({"action": "rules"})).await;
    let reply = platform.control.answered(&again).await;
    assert_refusal(&reply["message"], "No change of the rules is pending.");
}

/// The job of the change has failed, and its row is still pending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_the_rules_whose_job_has_failed_is_put_into_force() {
    let (platform, _worker) = admin_platform().await;
    use_ranked_rules(&platform).await;
    let now = OffsetDateTime::now_utc();
    let change = RuleChange {
        id: uuid::Uuid::from_u128(7),
        rule_set: "balance".parse().unwrap(),
        requested_by: platform.community.user_id("harah"),
        requested_at: now - time::Duration::DAY,
        effective_at: now - time::Duration::hours(2),
    };
    let mut tx = platform.tenant().await;
    tx.rule_changes().announce(&change).await.unwrap();
    tx.commit().await.unwrap();
    run(&platform, json!({})).await;
    eventually(
        || async {
            let record = platform.tenant().await.communities().get().await.unwrap().unwrap();
            record.rule_set.as_str() == "balance"
        },
        "the rules to be in force",
    )
    .await;
    assert_eq!(platform.tenant().await.rule_changes().pending().await.unwrap(), None);
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    let changed = entries.iter().filter(|entry| entry.action == "rules.changed").count();
    assert_eq!(changed, 1);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_about_a_change_wait_while_discord_accepts_none() {
    let (platform, _worker) = admin_platform().await;
    use_ranked_rules(&platform).await;
    let outage = Fault::rest_status(503).method("POST").path("/users/@me/channels");
    platform.control.fault(&outage).await.unwrap();
    let options = json!({"action": "rules", "rule-set": "balance", "grace-days": 7});
    let id = run(&platform, options).await;
    let reply = platform.control.answered(&id).await;
    press(&platform, &reply["message"], "reconcile:apply:balance:7").await;
    let pending: RuleChange = platform.tenant().await.rule_changes().pending().await.unwrap().unwrap();
    let next = format!("rule-change:{}:tell+1", pending.id);
    let next = eventually_within(
        std::time::Duration::from_secs(60),
        || async { platform.tenant().await.jobs().get(&next).await.unwrap() },
        "the next part to be stored",
    )
    .await;
    assert_eq!(next.state, JobState::Queued);
    assert!(next.due_at > OffsetDateTime::now_utc() + time::Duration::minutes(8));
    assert_eq!(next.payload["after"], Value::Null, "nobody was told");
}

/// The direct messages of a member about a change of the rules.
async fn rule_messages(platform: &Platform, name: &str) -> usize {
    let path = format!("/dms/{}/messages", platform.community.user(name));
    let listed: Result<Vec<Value>, _> = platform.control.request(reqwest::Method::GET, &path, None::<&()>).await;
    listed.unwrap_or_default().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_that_is_confirmed_again_is_one_change_with_one_message() {
    let (platform, _worker) = admin_platform().await;
    use_ranked_rules(&platform).await;
    let before = rule_messages(&platform, "jamis").await;
    let options = json!({"action": "rules", "rule-set": "balance", "grace-days": 7});
    let id = run(&platform, options).await;
    let reply = platform.control.answered(&id).await["message"].clone();
    // Both presses wait for the lock, as two at once.
    let mut tx = platform.tenant().await;
    tx.communities().lock().await.unwrap();
    let mut presses = Vec::new();
    for _ in 0..2 {
        let message = reply["id"].as_str().unwrap();
        let press = platform
            .control
            .press(&platform.community, "harah", message, "reconcile:apply:balance:7");
        presses.push(press.await);
        platform.deliver_with_permissions(MANAGE_GUILD).await;
    }
    for press in &presses {
        platform.until(press, |view| view["callback_type"] == 6).await;
    }
    tx.commit().await.unwrap();
    for press in &presses {
        let view = platform.control.answered(press).await;
        assert_description(&view["message"], "The rules **balance** are in force from");
        assert_eq!(view["followups"], json!([]));
    }
    let pending: RuleChange = platform.tenant().await.rule_changes().pending().await.unwrap().unwrap();
    let told = format!("rule-change:{}:tell", pending.id);
    assert_eq!(until_ended(&platform, &told).await, JobState::Succeeded);
    // Cancelled and confirmed again: another change, and no news.
    press(&platform, &reply, &format!("reconcile:cancel:{}", pending.id)).await;
    press(&platform, &reply, "reconcile:apply:balance:7").await;
    let again: RuleChange = platform.tenant().await.rule_changes().pending().await.unwrap().unwrap();
    assert_ne!(again.id, pending.id);
    let told = format!("rule-change:{}:tell", again.id);
    assert_eq!(until_ended(&platform, &told).await, JobState::Succeeded);
    assert_eq!(rule_messages(&platform, "jamis").await, before + 1);
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    let announced = entries.iter().filter(|entry| entry.action == "rules.announce").count();
    assert_eq!(announced, 2);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_comparison_is_refused() {
    let (platform, _worker) = admin_platform().await;
    let id = run(&platform, json!({"action": "compare"})).await;
    report(&platform, &id).await;
    let reply = platform.control.answered(&id).await;
    let message = reply["message"]["id"].as_str().unwrap();
    let press = platform
        .control
        .press(&platform.community, "harah", message, "reconcile:show:1")
        .await;
    platform.deliver_with_permissions(MANAGE_GUILD).await;
    let view = platform.control.answered(&press).await;
    assert_refusal(&view["followups"][0], "This button belongs to an older version of me.");
}
