//! lapin's own thread runs our tasks while it waits for its socket.
//!
//! lapin works on a thread of its own that waits on a queue: a publish wakes it, our thread is woken to tell it that its socket
//! is readable, and is woken again by what was read. At low rates these hand-overs are most of what a message costs. Here lapin
//! is given a socket whose read, where it would have to wait, runs the tasks of the process until there is something to read or
//! to write. Both ends are then the same thread, and an event costs the wake-ups of the two sockets and no more.
//!
//! Only a process of one thread can do so ([`OneThread`]); everywhere else lapin gets tokio as usual. What is not seen by the
//! [`Bell`], lapin is not told: everything that hands it frames rings ([`crate::channel::Channel`], lapin's own tasks).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use arrakis_one_thread::{OneThread, Place};
use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::task::AtomicWaker;
use futures_util::{AsyncRead, AsyncWrite, Stream};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

/// Longest time in which lapin's loop is not entered: a ring that was forgotten costs this and no more.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Says that lapin has something to do.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Whether anybody listens: not before the connection is made, and never where lapin's thread only works for itself.
    heard: AtomicBool,
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    /// From now on the socket may run our tasks while lapin waits. Not during the handshake, which lapin awaits as a task.
    pub(crate) fn hear(&self) {
        self.heard.store(true, Ordering::Release);
    }

    fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Acquire)
    }

    pub(crate) fn ring(&self) {
        if self.is_heard() && !self.rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Rings after each poll of a future that may give lapin something to do.
    pub(crate) async fn rung<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            self.ring();
            polled
        })
        .await
    }

    fn poll_rung(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.rung.swap(false, Ordering::AcqRel) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// What lapin runs on: tokio, but for its socket.
#[derive(Debug, Clone)]
pub(crate) struct Kit {
    tokio: Tokio,
    thread: Arc<OneThread>,
    bell: Arc<Bell>,
}

impl Kit {
    pub(crate) fn new(thread: Arc<OneThread>, bell: Arc<Bell>) -> Self {
        Self {
            tokio: Tokio::default().with_handle(thread.handle().clone()),
            thread,
            bell,
        }
    }
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.thread.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        let bell = self.bell.clone();
        self.tokio.spawn(async move { bell.rung(future).await })
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Socket;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + std::os::fd::AsFd + std::os::fd::AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (thread, bell) = (self.thread.clone(), self.bell.clone());
        async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            Ok(Socket {
                tcp,
                thread,
                bell,
                place: None,
                fed: false,
            })
        }
    }
}

/// A connection whose reader runs our tasks while it waits.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    thread: Arc<OneThread>,
    bell: Arc<Bell>,
    /// Held from the first wait to the end of the connection.
    place: Option<Place>,
    /// Whether lapin has read something that it has not looked at: it reads until it would have to wait.
    fed: bool,
}

impl Socket {
    fn poll_tcp(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.tcp).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Runs our tasks until something can be read, or lapin has something to do (`None`).
    fn wait(&mut self, place: &Place, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        place.drive(async {
            let work = std::future::poll_fn(|context| {
                if let Poll::Ready(read) = self.poll_tcp(context, buffer) {
                    return Poll::Ready(Some(read));
                }
                self.bell.poll_rung(context).map(|()| None)
            });
            tokio::time::timeout(LOOK_EVERY, work).await.unwrap_or(None)
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // A read that is awaited by a task (the handshake, the end of TLS) must not run tasks itself.
        if !this.bell.is_heard() || tokio::runtime::Handle::try_current().is_ok() {
            return this.poll_tcp(context, buffer);
        }
        let Some(place) = this.place.take().or_else(|| this.thread.take_place()) else {
            return this.poll_tcp(context, buffer);
        };
        let read = if std::mem::take(&mut this.fed) {
            match this.poll_tcp(&mut Context::from_waker(Waker::noop()), buffer) {
                Poll::Ready(read) => Some(read),
                Poll::Pending => None,
            }
        } else {
            this.wait(&place, buffer)
        };
        match read {
            Some(Ok(bytes)) if bytes > 0 => {
                this.fed = true;
                this.place = Some(place);
                Poll::Ready(Ok(bytes))
            }
            // The end of the connection: our tasks go on where they were.
            Some(end) => Poll::Ready(end),
            None => {
                this.place = Some(place);
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(written) = Pin::new(&mut this.tcp).poll_write(context, bytes) {
            return Poll::Ready(written);
        }
        // lapin is told by the bell that there is room again, since it will be waiting in a read.
        let waker = Waker::from(Arc::new(Room {
            bell: this.bell.clone(),
            waker: context.waker().clone(),
        }));
        Pin::new(&mut this.tcp).poll_write(&mut Context::from_waker(&waker), bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

/// Tells lapin that its socket takes bytes again, and rings.
struct Room {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        self.waker.wake_by_ref();
        self.bell.ring();
    }
}
