//! A broker node is disconnected from the others.

use std::time::Duration;

use arrakis_test_support::TestVhost;

use crate::chaos::Invariant::{I1, I2};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};
use crate::platform::PlatformServices;
use crate::platform::servers::RabbitCluster;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    fault: 14,
    name: "minority-partition",
    what: "the ingestor's broker node is disconnected from the two others",
    proves: &[I1, I2],
    alerts: &[],
    expected: "the minority confirms no message",
    guard: Guard::FailPoint("broker.guard.confirm=skip"),
    without_guard: "messages without a majority count as confirmed",
    run: |testbed| Box::pin(minority(testbed)),
}];

/// Index of the ingestor's node. It is the leader of the queues, since they are declared through it.
const ALONE: usize = 2;

async fn minority(testbed: &mut Testbed) -> anyhow::Result<()> {
    let cluster = RabbitCluster::start().await?;
    let (lonely, other) = (&cluster.nodes[ALONE], &cluster.nodes[0]);
    let vhost = TestVhost::create_at(&lonely.amqp_url(), &lonely.management_url()).await;
    let of_workers = other.amqp_url().replace("%2f", vhost.name());
    testbed.use_services(PlatformServices::with_vhost(vhost).await);
    testbed.start(Deployment::default().workers(0)).await?;
    let worker = testbed.with_guard_points(vec![("AMQP_URL".to_owned(), of_workers)]);
    testbed.platform().spawn_worker(&worker)?.ready().await;
    testbed.burst(5).await?;
    testbed.drained_ingestor().await?;
    testbed.settle().await?;
    cluster.cut(ALONE, true)?;
    testbed.burst(5).await?;
    // A message that is published again would be handled twice, and a leave shows that.
    testbed.leaves(5).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (confirmed, sent) = testbed.confirmed().await?;
    testbed.expect(
        I1,
        "the minority confirms no message",
        confirmed + 10 <= sent,
        format!("{confirmed} of {sent} confirmed"),
    );
    cluster.cut(ALONE, false)?;
    testbed.drained_ingestor().await?;
    testbed.keep_running(cluster);
    Ok(())
}
