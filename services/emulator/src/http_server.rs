//! Serves a router over HTTP/1.1. Each connection is a tracked task, so that a stop ends open connections too: a test that
//! stops the emulator must get no response on a pooled connection.
//!
//! Limits: [`HEAD_WITHIN`] for a request's head and for an idle connection, [`BODY_WITHIN`] for its body (applied by the
//! readers of bodies), and a number of connections for each listener. Above that number the connection that has been idle
//! longest is closed (`connection_slots`).

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::Service as _, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connection_slots::{ConnectionSlot, ConnectionSlots, RequestBody, ResponseBody},
    web_guard::LocalAddress,
};

/// Time from the opening of a connection, or from the end of its last request, to the end of the next request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// Time for the whole body of a request.
pub(crate) const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Accepts until stopped, up to `connections` at a time.
pub(crate) fn serve(
    tasks: &TaskTracker,
    listener: TcpListener,
    router: Router,
    connections: usize,
    stop: &CancellationToken,
) {
    let (tracker, stop) = (tasks.clone(), stop.clone());
    let slots = ConnectionSlots::new(connections);
    tasks.spawn(async move {
        loop {
            let (stream, peer, slot) = tokio::select! {
                accepted = accept(&listener, &slots) => accepted,
                () = stop.cancelled() => return,
            };
            let reset = ResetOnClose::default();
            let router = router
                .clone()
                .layer(Extension(ConnectInfo(peer)))
                .layer(Extension(reset.clone()));
            let stop = stop.clone();
            tracker.spawn(connection(Connection { stream, reset }, peer, router, slot, stop));
        }
    });
}

/// Accepts the next connection and takes a slot for it.
pub(crate) async fn accept(listener: &TcpListener, slots: &ConnectionSlots) -> (TcpStream, SocketAddr, ConnectionSlot) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return (stream, peer, slots.take().await);
            }
            Err(error) => {
                // Most likely no file descriptor is free; one may become free later.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Makes a connection end with a TCP reset instead of an orderly close. Every request has its connection's instance as an
/// extension.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResetOnClose(Arc<AtomicBool>);

impl ResetOnClose {
    /// Ends the connection with a reset.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A connection that can be reset.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reset: ResetOnClose,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.reset.is_set() {
            // With a linger time of zero, closing sends RST and drops unsent bytes.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The client would read an orderly shutdown before the reset as the end of the stream.
        if self.reset.is_set() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn connection(
    stream: Connection,
    peer: SocketAddr,
    router: Router,
    slot: ConnectionSlot,
    stop: CancellationToken,
) {
    let Ok(local) = stream.stream.local_addr() else { return };
    let router = TowerToHyperService::new(router.layer(Extension(LocalAddress(local))));
    let slot = Arc::new(slot);
    let watched = Arc::clone(&slot);
    let service = service_fn(move |request: Request<Incoming>| {
        let slot = Arc::clone(&watched);
        let answered = router.call(request.map(|body| RequestBody::new(body, Arc::clone(&slot))));
        async move {
            answered
                .await
                .map(|response| response.map(|body| ResponseBody::new(body, slot)))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = served.with_upgrades() => if let Err(error) = result {
            tracing::debug!(%peer, %error, "an HTTP connection ended early");
        },
        () = slot.ended() => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::{body::Body, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Barrier,
        time::timeout,
    };

    use super::*;

    /// Longest wait of a test for an expected event.
    const SOON: Duration = Duration::from_secs(10);

    /// A listener with this many connection slots, and its address. `/slow` waits at the barrier when it is called and before
    /// it responds; `/stream` begins a response that never ends.
    async fn listener(connections: usize, tasks: &TaskTracker, stop: &CancellationToken) -> (SocketAddr, Arc<Barrier>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let barrier = Arc::new(Barrier::new(2));
        let slow = Arc::clone(&barrier);
        let endless = || async { Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, io::Error>>()) };
        let router = Router::new()
            .route("/", get(|| async { "served" }).post(|_: String| async { "served" }))
            .route("/stream", get(endless))
            .route(
                "/slow",
                get(move || {
                    let slow = Arc::clone(&slow);
                    async move {
                        slow.wait().await;
                        slow.wait().await;
                        "served"
                    }
                }),
            );
        serve(tasks, listener, router, connections, stop);
        (address, barrier)
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn rest_of(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        answer
    }

    fn request(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn connections_without_a_complete_request_are_closed_for_others() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (address, _) = listener(2, &tasks, &stop).await;
        let halves = [
            "",
            "GET / HT",
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf",
        ];
        let mut open = Vec::new();
        for half in halves.iter().cycle().take(30) {
            open.push(send(address, half).await);
        }
        for _ in 0..3 {
            assert!(rest_of(send(address, &request("/")).await).await.ends_with("served"));
        }
        // The oldest ones were closed without a response.
        assert_eq!(rest_of(open.remove(0)).await, "");
        stop.cancel();
    }

    #[tokio::test]
    async fn idle_connection_is_kept_until_its_slot_is_needed() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (address, _) = listener(1, &tasks, &stop).await;
        let mut kept = send(address, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let mut head = [0; 12];
        timeout(SOON, kept.read_exact(&mut head)).await.unwrap().unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        assert!(rest_of(send(address, &request("/")).await).await.ends_with("served"));
        let mut rest = Vec::new();
        timeout(SOON, kept.read_to_end(&mut rest)).await.unwrap().unwrap();
        stop.cancel();
    }

    #[tokio::test]
    async fn requests_in_progress_keep_their_slots() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (full, barrier) = listener(2, &tasks, &stop).await;
        let (other, _) = listener(2, &tasks, &stop).await;
        let mut streaming = send(full, &request("/stream")).await;
        let mut head = [0; 12];
        timeout(SOON, streaming.read_exact(&mut head)).await.unwrap().unwrap();
        let working = send(full, &request("/slow")).await;
        barrier.wait().await;
        let waiting = send(full, &request("/")).await;
        assert!(rest_of(send(other, &request("/")).await).await.ends_with("served"));
        let answered = tokio::spawn(rest_of(waiting));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!answered.is_finished(), "answered above the limit");
        barrier.wait().await;
        assert!(rest_of(working).await.ends_with("served"));
        assert!(answered.await.unwrap().ends_with("served"));
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
