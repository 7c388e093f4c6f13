//! Discord's REST API limits, fails, refuses or loses responses, and the proxy is killed.

use std::time::Duration;

use anyhow::Context as _;
use arrakis_test_support::TestRedis;
use reqwest::Method;
use serde_json::{Value, json};

use super::calls::{Answer, Caller, Seen, text_channel};
use super::redis;
use crate::chaos::Invariant::{I2, I3, I4, I5, I6};
use crate::chaos::{Guard, PROCESS_BACK, Scenario, Shape, Stage};
use crate::platform::APPLICATION;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 38,
        name: "limited-route",
        what: "429 of a route's bucket",
        proves: &[I4, I6],
        guard: Guard::FailPoint("proxy.guard.pause=skip"),
        run: |stage| Box::pin(limited(stage, "user")),
    },
    Scenario {
        fault: 38,
        name: "limited-shared",
        what: "429 of a resource that others use too",
        proves: &[I4, I6],
        guard: Guard::FailPoint("proxy.guard.pause=skip"),
        run: |stage| Box::pin(limited(stage, "shared")),
    },
    Scenario {
        fault: 38,
        name: "limited-globally",
        what: "429 of the bot as a whole",
        proves: &[I3, I4, I6],
        guard: Guard::FailPoint("proxy.guard.pause=skip"),
        run: |stage| Box::pin(limited(stage, "global")),
    },
    Scenario {
        fault: 39,
        name: "answers-lost",
        what: "5xx, and answers lost after the effect",
        proves: &[I2],
        guard: Guard::FailPoint("proxy.guard.repeat=skip"),
        run: |stage| Box::pin(answers_lost(stage)),
    },
    Scenario {
        fault: 40,
        name: "token-revoked",
        what: "Discord takes the bot token back",
        proves: &[I4, I6],
        guard: Guard::FailPoint("proxy.guard.token=skip"),
        run: |stage| Box::pin(token_revoked(stage)),
    },
    Scenario {
        fault: 40,
        name: "storm-of-403",
        what: "a server refuses everything, and its callers go on asking",
        proves: &[I4, I6],
        guard: Guard::FailPoint("proxy.guard.budget=skip"),
        run: |stage| Box::pin(storm(stage)),
    },
    Scenario {
        fault: 41,
        name: "terminal-answers",
        what: "unknown interaction (10062), already acknowledged (40060)",
        proves: &[I2],
        guard: Guard::FailPoint("proxy.guard.terminal=skip"),
        run: |stage| Box::pin(terminal(stage)),
    },
    Scenario {
        fault: 42,
        name: "proxy-killed",
        what: "SIGKILL of one of two proxies while every place at Discord is taken, and back again",
        proves: &[I4, I5],
        guard: Guard::Harness("the proxy that is started again counts in a Redis of its own"),
        run: |stage| Box::pin(proxy_killed(stage)),
    },
];

/// Discord's Retry-After, in milliseconds.
const RETRY_AFTER_MS: u64 = 2_000;
/// Calls that were sent before the 429 was received arrive within this time.
const ON_THE_WAY_MS: u64 = 30;

async fn limited(stage: &mut Stage, scope: &str) -> anyhow::Result<()> {
    let whole = usize::from(scope == "global");
    stage
        .start(Shape::default().proxies(2).workers(whole).ingestors(whole))
        .await?;
    let caller = Caller::of(stage);
    let guild = stage.plan().servers[0].guild;
    let path = format!("/guilds/{guild}");
    // After this call the route's bucket is known, so that only the 429 delays calls.
    for proxy in 0..2 {
        caller.get(proxy, &path).await?.must_be(200)?;
    }
    let fault = json!({
        "kind": "rest_rate_limit", "scope": scope, "retry_after": 2.0, "count": 1,
        "method": "GET", "route": "/guilds/{guild.id}", "path": path,
    });
    stage.discord().post("/control/faults", fault).await?;
    let first = caller.begin(0, Method::GET, &path, Value::Null);
    let refused = Seen::wait_for(stage, |seen| seen.status == 429).await?;
    // The other proxy reads the pause with its next request to Redis.
    let elsewhere = format!("/guilds/{guild}/roles");
    let asked = if scope == "global" { &elsewhere } else { &path };
    let others: Vec<_> = (0..4)
        .map(|number| caller.begin(number % 2, Method::GET, asked, Value::Null))
        .collect();
    if scope == "global" {
        // Interactions are answered meanwhile.
        stage.one_command("help").await?;
    }
    first.await??.must_be(200)?;
    for other in others {
        other.await??.must_be(200)?;
    }
    let open = stage.settle_within(Duration::from_secs(3)).await?;
    let seen = Seen::all(stage).await?;
    let bound = |seen: &&Seen| seen.counts_globally && (scope == "global" || seen.path == path);
    let told = refused.at_ms + ON_THE_WAY_MS..refused.at_ms + RETRY_AFTER_MS;
    let hasty = seen.iter().filter(bound).filter(|seen| told.contains(&seen.at_ms));
    let hasty: Vec<_> = hasty.map(|seen| seen.at_ms - refused.at_ms).collect();
    stage.expect(
        I4,
        "every proxy waits for Retry-After",
        hasty.is_empty(),
        format!("calls {hasty:?} ms after the 429"),
    );
    let limited = stage.limited().await?;
    stage.expect(I4, "one 429, injected by the fault", limited == 1, limited);
    if scope == "global" {
        stage.expect(I3, "interactions are not delayed", open.is_empty(), format!("{open:?}"));
    }
    let told = proxies(stage, "arrakis_proxy_discord_429_total", &[("scope", scope)]).await?;
    stage.expect(I6, "the metric has the scope of the limit", told == 1.0, told);
    Ok(())
}

