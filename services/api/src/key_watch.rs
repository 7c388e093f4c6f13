//! A streamed answer may last longer than its API key: [`KeyWatch`] ends it within seconds of the key's revocation, and at its expiry.

use std::sync::Arc;
use std::time::Duration;

use arrakis_db::ApiKey;
use arrakis_runtime::ConnectionCloser;
use time::OffsetDateTime;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::authentication::Caller;
use crate::services::ApiState;

/// Checks the key of an answer in progress, until it is dropped.
#[derive(Debug)]
pub(crate) struct KeyWatch {
    invalid: CancellationToken,
    _stop: DropGuard,
}

impl KeyWatch {
    /// Begins to check. When the key is no longer valid, the connection is closed as well: a client that reads slowly would otherwise
    /// keep it, since an answer that waits for its client does not continue.
    pub(crate) fn start(services: ApiState, caller: &Caller, connection: Option<ConnectionCloser>) -> Self {
        let (invalid, stop) = (CancellationToken::new(), CancellationToken::new());
        let watching = watch(services, Arc::clone(caller.key()));
        let api_key = caller.name();
        let (ended, stopped) = (invalid.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = watching => {
                    tracing::warn!(api_key, "closed a response in progress: its API key was revoked or has expired");
                    ended.cancel();
                    if let Some(connection) = connection {
                        connection.close();
                    }
                }
                () = stopped.cancelled() => {}
            }
        });
        Self {
            invalid,
            _stop: stop.drop_guard(),
        }
    }

    /// Cancelled when the key is no longer valid.
    pub(crate) fn token(&self) -> CancellationToken {
        self.invalid.clone()
    }
}

async fn watch(services: ApiState, key: Arc<ApiKey>) {
    loop {
        let left = Duration::try_from(key.expires_at - OffsetDateTime::now_utc()).unwrap_or_default();
        tokio::time::sleep(services.tuning.key_check.min(left)).await;
        if key.expires_at <= OffsetDateTime::now_utc() {
            return;
        }
        match services.admin.api_key_is_valid(&key).await {
            Ok(true) => {}
            Ok(false) => return,
            // Without PostgreSQL the answer has no next page either.
            Err(error) => tracing::warn!(%error, "cannot check the API key of a response in progress"),
        }
    }
}
