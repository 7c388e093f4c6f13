//! Discord's REST API limits, fails, refuses or loses responses, and the proxy is killed.

use std::time::Duration;

use anyhow::Context as _;
use arrakis_emulator_client::{Fault, InteractionRequest, RestCall};
use arrakis_test_support::TestRedis;
use reqwest::Method;
use serde_json::{Value, json};

use super::calls::{Caller, ProxyResponse, text_channel, wait_for_call};
use super::redis;
use crate::chaos::Invariant::{I2, I3, I4, I5, I6};
use crate::chaos::{Deployment, Guard, PROCESS_BACK, Scenario, Testbed};
use crate::platform::APPLICATION;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 38,
        name: "limited-route",
        what: "429 of a route's bucket",
        proves: &[I4, I6],
        alerts: &["rate-limited"],
        expected: "every proxy waits for Retry-After",
        guard: Guard::FailPoint("proxy.guard.pause=skip"),
        without_guard: "calls within Retry-After",
        run: |testbed| Box::pin(limited(testbed, "user")),
    },
    Scenario {
        fault: 38,
        name: "limited-shared",
        what: "429 with scope `shared`",
        proves: &[I4, I6],
        alerts: &[],
        expected: "every proxy waits for Retry-After",
        guard: Guard::FailPoint("proxy.guard.pause=skip"),
        without_guard: "calls within Retry-After",
        run: |testbed| Box::pin(limited(testbed, "shared")),
    },
    Scenario {
        fault: 38,
        name: "limited-globally",
        what: "429 of the global limit",
        proves: &[I3, I4, I6],
        alerts: &["rate-limited"],
        expected: "every proxy waits for Retry-After; interactions are not delayed",
        guard: Guard::FailPoint("proxy.guard.pause=skip"),
        without_guard: "four calls within Retry-After",
        run: |testbed| Box::pin(limited(testbed, "global")),
    },
    Scenario {
        fault: 39,
        name: "answers-lost",
        what: "5xx, and responses lost after the effect",
        proves: &[I2],
        alerts: &[],
        expected: "calls with an unknown outcome are not repeated",
        guard: Guard::FailPoint("proxy.guard.repeat=skip"),
        without_guard: "a call with an effect sent twice",
        run: |testbed| Box::pin(answers_lost(testbed)),
    },
    Scenario {
        fault: 40,
        name: "token-revoked",
        what: "Discord revokes the bot token",
        proves: &[I4, I6],
        alerts: &["token-refused"],
        expected: "a second check, then no call; health names DISCORD_TOKEN",
        guard: Guard::FailPoint("proxy.guard.token=skip"),
        without_guard: "21 calls with a dead token",
        run: |testbed| Box::pin(token_revoked(testbed)),
    },
    Scenario {
        fault: 40,
        name: "storm-of-403",
        what: "a server answers 403 to every call, and its callers repeat their calls",
        proves: &[I4, I6],
        alerts: &["proxy-refusals"],
        expected: "the cause is slowed down; other servers are served",
        guard: Guard::FailPoint("proxy.guard.budget=skip"),
        without_guard: "232 invalid requests in 7 s",
        run: |testbed| Box::pin(storm(testbed)),
    },
    Scenario {
        fault: 41,
        name: "terminal-answers",
        what: "unknown interaction (10062), already acknowledged (40060)",
        proves: &[I2],
        alerts: &[],
        expected: "each call is sent once",
        guard: Guard::FailPoint("proxy.guard.terminal=skip"),
        without_guard: "a refused call sent four times",
        run: |testbed| Box::pin(terminal(testbed)),
    },
    Scenario {
        fault: 42,
        name: "proxy-killed",
        what: "SIGKILL of one of two proxies at the global limit, and a restart",
        proves: &[I4, I5],
        alerts: &[],
        expected: "recovery within 5 s, at most 50 calls in any 1.1 s",
        guard: Guard::Harness("the restarted proxy uses another Redis"),
        without_guard: "84 calls in 1.1 s, 78 times 429",
        run: |testbed| Box::pin(proxy_killed(testbed)),
    },
];

/// Discord's Retry-After, in milliseconds.
const RETRY_AFTER_MS: u64 = 2_000;
/// Calls that were sent before the 429 was received arrive within this time.
const IN_FLIGHT_MS: u64 = 30;

