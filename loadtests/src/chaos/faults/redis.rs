//! Redis dies, hangs, refuses in each of its ways, forgets its scripts: limits are kept all the same, by whoever must.

use std::time::Duration;

use arrakis_emulator_client::SeedRequest;

use super::calls::{Asking, Caller};
use super::rest::proxies;
use crate::chaos::Invariant::{I1, I3, I4, I5, I6};
use crate::chaos::{Guard, Scenario, Shape, Stage};
use crate::platform::servers::{Ailment, Redis};

/// The proxies decide together again within this time after Redis is back: their next heartbeat, and five seconds in which
/// one that is still alone is reckoned with.
const WHOLE_AGAIN: Duration = Duration::from_secs(10);
/// Servers whose calls wait all the time, so that every free place is taken.
const SERVERS: u64 = 90;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 43,
        name: "redis-gone",
        what: "SIGKILL of Redis under load, and an empty one comes back",
        proves: &[I1, I3, I4, I5, I6],
        guard: Guard::FailPoint("proxy.guard.share=skip"),
        run: |stage| Box::pin(away(stage, true)),
    },
    Scenario {
        fault: 43,
        name: "redis-hung",
        what: "SIGSTOP of Redis under load",
        proves: &[I1, I3, I4, I5, I6],
        guard: Guard::FailPoint("proxy.guard.share=skip"),
        run: |stage| Box::pin(away(stage, false)),
    },
    Scenario {
        fault: 44,
        name: "redis-refuses",
        what: "full, read-only, without replicas, busy, one after the other",
        proves: &[I4, I5, I6],
        guard: Guard::FailPoint("proxy.guard.share=skip"),
        run: |stage| Box::pin(refuses(stage)),
    },
    Scenario {
        fault: 45,
        name: "redis-scripts-flushed",
        what: "SCRIPT FLUSH under load",
        proves: &[I4, I5],
        // The first three are loaded when the proxy starts.
        guard: Guard::FailPoint("proxy.guard.script=skip@4+"),
        run: |stage| Box::pin(flushed(stage)),
    },
];

/// A platform on a Redis of its own, with callers that want far more than Discord allows.
async fn begin(stage: &mut Stage) -> anyhow::Result<(Redis, Asking)> {
    let redis = Redis::start().await?;
    let shape = Shape::default().proxies(2);
    let shape = shape
        .proxy_env("REDIS_URL", redis.url())
        .worker_env("REDIS_URL", redis.url());
    let asking = saturated(stage, shape, 2).await?;
    Ok((redis, asking))
}

/// Starts this shape, which has so many proxies, and callers that want far more than Discord allows; answers when the window
/// is full.
pub(super) async fn saturated(stage: &mut Stage, shape: Shape, proxies: u32) -> anyhow::Result<Asking> {
    stage.prepare(&shape).await?;
    let more = SeedRequest::Load {
        guilds: SERVERS,
        members: 1,
    };
    stage.discord().seed(&more).await?;
    let guilds = stage.discord().guilds().await?;
    stage.start_services(shape).await?;
    whole(stage, proxies).await?;
    let paths = guilds.iter().map(|guild| format!("/guilds/{}", guild.id));
    let asking = Caller::of(stage).within(20_000).keep_asking(paths.collect());
    full(stage).await?;
    Ok(asking)
}

/// Waits until Redis decides at all of so many proxies and gives each the whole limit.
pub(super) async fn whole(stage: &mut Stage, count: u32) -> anyhow::Result<()> {
    let decided = async |stage: &mut Stage| {
        let together = proxies(stage, "arrakis_proxy_limits_apart", &[]).await? == 0.0;
        Ok(together && proxies(stage, "arrakis_proxy_limit_in_force", &[]).await? == f64::from(50 * count))
    };
    stage.until("the whole limit at every proxy", decided).await
}

/// Waits until as many calls arrive as may.
async fn full(stage: &mut Stage) -> anyhow::Result<()> {
    let full = async |stage: &mut Stage| Ok(most(stage).await? >= 45);
    stage.until("the window to be full", full).await
}

async fn most(stage: &mut Stage) -> anyhow::Result<u64> {
    Ok(stage.stats().await?.most_requests_in_1100_ms)
}

