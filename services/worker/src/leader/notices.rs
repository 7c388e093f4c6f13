//! Sends the notices to operators that jobs and events have stored, all that wait together.
//!
//! Two leaders at once send each notice once: a notice is taken before it is sent.

use std::time::Duration;

use time::OffsetDateTime;

use crate::failure::Failure;
use crate::services::Services;

/// Interval of the deliveries.
const INTERVAL: Duration = Duration::from_secs(30);

/// Sends the notices for as long as it is polled. Apart from the other tasks: a destination that does not respond holds a delivery for up to a
/// minute.
pub(super) async fn run(services: &Services) {
    loop {
        if let Err(failure) = send_notices(services, services.now()).await {
            tracing::warn!(%failure, "the notices were not sent; they will be");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Sends the notices that wait.
///
/// # Errors
/// If Postgres is unavailable; the next call sends the rest.
pub async fn send_notices(services: &Services, now: OffsetDateTime) -> Result<(), Failure> {
    services.send_notices(now).await
}
