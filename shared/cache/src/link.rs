//! The link to Redis: a limit of time for each call, and whether Redis is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_config::Secret;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Cmd, FromRedisValue, Pipeline, ScriptInvocation};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::line::{Line, NoAnswer};

/// Limits of the link.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// How long one call may take, connecting included.
    pub call_timeout: Duration,
    /// After a failure, how long calls fail at once before one tries again.
    pub rest: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_millis(250),
            rest: Duration::from_millis(500),
        }
    }
}

/// Whether Redis is there, as of the last call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not asked yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not, and why.
    Away(String),
}

/// Redis did not answer, or not in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: Redis is away: {why}")]
pub struct Away {
    /// What was asked for, `<entity>.<verb>`.
    pub doing: &'static str,
    /// Why.
    pub why: String,
}

/// A `REDIS_URL` that is none.
#[derive(Debug, thiserror::Error)]
#[error("REDIS_URL cannot be used: {0}; example: redis://127.0.0.1:6379/0")]
pub struct BadUrl(String);

/// Redis, as this platform uses it. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    link: Arc<Link>,
}

struct Link {
    line: Line,
    options: CacheOptions,
    state: watch::Sender<State>,
    /// Until when calls fail at once, and why; `None` while Redis answers.
    resting: Mutex<Option<(Instant, String)>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("state", &*self.link.state.borrow())
            .finish_non_exhaustive()
    }
}

/// What one call sends.
#[derive(Clone, Copy)]
enum Request<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Cache {
    /// Makes the link. Connects at the first call: a service starts without Redis, degraded.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: &Secret, options: CacheOptions) -> Result<Self, BadUrl> {
        // The driver's text may quote the URL, which may hold a password.
        let line = Line::new(url).map_err(|error| BadUrl(format!("{:?}", error.kind())))?;
        let (state, _) = watch::channel(State::Unknown);
        Ok(Self {
            link: Arc::new(Link {
                line,
                options,
                state,
                resting: Mutex::new(None),
            }),
        })
    }

    /// Whether Redis is there, and every change of it: what health watches.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.link.state.subscribe()
    }

    /// Asks whether Redis is there; answers how fast.
    ///
    /// # Errors
    /// When it is not.
    pub async fn ping(&self) -> Result<Duration, Away> {
        let started = Instant::now();
        let mut command = Cmd::new();
        command.arg("PING");
        self.command::<()>("redis.ping", &command).await?;
        Ok(started.elapsed())
    }

    /// Asks again and again, for ever, so that [`Cache::state`] is right while nobody calls. To be run beside the service and
    /// dropped with it.
    pub async fn keep_asking(&self, every: Duration) {
        loop {
            // The state tells.
            let _ = self.ping().await;
            tokio::time::sleep(every).await;
        }
    }

    pub(crate) async fn command<T: FromRedisValue>(&self, doing: &'static str, command: &Cmd) -> Result<T, Away> {
        self.call(doing, Request::Command(command)).await
    }

    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        doing: &'static str,
        pipeline: &Pipeline,
    ) -> Result<T, Away> {
        self.call(doing, Request::Pipeline(pipeline)).await
    }

    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        doing: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        self.call(doing, Request::Script(script)).await
    }

    async fn call<T: FromRedisValue>(&self, doing: &'static str, request: Request<'_>) -> Result<T, Away> {
        let away = |why: String| Away { doing, why };
        self.link.may_try().map_err(away)?;
        let answer = self.link.answer(request).await;
        self.link.note(answer.as_ref().err());
        answer.map_err(away)
    }
}

impl Link {
    /// After a failure calls fail at once until the rest is over; then one tries, and the others go on failing meanwhile. So
    /// a Redis that hangs costs one caller the time-out and not every one.
    fn may_try(&self) -> Result<(), String> {
        let mut resting = self.resting.lock();
        match resting.as_mut() {
            Some((until, why)) if Instant::now() < *until => Err(why.clone()),
            Some((until, _)) => {
                *until = Instant::now() + self.options.call_timeout.max(self.options.rest);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn note(&self, failure: Option<&String>) {
        let now = match failure {
            None => State::Up,
            Some(why) => State::Away(why.clone()),
        };
        *self.resting.lock() = failure.map(|why| (Instant::now() + self.options.rest, why.clone()));
        self.state.send_if_modified(|state| {
            let changed = std::mem::discriminant(state) != std::mem::discriminant(&now);
            if changed {
                match &now {
                    State::Away(why) => tracing::warn!(why, "Redis is away: going on without it"),
                    _ => tracing::info!("Redis answers"),
                }
                *state = now;
            }
            changed
        });
    }

    async fn answer<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, String> {
        let limit = self.options.call_timeout;
        let ask = |mut connection: MultiplexedConnection| async move {
            match request {
                Request::Command(command) => command.query_async(&mut connection).await,
                Request::Pipeline(pipeline) => pipeline.query_async(&mut connection).await,
                Request::Script(script) => script.invoke_async(&mut connection).await,
            }
        };
        self.line.ask(limit, ask).await.map_err(|no_answer| match no_answer {
            NoAnswer::Silent => format!("no answer within {} ms", limit.as_millis()),
            NoAnswer::Error(error) => error.to_string(),
        })
    }
}
