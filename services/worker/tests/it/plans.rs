//! Plans: a theme that the plan does not include stays in use for a grace period, then another one takes its place and the roles of the
//! theme before are removed. The admins are told of both. Also the subcommands of operators: `plan`, `theme`, `end-takeover` and
//! `unfreeze`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

use arrakis_db::{Actor, Community, JobState, TEARDOWN_FREEZE};
use arrakis_domain::{Plan, RoleBindings, RoleId, RoleKey};
use arrakis_emulator_client::MemberEdit;
use arrakis_telemetry::Metrics;
use arrakis_test_support::{Process, eventually};
use arrakis_worker::jobs::{self, tier_sync};
use arrakis_worker::leader::publish_lost_jobs;
use arrakis_worker::synthesis::{Manifest, Structure};
use reqwest::Method;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::platform::Platform;

/// How long a subcommand may take.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Sets the free plan with a grace period until this time.
async fn downgrade(platform: &Platform, until: OffsetDateTime) {
    let mut tx = platform.tenant().await;
    tx.communities()
        .set_plan(Plan::Free, Plan::Premium, Some(until))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn stored(platform: &Platform) -> Community {
    let mut tx = platform.tenant().await;
    tx.communities().get().await.unwrap().unwrap()
}

async fn theme(platform: &Platform) -> String {
    stored(platform).await.theme.to_string()
}

/// The number of audit entries with this action.
async fn audited(platform: &Platform, action: &str) -> usize {
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap();
    entries.iter().filter(|entry| entry.action == action).count()
}

async fn until_role(platform: &Platform, user: &str, key: &str, wanted: bool) {
    let is_as_wanted = async || {
        let member = platform.control.member(&platform.community, user).await;
        platform.community.keys(&member["roles"]).contains(&key) == wanted
    };
    eventually(is_as_wanted, format!("{user} has the role {key}: {wanted}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn theme_is_replaced_when_its_grace_period_is_over() {
    let (platform, worker) = Platform::with_worker().await;
    until_role(&platform, "chani", "naib", true).await;
    until_role(&platform, "stilgar", "usul", true).await;
    worker.stop().await.unwrap();
    downgrade(&platform, OffsetDateTime::now_utc() - Duration::MINUTE).await;

    let _worker = platform.worker().await;
    until_role(&platform, "chani", "naib", false).await;
    until_role(&platform, "stilgar", "usul", false).await;
    assert_eq!(theme(&platform).await, "basic");
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap();
    let changes: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "community.theme")
        .collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].actor, Actor::System("plans".to_owned()));
    assert_eq!(changes[0].detail["before"], "sietch");
    let bindings = tx.communities().role_bindings().await.unwrap();
    assert!(bindings.keys().all(|key| key.as_str() != "naib"), "{bindings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn theme_stays_within_its_grace_period() {
    let platform = Platform::start().await;
    downgrade(&platform, OffsetDateTime::now_utc() + Duration::DAY).await;
    let _worker = platform.worker().await;
    until_role(&platform, "chani", "naib", true).await;
    assert_eq!(theme(&platform).await, "sietch");
}

/// Leaves the community without the plan of its theme, as a build before grace periods did.
async fn downgrade_without_grace(platform: &Platform) {
    let community = platform.community.id;
    let statement = format!(
        "begin; select set_config('app.current_tenant', '{community}', true);
         update communities set plan = 'free', theme_plan = 'free'; commit;"
    );
    platform.sql(&statement).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn theme_outside_of_the_plan_gets_a_grace_period() {
    let platform = Platform::start().await;
    downgrade_without_grace(&platform).await;
    let _worker = platform.worker().await;
    let has_grace = async || {
        let mut tx = platform.tenant().await;
        let record = tx.communities().get().await.unwrap().unwrap();
        record
            .theme_grace_until
            .is_some_and(|until| until > OffsetDateTime::now_utc())
    };
    eventually(has_grace, "the grace period").await;
    assert_eq!(theme(&platform).await, "sietch");
}

/// The owner of the server and Harah, who gets a role that manages it.
async fn admins(platform: &Platform) -> [String; 2] {
    let guild = platform.community.guild.as_str();
    let role = json!({"name": "Steward", "permissions": "32"});
    platform.control.create_role(guild, &role).await.unwrap();
    let edit = MemberEdit {
        add_roles: vec!["Steward".to_owned()],
        ..MemberEdit::default()
    };
    let harah = platform.community.user("harah").to_owned();
    platform.control.edit_member(guild, &harah, &edit).await.unwrap();
    let calls = platform.services(&Metrics::new()).discord.bulk(None);
    let owner = calls.guild(guild.parse().unwrap()).await.unwrap().owner_id;
    [owner.to_string(), harah]
}

/// Titles of the direct messages to a user about the theme, oldest first.
async fn told(platform: &Platform, user: &str) -> Vec<String> {
    let path = format!("/dms/{user}/messages");
    let listed: Result<Vec<Value>, _> = platform.control.request(Method::GET, &path, None::<&()>).await;
    let listed = listed.unwrap_or_default();
    let titles = listed
        .iter()
        .filter_map(|message| message["embeds"][0]["title"].as_str());
    let about = titles.filter(|title| title.starts_with("The theme "));
    about.map(str::to_owned).collect()
}

async fn until_told(platform: &Platform, user: &str, titles: &[&str]) {
    let is_so = || async { told(platform, user).await == titles };
    eventually(is_so, format!("{user} to be told {titles:?}")).await;
}

/// Waits until the job has ended that tells the admins of the beginning of the present grace period.
async fn until_all_are_told(platform: &Platform) {
    let until = stored(platform).await.theme_grace_until.unwrap().unix_timestamp();
    let id = format!("theme-grace:{until}:begun");
    let has_ended = || async {
        let job = platform.tenant().await.jobs().get(&id).await.unwrap();
        job.is_some_and(|job| job.state == JobState::Succeeded)
    };
    eventually(has_ended, "the admins to be told").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admins_are_told_once_that_a_grace_period_begins_and_that_the_theme_was_replaced() {
    let platform = Platform::start().await;
    let admins = admins(&platform).await;
    downgrade_without_grace(&platform).await;
    let worker = platform.worker().await;
    for admin in &admins {
        until_told(&platform, admin, &["The theme will change"]).await;
    }
    until_all_are_told(&platform).await;
    worker.stop().await.unwrap();
    downgrade(&platform, OffsetDateTime::now_utc() - Duration::MINUTE).await;
    let _second = platform.worker().await;
    for admin in &admins {
        until_told(&platform, admin, &["The theme will change", "The theme has changed"]).await;
    }
    assert_eq!(told(&platform, platform.community.user("chani")).await, [""; 0]);
}

/// Killed behind Discord's response to the first message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_message_to_each_admin() {
    let platform = Platform::start().await;
    let admins = admins(&platform).await;
    let (code, text) = run(&platform, "plan", &["free", "--grace-days", "3"]).await;
    assert_eq!(code, 0, "{text}");
    let mut environment = platform.environment();
    let health = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    environment.push(("HEALTH_ADDR", health.to_string()));
    let point = "discord.called[POST /channels/{channel}/messages]=kill";
    environment.push(("ARRAKIS_FAIL_POINTS", point.to_owned()));
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let mut killed = Process::start_at(program, &[], environment);
    // The leader publishes what a subcommand stored once it is due for half a minute.
    killed.ended(2 * LIMIT).await;
    let _second = platform.worker().await;
    until_all_are_told(&platform).await;
    for admin in &admins {
        assert_eq!(told(&platform, admin).await, ["The theme will change"]);
    }
}

/// Stores a manifest of the present theme: the platform then manages the roles of the server.
async fn manage(platform: &Platform) {
    manage_with(platform, BTreeMap::new()).await;
}

/// The same with roles of the server that stand for roles of the theme.
async fn manage_with(platform: &Platform, roles: BTreeMap<String, u64>) {
    let manifest = Manifest {
        theme: "sietch".to_owned(),
        rule_set: "balance".to_owned(),
        structure: Structure::RolesOnly,
        roles,
    };
    let mut tx = platform.tenant().await;
    tx.manifests().put(&manifest.to_value(), "a test").await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_roles_are_bound_before_members_lose_the_old_ones() {
    let (platform, worker) = Platform::with_worker().await;
    for (user, key) in [("chani", "naib"), ("stilgar", "usul"), ("jamis", "ichwan")] {
        until_role(&platform, user, key, true).await;
    }
    worker.stop().await.unwrap();
    manage(&platform).await;
    downgrade(&platform, OffsetDateTime::now_utc() - Duration::MINUTE).await;

    let _worker = platform.worker().await;
    eventually(async || theme(&platform).await == "basic", "the theme to be replaced").await;
    until_role(&platform, "chani", "naib", false).await;
    let mut tx = platform.tenant().await;
    let bindings = tx.communities().role_bindings().await.unwrap();
    let manifest = tx.manifests().latest().await.unwrap().unwrap();
    drop(tx);
    assert_eq!(manifest.manifest["theme"], "basic");
    // Chani's rank is the first.
    let gold = bindings[&RoleKey::new("gold").unwrap()].to_string();
    let has_gold = async || {
        let member = platform.control.member(&platform.community, "chani").await;
        member["roles"].as_array().unwrap().iter().any(|role| *role == gold)
    };
    eventually(has_gold, "Chani to have the role of Gold").await;

    let calls = platform.control.rest_calls().await.unwrap();
    let created = calls
        .iter()
        .rposition(|call| call.method == "POST" && call.path.ends_with("/roles"));
    let naib = &platform.community.roles["naib"];
    let removed = calls
        .iter()
        .position(|call| call.method == "DELETE" && call.path.ends_with(&format!("/roles/{naib}")));
    assert!(created.unwrap() < removed.unwrap());
    // No tier sync met a role that is not bound.
    assert_eq!(audited(&platform, "role.broken").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_lose_the_role_of_both_themes_in_whose_place_another_is_bound() {
    let platform = Platform::start().await;
    let community = platform.community.id;
    let statement =
        format!("set app.current_tenant = '{community}'; update profiles set joined_at = now() - interval '200 days'");
    platform.sql(&statement).await;
    let worker = platform.worker().await;
    until_role(&platform, "chani", "veteran", true).await;
    worker.stop().await.unwrap();
    let guild = platform.community.guild.as_str();
    let role = json!({"name": "Old Guard"});
    let guard = platform.control.create_role(guild, &role).await.unwrap()["id"].clone();
    let id: u64 = guard.as_str().unwrap().parse().unwrap();
    manage_with(&platform, BTreeMap::from([("veteran".to_owned(), id)])).await;
    downgrade(&platform, OffsetDateTime::now_utc() - Duration::MINUTE).await;

    let _worker = platform.worker().await;
    eventually(async || theme(&platform).await == "basic", "the theme to be replaced").await;
    until_role(&platform, "chani", "veteran", false).await;
    let has_guard = async || {
        let member = platform.control.member(&platform.community, "chani").await;
        member["roles"].as_array().unwrap().contains(&guard)
    };
    eventually(has_guard, "Chani to have the other role").await;
    let bindings = platform.tenant().await.communities().role_bindings().await.unwrap();
    assert_eq!(bindings[&RoleKey::new("veteran").unwrap()], RoleId(id));
}

/// A reconcile after the freeze would not remove these roles: the present theme does not have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_of_retired_roles_waits_for_the_end_of_a_freeze() {
    let (platform, _worker) = Platform::with_worker().await;
    until_role(&platform, "chani", "naib", true).await;
    let naib = RoleId(platform.community.roles["naib"].parse().unwrap());
    let mut tx = platform.tenant().await;
    tx.communities().unbind_role(naib).await.unwrap();
    tx.communities().set_frozen(Some("a drill")).await.unwrap();
    tx.commit().await.unwrap();
    let services = platform.services(&Metrics::new());
    let retired = RoleBindings::from([(RoleKey::new("naib").unwrap(), naib)]);
    let (id, community) = ("tier-sync:theme:test", platform.community.id);
    let request = tier_sync::after_role_change(id.to_owned(), &retired);
    assert!(jobs::enqueue(&services, community, &request).await.unwrap());
    let is_postponed = async || {
        let job = platform.tenant().await.jobs().get(id).await.unwrap().unwrap();
        let is_later = job.due_at > OffsetDateTime::now_utc() + Duration::seconds(30);
        is_later && (job.state, job.attempts) == (JobState::Queued, 0)
    };
    eventually(is_postponed, "the job to be postponed").await;
    until_role(&platform, "chani", "naib", true).await;

    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(None).await.unwrap();
    tx.jobs().postpone(id, OffsetDateTime::now_utc()).await.unwrap();
    tx.commit().await.unwrap();
    let soon = OffsetDateTime::now_utc() + Duration::MINUTE;
    let has_lost_it = async || {
        // Jobs are published while their queue is empty.
        publish_lost_jobs(&services, &platform.connection, soon).await.unwrap();
        let member = platform.control.member(&platform.community, "chani").await;
        !platform.community.keys(&member["roles"]).contains(&"naib")
    };
    eventually(has_lost_it, "Chani to lose the retired role").await;
}

/// Runs a subcommand about the community's server; returns its exit code and its output.
async fn run(platform: &Platform, task: &str, arguments: &[&str]) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let mut all = vec![task, platform.community.guild.as_str()];
    all.extend(arguments);
    all.extend(["--by", "liet"]);
    let environment = [("DATABASE_URL", platform.app_url())];
    let (status, text) = Process::start_at(program, &all, environment).output(LIMIT).await;
    (status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_changes_the_plan_and_the_theme() {
    let platform = Platform::start().await;
    let (code, text) = run(&platform, "plan", &["free", "--grace-days", "3"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("the theme sietch is of the plan premium and stays in use until"),
        "{text}"
    );
    let record = stored(&platform).await;
    assert_eq!((record.plan, record.theme.as_str()), (Plan::Free, "sietch"));
    let left = record.theme_grace_until.unwrap() - OffsetDateTime::now_utc();
    assert_eq!((left + Duration::HOUR).whole_days(), 3);

    for (theme, error) in [
        ("sietch", "the theme sietch is of the plan premium"),
        ("dunes", "there is no theme `dunes`; the themes are basic, sietch"),
    ] {
        let (code, text) = run(&platform, "theme", &[theme]).await;
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(error), "{text}");
    }
    let (code, text) = run(&platform, "theme", &["basic"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the theme is basic; the job tier-sync:theme:"), "{text}");
    let record = stored(&platform).await;
    assert_eq!((record.theme.as_str(), record.theme_grace_until), ("basic", None));

    let (code, text) = run(&platform, "plan", &["premium"]).await;
    assert_eq!(code, 0, "{text}");
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap().into_iter().rev();
    let liet = Actor::Operator("liet".to_owned());
    let actions: Vec<String> = entries
        .filter(|entry| entry.actor == liet)
        .map(|entry| entry.action)
        .collect();
    assert_eq!(actions, ["community.plan", "community.theme", "community.plan"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_error_names_both_options_and_a_channel_is_stated_as_unchecked() {
    let platform = Platform::start().await;
    for (task, option) in [("posts", "--on <POST>"), ("welcome", "--channel <CHANNEL_ID>")] {
        let (code, text) = run(&platform, task, &[]).await;
        assert_eq!(code, 64, "{text}");
        assert!(text.contains(&format!("{option}|--off")), "{text}");
    }
    let (code, text) = run(&platform, "welcome", &["--channel", "5"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("the channel 5 was not checked") && text.contains("welcome.broken"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_ends_a_takeover() {
    let platform = Platform::start().await;
    let (code, text) = run(&platform, "end-takeover", &["--reason", "a mistake"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("was not taken over"), "{text}");
    let mut tx = platform.tenant().await;
    let stilgar = platform.community.user_id("stilgar");
    tx.communities().take_over(stilgar, "a stolen account").await.unwrap();
    tx.commit().await.unwrap();
    let (code, text) = run(&platform, "end-takeover", &["--reason", "a mistake"]).await;
    assert_eq!(code, 0, "{text}");
    let record = stored(&platform).await;
    assert_eq!((record.frozen, record.controlled_by), (None, None));
    assert_eq!(audited(&platform, "community.takeover_end").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_ends_a_freeze_that_is_no_takeover() {
    let platform = Platform::start().await;
    let arguments = ["--reason", "the checkpoints have expired"];
    let (code, text) = run(&platform, "unfreeze", &arguments).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is not frozen"), "{text}");
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some(TEARDOWN_FREEZE)).await.unwrap();
    tx.commit().await.unwrap();
    let (code, text) = run(&platform, "unfreeze", &arguments).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(stored(&platform).await.frozen, None);
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry.action == "community.unfreeze")
        .unwrap();
    assert_eq!(entry.actor, Actor::Operator("liet".to_owned()));
    assert_eq!(entry.reason.as_deref(), Some("the checkpoints have expired"));
    assert_eq!(entry.detail["frozen_for"], TEARDOWN_FREEZE);

    let stilgar = platform.community.user_id("stilgar");
    tx.communities().take_over(stilgar, "a stolen account").await.unwrap();
    tx.commit().await.unwrap();
    let (code, text) = run(&platform, "unfreeze", &arguments).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("arrakis-worker end-takeover"), "{text}");
    assert_eq!(stored(&platform).await.controlled_by, Some(stilgar));
}
