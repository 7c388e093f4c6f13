//! Workers are killed during an eligibility sync, and every RPC endpoint of the chain is down.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_domain::{Balance, Rank, RoleRule, RuleSetId, Standing};
use arrakis_test_support::{FaultProxy, tokens};
use arrakis_themes::Registry;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::time::{Instant, sleep};

use super::workers::{start_armed, start_unarmed};
use crate::chaos::Invariant::{I1, I2, I5, I6};
use crate::chaos::broker_client::BrokerClient;
use crate::chaos::ranks::{self, Ranks};
use crate::chaos::rpc_endpoint::RpcEndpoint;
use crate::chaos::{Deployment, Guard, Scenario, Testbed};
use crate::platform::chain::rpc_urls;
use crate::platform::{Answer, Chain};
use crate::seed::{TOKEN_PROFILE, role_of_tier};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 53,
        name: "killed-in-mid-sync",
        what: "SIGKILL of the worker at each seam of an eligibility sync, and at random moments of further ones, under load",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "the next worker continues within 20 s; ranks equal the ledger, each notification and tier sync exists once",
        guard: Guard::FailPoint("broker.guard.ack=skip"),
        without_guard: "an event lost, the sync not continued",
        run: |testbed| Box::pin(killed(testbed)),
    },
    Scenario {
        fault: 55,
        name: "rpc-endpoints-down",
        what: "every RPC endpoint is down when the worker starts, and again for 4 s in mid-sync",
        proves: &[I1, I2, I5, I6],
        alerts: &[],
        expected: "replies state the ranking's age; /health names the failure and clears; the sync continues by itself within 10 s",
        guard: Guard::FailPoint("chain.guard.repeat=skip"),
        without_guard: "the sync does not continue, wrong ranks",
        run: |testbed| Box::pin(endpoints_down(testbed)),
    },
];

/// Wallets, from rank 1, that claim and burn: the ranks of all communities' rules.
const MOVING: usize = 60;
/// Blocks that are played before a sync: several batches of the endpoint's eight blocks.
const PLAYED: usize = 24;
/// Time limit for the next worker to reach its fail point: start, delivery, and reading the batches.
const CONTINUED_WITHIN: Duration = Duration::from_secs(20);
/// A job whose message is lost is published by the leader after this time.
const LOST_AFTER: Duration = Duration::from_secs(31);
/// Signal that ends a worker at its fail point.
const SIGKILL: i32 = 9;

/// Claims and burns of random wallets, each in a block of its own.
async fn play(testbed: &mut Testbed, chain: &Chain, random: &mut ChaCha8Rng, blocks: usize) {
    let holders = testbed.plan().holders.clone();
    for _ in 0..blocks {
        let wallet = holders[random.random_range(0..MOVING)].address;
        if random.random_range(0..4) == 0 {
            chain.token().burn(wallet, tokens(random.random_range(1..20_u64))).await;
        } else {
            chain
                .token()
                .claim(wallet, tokens(random.random_range(1..900_u64)))
                .await;
        }
    }
    chain.anvil().finalize().await;
}

/// Enqueues a sync, as an operator does.
async fn request(testbed: &mut Testbed) -> anyhow::Result<()> {
    let sync = ["eligibility", "sync", TOKEN_PROFILE];
    testbed.platform().worker_task(&sync).await.map(drop)
}

/// The first block that no sync has read.
async fn next_block(testbed: &mut Testbed) -> anyhow::Result<i64> {
    let mut admin = ranks::admin(testbed).await?;
    let next = sqlx::query_scalar("select coalesce(max(next_block), 0) from eligibility_sync_cursors")
        .fetch_one(&mut admin)
        .await?;
    admin.close().await?;
    Ok(next)
}

/// Waits until a sync has stored a batch behind this block.
async fn wait_for_mid_sync(testbed: &mut Testbed, from: i64) -> anyhow::Result<()> {
    let moved = async |testbed: &mut Testbed| Ok(next_block(testbed).await? > from);
    testbed.wait_until("a sync to have stored a batch", moved).await
}