async fn limited(testbed: &mut Testbed, scope: &str) -> anyhow::Result<()> {
    let whole = usize::from(scope == "global");
    testbed
        .start(Deployment::default().proxies(2).workers(whole).ingestors(whole))
        .await?;
    let caller = Caller::of(testbed);
    let guild = testbed.plan().servers[0].guild;
    let path = format!("/guilds/{guild}");
    // After this call the route's bucket is known, so that only the 429 delays calls.
    for proxy in 0..2 {
        caller.get(proxy, &path).await?.expect_status(200)?;
    }
    let fault = Fault {
        scope: Some(scope.to_owned()),
        retry_after: Some(2.0),
        ..Fault::of_kind("rest_rate_limit")
    };
    let fault = fault.count(1).method("GET").route("/guilds/{guild.id}").path(&path);
    testbed.discord().fault(&fault).await?;
    let first = caller.begin(0, Method::GET, &path, Value::Null);
    let refused = wait_for_call(testbed, |call| call.status == 429).await?;
    // The other proxy reads the pause with its next request to Redis.
    let elsewhere = format!("/guilds/{guild}/roles");
    let called = if scope == "global" { &elsewhere } else { &path };
    let others: Vec<_> = (0..4)
        .map(|number| caller.begin(number % 2, Method::GET, called, Value::Null))
        .collect();
    if scope == "global" {
        // Interactions are answered meanwhile.
        testbed.one_command("help").await?;
    }
    first.await??.expect_status(200)?;
    for other in others {
        other.await??.expect_status(200)?;
    }
    let open = testbed.settle_within(Duration::from_secs(3)).await?;
    let seen = testbed.discord().rest_calls().await?;
    let bound = |seen: &&RestCall| seen.counts_globally && (scope == "global" || seen.path == path);
    let paused = refused.at_ms + IN_FLIGHT_MS..refused.at_ms + RETRY_AFTER_MS;
    let early = seen.iter().filter(bound).filter(|seen| paused.contains(&seen.at_ms));
    let early: Vec<_> = early.map(|seen| seen.at_ms - refused.at_ms).collect();
    testbed.expect(
        I4,
        "every proxy waits for Retry-After",
        early.is_empty(),
        format!("calls {early:?} ms after the 429"),
    );
    let limited = testbed.limited().await?;
    testbed.expect(I4, "one 429, injected by the fault", limited == 1, limited);
    if scope == "global" {
        testbed.expect(I3, "interactions are not delayed", open.is_empty(), format!("{open:?}"));
    }
    let reported = proxies(testbed, "arrakis_proxy_discord_429_total", &[("scope", scope)]).await?;
    testbed.expect(I6, "the metric has the scope of the limit", reported == 1.0, reported);
    testbed.expect_alert_ends("rate-limited").await
}

async fn answers_lost(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default().proxies(2)).await?;
    let caller = Caller::of(testbed);
    let guild = testbed.plan().servers[0].guild;
    let channel = text_channel(testbed, guild).await?;
    let path = format!("/channels/{channel}/messages");
    let discord = testbed.discord();
    // After this call the bucket is known. Otherwise other calls would wait for the one whose response never arrives.
    caller
        .call(0, Method::POST, &path, json!({"content": "first"}))
        .await?
        .expect_status(200)?;
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
        // Only a response that never arrives is waited for until the deadline; because of the bucket, the last call waits for a slot.
        let deadline_ms = if fault.mode.as_deref() == Some("hang") {
            1_200
        } else {
            8_000
        };
        let answer = caller
            .with_deadline(deadline_ms)
            .call(number % 2, Method::POST, &path, message)
            .await?;
        let proxy_error = answer.proxy_error.as_deref();
        let holds = answer.status == 504 && proxy_error == Some("outcome-unknown");
        testbed.expect(
            I2,
            "a call with an unknown outcome is answered 504 outcome-unknown",
            holds,
            format!("{} {proxy_error:?}", answer.status),
        );
    }
    // An idempotent call is repeated until it succeeds: the role is assigned once.
    let member = testbed.plan().servers[0].members[1].user;
    let role = caller
        .get(0, &format!("/guilds/{guild}/roles"))
        .await?
        .first_assignable()?;
    let put = format!("/guilds/{guild}/members/{member}/roles/{role}");
    let fault = Fault::rest_lost_answer("refuse").method("PUT").path(&put).count(2);
    discord.fault(&fault).await?;
    let given = caller.call(1, Method::PUT, &put, Value::Null).await?;
    testbed.expect(I2, "the role is assigned", given.status == 204, given.status);
    // The first response of /help is its whole reply. It is repeated, and 40060 shows that the first attempt took effect.
    let fault = Fault::rest_lost_answer("refuse")
        .method("POST")
        .route("/interactions/*")
        .count(1);
    discord.fault(&fault).await?;
    testbed.one_command("help").await?;
    testbed.settle().await?;
    // First responses and edits whose responses are lost.
    for (method, route) in [("POST", "/interactions/*"), ("PATCH", "/webhooks/*")] {
        let fault = Fault::rest_lost_answer("refuse").method(method).route(route).count(5);
        discord.fault(&fault).await?;
    }
    testbed.load(20).await?;
    testbed.wait_for_effects(40).await?;
    testbed.stop_load().await?;
    let messages = discord.messages(guild, channel).await?;
    let unknown = testbed.check_ledger().await?.unknown;
    testbed.expect(I2, "no repeated call has an unknown outcome", unknown == 0, unknown);
    for (number, wanted) in [(0, 1), (1, 1), (2, 0), (3, 1), (4, 1)] {
        let content = format!("message {number}");
        let found = messages
            .iter()
            .filter(|message| message["content"] == content.as_str())
            .count();
        testbed.expect(
            I2,
            format!("the message \"{content}\" exists {wanted} times"),
            found == wanted,
            found,
        );
    }
    Ok(())
}

