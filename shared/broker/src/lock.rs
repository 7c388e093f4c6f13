//! A lock that lasts exactly as long as the connection that took it: an exclusive queue.
//!
//! The broker refuses an exclusive queue to every other connection (405 `RESOURCE_LOCKED`) and deletes it with the connection
//! of its owner. A process that is stopped, or that lost a consumer or a channel, therefore keeps the lock, and a process
//! whose connection the broker closed has lost it together with the ability to publish.
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
use crate::confirm::Interruption;
use crate::link::{Link, Live};

/// How long a confirmed lock allows publishing. An operator can delete an exclusive queue with `rabbitmqctl`; a holder that
/// is stopped meanwhile publishes nothing after this time, and a new holder without a session to resume waits as long
/// before it begins one.
pub const LOCK_VALID: Duration = Duration::from_secs(1);

/// Name of the fail point that takes the lock away.
const GUARD: &str = "broker.guard.lease";
/// AMQP reply code of a queue that is exclusive to another connection.
const RESOURCE_LOCKED: u16 = 405;

/// A lock that this connection holds.
#[derive(Debug)]
pub(crate) struct Lock {
    name: String,
    /// `None` when the fail point took the lock away.
    held: Option<(Channel, Consumer)>,
}

impl Lock {
    /// Takes the lock, or confirms that this connection has it. `None` when another connection has it.
    ///
    /// # Errors
    /// When the connection is lost or the broker refuses the queue for another reason.
    pub(crate) async fn take(live: &Live, name: &str) -> lapin::Result<Option<Self>> {
        let name = name.to_owned();
        if fail_point::skips(GUARD) {
            return Ok(Some(Self { name, held: None }));
        }
        let channel = live.channel().await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        // A virtual host may have another default; only a classic queue can be exclusive.
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
        let declared = live.guard(channel.queue_declare(name.as_str().into(), options, arguments));
        match declared.await {
            Ok(_) => {}
            Err(error) if is_locked(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        // Nothing is published to it: the consumer is cancelled when the queue is deleted, and that is how it is noticed.
        let consume = channel.basic_consume(
            name.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = live.guard(consume).await?;
        Ok(Some(Self {
            name,
            held: Some((channel, consumer)),
        }))
    }

    /// Resolves when the lock is lost although the connection may still exist. Cancel-safe.
    pub(crate) async fn lost(&mut self) {
        match &mut self.held {
            Some((_, consumer)) => while let Some(Ok(_)) = consumer.next().await {},
            None => std::future::pending().await,
        }
    }

    /// Gives the lock back.
    pub(crate) async fn release(self) -> lapin::Result<()> {
        if let Some((channel, _)) = self.held {
            let name = self.name.as_str().into();
            channel.queue_delete(name, QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

fn is_locked(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(refusal) if refusal.get_id() == RESOURCE_LOCKED)
}

type Confirming = BoxFuture<'static, lapin::Result<Instant>>;

/// A publisher's knowledge of the lock: when its own channel last confirmed that this connection holds it.
///
/// The question is a passive declaration on the publishing channel. The broker answers it after everything published before,
/// and closes the channel when the lock is another's, so that nothing is published after a negative answer.
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

    /// Whether publishing is allowed at this moment. Costs a comparison.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age < LOCK_VALID) || fail_point::skips(GUARD)
    }

    fn age(&self, now: Instant) -> Option<Duration> {
        self.confirmed_at.map(|at| now.saturating_duration_since(at))
    }

    /// Confirms the lock and waits for the answer, at most `within`, not counting time in which the broker blocks publishers.
    ///
    /// # Errors
    /// Why it is not confirmed; the channel must then not be used again.
    pub(crate) async fn confirm(
        &mut self,
        link: &Link,
        live: &Live,
        channel: &Channel,
        within: Duration,
    ) -> Result<(), Interruption> {
        self.refresh = None;
        // A process that was stopped while it waited for the answer asks again.
        while !self.is_valid(Instant::now()) {
            let mut confirming = confirming(channel.clone(), self.name.clone());
            let at = loop {
                match tokio::time::timeout(within, live.guard(&mut confirming)).await {
                    Ok(answer) => break answer.map_err(|error| self.refused(&error))?,
                    Err(_) if link.is_blocked() => {}
                    Err(_) => {
                        let why = format!("the lease was not confirmed within {} s", within.as_secs());
                        return Err(why.into());
                    }
                }
            };
            self.confirmed_at = Some(at);
        }
        Ok(())
    }

    /// Starts a confirmation in the background once half of the validity is over, so that a busy publisher never waits.
    pub(crate) fn refresh(&mut self, channel: &Channel) {
        let due = self.age(Instant::now()).is_none_or(|age| age >= LOCK_VALID / 2);
        if due && self.refresh.is_none() && !fail_point::skips(GUARD) {
            let mut confirming = confirming(channel.clone(), self.name.clone());
            // The first poll sends it.
            if let Some(Ok(at)) = (&mut confirming).now_or_never() {
                self.confirmed_at = Some(at);
            } else {
                self.refresh = Some(confirming);
            }
        }
    }

    /// Waits for the confirmation that [`Self::refresh`] started, for ever when there is none. Cancel-safe.
    ///
    /// # Errors
    /// Why the lock is not confirmed.
    pub(crate) async fn refreshed(&mut self) -> Result<(), Interruption> {
        let Some(refresh) = &mut self.refresh else {
            return std::future::pending().await;
        };
        let answer = refresh.await;
        self.refresh = None;
        self.confirmed_at = Some(answer.map_err(|error| self.refused(&error))?);
        Ok(())
    }

    fn refused(&self, error: &lapin::Error) -> Interruption {
        if is_locked(error) {
            format!("another connection holds \"{}\"", self.name).into()
        } else {
            error.into()
        }
    }
}

/// Asks the broker whether this connection holds the lock. The answer is the moment before the question.
fn confirming(channel: Channel, name: String) -> Confirming {
    async move {
        let asked = Instant::now();
        let options = QueueDeclareOptions {
            passive: true,
            exclusive: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(name.as_str().into(), options, FieldTable::default())
            .await?;
        Ok(asked)
    }
    .boxed()
}
