//! A connection that is made again whenever it is lost.
//!
//! lapin's own recovery leaves confirmations hanging until it is done; here a lost connection ends everything on it at once,
//! and whoever used it asks for the next one. A service has one link to publish and one to consume: a broker that blocks
//! publishers (memory or disk alarm) then still delivers.

use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use arrakis_one_thread::OneThread;
use async_rs::traits::RuntimeKit;
use async_rs::{Runtime, TokioRuntime};
use futures_util::StreamExt as _;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionBuilder, ConnectionProperties, Event};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::drive::{Bell, Kit};
use crate::settings::Settings;

/// Seconds between heartbeats unless the URL says otherwise; a dead peer is noticed after two.
const HEARTBEAT_SECONDS: u16 = 10;
/// Bytes of an AMQP frame unless the URL says otherwise. lapin keeps two buffers of 32 frames for each connection, so the
/// protocol's usual 128 KiB would cost 8 MiB; larger bodies travel in several frames.
pub(crate) const FRAME_BYTES: u32 = 32 << 10;
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the state is looked at beside the events, which a full channel inside lapin might drop.
const LOOK_EVERY: Duration = Duration::from_secs(1);

fn heartbeat_seconds(settings: &Settings) -> u16 {
    let uri = settings.url.expose().parse::<AMQPUri>().ok();
    uri.and_then(|uri| uri.query.heartbeat).unwrap_or(HEARTBEAT_SECONDS)
}

/// How a link connects.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// Most bytes in an AMQP frame, unless the URL says: what the connection's buffers take is 64 times as much. The
    /// properties of a message cannot be split, so they must fit; a broker may want 8 KiB.
    pub frame_bytes: u32,
    /// The runtime of a process that has one thread: lapin's thread then takes its place for as long as the connection lasts
    /// (see `drive.rs`).
    pub thread: Option<Arc<OneThread>>,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            frame_bytes: FRAME_BYTES,
            thread: None,
        }
    }
}

/// State of a link, for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// No connection at the moment; why the last attempt failed or the last connection ended.
    Connecting {
        /// In words, empty before the first attempt ended.
        why: String,
    },
    /// Connected.
    Up,
    /// Connected, and the broker takes no messages: a memory or disk alarm.
    Blocked {
        /// The broker's words.
        why: String,
    },
    /// Closed by us.
    Closed,
}

/// The link was closed by us: nothing will come any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the broker was closed on purpose")]
pub struct LinkClosed;

/// One connection in the life of a link.
#[derive(Debug)]
pub struct Live {
    connection: Connection,
    /// Counts connections from 1.
    pub epoch: u64,
    gone: CancellationToken,
    bell: Arc<Bell>,
}

impl Live {
    /// A new channel.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn channel(&self) -> lapin::Result<Channel> {
        let channel = self.guard(self.connection.create_channel()).await?;
        Ok(Channel::new(channel, self.bell.clone()))
    }

    /// Awaits an AMQP call, but no longer than this connection lasts: a call that is under way when the connection breaks
    /// may otherwise never be answered.
    pub(crate) async fn guard<T>(&self, call: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
        tokio::select! {
            answer = call => answer,
            () = self.gone() => Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into()),
        }
    }

    /// Resolves when this connection is lost.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Whether this connection is lost.
    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled() || !self.connection.status().connected()
    }
}

/// A supervised connection. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Link {
    live: watch::Receiver<Option<Arc<Live>>>,
    state: watch::Receiver<LinkState>,
    stop: CancellationToken,
    done: CancellationToken,
    heartbeat: Duration,
}

impl Link {
    /// Starts to connect, and goes on for as long as the link is open. `name` is shown by the broker's management.
    pub fn open(settings: &Settings, name: impl Into<String>) -> Self {
        Self::open_with(settings, name, LinkOptions::default())
    }

    /// As [`Link::open`], in another manner.
    pub fn open_with(settings: &Settings, name: impl Into<String>, options: LinkOptions) -> Self {
        let (live_sender, live) = watch::channel(None);
        let (state_sender, state) = watch::channel(LinkState::Connecting { why: String::new() });
        let link = Self {
            live,
            state,
            stop: CancellationToken::new(),
            done: CancellationToken::new(),
            heartbeat: Duration::from_secs(heartbeat_seconds(settings).into()),
        };
        let supervisor = Supervisor {
            settings: settings.clone(),
            name: name.into(),
            options,
            live: live_sender,
            state: state_sender,
            stop: link.stop.clone(),
        };
        let done = link.done.clone();
        tokio::spawn(async move {
            supervisor.run().await;
            done.cancel();
        });
        link
    }

    /// The present connection, or the next one.
    ///
    /// # Errors
    /// When the link is closed.
    pub async fn live(&self) -> Result<Arc<Live>, LinkClosed> {
        let mut receiver = self.live.clone();
        let live = receiver
            .wait_for(|live| live.as_ref().is_some_and(|live| !live.is_gone()))
            .await
            .map_err(|_| LinkClosed)?;
        live.clone().ok_or(LinkClosed)
    }

    /// State now.
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// State and its changes.
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Whether the broker takes no messages at the moment.
    pub fn is_blocked(&self) -> bool {
        matches!(*self.state.borrow(), LinkState::Blocked { .. })
    }

