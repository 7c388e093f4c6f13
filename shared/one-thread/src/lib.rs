//! A tokio runtime whose tasks run on one thread at a time, and can be moved to another thread.
//!
//! A library with a thread of its own (lapin) adds a thread switch to each item that passes between it and the tasks, which can cost
//! more than the work. If the library's thread waits in a function of this crate, it can run the tasks meanwhile: it takes over the
//! runtime, and the thread that ran the tasks before sleeps until the takeover ends. This crate owns the runtime and the
//! takeover; which library takes over, and when, is the caller's decision.

use std::future::Future;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

/// A tokio runtime whose tasks run on one thread at a time: the thread in [`SingleThreadRuntime::run`], or the one that holds the
/// [`Takeover`].
#[derive(Debug)]
pub struct SingleThreadRuntime {
    /// `None` only in `drop`.
    tokio: Option<Runtime>,
    state: Mutex<State>,
    /// Notified when `state` changes.
    changed: Condvar,
    /// Notified when another thread takes over.
    leave: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken_over: bool,
    ended: bool,
}

impl SingleThreadRuntime {
    /// A runtime with timers, sockets and signals. Tasks run once [`SingleThreadRuntime::run`] is called.
    ///
    /// # Errors
    /// When the system provides no poller (epoll).
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            tokio: Some(Builder::new_current_thread().enable_all().build()?),
            state: Mutex::default(),
            changed: Condvar::new(),
            leave: Notify::new(),
        }))
    }

    /// The handle that spawns tasks on the runtime.
    pub fn handle(&self) -> &Handle {
        self.tokio().handle()
    }

    /// Runs a future to its end, and all tasks meanwhile, on this thread or on the one that has taken over. Only one thread may call
    /// it.
    ///
    /// # Panics
    /// When the future panics, with the same payload.
    pub fn run<F>(self: &Arc<Self>, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let ended = EndNotifier(self.clone());
        let mut task = self.handle().spawn(async move {
            let _ended = ended;
            future.await
        });
        loop {
            let result = self.tokio().block_on(async {
                tokio::select! {
                    biased;
                    result = &mut task => Some(result),
                    () = self.leave.notified() => None,
                }
            });
            match result {
                Some(Ok(output)) => return output,
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => {}
            }
            let mut state = self.state.lock();
            while state.taken_over && !state.ended {
                self.changed.wait(&mut state);
            }
        }
    }

    /// Runs a future on the calling thread, which need not be the one that runs the tasks.
    ///
    /// # Panics
    /// When it is called from a task, as [`tokio::runtime::Runtime::block_on`] does.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.tokio().block_on(future)
    }

    /// Takes over from the thread in [`SingleThreadRuntime::run`], which sleeps until the [`Takeover`] is dropped. Returns `None` when
    /// another thread has taken over.
    pub fn take_over(self: &Arc<Self>) -> Option<Takeover> {
        let mut state = self.state.lock();
        if state.taken_over {
            return None;
        }
        state.taken_over = true;
        drop(state);
        self.leave.notify_one();
        Some(Takeover(self.clone()))
    }

    #[expect(clippy::expect_used, reason = "only drop takes it")]
    fn tokio(&self) -> &Runtime {
        self.tokio.as_ref().expect("only drop takes the runtime")
    }
}

impl Drop for SingleThreadRuntime {
    fn drop(&mut self) {
        if let Some(tokio) = self.tokio.take() {
            // A blocking task, such as a DNS lookup that hangs, must not delay the end of the process.
            tokio.shutdown_background();
        }
    }
}

/// The right to run the tasks. No task runs while its holder is not in [`Takeover::block_on`].
#[derive(Debug)]
pub struct Takeover(Arc<SingleThreadRuntime>);

impl Takeover {
    /// Runs tasks on this thread until the future has ended.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

impl Drop for Takeover {
    fn drop(&mut self) {
        self.0.state.lock().taken_over = false;
        self.0.changed.notify_all();
    }
}

/// Notifies the thread in [`SingleThreadRuntime::run`] when the future has ended, also by a panic.
struct EndNotifier(Arc<SingleThreadRuntime>);

impl Drop for EndNotifier {
    fn drop(&mut self) {
        self.0.state.lock().ended = true;
        self.0.changed.notify_all();
    }
}
