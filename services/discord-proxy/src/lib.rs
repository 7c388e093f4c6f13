//! The discord-proxy: holds the bot token and forwards the calls of the other services to Discord's REST API within its rate limits.
//!
//! A call passes `server` (caller, path, allow-list), `admission` (kill switch, token, budget, pauses), `schedule` (permit), `forward` and
//! `upstream` (Discord). `forward` updates the limits by the response and retries what may be retried. `limits` decides for all replicas
//! together, through Redis. What Discord's responses mean is decided in `arrakis-discord-http`; the purpose of a call has no influence.

mod admission;
mod allow_list;
mod budget;
mod call;
mod call_attempts;
mod callers;
mod cli;
mod config;
mod confirmation;
mod first_response;
mod forward;
#[cfg(test)]
mod fuzz;
mod instance_identity;
mod kill_switch;
mod kill_switch_endpoint;
mod kill_switch_file;
mod limits;
mod metrics;
mod operator;
mod pause_check;
mod redaction;
mod redis;
mod refusal;
mod resource_servers;
mod route;
mod schedule;
mod server;
mod token;
mod token_check;
mod token_marks;
mod upstream;
mod upstream_health;

use std::net::SocketAddr;
use std::sync::Arc;

use arrakis_runtime::{Fatal, HttpLimits, Runtime};
use serde_json::json;
use tokio::net::TcpListener;

pub use crate::allow_list::{AllowList, AllowLists, AllowListsError};
pub use crate::callers::{Caller, Callers, CallersError, Credential, CredentialError};
pub use crate::cli::{Arguments, run};
pub use crate::config::{BudgetTuning, Config, PauseTuning, TokenTuning, Tuning};

use crate::admission::Admission;
use crate::budget::Budget;
use crate::forward::Forwarder;
use crate::instance_identity::instance_identity;
use crate::kill_switch::KillSwitches;
use crate::kill_switch_endpoint::KillSwitchEndpoint;
use crate::limits::{Limits, LimitsConfig};
use crate::metrics::Metrics;
use crate::operator::Operator;
use crate::pause_check::PauseCheck;
use crate::redis::Redis;
use crate::schedule::{QueueCapacity, Scheduler};
use crate::server::Server;
use crate::token::BotToken;
use crate::token_check::TokenCheck;
use crate::token_marks::TokenMarks;
use crate::upstream::Upstream;
use crate::upstream_health::UpstreamHealth;

/// Time in which calls in flight are answered at shutdown: longer than the longest attempt.
const GRACE: std::time::Duration = std::time::Duration::from_secs(18);

/// How long a start waits for the check of a token that Redis has as refused.
const START_CHECK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

/// Listens at the configured address, and serves until shutdown.
///
/// # Errors
/// The address or another setting cannot be used.
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

/// Serves on `listener` until shutdown.
///
/// # Errors
/// A setting cannot be used.
pub async fn serve_on(listener: TcpListener, config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(GRACE);
    let address = listener.local_addr()?;
    let built = build(config, address, &runtime)?;
    let hard = runtime.shutdown.hard.clone();
    // Reads the token's status from Redis; connections wait in the listener's queue meanwhile.
    built.limits.heartbeat().await;
    // A switch that is on in Redis is on before the first call.
    if let Err(error) = built.switches.read_redis(&built.redis).await {
        tracing::warn!(error, "the kill switch cannot be read from Redis at the start");
    }
    let switches = tokio::spawn(Arc::clone(&built.switches).poll(built.redis.clone(), hard.clone()));
    // A Discord that hangs does not delay interactions, which need no token.
    let _ = tokio::time::timeout(START_CHECK_TIMEOUT, built.check.at_start()).await;
    let heartbeat = tokio::spawn({
        let (limits, stop) = (Arc::clone(&built.limits), hard.clone());
        async move { limits.run_heartbeat(stop).await }
    });
    let token_checks = tokio::spawn(Arc::clone(&built.check).run(runtime.shutdown.soft.clone()));
    let pause_checks = tokio::spawn(built.pause_check.run(runtime.shutdown.soft.clone()));
    tracing::info!(%address, "listening for callers");
    let server = runtime.http_server("callers", HttpLimits::for_callers());
    tokio::select! {
        () = server.serve(listener, built.server.router(), runtime.shutdown.soft.clone()) => {}
        () = hard.cancelled() => {}
    }
    // No call is in flight any more: this replica's share is free for the others.
    for task in [heartbeat, token_checks, pause_checks, switches] {
        task.abort();
        let _ = task.await;
    }
    built.limits.deregister().await;
    Ok(())
}

