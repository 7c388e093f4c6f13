//! A broker connection that is opened again whenever it is lost.
//!
//! lapin's own recovery leaves pending confirmations unresolved until it is done. Here a lost connection fails every call on it
//! at once, and the caller takes the next connection. A service has one broker connection to publish and one to consume: a
//! broker that blocks publishers (memory or disk alarm) then still delivers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arrakis_fail_point as fail_point;
use arrakis_one_thread::SingleThreadRuntime;
use async_rs::traits::RuntimeKit;
use async_rs::{Runtime, TokioRuntime};
use futures_util::StreamExt as _;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{ConnectionBuilder, ConnectionProperties, Event};
use rustls::CertificateError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::reply_code::{ACCESS_REFUSED, NOT_ALLOWED, reply_code};
use crate::settings::BrokerSettings;
use crate::single_thread::{LoopWaker, SingleThreadKit};

/// Seconds between heartbeats unless the URL names another interval. A dead peer is detected after two.
const HEARTBEAT_SECONDS: u16 = 10;
/// Bytes of an AMQP frame unless the URL names another size. lapin keeps two buffers of 32 frames for each connection, so the
/// protocol's usual 128 KiB would take 8 MiB. Larger bodies travel in several frames.
pub(crate) const FRAME_BYTES: u32 = 32 << 10;
/// Longest time of one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for the close handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval at which the connection status is polled. lapin's event channel may drop events when it is full.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

fn heartbeat_seconds(settings: &BrokerSettings) -> u16 {
    let uri = settings.url.expose().parse::<AMQPUri>().ok();
    uri.and_then(|uri| uri.query.heartbeat).unwrap_or(HEARTBEAT_SECONDS)
}

/// Options of a [`BrokerConnection`].
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// Largest AMQP frame in bytes, unless the URL names another size. The connection's buffers take 64 times as much. The
    /// properties of a message must fit one frame; a broker may require 8 KiB.
    pub frame_bytes: u32,
    /// The runtime of a process with one thread. lapin's thread then runs the tasks of this runtime as long as the connection
    /// lasts, which saves two thread switches for each message. `None` leaves lapin's thread on its own.
    pub single_thread: Option<Arc<SingleThreadRuntime>>,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            frame_bytes: FRAME_BYTES,
            single_thread: None,
        }
    }
}

/// State of a [`BrokerConnection`], for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not connected; the connection is being opened.
    Connecting {
        /// Why the last attempt failed or the last connection ended. Empty before the first attempt has ended.
        reason: String,
    },
    /// Connected.
    Connected,
    /// Connected, and the broker blocks publishers: a memory or disk alarm.
    Blocked {
        /// The reason that the broker gives.
        reason: String,
    },
    /// [`BrokerConnection::close`] was called.
    Closed,
}

/// [`BrokerConnection::close`] was called: there is no further connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker connection was closed by this process")]
pub struct ConnectionClosed;

/// One AMQP connection. When it is lost, [`BrokerConnection::current`] returns the next one.
#[derive(Debug)]
pub struct AmqpConnection {
    lapin: lapin::Connection,
    /// Number of this connection among those of its [`BrokerConnection`], counted from 1.
    pub epoch: u64,
    closed: CancellationToken,
    loop_waker: Arc<LoopWaker>,
}

impl AmqpConnection {
    /// Opens a channel.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn channel(&self) -> lapin::Result<Channel> {
        let channel = self.until_closed(self.lapin.create_channel()).await?;
        Ok(Channel::new(channel, self.loop_waker.clone()))
    }

    /// Awaits an AMQP call, and fails when the connection is lost first: lapin may never resolve a call that is pending then.
    pub(crate) async fn until_closed<T>(&self, call: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
        tokio::select! {
            result = call => result,
            () = self.closed() => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        }
    }

    /// Resolves when this connection is lost.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Whether this connection is lost.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled() || !self.lapin.status().connected()
    }
}

