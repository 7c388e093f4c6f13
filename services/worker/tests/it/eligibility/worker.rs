//! The worker with a chain: scheduled syncs, roles that follow from them, health, and the command line.

use std::path::Path;
use std::process::Output;

use arrakis_db::{JobState, NotificationKind, ProfileStandard};
use arrakis_test_support::{Anvil, Process, eventually, eventually_within, tokens};
use arrakis_worker::jobs::eligibility_sync;
use serde_json::Value;
use time::OffsetDateTime;

use super::setup::profile;
use crate::platform::{Platform, Worker};

/// Writes the platform's profile for a token of this chain, with the members' wallets as its holders.
async fn put_profile(platform: &Platform, contract: arrakis_domain::Address) {
    let profile = arrakis_db::TokenProfile {
        id: "bgt".parse().unwrap(),
        ..profile(ProfileStandard::Erc20, contract)
    };
    let mut tx = platform.database.global().await.unwrap();
    tx.eligibility().put_token_profile(&profile).await.unwrap();
    tx.commit().await.unwrap();
}

fn environment(platform: &Platform, rpc: &str) -> Vec<(&'static str, String)> {
    let mut environment = platform.environment();
    environment.push(("CHAIN_RPC_URLS", format!("80094={rpc}")));
    environment
}

fn eligibility(worker: &Worker) -> Value {
    worker.runtime.health.document("arrakis-worker", "0")["components"]["eligibility"].clone()
}

async fn wallet_of(platform: &Platform, name: &str) -> arrakis_domain::Address {
    let mut tx = platform.tenant().await;
    let profile = tx.profiles().by_user(platform.community.user_id(name)).await.unwrap();
    profile.unwrap().wallet.unwrap()
}

