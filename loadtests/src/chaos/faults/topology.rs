//! Exchanges, queues and bindings are missing, full, or different from the code's topology.

use std::time::Duration;

use arrakis_contracts::names;
use lapin::options::{BasicPublishOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::json;

use crate::chaos::Invariant::{I1, I2, I5, I6};
use crate::chaos::{BROKER_BACK, Guard, Scenario, Shape, Stage};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 8,
        name: "queue-deleted",
        what: "queue.delete of the queue of server events",
        proves: &[I1, I5],
        guard: Guard::FailPoint("broker.guard.redeclare=skip"),
        run: |stage| Box::pin(queue_deleted(stage)),
    },
    Scenario {
        fault: 8,
        name: "exchange-deleted",
        what: "exchange.delete of the events' exchange, and its queues stay",
        proves: &[I1, I5],
        guard: Guard::FailPoint("broker.guard.redeclare=skip"),
        run: |stage| Box::pin(exchange_deleted(stage)),
    },
    Scenario {
        fault: 9,
        name: "binding-missing",
        what: "the binding of member events is removed",
        proves: &[I1, I6],
        guard: Guard::Harness("the alternate exchange leads to no queue, and nobody declares it again"),
        run: |stage| Box::pin(binding_missing(stage)),
    },
    Scenario {
        fault: 10,
        name: "queue-full",
        what: "a queue with room for five, reject-publish, and a worker that hangs",
        proves: &[I1, I6],
        guard: Guard::FailPoint("broker.guard.refused=skip"),
        run: |stage| Box::pin(queue_full(stage)),
    },
    Scenario {
        fault: 11,
        name: "topology-differs",
        what: "a queue that exists with other arguments",
        proves: &[I6],
        guard: Guard::FailPoint("broker.guard.topology=skip"),
        run: |stage| Box::pin(topology_differs(stage)),
    },
    Scenario {
        fault: 13,
        name: "dead-letter-target-missing",
        what: "the dead letters' queue is deleted, then a poison message comes",
        proves: &[I1, I2],
        guard: Guard::FailPoint("broker.guard.unroutable=skip"),
        run: |stage| Box::pin(dead_letter_target_missing(stage)),
    },
];

