//! Every query has a name, `<entity>.<verb>`: of its span `db.<entity>.<verb>`, in its errors, and in the log when it is slow.

use std::future::Future;
use std::time::{Duration, Instant};

use tracing::{Instrument, Span};

use crate::DbError;

/// A query slower than this is logged. Ordinary ones stay well below it.
pub const SLOW_QUERY: Duration = Duration::from_millis(50);

/// Runs a query under its name: `named!("profile.by_user", query.fetch_optional(conn))`.
macro_rules! named {
    ($name:literal, $query:expr) => {
        $crate::measure::run_named($name, tracing::info_span!(concat!("db.", $name)), $query).await
    };
}
pub(crate) use named;

/// A query that has said nothing for so long is given up. Longer than the server's own limits: this is for a server that is
/// gone without a word, whose connection would otherwise hang for a quarter of an hour.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

pub(crate) async fn run_named<T>(
    name: &'static str,
    span: Span,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    run_within(ANSWER_WITHIN, name, span, query).await
}

async fn run_within<T>(
    limit: Duration,
    name: &'static str,
    span: Span,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    let started = Instant::now();
    let answered = tokio::time::timeout(limit, query.instrument(span.clone())).await;
    let took = started.elapsed();
    if took >= SLOW_QUERY {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(parent: &span, query = name, duration_ms, "slow query");
    }
    let silent = |_| {
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "no answer",
        )))
    };
    answered
        .unwrap_or_else(silent)
        .map_err(|source| DbError::new(name, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up_and_may_be_asked_again() {
        let silence = std::future::pending::<Result<(), sqlx::Error>>();
        let error = run_within(Duration::from_millis(20), "profile.join", Span::none(), silence)
            .await
            .unwrap_err();
        assert!(error.is_passing(), "{error}");
        assert_eq!(
            error.to_string(),
            "profile.join: Postgres is away: error communicating with database: no answer"
        );
    }
}
