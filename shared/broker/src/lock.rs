//! A lock that exists as long as the connection of its holder: an exclusive queue.
//!
//! The broker refuses an exclusive queue to every other connection (405 `RESOURCE_LOCKED`) and deletes it with its owner's
//! connection. A holder that is suspended, or whose consumer or channel ended, keeps the lock. A holder whose connection the
//! broker closed has lost the lock and cannot publish either.
//! <https://www.rabbitmq.com/docs/queues#exclusive-queues>

use std::time::Duration;

use arrakis_fail_point as fail_point;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Consumer;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::Instant;

use crate::channel::Channel;
use crate::confirm::ChannelError;
use crate::connection::{AmqpConnection, BrokerConnection};
use crate::reply_code::{RESOURCE_LOCKED, reply_code};

/// How long a confirmed lock allows publishing. An operator can delete an exclusive queue with `rabbitmqctl`. A holder that is
/// suspended at that time publishes nothing after this duration, and a new holder without a session to resume waits as long
/// before it begins one.
pub const LOCK_VALID: Duration = Duration::from_secs(1);

/// Fail point that disables the lock.
const GUARD: &str = "broker.guard.lease";

/// A lock that this connection holds.
#[derive(Debug)]
pub(crate) struct Lock {
    name: String,
    /// `None` when the fail point disables the lock.
    held: Option<(Channel, Consumer)>,
}

impl Lock {
    /// Takes the lock, or confirms that this connection holds it. Returns `None` when another connection holds it.
    ///
    /// # Errors
    /// When the connection is lost or the broker refuses the queue for another reason.
    pub(crate) async fn take(amqp: &AmqpConnection, name: &str) -> lapin::Result<Option<Self>> {
        let name = name.to_owned();
        if fail_point::skips(GUARD) {
            return Ok(Some(Self { name, held: None }));
        }
        let channel = amqp.channel().await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        // Only a classic queue can be exclusive, and a virtual host may have another default type.
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
        let declared = amqp.until_closed(channel.queue_declare(name.as_str().into(), options, arguments));
        match declared.await {
            Ok(_) => {}
            Err(error) if is_locked(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        // Nothing is published to the queue. The broker cancels this consumer when the queue is deleted, which reports the loss.
        let consume = channel.basic_consume(
            name.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = amqp.until_closed(consume).await?;
        Ok(Some(Self {
            name,
            held: Some((channel, consumer)),
        }))
    }

    /// Resolves when the lock is lost, even if the connection still exists. Cancel-safe.
    pub(crate) async fn lost(&mut self) {
        match &mut self.held {
            Some((_, consumer)) => while let Some(Ok(_)) = consumer.next().await {},
            None => std::future::pending().await,
        }
    }

    /// Releases the lock.
    pub(crate) async fn release(self) -> lapin::Result<()> {
        if let Some((channel, _)) = self.held {
            let name = self.name.as_str().into();
            channel.queue_delete(name, QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

fn is_locked(error: &lapin::Error) -> bool {
    reply_code(error) == Some(RESOURCE_LOCKED)
}

type Confirming = BoxFuture<'static, lapin::Result<Instant>>;

/// A publisher's check of the lock: when its channel last confirmed that this connection holds the lock.
///
/// The check is a passive declaration on the publishing channel. The broker processes it after all earlier publishes, and closes
/// the channel if another connection holds the lock, so nothing is published after a failed check.
pub(crate) struct LockCheck {
    name: String,
    confirmed_at: Option<Instant>,
    refresh: Option<Confirming>,
}

impl LockCheck {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            confirmed_at: None,
            refresh: None,
        }
    }

    /// Whether publishing is allowed now.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age < LOCK_VALID) || fail_point::skips(GUARD)
    }

    fn age(&self, now: Instant) -> Option<Duration> {
        self.confirmed_at.map(|at| now.saturating_duration_since(at))
    }

    /// Confirms the lock, within a time limit that does not include time in which the broker blocks publishers.
    ///
    /// # Errors
    /// Why the lock is not confirmed. The channel must not be used any more.
    pub(crate) async fn confirm(
        &mut self,
        connection: &BrokerConnection,
        amqp: &AmqpConnection,
        channel: &Channel,
        within: Duration,
    ) -> Result<(), ChannelError> {
        self.refresh = None;
        // A process that was suspended while it waited confirms again.
        while !self.is_valid(Instant::now()) {
            let mut confirming = confirming(channel.clone(), self.name.clone());
            let at = loop {
                match tokio::time::timeout(within, amqp.until_closed(&mut confirming)).await {
                    Ok(confirmed) => break confirmed.map_err(|error| self.channel_error(&error))?,
                    Err(_) if connection.is_blocked() => {}
                    Err(_) => {
                        let reason = format!("the lease was not confirmed within {} s", within.as_secs());
                        return Err(reason.into());
                    }
                }
            };
            self.confirmed_at = Some(at);
        }
        Ok(())
    }

    /// Starts a confirmation in the background when half of the validity has passed, so that a busy publisher never waits.
    pub(crate) fn refresh(&mut self, channel: &Channel) {
        let due = self.age(Instant::now()).is_none_or(|age| age >= LOCK_VALID / 2);
        if due && self.refresh.is_none() && !fail_point::skips(GUARD) {
            let mut confirming = confirming(channel.clone(), self.name.clone());
            // The first poll sends the declaration.
            if let Some(Ok(at)) = (&mut confirming).now_or_never() {
                self.confirmed_at = Some(at);
            } else {
                self.refresh = Some(confirming);
            }
        }
    }

    /// Awaits the confirmation that [`Self::refresh`] started; pends for ever when there is none. Cancel-safe.
    ///
    /// # Errors
    /// Why the lock is not confirmed.
    pub(crate) async fn refreshed(&mut self) -> Result<(), ChannelError> {
        let Some(refresh) = &mut self.refresh else {
            return std::future::pending().await;
        };
        let confirmed = refresh.await;
        self.refresh = None;
        self.confirmed_at = Some(confirmed.map_err(|error| self.channel_error(&error))?);
        Ok(())
    }

    fn channel_error(&self, error: &lapin::Error) -> ChannelError {
        if is_locked(error) {
            format!("another connection holds the lock \"{}\"", self.name).into()
        } else {
            error.into()
        }
    }
}

/// Confirms with the broker that this connection holds the lock. Returns the time just before the declaration was sent.
fn confirming(channel: Channel, name: String) -> Confirming {
    async move {
        let sent_at = Instant::now();
        let options = QueueDeclareOptions {
            passive: true,
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(name.as_str().into(), options, FieldTable::default())
            .await?;
        Ok(sent_at)
    }
    .boxed()
}
