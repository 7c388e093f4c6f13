//! Rate limits: one bucket for each client address, a larger one for each IPv6 network of 48 bits, one for each API key. Redis counts for
//! all replicas; while it is unavailable, each replica counts by itself.

use std::fmt::Display;

use arrakis_cache::{Bucket, RateLimit};
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::client_address::{network_id, rate_limit_id};
use crate::envelope::{Client, add_rate_limit};
use crate::problem::{Problem, check};
use crate::services::{ApiState, Services};

/// Beginning of the paths of routes for services of the platform.
const INTERNAL: &str = "/internal/";

/// The layer with the rate limits of the client's address, and of its network.
pub(crate) async fn limit_address(
    State(services): State<ApiState>,
    Extension(Client(client)): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    // A service of the platform requests for many members. It has buckets of its own, so that no other route gets its limit.
    let limits = if request.uri().path().starts_with(INTERNAL) {
        let id = format!("internal {}", rate_limit_id(client));
        vec![("address", id, services.tuning.per_service)]
    } else {
        // The address comes first: what it may not send is not taken from its network's bucket, which it shares with others.
        let mut limits = vec![("address", rate_limit_id(client), services.tuning.per_address)];
        limits.extend(network_id(client).map(|id| ("network", id, services.tuning.per_network)));
        limits
    };
    let (mut counted, mut refused) = (Vec::new(), None);
    for (limit, id, bucket) in limits {
        let (result, checked) = take(&services, limit, id, bucket).await;
        counted.push((limit, bucket, result));
        refused = checked.err();
        if refused.is_some() {
            break;
        }
    }
    let mut response = match refused {
        None => next.run(request).await,
        Some(problem) => problem.into_response(),
    };
    for (limit, bucket, result) in counted {
        add_rate_limit(response.headers_mut(), limit, bucket, result);
    }
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
