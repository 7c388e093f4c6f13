use std::collections::HashSet;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_contracts::names;
use arrakis_test_support::{Process, eventually};

use crate::world::{World, ascending, seqs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_arrakis-ingestor");

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

fn start(world: &World, health: &str) -> Process {
    let mut variables = world.environment();
    variables.push(("HEALTH_ADDR", health.to_owned()));
    Process::start_at(Path::new(PROGRAM), &[], variables)
}

/// SIGKILL at any time: the next process resumes and receives unconfirmed events again; sent and published events are equal.
#[tokio::test]
async fn repeatedly_killed_ingestor_loses_nothing_and_identifies_once() {
    let world = World::new().await;
    let mut rounds = 0;
    let mut sent = 0;
    while rounds < 4 {
        let health = free_address();
        let mut process = start(&world, &health);
        process.ready(&health).await;
        world.joins(100);
        sent += 100;
        process.kill().await;
        world.joins(20);
        sent += 20;
        rounds += 1;
    }
    let health = free_address();
    let mut last = start(&world, &health);
    last.ready(&health).await;
    let got = world.take_events(sent).await;
    assert_eq!(seqs(&got).len(), sent);
    assert_eq!(world.stats().identifies, 1, "the budget is held");
    last.terminate();
    let status = last.ended(Duration::from_secs(20)).await;
    assert!(status.success(), "{status}");
    let mut sorted = seqs(&got);
    sorted.sort_unstable();
    assert!(ascending(&sorted));
    world.finish(&[]).await;
}

/// A standby process takes over within seconds when the holder is killed.
#[tokio::test]
async fn standby_process_takes_over_from_a_killed_one() {
    let world = World::new().await;
    let (first_health, second_health) = (free_address(), free_address());
    let mut first = start(&world, &first_health);
    first.ready(&first_health).await;
    world.connected(1).await;
    let mut second = start(&world, &second_health);
    second.ready(&second_health).await;
    let health = reqwest::get(format!("http://{second_health}/health")).await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
    assert_eq!(document["role"], "standby", "{document}");
    world.joins(50);
    first.kill().await;
    world.joins(50);
    eventually(async || world.stats().resumes == 1, "the standby to resume").await;
    let got = world.take_events(100).await;
    assert_eq!(seqs(&got).len(), 100);
    assert_eq!(world.stats().identifies, 1);
}

#[tokio::test]
async fn invalid_environment_is_named_with_exit_code_78() {
    let process = Process::start_at(Path::new(PROGRAM), &[], [("SHARD_RANGE", "x"), ("INGESTOR_EVENT", "y")]);
    let (status, text) = process.output(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(78));
    for words in [
        "DISCORD_TOKEN is not set",
        "AMQP_URL is not set",
        "SHARD_RANGE=x",
        "did you mean INGESTOR_EVENTS?",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn fatal_close_code_ends_the_process_with_its_reason() {
    let world = World::with(|options| options.privileged_intents = discord_emulator::gateway::Intents::empty()).await;
    let process = start(&world, &free_address());
    let (status, text) = process.output(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(78));
    assert!(text.contains("Server Members Intent"), "{text}");
    assert!(!text.contains(&world.discord.token()), "the token is not logged");
}

/// 10,000 servers on four shards, all published and confirmed, in less than the 50 MB that a process may
/// use. The test prints the figure.
#[tokio::test]
async fn ten_thousand_servers_on_four_shards_take_less_than_50_mb() {
    let world = World::with(|options| {
        options.shards = Some(4);
        options.traffic_kept = 0;
    })
    .await;
    let load = |state: &mut discord_emulator::world::State| discord_emulator::seed::load::load(state, 10_000, 5);
    world.discord.app().world.write(load);
    let health = free_address();
    let mut process = start(&world, &health);
    process.ready(&health).await;
    let document = async || {
        let answer = reqwest::get(format!("http://{health}/health")).await.ok()?;
        serde_json::from_slice::<serde_json::Value>(&answer.bytes().await.ok()?).ok()
    };
    let mut most = 0;
    let confirmed = async {
        loop {
            let Some(document) = document().await else { continue };
            most = most.max(document["memory"]["resident_bytes"].as_u64().unwrap());
            let shards = document["shards"].as_array().unwrap();
            let done =
                |shard: &serde_json::Value| shard["seq_lag"] == 0 && shard["received_seq"].as_u64() > Some(2_500);
            if shards.len() == 4 && shards.iter().all(done) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), confirmed).await.unwrap();
    println!(
        "{} KiB resident at most while 10,000 servers were announced",
        most >> 10
    );
    assert!(most < 50 << 20, "{most}");
    let all = async || world.count(arrakis_contracts::names::EVENTS_GUILD).await == 10_000;
    eventually(all, "10,000 servers in the queue").await;
    process.terminate();
    assert!(process.ended(Duration::from_secs(20)).await.success());
}

/// The holder is suspended, its queue is deleted, and it continues with events in its socket: no event is published under two
/// sessions, and none is lost.
#[tokio::test]
async fn suspended_holder_whose_queue_was_deleted_publishes_nothing_twice() {
    let world = World::new().await;
    let (first, second) = (free_address(), free_address());
    let mut holder = start(&world, &first);
    holder.ready(&first).await;
    world.connected(1).await;
    let mut standby = start(&world, &second);
    standby.ready(&second).await;
    world.joins(20);
    holder.suspend();
    world.delete_queue(&names::shard(0)).await;
    for _ in 0..10 {
        world.joins(20);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    holder.resume();
    for _ in 0..10 {
        world.joins(20);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let got = world.take_events(420).await;
    let sessions: HashSet<_> = got.iter().map(|got| got.labels.session.clone()).collect();
    assert_eq!(sessions.len(), 1, "events of more than one session");
    assert_eq!(seqs(&got).len(), 420);
    assert_eq!(world.stats().identifies, 1);
    // The state is stored again: a new holder resumes.
    world.joins(10);
    world.take_events(10).await;
    holder.kill().await;
    world.joins(10);
    world.take_events(10).await;
    assert_eq!((world.stats().identifies, world.stats().resumes), (1, 1));
    standby.kill().await;
    world.finish(&[]).await;
}

/// The check of an image's health: a process of its own, which finds the service by `HEALTH_ADDR`.
#[tokio::test]
async fn healthcheck_reports_whether_the_ingestor_accepts_work() {
    let world = World::new().await;
    let health = free_address();
    let check = async |arguments: &[&str]| {
        let variables = [("HEALTH_ADDR", health.as_str())];
        let process = Process::start_at(Path::new(PROGRAM), arguments, variables);
        let (status, text) = process.output(Duration::from_secs(20)).await;
        (status.code(), text)
    };
    let (code, text) = check(&["healthcheck"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("GET http://{health}/readyz")), "{text}");

    let mut process = start(&world, &health);
    process.ready(&health).await;
    for arguments in [
        &["healthcheck"][..],
        &["healthcheck", "readyz"],
        &["healthcheck", "livez"],
    ] {
        let (code, text) = check(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
    }
    for arguments in [&["healthcheck", "--help"][..], &["healthcheck", "livez", "-h"]] {
        let (code, text) = check(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        assert!(text.contains("Usage: arrakis-ingestor"), "{text}");
    }
    for arguments in [&["healthcheck", "metrics"][..], &["healthcheck", "livez", "more"]] {
        assert_eq!(check(arguments).await.0, Some(64), "{arguments:?}");
    }
    process.terminate();
    assert!(process.ended(Duration::from_secs(20)).await.success());
}
