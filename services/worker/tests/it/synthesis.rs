//! Jobs of the kind `synthesis` on an emulated server: what is created, adopted and bound, and what happens in between.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use arrakis_contracts::JobKind;
use arrakis_db::{JobRow, JobState, StateHolder};
use arrakis_domain::RoleKey;
use arrakis_emulator_client::Fault;
use arrakis_telemetry::Metrics;
use arrakis_test_support::{Process, eventually};
use arrakis_worker::jobs::synthesis;
use arrakis_worker::jobs::{self, reconcile};
use arrakis_worker::synthesis::Purpose;
use arrakis_worker::synthesis::{Manifest, Structure};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::platform::Platform;

/// How long a worker process may take until its fail point kills it.
const KILL_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
/// Pause between two looks at a process and its job.
const POLL: std::time::Duration = std::time::Duration::from_millis(50);
/// Workers that are killed in one test at most; a job fails after twelve attempts.
const MAX_KILLS: u32 = 10;

/// A manifest of the community's own theme.
fn manifest(structure: Structure) -> Manifest {
    Manifest {
        theme: "sietch".to_owned(),
        rule_set: "balance".to_owned(),
        structure,
        roles: BTreeMap::new(),
    }
}

async fn put(platform: &Platform, manifest: &Manifest) {
    let mut tx = platform.tenant().await;
    tx.manifests().put(&manifest.to_value(), "a test").await.unwrap();
    tx.commit().await.unwrap();
}

async fn enqueue(platform: &Platform, id: &str) {
    let services = platform.services(&Metrics::new());
    let request = synthesis::request(id.to_owned(), Purpose::Repair);
    assert!(jobs::enqueue(&services, platform.community.id, &request).await.unwrap());
}

async fn job(platform: &Platform, id: &str) -> Option<JobRow> {
    platform.tenant().await.jobs().get(id).await.unwrap()
}

async fn until_ended(platform: &Platform, id: &str) -> JobRow {
    eventually(
        || async {
            let job = platform.tenant().await.jobs().get(id).await.unwrap();
            job.filter(|job| job.state.is_final())
        },
        format!("job {id} to end"),
    )
    .await
}

/// Waits until the first scheduled reconcile has ended.
async fn until_reconciled(platform: &Platform) {
    until_ended(platform, &reconcile::scheduled_id(OffsetDateTime::now_utc())).await;
}

