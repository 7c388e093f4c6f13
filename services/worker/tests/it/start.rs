//! The worker as a process: start, refused start, kill, shutdown, and the tasks of its command line.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use arrakis_contracts::names;
use arrakis_test_support::Process;
use arrakis_worker::commands::Commands;
use serde_json::json;

use crate::platform::{Platform, Worker, assert_description};

const LIMIT: Duration = Duration::from_secs(30);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_arrakis-worker"))
}

/// Starts a worker process; returns it with its health address.
async fn process(platform: &Platform) -> (Process, String) {
    let health = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let mut environment = platform.environment();
    environment.push(("HEALTH_ADDR", health.clone()));
    environment.push(("RUST_LOG", "info,arrakis_worker=debug".to_owned()));
    let mut process = Process::start_at(program(), &[], environment);
    process.ready(&health).await;
    (process, health)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interaction_of_a_killed_worker_is_completed_once_by_another() {
    let platform = Platform::start().await;
    let (mut first, _) = process(&platform).await;
    platform.commands_registered().await;
    let lock = platform.lock("eligibility_current").await;
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.until_state(&id, "deferred").await;
    first.kill().await;
    let (_second, _) = process(&platform).await;
    lock.release().await;
    let reply = platform.control.answered(&id).await;
    assert_description(&reply["message"], "Rank 1");
    assert_eq!(platform.control.count("POST", "/callback", 204).await, 1);
    platform.until_messages(names::INTERACTIONS, 0).await;
    let mut tx = platform.tenant().await;
    let profile = tx
        .profiles()
        .by_user(platform.community.user_id("chani"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(profile.commands, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_finishes_its_messages_after_sigterm() {
    let platform = Platform::start().await;
    let (mut process, health) = process(&platform).await;
    platform.commands_registered().await;
    let lock = platform.lock("eligibility_current").await;
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.until_state(&id, "deferred").await;
    process.terminate();
    let not_ready = || async {
        let response = reqwest::get(format!("http://{health}/readyz")).await;
        response.is_ok_and(|response| response.status() == 503)
    };
    arrakis_test_support::eventually(not_ready, "the worker to be not ready").await;
    lock.release().await;
    platform.control.answered(&id).await;
    let status = process.ended(LIMIT).await;
    assert_eq!(status.code(), Some(0), "{:#?}", process.lines());
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_message_is_handled_after_the_start() {
    let platform = Platform::start().await;
    // The commands are registered by an earlier worker, as when replicas are added.
    let first = platform.worker().await;
    platform.commands_registered().await;
    first.stop().await.unwrap();
    let id = platform.send_command("chani", "position", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let started = Instant::now();
    let (_process, _) = process(&platform).await;
    platform.publish(&dispatch).await;
    platform.until(&id, |view| view["state"] != "pending").await;
    println!(
        "from start to the first message handled: {} ms",
        started.elapsed().as_millis()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_is_refused_if_a_queue_differs() {
    let platform = Platform::start().await;
    platform.redeclare(names::EVENTS_GUILD).await;
    let worker = Worker::spawn(&platform.environment());
    let error = worker.ended().await.unwrap_err().to_string();
    assert!(error.contains(names::EVENTS_GUILD), "{error}");
    let broker = [("AMQP_URL", platform.vhost.url())];
    let (status, text) = Process::start_at(program(), &["topology", "check"], broker)
        .output(LIMIT)
        .await;
    assert_eq!(status.code(), Some(1));
    assert!(text.contains(names::EVENTS_GUILD), "{text}");
}

#[tokio::test]
async fn topology_check_reports_the_broker_before_it_is_connected() {
    let broker = [("AMQP_URL", "amqp://guest:secret@127.0.0.1:1/%2f")];
    let process = Process::start_at(program(), &["topology", "check"], broker);
    let line = process.line("connecting to ").await;
    assert!(line.starts_with("connecting to amqp://127.0.0.1:1/%2f;"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_print_their_result() {
    let platform = Platform::start().await;
    let nothing: [(&str, &str); 0] = [];
    let (status, text) = Process::start_at(program(), &["commands", "print", "--json"], nothing)
        .output(LIMIT)
        .await;
    assert_eq!(status.code(), Some(0));
    let commands: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        commands.as_array().unwrap().len(),
        Commands::default().definitions().count()
    );
    let owner = [("DATABASE_OWNER_URL", platform.owner_url())];
    let (status, text) = Process::start_at(program(), &["migrate"], owner).output(LIMIT).await;
    assert_eq!(status.code(), Some(0));
    assert!(text.contains("already"), "{text}");
    for task in ["declare", "check"] {
        let broker = [("AMQP_URL", platform.vhost.url())];
        let (status, text) = Process::start_at(program(), &["topology", task], broker)
            .output(LIMIT)
            .await;
        assert_eq!(status.code(), Some(0), "{text}");
    }
    for message in ["registered", "the commands are registered already"] {
        let task = ["commands", "register"];
        let (status, text) = Process::start_at(program(), &task, platform.environment())
            .output(LIMIT)
            .await;
        assert_eq!((status.code(), text.as_str()), (Some(0), message));
    }
    let (status, text) = Process::start_at(program(), &[], nothing).output(LIMIT).await;
    assert_eq!(status.code(), Some(78));
    for variable in [
        "AMQP_URL",
        "DATABASE_URL",
        "REDIS_URL",
        "DISCORD_PROXY_URL",
        "DISCORD_APPLICATION_ID",
    ] {
        assert!(text.contains(&format!("{variable} is not set")), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_that_bypasses_row_level_security_is_refused() {
    let platform = Platform::start().await;
    for (login, role) in [
        (platform.owner_url(), "arrakis_owner"),
        (platform.admin_url(), "arrakis_admin"),
    ] {
        let mut environment = platform.environment();
        environment.retain(|(name, _)| *name != "DATABASE_URL");
        environment.push(("DATABASE_URL", login.clone()));
        environment.push(("HEALTH_ADDR", "127.0.0.1:0".to_owned()));
        let (status, text) = Process::start_at(program(), &[], environment).output(LIMIT).await;
        assert_eq!(status.code(), Some(78), "{text}");
        assert!(
            text.contains(role) && text.contains("arrakis_app") && text.contains("DATABASE_URL"),
            "{text}"
        );
    }
    for (url, role) in [
        (platform.app_url(), "arrakis_app"),
        (platform.admin_url(), "arrakis_admin"),
    ] {
        let (status, text) = Process::start_at(program(), &["migrate"], [("DATABASE_OWNER_URL", url)])
            .output(LIMIT)
            .await;
        assert_eq!(status.code(), Some(78), "{text}");
        assert!(text.contains(role) && text.contains("arrakis_owner"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_keys_are_created_listed_and_revoked() {
    let platform = Platform::start().await;
    let guild = platform.community.guild.to_string();
    let variables = [
        ("DATABASE_URL", platform.app_url()),
        ("DATABASE_ADMIN_URL", platform.admin_url()),
    ];
    let run = async |arguments: &[&str]| {
        let mut task = vec!["api-key"];
        task.extend_from_slice(arguments);
        let (status, text) = Process::start_at(program(), &task, variables.clone())
            .output(LIMIT)
            .await;
        (status.code().unwrap(), text)
    };
    for owner in [vec!["--guild", guild.as_str()], vec!["--all-communities"]] {
        let mut create = vec![
            "create",
            "--name",
            "console",
            "--by",
            "stilgar",
            "--scope",
            "users:read,users:export",
            "--json",
        ];
        create.extend(&owner);
        let (code, text) = run(&create).await;
        assert_eq!(code, 0, "{text}");
        let created: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (id, key) = (created["id"].as_str().unwrap(), created["key"].as_str().unwrap());
        assert!(key.starts_with("arrakis_") && key.len() == 60, "{key}");
        let mut list = vec!["list", "--json"];
        list.extend(&owner);
        let (_, text) = run(&list).await;
        assert!(!text.contains(key), "a list shows no key: {text}");
        let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&listed["id"], &listed["state"]), (&json!(id), &json!("valid")));
        assert_eq!(listed["prefix"], key[..16]);
        assert_eq!(listed["scopes"], json!(["users:read", "users:export"]));
        let mut revoke = vec!["revoke", id, "--by", "stilgar"];
        revoke.extend(&owner);
        assert_eq!(run(&revoke).await.0, 0);
        assert_eq!(run(&revoke).await.0, 1, "it is revoked already");
        let (_, text) = run(&list).await;
        assert!(text.contains("\"state\":\"revoked\""), "{text}");
    }
    let write = [
        "create",
        "--name",
        "x",
        "--by",
        "y",
        "--scope",
        "users:write",
        "--guild",
        &guild,
    ];
    let (code, text) = run(&write).await;
    assert!(code == 1 && text.contains("--all-communities"), "{text}");
    let unknown = [
        "create",
        "--name",
        "x",
        "--by",
        "y",
        "--scope",
        "users:read",
        "--guild",
        "99",
    ];
    let (code, text) = run(&unknown).await;
    assert!(code == 1 && text.contains("has no community"), "{text}");
    assert_eq!(
        run(&[
            "create",
            "--name",
            "x",
            "--by",
            "y",
            "--scope",
            "users:all",
            "--all-communities"
        ])
        .await
        .0,
        64
    );
    let (code, text) = run(&["list", "--json"]).await;
    assert_eq!((code, text.lines().count()), (0, 2), "the keys of both owners: {text}");
    let (code, text) = run(&["revoke", "abc", "--all-communities", "--by", "y"]).await;
    assert!(code == 64 && text.contains("abc is not a key id (a UUID"), "{text}");
    let mut tx = platform.tenant().await;
    let actions: Vec<_> = tx
        .audit_entries(10)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    assert_eq!(actions, ["api_key.revoke", "api_key.create"]);
    for log in [vec!["--guild", guild.as_str()], vec!["--platform"]] {
        let audit = async |options: &[&str]| {
            let mut task = vec!["audit"];
            task.extend(&log);
            task.extend_from_slice(options);
            let (status, text) = Process::start_at(program(), &task, variables.clone())
                .output(LIMIT)
                .await;
            (status.code().unwrap(), text)
        };
        let (code, text) = audit(&[]).await;
        assert!(code == 0 && text.contains("operator stilgar  api_key.create"), "{text}");
        let (_, text) = audit(&["--json", "--limit", "1"]).await;
        let newest = text.lines().find(|line| line.starts_with('{')).unwrap();
        let newest: serde_json::Value = serde_json::from_str(newest).unwrap();
        assert_eq!(newest["action"], "api_key.revoke");
        let (code, text) = audit(&["--since", "2100-01-01T00:00:00Z"]).await;
        assert!(code == 0 && text.contains("no entries"), "{text}");
    }
}
