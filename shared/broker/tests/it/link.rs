use std::time::Duration;

use arrakis_broker::{Link, LinkState, Settings};
use arrakis_test_support::{TestVhost, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::world::World;

#[tokio::test]
async fn a_cut_connection_is_made_again_with_the_next_epoch() {
    let world = World::bare().await;
    let first = world.link.live().await.unwrap();
    assert_eq!(first.epoch, 1);
    world.proxy.close_connections();
    first.gone().await;
    let second = world.link.live().await.unwrap();
    assert_eq!(second.epoch, 2);
    assert!(first.is_gone() && !second.is_gone());
    second.channel().await.unwrap();
}

#[tokio::test]
async fn a_closed_link_says_so() {
    let world = World::bare().await;
    world.link.live().await.unwrap();
    world.link.close().await;
    assert_eq!(world.link.state(), LinkState::Closed);
    assert!(world.link.live().await.is_err());
}

#[tokio::test]
async fn a_wrong_login_and_a_missing_vhost_are_said_in_words() {
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
        let link = Link::open(&Settings::new(url), "test");
        let why = async || match link.state() {
            LinkState::Connecting { why } if !why.is_empty() => Some(why),
            _ => None,
        };
        let why = eventually(why, "the first attempt to fail").await;
        assert!(why.contains(words), "{why}");
        link.close().await;
    }
}

/// Something that is no broker answers, and the link goes on trying until it may stop.
#[tokio::test]
async fn what_is_no_broker_does_not_hold_the_link() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let link = Link::open(&Settings::new(format!("amqp://guest:guest@{address}/%2f")), "test");
    let failed = async || matches!(link.state(), LinkState::Connecting { why } if !why.is_empty());
    eventually(failed, "the attempt to fail").await;
    tokio::time::timeout(Duration::from_secs(5), link.close())
        .await
        .unwrap();
    server.abort();
}
