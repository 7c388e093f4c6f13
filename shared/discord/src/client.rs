//! The client itself: who asks, where the proxies are, and who is told of each finished call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_contracts::proxy::Urgency;
use http::HeaderValue;
use twilight_model::channel::message::AllowedMentions;
use twilight_model::id::Id;
use twilight_model::id::marker::{ApplicationMarker, GuildMarker};
use url::Url;

use crate::calls::Calls;
use crate::clock::DiscordClock;
use crate::error::Error;
use crate::transport::Transport;

/// What the client needs to know.
#[derive(Debug, Clone)]
pub struct DiscordConfig {
    /// Addresses of the proxy's replicas, `http://host:port`, at least one.
    pub proxies: Vec<Url>,
    /// This service's credential at the proxies.
    pub credential: Secret,
    /// The application whose interactions are answered and whose commands are registered.
    pub application: Id<ApplicationMarker>,
}

/// What is known of a call when it is over; for metrics.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// Route without ids, `PATCH /webhooks/{application}/{token}/messages/@original`.
    pub route: &'static str,
    /// `ok`, or [`Error::class`].
    pub outcome: &'static str,
    /// Status of the answer; `None` where there was none.
    pub status: Option<u16>,
    /// How many times it was sent to a proxy.
    pub sent: u32,
    /// From the first send to the answer.
    pub took: Duration,
    /// What went wrong.
    pub error: Option<&'a Error>,
}

/// Is told of every finished call.
pub type Observer = Arc<dyn Fn(&Finished<'_>) + Send + Sync>;

/// Typed calls to Discord by way of the proxies. Cheap to clone; connections are pooled.
#[derive(Clone)]
pub struct Discord {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) transport: Transport,
    /// Never sends: it builds requests and checks them.
    pub(crate) build: twilight_http::Client,
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
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// [`Error::Refused`] for a credential that cannot stand in a header.
    pub fn new(config: &DiscordConfig) -> Result<Self, Error> {
        Self::observed(config, None)
    }

    /// As [`Discord::new`], with someone who is told of every finished call.
    ///
    /// # Errors
    /// As [`Discord::new`].
    pub fn observed(config: &DiscordConfig, observer: Option<Observer>) -> Result<Self, Error> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", config.credential.expose()))
            .map_err(|_| Error::Refused("the credential has characters that a header cannot carry".to_owned()))?;
        authorization.set_sensitive(true);
        let build = twilight_http::Client::builder()
            .ratelimiter(None)
            // Nobody is pinged by an answer of ours, whatever a member's name says.
            .default_allowed_mentions(AllowedMentions::default())
            .build();
        Ok(Self {
            inner: Arc::new(Inner {
                transport: Transport::new(&config.proxies),
                build,
                authorization,
                application: config.application,
                observer,
                clock: DiscordClock::default(),
            }),
        })
    }

    /// The application that this client answers for.
    pub fn application(&self) -> Id<ApplicationMarker> {
        self.inner.application
    }

    /// Discord's clock minus ours, in milliseconds, learned from its answers; `None` before the first of them.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.inner.clock.offset_ms()
    }

    /// The least offset of Discord's clock that may be right, in milliseconds: an interaction is no older than it says.
    /// `elsewhere` is an offset that another process measured; it counts until two answers agreed here.
    pub fn least_clock_offset_ms(&self, elsewhere: i64) -> i64 {
        self.inner.clock.least_offset_ms(elsewhere)
    }

    /// Addresses of the proxy's replicas that did not know this service's credential when they were last asked.
    pub fn refusing_proxies(&self) -> Vec<String> {
        self.inner.transport.refusing()
    }

    /// Calls while a member waits.
    pub fn interactive(&self, guild: Option<Id<GuildMarker>>) -> Calls {
        Calls::new(self.clone(), guild, Urgency::Interactive, Duration::from_secs(10))
    }

    /// Calls for a member's roles.
    pub fn sync(&self, guild: Id<GuildMarker>) -> Calls {
        // The proxy lets a call wait up to 30 s for its turn.
        Calls::new(self.clone(), Some(guild), Urgency::Sync, Duration::from_secs(35))
    }

    /// Bulk work.
    pub fn bulk(&self, guild: Option<Id<GuildMarker>>) -> Calls {
        Calls::new(self.clone(), guild, Urgency::Bulk, Duration::from_secs(35))
    }
}
