//! The kill switch is turned on under load, with three proxies and two workers; also while Redis or Postgres is stopped, and while one proxy is
//! paused or does not learn of it.
//!
//! Writes are sent through every proxy all the time, so that a proxy without the kill switch is found.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::RestCall;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::calls::Caller;
use super::postgres::start_on;
use super::rest::proxies;
use crate::chaos::Invariant::{I4, I6};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};
use crate::platform::servers::{PostgresServer, RedisServer};

/// In this time the kill switch takes effect, from the start of the command.
const EFFECT_MS: u64 = 5_000;
/// How long writes are attempted after that.
const OBSERVED: Duration = Duration::from_secs(5);
/// Proxies of the deployment.
const PROXIES: usize = 3;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 59,
        name: "kill-switch",
        what: "the kill switch is turned on under load, with three proxies and two workers",
        proves: &[I4, I6],
        alerts: &["kill-switch"],
        expected: "no write at Discord 5 s later",
        guard: Guard::FailPoint("proxy.guard.kill_switch=skip"),
        without_guard: "83 writes after the 5 s",
        run: |testbed| Box::pin(turned_on(testbed, Stopped::Nothing)),
    },
    Scenario {
        fault: 59,
        name: "kill-switch-without-redis",
        what: "the kill switch is turned on under load while Redis is stopped",
        proves: &[I4, I6],
        alerts: &["kill-switch"],
        expected: "no write at Discord 5 s later; the command names what failed",
        guard: Guard::FailPoint("proxy.guard.kill_switch=skip"),
        without_guard: "81 writes after the 5 s",
        run: |testbed| Box::pin(turned_on(testbed, Stopped::Redis)),
    },
    Scenario {
        fault: 59,
        name: "kill-switch-without-postgres",
        what: "the kill switch is turned on under load while Postgres is stopped",
        proves: &[I4, I6],
        alerts: &["kill-switch"],
        expected: "no write at Discord 5 s later; the command names what failed",
        guard: Guard::FailPoint("proxy.guard.kill_switch=skip"),
        without_guard: "113 writes after the 5 s",
        run: |testbed| Box::pin(turned_on(testbed, Stopped::Postgres)),
    },
    Scenario {
        fault: 59,
        name: "kill-switch-and-paused-proxy",
        what: "SIGSTOP of a proxy with calls in its sockets and of Redis, the kill switch is turned on, SIGCONT of the proxy 9 s later",
        proves: &[I4, I6],
        alerts: &["kill-switch", "service-down"],
        expected: "no write at Discord 5 s later, and none of the calls that waited",
        // When the proxy continues, it has the kill switch before the calls, or no recent confirmation: either is enough to refuse them.
        guard: Guard::FailPoint("proxy.guard.confirmation=skip;proxy.guard.kill_switch=skip"),
        without_guard: "8 writes after the 5 s",
        run: |testbed| Box::pin(paused(testbed)),
    },
    Scenario {
        fault: 59,
        name: "kill-switch-and-partitioned-proxy",
        what: "the kill switch is turned on while a proxy that no worker knows has a Redis that hangs",
        proves: &[I4, I6],
        alerts: &["kill-switch", "kill-switch-differs"],
        expected: "no write at Discord 5 s later",
        guard: Guard::FailPoint("proxy.guard.confirmation=skip"),
        without_guard: "3 writes after the 5 s",
        run: |testbed| Box::pin(partitioned(testbed)),
    },
];

/// The server that is stopped before the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Nothing,
    Redis,
    Postgres,
}

