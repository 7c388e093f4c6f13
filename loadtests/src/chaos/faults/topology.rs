//! Exchanges, queues and bindings are missing, full, or different from the code's topology.

use std::time::Duration;

use arrakis_contracts::names;
use lapin::options::{BasicPublishOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::json;

use crate::chaos::Invariant::{I1, I2, I5, I6};
use crate::chaos::{BROKER_BACK, Deployment, Guard, Scenario, Testbed};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 8,
        name: "queue-deleted",
        what: "queue.delete of the queue of server events",
        proves: &[I1, I5],
        alerts: &[],
        expected: "declared again within 10 s",
        guard: Guard::FailPoint("broker.guard.redeclare=skip"),
        without_guard: "",
        run: |testbed| Box::pin(queue_deleted(testbed)),
    },
    Scenario {
        fault: 8,
        name: "exchange-deleted",
        what: "exchange.delete of `arrakis.events`; its queues stay",
        proves: &[I1, I5],
        alerts: &[],
        expected: "declared again within 10 s",
        guard: Guard::FailPoint("broker.guard.redeclare=skip"),
        without_guard: "",
        run: |testbed| Box::pin(exchange_deleted(testbed)),
    },
    Scenario {
        fault: 9,
        name: "binding-missing",
        what: "the binding of member events is removed",
        proves: &[I1, I6],
        alerts: &["unrouted"],
        expected: "events are kept by the alternate exchange for an operator",
        guard: Guard::Harness("the alternate exchange has no queue, and the topology is not declared again"),
        without_guard: "",
        run: |testbed| Box::pin(binding_missing(testbed)),
    },
    Scenario {
        fault: 10,
        name: "queue-full",
        what: "a queue with max-length 5 and reject-publish, and a suspended worker",
        proves: &[I1, I6],
        alerts: &["publish-refused"],
        expected: "recovery as soon as there is room",
        guard: Guard::FailPoint("broker.guard.refused=skip"),
        without_guard: "26 of 42 events lost",
        run: |testbed| Box::pin(queue_full(testbed)),
    },
    Scenario {
        fault: 11,
        name: "topology-differs",
        what: "a queue that exists with other arguments",
        proves: &[I6],
        alerts: &["service-down"],
        expected: "ingestor and worker exit and name the queue",
        guard: Guard::FailPoint("broker.guard.topology=skip"),
        without_guard: "",
        run: |testbed| Box::pin(topology_differs(testbed)),
    },
    Scenario {
        fault: 13,
        name: "dead-letter-target-missing",
        what: "the dead-letter queue is deleted, then a poison message arrives",
        proves: &[I1, I2, I6],
        alerts: &["dead-letters"],
        expected: "the queue is declared again at once",
        guard: Guard::FailPoint("broker.guard.unroutable=skip"),
        without_guard: "",
        run: |testbed| Box::pin(dead_letter_target_missing(testbed)),
    },
];

