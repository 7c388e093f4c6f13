//! A broker node is disconnected from the others.

use std::time::Duration;

use arrakis_test_support::TestVhost;

use crate::chaos::Invariant::{I1, I2};
use crate::chaos::{Guard, Scenario, Shape, Stage};
use crate::platform::Foundation;
use crate::platform::servers::RabbitCluster;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    fault: 14,
    name: "minority-partition",
    what: "the ingestor's broker is cut off from the two others",
    proves: &[I1, I2],
    guard: Guard::FailPoint("broker.guard.confirm=skip"),
    run: |stage| Box::pin(minority(stage)),
}];

/// Index of the ingestor's node. It is the leader of the queues, since they are declared through it.
const ALONE: usize = 2;

async fn minority(stage: &mut Stage) -> anyhow::Result<()> {
    let cluster = RabbitCluster::start().await?;
    let (lonely, other) = (&cluster.nodes[ALONE], &cluster.nodes[0]);
    let vhost = TestVhost::create_at(&lonely.amqp_url(), &lonely.management_url()).await;
    let of_workers = other.amqp_url().replace("%2f", vhost.name());
    stage.build_on(Foundation::with_vhost(vhost).await);
    stage.start(Shape::default().workers(0)).await?;
    let worker = stage.armed(vec![("AMQP_URL".to_owned(), of_workers)]);
    stage.platform().spawn_worker(&worker)?.ready().await;
    stage.burst(5).await?;
    stage.drained_ingestor().await?;
    stage.settle().await?;
    cluster.cut(ALONE, true)?;
    stage.burst(5).await?;
    // A message that is published again would be handled twice, and a leave shows that.
    stage.leaves(5).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (confirmed, sent) = stage.confirmed().await?;
    stage.expect(
        I1,
        "the minority confirms no message",
        confirmed + 10 <= sent,
        format!("{confirmed} of {sent} confirmed"),
    );
    cluster.cut(ALONE, false)?;
    stage.drained_ingestor().await?;
    stage.keep(cluster);
    Ok(())
}