async fn run(platform: &Platform, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(Path::new(env!("CARGO_BIN_EXE_arrakis-worker")));
    command.args(arguments).env_clear();
    for (name, value) in platform.environment() {
        command.env(name, value);
    }
    command.output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_on_the_chain_changes_a_members_roles() {
    let platform = Platform::start().await;
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Token", "BGT", 18).await;
    // Eight others hold more than Jamis, so that he has no seat on the council.
    for number in 1..=8 {
        token.mint(super::setup::wallet(number), tokens(5_000_u64)).await;
    }
    let jamis = wallet_of(&platform, "jamis").await;
    token.mint(jamis, tokens(80_u64)).await;
    anvil.finalize().await;
    put_profile(&platform, token.address()).await;
    let worker = Worker::start(&environment(&platform, anvil.url())).await;
    platform.commands_registered().await;
    let has_role = async |key: &str| {
        let role = platform.community.roles[key].clone();
        let member = platform
            .control
            .member(&platform.community, platform.community.user("jamis"))
            .await;
        member["roles"]
            .as_array()
            .unwrap()
            .iter()
            .any(|id| *id == Value::String(role.clone()))
    };
    // Rank 9 of the new ranking.
    eventually(
        || async { has_role("fedaykin").await },
        "Jamis to have the role of rank 9",
    )
    .await;
    token.claim(jamis, tokens(9_000_u64)).await;
    anvil.finalize().await;
    let synced = run(&platform, &["eligibility", "sync", "bgt", "--wait"]).await;
    assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
    eventually(
        || async { has_role("naib").await && !has_role("fedaykin").await },
        "Jamis to be Naib",
    )
    .await;
    eventually(
        || async { eligibility(&worker)["status"] == "up" },
        "the component to be up",
    )
    .await;
    let status = run(&platform, &["eligibility", "status", "--json"]).await;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&status["token_profile"], &status["holders"]),
        (&"bgt".into(), &9.into()),
        "{status}"
    );
    // The distributor of the claim holds nothing.
    assert_eq!(status["mismatches"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_endpoints_leave_the_ranking_and_are_named_in_health() {
    let platform = Platform::start().await;
    let token = "bgt".parse().unwrap();
    let before = platform
        .database
        .global()
        .await
        .unwrap()
        .eligibility()
        .ranking(&token)
        .await
        .unwrap();
    let worker = Worker::start(&environment(&platform, "http://127.0.0.1:1")).await;
    let id = eligibility_sync::scheduled_id(&token, OffsetDateTime::now_utc());
    // The clients of the chain try for ten seconds.
    let job = eventually_within(
        std::time::Duration::from_secs(60),
        || async {
            let mut tx = platform.database.global().await.unwrap();
            tx.jobs().get(&id).await.unwrap().filter(|job| job.state.is_final())
        },
        "the sync to end",
    )
    .await;
    assert_eq!(job.state, JobState::Failed);
    let mut tx = platform.database.global().await.unwrap();
    let health = tx.eligibility().sync_health(&token).await.unwrap();
    assert!(health.consecutive_failures >= 1);
    assert!(health.last_error.unwrap().contains("127.0.0.1"));
    assert_eq!(tx.eligibility().ranking(&token).await.unwrap(), before);
    drop(tx);
    let degraded = || async {
        let found = eligibility(&worker);
        found["status"] == "degraded" && found["detail"].as_str().unwrap().contains("failed syncs")
    };
    eventually(degraded, "the component to be degraded").await;
    // No dead letter: the leader enqueues the next attempt.
    platform.until_messages(arrakis_contracts::names::DEAD_LETTERS, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_endpoints_the_stored_ranking_is_used_and_health_names_it() {
    let (platform, worker) = Platform::with_worker().await;
    let named = || async {
        let found = eligibility(&worker);
        let detail = found["detail"].as_str().unwrap_or_default().to_owned();
        found["status"] == "up" && detail.contains("CHAIN_RPC_URLS has no endpoint of chain 80094")
    };
    eventually(named, "the component to name the chain").await;
    let id = eligibility_sync::scheduled_id(&"bgt".parse().unwrap(), OffsetDateTime::now_utc());
    let mut tx = platform.database.global().await.unwrap();
    assert_eq!(tx.jobs().get(&id).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupt_profile_is_named_and_stops_no_other() {
    let platform = Platform::start().await;
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Token", "TK", 18).await;
    token.mint(super::setup::wallet(1), tokens(80_u64)).await;
    anvil.finalize().await;
    let other: arrakis_db::TokenProfileId = "other".parse().unwrap();
    let profile = arrakis_db::TokenProfile {
        id: other.clone(),
        ..profile(ProfileStandard::Erc20, token.address())
    };
    let mut tx = platform.database.global().await.unwrap();
    tx.eligibility().put_token_profile(&profile).await.unwrap();
    tx.commit().await.unwrap();
    let community = arrakis_db::CommunityId::new();
    let mut tx = platform.database.tenant(community).await.unwrap();
    let new = arrakis_db::NewCommunity {
        guild: arrakis_db::GuildId::new(987_654).unwrap(),
        name: "Sietch Abbir".to_owned(),
        theme: "sietch".parse().unwrap(),
        theme_plan: arrakis_domain::Plan::Premium,
        rule_set: "balance".parse().unwrap(),
        plan: arrakis_domain::Plan::Premium,
        token_profile: other.clone(),
    };
    tx.communities().create(&new).await.unwrap();
    tx.commit().await.unwrap();
    let corrupt = "update token_profiles set standard = 'erc721', decimals = 0, claims_from = null, burns_to = null, \
                   token_ids = '{-1}' where token_profile_id = 'bgt'";
    platform.sql(corrupt).await;
    let worker = Worker::start(&environment(&platform, anvil.url())).await;
    let synced = || async {
        let mut tx = platform.database.global().await.unwrap();
        let health = tx.eligibility().sync_health(&other).await.unwrap();
        health.last_success_at.is_some()
    };
    eventually(synced, "the other profile to be synced").await;
    let named = || async {
        let found = eligibility(&worker);
        let detail = found["detail"].as_str().unwrap_or_default().to_owned();
        found["status"] == "degraded"
            && detail.contains("bgt: not synced, its row is corrupt: token_profiles.token_ids holds `-1`")
    };
    eventually(named, "the component to name the corrupt profile").await;
    let status = run(&platform, &["eligibility", "status"]).await;
    assert!(!status.status.success());
    assert!(
        String::from_utf8_lossy(&status.stdout).contains("other  ranking of"),
        "{status:?}"
    );
    assert!(
        String::from_utf8_lossy(&status.stderr).contains("bgt: its row is corrupt"),
        "{status:?}"
    );
}

/// The worker reads no chain: another one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_blocks_of_another_workers_sync_are_shown_and_cleared() {
    let platform = Platform::start().await;
    let run = arrakis_db::SyncRun {
        profile: "bgt".parse().unwrap(),
        run: uuid::Uuid::now_v7(),
    };
    let mut tx = platform.database.global().await.unwrap();
    let (_, cursor) = tx.begin_sync(&run.profile, run.run).await.unwrap().unwrap();
    let target = cursor.next_block + 99;
    assert!(tx.set_sync_target(&run, target).await.unwrap());
    tx.commit().await.unwrap();
    let worker = Worker::start(&platform.environment()).await;
    let behind = |wanted: u64| {
        let line = format!("arrakis_worker_eligibility_blocks_behind{{token_profile=\"bgt\"}} {wanted}");
        let shown = worker.runtime.metrics.render().lines().any(|found| found == line);
        let detail = eligibility(&worker)["detail"].as_str().unwrap_or_default().to_owned();
        shown && detail.contains("100 blocks to read") == (wanted == 100)
    };
    eventually(|| async { behind(100) }, "the unread blocks to be shown").await;
    let mut tx = platform.database.global().await.unwrap();
    assert!(tx.move_sync_cursor(&run, cursor.next_block, target + 1).await.unwrap());
    tx.commit().await.unwrap();
    let limit = std::time::Duration::from_secs(40);
    eventually_within(limit, || async { behind(0) }, "the unread blocks to be cleared").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_and_overrides_are_written_by_the_command_line() {
    let platform = Platform::start().await;
    let contract = "0x656b95e550c07a9ffe548bd4085c72418ceb1dba";
    let put = [
        "token-profiles",
        "put",
        "bgt",
        "--standard",
        "bgt",
        "--chain-id",
        "80094",
        "--contract",
        contract,
        "--name",
        "BGT",
        "--symbol",
        "BGT",
        "--decimals",
        "18",
        "--claims-from",
        "0xd2f19a79b026fb636a7c300bf5947df113940761",
    ];
    let stored = run(&platform, &put).await;
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));
    let status = run(&platform, &["eligibility", "status"]).await;
    let status = String::from_utf8(status.stdout).unwrap();
    let note = "note: CHAIN_RPC_URLS of this shell names no endpoint of chain 80094; the workers' own may";
    assert!(status.contains(note) && !status.contains("not synced"), "{status}");
    let listed = run(&platform, &["token-profiles", "list"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.starts_with(&format!("bgt  bgt  BGT  chain 80094  {contract}")),
        "{listed}"
    );
    let wallet = "0x00000000000000000000000000000000000000aa";
    let add = [
        "eligibility",
        "override",
        "add",
        "bgt",
        wallet,
        "--reason",
        "a founder",
        "--by",
        "liet",
        "--days",
        "30",
    ];
    assert!(run(&platform, &add).await.status.success());
    let again = run(&platform, &add).await;
    assert!(!again.status.success());
    let stderr = String::from_utf8_lossy(&again.stderr);
    assert!(stderr.contains("revoke") && stderr.contains(wallet), "{again:?}");
    let listed = run(&platform, &["eligibility", "override", "list", "bgt"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.starts_with(&format!("{wallet}  add  until 20")) && listed.contains("added by liet: a founder"),
        "{listed}"
    );
    let revoke = [
        "eligibility",
        "override",
        "revoke",
        "bgt",
        wallet,
        "--reason",
        "left",
        "--by",
        "liet",
    ];
    assert!(run(&platform, &revoke).await.status.success());
    let listed = run(&platform, &["eligibility", "override", "list", "bgt"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.starts_with(&format!("{wallet}  add  revoked 20"))
            && listed.contains("by liet: left;")
            && listed.contains("added by liet: a founder"),
        "{listed}"
    );
    let unknown = run(&platform, &["eligibility", "sync", "spice"]).await;
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("no token profile spice"),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sync_of_a_killed_worker_is_continued_by_another() {
    let platform = Platform::start().await;
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Token", "BGT", 18).await;
    let jamis = wallet_of(&platform, "jamis").await;
    token.mint(jamis, tokens(80_u64)).await;
    for number in 1..=12_u64 {
        token.mint(super::setup::wallet(number), tokens(number)).await;
    }
    anvil.finalize().await;
    put_profile(&platform, token.address()).await;
    for point in ["read", "storing", "stored", "swapping", "swapped"] {
        let health = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut environment = environment(&platform, anvil.url());
        environment.push(("HEALTH_ADDR", health.to_string()));
        environment.push(("ARRAKIS_FAIL_POINTS", format!("worker.eligibility.{point}=kill")));
        let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
        let mut process = Process::start_at(program, &[], environment);
        let status = process.ended(std::time::Duration::from_secs(60)).await;
        assert_eq!(status.code(), None, "{point}: {:#?}", process.lines());
    }
    let _worker = Worker::start(&environment(&platform, anvil.url())).await;
    let role = Value::String(platform.community.roles["naib"].clone());
    // The tier sync was committed and not published: the leader publishes it after half a minute.
    eventually_within(
        std::time::Duration::from_secs(90),
        || async {
            let member = platform
                .control
                .member(&platform.community, platform.community.user("jamis"))
                .await;
            member["roles"].as_array().unwrap().contains(&role)
        },
        "Jamis to be Naib",
    )
    .await;
    let id = "bgt".parse().unwrap();
    let mut tx = platform.database.global().await.unwrap();
    let ranking = tx.eligibility().ranking(&id).await.unwrap();
    let ledger = anvil.ledger().balances(token.address());
    let found: std::collections::BTreeMap<_, _> =
        ranking.wallets().iter().map(|(a, held)| (*a, held.units())).collect();
    assert_eq!(found, ledger);
    drop(tx);
    // The notification events of the new ranking exist once.
    let events = platform.tenant().await.notifications().latest(100).await.unwrap();
    let of_rank = events.iter().filter(|found| {
        let event = &found.event;
        event.kind == NotificationKind::Rank && event.user == Some(platform.community.user_id("jamis"))
    });
    assert_eq!(of_rank.count(), 1);
}
