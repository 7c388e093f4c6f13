//! A TCP proxy in front of a service, to cut, stall and count its connections at will.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Forwards bytes both ways until told otherwise. Stops when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    connections: Arc<Mutex<CancellationToken>>,
    stalled: watch::Sender<bool>,
    refusing: watch::Sender<bool>,
    target: Arc<Mutex<String>>,
    stop: CancellationToken,
}

impl FaultProxy {
    /// Listens on a free port and forwards to the host and port of `url`.
    ///
    /// # Panics
    /// When the URL names no address or no port is free.
    pub async fn start(url: &str) -> Self {
        let target = Arc::new(Mutex::new(address_of(url)));
        let listener = match TcpListener::bind("127.0.0.1:0").await {
            Ok(listener) => listener,
            Err(why) => panic!("no port for a proxy: {why}"),
        };
        let Ok(address) = listener.local_addr() else {
            panic!("the proxy has no address")
        };
        let proxy = Self {
            address,
            connections: Arc::default(),
            stalled: watch::Sender::new(false),
            refusing: watch::Sender::new(false),
            target: target.clone(),
            stop: CancellationToken::new(),
        };
        let (connections, stop) = (proxy.connections.clone(), proxy.stop.clone());
        let (stalled, refusing) = (proxy.stalled.subscribe(), proxy.refusing.subscribe());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *refusing.borrow() {
                    continue;
                }
                let cut = connections.lock().child_token();
                let (target, stalled, stop) = (target.lock().clone(), stalled.clone(), stop.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else {
                        return;
                    };
                    let (client_read, client_write) = client.into_split();
                    let (server_read, server_write) = server.into_split();
                    tokio::select! {
                        () = forward(client_read, server_write, stalled.clone()) => {}
                        () = forward(server_read, client_write, stalled) => {}
                        () = cut.cancelled() => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
        }));
        proxy
    }

    /// `url` with the proxy's address in place of the service's.
    ///
    /// # Panics
    /// When it is no URL.
    #[must_use]
    pub fn in_front_of(&self, url: &str) -> String {
        let Ok(mut url) = Url::parse(url) else {
            panic!("{url} is no URL")
        };
        let _ = url.set_host(Some("127.0.0.1"));
        let _ = url.set_port(Some(self.address.port()));
        url.to_string()
    }

    /// Cuts every connection that is open now; new ones are forwarded.
    pub fn cut(&self) {
        std::mem::take(&mut *self.connections.lock()).cancel();
    }

    /// New connections lead to the host and port of this URL, as when a name points elsewhere.
    ///
    /// # Panics
    /// When it is no URL.
    pub fn lead_to(&self, url: &str) {
        *self.target.lock() = address_of(url);
    }

    /// Holds every byte back, in both directions, without closing anything: a half-open connection.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Closes new connections at once.
    pub fn refuse(&self, refusing: bool) {
        self.refusing.send_replace(refusing);
    }
}

fn address_of(url: &str) -> String {
    let url = Url::parse(url).unwrap_or_else(|why| panic!("{url} is no URL: {why}"));
    let host = url.host_str().unwrap_or("127.0.0.1");
    format!("{host}:{}", url.port_or_known_default().unwrap_or(5672))
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut stalled: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if stalled.wait_for(|stalled| !stalled).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = socket.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn forwards_then_cuts() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(b"spice").await.unwrap();
        let mut answer = [0; 5];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"spice");
        proxy.cut();
        assert!(matches!(socket.read(&mut answer).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn a_stalled_connection_stays_open_and_says_nothing_until_it_goes_on() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        proxy.stall(true);
        socket.write_all(b"spice").await.unwrap();
        let mut answer = [0; 5];
        let early = tokio::time::timeout(std::time::Duration::from_millis(100), socket.read_exact(&mut answer)).await;
        assert!(early.is_err());
        proxy.stall(false);
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"spice");
    }
}
