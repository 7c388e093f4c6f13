//! An async runtime for lapin whose I/O thread runs the tasks of the process while it waits for its socket.
//!
//! lapin runs its I/O loop on a thread of its own. With tokio's reactor on another thread, each message costs several switches
//! between the two threads, which at low rates is most of its cost. The socket of this module, when a read would block, runs
//! the tasks of the process on lapin's thread until the socket is readable or the I/O loop has work. One thread then does both,
//! and a message costs the wake-ups of the two sockets (gateway and broker) only.
//!
//! This needs a process of one thread ([`SingleThreadRuntime`]); other processes give lapin tokio's reactor. While the socket
//! waits, lapin sees new frames only when [`LoopWaker`] is woken. [`crate::channel::Channel`] and the executor below wake it
//! whenever they may have queued a frame.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};

use arrakis_one_thread::{SingleThreadRuntime, Takeover};
use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures_util::task::AtomicWaker;
use futures_util::{AsyncRead, AsyncWrite, Stream};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

/// Longest time until lapin's I/O loop runs again. It bounds the delay that a missing wake-up causes.
const LOOP_INTERVAL: Duration = Duration::from_millis(250);

/// Wakes lapin's I/O loop, which may have frames to write.
#[derive(Debug, Default)]
pub(crate) struct LoopWaker {
    /// Whether the I/O loop runs our tasks. `false` until the connection is open, and always without [`SingleThreadRuntime`].
    enabled: AtomicBool,
    woken: AtomicBool,
    waker: AtomicWaker,
}

impl LoopWaker {
    /// Lets the socket run our tasks from now on. During the handshake it must not: lapin awaits that as a task.
    pub(crate) fn enable(&self) {
        self.enabled.store(true, Ordering::Release);
    }

    fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    pub(crate) fn wake(&self) {
        if self.is_enabled() && !self.woken.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Wakes the I/O loop after each poll of a future that may queue frames.
    pub(crate) async fn wake_after<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let polled = future.as_mut().poll(context);
            self.wake();
            polled
        })
        .await
    }

    fn poll_woken(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.woken.swap(false, Ordering::AcqRel) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// lapin's async runtime: tokio with the socket of this module.
#[derive(Debug, Clone)]
pub(crate) struct SingleThreadKit {
    tokio: Tokio,
    thread: Arc<SingleThreadRuntime>,
    loop_waker: Arc<LoopWaker>,
}

impl SingleThreadKit {
    pub(crate) fn new(thread: Arc<SingleThreadRuntime>, loop_waker: Arc<LoopWaker>) -> Self {
        Self {
            tokio: Tokio::default().with_handle(thread.handle().clone()),
            thread,
            loop_waker,
        }
    }
}

impl RuntimeKit for SingleThreadKit {}

impl Executor for SingleThreadKit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.thread.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(&self, future: F) -> Task<Self::Task<T>> {
        let loop_waker = self.loop_waker.clone();
        self.tokio.spawn(async move { loop_waker.wake_after(future).await })
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl Reactor for SingleThreadKit {
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
        let (thread, loop_waker) = (self.thread.clone(), self.loop_waker.clone());
        async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            Ok(Socket {
                tcp,
                thread,
                loop_waker,
                takeover: None,
                has_unparsed: false,
            })
        }
    }
}

/// A TCP socket whose read runs our tasks while it waits.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    thread: Arc<SingleThreadRuntime>,
    loop_waker: Arc<LoopWaker>,
    /// Held from the first wait to the end of the connection.
    takeover: Option<Takeover>,
    /// Whether the last read returned bytes. lapin parses them only after a read that would block.
    has_unparsed: bool,
}

impl Socket {
    fn poll_tcp(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.tcp).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Runs our tasks until bytes are read, or the I/O loop is woken (`None`).
    fn wait(&mut self, takeover: &Takeover, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        takeover.block_on(async {
            let work = std::future::poll_fn(|context| {
                if let Poll::Ready(read) = self.poll_tcp(context, buffer) {
                    return Poll::Ready(Some(read));
                }
                self.loop_waker.poll_woken(context).map(|()| None)
            });
            tokio::time::timeout(LOOP_INTERVAL, work).await.unwrap_or(None)
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // A read inside a task (the handshake, the end of TLS) must not run tasks itself.
        if !this.loop_waker.is_enabled() || tokio::runtime::Handle::try_current().is_ok() {
            return this.poll_tcp(context, buffer);
        }
        let Some(takeover) = this.takeover.take().or_else(|| this.thread.take_over()) else {
            return this.poll_tcp(context, buffer);
        };
        let read = if std::mem::take(&mut this.has_unparsed) {
            match this.poll_tcp(&mut Context::from_waker(Waker::noop()), buffer) {
                Poll::Ready(read) => Some(read),
                Poll::Pending => None,
            }
        } else {
            this.wait(&takeover, buffer)
        };
        match read {
            Some(Ok(bytes)) if bytes > 0 => {
                this.has_unparsed = true;
                this.takeover = Some(takeover);
                Poll::Ready(Ok(bytes))
            }
            // The connection has ended: dropping the takeover returns our tasks to the first thread.
            Some(end) => Poll::Ready(end),
            None => {
                this.takeover = Some(takeover);
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
        // lapin will wait in a read, so a writable socket must wake its I/O loop.
        let waker = Waker::from(Arc::new(WritableWaker {
            loop_waker: this.loop_waker.clone(),
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

/// Wakes lapin's write task and its I/O loop when the socket is writable.
struct WritableWaker {
    loop_waker: Arc<LoopWaker>,
    waker: Waker,
}

impl Wake for WritableWaker {
    fn wake(self: Arc<Self>) {
        self.waker.wake_by_ref();
        self.loop_waker.wake();
    }
}
