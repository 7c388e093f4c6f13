//! [`FaultProxy`]: a TCP proxy in front of a service that closes, stalls, resets, delays, slices and throttles its
//! connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Size of the read buffer in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// Direction in which bytes are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// Faults of one direction. The default has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrafficFaults {
    /// Bytes are held back, and connections stay open, until the faults change.
    pub stalled: bool,
    /// Bytes are read and dropped, so that the sender sees no error.
    pub swallowed: bool,
    /// Delay before each chunk is forwarded.
    pub delay: Duration,
    /// Chunks are forwarded in slices of this many bytes, each with its own write.
    pub slice: Option<usize>,
    /// Bytes per second, for each connection.
    pub rate: Option<u64>,
    /// After this many further bytes of a connection, RST is sent to both ends.
    pub reset_after: Option<u64>,
}

/// Forwards bytes in both directions, with the faults that are set. Stops when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    connections: Arc<Mutex<CancellationToken>>,
    faults: [watch::Sender<TrafficFaults>; 2],
    refusing: watch::Sender<bool>,
    forwarded: [Arc<AtomicU64>; 2],
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
            Err(why) => panic!("no free port for the proxy: {why}"),
        };
        let Ok(address) = listener.local_addr() else {
            panic!("the proxy has no address")
        };
        let proxy = Self {
            address,
            connections: Arc::default(),
            faults: [watch::Sender::default(), watch::Sender::default()],
            refusing: watch::Sender::new(false),
            forwarded: Default::default(),
            target: target.clone(),
            stop: CancellationToken::new(),
        };
        let accepting = proxy.accept(listener, target);
        tokio::spawn(proxy.stop.clone().run_until_cancelled_owned(accepting));
        proxy
    }

    fn accept(&self, listener: TcpListener, target: Arc<Mutex<String>>) -> impl Future<Output = ()> + use<> {
        let (connections, stop) = (self.connections.clone(), self.stop.clone());
        let refusing = self.refusing.subscribe();
        let faults = self.faults.each_ref().map(watch::Sender::subscribe);
        let forwarded = self.forwarded.clone();
        async move {
            while let Ok((client, _)) = listener.accept().await {
                if *refusing.borrow() {
                    continue;
                }
                let closed = connections.lock().child_token();
                let (target, stop) = (target.lock().clone(), stop.clone());
                let [to_server, to_client] = faults.clone();
                let [sent, received] = forwarded.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else {
                        return;
                    };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let (mut client_read, mut client_write) = client.into_split();
                    let (mut server_read, mut server_write) = server.into_split();
                    let end = tokio::select! {
                        end = forward(&mut client_read, &mut server_write, to_server, &sent) => end,
                        end = forward(&mut server_read, &mut client_write, to_client, &received) => end,
                        () = closed.cancelled() => End::Closed,
                        () = stop.cancelled() => End::Closed,
                    };
                    if matches!(end, End::Reset) {
                        // Reunited, because dropping a half closes the connection with FIN.
                        let sockets = [client_read.reunite(client_write), server_read.reunite(server_write)];
                        for socket in sockets.iter().flatten() {
                            let _ = socket.set_zero_linger();
                        }
                    }
                });
            }
        }
    }

    /// `url` with the proxy's address in place of the service's address.
    ///
    /// # Panics
    /// When it is not a URL.
    #[must_use]
    pub fn proxied_url(&self, url: &str) -> String {
        let Ok(mut url) = Url::parse(url) else {
            panic!("{url} is not a URL")
        };
        let _ = url.set_host(Some("127.0.0.1"));
        let _ = url.set_port(Some(self.address.port()));
        url.to_string()
    }

    /// Sets the faults of a direction, for open and new connections.
    pub fn set(&self, direction: Direction, faults: TrafficFaults) {
        self.faults[direction as usize].send_replace(faults);
    }

    /// Sets the same faults for both directions.
    pub fn set_both_directions(&self, faults: TrafficFaults) {
        self.set(Direction::ToServer, faults);
        self.set(Direction::ToClient, faults);
    }

    /// Number of bytes forwarded in this direction.
    #[must_use]
    pub fn forwarded(&self, direction: Direction) -> u64 {
        self.forwarded[direction as usize].load(Ordering::Relaxed)
    }

    /// Closes all open connections; new ones are forwarded.
    pub fn close_connections(&self) {
        std::mem::take(&mut *self.connections.lock()).cancel();
    }

    /// Forwards new connections to the host and port of this URL, as after a change of a DNS record.
    ///
    /// # Panics
    /// When it is not a URL.
    pub fn set_target(&self, url: &str) {
        *self.target.lock() = address_of(url);
    }

    /// Holds back or forwards bytes in both directions, without closing connections.
    pub fn stall(&self, stalled: bool) {
        for faults in &self.faults {
            faults.send_modify(|faults| faults.stalled = stalled);
        }
    }

    /// Sets whether new connections are closed at once.
    pub fn refuse(&self, refusing: bool) {
        self.refusing.send_replace(refusing);
    }
}

