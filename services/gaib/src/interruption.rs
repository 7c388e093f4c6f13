//! The signals that stop a command: Ctrl-C, a cancelled job (SIGTERM; on Windows Ctrl-Break), a closed terminal (SIGHUP; on Windows a closed
//! console).
//!
//! Until [`Interruption::listen`], which precedes the first lock and the first question, they end the process. From then on the first one cancels: a request to
//! Discord that has not begun and a confirmation end, and the command releases its locks. A thread of its own receives them until the process
//! ends, so that a further Ctrl-C or SIGTERM ends the process at any time. Not within a second: a terminal, a shell and a
//! supervisor each send signals when they end, also of several kinds. And never a further SIGHUP: when a terminal is closed, the shell and the
//! kernel each send one.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};
use tokio_util::sync::CancellationToken;

use crate::exit::ExitStatus;
use crate::printer::Printer;

/// How long further signals are those of the same cause.
const SAME_CAUSE: Duration = Duration::from_secs(1);

/// Whether a signal has stopped this run of gaib.
#[derive(Clone, Debug, Default)]
pub struct Interruption {
    token: CancellationToken,
    listening: Arc<OnceLock<()>>,
}

impl Interruption {
    /// The token that the first signal cancels.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Whether a signal was received.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for the first signal.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Listens for signals to the end of the process; does nothing the second time. When it returns, a signal does not end the process
    /// any more.
    pub fn listen(&self, printer: Printer) {
        self.listening.get_or_init(|| {
            let token = self.token.clone();
            let (registered, wait) = channel();
            let signals = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                if let Ok(runtime) = runtime {
                    runtime.block_on(cancel_on_signal(token, printer, registered));
                }
            };
            // Without the thread, the first signal ends the process.
            let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(signals);
            // Nothing is sent: the sender is dropped after the registration, also one that failed.
            let _ = wait.recv();
        });
    }
}

#[cfg(unix)]
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

#[cfg(windows)]
struct StopSignals {
    interrupt: CtrlC,
    terminate: CtrlBreak,
    hangup: CtrlClose,
}

impl StopSignals {
    #[cfg(unix)]
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    #[cfg(windows)]
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            terminate: ctrl_break()?,
            hangup: ctrl_close()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
            () = received(&mut self.hangup) => {}
        }
    }

    /// The next one that a person or a supervisor sends on purpose.
    async fn next_on_purpose(&mut self) {
        let begin = Instant::now();
        loop {
            tokio::select! {
                () = received(&mut self.interrupt) => {}
                () = received(&mut self.terminate) => {}
                // Received, and without an effect.
                () = received(&mut self.hangup) => continue,
            }
            if begin.elapsed() >= SAME_CAUSE {
                return;
            }
        }
    }
}

async fn received(signal: &mut Signal) {
    signal.recv().await;
}

/// The first signal cancels after the request in flight. A further one ends the process; a pending creation in the state then
/// records the request.
async fn cancel_on_signal(token: CancellationToken, printer: Printer, registered: Sender<()>) {
    let Ok(mut signals) = StopSignals::listen() else { return };
    drop(registered);
    signals.next().await;
    printer.note("Stopping after the request in flight. Press Ctrl-C again to stop at once.");
    token.cancel();
    signals.next_on_purpose().await;
    printer.note("Stopped at once. The request in flight may have taken effect; the next apply checks it.");
    std::process::exit(i32::from(ExitStatus::Error.code()));
}
