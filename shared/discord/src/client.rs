//! The client: its configuration, its shared state, and the observer of finished calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_discord_http::{DiscordClock, OffsetBounds};
use http::HeaderValue;
use twilight_model::channel::message::AllowedMentions;
use twilight_model::id::Id;
use twilight_model::id::marker::ApplicationMarker;
use url::Url;

use crate::error::Error;
use crate::transport::Transport;

/// Configuration of the client.
#[derive(Debug, Clone)]
pub struct DiscordConfig {
    /// Addresses of the proxy's replicas, `http://host:port`, at least one.
    pub proxies: Vec<Url>,
    /// This service's credential at the proxies.
    pub credential: Secret,
    /// The application of the bot: the calls respond to its interactions and register its commands.
    pub application: Id<ApplicationMarker>,
}

/// A finished call, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct FinishedCall<'a> {
    /// Method and path template: `PATCH /webhooks/{application}/{token}/messages/@original`.
    pub route: &'static str,
    /// `ok`, or [`Error::class`].
    pub outcome: &'static str,
    /// Status of the last response; `None` when none was received.
    pub status: Option<u16>,
    /// How many times the call was sent to a proxy.
    pub attempts: u32,
    /// From the first attempt to the end of the call.
    pub duration: Duration,
    /// The error of a call that failed.
    pub error: Option<&'a Error>,
}

/// Called once for each finished call.
pub type Observer = Arc<dyn Fn(&FinishedCall<'_>) + Send + Sync>;

/// A client for typed calls to Discord through the proxies. Cheap to clone; connections are pooled. Calls are made with the value
/// that [`Discord::interactive`], [`Discord::sync`] or [`Discord::bulk`] returns.
#[derive(Clone)]
pub struct Discord {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) transport: Transport,
    /// Builds and checks requests; it never sends one.
    pub(crate) builder: twilight_http::Client,
    pub(crate) authorization: HeaderValue,
    pub(crate) application: Id<ApplicationMarker>,
    pub(crate) observer: Option<Observer>,
    pub(crate) clock: DiscordClock,
}

impl fmt::Debug for Discord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discord")
            .field("transport", &self.inner.transport)
            .finish()
    }
}

impl Discord {
    /// Creates a client. It connects at the first call.
    ///
    /// # Errors
    /// [`Error::Refused`] for a credential that a header cannot carry.
    pub fn new(config: &DiscordConfig) -> Result<Self, Error> {
        Self::observed(config, None)
    }

    /// As [`Discord::new`], with an observer of finished calls.
    ///
    /// # Errors
    /// As [`Discord::new`].
    pub fn observed(config: &DiscordConfig, observer: Option<Observer>) -> Result<Self, Error> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", config.credential.expose()))
            .map_err(|_| Error::Refused("the credential contains characters that a header cannot carry".to_owned()))?;
        authorization.set_sensitive(true);
        let builder = twilight_http::Client::builder()
            .ratelimiter(None)
            // Without allowed mentions, a member's name in a message cannot ping.
            .default_allowed_mentions(AllowedMentions::default())
            .build();
        Ok(Self {
            inner: Arc::new(Inner {
                transport: Transport::new(&config.proxies),
                builder,
                authorization,
                application: config.application,
                observer,
                clock: DiscordClock::default(),
            }),
        })
    }

    /// The application of the bot.
    pub fn application(&self) -> Id<ApplicationMarker> {
        self.inner.application
    }

    /// Discord's clock minus the system clock in milliseconds, measured by Discord's responses; `None` before the first of them.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.inner.clock.offset().map(OffsetBounds::middle_ms)
    }

    /// The least offset of Discord's clock that agrees with the measurements, in milliseconds; by it, the age of an interaction
    /// is never overestimated. `elsewhere` is an offset that another process measured; it is used until two responses to this
    /// process agree.
    pub fn least_clock_offset_ms(&self, elsewhere: i64) -> i64 {
        self.inner.clock.least_offset_ms(elsewhere)
    }

    /// Addresses of the proxy's replicas that refused this service's credential in their last response.
    pub fn refusing_proxies(&self) -> Vec<String> {
        self.inner.transport.refusing()
    }
}
