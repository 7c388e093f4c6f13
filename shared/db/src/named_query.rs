//! Runs each query under a name, `<entity>.<verb>`. The name is in its span `db.<entity>.<verb>`, its errors, and the log
//! of slow queries.

use std::future::Future;
use std::time::{Duration, Instant};

use tracing::{Instrument, Span};

use crate::DbError;

/// A query slower than this is logged. Ordinary queries are much faster.
pub const SLOW_QUERY: Duration = Duration::from_millis(50);

/// Runs a query under its name: `named!("profile.by_user", query.fetch_optional(conn))`.
macro_rules! named {
    ($name:literal, $query:expr) => {
        $crate::named_query::run_named(
            $name,
            tracing::info_span!(concat!("db.", $name), otel.status_code = tracing::field::Empty),
            $query,
        )
        .await
    };
}
pub(crate) use named;

/// Time limit of a query on the client's side. Longer than the server's own limits: it ends queries to a server whose
/// connection was lost without a close, which would otherwise hang for a quarter of an hour.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) async fn run_named<T>(
    name: &'static str,
    span: Span,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    run_within(QUERY_TIMEOUT, name, span, query).await
}

async fn run_within<T>(
    limit: Duration,
    name: &'static str,
    span: Span,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    let started = Instant::now();
    let responded = tokio::time::timeout(limit, query.instrument(span.clone())).await;
    let took = started.elapsed();
    if took >= SLOW_QUERY {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(parent: &span, query = name, duration_ms, "slow query");
    }
    let timed_out = |_| {
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "no response",
        )))
    };
    responded.unwrap_or_else(timed_out).map_err(|source| {
        // In a trace the span is one of an error.
        span.record("otel.status_code", "ERROR");
        DbError::new(name, source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn query_without_response_ends_in_a_transient_error() {
        let no_response = std::future::pending::<Result<(), sqlx::Error>>();
        let error = run_within(Duration::from_millis(20), "profile.join", Span::none(), no_response)
            .await
            .unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(
            error.to_string(),
            "profile.join: PostgreSQL is unavailable: error communicating with database: no response"
        );
    }
}