async fn answers_lost(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().proxies(2)).await?;
    let caller = Caller::of(stage);
    let guild = stage.plan().servers[0].guild;
    let channel = text_channel(stage, guild).await?;
    let path = format!("/channels/{channel}/messages");
    let discord = stage.discord();
    // After this call the bucket is known. Otherwise other calls would wait for the one whose response never arrives.
    caller
        .call(0, Method::POST, &path, json!({"content": "first"}))
        .await?
        .must_be(200)?;
    for (number, kind) in [
        json!({"kind": "rest_lost_answer", "mode": "refuse"}),
        json!({"kind": "rest_lost_answer", "mode": "hang"}),
        json!({"kind": "rest_status", "status": 503}),
        json!({"kind": "rest_status", "status": 503, "after_effect": true}),
        json!({"kind": "rest_reset", "after_effect": true}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut fault = kind;
        for (key, value) in [("method", json!("POST")), ("path", json!(path)), ("count", json!(1))] {
            fault[key] = value;
        }
        discord.post("/control/faults", fault.clone()).await?;
        let message = json!({"content": format!("message {number}")});
        // Only a response that never arrives is waited for until the deadline; because of the bucket, the last call waits for a slot.
        let deadline_ms = if fault["mode"] == "hang" { 1_200 } else { 8_000 };
        let answer = caller
            .within(deadline_ms)
            .call(number % 2, Method::POST, &path, message)
            .await?;
        let said = answer.proxy_error.as_deref();
        let holds = answer.status == 504 && said == Some("outcome-unknown");
        stage.expect(
            I2,
            "a call with an unknown outcome is answered 504 outcome-unknown",
            holds,
            format!("{} {said:?}", answer.status),
        );
    }
    // An idempotent call is repeated until it succeeds: the role is assigned once.
    let member = stage.plan().servers[0].members[1].user;
    let role = caller
        .get(0, &format!("/guilds/{guild}/roles"))
        .await?
        .first_assignable()?;
    let put = format!("/guilds/{guild}/members/{member}/roles/{role}");
    let fault = json!({"kind": "rest_lost_answer", "mode": "refuse", "method": "PUT", "path": put, "count": 2});
    discord.post("/control/faults", fault).await?;
    let given = caller.call(1, Method::PUT, &put, Value::Null).await?;
    stage.expect(I2, "the role is assigned", given.status == 204, given.status);
    // The first response of /help is its whole reply. It is repeated, and 40060 shows that the first attempt took effect.
    let fault =
        json!({"kind": "rest_lost_answer", "mode": "refuse", "method": "POST", "route": "/interactions/*", "count": 1});
    discord.post("/control/faults", fault).await?;
    stage.one_command("help").await?;
    stage.settle().await?;
    // First responses and edits whose responses are lost.
    for (method, route) in [("POST", "/interactions/*"), ("PATCH", "/webhooks/*")] {
        let fault = json!({"kind": "rest_lost_answer", "mode": "refuse", "method": method, "route": route, "count": 5});
        discord.post("/control/faults", fault).await?;
    }
    stage.load(20).await?;
    stage.flows(40).await?;
    stage.quiet().await?;
    let messages: Vec<Value> = discord
        .get(&format!("/control/guilds/{guild}/channels/{channel}/messages"))
        .await?;
    let unknown = stage.judge().await?.unknown;
    stage.expect(I2, "no repeated call has an unknown outcome", unknown == 0, unknown);
    for (number, wanted) in [(0, 1), (1, 1), (2, 0), (3, 1), (4, 1)] {
        let content = format!("message {number}");
        let found = messages
            .iter()
            .filter(|message| message["content"] == content.as_str())
            .count();
        stage.expect(
            I2,
            format!("the message \"{content}\" exists {wanted} times"),
            found == wanted,
            found,
        );
    }
    Ok(())
}

