//! The process's limit of open files and sockets, and its share for HTTP connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Highest limit that is requested. No service needs more, and some systems have practically no hard limit.
const MAX_LIMIT: u64 = 65_536;
/// Descriptors that are not used for callers' connections: Redis, PostgreSQL, the broker, logs, the health listener.
const RESERVED: u64 = 512;
/// Largest number of callers' connections.
const MAX_CALLERS: u64 = 4_096;
/// Smallest number of callers' connections, however low the limit is.
const MIN_CALLERS: u64 = 16;

/// Raises the soft limit of open files to the hard limit, at most 65,536, and returns the limit in force. Most systems set the soft
/// limit to 1,024 for programs that use `select`.
pub fn raise_open_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1_024;
    };
    let wanted = hard.min(MAX_LIMIT);
    if soft >= wanted {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, soft, hard, "the limit of open files (RLIMIT_NOFILE) cannot be raised");
            soft
        }
    }
}

/// Largest number of open connections of callers. Each may need a second connection, to the service behind.
pub(crate) fn caller_connections() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
    share(limit)
}

fn share(limit: u64) -> usize {
    let share = (limit.saturating_sub(RESERVED) / 2).clamp(MIN_CALLERS, MAX_CALLERS);
    usize::try_from(share).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_their_upstream_connections_fit_the_limit() {
        for limit in [1_024_u64, 4_096, 65_536] {
            assert!(2 * share(limit) as u64 + RESERVED <= limit, "{limit}");
        }
        assert_eq!(share(1_048_576), 4_096);
        assert_eq!(share(256), 16);
    }

    #[test]
    fn raising_the_limit_twice_changes_nothing() {
        assert_eq!(raise_open_file_limit(), raise_open_file_limit());
    }
}