async fn creations(platform: &Platform) -> (usize, usize) {
    let count = |path: &'static str| async move {
        let calls = platform.control.rest_calls().await.unwrap();
        let created = calls
            .iter()
            .filter(|call| call.method == "POST" && call.path.ends_with(path) && (200..300).contains(&call.status));
        created.count()
    };
    (count("/roles").await, count("/channels").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn existing_roles_are_adopted_and_missing_ones_created() {
    let (platform, _worker) = Platform::with_worker().await;
    until_reconciled(&platform).await;
    // The seed has each role that rules give; the theme has one more, the bot's.
    put(&platform, &manifest(Structure::RolesOnly)).await;
    enqueue(&platform, "synthesis:a").await;
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!(ended.state, JobState::Succeeded, "{ended:?}");
    assert_eq!(ended.progress_total, Some(ended.progress_done));
    assert_eq!(creations(&platform).await, (1, 0));
    let bindings = platform.tenant().await.communities().role_bindings().await.unwrap();
    for (key, id) in &platform.community.roles {
        assert_eq!(bindings[&key.parse::<RoleKey>().unwrap()].to_string(), *id, "{key}");
    }
    // A second job finds nothing to do.
    enqueue(&platform, "synthesis:b").await;
    let ended = until_ended(&platform, "synthesis:b").await;
    assert_eq!((ended.state, ended.progress_done), (JobState::Succeeded, 0));
    assert_eq!(creations(&platform).await, (1, 0));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_role_is_created_again_and_bound() {
    let (platform, _worker) = Platform::with_worker().await;
    until_reconciled(&platform).await;
    put(&platform, &manifest(Structure::RolesOnly)).await;
    enqueue(&platform, "synthesis:a").await;
    until_ended(&platform, "synthesis:a").await;
    let (guild, usul) = (&platform.community.guild, &platform.community.roles["usul"]);
    platform.control.delete_role(guild, usul).await.unwrap();
    enqueue(&platform, "synthesis:b").await;
    let ended = until_ended(&platform, "synthesis:b").await;
    assert_eq!(ended.state, JobState::Succeeded, "{ended:?}");
    let bindings = platform.tenant().await.communities().role_bindings().await.unwrap();
    let bound = bindings[&"usul".parse::<RoleKey>().unwrap()].to_string();
    assert_ne!(bound, *usul);
    // The tier sync that follows gives the new role to its member.
    eventually(
        || async {
            let member = platform
                .control
                .member(&platform.community, platform.community.user("stilgar"))
                .await;
            member["roles"].as_array().unwrap().contains(&json!(bound))
        },
        "Stilgar to have the new role",
    )
    .await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_lose_the_role_in_whose_place_another_is_bound() {
    let (platform, _worker) = Platform::with_worker().await;
    until_reconciled(&platform).await;
    let roles_of_stilgar = || async {
        let user = platform.community.user("stilgar");
        let member = platform.control.member(&platform.community, user).await;
        member["roles"].as_array().unwrap().clone()
    };
    let usul = json!(platform.community.roles["usul"]);
    let has_usul = || async { roles_of_stilgar().await.contains(&usul) };
    eventually(has_usul, "Stilgar to have the role of Usul").await;
    let (guild, role) = (&platform.community.guild, json!({"name": "Water Guard"}));
    let other = platform.control.create_role(guild, &role).await.unwrap()["id"].clone();
    let mapped = Manifest {
        roles: BTreeMap::from([("usul".to_owned(), other.as_str().unwrap().parse().unwrap())]),
        ..manifest(Structure::RolesOnly)
    };
    put(&platform, &mapped).await;
    enqueue(&platform, "synthesis:a").await;
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!(ended.state, JobState::Succeeded, "{ended:?}");
    let is_replaced = || async {
        let roles = roles_of_stilgar().await;
        roles.contains(&other) && !roles.contains(&usul)
    };
    eventually(is_replaced, "Stilgar to have the other role in place of Usul's").await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_response_of_a_creation_leads_to_no_second_role() {
    let (platform, _worker) = Platform::with_worker().await;
    until_reconciled(&platform).await;
    put(&platform, &manifest(Structure::RolesOnly)).await;
    let fault = Fault {
        count: Some(1),
        path: Some("/roles".to_owned()),
        ..Fault::rest_lost_answer("refuse").method("POST")
    };
    platform.control.fault(&fault).await.unwrap();
    enqueue(&platform, "synthesis:a").await;
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!(ended.state, JobState::Succeeded, "{ended:?}");
    let names = role_names(&platform).await;
    assert_eq!(
        names.iter().filter(|name| *name == "Shai-Hulud").count(),
        1,
        "{names:?}"
    );
    platform.vhost.finish().await;
}

/// Starts a worker process with these fail points; returns it with its health address. A job that waits may kill it before it is ready.
fn start(platform: &Platform, fail_points: &str) -> (Process, String) {
    let health = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let mut environment = platform.environment();
    environment.push(("HEALTH_ADDR", health.clone()));
    environment.push(("ARRAKIS_FAIL_POINTS", fail_points.to_owned()));
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    (Process::start_at(program, &[], environment), health)
}

/// Starts a worker process with these fail points and waits until it is ready and the first reconcile has ended.
async fn process(platform: &Platform, fail_points: &str) -> Process {
    let (mut process, health) = start(platform, fail_points);
    process.ready(&health).await;
    until_reconciled(platform).await;
    process
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_after_a_creation_leads_to_no_second_role() {
    let platform = Platform::start().await;
    let mut first = process(&platform, "worker.synthesis.called[POST]=kill").await;
    put(&platform, &manifest(Structure::RolesOnly)).await;
    enqueue(&platform, "synthesis:a").await;
    first.ended(KILL_LIMIT).await;
    assert_eq!(creations(&platform).await, (1, 0));
    let _second = platform.worker().await;
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!((ended.state, ended.attempts), (JobState::Succeeded, 2), "{ended:?}");
    assert_eq!(creations(&platform).await, (1, 0));
    platform.vhost.finish().await;
}

/// Waits until the fail point kills the worker (true), or the job has ended (false).
async fn is_killed_before_the_end(platform: &Platform, worker: &mut Process) -> bool {
    let deadline = Instant::now() + KILL_LIMIT;
    loop {
        if worker.has_ended().is_some() {
            return true;
        }
        if job(platform, "synthesis:a")
            .await
            .is_some_and(|job| job.state.is_final())
        {
            return false;
        }
        assert!(
            Instant::now() < deadline,
            "the worker neither ended nor completed the job"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// The job has an attempt for each call until it is done: each worker is killed behind its next call that changes the server, before the
/// state has the result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_killed_at_each_change_completes_without_a_second_effect() {
    let platform = Platform::start().await;
    let points =
        "worker.synthesis.called[POST]=kill;worker.synthesis.called[PUT]=kill;worker.synthesis.called[PATCH]=kill";
    let mut worker = process(&platform, points).await;
    // After the first reconcile, which would enqueue a job of its own.
    put(&platform, &manifest(Structure::RolesOnly)).await;
    enqueue(&platform, "synthesis:a").await;
    for _ in 0..MAX_KILLS {
        if !is_killed_before_the_end(&platform, &mut worker).await {
            break;
        }
        (worker, _) = start(&platform, points);
    }
    worker.kill().await;
    let _last = platform.worker().await;
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!(ended.state, JobState::Succeeded, "{ended:?}");
    assert_eq!(creations(&platform).await, (1, 0));
    let names = role_names(&platform).await;
    for role in ["Shai-Hulud", "Naib", "Usul"] {
        assert_eq!(names.iter().filter(|name| *name == role).count(), 1, "{names:?}");
    }
}

async fn role_names(platform: &Platform) -> Vec<String> {
    let services = platform.services(&Metrics::new());
    let guild = platform.community.guild.parse().unwrap();
    let roles = services.discord.bulk(None).roles(guild).await.unwrap();
    roles.into_iter().map(|role| role.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_of_a_frozen_community_waits_and_is_no_attempt() {
    let platform = Platform::start().await;
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some("a drill")).await.unwrap();
    tx.commit().await.unwrap();
    put(&platform, &manifest(Structure::RolesOnly)).await;
    let _worker = platform.worker().await;
    until_reconciled(&platform).await;
    enqueue(&platform, "synthesis:a").await;
    let postponed = eventually(
        || async {
            let job = platform
                .tenant()
                .await
                .jobs()
                .get("synthesis:a")
                .await
                .unwrap()
                .unwrap();
            (job.due_at > OffsetDateTime::now_utc() + Duration::seconds(30)).then_some(job)
        },
        "the job to be postponed",
    )
    .await;
    assert_eq!((postponed.state, postponed.attempts), (JobState::Queued, 0));
    assert_eq!(creations(&platform).await, (0, 0));
    platform.until_messages(&JobKind::Synthesis.queue(), 0).await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_waits_while_another_one_holds_the_state() {
    let (platform, _worker) = Platform::with_worker().await;
    until_reconciled(&platform).await;
    put(&platform, &manifest(Structure::RolesOnly)).await;
    let other = StateHolder {
        job: "synthesis:other",
        attempt: 1,
    };
    let now = OffsetDateTime::now_utc();
    let mut tx = platform.tenant().await;
    tx.server_state()
        .hold(other, now, now + Duration::hours(1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    enqueue(&platform, "synthesis:a").await;
    let is_running = |job: Option<JobRow>| job.is_some_and(|job| job.state == JobState::Running);
    eventually(
        || async { is_running(platform.tenant().await.jobs().get("synthesis:a").await.unwrap()) },
        "the job to start",
    )
    .await;
    assert_eq!(creations(&platform).await, (0, 0));
    let mut tx = platform.tenant().await;
    tx.server_state().release(other).await.unwrap();
    tx.commit().await.unwrap();
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!((ended.state, ended.attempts), (JobState::Succeeded, 1));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_manifest_is_a_dead_letter() {
    let (platform, _worker) = Platform::with_worker().await;
    until_reconciled(&platform).await;
    let mut tx = platform.tenant().await;
    let unknown: Value = json!({"theme": "sietch", "of_a_later_build": true});
    tx.manifests().put(&unknown, "a test").await.unwrap();
    tx.commit().await.unwrap();
    enqueue(&platform, "synthesis:a").await;
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!(ended.state, JobState::Failed);
    assert!(ended.error.unwrap().contains("manifest is invalid"));
    platform.until_messages(arrakis_contracts::names::DEAD_LETTERS, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_above_the_bot_is_left_out_and_stops_nothing_else() {
    let platform = Platform::start().await;
    let guild = &platform.community.guild;
    // It has the name of a theme's role, and the bot can neither change nor move it.
    let above = json!({"name": "Shai-Hulud", "position": 100});
    platform.control.create_role(guild, &above).await.unwrap();
    platform
        .control
        .delete_role(guild, platform.community.roles["usul"].as_str())
        .await
        .unwrap();
    put(&platform, &manifest(Structure::RolesOnly)).await;
    let _worker = platform.worker().await;
    until_reconciled(&platform).await;
    enqueue(&platform, "synthesis:a").await;
    let ended = until_ended(&platform, "synthesis:a").await;
    assert_eq!(ended.state, JobState::Succeeded, "{ended:?}");
    let names = role_names(&platform).await;
    for role in ["Shai-Hulud", "Usul"] {
        assert_eq!(names.iter().filter(|name| *name == role).count(), 1, "{names:?}");
    }
    let report = platform
        .tenant()
        .await
        .reconcile_reports()
        .latest()
        .await
        .unwrap()
        .unwrap();
    assert!(
        report.report["broken"].to_string().contains("role.shai-hulud"),
        "{report:?}"
    );
}