async fn token_revoked(stage: &mut Stage) -> anyhow::Result<()> {
    // Its sessions would end with 4004, which is fault 32.
    stage.start(Shape::default().proxies(2).workers(0).ingestors(0)).await?;
    let caller = Caller::of(stage);
    let path = format!("/guilds/{}", stage.plan().servers[0].guild);
    for proxy in 0..2 {
        caller.get(proxy, &path).await?.must_be(200)?;
    }
    stage.discord().post("/control/token/reset", json!({})).await?;
    let first = caller.get(0, &path).await?;
    stage.expect(I4, "Discord's 401 is passed on", first.status == 401, first.status);
    // The token is dead after a second check.
    let both = async |stage: &mut Stage| Ok(proxies(stage, "arrakis_proxy_token_dead", &[]).await? == 2.0);
    let known = tokio::time::timeout(PROCESS_BACK, stage.until("both proxies to report the dead token", both)).await;
    stage.expect(
        I4,
        "the token is checked a second time at once",
        matches!(known, Ok(Ok(()))),
        format!("{known:?}"),
    );
    for number in 0..20 {
        let answer = caller.get(number % 2, &path).await?;
        let said = answer.proxy_error.as_deref();
        stage.expect(
            I4,
            "no call is sent with a dead token",
            said == Some("token-dead"),
            format!("{said:?}"),
        );
    }
    let seen = Seen::all(stage).await?;
    let refused = seen.iter().filter(|seen| seen.status == 401).count();
    stage.expect(
        I4,
        "Discord received the dead token twice: the call and the second check",
        refused == 2,
        refused,
    );
    let dead = proxies(stage, "arrakis_proxy_token_dead", &[]).await?;
    stage.expect(I6, "both proxies report the dead token", dead == 2.0, dead);
    let health = stage.platform().proxies[1].health().await?;
    let detail = health["components"]["token"]["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    stage.expect(I6, "health names DISCORD_TOKEN", detail.contains("DISCORD_TOKEN"), detail);
    Ok(())
}

async fn storm(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().proxies(2).workers(0).ingestors(0)).await?;
    let caller = Caller::of(stage);
    let servers: Vec<u64> = stage.plan().servers.iter().map(|server| server.guild).collect();
    let (refused, fine) = (
        format!("/guilds/{}/members/", servers[0]),
        format!("/guilds/{}", servers[1]),
    );
    let fault = json!({"kind": "rest_status", "status": 403, "path": refused});
    stage.discord().post("/control/faults", fault).await?;
    let paths = (0..40).map(|number| format!("{refused}{}", 1_000 + number)).collect();
    let storm = caller.within(3_000).keep_asking(paths);
    let begun = tokio::time::Instant::now();
    let mut others = Vec::new();
    while begun.elapsed() < Duration::from_secs(7) {
        others.push(caller.get(others.len() % 2, &fine).await?.status);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    storm.end();
    let stats = stage.stats().await?;
    let invalid = stats["invalid"].as_u64().unwrap_or(u64::MAX);
    // Fifty calls are sent, further ones until both proxies slow the cause down, then one per second at each.
    stage.expect(
        I4,
        "calls with the same cause are slowed down",
        (50..150).contains(&invalid),
        format!("{invalid} invalid requests in 7 s"),
    );
    stage.expect(
        I4,
        "calls of other servers are sent",
        others.iter().all(|status| *status == 200),
        format!("{others:?}"),
    );
    let counted = stage.platform().proxies[0]
        .metric("arrakis_proxy_invalid_requests", &[])
        .await?;
    stage.expect(I6, "the gauge of invalid requests counts them", counted >= 50.0, counted);
    Ok(())
}

async fn terminal(stage: &mut Stage) -> anyhow::Result<()> {
    // No worker runs, so only the scenario responds to interactions.
    stage.start(Shape::default().workers(0).ingestors(0)).await?;
    let caller = Caller::of(stage);
    let guild = stage.plan().servers[0].guild;
    let channel = text_channel(stage, guild).await?;
    let user = stage.plan().servers[0].members[1].user;
    let unknown = "/interactions/1/no-such-token/callback";
    let answer = caller.call(0, Method::POST, unknown, json!({"type": 5})).await?;
    stage.expect(
        I2,
        "10062 is passed on",
        answer.code() == Some(10_062),
        format!("{answer:?}"),
    );
    let commands = json!([{"name": "help", "description": "For the scenario", "type": 1}]);
    caller
        .call(
            0,
            Method::PUT,
            &format!("/applications/{APPLICATION}/commands"),
            commands,
        )
        .await?
        .must_be(200)?;
    let made = json!({
        "kind": "command", "name": "help", "force": true, "guild_id": guild.to_string(),
        "channel_id": channel.to_string(), "user_id": user.to_string(),
    });
    let made = stage.discord().post("/control/interactions", made).await?;
    let text = |key: &str| {
        made[key]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no {key} in {made}"))
    };
    let (id, token) = (text("id")?, text("token")?);
    let known = format!("/interactions/{id}/{token}/callback");
    caller.call(0, Method::POST, &known, json!({"type": 5})).await?;
    let again = caller.call(0, Method::POST, &known, json!({"type": 5})).await?;
    stage.expect(I2, "40060 is passed on", again.code() == Some(40_060), format!("{again:?}"));
    let seen = Seen::all(stage).await?;
    for (path, sent) in [("/interactions/1/".to_owned(), 1), (format!("/interactions/{id}/"), 2)] {
        let calls = seen.iter().filter(|seen| seen.path.starts_with(&path)).count();
        stage.expect(
            I2,
            "a call that Discord refuses for good is sent once",
            calls == sent,
            format!("{calls} of {sent}"),
        );
    }
    Ok(())
}

async fn proxy_killed(stage: &mut Stage) -> anyhow::Result<()> {
    // The global limit is used up all the time: a proxy that loses its history, or counts only its own calls, exceeds the limit at
    // once.
    let asking = redis::saturated(stage, Shape::default().proxies(2), 2).await?;
    stage.load(15).await?;
    stage.flows(15).await?;
    stage.platform().proxies[0].kill().await;
    stage.recovers(PROCESS_BACK).await?;
    goes_on(stage).await?;
    // A proxy that is started again at the same address replaces its predecessor, so the whole limit is available at once.
    if !stage.guarded() {
        let elsewhere = TestRedis::create();
        stage.platform().proxies[0].set("REDIS_URL", Some(&elsewhere.url()));
        stage.keep(elsewhere);
    }
    stage.platform().proxies[0].start_again();
    stage.platform().proxies[0].ready().await;
    let begun = tokio::time::Instant::now();
    // Two proxies with a Redis each never share the limit.
    if stage.guarded() {
        redis::whole(stage, 2).await?;
        stage.recovered(begun.elapsed(), PROCESS_BACK);
    }
    for _ in 0..2 {
        goes_on(stage).await?;
    }
    asking.end();
    stage.judge().await?;
    redis::limits_held(stage).await
}

/// Waits for more calls than two windows of the global limit hold.
async fn goes_on(stage: &mut Stage) -> anyhow::Result<()> {
    let before = redis::bots(stage).await?;
    let full = async |stage: &mut Stage| Ok(redis::bots(stage).await? > before + 100);
    stage.until("two windows of calls", full).await
}

/// Sum of a metric over all proxies.
pub(super) async fn proxies(stage: &mut Stage, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for proxy in &stage.platform().proxies {
        sum += proxy.metric(name, labels).await?;
    }
    Ok(sum)
}

impl Answer {
    /// Discord's error code.
    fn code(&self) -> Option<u64> {
        self.body["code"].as_u64()
    }

    /// Id of an assignable role in a list of roles.
    fn first_assignable(&self) -> anyhow::Result<String> {
        let mut roles = self.body.as_array().into_iter().flatten();
        let role = roles.find(|role| role["managed"] == false && role["position"].as_u64() == Some(1));
        let id = role.and_then(|role| role["id"].as_str());
        id.map(str::to_owned)
            .with_context(|| format!("no assignable role in {}", self.body))
    }
}
