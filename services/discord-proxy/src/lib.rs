//! The one way to Discord's REST API, and the one holder of the bot token.
//!
//! A call goes `edge` (who asks, may they, can it be read) → `admission` (may it go at all) → `schedule` (when) → `upstream`
//! (Discord) → `forward` learns from the answer and repeats what is safe. `limits` decides for all replicas together, in Redis.
//! Nothing here knows what a call is for: that is the callers' business. It shares no code with the emulator's limiter.

mod admission;
mod allow_list;
mod budget;
mod call;
mod callers;
mod cli;
mod config;
mod edge;
mod forward;
#[cfg(test)]
mod fuzz;
mod history;
mod limits;
mod metrics;
mod operator;
mod pause_check;
mod place;
mod pulse;
mod refusal;
mod respond;
mod route;
mod schedule;
mod secrets;
mod token;
mod token_check;
mod token_marks;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use arrakis_runtime::{Fatal, HttpLimits, Runtime};
use serde_json::json;
use tokio::net::TcpListener;

pub use crate::allow_list::{AllowList, AllowLists, BadAllowLists};
pub use crate::callers::{BadCallers, Caller, Callers, Credential, NotACredential};
pub use crate::cli::{Arguments, run};
pub use crate::config::{BudgetTuning, Config, PauseTuning, TokenTuning, Tuning};

use crate::admission::Admission;
use crate::budget::Budget;
use crate::edge::Edge;
use crate::forward::Forwarder;
use crate::limits::{Limits, LimitsConfig, Redis};
use crate::metrics::Metrics;
use crate::operator::Operator;
use crate::pause_check::PauseCheck;
use crate::pulse::Pulse;
use crate::schedule::{Room, Scheduler};
use crate::token::BotToken;
use crate::token_check::TokenCheck;
use crate::token_marks::TokenMarks;
use crate::upstream::Upstream;

/// Time to answer what was sent when the process is asked to leave: the longest attempt and a little.
const GRACE: std::time::Duration = std::time::Duration::from_secs(18);

/// How long a start waits for Discord's word on a token that Redis calls dead.
const START_CHECK: std::time::Duration = std::time::Duration::from_secs(3);

/// Listens where the configuration says, and serves until shutdown.
///
/// # Errors
/// The address cannot be used, or a setting only shows itself as wrong when it is used.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let example = "PROXY_LISTEN_ADDR=0.0.0.0:8090";
        Fatal::configuration(format!(
            "PROXY_LISTEN_ADDR={} cannot be used: {error}; example: {example}",
            config.listen
        ))
    })?;
    serve_on(listener, config, runtime).await
}

/// Serves on a listener that is there already.
///
/// # Errors
/// A setting only shows itself as wrong when it is used.
pub async fn serve_on(listener: TcpListener, config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(GRACE);
    let address = listener.local_addr()?;
    let built = build(config, address, &runtime)?;
    let hard = runtime.shutdown.hard.clone();
    // Redis says whether the token is dead; whoever comes meanwhile waits in the listener's queue.
    built.limits.beat_once().await;
    // A Discord that hangs does not keep interactions waiting: they need no token.
    let _ = tokio::time::timeout(START_CHECK, built.check.at_start()).await;
    let beating = tokio::spawn({
        let (limits, stop) = (Arc::clone(&built.limits), hard.clone());
        async move { limits.beat(stop).await }
    });
    let checking = tokio::spawn(Arc::clone(&built.check).run(runtime.shutdown.soft.clone()));
    let pausing = tokio::spawn(built.pause_check.run(runtime.shutdown.soft.clone()));
    tracing::info!(%address, "callers are served");
    let server = runtime.http_server("callers", HttpLimits::for_callers());
    tokio::select! {
        () = server.serve(listener, built.edge.router(), runtime.shutdown.soft.clone()) => {}
        () = hard.cancelled() => {}
    }
    // Nothing is on its way any more: another replica need not reckon with this one.
    for task in [beating, checking, pausing] {
        task.abort();
        let _ = task.await;
    }
    built.limits.leave().await;
    Ok(())
}

