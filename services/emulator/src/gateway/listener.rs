//! Accepts connections on the gateway's address and on the one for RESUME.

use std::{net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        protocol::WebSocketConfig,
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection,
    handshake::{self, PrefixedStream},
};
use crate::{
    AppState,
    connection_slots::{ConnectionSlot, ConnectionSlots},
    faults::DeadHost,
    http_server::accept,
};

/// A client's WebSocket.
pub(super) type Socket = WebSocketStream<PrefixedStream>;

/// Which of the two listeners it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The address in `GET /gateway`.
    Gateway,
    /// `resume_gateway_url`, which a fault can make unreachable.
    Resume,
}

/// Largest message that is read, in bytes.
const MAX_MESSAGE: usize = 1_024 * 1_024;

/// The query of the connection's URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// `v`.
    pub(super) version: Option<String>,
    /// `encoding`.
    pub(super) encoding: Option<String>,
    /// `compress`.
    pub(super) compress: Option<String>,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*key {
                "v" => &mut parsed.version,
                "encoding" => &mut parsed.encoding,
                "compress" => &mut parsed.compress,
                _ => continue,
            };
            *slot = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        parsed
    }
}

/// Accepts until stopped, up to `connections` at a time. Each connection is a task of the tracker.
pub(crate) fn serve(
    app: AppState,
    listener: TcpListener,
    role: Role,
    connections: usize,
    tasks: &TaskTracker,
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
            tracker.spawn(handle(app.clone(), stream, peer, role, slot, stop.clone()));
        }
    });
}

async fn handle(
    app: AppState,
    stream: TcpStream,
    peer: SocketAddr,
    role: Role,
    slot: ConnectionSlot,
    stop: CancellationToken,
) {
    if role == Role::Resume {
        match app.faults.dead_resume_host() {
            Some(DeadHost::Refuse) => return,
            Some(DeadHost::Hang) => {
                slot.busy();
                return stop.cancelled().await;
            }
            None => {}
        }
    }
    let handshake = tokio::time::timeout(Duration::from_secs(10), accept_socket(stream));
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        () = slot.ended() => return,
        () = stop.cancelled() => return,
    };
    match accepted {
        Ok(Ok(Some((socket, query)))) => {
            slot.busy();
            connection::run(app, socket, query, stop).await;
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no WebSocket handshake"),
        Err(_) => tracing::debug!(%peer, "no handshake within ten seconds"),
    }
}

/// The WebSocket; `None` when the request was not a handshake and has been answered.
async fn accept_socket(stream: TcpStream) -> Result<Option<(Socket, Query)>, Box<dyn std::error::Error + Send + Sync>> {
    let Some(stream) = handshake::read(stream).await? else {
        return Ok(None);
    };
    let mut query = Query::default();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let note_query = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        query = Query::parse(request.uri().query().unwrap_or_default());
        Ok(response)
    };
    // The default read buffer of 128 KiB is too large for thousands of connections; clients send at most 4 KiB. The reader
    // refuses a longer message with 4002; a message beyond this limit ends the connection.
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1_024)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let socket = accept_hdr_async_with_config(stream, note_query, Some(config)).await?;
    Ok(Some((socket, query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_by_name() {
        let query = Query::parse("encoding=json&v=10&compress=zlib-stream&other=1");
        assert_eq!(query.version.as_deref(), Some("10"));
        assert_eq!(query.encoding.as_deref(), Some("json"));
        assert_eq!(query.compress.as_deref(), Some("zlib-stream"));
    }
}