/// An operator's channel on the platform's vhost, with its connection.
async fn operator(testbed: &mut Testbed) -> anyhow::Result<(Connection, Channel)> {
    let url = testbed.platform().vhost().url();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn delete(testbed: &mut Testbed, queue: &str) -> anyhow::Result<()> {
    let (connection, channel) = operator(testbed).await?;
    channel
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await?;
    Ok(connection.close(200, "done".into()).await?)
}

/// The messages of a deleted queue are lost with it, so the queue is empty here, and everything after that counts.
async fn queue_deleted(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(8).await?;
    testbed.settle().await?;
    // Events without a queue are kept by the alternate exchange, for an operator.
    testbed.settle_limit(Duration::from_secs(8));
    delete(testbed, names::EVENTS_GUILD).await?;
    testbed.load(8).await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    Ok(())
}

/// The ingestor's channel is closed at the next publish. The exchange had confirmed no message that could be lost.
async fn exchange_deleted(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(8).await?;
    let (connection, channel) = operator(testbed).await?;
    let options = ExchangeDeleteOptions::default();
    channel.exchange_delete(names::EVENTS.into(), options).await?;
    connection.close(200, "done".into()).await?;
    testbed.load(8).await?;
    testbed.expect_recovery(BROKER_BACK).await?;
    Ok(())
}

async fn binding_missing(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut deployment = Deployment::default();
    if !testbed.guarded() {
        deployment = deployment.broker_env(arrakis_fail_point::VARIABLE, "broker.guard.redeclare=skip");
    }
    testbed.start(deployment).await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(8).await?;
    testbed.settle().await?;
    // Events stay in the alternate exchange's queue until an operator has declared the binding.
    testbed.settle_limit(Duration::from_secs(1));
    if !testbed.guarded() {
        delete(testbed, names::UNROUTED).await?;
    }
    let (_connection, channel) = operator(testbed).await?;
    let (queue, exchange) = (names::EVENTS_GUILD, names::EVENTS);
    channel
        .queue_unbind(queue.into(), exchange.into(), "member.#".into(), FieldTable::default())
        .await?;
    testbed.burst(10).await?;
    let has_unrouted = async |testbed: &mut Testbed| {
        let unrouted = [("queue", names::UNROUTED)];
        Ok(testbed.worker_metric("arrakis_worker_queue_depth", &unrouted).await? > 9.5)
    };
    testbed
        .expect_within(
            I6,
            "the metric shows the unrouted messages",
            Duration::from_secs(14),
            has_unrouted,
        )
        .await?;
    Ok(())
}

async fn queue_full(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed
        .start(Deployment::default().worker_env("WORKER_EVENT_PREFETCH", "2"))
        .await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(6).await?;
    testbed.settle().await?;
    let full = json!({"pattern": "^arrakis\\.events\\.guild$", "definition": {"max-length": 5}, "apply-to": "queues"});
    testbed.policy("full", full).await?;
    testbed.platform().workers[0].suspend();
    // The limit of a queue is a soft one: a queue informs its publishers that it is full.
    for _ in 0..4 {
        testbed.burst(8).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let refused = async |testbed: &mut Testbed| {
        let refused = testbed
            .ingestor_metric("arrakis_ingestor_publishing", &[("what", "refused")])
            .await?;
        Ok(refused > 0.5)
    };
    testbed
        .expect_within(
            I6,
            "the metric counts rejected messages",
            Duration::from_secs(8),
            refused,
        )
        .await?;
    testbed.platform().workers[0].resume();
    testbed.expect_alert_ends("publish-refused").await
}

async fn topology_differs(testbed: &mut Testbed) -> anyhow::Result<()> {
    let deployment = Deployment::default();
    testbed.prepare(&deployment).await?;
    let (_connection, channel) = operator(testbed).await?;
    // A classic queue where the topology has a quorum queue.
    channel
        .queue_declare(
            names::EVENTS_GUILD.into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        )
        .await?;
    let none = testbed.with_guard_points(Vec::new());
    let platform = testbed.platform();
    platform.spawn_proxy(&[])?.ready().await;
    platform.spawn_ingestor(&none)?;
    platform.spawn_worker(&none)?;
    let ended = async |testbed: &mut Testbed| {
        let platform = testbed.platform();
        let (ingestor, worker) = (platform.ingestors[0].exit_status(), platform.workers[0].exit_status());
        Ok(ingestor.is_some_and(|status| !status.success()) && worker.is_some_and(|status| !status.success()))
    };
    testbed
        .expect_within(
            I6,
            "ingestor and worker refuse to start",
            Duration::from_secs(15),
            ended,
        )
        .await?;
    // The last lines of a process may be read after its end.
    let names_it = async |testbed: &mut Testbed| {
        let platform = testbed.platform();
        let logs = [&platform.ingestors, &platform.workers].map(|replicas| replicas[0].log().join("\n"));
        Ok(logs
            .iter()
            .all(|log| log.contains("arrakis.events.guild") && log.contains("exists and differs")))
    };
    testbed
        .expect_within(
            I6,
            "each log names the queue and the difference",
            Duration::from_secs(5),
            names_it,
        )
        .await?;
    Ok(())
}

/// The message must exist at every moment: in its own queue until there is a dead-letter queue again.
async fn dead_letter_target_missing(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    testbed.load(8).await?;
    testbed.wait_for_effects(8).await?;
    delete(testbed, names::DEAD_LETTERS).await?;
    let (_connection, channel) = operator(testbed).await?;
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
    let is_dead_letter = async |testbed: &mut Testbed| {
        let held = crate::ledger::queued_messages(&testbed.platform().vhost().url()).await?;
        Ok(held.iter().any(|message| message.id == "poison" && message.is_dead()))
    };
    testbed
        .expect_within(
            I1,
            "the poison is a dead letter",
            Duration::from_secs(15),
            is_dead_letter,
        )
        .await?;
    Ok(())
}