/// A supervised AMQP connection: opened in the background and opened again whenever it is lost. Clones share it.
#[derive(Debug, Clone)]
pub struct BrokerConnection {
    current: watch::Receiver<Option<Arc<AmqpConnection>>>,
    state: watch::Receiver<ConnectionState>,
    stop: CancellationToken,
    stopped: CancellationToken,
    heartbeat: Duration,
}

impl BrokerConnection {
    /// Starts to connect, and returns at once. RabbitMQ's management shows the connection under `name`.
    pub fn open(settings: &BrokerSettings, name: impl Into<String>) -> Self {
        Self::open_with(settings, name, ConnectionOptions::default())
    }

    /// As [`BrokerConnection::open`], with options.
    pub fn open_with(settings: &BrokerSettings, name: impl Into<String>, options: ConnectionOptions) -> Self {
        let (current_sender, current) = watch::channel(None);
        let (state_sender, state) = watch::channel(ConnectionState::Connecting { reason: String::new() });
        let connection = Self {
            current,
            state,
            stop: CancellationToken::new(),
            stopped: CancellationToken::new(),
            heartbeat: Duration::from_secs(heartbeat_seconds(settings).into()),
        };
        let supervisor = Supervisor {
            settings: settings.clone(),
            name: name.into(),
            options,
            current: current_sender,
            state: state_sender,
            stop: connection.stop.clone(),
        };
        let stopped = connection.stopped.clone();
        tokio::spawn(async move {
            supervisor.run().await;
            stopped.cancel();
        });
        connection
    }

    /// The present AMQP connection. Waits for the next one when there is none.
    ///
    /// # Errors
    /// When [`BrokerConnection::close`] was called.
    pub async fn current(&self) -> Result<Arc<AmqpConnection>, ConnectionClosed> {
        let mut receiver = self.current.clone();
        let amqp = receiver
            .wait_for(|amqp| amqp.as_ref().is_some_and(|amqp| !amqp.is_closed()))
            .await
            .map_err(|_| ConnectionClosed)?;
        amqp.clone().ok_or(ConnectionClosed)
    }

    /// The present state.
    pub fn state(&self) -> ConnectionState {
        self.state.borrow().clone()
    }

    /// The present state and its changes.
    pub fn watch(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }

    /// Whether the broker blocks publishers at present.
    pub fn is_blocked(&self) -> bool {
        matches!(*self.state.borrow(), ConnectionState::Blocked { .. })
    }

    /// Time between heartbeats. The broker closes the connection of a peer from which two are missing.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Closes the connection. Messages that are not confirmed by then have an unknown outcome.
    pub async fn close(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

struct Supervisor {
    settings: BrokerSettings,
    name: String,
    options: ConnectionOptions,
    current: watch::Sender<Option<Arc<AmqpConnection>>>,
    state: watch::Sender<ConnectionState>,
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
                Ok((lapin, loop_waker)) => {
                    epoch += 1;
                    backoff.reset();
                    tracing::info!(connection = self.name, epoch, "connected to the broker");
                    let reason = self.supervise(lapin, loop_waker, epoch).await;
                    if self.stop.is_cancelled() {
                        break;
                    }
                    tracing::warn!(connection = self.name, reason, "the connection to the broker is lost");
                    self.state.send_replace(ConnectionState::Connecting { reason });
                    if fail_point::skips("broker.guard.reconnect") {
                        self.stop.cancelled().await;
                    }
                }
                Err(reason) => {
                    // Logged once for each new reason: a broker may be unreachable for hours.
                    let state = ConnectionState::Connecting { reason: reason.clone() };
                    if self.state.send_replace(state.clone()) != state {
                        tracing::warn!(connection = self.name, reason, "cannot connect to the broker; retrying");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_wait()) => {}
                () = self.stop.cancelled() => break,
            }
        }
        self.state.send_replace(ConnectionState::Closed);
    }

    async fn connect(&self) -> Result<(lapin::Connection, Arc<LoopWaker>), String> {
        let loop_waker = Arc::new(LoopWaker::default());
        let lapin = match self.options.single_thread.clone() {
            None => self.connect_on(TokioRuntime::tokio_current()).await?,
            Some(thread) => {
                let kit = SingleThreadKit::new(thread, loop_waker.clone());
                let lapin = self.connect_on(Runtime::new(kit)).await?;
                loop_waker.enable();
                lapin
            }
        };
        Ok((lapin, loop_waker))
    }

