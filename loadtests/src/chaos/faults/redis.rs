//! Redis is killed, suspended, refuses commands, or loses its scripts. The proxies keep Discord's limits without it.

use std::time::Duration;

use arrakis_emulator_client::SeedRequest;

use super::calls::{Caller, PollingCallers};
use super::rest::proxies;
use crate::chaos::Invariant::{I1, I3, I4, I5, I6};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};
use crate::platform::servers::{RedisServer, RefusalMode};

/// Time limit until the proxies share the limit again after Redis is back: their next heartbeat, and five seconds in which a
/// replica in degraded mode is allowed for.
const SHARED_AGAIN: Duration = Duration::from_secs(10);
/// Servers with waiting calls, so that every free slot of the limit is used.
const SERVERS: u64 = 90;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 43,
        name: "redis-gone",
        what: "SIGKILL of Redis under load, and a new one without data",
        proves: &[I1, I3, I4, I5, I6],
        alerts: &["redis-unavailable", "limits-apart"],
        expected: "each proxy uses its share; shared again within 10 s",
        guard: Guard::FailPoint("proxy.guard.share=skip"),
        without_guard: "above the limit",
        run: |testbed| Box::pin(redis_unavailable(testbed, true)),
    },
    Scenario {
        fault: 43,
        name: "redis-hung",
        what: "SIGSTOP of Redis under load",
        proves: &[I1, I3, I4, I5, I6],
        alerts: &["redis-unavailable", "limits-apart"],
        expected: "each proxy uses its share; shared again within 10 s",
        guard: Guard::FailPoint("proxy.guard.share=skip"),
        without_guard: "above the limit",
        run: |testbed| Box::pin(redis_unavailable(testbed, false)),
    },
    Scenario {
        fault: 44,
        name: "redis-refuses",
        what: "Redis full, read-only, without replicas, and busy, one after the other",
        proves: &[I4, I5, I6],
        alerts: &[],
        expected: "each proxy uses its share; the log names the error",
        guard: Guard::FailPoint("proxy.guard.share=skip"),
        without_guard: "above the limit",
        run: |testbed| Box::pin(refuses(testbed)),
    },
    Scenario {
        fault: 45,
        name: "redis-scripts-flushed",
        what: "SCRIPT FLUSH under load",
        proves: &[I4, I5],
        alerts: &[],
        expected: "the scripts are loaded again; no proxy enters degraded mode",
        // The first three scripts are loaded when the proxy starts.
        guard: Guard::FailPoint("proxy.guard.script=skip@4+"),
        without_guard: "no recovery in time",
        run: |testbed| Box::pin(flushed(testbed)),
    },
];

/// Starts a platform with a private Redis, and callers that request more than Discord allows.
async fn begin(testbed: &mut Testbed) -> anyhow::Result<(RedisServer, PollingCallers)> {
    let redis = RedisServer::start().await?;
    let deployment = Deployment::default().proxies(2);
    let deployment = deployment
        .proxy_env("REDIS_URL", redis.url())
        .worker_env("REDIS_URL", redis.url());
    let callers = start_saturated(testbed, deployment, 2).await?;
    Ok((redis, callers))
}

/// Starts this deployment, which has `proxies` proxies, and callers that request more than Discord allows. Returns once the
/// global limit is used up.
pub(super) async fn start_saturated(
    testbed: &mut Testbed,
    deployment: Deployment,
    proxies: u32,
) -> anyhow::Result<PollingCallers> {
    testbed.prepare(&deployment).await?;
    let more = SeedRequest::Load {
        guilds: SERVERS,
        members: 1,
    };
    testbed.discord().seed(&more).await?;
    let guilds = testbed.discord().guilds().await?;
    testbed.start_services(deployment).await?;
    wait_for_whole_limit(testbed, proxies).await?;
    let paths = guilds.iter().map(|guild| format!("/guilds/{}", guild.id));
    let callers = Caller::of(testbed).with_deadline(20_000).keep_calling(paths.collect());
    wait_for_used_up_limit(testbed).await?;
    Ok(callers)
}

/// Waits until this many proxies use Redis and each applies the whole limit.
pub(super) async fn wait_for_whole_limit(testbed: &mut Testbed, count: u32) -> anyhow::Result<()> {
    let decided = async |testbed: &mut Testbed| {
        let together = proxies(testbed, "arrakis_proxy_limits_apart", &[]).await? == 0.0;
        Ok(together && proxies(testbed, "arrakis_proxy_limit_in_force", &[]).await? == f64::from(50 * count))
    };
    testbed.wait_until("the whole limit at every proxy", decided).await
}

/// Waits until the global limit is used up.
async fn wait_for_used_up_limit(testbed: &mut Testbed) -> anyhow::Result<()> {
    let full = async |testbed: &mut Testbed| Ok(most(testbed).await? >= 45);
    testbed.wait_until("the global limit to be used up", full).await
}

async fn most(testbed: &mut Testbed) -> anyhow::Result<u64> {
    Ok(testbed.stats().await?.most_requests_in_1100_ms)
}