async fn killed(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(testbed.seed());
    let deployment = Deployment::default().workers(0);
    testbed.prepare(&deployment).await?;
    let chain = testbed.start_chain(&[]).await?;
    let endpoint = RpcEndpoint::start(chain.url(), Duration::from_millis(30)).await?;
    testbed.platform().read_chain(rpc_urls(&[endpoint.url()]));
    testbed.start_services(deployment).await?;
    let unarmed = testbed.with_guard_points(Vec::new());
    testbed.platform().spawn_worker(&unarmed)?.ready().await;
    testbed.platform().sync(TOKEN_PROFILE).await?;
    let before = ranks::expected(&chain);
    let wrong = ranks::difference(&ranks::stored(testbed).await?, &before);
    ensure!(wrong.is_none(), "the first ranking is wrong: {wrong:?}");
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let mut kills = 0;
    // The tier syncs of the ranking that this worker writes are committed, and not published.
    let mut points = vec![("swapped", 1)];
    let mut rest = ["read", "storing", "stored"]
        .map(|point| (point, random.random_range(1..=2)))
        .to_vec();
    rest.push(("swapping", 1));
    rest.shuffle(&mut random);
    points.append(&mut rest);
    testbed.platform().workers[0].kill().await;
    play(testbed, &chain, &mut random, PLAYED).await;
    request(testbed).await?;
    let mut swapped = Instant::now();
    for (point, hit) in points {
        if !killed_at(testbed, point, hit).await? {
            return Ok(());
        }
        if point == "swapped" {
            swapped = Instant::now();
        }
        kills += 1;
        play(testbed, &chain, &mut random, PLAYED).await;
    }
    while swapped.elapsed() < LOST_AFTER {
        killed_at_a_random_moment(testbed, &mut random).await?;
        kills += 1;
        play(testbed, &chain, &mut random, PLAYED).await;
    }
    start_unarmed(testbed, 0).await;
    testbed.platform().sync(TOKEN_PROFILE).await?;
    testbed.note(format!("workers killed: {kills}"));
    expect_complete(testbed, &chain, &before, kills).await
}

/// Starts a worker that is killed at a seam of the sync. Returns whether it came there.
async fn killed_at(testbed: &mut Testbed, point: &str, hit: u32) -> anyhow::Result<bool> {
    start_armed(testbed, 0, Some(&format!("worker.eligibility.{point}=kill@{hit}"))).await;
    let begun = Instant::now();
    let mut status = None;
    while status.is_none() && begun.elapsed() < CONTINUED_WITHIN {
        sleep(Duration::from_millis(20)).await;
        status = testbed.platform().workers[0].exit_status();
    }
    testbed.expect(
        I5,
        format!(
            "a worker continues the sync within {} s and is killed at worker.eligibility.{point}, hit {hit}",
            CONTINUED_WITHIN.as_secs()
        ),
        status.is_some(),
        "no worker took it over",
    );
    let Some(status) = status else { return Ok(false) };
    ensure!(status.signal() == Some(SIGKILL), "the worker ended by itself: {status}");
    testbed.record_recovery(begun.elapsed(), CONTINUED_WITHIN);
    Ok(true)
}

/// A worker is killed at a random moment after the first batch of a sync.
async fn killed_at_a_random_moment(testbed: &mut Testbed, random: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let from = next_block(testbed).await?;
    request(testbed).await?;
    start_armed(testbed, 0, None).await;
    wait_for_mid_sync(testbed, from).await?;
    sleep(Duration::from_millis(random.random_range(0..300))).await;
    testbed.platform().workers[0].kill().await;
    Ok(())
}