    async fn connect_on<K>(&self, runtime: Runtime<K>) -> Result<lapin::Connection, String>
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
        if let Some(ca) = &self.settings.ca_pem {
            builder = builder.with_tls_config(OwnedTLSConfig {
                identity: None,
                cert_chain: Some(ca.clone()),
            });
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, builder.connect()).await {
            Ok(Ok(lapin)) => Ok(lapin),
            Ok(Err(error)) => Err(explain(&error)),
            Err(_) => Err(format!("no response within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }

    /// Publishes the connection to its users until it is lost or closed. Returns why it ended.
    async fn supervise(&self, lapin: lapin::Connection, loop_waker: Arc<LoopWaker>, epoch: u64) -> String {
        let mut events = Box::pin(lapin.events_listener());
        let closed = CancellationToken::new();
        let amqp = Arc::new(AmqpConnection {
            lapin,
            epoch,
            closed: closed.clone(),
            loop_waker,
        });
        self.current.send_replace(Some(amqp.clone()));
        self.state.send_replace(ConnectionState::Connected);
        let mut status_interval = tokio::time::interval(STATUS_INTERVAL);
        let mut last_error = None;
        let status = amqp.lapin.status();
        while status.connected() && !self.stop.is_cancelled() {
            let event = tokio::select! {
                event = events.next() => event,
                _ = status_interval.tick() => continue,
                () = self.stop.cancelled() => break,
            };
            match event {
                Some(Event::ConnectionBlocked(_)) if fail_point::skips("broker.guard.blocked") => {}
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(connection = self.name, reason, "the broker blocks publishers");
                    self.state.send_replace(ConnectionState::Blocked { reason });
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!(connection = self.name, "the broker accepts messages again");
                    self.state.send_replace(ConnectionState::Connected);
                }
                // Errors of channels arrive here, too. Only the connection's own error ends it.
                Some(Event::Error(error)) => last_error = Some(error.to_string()),
                Some(_) => {}
                None => break,
            }
        }
        self.current.send_replace(None);
        if self.stop.is_cancelled() && status.connected() {
            let close = amqp.lapin.close(200, "goodbye".into());
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
        }
        closed.cancel();
        last_error.unwrap_or_else(|| "the connection was closed without an error".to_owned())
    }
}

/// The error, and for those that the configuration causes, the variable to correct.
fn explain(error: &lapin::Error) -> String {
    match reply_code(error) {
        Some(ACCESS_REFUSED) => format!("the broker refuses the login or the virtual host of AMQP_URL: {error}"),
        Some(NOT_ALLOWED) => {
            format!("the broker has no such virtual host, or this login may not use it; see AMQP_URL: {error}")
        }
        _ if is_unknown_issuer(error) => format!(
            "the broker's certificate is signed by an unknown authority; name the authority's PEM file in AMQP_CA_FILE: {error}"
        ),
        _ => error.to_string(),
    }
}

fn is_unknown_issuer(error: &lapin::Error) -> bool {
    let lapin::ErrorKind::IOError(error) = error.kind() else {
        return false;
    };
    let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    tls_error(error).is_some_and(|error| *error == unknown)
}

/// The TLS error in an I/O error, which may be wrapped in further I/O errors.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    let nested = || inner.downcast_ref::<io::Error>().and_then(tls_error);
    inner.downcast_ref::<rustls::Error>().or_else(nested)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_of_an_unknown_authority_names_the_variable() {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let invalid_data = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        for (error, names_the_variable) in [
            (invalid_data(unknown.clone()), true),
            (io::Error::other(invalid_data(unknown)), true),
            (invalid_data(expired), false),
            (io::Error::other("UnknownIssuer"), false),
        ] {
            let text = explain(&error.into());
            assert_eq!(text.contains("AMQP_CA_FILE"), names_the_variable, "{text}");
        }
    }
}