/// Checks invariant I4 by the emulator's counts: at most 50 calls in any 1.1 s, and no response 429.
pub(super) async fn limits_held(testbed: &mut Testbed) -> anyhow::Result<()> {
    let most = most(testbed).await?;
    testbed.expect(I4, "at most 50 calls in any 1.1 s", most <= 50, most);
    let limited = testbed.limited().await?;
    testbed.expect(I4, "no 429", limited == 0, limited);
    Ok(())
}

/// The detail of a proxy's health component `redis`; `None` while it is up.
async fn redis_detail(testbed: &mut Testbed, proxy: usize) -> anyhow::Result<Option<String>> {
    let health = testbed.platform().proxies[proxy].health().await?;
    let redis = &health["components"]["redis"];
    Ok((redis["status"] != "up").then(|| redis["detail"].as_str().unwrap_or_default().to_owned()))
}

async fn wait_for_health(testbed: &mut Testbed, text: &str) -> anyhow::Result<()> {
    let both = async |testbed: &mut Testbed| {
        for proxy in 0..2 {
            if !redis_detail(testbed, proxy)
                .await?
                .is_some_and(|detail| detail.contains(text))
            {
                return Ok(false);
            }
        }
        Ok(true)
    };
    testbed
        .wait_until(&format!("both proxies to report {text}"), both)
        .await
}

/// Number of the callers' calls so far: no other calls use that route.
pub(super) async fn caller_calls(testbed: &mut Testbed) -> anyhow::Result<u64> {
    let stats = testbed.stats().await?;
    let theirs =
        |route: &str| route.starts_with("GET /guilds/{") && route.ends_with('}') && route.matches('/').count() == 2;
    Ok(stats.rest_responses(theirs, None))
}

async fn redis_unavailable(testbed: &mut Testbed, gone: bool) -> anyhow::Result<()> {
    let (mut redis, callers) = begin(testbed).await?;
    testbed.load(20).await?;
    if gone {
        redis.kill().await;
    } else {
        redis.suspend();
    }
    wait_for_health(testbed, if gone { "unreachable" } else { "no response" }).await?;
    let detail = redis_detail(testbed, 0).await?.unwrap_or_default();
    testbed.expect(
        I6,
        "health reports the limit that each proxy applies",
        detail.contains("limited to 10 of 50"),
        detail,
    );
    testbed.expect_alert("redis-unavailable").await?;
    // Interactions are answered, and each proxy uses its share after a pause.
    let before = caller_calls(testbed).await?;
    testbed.wait_for_effects(20).await?;
    let goes_on = async |testbed: &mut Testbed| Ok(caller_calls(testbed).await? > before + 15);
    testbed.wait_until("calls at each proxy's share", goes_on).await?;
    testbed.expect_alert("limits-apart").await?;
    if gone {
        redis.start_again().await?;
    } else {
        redis.resume();
    }
    let begun = tokio::time::Instant::now();
    wait_for_whole_limit(testbed, 2).await?;
    testbed.record_recovery(begun.elapsed(), SHARED_AGAIN);
    callers.end();
    for alert in ["redis-unavailable", "limits-apart"] {
        testbed.expect_alert_ends(alert).await?;
    }
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no interaction expired", tally.expired == 0, tally.expired);
    limits_held(testbed).await
}

async fn refuses(testbed: &mut Testbed) -> anyhow::Result<()> {
    let (redis, callers) = begin(testbed).await?;
    for mode in RefusalMode::ALL {
        redis.refuse(mode).await?;
        wait_for_health(testbed, mode.code()).await?;
        let logged = testbed.platform().proxies[0]
            .log()
            .iter()
            .any(|line| line.contains(mode.code()));
        testbed.expect(I6, format!("the log names {}", mode.code()), logged, "no such log line");
        redis.restore(mode).await?;
        let begun = tokio::time::Instant::now();
        wait_for_whole_limit(testbed, 2).await?;
        testbed.record_recovery(begun.elapsed(), SHARED_AGAIN);
    }
    testbed.one_command("help").await?;
    callers.end();
    testbed.check_ledger().await?;
    limits_held(testbed).await
}

async fn flushed(testbed: &mut Testbed) -> anyhow::Result<()> {
    let (redis, callers) = begin(testbed).await?;
    testbed.load(20).await?;
    for _ in 0..3 {
        redis.command::<String>(&["SCRIPT", "FLUSH"]).await?;
        testbed.wait_for_effects(5).await?;
        let before = caller_calls(testbed).await?;
        let goes_on = async |testbed: &mut Testbed| Ok(caller_calls(testbed).await? > before + 20);
        testbed.wait_until("calls after the flush", goes_on).await?;
    }
    let apart = proxies(testbed, "arrakis_proxy_limits_apart", &[]).await?;
    testbed.expect(I5, "no proxy enters degraded mode", apart == 0.0, apart);
    for proxy in 0..2 {
        let detail = redis_detail(testbed, proxy).await?;
        testbed.expect(I5, "health stays up", detail.is_none(), detail.unwrap_or_default());
    }
    callers.end();
    testbed.check_ledger().await?;
    limits_held(testbed).await
}