/// Checks ranks, notification events, tier syncs and roles against the ledger of the chain.
async fn expect_complete(testbed: &mut Testbed, chain: &Chain, before: &Ranks, kills: usize) -> anyhow::Result<()> {
    let after = ranks::expected(chain);
    let wrong = ranks::difference(&ranks::stored(testbed).await?, &after);
    testbed.expect(
        I1,
        "the ranks equal the ledger of the chain",
        wrong.is_none(),
        wrong.unwrap_or_default(),
    );
    let open = async |testbed: &mut Testbed| Ok(open_tier_syncs(testbed).await?.is_empty());
    let limit = Duration::from_secs(20);
    testbed
        .expect_within(I1, "every tier sync succeeds", limit, open)
        .await?;
    let checked = ranks::check_notifications(testbed, before, &after).await;
    let found = checked.as_ref().err().map(ToString::to_string).unwrap_or_default();
    testbed.expect(
        I2,
        "each change of a member's rank is notified once",
        checked.is_ok(),
        found,
    );
    testbed.note(format!("notification events: {}", checked.unwrap_or(0)));
    let wrong = wrong_roles(testbed, &after).await?;
    testbed.expect(
        I1,
        "every member has the role of the tier",
        wrong.is_empty(),
        wrong.join("; "),
    );
    let repeated = repeated_role_changes(testbed).await?;
    testbed.expect(
        I2,
        "a role is assigned or removed again only by the successor of a killed worker",
        repeated <= kills,
        format!("{repeated} times, {kills} workers killed"),
    );
    let letters = BrokerClient::new(&testbed.platform().vhost().url())
        .dead_letters()
        .await?;
    testbed.expect(
        I1,
        "no job is a dead letter",
        letters.is_empty(),
        format!("{letters:?}"),
    );
    Ok(())
}

/// Tier syncs that have not succeeded, with their state.
async fn open_tier_syncs(testbed: &mut Testbed) -> anyhow::Result<Vec<(String, String)>> {
    let mut admin = ranks::admin(testbed).await?;
    let open = sqlx::query_as("select job_id, state from jobs where kind = 'tier-sync' and state <> 'succeeded'")
        .fetch_all(&mut admin)
        .await?;
    admin.close().await?;
    Ok(open)
}

/// Members whose tier's role is missing, or who have that of another tier.
async fn wrong_roles(testbed: &mut Testbed, ranks: &Ranks) -> anyhow::Result<Vec<String>> {
    let places: HashMap<_, _> = (1_u32..)
        .zip(ranks)
        .map(|(rank, (wallet, held))| (*wallet, (rank, *held)))
        .collect();
    let (themes, mut wrong) = (Registry::load(None)?, Vec::new());
    let (servers, holders) = (testbed.plan().servers.clone(), testbed.plan().holders.clone());
    for server in &servers {
        let Some(community) = &server.community else { continue };
        let theme = themes.theme(community.theme)?;
        let ladder = theme.ladder(Some(&RuleSetId::new(community.rule_set)?));
        let ladder = ladder.context("the theme has no such rules")?;
        let present: HashMap<String, Vec<String>> = testbed
            .discord()
            .members(server.guild)
            .await?
            .iter()
            .filter_map(|member| {
                let id = member["user"]["id"].as_str()?.to_owned();
                Some((id, serde_json::from_value(member["roles"].clone()).ok()?))
            })
            .collect();
        for member in &server.members {
            let (Some(roles), Some(holder)) = (present.get(&member.user.to_string()), member.holder) else {
                continue;
            };
            let Some((rank, held)) = places.get(&holders[holder].address) else {
                continue;
            };
            let tier = ladder.tier_of(Standing::new(Rank::new(*rank), Balance::from_units(*held)));
            let role = tier.and_then(|tier| role_of_tier(theme, server.guild, tier.as_str()));
            let of_tiers = theme.roles.iter().filter_map(|role| match &role.given_to {
                RoleRule::Tier(tier) => role_of_tier(theme, server.guild, tier.as_str()),
                _ => None,
            });
            let held_of_tiers = of_tiers.filter(|role| roles.contains(&role.to_string()));
            if held_of_tiers.ne(role) {
                wrong.push(format!(
                    "{} of rank {rank} has {roles:?} instead of {role:?}",
                    member.user
                ));
            }
        }
    }
    Ok(wrong)
}

