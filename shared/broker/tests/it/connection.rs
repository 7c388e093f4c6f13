use std::time::Duration;

use arrakis_broker::{BrokerConnection, BrokerSettings, ConnectionState};
use arrakis_test_support::{TestVhost, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::world::World;

#[tokio::test]
async fn lost_connection_is_opened_again_with_the_next_epoch() {
    let world = World::bare().await;
    let first = world.connection.current().await.unwrap();
    assert_eq!(first.epoch, 1);
    world.proxy.close_connections();
    first.closed().await;
    let second = world.connection.current().await.unwrap();
    assert_eq!(second.epoch, 2);
    assert!(first.is_closed() && !second.is_closed());
    second.channel().await.unwrap();
}

#[tokio::test]
async fn closed_connection_returns_an_error() {
    let world = World::bare().await;
    world.connection.current().await.unwrap();
    world.connection.close().await;
    assert_eq!(world.connection.state(), ConnectionState::Closed);
    assert!(world.connection.current().await.is_err());
}

#[tokio::test]
async fn wrong_login_and_missing_vhost_are_named() {
    let vhost = TestVhost::create().await;
    let url = vhost.url();
    let wrong_login = url.replace(
        url.split_once("//").unwrap().1.split_once('@').unwrap().0,
        "nobody:wrong",
    );
    for (url, words) in [
        (wrong_login, "refuses the login"),
        (format!("{url}-missing"), "no such virtual host"),
    ] {
        let connection = BrokerConnection::open(&BrokerSettings::new(url), "test");
        let why = async || match connection.state() {
            ConnectionState::Connecting { reason } if !reason.is_empty() => Some(reason),
            _ => None,
        };
        let why = eventually(why, "the first attempt to fail").await;
        assert!(why.contains(words), "{why}");
        connection.close().await;
    }
}

/// Another server responds: the connection is retried until it is closed.
#[tokio::test]
async fn connecting_to_another_server_can_be_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let connection = BrokerConnection::open(
        &BrokerSettings::new(format!("amqp://guest:guest@{address}/%2f")),
        "test",
    );
    let failed = async || matches!(connection.state(), ConnectionState::Connecting { reason } if !reason.is_empty());
    eventually(failed, "the attempt to fail").await;
    tokio::time::timeout(Duration::from_secs(5), connection.close())
        .await
        .unwrap();
    server.abort();
}
