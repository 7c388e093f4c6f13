//! A process of one thread, whose tasks lapin's thread runs while it waits for its socket.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrakis_broker::topology::shard_state_queue;
use arrakis_broker::{
    BrokerConnection, BrokerSettings, ConnectionOptions, Lease, Message, Pipeline, PipelineOptions, PipelineSender,
    Priorities,
};
use arrakis_contracts::names;
use arrakis_one_thread::SingleThreadRuntime;
use arrakis_test_support::{Direction, TrafficFaults, eventually};
use tokio_util::sync::CancellationToken;

use crate::world::{World, all_confirmed, first_seen, join};

/// Runs a test as a service with one thread.
fn run<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Arc<SingleThreadRuntime>) -> F) {
    let thread = SingleThreadRuntime::new().unwrap();
    thread.run(test(thread.clone()));
}

/// A world whose connection uses the process's only thread.
async fn world(thread: Arc<SingleThreadRuntime>) -> World {
    let mut world = World::new().await;
    let options = ConnectionOptions {
        single_thread: Some(thread),
        ..ConnectionOptions::default()
    };
    let settings = BrokerSettings::new(world.proxy.proxied_url(&world.vhost.url()));
    world.connection = BrokerConnection::open_with(&settings, "test of one thread", options);
    world.connection.current().await.unwrap();
    world
}

/// Name of the thread on which tasks run at present.
async fn runs_on() -> String {
    let name = async { thread::current().name().unwrap_or_default().to_owned() };
    tokio::spawn(name).await.unwrap()
}

/// Waits until lapin's thread runs the tasks: from the first frame after the handshake on.
async fn is_driven(world: &World) {
    let driven = async || {
        let amqp = world.connection.current().await.unwrap();
        let _ = amqp.channel().await;
        runs_on().await == "lapin-io-loop"
    };
    eventually(driven, "lapin's thread to run the tasks").await;
}

fn pipeline(world: &World) -> PipelineSender {
    // Room for several large bodies, so that the socket's buffers are full.
    let options = PipelineOptions {
        window_bytes: 4 << 20,
        ..world.pipeline_options()
    };
    Pipeline::start(world.connection.clone(), options, CancellationToken::new()).0
}

#[test]
fn lapins_thread_runs_the_tasks_while_it_is_connected() {
    let here = thread::current().name().unwrap().to_owned();
    run(async move |thread| {
        let world = world(thread).await;
        is_driven(&world).await;
        let first = world.connection.current().await.unwrap();
        world.proxy.close_connections();
        first.closed().await;
        is_driven(&world).await;
        world.connection.close().await;
        eventually(async || runs_on().await == here, "the takeover to end").await;
        // Timers and sockets still work.
        tokio::time::sleep(Duration::from_millis(5)).await;
        BrokerConnection::open(&BrokerSettings::new(world.vhost.url()), "test")
            .current()
            .await
            .unwrap();
    });
}

#[test]
fn tasks_run_on_after_the_broker_is_lost() {
    let here = thread::current().name().unwrap().to_owned();
    run(async move |thread| {
        let world = world(thread).await;
        is_driven(&world).await;
        world.proxy.refuse(true);
        world.proxy.close_connections();
        eventually(async || runs_on().await == here, "the takeover to end").await;
        world.proxy.refuse(false);
        world.connection.current().await.unwrap();
        is_driven(&world).await;
    });
}

#[test]
fn messages_keep_their_order_across_lost_connections() {
    run(async move |thread| {
        let world = world(thread).await;
        let mut sender = pipeline(&world);
        let ids: Vec<String> = (0..450).map(|number| number.to_string()).collect();
        for (number, id) in ids.iter().enumerate() {
            if number % 150 == 75 {
                world.proxy.close_connections();
            }
            assert!(sender.room().await);
            sender.send(join(id.clone())).unwrap();
        }
        all_confirmed(&sender).await;
        let world = World {
            connection: world.another_connection(),
            ..world
        };
        assert_eq!(first_seen(&world.take_all(names::EVENTS_GUILD, 450).await), ids);
        world.finish(&[]).await;
    });
}

/// lapin's write is blocked and it waits in a read: a writable socket must wake it.
#[test]
fn slow_connection_accepts_more_than_its_buffers() {
    run(async move |thread| {
        let world = world(thread).await;
        is_driven(&world).await;
        let slow = TrafficFaults {
            rate: Some(8 << 20),
            ..TrafficFaults::default()
        };
        world.proxy.set(Direction::ToServer, slow);
        let mut sender = pipeline(&world);
        for number in 0..10 {
            assert!(sender.room().await);
            let body = vec![b'x'; 1 << 20];
            let message = Message::new(
                names::EVENTS,
                "interaction.command.x",
                format!("{number}"),
                "INTERACTION_CREATE",
                body,
            );
            sender.send(message).unwrap();
        }
        all_confirmed(&sender).await;
        assert_eq!(sender.progress().resent, 0);
        is_driven(&world).await;
    });
}

/// A lease consumes, acknowledges, publishes and closes its channel, which is all that a shard does beside publishing events.
#[test]
fn lease_is_acquired_written_and_released() {
    run(async move |thread| {
        let world = world(thread).await;
        is_driven(&world).await;
        let queue = shard_state_queue(0, Priorities::Classes);
        for round in 0..3_u8 {
            let (mut lease, value) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
            assert_eq!(
                value.as_deref(),
                round
                    .checked_sub(1)
                    .map(|last| [last])
                    .as_ref()
                    .map(<[u8; 1]>::as_slice)
            );
            for _ in 0..20 {
                lease.write(vec![round]).await.unwrap();
            }
            lease.release().await;
        }
    });
}