/// How often a role was assigned to a member who had it, or removed from one who had it not.
async fn repeated_role_changes(testbed: &mut Testbed) -> anyhow::Result<usize> {
    let mut last: HashMap<String, String> = HashMap::new();
    let calls = testbed.discord().rest_calls().await?;
    let changes = calls
        .into_iter()
        .filter(|call| call.status == 204 && call.path.contains("/roles/"));
    Ok(changes
        .filter(|call| last.insert(call.path.clone(), call.method.clone()).as_ref() == Some(&call.method))
        .count())
}

/// The endpoints of the chain, which are down together.
struct Endpoints {
    _endpoint: RpcEndpoint,
    gates: [Arc<FaultProxy>; 2],
}

impl Endpoints {
    fn set_down(&self, down: bool) {
        for gate in &self.gates {
            gate.refuse(down);
            gate.close_connections();
        }
    }
}

async fn endpoints_down(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(testbed.seed());
    let deployment = Deployment::default();
    testbed.prepare(&deployment).await?;
    let chain = testbed.start_chain(&[]).await?;
    let endpoint = RpcEndpoint::start(chain.url(), Duration::from_millis(100)).await?;
    let gates = [
        testbed.proxy_to(endpoint.url()).await,
        testbed.proxy_to(endpoint.url()).await,
    ];
    let urls = gates.each_ref().map(|gate| gate.proxied_url(endpoint.url()));
    testbed.platform().read_chain(rpc_urls(&[&urls[0], &urls[1]]));
    let endpoints = Endpoints {
        _endpoint: endpoint,
        gates,
    };
    endpoints.set_down(true);
    let stored = ranks::stored(testbed).await?;
    testbed.start_services(deployment).await?;
    testbed.load_of_joins_and_leaves(15).await?;
    down_from_the_start(testbed, &stored).await?;
    endpoints.set_down(false);
    back(testbed).await?;
    down_in_mid_sync(testbed, &chain, &endpoints, &mut random).await?;
    let up = async |testbed: &mut Testbed| Ok(eligibility(testbed).await?["status"] == "up");
    let limit = Duration::from_secs(20);
    testbed.expect_within(I6, "/health is clear again", limit, up).await?;
    Ok(())
}

/// The first sync fails: replies state the age of the stored ranking, and health names the failure.
async fn down_from_the_start(testbed: &mut Testbed, stored: &Ranks) -> anyhow::Result<()> {
    let (channel, user) = (testbed.channel(0)?, member(testbed, 1)?);
    let position = testbed.reply_to(channel, user, "position", json!([])).await?;
    testbed.expect(
        I1,
        "/position states the ranking's age",
        has_age(&position),
        &position.message,
    );
    let checked = testbed.reply_to(channel, user, "check-eligibility", json!([])).await?;
    let says_so = checked
        .field("Source")
        .is_some_and(|text| text.starts_with("The last ranking only: the chain does not respond"));
    let what = "/check-eligibility uses the ranking and states its age";
    testbed.expect(I1, what, says_so && has_age(&checked), &checked.message);
    let named = async |testbed: &mut Testbed| {
        let found = eligibility(testbed).await?;
        let detail = found["detail"].as_str().unwrap_or_default().to_owned();
        Ok(found["status"] == "degraded" && detail.contains("failed syncs") && detail.contains("127.0.0.1"))
    };
    let limit = Duration::from_secs(40);
    testbed
        .expect_within(I6, "/health names the failed sync and the endpoints", limit, named)
        .await?;
    let kept = ranks::difference(&ranks::stored(testbed).await?, stored);
    testbed.expect(
        I1,
        "the stored ranking is kept",
        kept.is_none(),
        kept.unwrap_or_default(),
    );
    Ok(())
}