/// An operator's channel on the platform's vhost, with its connection.
async fn operator(stage: &mut Stage) -> anyhow::Result<(Connection, Channel)> {
    let url = stage.platform().vhost().url();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn delete(stage: &mut Stage, queue: &str) -> anyhow::Result<()> {
    let (connection, channel) = operator(stage).await?;
    channel
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await?;
    Ok(connection.close(200, "done".into()).await?)
}

/// The messages of a deleted queue are lost with it, so the queue is empty here, and everything after that counts.
async fn queue_deleted(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    stage.load(8).await?;
    stage.flows(8).await?;
    stage.settle().await?;
    // Events without a queue are kept by the alternate exchange, for an operator.
    stage.patience(Duration::from_secs(8));
    delete(stage, names::EVENTS_GUILD).await?;
    stage.load(8).await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

/// The ingestor's channel is closed at the next publish. The exchange had confirmed no message that could be lost.
async fn exchange_deleted(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    stage.load(8).await?;
    stage.flows(8).await?;
    let (connection, channel) = operator(stage).await?;
    let options = ExchangeDeleteOptions::default();
    channel.exchange_delete(names::EVENTS.into(), options).await?;
    connection.close(200, "done".into()).await?;
    stage.load(8).await?;
    stage.recovers(BROKER_BACK).await?;
    Ok(())
}

async fn binding_missing(stage: &mut Stage) -> anyhow::Result<()> {
    let mut shape = Shape::default();
    if !stage.guarded() {
        shape = shape.broker_env(arrakis_fail_point::VARIABLE, "broker.guard.redeclare=skip");
    }
    stage.start(shape).await?;
    stage.load(8).await?;
    stage.flows(8).await?;
    stage.settle().await?;
    // Events stay in the alternate exchange's queue until an operator has declared the binding.
    stage.patience(Duration::from_secs(1));
    if !stage.guarded() {
        delete(stage, names::UNROUTED).await?;
    }
    let (_connection, channel) = operator(stage).await?;
    let (queue, exchange) = (names::EVENTS_GUILD, names::EVENTS);
    channel
        .queue_unbind(queue.into(), exchange.into(), "member.#".into(), FieldTable::default())
        .await?;
    stage.burst(10).await?;
    let speaks = async |stage: &mut Stage| {
        let unrouted = [("queue", names::UNROUTED)];
        Ok(stage.worker_metric("arrakis_worker_queue_depth", &unrouted).await? > 9.5)
    };
    stage
        .sees(I6, "the metric shows the unrouted messages", Duration::from_secs(14), speaks)
        .await?;
    Ok(())
}

async fn queue_full(stage: &mut Stage) -> anyhow::Result<()> {
    stage
        .start(Shape::default().worker_env("WORKER_EVENT_PREFETCH", "2"))
        .await?;
    stage.load(8).await?;
    stage.flows(6).await?;
    stage.settle().await?;
    let full = json!({"pattern": "^arrakis\\.events\\.guild$", "definition": {"max-length": 5}, "apply-to": "queues"});
    stage.policy("full", full).await?;
    stage.platform().workers[0].hang();
    // The limit of a queue is a soft one: a queue informs its publishers that it is full.
    for _ in 0..4 {
        stage.burst(8).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let refused = async |stage: &mut Stage| {
        let refused = stage
            .ingestor_metric("arrakis_ingestor_publishing", &[("what", "refused")])
            .await?;
        Ok(refused > 0.5)
    };
    stage
        .sees(I6, "the metric counts rejected messages", Duration::from_secs(8), refused)
        .await?;
    stage.platform().workers[0].go_on();
    Ok(())
}

async fn topology_differs(stage: &mut Stage) -> anyhow::Result<()> {
    let shape = Shape::default();
    stage.prepare(&shape).await?;
    let (_connection, channel) = operator(stage).await?;
    // A classic queue where the topology has a quorum queue.
    channel
        .queue_declare(
            names::EVENTS_GUILD.into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        )
        .await?;
    let none = stage.armed(Vec::new());
    let platform = stage.platform();
    platform.spawn_proxy(&[])?.ready().await;
    platform.spawn_ingestor(&none)?;
    platform.spawn_worker(&none)?;
    let ended = async |stage: &mut Stage| {
        let platform = stage.platform();
        let (ingestor, worker) = (platform.ingestors[0].has_ended(), platform.workers[0].has_ended());
        Ok(ingestor.is_some_and(|status| !status.success()) && worker.is_some_and(|status| !status.success()))
    };
    stage
        .sees(
            I6,
            "ingestor and worker refuse to start",
            Duration::from_secs(15),
            ended,
        )
        .await?;
    let logs = |replicas: &[crate::platform::Replica]| replicas[0].log().join("\n");
    let said = [logs(&stage.platform().ingestors), logs(&stage.platform().workers)];
    let names_it = said
        .iter()
        .all(|log| log.contains("arrakis.events.guild") && log.contains("exists and differs"));
    stage.expect(I6, "each log names the queue and the difference", names_it, "no such log line");
    Ok(())
}

/// The message must exist at every moment: in its own queue until there is a dead-letter queue again.
async fn dead_letter_target_missing(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    stage.load(8).await?;
    stage.flows(8).await?;
    delete(stage, names::DEAD_LETTERS).await?;
    let (_connection, channel) = operator(stage).await?;
    let properties = BasicProperties::default()
        .with_message_id("poison".into())
        .with_type("GUILD_MEMBER_ADD".into())
        .with_delivery_mode(2);
    channel
        .basic_publish(
            names::EVENTS.into(),
            "member.join".into(),
            BasicPublishOptions::default(),
            b"not JSON",
            properties,
        )
        .await?;
    // It becomes a dead letter in the queue that a service has declared again.
    let kept = async |stage: &mut Stage| {
        let held = crate::ledger::held(&stage.platform().vhost().url()).await?;
        Ok(held.iter().any(|message| message.id == "poison" && message.is_dead()))
    };
    stage
        .sees(I1, "the poison is a dead letter", Duration::from_secs(15), kept)
        .await?;
    Ok(())
}
