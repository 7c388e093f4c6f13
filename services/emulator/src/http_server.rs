//! Serves a router over HTTP/1.1, each connection a tracked task, so that stopping ends open connections too: a test that
//! takes Discord away must not have it answer on a pooled connection.

use std::{net::SocketAddr, time::Duration};

use axum::{Extension, Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
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
                    let router = router.clone().layer(Extension(ConnectInfo(peer)));
                    tracker.spawn(connection(stream, peer, router, stop.clone()));
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

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
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
