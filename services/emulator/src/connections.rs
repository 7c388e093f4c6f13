//! Limits on the connections of each listener.
//!
//! All listeners share the process's file descriptors, and each may use a part of them. A client that opens too many
//! connections to REST or the gateway leaves the control API reachable.

#[cfg(unix)]
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// File descriptors for everything but connections: listeners, logs, libraries.
const RESERVED: usize = 64;

/// Largest number of connections of each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// REST.
    pub(crate) rest: usize,
    /// Control API and page.
    pub(crate) control: usize,
    /// The gateway, and as many again for the listener of RESUME.
    pub(crate) gateway: usize,
}

impl ConnectionLimits {
    /// Divides this process's limit on open files (`RLIMIT_NOFILE`).
    #[cfg(unix)]
    pub(crate) fn of_process() -> Self {
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
        Self::of_files(usize::try_from(files).unwrap_or(usize::MAX))
    }

    /// The limits of a process whose system has no limit on sockets.
    #[cfg(not(unix))]
    pub(crate) fn of_process() -> Self {
        Self::of_files(usize::MAX)
    }

    fn of_files(files: usize) -> Self {
        let free = files.saturating_sub(RESERVED).max(16);
        Self {
            rest: (free / 4).min(8_192),
            control: (free / 8).min(512),
            gateway: (free / 4).min(65_536),
        }
    }
}

/// Raises the soft limit on open files to the hard limit. Called by the binary alone: a library does not change its process.
#[cfg(unix)]
pub(crate) fn raise_file_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
}

/// There is no such limit.
#[cfg(not(unix))]
pub(crate) fn raise_file_limit() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_never_exceed_the_files_and_are_never_zero() {
        for files in [0, 64, 256, 1_024, 4_096, 65_536, 1 << 20, usize::MAX] {
            let limits = ConnectionLimits::of_files(files);
            let sum = limits.rest + limits.control + 2 * limits.gateway;
            assert!(sum <= files.saturating_sub(RESERVED).max(16), "{files}: {limits:?}");
            assert!(
                limits.rest > 0 && limits.control > 0 && limits.gateway > 0,
                "{files}: {limits:?}"
            );
        }
    }
}
