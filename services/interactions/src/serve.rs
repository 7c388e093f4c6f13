//! Starts the service: the broker connection, the topology, the listener; and its drain.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{Backoff, BrokerConnection, ConnectionState, Publisher, Topology};
use arrakis_runtime::{Fatal, HealthComponent, HttpLimits, Runtime};
use serde_json::json;
use tokio::net::TcpListener;

use crate::clock::ClockEstimate;
use crate::config::Config;
use crate::endpoint::{Endpoint, router};
use crate::metrics::Metrics;

/// Time in which requests in progress are completed at shutdown.
const GRACE: Duration = Duration::from_secs(10);
/// Time limit for the head of a request; its body has a shorter one (`endpoint`). Discord waits three seconds for a response.
const REQUEST_TIME: Duration = Duration::from_secs(3);

/// Listens and serves until shutdown.
///
/// # Errors
/// The service cannot listen on `INTERACTIONS_ADDR`, or as [`serve_on`].
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        let example = "INTERACTIONS_ADDR=127.0.0.1:8050";
        Fatal::configuration(format!(
            "INTERACTIONS_ADDR={listen} cannot be used: {error}; example: {example}"
        ))
    })?;
    serve_on(listener, config, runtime).await
}

/// Serves on this listener until shutdown. Requests are answered before the broker is available, since Discord's checks need no broker.
///
/// # Errors
/// The topology of the broker differs from the one of this build.
pub async fn serve_on(listener: TcpListener, config: Config, runtime: Runtime) -> anyhow::Result<()> {
    runtime.shutdown.set_grace(GRACE);
    let (soft, hard) = (runtime.shutdown.soft.clone(), runtime.shutdown.hard.clone());
    let broker = runtime.health.component("broker");
    let connection = BrokerConnection::open(&config.broker, "arrakis-interactions");
    let topology = Arc::new(Topology::new(config.broker.priorities));
    let publisher = Publisher::new(connection.clone()).with_topology(topology.clone());
    let clock = ClockEstimate::new();
    let measured = clock.clone();
    runtime
        .health
        .add_details("discord_clock_offset_ms", move || json!(measured.offset_ms()));
    let metrics = Metrics::new(&runtime.metrics);
    let endpoint = Arc::new(Endpoint::new(config.public_key, publisher, clock, metrics));
    let server = runtime.http_server("interactions", limits());
    let result = tokio::select! {
        () = server.serve(listener, router(endpoint), soft) => Ok(()),
        stopped = watch_broker(&connection, &topology, &broker) => stopped,
        () = hard.cancelled() => Ok(()),
    };
    connection.close().await;
    result
}

/// Limits against slow peers: a request that takes longer than Discord waits is of no use.
fn limits() -> HttpLimits {
    HttpLimits {
        header_time: REQUEST_TIME,
        body_time: REQUEST_TIME,
        write_time: REQUEST_TIME,
        ..HttpLimits::for_callers()
    }
}

/// Declares the topology as soon as the broker is connected, if the user may, and then reports the state of the connection.
async fn watch_broker(
    connection: &BrokerConnection,
    topology: &Topology,
    broker: &HealthComponent,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::broker();
    loop {
        let amqp = connection.current().await?;
        match topology.declare(&amqp).await {
            Ok(()) => break,
            Err(error) if error.is_transient() => {
                broker.down(error.to_string());
                tokio::time::sleep(backoff.next_wait()).await;
            }
            // A user that may only publish is enough here: workers declare the topology, too.
            Err(error) if error.is_access_refused() => {
                tracing::info!(%error, "the topology is left to the workers");
                break;
            }
            Err(error) => return Err(Fatal::new(error.to_string()).into()),
        }
    }
    let mut states = connection.watch();
    loop {
        match &*states.borrow_and_update() {
            ConnectionState::Connected => broker.up(),
            ConnectionState::Connecting { reason } => broker.down(format!("not connected: {reason}")),
            ConnectionState::Blocked { reason } => broker.down(format!("the broker blocks publishers: {reason}")),
            ConnectionState::Closed => broker.down("closed"),
        }
        states.changed().await?;
    }
}
