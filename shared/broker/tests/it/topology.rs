use arrakis_broker::topology::{MissingObject, declare_queue, shard_state_queue};
use arrakis_broker::{Priorities, Topology, TopologyError};
use arrakis_contracts::names;
use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use reqwest::Method;
use serde_json::{Value, json};

use crate::management;
use crate::world::{World, join};

#[tokio::test]
async fn declaring_twice_changes_nothing() {
    for priorities in [Priorities::Classic, Priorities::Classes] {
        let world = World::bare().await;
        let amqp = world.connection.current().await.unwrap();
        let topology = Topology::new(priorities);
        topology.declare(&amqp).await.unwrap();
        topology.declare(&amqp).await.unwrap();
        assert_eq!(topology.check(&amqp).await.unwrap(), []);
        world.finish(&[]).await;
    }
}

#[tokio::test]
async fn check_returns_missing_objects_without_declaring_them() {
    let world = World::bare().await;
    let amqp = world.connection.current().await.unwrap();
    let missing = world.topology.check(&amqp).await.unwrap();
    assert_eq!(
        missing.len(),
        world.topology.exchanges.len() + world.topology.queues.len()
    );
    assert!(missing.contains(&MissingObject {
        object: "queue",
        name: names::INTERACTIONS.to_owned()
    }));
    assert_eq!(world.topology.check(&amqp).await.unwrap(), missing);
}

