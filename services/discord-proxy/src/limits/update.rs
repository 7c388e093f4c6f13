//! From a response of Discord to a [`RateLimitUpdate`].

use std::time::Duration;

use arrakis_discord_http::{BucketState, RESET_MARGIN, RateLimitScope, RateLimited, Response};
use http::StatusCode;

use super::{Pause, RateLimitUpdate};

/// Pause after a 429 that states no time.
const DEFAULT_PAUSE: Duration = Duration::from_secs(5);

impl RateLimitUpdate {
    /// Reads a response. Returns also the scope and the wait of a 429; the wait is without margin.
    pub(crate) fn read(response: &Response) -> (Self, Option<(RateLimitScope, Duration)>) {
        let bucket = BucketState::read(&response.headers);
        let limited = rate_limited(response);
        let pause = limited.map(|(scope, wait)| {
            let wait = wait + RESET_MARGIN;
            match scope {
                RateLimitScope::Global => Pause::Global(wait),
                RateLimitScope::Edge => Pause::Edge(wait),
                RateLimitScope::User | RateLimitScope::Shared => Pause::Route(wait),
            }
        });
        let update = Self {
            no_bucket: bucket.is_none() && response.status.is_success(),
            bucket,
            pause,
        };
        (update, limited)
    }
}

/// The scope of a 429 and how long to wait, without margin; `None` for every other response.
pub(crate) fn rate_limited(response: &Response) -> Option<(RateLimitScope, Duration)> {
    (response.status == StatusCode::TOO_MANY_REQUESTS).then(|| {
        let limited = RateLimited::read(&response.headers, &response.body);
        (limited.scope, limited.retry_after.unwrap_or(DEFAULT_PAUSE))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn response(status: StatusCode) -> Response {
        Response {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn success_without_a_bucket_states_that_there_is_none() {
        assert!(RateLimitUpdate::read(&response(StatusCode::OK)).0.no_bucket);
        assert!(
            !RateLimitUpdate::read(&response(StatusCode::INTERNAL_SERVER_ERROR))
                .0
                .no_bucket
        );
    }

    #[test]
    fn limit_without_a_time_pauses_for_the_default() {
        let (update, limited) = RateLimitUpdate::read(&response(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(limited, Some((RateLimitScope::Edge, DEFAULT_PAUSE)));
        assert_eq!(update.pause, Some(Pause::Edge(DEFAULT_PAUSE + RESET_MARGIN)));
    }
}
