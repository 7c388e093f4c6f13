//! A process of one thread, whose tasks lapin's thread runs while it waits for its socket.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrakis_broker::topology::shard_state;
use arrakis_broker::{
    Lease, Link, LinkOptions, Message, Pipeline, PipelineOptions, PipelineSender, Priorities, Settings,
};
use arrakis_contracts::names;
use arrakis_one_thread::OneThread;
use arrakis_test_support::{Direction, TrafficFaults, eventually};
use tokio_util::sync::CancellationToken;

use crate::world::{World, all_confirmed, first_seen, join};

/// Runs a test as a service of one thread is run.
fn run<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Arc<OneThread>) -> F) {
    let thread = OneThread::new().unwrap();
    thread.run(test(thread.clone()));
}

/// The world, with the link that publishes on the process's only thread.
async fn world(thread: Arc<OneThread>) -> World {
    let mut world = World::new().await;
    let options = LinkOptions {
        thread: Some(thread),
        ..LinkOptions::default()
    };
    let settings = Settings::new(world.proxy.proxied_url(&world.vhost.url()));
    world.link = Link::open_with(&settings, "test of one thread", options);
    world.link.live().await.unwrap();
    world
}

/// Name of the thread that tasks run on now.
async fn runs_on() -> String {
    let name = async { thread::current().name().unwrap_or_default().to_owned() };
    tokio::spawn(name).await.unwrap()
}

/// It begins with the first thing that the broker says after the handshake.
async fn is_driven(world: &World) {
    let driven = async || {
        let live = world.link.live().await.unwrap();
        let _ = live.channel().await;
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
    Pipeline::start(world.link.clone(), options, CancellationToken::new()).0
}

#[test]
fn lapins_thread_runs_the_tasks_for_as_long_as_it_is_connected() {
    let here = thread::current().name().unwrap().to_owned();
    run(async move |thread| {
        let world = world(thread).await;
        is_driven(&world).await;
        let first = world.link.live().await.unwrap();
        world.proxy.close_connections();
        first.gone().await;
        is_driven(&world).await;
        world.link.close().await;
        eventually(async || runs_on().await == here, "the place to be given back").await;
        // Timers and sockets go on where they were.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Link::open(&Settings::new(world.vhost.url()), "test")
            .live()
            .await
            .unwrap();
    });
}

#[test]
fn a_broker_that_goes_away_leaves_the_tasks_running() {
    let here = thread::current().name().unwrap().to_owned();
    run(async move |thread| {
        let world = world(thread).await;
        is_driven(&world).await;
        world.proxy.refuse(true);
        world.proxy.close_connections();
        eventually(async || runs_on().await == here, "the place to be given back").await;
        world.proxy.refuse(false);
        world.link.live().await.unwrap();
        is_driven(&world).await;
    });
}

#[test]
fn everything_arrives_in_order_whatever_becomes_of_the_connection() {
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
            link: world.another_link(),
            ..world
        };
        assert_eq!(first_seen(&world.take_all(names::EVENTS_GUILD, 450).await), ids);
        world.finish(&[]).await;
    });
}

/// lapin cannot write and waits in a read: it must hear that there is room again.
#[test]
fn a_slow_connection_takes_what_its_buffers_do_not_hold() {
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

/// A lease consumes, acknowledges, publishes and closes its channel: all of what a shard does beside its events.
#[test]
fn a_lease_is_taken_written_and_released() {
    run(async move |thread| {
        let world = world(thread).await;
        is_driven(&world).await;
        let queue = shard_state(0, Priorities::Classes);
        for round in 0..3_u8 {
            let (mut lease, value) = Lease::acquire(&world.link, &queue, || {}).await.unwrap();
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
