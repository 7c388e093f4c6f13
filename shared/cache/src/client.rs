//! [`Cache`]: sends commands to Redis with a time limit, and fails at once while Redis is unavailable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_config::Secret;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Cmd, FromRedisValue, Pipeline, ScriptInvocation};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::connection::RedisConnection;

/// Time limits of a [`Cache`].
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// Time limit of one command, connecting included.
    pub command_timeout: Duration,
    /// How long commands fail at once after a failure, before one is sent again.
    pub pause_after_failure: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            command_timeout: Duration::from_millis(250),
            pause_after_failure: Duration::from_millis(500),
        }
    }
}

/// Whether Redis is available, as of the last command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// No command was sent yet.
    Unknown,
    /// Redis responds.
    Available,
    /// Redis does not respond, with the reason.
    Unavailable(String),
}

/// Redis did not respond, or not within the time limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: Redis is unavailable: {reason}")]
pub struct CacheUnavailable {
    /// Name of the operation, `<entity>.<verb>`.
    pub operation: &'static str,
    /// Why there is no response.
    pub reason: String,
}

/// A `REDIS_URL` that is not a Redis URL.
#[derive(Debug, thiserror::Error)]
#[error("REDIS_URL cannot be used: {0}; example: redis://127.0.0.1:6379/0")]
pub struct InvalidRedisUrl(String);

/// Redis with the operations of this platform. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    connection: RedisConnection,
    options: CacheOptions,
    state: watch::Sender<CacheState>,
    /// Until when commands fail at once, and why; `None` while Redis responds.
    failing: Mutex<Option<(Instant, String)>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("state", &*self.shared.state.borrow())
            .finish_non_exhaustive()
    }
}

/// What one round trip sends.
#[derive(Clone, Copy)]
enum Request<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Cache {
    /// A cache at this URL. It connects with the first command, so that a service starts without Redis, degraded.
    ///
    /// # Errors
    /// When `url` is not a Redis URL.
    pub fn new(url: &Secret, options: CacheOptions) -> Result<Self, InvalidRedisUrl> {
        // The driver's text may quote the URL, which may hold a password.
        let connection = RedisConnection::new(url).map_err(|error| InvalidRedisUrl(format!("{:?}", error.kind())))?;
        let (state, _) = watch::channel(CacheState::Unknown);
        Ok(Self {
            shared: Arc::new(Shared {
                connection,
                options,
                state,
                failing: Mutex::new(None),
            }),
        })
    }

    /// Whether Redis is available, and each change of it. The health endpoint watches this.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<CacheState> {
        self.shared.state.subscribe()
    }

    /// Sends `PING`; returns how long the response took.
    ///
    /// # Errors
    /// When Redis is unavailable.
    pub async fn ping(&self) -> Result<Duration, CacheUnavailable> {
        let started = Instant::now();
        let mut command = Cmd::new();
        command.arg("PING");
        self.command::<()>("redis.ping", &command).await?;
        Ok(started.elapsed())
    }

    /// Sends `PING` at this interval for ever, so that [`Cache::state`] is current while no other command is sent. Run it
    /// beside the service and drop it with the service.
    pub async fn ping_periodically(&self, every: Duration) {
        loop {
            // The result is in the state.
            let _ = self.ping().await;
            tokio::time::sleep(every).await;
        }
    }

    pub(crate) async fn command<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: &Cmd,
    ) -> Result<T, CacheUnavailable> {
        self.send(operation, Request::Command(command)).await
    }

    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        operation: &'static str,
        pipeline: &Pipeline,
    ) -> Result<T, CacheUnavailable> {
        self.send(operation, Request::Pipeline(pipeline)).await
    }

    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, CacheUnavailable> {
        self.send(operation, Request::Script(script)).await
    }

    async fn send<T: FromRedisValue>(
        &self,
        operation: &'static str,
        request: Request<'_>,
    ) -> Result<T, CacheUnavailable> {
        let unavailable = |reason: String| CacheUnavailable { operation, reason };
        self.shared.check_circuit().map_err(unavailable)?;
        let response = self.shared.send(request).await;
        self.shared.record(response.as_ref().err());
        response.map_err(unavailable)
    }
}

impl Shared {
    /// A circuit breaker. After a failure commands fail at once until the pause is over; then one is sent, and the others
    /// go on failing meanwhile. So a Redis that hangs costs one caller the time limit and not every one.
    fn check_circuit(&self) -> Result<(), String> {
        let mut failing = self.failing.lock();
        match failing.as_mut() {
            Some((until, reason)) if Instant::now() < *until => Err(reason.clone()),
            Some((until, _)) => {
                *until = Instant::now() + self.options.command_timeout.max(self.options.pause_after_failure);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn record(&self, failure: Option<&String>) {
        let now = match failure {
            None => CacheState::Available,
            Some(reason) => CacheState::Unavailable(reason.clone()),
        };
        *self.failing.lock() =
            failure.map(|reason| (Instant::now() + self.options.pause_after_failure, reason.clone()));
        self.state.send_if_modified(|state| {
            let changed = std::mem::discriminant(state) != std::mem::discriminant(&now);
            if changed {
                match &now {
                    CacheState::Unavailable(reason) => {
                        tracing::warn!(reason, "Redis is unavailable: continuing without cooldowns and caches");
                    }
                    _ => tracing::info!("Redis is available"),
                }
                *state = now;
            }
            changed
        });
    }

    async fn send<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, String> {
        let query = |mut connection: MultiplexedConnection| async move {
            match request {
                Request::Command(command) => command.query_async(&mut connection).await,
                Request::Pipeline(pipeline) => pipeline.query_async(&mut connection).await,
                Request::Script(script) => script.invoke_async(&mut connection).await,
            }
        };
        let sent = self.connection.query(self.options.command_timeout, query).await;
        sent.map_err(|error| error.to_string())
    }
}