#[tokio::test]
async fn error_of_a_differing_queue_names_argument_and_values() {
    let world = World::bare().await;
    let amqp = world.connection.current().await.unwrap();
    let channel = amqp.channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-priority".into(), AMQPValue::LongInt(5));
    arguments.insert(
        "x-dead-letter-exchange".into(),
        AMQPValue::LongString(names::DEAD_LETTERS.into()),
    );
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    channel
        .queue_declare(names::INTERACTIONS.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .unwrap();
    let error = world.topology.declare(&amqp).await.unwrap_err();
    let TopologyError::Differs {
        object,
        name,
        argument,
        ours,
        theirs,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        [object, name, argument],
        ["queue", names::INTERACTIONS, "x-max-priority"]
    );
    assert_eq!([ours.as_str(), theirs.as_str()], ["10", "5"]);
    assert!(!error.is_transient());
    let checked = world.topology.check(&amqp).await.unwrap_err();
    assert_eq!(checked, error);
}

#[tokio::test]
async fn exchange_of_another_type_is_refused() {
    let world = World::bare().await;
    let amqp = world.connection.current().await.unwrap();
    let options = lapin::options::ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let channel = amqp.channel().await.unwrap();
    channel
        .exchange_declare(
            names::JOBS.into(),
            lapin::ExchangeKind::Fanout,
            options,
            FieldTable::default(),
        )
        .await
        .unwrap();
    let error = world.topology.declare(&amqp).await.unwrap_err().to_string();
    assert!(
        error.contains(
            "exchange \"arrakis.jobs\" exists and differs: type is fanout in the broker and topic in this build"
        ),
        "{error}"
    );
}

/// What an import makes is what the code declares, and neither sees a difference in the other.
#[tokio::test]
async fn imported_definitions_equal_declared_ones() {
    for priorities in [Priorities::Classic, Priorities::Classes] {
        let topology = Topology::new(priorities);
        let declared = World::bare().await;
        topology
            .declare(&declared.connection.current().await.unwrap())
            .await
            .unwrap();
        let imported = World::bare().await;
        let mut definitions = topology.definitions(imported.vhost.name());
        definitions["vhosts"] = json!([]);
        management::call(Method::POST, "/api/definitions", Some(definitions)).await;
        assert_eq!(
            topology
                .check(&imported.connection.current().await.unwrap())
                .await
                .unwrap(),
            []
        );
        topology
            .declare(&imported.connection.current().await.unwrap())
            .await
            .unwrap();
        let [a, b] = [
            exported(declared.vhost.name()).await,
            exported(imported.vhost.name()).await,
        ];
        assert_eq!(a, b);
        assert_eq!(a["queues"].as_array().unwrap().len(), topology.queues.len());
    }
}

/// What the broker has, in one order.
async fn exported(vhost: &str) -> Value {
    let mut all = management::call(Method::GET, &format!("/api/definitions/{vhost}"), None).await;
    let mut kept = json!({});
    for part in ["exchanges", "queues", "bindings"] {
        let list = all[part].as_array_mut().unwrap();
        list.sort_by_key(ToString::to_string);
        kept[part] = json!(list);
    }
    kept
}

#[tokio::test]
async fn event_without_a_binding_is_kept() {
    let world = World::new().await;
    let amqp = world.connection.current().await.unwrap();
    let channel = amqp.channel().await.unwrap();
    for key in ["member.#", "guild.#"] {
        channel
            .queue_unbind(
                names::EVENTS_GUILD.into(),
                names::EVENTS.into(),
                key.into(),
                FieldTable::default(),
            )
            .await
            .unwrap();
    }
    world.publisher().publish(&join("kept")).await.unwrap();
    assert_eq!(world.take_all(names::UNROUTED, 1).await, ["kept"]);
    // Declaring again mends the binding.
    world.topology.declare(&amqp).await.unwrap();
    world.publisher().publish(&join("mended")).await.unwrap();
    assert_eq!(world.take_all(names::EVENTS_GUILD, 1).await, ["mended"]);
    world.finish(&[]).await;
}

#[tokio::test]
async fn interactions_are_delivered_by_priority() {
    let world = World::new().await;
    let publisher = world.publisher();
    for (id, key, priority) in [
        ("button", "interaction.button.x", 8),
        ("autocomplete", "interaction.autocomplete.x", 9),
        ("command", "interaction.command.x", 10),
    ] {
        let mut message = arrakis_broker::Message::new(names::EVENTS, key, id, "INTERACTION_CREATE", &b"{}"[..]);
        message.priority = Some(priority);
        publisher.publish(&message).await.unwrap();
    }
    let order = world.take_all(names::INTERACTIONS, 3).await;
    assert_eq!(order, ["command", "autocomplete", "button"]);
    world.finish(&[]).await;
}

#[tokio::test]
async fn each_class_has_its_queue_without_priorities() {
    let world = World::bare().await;
    let topology = Topology::new(Priorities::Classes);
    topology
        .declare(&world.connection.current().await.unwrap())
        .await
        .unwrap();
    let queues = topology.interaction_queues();
    assert_eq!(queues[0], "arrakis.interactions.command");
    for (key, queue) in [
        ("interaction.command.x", queues[0]),
        ("interaction.autocomplete.x", queues[1]),
        ("interaction.button.x", queues[2]),
        ("interaction.modal.x", queues[2]),
    ] {
        let message = arrakis_broker::Message::new(names::EVENTS, key, key, "INTERACTION_CREATE", &b"{}"[..]);
        world.publisher().publish(&message).await.unwrap();
        assert_eq!(world.take_all(queue, 1).await, [key]);
    }
    world.finish(&[]).await;
}

#[tokio::test]
async fn queue_of_messages_is_bounded_and_keeps_the_newest() {
    let world = World::new().await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    // A bound of ten thousand is tried with a queue of the same arguments but a smaller bound.
    let chat = world
        .topology
        .queues
        .iter()
        .find(|queue| queue.name == names::EVENTS_MESSAGE)
        .unwrap();
    channel
        .queue_delete(chat.name.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    let mut small = chat.clone();
    let bound = small
        .arguments
        .iter_mut()
        .find(|argument| argument.name == "x-max-length")
        .unwrap();
    bound.value = arrakis_broker::topology::ArgumentValue::Integer(3);
    declare_queue(&channel, &small).await.unwrap();
    channel
        .queue_bind(
            chat.name.as_str().into(),
            names::EVENTS.into(),
            "message.#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    for number in 0..8 {
        let message = arrakis_broker::Message::new(
            names::EVENTS,
            "message.create",
            number.to_string(),
            "MESSAGE_CREATE",
            &b"{}"[..],
        );
        world.publisher().publish(&message).await.unwrap();
    }
    assert_eq!(world.take_all(names::EVENTS_MESSAGE, 3).await, ["5", "6", "7"]);
    assert_eq!(world.count(names::DEAD_LETTERS).await, 0);
    world.finish(&[]).await;
}

#[tokio::test]
async fn shard_state_queue_can_be_classic_or_quorum() {
    let world = World::bare().await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    declare_queue(&channel, &shard_state_queue(0, Priorities::Classic))
        .await
        .unwrap();
    declare_queue(&channel, &shard_state_queue(1, Priorities::Classes))
        .await
        .unwrap();
    let error = declare_queue(&channel, &shard_state_queue(0, Priorities::Classes))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("x-queue-type is classic in the broker and quorum in this build"),
        "{error}"
    );
}

/// Nobody needs the copies, and a full disk of the broker would stop every publish.
#[test]
fn queues_of_shadow_workers_are_bounded_in_messages_bytes_and_time() {
    for priorities in [Priorities::Classic, Priorities::Classes] {
        let shadow = Topology::new(priorities).shadow();
        assert!(!shadow.queues.is_empty());
        for queue in shadow.queues {
            for bound in ["x-max-length", "x-max-length-bytes", "x-message-ttl", "x-expires"] {
                let has = queue.arguments.iter().any(|argument| argument.name == bound);
                assert!(has, "{}: {bound}", queue.name);
            }
        }
    }
}