async fn token_revoked(testbed: &mut Testbed) -> anyhow::Result<()> {
    // Its sessions would end with 4004, which is fault 32.
    testbed
        .start(Deployment::default().proxies(2).workers(0).ingestors(0))
        .await?;
    let caller = Caller::of(testbed);
    let path = format!("/guilds/{}", testbed.plan().servers[0].guild);
    for proxy in 0..2 {
        caller.get(proxy, &path).await?.expect_status(200)?;
    }
    testbed.discord().reset_token().await?;
    let first = caller.get(0, &path).await?;
    testbed.expect(I4, "Discord's 401 is passed on", first.status == 401, first.status);
    // The token is dead after a second check.
    let both = async |testbed: &mut Testbed| Ok(proxies(testbed, "arrakis_proxy_token_dead", &[]).await? == 2.0);
    let known = tokio::time::timeout(
        PROCESS_BACK,
        testbed.wait_until("both proxies to report the dead token", both),
    )
    .await;
    testbed.expect(
        I4,
        "the token is checked a second time at once",
        matches!(known, Ok(Ok(()))),
        format!("{known:?}"),
    );
    for number in 0..20 {
        let answer = caller.get(number % 2, &path).await?;
        let proxy_error = answer.proxy_error.as_deref();
        testbed.expect(
            I4,
            "no call is sent with a dead token",
            proxy_error == Some("token-dead"),
            format!("{proxy_error:?}"),
        );
    }
    let seen = testbed.discord().rest_calls().await?;
    let refused = seen.iter().filter(|seen| seen.status == 401).count();
    testbed.expect(
        I4,
        "Discord received the dead token twice: the call and the second check",
        refused == 2,
        refused,
    );
    let dead = proxies(testbed, "arrakis_proxy_token_dead", &[]).await?;
    testbed.expect(I6, "both proxies report the dead token", dead == 2.0, dead);
    let health = testbed.platform().proxies[1].health().await?;
    let detail = health["components"]["token"]["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    testbed.expect(
        I6,
        "health names DISCORD_TOKEN",
        detail.contains("DISCORD_TOKEN"),
        detail,
    );
    Ok(())
}