/// The parts of the proxy.
struct Built {
    server: Server,
    switches: Arc<KillSwitches>,
    redis: Redis,
    limits: Arc<Limits>,
    check: Arc<TokenCheck>,
    pause_check: PauseCheck,
}

fn build(config: Config, address: SocketAddr, runtime: &Runtime) -> Result<Built, Fatal> {
    let metrics = Metrics::new(&runtime.metrics);
    let invalid =
        |name: &str, error: &dyn std::fmt::Display| Fatal::configuration(format!("{name} cannot be used: {error}"));
    let token = BotToken::new(
        &config.token,
        runtime.health.component("token"),
        metrics.token_refused.clone(),
    );
    let token = Arc::new(token.map_err(|error| invalid("DISCORD_TOKEN", &error))?);
    let redis = Redis::new(&config.redis_url, token.fingerprint()).map_err(|error| invalid("REDIS_URL", &error))?;
    let upstream =
        Upstream::new(&config.api_base, Arc::clone(&token)).map_err(|error| invalid("DISCORD_API_BASE", &error))?;

    let replica = format!("{:016x}", rand::random::<u64>());
    let limits_config = LimitsConfig {
        replica: replica.clone(),
        total: config.tuning.global_limit,
        max_replicas: config.max_replicas,
        reserved_after: config.tuning.reserved_after,
        instance_identity: instance_identity(address),
    };
    let health = runtime.health.component("redis");
    let limits = Limits::new(
        limits_config,
        redis.clone(),
        Arc::clone(&token),
        health,
        (metrics.degraded.clone(), metrics.effective_limit.clone()),
    );
    let limits = Arc::new(limits);
    let budget = Arc::new(Budget::new(
        config.tuning.budget,
        config.max_replicas,
        redis.clone(),
        metrics.clone(),
    ));
    let scheduler = |lane| {
        let capacity = QueueCapacity {
            total: config.tuning.max_waiting,
            per_tenant: config.tuning.max_waiting_per_tenant,
        };
        let stop = runtime.shutdown.soft.clone();
        let replica = format!("{replica}:{lane}");
        Scheduler::start(
            Arc::clone(&limits),
            Arc::clone(&token),
            &replica,
            capacity,
            metrics.queue(lane),
            stop,
        )
    };
    let switches = KillSwitches::open(
        config.kill_switch_file.clone(),
        config.kill_switch_credential.is_some(),
        runtime.health.component("kill_switch"),
        metrics.kill_switch.clone(),
    );
    let switches = switches.map_err(|error| invalid("KILL_SWITCH_FILE", &error))?;
    let checks = metrics.token_checks.clone();
    let forwarder = Arc::new(Forwarder {
        admission: Admission::new(
            Arc::clone(&switches),
            Arc::clone(&token),
            Arc::clone(&budget),
            Arc::clone(&limits),
        ),
        bot_scheduler: scheduler("bot"),
        webhook_scheduler: scheduler("webhook"),
        limits: Arc::clone(&limits),
        budget: Arc::clone(&budget),
        token: Arc::clone(&token),
        upstream,
        upstream_health: UpstreamHealth::new(runtime.health.component("discord")),
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
        marks: TokenMarks::new(redis.clone()),
        replica: replica.clone(),
        tuning: config.tuning.pauses,
        health: runtime.health.component("limits"),
    };
    pause_check.health.up();
    let operator = Operator {
        check: Arc::clone(&check),
        limits: Arc::clone(&limits),
    };
    let kill_switch = KillSwitchEndpoint::new(
        Arc::clone(&switches),
        config.kill_switch_credential.as_ref(),
        config.kill_switch_previous.as_ref(),
        replica,
    );
    let status = Arc::clone(&switches);
    runtime.health.add_details("kill_switch", move || json!(status.state()));
    let status = operator.clone();
    runtime.health.add_details("token", move || status.status());
    let status = Arc::clone(&limits);
    runtime.health.add_details("limits", move || {
        json!({
            "decided_by": if status.is_shared() { "redis" } else { "this replica" },
            "seat": status.has_seat(),
            "pauses": pause_check::pauses_json(&status.active_pauses()),
        })
    });
    // Responses during shutdown are still counted: this ends with the hard token.
    tokio::spawn({
        let stop = runtime.shutdown.hard.clone();
        async move { budget.run(stop).await }
    });
    Ok(Built {
        server: Server::new(
            config.callers,
            config.application,
            forwarder,
            operator,
            kill_switch,
            config.tuning,
        ),
        switches,
        redis,
        limits,
        check,
        pause_check,
    })
}
