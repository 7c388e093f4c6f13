//! Rate limits: one bucket for each client address, one for each API key. Redis counts for all replicas; while it is unavailable, each
//! replica counts by itself.

use std::fmt::Display;

use arrakis_cache::{Bucket, RateLimit};
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::client_address::rate_limit_id;
use crate::envelope::{Client, add_rate_limit};
use crate::problem::{Problem, check};
use crate::services::{ApiState, Services};

/// Beginning of the paths of routes for services of the platform.
const INTERNAL: &str = "/internal/";

/// The layer with the rate limit of the client's address.
pub(crate) async fn limit_address(
    State(services): State<ApiState>,
    Extension(Client(client)): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    // A service of the platform requests for many members. It has buckets of its own, so that no other route gets its limit.
    let id = rate_limit_id(client);
    let (bucket, id) = if request.uri().path().starts_with(INTERNAL) {
        (services.tuning.per_service, format!("internal {id}"))
    } else {
        (services.tuning.per_address, id.to_string())
    };
    let (result, refused) = take(&services, "address", id, bucket).await;
    let mut response = match refused {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    add_rate_limit(response.headers_mut(), "address", bucket, result);
    response
}

/// Takes a token from a bucket. Returns the result for the headers, and the problem when the limit is exceeded.
pub(crate) async fn take(
    services: &Services,
    limit: &'static str,
    id: impl Display,
    bucket: Bucket,
) -> (RateLimit, Result<(), Problem>) {
    let id = id.to_string();
    let mut result = services.cache.take_token(limit, &id, bucket).await;
    if result == RateLimit::Uncounted {
        services.metrics.counted_locally.inc();
        result = services.local_buckets.take_token(limit, &id, bucket);
    }
    let checked = check(limit, result);
    if checked.is_err() {
        services.metrics.rate_limited(limit);
    }
    (result, checked)
}