/// What was put together.
struct Built {
    edge: Edge,
    limits: Arc<Limits>,
    check: Arc<TokenCheck>,
    pause_check: PauseCheck,
}

fn build(config: Config, address: SocketAddr, runtime: &Runtime) -> Result<Built, Fatal> {
    let metrics = Metrics::new(&runtime.metrics);
    let wrong = |name: &str, why: &dyn std::fmt::Display| Fatal::configuration(format!("{name} cannot be used: {why}"));
    let token = BotToken::new(
        &config.token,
        runtime.health.component("token"),
        metrics.token_dead.clone(),
    );
    let token = Arc::new(token.map_err(|error| wrong("DISCORD_TOKEN", &error))?);
    let redis = Redis::new(&config.redis_url, token.fingerprint()).map_err(|error| wrong("REDIS_URL", &error))?;
    let upstream =
        Upstream::new(&config.api_base, Arc::clone(&token)).map_err(|error| wrong("DISCORD_API_BASE", &error))?;

    let replica = format!("{:016x}", rand::random::<u64>());
    let limits_config = LimitsConfig {
        replica: replica.clone(),
        total: config.tuning.global_limit,
        max_replicas: config.max_replicas,
        own_places_after: config.tuning.own_places_after,
        proof: place::proof(address),
    };
    let health = runtime.health.component("redis");
    let limits = Limits::new(
        limits_config,
        redis.clone(),
        Arc::clone(&token),
        health,
        (metrics.apart.clone(), metrics.in_force.clone()),
    );
    let limits = Arc::new(limits);
    let budget = Arc::new(Budget::new(
        config.tuning.budget,
        config.max_replicas,
        redis.clone(),
        metrics.clone(),
    ));
    let turns = |lane| {
        let room = Room {
            all: config.tuning.most_waiting,
            of_a_tenant: config.tuning.most_waiting_of_a_tenant,
        };
        let stop = runtime.shutdown.soft.clone();
        let replica = format!("{replica}:{lane}");
        Scheduler::start(
            Arc::clone(&limits),
            Arc::clone(&token),
            &replica,
            room,
            metrics.queue(lane),
            stop,
        )
    };
    let checks = metrics.token_checks.clone();
    let forwarder = Arc::new(Forwarder {
        admission: Admission::new(Arc::clone(&token), Arc::clone(&budget), Arc::clone(&limits)),
        bot_turns: turns("bot"),
        webhook_turns: turns("webhook"),
        limits: Arc::clone(&limits),
        budget: Arc::clone(&budget),
        upstream,
        pulse: Pulse::new(runtime.health.component("discord")),
        metrics,
        attempt_timeout: config.tuning.attempt_timeout,
    });
    let check = Arc::new(TokenCheck {
        forwarder: Arc::clone(&forwarder),
        token,
        marks: TokenMarks::new(redis.clone()),
        replica: replica.clone(),
        tuning: config.tuning.token,
        checks,
        checking: tokio::sync::Mutex::default(),
    });
    let pause_check = PauseCheck {
        forwarder: Arc::clone(&forwarder),
        marks: TokenMarks::new(redis),
        replica,
        tuning: config.tuning.pauses,
        health: runtime.health.component("limits"),
    };
    pause_check.health.up();
    let operator = Operator {
        check: Arc::clone(&check),
        limits: Arc::clone(&limits),
    };
    let shown = operator.clone();
    runtime.health.add_details("token", move || shown.status());
    let shown = Arc::clone(&limits);
    runtime.health.add_details("limits", move || {
        json!({
            "decided_by": if shown.is_shared() { "redis" } else { "this replica" },
            "seat": shown.is_seated(),
            "pauses": pause_check::shown(&shown.pauses()),
        })
    });
    // Answers that arrive while the process leaves are still learned from: this ends with the hard token.
    tokio::spawn({
        let stop = runtime.shutdown.hard.clone();
        async move { budget.share(stop).await }
    });
    Ok(Built {
        edge: Edge::new((config.callers, config.application), forwarder, operator, config.tuning),
        limits,
        check,
        pause_check,
    })
}
