//! A tokio runtime of one thread, whose place another thread may take.
//!
//! A library that insists on a thread of its own makes two threads of one: each thing handed over puts one to sleep and wakes the
//! other, which costs more than the work itself. Where such a library lets us wait for it (lapin reads from a socket that is
//! ours), its thread can run our tasks while it waits, and the thread that ran them before sleeps until it gets its place back.
//! Owns the runtime and the place. Which library, and when it waits, is not known here.

use std::future::Future;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

/// A tokio runtime whose tasks run on one thread at a time.
#[derive(Debug)]
pub struct OneThread {
    /// `None` only while it is being dropped.
    tokio: Option<Runtime>,
    state: Mutex<State>,
    /// Told whenever `state` changes.
    changed: Condvar,
    /// Told when somebody wants the place of the thread in [`OneThread::run`].
    leave: Notify,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    ended: bool,
}

impl OneThread {
    /// A runtime with timers, sockets and signals. Nothing runs yet.
    ///
    /// # Errors
    /// When the system gives no poller.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            tokio: Some(Builder::new_current_thread().enable_all().build()?),
            state: Mutex::default(),
            changed: Condvar::new(),
            leave: Notify::new(),
        }))
    }

    /// What spawns tasks on the runtime.
    pub fn handle(&self) -> &Handle {
        self.tokio().handle()
    }

    /// Runs the future to its end, and all tasks meanwhile: on this thread, or on the one that has taken its place. To be
    /// called by one thread.
    ///
    /// # Panics
    /// When the future does, with the same words.
    pub fn run<F>(self: &Arc<Self>, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let ended = Ended(self.clone());
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
            while state.taken && !state.ended {
                self.changed.wait(&mut state);
            }
        }
    }

    /// Runs a future on the calling thread, which need not be the one that runs the tasks.
    ///
    /// # Panics
    /// On a thread that runs tasks, as tokio's own does.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.tokio().block_on(future)
    }

    /// Takes the place of the thread in [`OneThread::run`], which sleeps until the place is dropped. `None` when another
    /// thread has it.
    pub fn take_place(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state.lock();
        if state.taken {
            return None;
        }
        state.taken = true;
        drop(state);
        self.leave.notify_one();
        Some(Place(self.clone()))
    }

    #[expect(clippy::expect_used, reason = "it is there until drop")]
    fn tokio(&self) -> &Runtime {
        self.tokio.as_ref().expect("the runtime is there until it is dropped")
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        if let Some(tokio) = self.tokio.take() {
            // A lookup of a name that hangs must not hold the process.
            tokio.shutdown_background();
        }
    }
}

/// The place of the thread that runs the tasks. While its holder is not in [`Place::drive`], nothing runs.
#[derive(Debug)]
pub struct Place(Arc<OneThread>);

impl Place {
    /// Runs tasks on this thread until the future is done.
    pub fn drive<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state.lock().taken = false;
        self.0.changed.notify_all();
    }
}

/// Tells the thread in [`OneThread::run`] that its future has ended, however it did.
struct Ended(Arc<OneThread>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.state.lock().ended = true;
        self.0.changed.notify_all();
    }
}