async fn turned_on(testbed: &mut Testbed, stopped: Stopped) -> anyhow::Result<()> {
    let mut redis = RedisServer::start().await?;
    let mut postgres = PostgresServer::start().await?;
    let deployment = Deployment::default().proxies(PROXIES).workers(2);
    let deployment = deployment
        .proxy_env("REDIS_URL", redis.url())
        .worker_env("REDIS_URL", redis.url());
    let database = postgres.database().await;
    start_on(testbed, database, deployment).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let guilds = testbed.discord().guilds().await?;
    let guild = guilds.first().context("the emulator has no server")?.id.0;
    let writers = keep_writing(&Caller::of(testbed), guild, PROXIES);
    let written = async |testbed: &mut Testbed| Ok(writes(testbed, 0).await?.len() > 20);
    testbed.wait_until("writes through every proxy", written).await?;
    match stopped {
        Stopped::Nothing => {}
        Stopped::Redis => redis.kill().await,
        Stopped::Postgres => postgres.stop_immediately().await?,
    }
    let begun = now_ms();
    let output = testbed
        .platform()
        .worker_command(
            &["kill-switch", "on", "--reason", "chaos", "--by", "chaos", "--json"],
            &[("REDIS_URL", redis.url())],
        )
        .await?;
    let took = now_ms() - begun;
    expect_report(testbed, stopped, &output)?;
    let all_on = async |testbed: &mut Testbed| {
        Ok(proxies(testbed, "arrakis_proxy_kill_switch_on", &[]).await? == f64::from(u8::try_from(PROXIES)?))
    };
    testbed
        .expect_within(I6, "every proxy reports the kill switch", OBSERVED, all_on)
        .await?;
    let until = begun + EFFECT_MS + u64::try_from(OBSERVED.as_millis())?;
    tokio::time::sleep(Duration::from_millis(until.saturating_sub(now_ms()))).await;
    let refused = proxies(testbed, "arrakis_proxy_refusals_total", &[("why", "kill-switch")]).await?;
    ensure!(
        refused > 0.0 || !testbed.guarded(),
        "no write was attempted while the kill switch was on"
    );
    expect_no_late_write(testbed, begun).await?;
    let last = writes(testbed, begun).await?.iter().map(|call| call.at_ms).max();
    let last = last.map_or(0, |last| last.saturating_sub(begun));
    testbed.note(format!(
        "the command took {took} ms; the last write arrived {last} ms after its start"
    ));
    drop(writers);
    testbed.stop_load().await?;
    if stopped == Stopped::Postgres {
        postgres.start_again().await?;
    }
    testbed.keep_running(postgres);
    testbed.keep_running(redis);
    Ok(())
}

/// A proxy that is paused has calls in its sockets, and sends none of them when it continues.
async fn paused(testbed: &mut Testbed) -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let deployment = Deployment::default().proxies(PROXIES).workers(2);
    let deployment = deployment
        .proxy_env("REDIS_URL", redis.url())
        .worker_env("REDIS_URL", redis.url());
    testbed.start(deployment).await?;
    let writers = begin_writing(testbed, PROXIES).await?;
    testbed.platform().proxies[0].suspend();
    redis.suspend();
    // Calls arrive at the paused proxy.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = now_ms();
    let urls = testbed.platform().proxy_urls();
    turn_on(testbed, &redis, &urls).await?;
    tokio::time::sleep(Duration::from_millis((begun + 9_000).saturating_sub(now_ms()))).await;
    testbed.platform().proxies[0].resume();
    tokio::time::sleep(OBSERVED).await;
    expect_no_late_write(testbed, begun).await?;
    drop(writers);
    redis.resume();
    testbed.keep_running(redis);
    Ok(())
}

/// A proxy that is not in `DISCORD_PROXY_URL`, and whose Redis hangs, is reached by nothing.
async fn partitioned(testbed: &mut Testbed) -> anyhow::Result<()> {
    let (redis, hung) = (RedisServer::start().await?, RedisServer::start().await?);
    let deployment = Deployment::default().proxies(PROXIES).workers(2);
    let deployment = deployment
        .proxy_env("REDIS_URL", redis.url())
        .worker_env("REDIS_URL", redis.url());
    testbed.start(deployment).await?;
    let known = testbed.platform().proxy_urls();
    let variables = testbed.with_guard_points(vec![("REDIS_URL".to_owned(), hung.url())]);
    testbed.platform().spawn_proxy(&variables)?.ready().await;
    let writers = begin_writing(testbed, PROXIES + 1).await?;
    hung.suspend();
    let begun = now_ms();
    turn_on(testbed, &redis, &known).await?;
    let until = begun + EFFECT_MS + u64::try_from(OBSERVED.as_millis())?;
    tokio::time::sleep(Duration::from_millis(until.saturating_sub(now_ms()))).await;
    expect_no_late_write(testbed, begun).await?;
    drop(writers);
    hung.resume();
    testbed.keep_running(redis);
    testbed.keep_running(hung);
    Ok(())
}

