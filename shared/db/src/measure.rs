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

pub(crate) async fn run_named<T>(
    name: &'static str,
    span: Span,
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    let started = Instant::now();
    let outcome = query.instrument(span.clone()).await;
    let took = started.elapsed();
    if took >= SLOW_QUERY {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(parent: &span, query = name, duration_ms, "slow query");
    }
    outcome.map_err(|source| DbError::new(name, source))
}
