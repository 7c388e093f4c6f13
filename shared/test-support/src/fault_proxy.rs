//! A TCP proxy in front of a service, to cut, stall, reset, delay, slice, throttle and count its connections at will.

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

/// Largest piece that is read at once.
const PIECE: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What the client sends.
    ToServer,
    /// What the server answers.
    ToClient,
}

/// How one way treats the bytes that go it. The default lets them pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Holds every byte back without closing anything, until the terms change.
    pub stalled: bool,
    /// Takes every byte and hands on none: the sender thinks that all is well.
    pub swallowed: bool,
    /// Each piece arrives this much later.
    pub delay: Duration,
    /// Pieces are cut into slices of this many bytes, each written by itself.
    pub slice: Option<usize>,
    /// Bytes a second, for each connection.
    pub rate: Option<u64>,
    /// After this many further bytes of one connection, in the middle of whatever they are: RST to both ends.
    pub reset_after: Option<u64>,
}

/// Forwards bytes both ways until told otherwise. Stops when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    connections: Arc<Mutex<CancellationToken>>,
    terms: [watch::Sender<Terms>; 2],
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
            Err(why) => panic!("no port for a proxy: {why}"),
        };
        let Ok(address) = listener.local_addr() else {
            panic!("the proxy has no address")
        };
        let proxy = Self {
            address,
            connections: Arc::default(),
            terms: [watch::Sender::default(), watch::Sender::default()],
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
        let terms = self.terms.each_ref().map(watch::Sender::subscribe);
        let forwarded = self.forwarded.clone();
        async move {
            while let Ok((client, _)) = listener.accept().await {
                if *refusing.borrow() {
                    continue;
                }
                let cut = connections.lock().child_token();
                let (target, stop) = (target.lock().clone(), stop.clone());
                let [to_server, to_client] = terms.clone();
                let [sent, answered] = forwarded.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else {
                        return;
                    };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let (mut client_read, mut client_write) = client.into_split();
                    let (mut server_read, mut server_write) = server.into_split();
                    let end = tokio::select! {
                        end = forward(&mut client_read, &mut server_write, to_server, &sent) => end,
                        end = forward(&mut server_read, &mut client_write, to_client, &answered) => end,
                        () = cut.cancelled() => End::Closed,
                        () = stop.cancelled() => End::Closed,
                    };
                    if matches!(end, End::Reset) {
                        // Whole again, since dropping a half says goodbye in order.
                        let whole = [client_read.reunite(client_write), server_read.reunite(server_write)];
                        for socket in whole.iter().flatten() {
                            let _ = socket.set_zero_linger();
                        }
                    }
                });
            }
        }
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

    /// From now on bytes go this way on these terms, on connections that are open and on new ones.
    pub fn set(&self, way: Way, terms: Terms) {
        self.terms[way as usize].send_replace(terms);
    }

    /// The same terms both ways.
    pub fn set_both(&self, terms: Terms) {
        self.set(Way::ToServer, terms);
        self.set(Way::ToClient, terms);
    }

    /// Bytes that were handed on this way so far.
    #[must_use]
    pub fn forwarded(&self, way: Way) -> u64 {
        self.forwarded[way as usize].load(Ordering::Relaxed)
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
        for terms in &self.terms {
            terms.send_modify(|terms| terms.stalled = stalled);
        }
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

/// How a connection ends.
enum End {
    Closed,
    Reset,
}

async fn forward(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    mut terms: watch::Receiver<Terms>,
    forwarded: &AtomicU64,
) -> End {
    let mut buffer = vec![0; PIECE];
    // Counted from when the terms began to ask for a reset.
    let mut until_reset = None;
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return End::Closed;
        };
        let Ok(now) = terms.wait_for(|terms| !terms.stalled).await.map(|terms| *terms) else {
            return End::Closed;
        };
        until_reset = now.reset_after.map(|bytes| until_reset.unwrap_or(bytes));
        if now.swallowed {
            continue;
        }
        tokio::time::sleep(now.delay).await;
        let piece = match until_reset {
            Some(left) => count.min(usize::try_from(left).unwrap_or(count)),
            None => count,
        };
        for slice in buffer[..piece].chunks(now.slice.unwrap_or(PIECE).max(1)) {
            if to.write_all(slice).await.is_err() {
                return End::Closed;
            }
            forwarded.fetch_add(slice.len() as u64, Ordering::Relaxed);
            if let Some(rate) = now.rate {
                tokio::time::sleep(Duration::from_secs_f64(slice.len() as f64 / rate.max(1) as f64)).await;
            }
        }
        if let Some(left) = &mut until_reset {
            *left -= piece as u64;
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

    #[tokio::test]
    async fn one_way_is_swallowed_while_the_other_goes_on() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        proxy.set(
            Way::ToClient,
            Terms {
                swallowed: true,
                ..Terms::default()
            },
        );
        socket.write_all(b"lost").await.unwrap();
        crate::eventually(
            || std::future::ready(proxy.forwarded(Way::ToServer) == 4),
            "the server to have it",
        )
        .await;
        let mut answer = [0; 5];
        let early = tokio::time::timeout(Duration::from_millis(100), socket.read_exact(&mut answer)).await;
        assert!(early.is_err());
        proxy.set(Way::ToClient, Terms::default());
        socket.write_all(b"spice").await.unwrap();
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"spice");
    }

    #[tokio::test]
    async fn slices_and_a_cap_change_no_byte() {
        let proxy = FaultProxy::start(&format!("tcp://{}", echo().await)).await;
        let terms = Terms {
            slice: Some(3),
            rate: Some(1_000_000),
            delay: Duration::from_millis(1),
            ..Terms::default()
        };
        proxy.set_both(terms);
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
            Way::ToServer,
            Terms {
                reset_after: Some(3),
                ..Terms::default()
            },
        );
        socket.write_all(b"spice").await.unwrap();
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer).await;
        assert!(ended.is_err_and(|why| why.kind() == std::io::ErrorKind::ConnectionReset));
        assert_eq!(proxy.forwarded(Way::ToServer), 3);
    }
}