fn address_of(url: &str) -> String {
    let url = Url::parse(url).unwrap_or_else(|why| panic!("{url} is not a URL: {why}"));
    let host = url.host_str().unwrap_or("127.0.0.1");
    format!("{host}:{}", url.port_or_known_default().unwrap_or(5672))
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How a connection ends.
enum End {
    Closed,
    Reset,
}

async fn forward(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    mut faults: watch::Receiver<TrafficFaults>,
    forwarded: &AtomicU64,
) -> End {
    let mut buffer = vec![0; BUFFER_BYTES];
    // Counted from when a reset was requested.
    let mut until_reset = None;
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return End::Closed;
        };
        let Ok(now) = faults.wait_for(|faults| !faults.stalled).await.map(|faults| *faults) else {
            return End::Closed;
        };
        until_reset = now.reset_after.map(|bytes| until_reset.unwrap_or(bytes));
        if now.swallowed {
            continue;
        }
        tokio::time::sleep(now.delay).await;
        let length = match until_reset {
            Some(left) => count.min(usize::try_from(left).unwrap_or(count)),
            None => count,
        };
        for slice in buffer[..length].chunks(now.slice.unwrap_or(BUFFER_BYTES).max(1)) {
            if to.write_all(slice).await.is_err() {
                return End::Closed;
            }
            forwarded.fetch_add(slice.len() as u64, Ordering::Relaxed);
            if let Some(rate) = now.rate {
                tokio::time::sleep(Duration::from_secs_f64(slice.len() as f64 / rate.max(1) as f64)).await;
            }
        }
        if let Some(left) = &mut until_reset {
            *left -= length as u64;
            if *left == 0 {
                return End::Reset;
            }
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
    async fn bytes_are_forwarded_until_connections_are_closed() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(b"spice").await.unwrap();
        let mut answer = [0; 5];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"spice");
        proxy.close_connections();
        assert!(matches!(socket.read(&mut answer).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn stalled_connection_stays_open_and_forwards_nothing() {
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

    #[tokio::test]
    async fn swallowed_direction_drops_bytes_and_the_other_forwards() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        proxy.set(
            Direction::ToClient,
            TrafficFaults {
                swallowed: true,
                ..TrafficFaults::default()
            },
        );
        socket.write_all(b"lost").await.unwrap();
        crate::eventually(
            || std::future::ready(proxy.forwarded(Direction::ToServer) == 4),
            "the server to receive the bytes",
        )
        .await;
        let mut answer = [0; 5];
        let early = tokio::time::timeout(Duration::from_millis(100), socket.read_exact(&mut answer)).await;
        assert!(early.is_err());
        proxy.set(Direction::ToClient, TrafficFaults::default());
        socket.write_all(b"spice").await.unwrap();
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"spice");
    }

    #[tokio::test]
    async fn slices_and_a_cap_change_no_byte() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let terms = TrafficFaults {
            slice: Some(3),
            rate: Some(1_000_000),
            delay: Duration::from_millis(1),
            ..TrafficFaults::default()
        };
        proxy.set_both_directions(terms);
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        let sent: Vec<u8> = (0..=255).collect();
        socket.write_all(&sent).await.unwrap();
        let mut answer = vec![0; sent.len()];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, sent);
    }

    #[tokio::test]
    async fn a_reset_strikes_in_the_middle() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        proxy.set(
            Direction::ToServer,
            TrafficFaults {
                reset_after: Some(3),
                ..TrafficFaults::default()
            },
        );
        socket.write_all(b"spice").await.unwrap();
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer).await;
        assert!(ended.is_err_and(|why| why.kind() == std::io::ErrorKind::ConnectionReset));
        assert_eq!(proxy.forwarded(Direction::ToServer), 3);
    }
}
