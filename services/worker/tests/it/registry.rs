//! The identity registry: the subcommands of `arrakis-worker registry`, and what a suspension does to roles.

use std::path::Path;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_db::registry::{Account, Cause, EventSource, Suspension, VerifiedWallet};
use arrakis_db::{Admin, DatabaseOptions, JobState};
use arrakis_domain::Address;
use arrakis_telemetry::Metrics;
use arrakis_test_support::{Process, TestDatabase, eventually, eventually_within};
use arrakis_worker::jobs::{self, tier_sync};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use twilight_model::id::Id;

use crate::platform::Platform;

const LIMIT: Duration = Duration::from_secs(30);
const START: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

/// Runs a subcommand; returns the exit code and the printed lines.
async fn run(test: &TestDatabase, arguments: &[&str]) -> (i32, Vec<String>) {
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let environment = [
        ("DATABASE_URL", test.app_url()),
        ("DATABASE_OWNER_URL", test.owner_url()),
    ];
    let (status, text) = Process::start_at(program, arguments, environment).output(LIMIT).await;
    (status.code().unwrap(), text.lines().map(str::to_owned).collect())
}

pub(crate) async fn sql(url: &str, statement: &str) {
    let arguments = ["--no-psqlrc", "--quiet", "--command", statement, url];
    let done = tokio::process::Command::new("psql")
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn address(number: u8) -> Address {
    let mut bytes = [0; 20];
    bytes[19] = number;
    Address::from_bytes(bytes)
}

fn cause(source: EventSource, hour: i64) -> Cause {
    Cause {
        source,
        at: START + time::Duration::hours(hour),
    }
}

/// An identity whose first wallet is replaced by another one after two hours.
pub(crate) async fn seed(test: &TestDatabase) -> String {
    let database = test.database().await;
    let mut tx = database.global().await.unwrap();
    let mut registry = tx.registry();
    let account = Account::Discord(7_u64.try_into().unwrap());
    let by = |hour| cause(EventSource::DiscordVerification, hour);
    let chani = registry.create(account, "Chani\u{202e}", by(0)).await.unwrap().id;
    for (number, hour) in [(1, 0), (2, 2)] {
        let wallet = VerifiedWallet {
            address: address(number),
            chain_id: 80094,
            signature: None,
            verified_at: by(hour).at,
        };
        registry.verify_wallet(chani, &wallet, by(hour)).await.unwrap();
    }
    registry
        .remove_wallet(chani, address(1), "unlinked", by(2))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    chani.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chain_is_verified_and_the_first_bad_event_is_named() {
    let test = TestDatabase::create().await;
    let id = seed(&test).await;
    let (code, lines) = run(&test, &["registry", "verify"]).await;
    assert_eq!(code, 0, "{lines:?}");
    assert!(
        lines[0].starts_with("the chain is complete: 5 events, 1 identity; the head is event 5 with the hash "),
        "{lines:?}"
    );
    let owner = test.owner_url();
    sql(
        &owner,
        "alter table identity_events disable trigger refuse_change;
         update identity_events set payload = convert_to(replace(convert_from(payload, 'UTF8'), '80094', '1'), 'UTF8')
          where sequence = 2",
    )
    .await;
    let (code, lines) = run(&test, &["registry", "verify"]).await;
    assert_eq!(code, 1, "{lines:?}");
    assert_eq!(lines[0], "event 2: the hash is not that of the event's fields");
    assert_eq!(lines[1], format!("    identity: {id}"));
    assert!(
        lines[2].starts_with("    expected: ") && lines[3].starts_with("    found:    "),
        "{lines:?}"
    );
    let (code, lines) = run(&test, &["registry", "verify", "--json"]).await;
    let report: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (code, &report["problem"]["sequence"], &report["problem"]["kind"]),
        (1, &json!(2), &json!("hash"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_at_a_moment_is_printed() {
    let test = TestDatabase::create().await;
    let id = seed(&test).await;
    let at = |time: &'static str| ["registry", "replay", "--at", time];
    let (code, lines) = run(&test, &at("2026-01-01T13:00:00Z")).await;
    assert_eq!(code, 0, "{lines:?}");
    assert_eq!(
        lines,
        [
            format!("{id}  Chani\\u{{202e}}  active"),
            "    Discord user 7".to_owned(),
            format!(
                "    wallet {} on chain 80094, verified 2026-01-01T12:00:00Z, primary",
                address(1)
            ),
            "1 identity".to_owned(),
        ]
    );
    let later = at("2026-01-02T00:00:00Z");
    let wallet = address(2).to_string();
    let (code, lines) = run(&test, &[&later[..], &["--wallet", &wallet, "--json"]].concat()).await;
    assert_eq!(code, 0);
    // The count is on stderr, and the order of two streams is not certain.
    let json = lines.iter().find(|line| line.starts_with('{')).unwrap();
    let record: Value = serde_json::from_str(json).unwrap();
    assert_eq!(record["identity"]["discord_user"], "7");
    assert_eq!(record["wallets"][0]["removed_reason"], "unlinked");
    assert_eq!(record["wallets"][1]["is_primary"], true);
    // The first wallet was removed by then.
    let wallet = address(1).to_string();
    let (code, lines) = run(&test, &[&later[..], &["--wallet", &wallet]].concat()).await;
    assert_eq!((code, lines), (1, vec!["no identity at this moment".to_owned()]));
    let (code, lines) = run(&test, &[&later[..], &["--discord-user", "7"]].concat()).await;
    assert_eq!((code, lines.len()), (0, 5), "{lines:?}");
    let (code, _) = run(&test, &at("2025-01-01T00:00:00Z")).await;
    assert_eq!(code, 0, "no identities is a state");
    let (code, lines) = run(&test, &at("2999-01-01T00:00:00Z")).await;
    assert_eq!(code, 1);
    assert!(
        lines.iter().any(|line| line.contains("--at is in the future")),
        "{lines:?}"
    );
    for odd in [
        &["registry", "replay"][..],
        &at("yesterday"),
        &["registry", "verify", "--at", "x"],
    ] {
        assert_eq!(run(&test, odd).await.0, 64, "{odd:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_moves_old_verifications_to_the_registry() {
    let test = TestDatabase::create().await;
    let (code, lines) = run(&test, &["migrate"]).await;
    assert_eq!((code, lines.len()), (0, 1), "{lines:?}");
    let row = format!(
        "insert into token_profiles (token_profile_id, name, symbol, chain_id, contract, decimals)
         values ('bgt', 'BGT', 'BGT', 80094, '{0}', 18);
         insert into wallet_verifications (token_profile_id, verification_id, address, discord_user_id, verified_at)
         values ('bgt', gen_random_uuid(), '{0}', 7, now())",
        address(1)
    );
    sql(&test.owner_url(), &row).await;
    let (code, lines) = run(&test, &["migrate", "--json"]).await;
    assert_eq!(code, 0);
    let summary: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(summary["verifications"]["migrated"], 1);
    let (code, lines) = run(&test, &["registry", "migrate-verifications"]).await;
    let counts = "migrated 0 wallet verifications to the registry (0 of them removed since); 1 were there already";
    assert_eq!((code, lines), (0, vec![counts.to_owned()]));
}

/// Suspended with an end: the roles go by a tier sync, and come back by the leader's after the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_member_has_no_roles_until_the_suspension_ends() {
    let (platform, _worker) = Platform::with_worker().await;
    let user = platform.community.user_id("chani");
    let roles = async || {
        let member = platform.control.member(&platform.community, "chani").await;
        platform.community.keys(&member["roles"]).len()
    };
    // The first reconcile assigns the three missing roles, and has no more to do.
    eventually(
        || async { platform.control.count("PUT", "/roles/", 204).await == 3 },
        "the first reconcile to end",
    )
    .await;
    assert!(roles().await > 0);

    let operators = Admin::connect(&Secret::new(platform.admin_url()), DatabaseOptions::default())
        .await
        .unwrap();
    let now = OffsetDateTime::now_utc();
    let until = now + time::Duration::seconds(15);
    let mut tx = operators.database().global().await.unwrap();
    let mut registry = tx.registry();
    let by = Cause {
        source: EventSource::Admin,
        at: now,
    };
    let chani = registry.create(Account::Discord(user), "Chani", by).await.unwrap().id;
    let suspension = Suspension {
        reason: "two accounts",
        by: "stilgar",
        until: Some(until),
    };
    registry.suspend(chani, &suspension, by).await.unwrap();
    tx.commit().await.unwrap();
    let request = tier_sync::for_member("tier-sync:suspended".to_owned(), Id::new(user.get()));
    let services = platform.services(&Metrics::new());
    jobs::enqueue(&services, platform.community.id, &request).await.unwrap();
    eventually(|| async { roles().await == 0 }, "the roles to be removed").await;
    assert_eq!(
        platform
            .tenant()
            .await
            .profiles()
            .by_user(user)
            .await
            .unwrap()
            .unwrap()
            .tier,
        None
    );

    eventually_within(
        Duration::from_secs(60),
        || async { roles().await > 0 },
        "the roles to be assigned again",
    )
    .await;
    assert!(OffsetDateTime::now_utc() >= until);
    let mut tx = platform.database.global().await.unwrap();
    eventually_ended(
        &platform,
        &format!("tier-sync:restored:{chani}:{}", until.unix_timestamp()),
    )
    .await;
    let last = tx.registry().history(chani, None, 1).await.unwrap();
    assert_eq!(last[0].source, EventSource::Expiry);
}

async fn eventually_ended(platform: &Platform, job: &str) {
    eventually(
        || async {
            let found = platform.tenant().await.jobs().get(job).await.unwrap();
            found.is_some_and(|job| job.state == JobState::Succeeded)
        },
        format!("job {job} to succeed"),
    )
    .await;
}
