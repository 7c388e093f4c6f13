//! How many files and sockets the process may have open, and how they are shared out.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More is of no use to any service here, and some systems have no limit worth the name.
const MOST: u64 = 65_536;
/// Descriptors that no listener for callers may use: connections to Redis, Postgres and the broker, logs, the health listener.
const RESERVED: u64 = 512;
/// Connections of callers beyond which more descriptors are of no use.
const MOST_CALLERS: u64 = 4_096;
/// Connections of callers that are served with however few descriptors.
const FEWEST_CALLERS: u64 = 16;

/// Raises the soft limit to the hard one, as far as it helps, and answers the limit in force: the soft limit is 1,024 on most
/// systems for the sake of programs that use `select`.
pub fn raise_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1_024;
    };
    let wanted = hard.min(MOST);
    if soft >= wanted {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, soft, hard, "the limit of open files cannot be raised");
            soft
        }
    }
}

/// Connections of callers that may be open at once: each may need a second one to the service behind.
pub(crate) fn caller_connections() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1_024, |(soft, _)| soft);
    share(limit)
}

fn share(limit: u64) -> usize {
    let share = (limit.saturating_sub(RESERVED) / 2).clamp(FEWEST_CALLERS, MOST_CALLERS);
    usize::try_from(share).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_what_they_cause_fit_below_the_limit() {
        for limit in [1_024_u64, 4_096, 65_536] {
            assert!(2 * share(limit) as u64 + RESERVED <= limit, "{limit}");
        }
        assert_eq!(share(1_048_576), 4_096);
        assert_eq!(share(256), 16);
    }

    #[test]
    fn raising_twice_changes_nothing() {
        assert_eq!(raise_limit(), raise_limit());
    }
}
