//! Serves a router over HTTP/1.1, each connection a tracked task, so that stopping ends open connections too: a test that
//! takes Discord away must not have it answer on a pooled connection.

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
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Accepts until stopped.
pub(crate) fn serve(tasks: &TaskTracker, listener: TcpListener, router: Router, stop: &CancellationToken) {
    let (tracker, stop) = (tasks.clone(), stop.clone());
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let reset = ResetOnClose::default();
                    let router = router
                        .clone()
                        .layer(Extension(ConnectInfo(peer)))
                        .layer(Extension(reset.clone()));
                    tracker.spawn(connection(Connection { stream, reset }, peer, router, stop.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others may end in the meantime.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
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
    let _ = stream.stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = served.with_upgrades() => if let Err(error) = result {
            tracing::debug!(%peer, %error, "an HTTP connection ended early");
        },
        () = stop.cancelled() => {}
    }
}
