//! Discord's REST API limits, fails, loses answers, refuses; and the proxy before it is killed.

use std::time::Duration;

use anyhow::Context as _;
use arrakis_emulator_client::{Fault, InteractionRequest, RestCall};
use arrakis_test_support::TestRedis;
use reqwest::Method;
use serde_json::{Value, json};

use super::calls::{Answer, Caller, text_channel, wait_for_call};
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

/// What Discord says to wait, in milliseconds.
const RETRY_AFTER_MS: u64 = 2_000;
/// What left before the 429 came back arrives within this time.
const ON_THE_WAY_MS: u64 = 30;

async fn limited(stage: &mut Stage, scope: &str) -> anyhow::Result<()> {
    let whole = usize::from(scope == "global");
    stage
        .start(Shape::default().proxies(2).workers(whole).ingestors(whole))
        .await?;
    let caller = Caller::of(stage);
    let guild = stage.plan().servers[0].guild;
    let path = format!("/guilds/{guild}");
    // Its bucket is known, so that nothing waits but for the pause.
    for proxy in 0..2 {
        caller.get(proxy, &path).await?.must_be(200)?;
    }
    let fault = Fault {
        scope: Some(scope.to_owned()),
        retry_after: Some(2.0),
        ..Fault::of_kind("rest_rate_limit")
    };
    let fault = fault.count(1).method("GET").route("/guilds/{guild.id}").path(&path);
    stage.discord().fault(&fault).await?;
    let first = caller.begin(0, Method::GET, &path, Value::Null);
    let refused = wait_for_call(stage, |call| call.status == 429).await?;
    // The other proxy hears of it with its next exchange with Redis.
    let elsewhere = format!("/guilds/{guild}/roles");
    let asked = if scope == "global" { &elsewhere } else { &path };
    let others: Vec<_> = (0..4)
        .map(|number| caller.begin(number % 2, Method::GET, asked, Value::Null))
        .collect();
    if scope == "global" {
        // Members are answered meanwhile.
        stage.one_command("help").await?;
    }
    first.await??.must_be(200)?;
    for other in others {
        other.await??.must_be(200)?;
    }
    let open = stage.settle_within(Duration::from_secs(3)).await?;
    let seen = stage.discord().rest_calls().await?;
    let bound = |seen: &&RestCall| seen.counts_globally && (scope == "global" || seen.path == path);
    let told = refused.at_ms + ON_THE_WAY_MS..refused.at_ms + RETRY_AFTER_MS;
    let hasty = seen.iter().filter(bound).filter(|seen| told.contains(&seen.at_ms));
    let hasty: Vec<_> = hasty.map(|seen| seen.at_ms - refused.at_ms).collect();
    stage.expect(
        I4,
        "Retry-After is kept by every proxy",
        hasty.is_empty(),
        format!("calls {hasty:?} ms after the 429"),
    );
    let limited = stage.limited().await?;
    stage.expect(I4, "one 429, the one of the fault", limited == 1, limited);
    if scope == "global" {
        stage.expect(I3, "interactions are not held up", open.is_empty(), format!("{open:?}"));
    }
    let told = proxies(stage, "arrakis_proxy_discord_429_total", &[("scope", scope)]).await?;
    stage.expect(I6, "the metric says whose limit it was", told == 1.0, told);
    Ok(())
}

