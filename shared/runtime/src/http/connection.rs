//! The state of one connection and its time limits.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::HttpLimits;
use super::metrics::CloseReason;

/// State of the HTTP exchange on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head of a request has begun to arrive, or is awaited on a new connection.
    Head,
    /// A request is being handled. `body_open`: its body has not arrived completely.
    Busy { body_open: bool },
    /// The response is complete; the next request has not begun.
    Idle,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// Whether a response was completed on it.
    served: bool,
    /// Since when a write is blocked because the peer does not read.
    blocked: Option<Instant>,
}

/// A connection of a listener.
#[derive(Debug)]
pub(crate) struct Connection {
    state: Mutex<State>,
    /// Cancelled to close the connection.
    pub(crate) closed: CancellationToken,
}

/// Which connection is closed first when a new one needs its slot: the lowest, and among equals the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EvictionOrder {
    /// It has never sent a complete head.
    NoRequest,
    /// The body of its request is incomplete.
    IncompleteBody,
    /// A response was completed on it, and the head of the next request is incomplete.
    IncompleteHead,
    /// A response was completed on it, and it waits for the next request.
    Idle,
}

impl Connection {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Head,
                since: now,
                served: false,
                blocked: None,
            }),
            closed: CancellationToken::new(),
        }
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state.lock();
        state.served |= phase == Phase::Idle;
        state.phase = phase;
        state.since = Instant::now();
    }

    /// Records received bytes: the first after a response begin a new head.
    fn bytes_received(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    /// Records that a head is complete.
    pub(crate) fn head_received(&self, body_open: bool) {
        self.enter(Phase::Busy { body_open });
    }

    /// Records that the body of the request is complete or no longer read.
    fn body_ended(&self) {
        let mut state = self.state.lock();
        if let Phase::Busy { body_open } = &mut state.phase {
            *body_open = false;
        }
    }

    /// Records that the response is complete.
    fn response_ended(&self) {
        self.enter(Phase::Idle);
    }

    fn wrote<T>(&self, written: &Poll<T>) {
        let mut state = self.state.lock();
        if written.is_ready() {
            state.blocked = None;
        } else if state.blocked.is_none() {
            state.blocked = Some(Instant::now());
        }
    }

    /// The time limit that it exceeds, if any.
    pub(crate) fn exceeded_limit(&self, now: Instant, limits: &HttpLimits) -> Option<CloseReason> {
        let state = self.state.lock();
        let elapsed = now.saturating_duration_since(state.since);
        if state
            .blocked
            .is_some_and(|since| now.saturating_duration_since(since) > limits.write_time)
        {
            return Some(CloseReason::Write);
        }
        match state.phase {
            Phase::Head if elapsed > limits.header_time => Some(CloseReason::Header),
            Phase::Busy { body_open: true } if elapsed > limits.body_time => Some(CloseReason::Body),
            Phase::Idle if elapsed > limits.idle_time => Some(CloseReason::Idle),
            _ => None,
        }
    }

    /// Its eviction order, and since when it has it. `None` while a complete request is being handled.
    pub(crate) fn eviction_order(&self) -> Option<(EvictionOrder, Instant)> {
        let state = self.state.lock();
        let order = match state.phase {
            Phase::Head if state.served => EvictionOrder::IncompleteHead,
            Phase::Head => EvictionOrder::NoRequest,
            Phase::Busy { body_open: true } => EvictionOrder::IncompleteBody,
            Phase::Busy { body_open: false } => return None,
            Phase::Idle => EvictionOrder::Idle,
        };
        Some((order, state.since))
    }
}

/// A stream that reports reads and writes to its connection.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) stream: TcpStream,
    pub(crate) connection: Arc<Connection>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.connection.bytes_received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.connection.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.connection.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Whether a body is that of a request or a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    Request,
    Response,
}

/// A body that reports its end, or its drop, to its connection.
#[derive(Debug)]
pub(crate) struct WatchedBody<B> {
    body: B,
    kind: BodyKind,
    /// `None` once the end is reported.
    connection: Option<Arc<Connection>>,
}

impl<B> WatchedBody<B> {
    pub(crate) fn new(body: B, kind: BodyKind, connection: Arc<Connection>) -> Self {
        Self {
            body,
            kind,
            connection: Some(connection),
        }
    }

    fn ended(&mut self) {
        if let Some(connection) = self.connection.take() {
            match self.kind {
                BodyKind::Request => connection.body_ended(),
                BodyKind::Response => connection.response_ended(),
            }
        }
    }
}

impl<B: Body + Unpin> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if self.kind == BodyKind::Request && (frame.is_none() || self.body.is_end_stream()) {
            self.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for WatchedBody<B> {
    fn drop(&mut self) {
        self.ended();
    }
}