async fn storm(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed
        .start(Deployment::default().proxies(2).workers(0).ingestors(0))
        .await?;
    let caller = Caller::of(testbed);
    let servers: Vec<u64> = testbed.plan().servers.iter().map(|server| server.guild).collect();
    let (refused, fine) = (
        format!("/guilds/{}/members/", servers[0]),
        format!("/guilds/{}", servers[1]),
    );
    let fault = Fault::rest_status(403).path(&refused);
    testbed.discord().fault(&fault).await?;
    let paths = (0..40).map(|number| format!("{refused}{}", 1_000 + number)).collect();
    let storm = caller.with_deadline(3_000).keep_calling(paths);
    let begun = tokio::time::Instant::now();
    let mut others = Vec::new();
    while begun.elapsed() < Duration::from_secs(7) {
        others.push(caller.get(others.len() % 2, &fine).await?.status);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let invalid = testbed.stats().await?.invalid;
    testbed.expect_alert("proxy-refusals").await?;
    storm.end();
    // Fifty calls are sent, further ones until both proxies slow the cause down, then one per second at each.
    testbed.expect(
        I4,
        "calls with the same cause are slowed down",
        (50..150).contains(&invalid),
        format!("{invalid} invalid requests in 7 s"),
    );
    testbed.expect(
        I4,
        "calls of other servers are sent",
        others.iter().all(|status| *status == 200),
        format!("{others:?}"),
    );
    let counted = testbed.platform().proxies[0]
        .metric("arrakis_proxy_invalid_requests", &[])
        .await?;
    testbed.expect(
        I6,
        "the gauge of invalid requests counts them",
        counted >= 50.0,
        counted,
    );
    Ok(())
}

async fn terminal(testbed: &mut Testbed) -> anyhow::Result<()> {
    // No worker runs, so only the scenario responds to interactions.
    testbed.start(Deployment::default().workers(0).ingestors(0)).await?;
    let caller = Caller::of(testbed);
    let guild = testbed.plan().servers[0].guild;
    let channel = text_channel(testbed, guild).await?;
    let user = testbed.plan().servers[0].members[1].user;
    let unknown = "/interactions/1/no-such-token/callback";
    let answer = caller.call(0, Method::POST, unknown, json!({"type": 5})).await?;
    testbed.expect(
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
        .expect_status(200)?;
    let request = InteractionRequest {
        kind: "command".to_owned(),
        name: Some("help".to_owned()),
        guild_id: Some(guild.to_string()),
        channel_id: Some(channel.to_string()),
        user_id: user.to_string(),
        force: true,
        ..InteractionRequest::default()
    };
    let made = testbed.discord().interact(&request).await?;
    let known = format!("/interactions/{}/{}/callback", made.id, made.token);
    caller.call(0, Method::POST, &known, json!({"type": 5})).await?;
    let again = caller.call(0, Method::POST, &known, json!({"type": 5})).await?;
    testbed.expect(
        I2,
        "40060 is passed on",
        again.code() == Some(40_060),
        format!("{again:?}"),
    );
    let seen = testbed.discord().rest_calls().await?;
    for (path, sent) in [
        ("/interactions/1/".to_owned(), 1),
        (format!("/interactions/{}/", made.id), 2),
    ] {
        let calls = seen.iter().filter(|seen| seen.path.starts_with(&path)).count();
        testbed.expect(
            I2,
            "a call that Discord refuses for good is sent once",
            calls == sent,
            format!("{calls} of {sent}"),
        );
    }
    Ok(())
}

async fn proxy_killed(testbed: &mut Testbed) -> anyhow::Result<()> {
    // The global limit is used up all the time: a proxy that loses its history, or counts only its own calls, exceeds the limit at
    // once.
    let callers = redis::start_saturated(testbed, Deployment::default().proxies(2), 2).await?;
    testbed.load(15).await?;
    testbed.wait_for_effects(15).await?;
    testbed.platform().proxies[0].kill().await;
    testbed.expect_recovery(PROCESS_BACK).await?;
    wait_for_two_windows(testbed).await?;
    // A proxy that is started again at the same address replaces its predecessor, so the whole limit is available at once.
    if !testbed.guarded() {
        let elsewhere = TestRedis::create();
        testbed.platform().proxies[0].set("REDIS_URL", Some(&elsewhere.url()));
        testbed.keep_running(elsewhere);
    }
    testbed.platform().proxies[0].start_again();
    testbed.platform().proxies[0].ready().await;
    let begun = tokio::time::Instant::now();
    // Two proxies with a Redis each never share the limit.
    if testbed.guarded() {
        redis::wait_for_whole_limit(testbed, 2).await?;
        testbed.record_recovery(begun.elapsed(), PROCESS_BACK);
    }
    for _ in 0..2 {
        wait_for_two_windows(testbed).await?;
    }
    callers.end();
    testbed.check_ledger().await?;
    redis::limits_held(testbed).await
}

/// Waits for more calls than two windows of the global limit hold.
async fn wait_for_two_windows(testbed: &mut Testbed) -> anyhow::Result<()> {
    let before = redis::caller_calls(testbed).await?;
    let full = async |testbed: &mut Testbed| Ok(redis::caller_calls(testbed).await? > before + 100);
    testbed.wait_until("two windows of calls", full).await
}

/// Sum of a metric over all proxies.
pub(super) async fn proxies(testbed: &mut Testbed, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for proxy in &testbed.platform().proxies {
        sum += proxy.metric(name, labels).await?;
    }
    Ok(sum)
}

impl ProxyResponse {
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