/// I4, as the emulator counted.
pub(super) async fn limits_held(stage: &mut Stage) -> anyhow::Result<()> {
    let most = most(stage).await?;
    stage.expect(I4, "at most 50 calls in any 1.1 s", most <= 50, most);
    let limited = stage.limited().await?;
    stage.expect(I4, "no 429", limited == 0, limited);
    Ok(())
}

/// What a proxy says of Redis; `None` while it is well.
async fn trouble(stage: &mut Stage, proxy: usize) -> anyhow::Result<Option<String>> {
    let health = stage.platform().proxies[proxy].health().await?;
    let redis = &health["components"]["redis"];
    Ok((redis["status"] != "up").then(|| redis["detail"].as_str().unwrap_or_default().to_owned()))
}

async fn both_say(stage: &mut Stage, words: &str) -> anyhow::Result<()> {
    let both = async |stage: &mut Stage| {
        for proxy in 0..2 {
            if !trouble(stage, proxy)
                .await?
                .is_some_and(|trouble| trouble.contains(words))
            {
                return Ok(false);
            }
        }
        Ok(true)
    };
    stage.until(&format!("both proxies to say {words}"), both).await
}

/// Calls of the callers so far: no other of that route are made.
pub(super) async fn bots(stage: &mut Stage) -> anyhow::Result<u64> {
    let stats = stage.stats().await?;
    let theirs =
        |route: &str| route.starts_with("GET /guilds/{") && route.ends_with('}') && route.matches('/').count() == 2;
    Ok(stats.rest_responses(theirs, None))
}

async fn away(stage: &mut Stage, gone: bool) -> anyhow::Result<()> {
    let (mut redis, asking) = begin(stage).await?;
    stage.load(20).await?;
    if gone {
        redis.kill().await;
    } else {
        redis.hang();
    }
    both_say(stage, if gone { "unreachable" } else { "no answer" }).await?;
    let said = trouble(stage, 0).await?.unwrap_or_default();
    stage.expect(
        I6,
        "health says what each proxy keeps to",
        said.contains("keeps to 10 of 50"),
        said,
    );
    // Members are answered, and after a silence each proxy uses its share.
    let before = bots(stage).await?;
    stage.flows(20).await?;
    let goes_on = async |stage: &mut Stage| Ok(bots(stage).await? > before + 15);
    stage.until("calls by each proxy's share", goes_on).await?;
    if gone {
        redis.start_again().await?;
    } else {
        redis.go_on();
    }
    let begun = tokio::time::Instant::now();
    whole(stage, 2).await?;
    stage.recovered(begun.elapsed(), WHOLE_AGAIN);
    asking.end();
    let tally = stage.judge().await?;
    stage.expect(I3, "no interaction expired", tally.expired == 0, tally.expired);
    limits_held(stage).await
}

async fn refuses(stage: &mut Stage) -> anyhow::Result<()> {
    let (redis, asking) = begin(stage).await?;
    for ailment in Ailment::ALL {
        redis.ail(ailment).await?;
        both_say(stage, ailment.code()).await?;
        let logged = stage.platform().proxies[0]
            .log()
            .iter()
            .any(|line| line.contains(ailment.code()));
        stage.expect(I6, format!("the log says {}", ailment.code()), logged, "nothing of it");
        redis.mend(ailment).await?;
        let begun = tokio::time::Instant::now();
        whole(stage, 2).await?;
        stage.recovered(begun.elapsed(), WHOLE_AGAIN);
    }
    stage.one_command("help").await?;
    asking.end();
    stage.judge().await?;
    limits_held(stage).await
}

async fn flushed(stage: &mut Stage) -> anyhow::Result<()> {
    let (redis, asking) = begin(stage).await?;
    stage.load(20).await?;
    for _ in 0..3 {
        redis.command::<String>(&["SCRIPT", "FLUSH"]).await?;
        stage.flows(5).await?;
        let before = bots(stage).await?;
        let goes_on = async |stage: &mut Stage| Ok(bots(stage).await? > before + 20);
        stage.until("calls after the flush", goes_on).await?;
    }
    let apart = proxies(stage, "arrakis_proxy_limits_apart", &[]).await?;
    stage.expect(I5, "nobody has to decide alone", apart == 0.0, apart);
    for proxy in 0..2 {
        let said = trouble(stage, proxy).await?;
        stage.expect(I5, "health stays well", said.is_none(), said.unwrap_or_default());
    }
    asking.end();
    stage.judge().await?;
    limits_held(stage).await
}
