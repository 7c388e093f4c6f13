//! Starts the api: connections, schema check, router; and its drain.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arrakis_broker::{BrokerConnection, Publisher, Topology};
use arrakis_cache::{Cache, CacheOptions, LocalBuckets};
use arrakis_chain::Chains;
use arrakis_db::{Admin, Database, DatabaseOptions, DbError};
use arrakis_kill_switch::KillSwitchControl;
use arrakis_runtime::{Fatal, Runtime};
use arrakis_security::signing::{self, Signer};
use arrakis_themes::Registry;
use arrakis_verification::Verification;
use backon::{ConstantBuilder, Retryable as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::approvals::{Slack, deliver};
use crate::code_checks::CodeChecks;
use crate::config::Config;
use crate::health::Components;
use crate::metrics::Metrics;
use crate::record::NotingRecord;
use crate::refusals::Refusals;
use crate::running_exports::RunningExports;
use crate::services::{ApiState, Services};
use crate::{openapi, routes};

/// Time in which requests in progress are answered at shutdown: longer than the longest request.
const GRACE: Duration = Duration::from_secs(20);
/// Pause between attempts to connect to PostgreSQL.
const POSTGRES_RETRY: Duration = Duration::from_secs(1);
/// Connections of each login.
const CONNECTIONS: u32 = 8;
/// Time in which the signature of a contract wallet is checked again at other endpoints. With the last attempt it is shorter than the limit of
/// a request, so that the member gets the reason.
const CHAIN_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait of a request for the confirmation of a job's message. After it the workers' leader publishes the job.
const PUBLISH_LIMIT: Duration = Duration::from_secs(3);

/// Serves on `listener` until shutdown.
///
/// # Errors
/// A setting cannot be used, or the schema does not fit this build.
pub async fn serve_on(listener: TcpListener, config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(GRACE);
    let (soft, hard) = (runtime.shutdown.soft.clone(), runtime.shutdown.hard.clone());
    let components = Components::new(&runtime.health);
    let connection = BrokerConnection::open(&config.broker, "arrakis-api");
    let services = connect(&config, &runtime, &connection).await?;
    let watch = tokio::spawn(components.watch(services.clone(), connection.clone(), hard.clone()));
    let served = CancellationToken::new();
    let refusals = tokio::spawn(Refusals::write_periodically(services.clone(), served.clone()));
    let messages = tokio::spawn(deliver(services.clone(), served.clone()));
    tracing::info!(address = %listener.local_addr()?, "listening for browsers and callers");
    let server = runtime.http_server("api", services.tuning.http);
    tokio::select! {
        () = server.serve(listener, routes::router(services.clone()), soft) => {}
        () = hard.cancelled() => {}
    }
    served.cancel();
    tokio::select! {
        _ = async { tokio::join!(refusals, messages) } => {}
        () = hard.cancelled() => {}
    }
    watch.abort();
    let _ = watch.await;
    connection.close().await;
    services.database.close();
    services.admin.database().close();
    Ok(())
}

async fn connect(config: &Config, runtime: &Runtime, connection: &BrokerConnection) -> anyhow::Result<ApiState> {
    let soft = &runtime.shutdown.soft;
    let options = DatabaseOptions {
        application_name: "arrakis-api",
        max_connections: CONNECTIONS,
        ..DatabaseOptions::default()
    };
    let database = || Database::connect(&config.database_url, options.clone());
    let admin = || Admin::connect(&config.database_admin_url, options.clone());
    let (database, admin) = tokio::try_join!(
        until_connected(database, "DATABASE_URL", soft),
        until_connected(admin, "DATABASE_ADMIN_URL", soft)
    )?;
    let mut chains = config.chains.clone();
    chains.settings.call_patience = CHAIN_PATIENCE;
    let verification = Verification::new(
        database.clone(),
        Chains::new(&chains),
        config.public_address.url(),
        Arc::new(NotingRecord::default()),
    )
    .map_err(|error| Fatal::configuration(format!("VERIFY_BASE_URL cannot be used: {error}")))?;
    let metrics = Metrics::new(&runtime.metrics);
    let verification = match open_signer(config, &metrics)? {
        Some(signer) => verification.signed_by(signer),
        None => verification,
    };
    let themes = Registry::load(config.themes_dir.as_deref())
        .map_err(|error| Fatal::configuration(format!("THEMES_DIR cannot be used: {error}")))?;
    let slack = config.approvals.slack.clone().map(Slack::new).transpose();
    let slack = slack.context("the client of Slack cannot be made")?;
    let topology = Arc::new(Topology::new(config.broker.priorities));
    let document = openapi::document(&config.public_address).to_json();
    let cache = Cache::new(&config.redis_url, CacheOptions::default())
        .map_err(|error| Fatal::configuration(error.to_string()))?;
    let revoker = config
        .signing_revocation
        .as_ref()
        .map(signing::open_revoker)
        .transpose();
    let revoker = revoker.map_err(|error| Fatal::configuration(format!("VAULT_SIGNING_POLICIES: {error}")))?;
    let kill_switch = KillSwitchControl::new(&config.kill_switch, Some(database.clone()), cache.clone(), revoker)
        .map_err(|error| Fatal::configuration(format!("KILL_SWITCH_CREDENTIAL: {error}")))?;
    Ok(Arc::new(Services {
        database,
        admin,
        cache,
        kill_switch,
        local_buckets: LocalBuckets::default(),
        refusals: Refusals::default(),
        exports: RunningExports::default(),
        publisher: Publisher::new(connection.clone())
            .with_limit(PUBLISH_LIMIT)
            .with_topology(topology.clone()),
        topology,
        operators: config.kill_switch.operators.clone(),
        verification,
        mfa: config.mfa.clone(),
        code_checks: CodeChecks::default(),
        themes,
        approvals: config.approvals.clone(),
        slack,
        metrics,
        public_address: config.public_address.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        stale_after: config.stale_after,
        tuning: config.tuning,
        openapi: document.context("the OpenAPI document cannot be written")?.into(),
    }))
}

/// Opens the key that signs, if there is one. No request is sent.
fn open_signer(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<Arc<dyn Signer>>> {
    let Some(settings) = &config.signing else {
        return Ok(None);
    };
    let opened = signing::open(settings, "arrakis-api", Arc::new(metrics.clone()));
    let signer = opened.map_err(|error| Fatal::configuration(format!("the signing key: {error}")))?;
    Ok(Some(signer))
}

/// Connects and checks the schema. Temporary errors are retried, since a restart would meet them again.
async fn until_connected<T, F: Future<Output = Result<T, DbError>>>(
    connect: impl FnMut() -> F,
    login: &'static str,
    soft: &CancellationToken,
) -> anyhow::Result<T> {
    let every_second = ConstantBuilder::default()
        .with_delay(POSTGRES_RETRY)
        .without_max_times();
    let connected = connect
        .retry(every_second)
        .when(DbError::is_transient)
        .notify(|error, _| tracing::warn!(%error, login, "cannot connect to PostgreSQL; retrying"));
    tokio::select! {
        connected = connected => connected.map_err(|error| match error {
            DbError::Login(_) => Fatal::configuration(error.to_string()).into(),
            error => anyhow::Error::from(error).context(format!("connecting to PostgreSQL with {login}")),
        }),
        () = soft.cancelled() => anyhow::bail!("shut down before PostgreSQL was available"),
    }
}