/// Writes through the first `count` proxies, after some of them have arrived.
async fn begin_writing(testbed: &mut Testbed, count: usize) -> anyhow::Result<JoinSet<()>> {
    let guilds = testbed.discord().guilds().await?;
    let guild = guilds.first().context("the emulator has no server")?.id.0;
    let writers = keep_writing(&Caller::of(testbed), guild, count);
    let written = async |testbed: &mut Testbed| Ok(writes(testbed, 0).await?.len() > 20);
    testbed.wait_until("writes through every proxy", written).await?;
    Ok(writers)
}

/// Turns the kill switch on at these proxies. A step may fail.
async fn turn_on(testbed: &mut Testbed, redis: &RedisServer, proxies: &[String]) -> anyhow::Result<()> {
    let output = testbed
        .platform()
        .worker_command(
            &["kill-switch", "on", "--reason", "chaos", "--by", "chaos", "--json"],
            &[("REDIS_URL", redis.url()), ("DISCORD_PROXY_URL", proxies.join(","))],
        )
        .await?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
    ensure!(report["version"].is_u64(), "no entry: {report}");
    Ok(())
}

async fn expect_no_late_write(testbed: &mut Testbed, begun: u64) -> anyhow::Result<()> {
    let late = writes(testbed, begun + EFFECT_MS).await?;
    testbed.expect(
        I4,
        "no write arrives at Discord 5 s after the command began",
        late.is_empty(),
        format!("{} writes, such as {:?}", late.len(), late.first()),
    );
    Ok(())
}

/// Checks that the report of the command has a step for each proxy that is done, and that it names what failed.
fn expect_report(testbed: &mut Testbed, stopped: Stopped, output: &std::process::Output) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text)
        .with_context(|| format!("the report: {text}{}", String::from_utf8_lossy(&output.stderr)))?;
    let steps = report["steps"].as_array().context("the report has no steps")?;
    let of = |name: &str| {
        steps
            .iter()
            .filter(|step| step["name"].as_str().is_some_and(|found| found.starts_with(name)))
            .map(|step| step["outcome"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let proxies = of("discord-proxy");
    testbed.expect(
        I6,
        "the command reports every proxy",
        proxies == ["done"; PROXIES],
        format!("{proxies:?}"),
    );
    for (name, is_stopped) in [
        ("Redis", stopped == Stopped::Redis),
        ("PostgreSQL", stopped == Stopped::Postgres),
    ] {
        let outcomes = of(name);
        let wanted = if is_stopped { "failed" } else { "done" };
        testbed.expect(
            I6,
            format!("the step of {name} is {wanted}"),
            outcomes == [wanted],
            format!("{outcomes:?}"),
        );
    }
    let succeeded = output.status.success();
    testbed.expect(
        I6,
        "the exit code states whether a step failed",
        succeeded == (stopped == Stopped::Nothing),
        output.status,
    );
    Ok(())
}

/// Sends writes through the first `count` proxies until the set is dropped: new positions of no role, and messages to a channel that does not exist.
fn keep_writing(caller: &Caller, guild: u64, count: usize) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    for proxy in 0..count {
        let writes = [
            (Method::PATCH, format!("/guilds/{guild}/roles"), json!([])),
            (Method::POST, "/channels/1/messages".to_owned(), json!({"content": "x"})),
        ];
        for (method, path, body) in writes {
            let caller = caller.with_deadline(2_000);
            writers.spawn(async move {
                loop {
                    // The response does not matter: the emulator's records are checked.
                    let _ = caller.call(proxy, method.clone(), &path, body.clone()).await;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            });
        }
    }
    writers
}

/// The writes that arrived at the emulator after this time.
async fn writes(testbed: &mut Testbed, after_ms: u64) -> anyhow::Result<Vec<RestCall>> {
    let calls = testbed.discord().rest_calls().await?;
    let is_write = |call: &RestCall| call.method != "GET" && call.at_ms > after_ms;
    Ok(calls.into_iter().filter(is_write).collect())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