/// The endpoints are up: the next sync succeeds once their pause is over.
async fn back(testbed: &mut Testbed) -> anyhow::Result<()> {
    const PAUSE_OVER: Duration = Duration::from_secs(25);
    let begun = Instant::now();
    while let Err(error) = testbed.platform().sync(TOKEN_PROFILE).await {
        if begun.elapsed() > PAUSE_OVER {
            return Err(error);
        }
        sleep(Duration::from_millis(500)).await;
    }
    testbed.record_recovery(begun.elapsed(), PAUSE_OVER);
    Ok(())
}

async fn down_in_mid_sync(
    testbed: &mut Testbed,
    chain: &Chain,
    endpoints: &Endpoints,
    random: &mut ChaCha8Rng,
) -> anyhow::Result<()> {
    const DOWN: Duration = Duration::from_secs(4);
    const CONTINUES: Duration = Duration::from_secs(10);
    let (channel, asking, other) = (testbed.channel(0)?, member(testbed, 2)?, member(testbed, 3)?);
    let wallet = wallet_of(testbed, asking)?;
    let live = testbed
        .reply_to(channel, asking, "check-eligibility", json!([]))
        .await?;
    let read = live
        .field("Source")
        .is_some_and(|text| text.starts_with("Read from the chain"));
    testbed.expect(I1, "/check-eligibility reads the chain again", read, &live.message);
    play(testbed, chain, random, 2 * PLAYED).await;
    let from = next_block(testbed).await?;
    request(testbed).await?;
    wait_for_mid_sync(testbed, from).await?;
    endpoints.set_down(true);
    let down = Instant::now();
    let unread = ranks::difference(&ranks::stored(testbed).await?, &ranks::expected(chain));
    testbed.expect(
        I5,
        "the endpoints go down in mid-sync",
        unread.is_some(),
        "the sync was complete",
    );
    let named = json!([{"name": "wallet", "type": 3, "value": wallet}]);
    let old = testbed.reply_to(channel, other, "check-eligibility", named).await?;
    let has_age = old
        .field("Source")
        .is_some_and(|text| text.starts_with("Stored answer, "));
    testbed.expect(
        I1,
        "/check-eligibility uses a stored answer and states its age",
        has_age,
        &old.message,
    );
    sleep(DOWN.saturating_sub(down.elapsed())).await;
    endpoints.set_down(false);
    let begun = Instant::now();
    let mut wrong = Some(String::new());
    while wrong.is_some() && begun.elapsed() < CONTINUES + Duration::from_secs(3) {
        sleep(Duration::from_millis(100)).await;
        wrong = ranks::difference(&ranks::stored(testbed).await?, &ranks::expected(chain));
    }
    testbed.record_recovery(begun.elapsed(), CONTINUES);
    testbed.expect(
        I1,
        "the sync continues; the ranks equal the ledger",
        wrong.is_none(),
        wrong.unwrap_or_default(),
    );
    Ok(())
}

/// A member of the first server with a wallet, who neither runs commands nor leaves otherwise.
fn member(testbed: &mut Testbed, number: usize) -> anyhow::Result<u64> {
    let members = testbed.plan().servers[0].members.iter();
    let mut with_wallet = members.filter(|member| member.holder.is_some());
    let member = with_wallet
        .nth(number)
        .context("the plan has too few members with a wallet")?;
    Ok(member.user)
}

fn wallet_of(testbed: &mut Testbed, user: u64) -> anyhow::Result<String> {
    let plan = testbed.plan();
    let mut members = plan.servers[0].members.iter();
    let holder = members
        .find(|member| member.user == user)
        .and_then(|member| member.holder);
    Ok(plan.holders[holder.context("the member has no wallet")?]
        .address
        .to_string())
}

/// Whether the reply states when the ranking was read.
fn has_age(answer: &Answer) -> bool {
    let embed = answer.embed();
    let footer = embed["footer"]["text"].as_str().unwrap_or_default();
    footer.contains("time of the ranking") && embed["timestamp"].is_string()
}

/// The health component of the eligibility syncs.
async fn eligibility(testbed: &mut Testbed) -> anyhow::Result<Value> {
    let mut health = testbed.platform().workers[0].health().await?;
    Ok(health["components"]["eligibility"].take())
}