async fn answers_lost(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().proxies(2)).await?;
    let caller = Caller::of(stage);
    let guild = stage.plan().servers[0].guild;
    let channel = text_channel(stage, guild).await?;
    let path = format!("/channels/{channel}/messages");
    let discord = stage.discord();
    // Its bucket is known, or the call whose answer never comes would be waited for.
    caller
        .call(0, Method::POST, &path, json!({"content": "first"}))
        .await?
        .must_be(200)?;
    for (number, kind) in [
        Fault::rest_lost_answer("refuse"),
        Fault::rest_lost_answer("hang"),
        Fault::rest_status(503),
        Fault::rest_status(503).after_effect(true),
        Fault::of_kind("rest_reset").after_effect(true),
    ]
    .into_iter()
    .enumerate()
    {
        let fault = kind.method("POST").path(&path).count(1);
        discord.fault(&fault).await?;
        let message = json!({"content": format!("message {number}")});
        // Only an answer that never comes is waited for in vain; the bucket makes the last of them wait its turn.
        let deadline_ms = if fault.mode.as_deref() == Some("hang") {
            1_200
        } else {
            8_000
        };
        let answer = caller
            .within(deadline_ms)
            .call(number % 2, Method::POST, &path, message)
            .await?;
        let said = answer.proxy_error.as_deref();
        let holds = answer.status == 504 && said == Some("outcome-unknown");
        stage.expect(
            I2,
            "what may have happened is told as unknown",
            holds,
            format!("{} {said:?}", answer.status),
        );
    }
    // What may be repeated is, and ends well: a role is given once, whatever Discord loses.
    let member = stage.plan().servers[0].members[1].user;
    let role = caller
        .get(0, &format!("/guilds/{guild}/roles"))
        .await?
        .first_assignable()?;
    let put = format!("/guilds/{guild}/members/{member}/roles/{role}");
    let fault = Fault::rest_lost_answer("refuse").method("PUT").path(&put).count(2);
    discord.fault(&fault).await?;
    let given = caller.call(1, Method::PUT, &put, Value::Null).await?;
    stage.expect(I2, "a role is given in the end", given.status == 204, given.status);
    // The whole answer of /help is its first response: it is repeated, and 40060 shows that the first one took effect.
    let fault = Fault::rest_lost_answer("refuse")
        .method("POST")
        .route("/interactions/*")
        .count(1);
    discord.fault(&fault).await?;
    stage.one_command("help").await?;
    stage.settle().await?;
    // Members' answers: first responses whose answers are lost, and edits, too.
    for (method, route) in [("POST", "/interactions/*"), ("PATCH", "/webhooks/*")] {
        let fault = Fault::rest_lost_answer("refuse").method(method).route(route).count(5);
        discord.fault(&fault).await?;
    }
    stage.load(20).await?;
    stage.flows(40).await?;
    stage.quiet().await?;
    let messages = discord.messages(guild, channel).await?;
    let unknown = stage.judge().await?.unknown;
    stage.expect(I2, "no outcome of a repeated call is unknown", unknown == 0, unknown);
    for (number, wanted) in [(0, 1), (1, 1), (2, 0), (3, 1), (4, 1)] {
        let content = format!("message {number}");
        let found = messages
            .iter()
            .filter(|message| message["content"] == content.as_str())
            .count();
        stage.expect(
            I2,
            format!("{content} stands there {wanted} times"),
            found == wanted,
            found,
        );
    }
    Ok(())
}

