//! One connection: what it is doing, since when, and until when it may.

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
use super::metrics::Why;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head of a request is awaited on a new connection, or has begun to arrive.
    Head,
    /// A request is being answered; whether its body is still arriving.
    Busy { body_open: bool },
    /// Answered; the next request has not begun.
    Idle,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// Whether a request was answered on it.
    served: bool,
    /// Since when the peer has read nothing of what is written to it.
    blocked: Option<Instant>,
}

/// A connection as its listener sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    state: Mutex<State>,
    /// Cancelled when the connection is to be dropped.
    pub(crate) closed: CancellationToken,
}

/// How readily a connection is given up for a new one: the lowest first, the oldest first among equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// It has not sent a whole head yet, ever.
    NeverAsked,
    /// The body of its request is not there yet.
    BodyOpen,
    /// It was answered before and has begun a head.
    AsksAgain,
    /// It was answered and waits.
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

    /// Bytes arrived: the first ones after an answer begin a new head.
    fn received(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Idle {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    /// A head is complete.
    pub(crate) fn asked(&self, body_open: bool) {
        self.enter(Phase::Busy { body_open });
    }

    /// The body of the request is complete, or nobody reads it any more.
    fn body_ended(&self) {
        let mut state = self.state.lock();
        if let Phase::Busy { body_open } = &mut state.phase {
            *body_open = false;
        }
    }

    /// The answer has been handed over.
    fn answered(&self) {
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

    /// Why it is over time, if it is.
    pub(crate) fn over_time(&self, now: Instant, limits: &HttpLimits) -> Option<Why> {
        let state = self.state.lock();
        let for_ = now.saturating_duration_since(state.since);
        if state
            .blocked
            .is_some_and(|since| now.saturating_duration_since(since) > limits.write_time)
        {
            return Some(Why::Write);
        }
        match state.phase {
            Phase::Head if for_ > limits.header_time => Some(Why::Header),
            Phase::Busy { body_open: true } if for_ > limits.body_time => Some(Why::Body),
            Phase::Idle if for_ > limits.idle_time => Some(Why::Idle),
            _ => None,
        }
    }

    /// How readily it is given up, and since when it is so; `None` while its request is being answered.
    pub(crate) fn worth(&self) -> Option<(Worth, Instant)> {
        let state = self.state.lock();
        let worth = match state.phase {
            Phase::Head if state.served => Worth::AsksAgain,
            Phase::Head => Worth::NeverAsked,
            Phase::Busy { body_open: true } => Worth::BodyOpen,
            Phase::Busy { body_open: false } => return None,
            Phase::Idle => Worth::Idle,
        };
        Some((worth, state.since))
    }
}

/// A stream that tells its connection of progress.
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
            self.connection.received();
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

/// Which body of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// A body that tells its connection when it has ended, or was dropped.
#[derive(Debug)]
pub(crate) struct WatchedBody<B> {
    body: B,
    side: Side,
    /// Taken when the end was told.
    connection: Option<Arc<Connection>>,
}

impl<B> WatchedBody<B> {
    pub(crate) fn new(body: B, side: Side, connection: Arc<Connection>) -> Self {
        Self {
            body,
            side,
            connection: Some(connection),
        }
    }

    fn ended(&mut self) {
        if let Some(connection) = self.connection.take() {
            match self.side {
                Side::Request => connection.body_ended(),
                Side::Response => connection.answered(),
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
        if self.side == Side::Request && (frame.is_none() || self.body.is_end_stream()) {
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
