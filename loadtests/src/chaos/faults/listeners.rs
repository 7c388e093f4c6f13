//! Clients that hold connections open on the HTTP listeners.

use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::chaos::Invariant::{I1, I3, I5, I6};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};

/// More than the usual soft limit of open files.
const CONNECTIONS: usize = 1_100;
/// Timeout of a monitor's request.
const MONITOR: Duration = Duration::from_secs(5);

/// What the connections send before they stop.
const KINDS: [&str; 4] = [
    "",
    "GET /livez HTTP/1.1\r\nhost: x\r\nx-more: ",
    "POST /api/v10/channels/1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf",
    "GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /li",
];

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    fault: 52,
    name: "connections-held-open",
    what: "1,100 half-open requests on the proxy's port and on every health port",
    proves: &[I1, I3, I5, I6],
    alerts: &["connections-refused"],
    expected: "/livez responds, no command expires",
    guard: Guard::FailPoint("runtime.guard.connections=skip"),
    without_guard: "",
    run: |testbed| Box::pin(held_open(testbed)),
}];

async fn held_open(testbed: &mut Testbed) -> anyhow::Result<()> {
    arrakis_runtime::raise_open_file_limit();
    testbed.start(Deployment::default()).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(20).await?;
    let platform = testbed.platform();
    let health: Vec<String> = platform
        .proxies
        .iter()
        .chain(&platform.workers)
        .chain(&platform.ingestors)
        .map(|replica| replica.health_addr().to_owned())
        .collect();
    let callers = platform.proxy_urls();
    let callers = callers.iter().map(|url| url.trim_start_matches("http://").to_owned());
    let mut connections = Vec::new();
    for address in callers.chain(health.clone()) {
        connections.extend(open_connections(&address).await?);
    }
    for address in &health {
        let alive = is_alive(address).await;
        testbed.expect(
            I5,
            "/livez responds while all connections are in use",
            alive.is_ok(),
            format!("{alive:?}"),
        );
    }
    // Interactions and joins are handled, over new connections and over existing ones.
    testbed.wait_for_effects(40).await?;
    for address in &health {
        let alive = is_alive(address).await;
        testbed.expect(I5, "/livez responds after that", alive.is_ok(), format!("{alive:?}"));
    }
    let evicted = testbed.platform().proxies[0]
        .metric(
            "arrakis_http_connections_closed_total",
            &[("listener", "health"), ("why", "evicted")],
        )
        .await
        .unwrap_or(0.0);
    // The other connections stay open, or are closed by a timeout while more are opened.
    let most = f64::from(u32::try_from(CONNECTIONS)?) / 2.0;
    testbed.expect(I6, "evicted connections are counted", evicted >= most, evicted);
    drop(connections);
    testbed.stop_load().await?;
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

async fn open_connections(address: &str) -> anyhow::Result<Vec<TcpStream>> {
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.with_context(|| address.to_owned())?;
        // A connection that was closed for a newer one may refuse the data.
        let _ = stream.write_all(KINDS[number % KINDS.len()].as_bytes()).await;
        connections.push(stream);
    }
    Ok(connections)
}

async fn is_alive(address: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(MONITOR).build()?;
    let answer = client.get(format!("http://{address}/livez")).send().await?;
    answer.error_for_status()?;
    Ok(())
}