async fn token_revoked(stage: &mut Stage) -> anyhow::Result<()> {
    // Its sessions would end with 4004, which is row 32's.
    stage.start(Shape::default().proxies(2).workers(0).ingestors(0)).await?;
    let caller = Caller::of(stage);
    let path = format!("/guilds/{}", stage.plan().servers[0].guild);
    for proxy in 0..2 {
        caller.get(proxy, &path).await?.must_be(200)?;
    }
    stage.discord().reset_token().await?;
    let first = caller.get(0, &path).await?;
    stage.expect(I4, "Discord's own 401 is told", first.status == 401, first.status);
    // A second opinion comes before the token is called dead.
    let both = async |stage: &mut Stage| Ok(proxies(stage, "arrakis_proxy_token_dead", &[]).await? == 2.0);
    let known = tokio::time::timeout(PROCESS_BACK, stage.until("both proxies to know", both)).await;
    stage.expect(
        I4,
        "a second opinion is asked for at once",
        matches!(known, Ok(Ok(()))),
        format!("{known:?}"),
    );
    for number in 0..20 {
        let answer = caller.get(number % 2, &path).await?;
        let said = answer.proxy_error.as_deref();
        stage.expect(
            I4,
            "nothing is sent with a dead token",
            said == Some("token-dead"),
            format!("{said:?}"),
        );
    }
    let seen = stage.discord().rest_calls().await?;
    let refused = seen.iter().filter(|seen| seen.status == 401).count();
    stage.expect(
        I4,
        "Discord saw the dead token twice: the call and the second opinion",
        refused == 2,
        refused,
    );
    let dead = proxies(stage, "arrakis_proxy_token_dead", &[]).await?;
    stage.expect(I6, "both proxies say that the token is dead", dead == 2.0, dead);
    let health = stage.platform().proxies[1].health().await?;
    let detail = health["components"]["token"]["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    stage.expect(I6, "health says what to do", detail.contains("DISCORD_TOKEN"), detail);
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
    let fault = Fault::rest_status(403).path(&refused);
    stage.discord().fault(&fault).await?;
    let paths = (0..40).map(|number| format!("{refused}{}", 1_000 + number)).collect();
    let storm = caller.within(3_000).keep_asking(paths);
    let begun = tokio::time::Instant::now();
    let mut others = Vec::new();
    while begun.elapsed() < Duration::from_secs(7) {
        others.push(caller.get(others.len() % 2, &fine).await?.status);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    storm.end();
    let invalid = stage.stats().await?.invalid;
    // Fifty are let through; what is on its way until both proxies know; then one a second at each.
    stage.expect(
        I4,
        "the cause is slowed",
        (50..150).contains(&invalid),
        format!("{invalid} invalid requests in 7 s"),
    );
    stage.expect(
        I4,
        "the other servers are served",
        others.iter().all(|status| *status == 200),
        format!("{others:?}"),
    );
    let counted = stage.platform().proxies[0]
        .metric("arrakis_proxy_invalid_requests", &[])
        .await?;
    stage.expect(I6, "the budget's gauge tells", counted >= 50.0, counted);
    Ok(())
}

async fn terminal(stage: &mut Stage) -> anyhow::Result<()> {
    // Nobody but the scenario answers interactions.
    stage.start(Shape::default().workers(0).ingestors(0)).await?;
    let caller = Caller::of(stage);
    let guild = stage.plan().servers[0].guild;
    let channel = text_channel(stage, guild).await?;
    let user = stage.plan().servers[0].members[1].user;
    let unknown = "/interactions/1/no-such-token/callback";
    let answer = caller.call(0, Method::POST, unknown, json!({"type": 5})).await?;
    stage.expect(
        I2,
        "10062 is told",
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
    let request = InteractionRequest {
        kind: "command".to_owned(),
        name: Some("help".to_owned()),
        guild_id: Some(guild.to_string()),
        channel_id: Some(channel.to_string()),
        user_id: user.to_string(),
        force: true,
        ..InteractionRequest::default()
    };
    let made = stage.discord().interact(&request).await?;
    let known = format!("/interactions/{}/{}/callback", made.id, made.token);
    caller.call(0, Method::POST, &known, json!({"type": 5})).await?;
    let again = caller.call(0, Method::POST, &known, json!({"type": 5})).await?;
    stage.expect(I2, "40060 is told", again.code() == Some(40_060), format!("{again:?}"));
    let seen = stage.discord().rest_calls().await?;
    for (path, sent) in [
        ("/interactions/1/".to_owned(), 1),
        (format!("/interactions/{}/", made.id), 2),
    ] {
        let calls = seen.iter().filter(|seen| seen.path.starts_with(&path)).count();
        stage.expect(
            I2,
            "what Discord refuses for good is sent once",
            calls == sent,
            format!("{calls} of {sent}"),
        );
    }
    Ok(())
}

async fn proxy_killed(stage: &mut Stage) -> anyhow::Result<()> {
    // Every place that Discord leaves is taken all the time: who forgets what was sent before, or counts for itself alone, is
    // over the limit at once.
    let asking = redis::saturated(stage, Shape::default().proxies(2), 2).await?;
    stage.load(15).await?;
    stage.flows(15).await?;
    stage.platform().proxies[0].kill().await;
    stage.recovers(PROCESS_BACK).await?;
    goes_on(stage).await?;
    // Started again at the same address it proves its predecessor dead, and the whole limit is there at once.
    if !stage.guarded() {
        let elsewhere = TestRedis::create();
        stage.platform().proxies[0].set("REDIS_URL", Some(&elsewhere.url()));
        stage.keep(elsewhere);
    }
    stage.platform().proxies[0].start_again();
    stage.platform().proxies[0].ready().await;
    let begun = tokio::time::Instant::now();
    // Two that do not know of each other never say so.
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

/// More calls than a window holds: one that begins now is full.
async fn goes_on(stage: &mut Stage) -> anyhow::Result<()> {
    let before = redis::bots(stage).await?;
    let full = async |stage: &mut Stage| Ok(redis::bots(stage).await? > before + 100);
    stage.until("two windows of calls", full).await
}

/// A metric of all proxies together.
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

    /// Of a list of roles, one that can be given.
    fn first_assignable(&self) -> anyhow::Result<String> {
        let mut roles = self.body.as_array().into_iter().flatten();
        let role = roles.find(|role| role["managed"] == false && role["position"].as_u64() == Some(1));
        let id = role.and_then(|role| role["id"].as_str());
        id.map(str::to_owned)
            .with_context(|| format!("no role that can be given in {}", self.body))
    }
}