    /// Time between heartbeats: the broker takes a peer that vanished for alive until two are missing.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Says goodbye to the broker and ends. What was not confirmed by then is not.
    pub async fn close(&self) {
        self.stop.cancel();
        self.done.cancelled().await;
    }
}

struct Supervisor {
    settings: Settings,
    name: String,
    options: LinkOptions,
    live: watch::Sender<Option<Arc<Live>>>,
    state: watch::Sender<LinkState>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self) {
        let mut backoff = Backoff::broker();
        let mut epoch = 0;
        loop {
            let attempt = tokio::select! {
                attempt = self.connect() => attempt,
                () = self.stop.cancelled() => break,
            };
            match attempt {
                Ok((connection, bell)) => {
                    epoch += 1;
                    backoff.reset();
                    tracing::info!(connection = self.name, epoch, "connected to the broker");
                    let why = self.keep(connection, bell, epoch).await;
                    if self.stop.is_cancelled() {
                        break;
                    }
                    tracing::warn!(connection = self.name, why, "the connection to the broker is lost");
                    self.state.send_replace(LinkState::Connecting { why });
                    if fail_point::skips("broker.guard.reconnect") {
                        self.stop.cancelled().await;
                    }
                }
                Err(why) => {
                    // Said once for each new reason: a broker may be away for hours.
                    let news = LinkState::Connecting { why: why.clone() };
                    if self.state.send_replace(news.clone()) != news {
                        tracing::warn!(connection = self.name, why, "cannot connect to the broker; trying on");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = self.stop.cancelled() => break,
            }
        }
        self.state.send_replace(LinkState::Closed);
    }

    async fn connect(&self) -> Result<(Connection, Arc<Bell>), String> {
        let bell = Arc::new(Bell::default());
        let connection = match self.options.thread.clone() {
            None => self.connect_on(TokioRuntime::tokio_current()).await?,
            Some(thread) => {
                let connection = self.connect_on(Runtime::new(Kit::new(thread, bell.clone()))).await?;
                bell.hear();
                connection
            }
        };
        Ok((connection, bell))
    }

    async fn connect_on<K>(&self, runtime: Runtime<K>) -> Result<Connection, String>
    where
        K: RuntimeKit + Clone + Send + Sync + 'static,
    {
        let mut uri: AMQPUri = self.settings.url.expose().parse()?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        uri.query.frame_max.get_or_insert(self.options.frame_bytes);
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let mut builder = ConnectionBuilder::new_with_runtime(runtime)
            .with_uri(uri)
            .with_properties(properties);
        if let Some(ca) = &self.settings.ca {
            builder = builder.with_tls_config(OwnedTLSConfig {
                identity: None,
                cert_chain: Some(ca.clone()),
            });
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, builder.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(explain(&error)),
            Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }

    /// Hands the connection out until it is lost or we stop. Answers why it ended.
    async fn keep(&self, connection: Connection, bell: Arc<Bell>, epoch: u64) -> String {
        let mut events = Box::pin(connection.events_listener());
        let gone = CancellationToken::new();
        let live = Arc::new(Live {
            connection,
            epoch,
            gone: gone.clone(),
            bell,
        });
        self.live.send_replace(Some(live.clone()));
        self.state.send_replace(LinkState::Up);
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut last_error = None;
        let status = live.connection.status();
        while status.connected() && !self.stop.is_cancelled() {
            let event = tokio::select! {
                event = events.next() => event,
                _ = look.tick() => continue,
                () = self.stop.cancelled() => break,
            };
            match event {
                Some(Event::ConnectionBlocked(_)) if fail_point::skips("broker.guard.blocked") => {}
                Some(Event::ConnectionBlocked(why)) => {
                    tracing::warn!(connection = self.name, why, "the broker takes no messages");
                    self.state.send_replace(LinkState::Blocked { why });
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!(connection = self.name, "the broker takes messages again");
                    self.state.send_replace(LinkState::Up);
                }
                // A channel's error arrives here too; only the connection's own ends it.
                Some(Event::Error(error)) => last_error = Some(error.to_string()),
                Some(_) => {}
                None => break,
            }
        }
        self.live.send_replace(None);
        if self.stop.is_cancelled() && status.connected() {
            let goodbye = live.connection.close(200, "goodbye".into());
            let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
        }
        gone.cancel();
        last_error.unwrap_or_else(|| "it ended without a word".to_owned())
    }
}

/// The refusals that an operator can mend, in words.
fn explain(error: &lapin::Error) -> String {
    let text = error.to_string();
    if text.contains("ACCESS_REFUSED") || text.contains("ACCESS-REFUSED") {
        format!("the broker refuses the login or the virtual host of AMQP_URL: {text}")
    } else if text.contains("NOT_ALLOWED") || text.contains("NOT-ALLOWED") {
        format!("the broker has no such virtual host, or this login may not use it; see AMQP_URL: {text}")
    } else if text.contains("UnknownIssuer") {
        format!("nobody known signed the broker's certificate; name the authority's PEM file in AMQP_CA_FILE: {text}")
    } else {
        text
    }
}
