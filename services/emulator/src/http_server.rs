//! Serves a router over HTTP/1.1, each connection a tracked task, so that stopping ends open connections too: a test that
//! takes Discord away must not have it answer on a pooled connection.
//!
//! Bounds: [`HEAD_WITHIN`] for a request's head and for an idle connection, [`BODY_WITHIN`] for its body (the readers of
//! bodies hold to it), and a number of connections for each listener. Connections above it wait in the kernel's queue.

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
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::web_guard::LocalAddress;

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
    let places = Arc::new(Semaphore::new(connections));
    tasks.spawn(async move {
        loop {
            let (stream, peer, place) = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                () = stop.cancelled() => return,
            };
            let reset = ResetOnClose::default();
            let router = router
                .clone()
                .layer(Extension(ConnectInfo(peer)))
                .layer(Extension(reset.clone()));
            let stop = stop.clone();
            tracker.spawn(async move {
                connection(Connection { stream, reset }, peer, router, stop).await;
                drop(place);
            });
        }
    });
}

/// The next connection, once there is a place for it.
pub(crate) async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return (stream, peer, place);
            }
            Err(error) => {
                // Out of file descriptors, most likely: others may end in the meantime.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Makes a connection end in a TCP reset instead of an orderly close. Every request has its connection's one as an extension.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResetOnClose(Arc<AtomicBool>);

impl ResetOnClose {
    /// From now on the end of the connection is a reset.
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
            // With nothing to linger for, closing sends RST and drops what was not sent.
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
        // An orderly shutdown before the reset would be read as the end of the stream.
        if self.reset.is_set() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn connection(stream: Connection, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let Ok(local) = stream.stream.local_addr() else { return };
    let service = TowerToHyperService::new(router.layer(Extension(LocalAddress(local))));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = served.with_upgrades() => if let Err(error) = result {
            tracing::debug!(%peer, %error, "an HTTP connection ended early");
        },
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A listener with room for this many connections, and its address.
    async fn listener(connections: usize, tasks: &TaskTracker, stop: &CancellationToken) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "served" }));
        serve(tasks, listener, router, connections, stop);
        address
    }

    async fn ask(stream: &mut TcpStream) -> String {
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_full_listener_makes_others_wait_and_leaves_other_listeners_alone() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let full = listener(2, &tasks, &stop).await;
        let other = listener(2, &tasks, &stop).await;
        // Half a request each: nothing is answered, nothing is closed.
        let mut half = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(full).await.unwrap();
            stream.write_all(b"GET / HT").await.unwrap();
            half.push(stream);
        }
        let mut waiting = TcpStream::connect(full).await.unwrap();
        let mut elsewhere = TcpStream::connect(other).await.unwrap();
        assert!(ask(&mut elsewhere).await.ends_with("served"));
        let answered = tokio::spawn(async move { ask(&mut waiting).await });
        tokio::task::yield_now().await;
        assert!(!answered.is_finished(), "answered above the limit");
        half.pop();
        assert!(answered.await.unwrap().ends_with("served"));
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
