//! One message of alerts to a member, sent once.

use std::time::Duration;

use arrakis_db::{AlertEvent, AlertMessage, AlertOutcome};
use arrakis_discord::{Error, ListedMessage};
use arrakis_runtime::fail_point;
use time::OffsetDateTime;
use tokio::time::sleep;
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use twilight_model::id::marker::ChannelMarker;
use uuid::Uuid;

use super::changes::changes;
use crate::direct_message::{code_of, is_of_bot};
use crate::failure::Failure;
use crate::interaction::reply::message as message_of;
use crate::jobs::JobRun;
use crate::nonced_message::{NoncedMessage, NoncedOutcome};
use crate::render::{Freshness, RenderContext, alert};
use crate::sent_messages::{SearchedChannel, search};

/// Time limit of the call: far below the time for which Discord remembers a nonce.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// Pause after a direct message channel was opened: a bot that opens many in a short time is flagged as spam
/// (<https://github.com/discord/discord-api-docs/issues/5987>).
const OPENING_PAUSE: Duration = Duration::from_secs(5);
/// Codes of a member who accepts no direct messages of this bot: 50007, and 50278 without a common server.
const CLOSED: [u64; 2] = [50_007, 50_278];
/// Pause of all alerts of the community after a refusal of the bot ([`is_of_bot`]): a bot that goes on is flagged as spam.
const LIMITED_PAUSE: time::Duration = time::Duration::minutes(10);
/// Pause of all alerts of the community after the proxy refused a call, until an operator has changed its configuration.
const REFUSED_PAUSE: time::Duration = time::Duration::minutes(1);

/// What became of a message.
#[derive(Debug)]
pub(super) enum Delivered {
    /// Discord has it.
    Sent,
    /// It is not sent, and that is recorded.
    Not,
    /// Discord accepts neither it nor others at the moment, for this reason; all are postponed.
    Later(String),
}

/// Sends a message unless it was sent, and records how it ended.
pub(super) async fn deliver(run: &JobRun<'_>, message: AlertMessage) -> Result<Delivered, Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let mut events = tx.alerts().events_of(message.id).await?;
    let subscription = tx.alerts().subscription(message.user).await?;
    let profile = tx.profiles().by_user(message.user).await?;
    tx.commit().await?;
    let present = profile.is_some_and(|profile| profile.left_at.is_none());
    let Some(subscription) = subscription.filter(|_| present) else {
        return finish(run, message, AlertOutcome::Dropped).await;
    };
    if subscription.closed_at.is_some() {
        return finish(run, message, AlertOutcome::Refused).await;
    }
    // A kind may have been switched off since the message was composed.
    events.retain(|event| subscription.settings.kinds.contains(&event.kind));
    if events.is_empty() {
        return finish(run, message, AlertOutcome::Dropped).await;
    }
    let alert = Alert { run, message, events };
    let stored = subscription.dm_channel.and_then(Id::new_checked);
    let outcome = match stored {
        Some(channel) => match alert.send(channel).await? {
            NoncedOutcome::Refused(Error::Gone { .. }) => alert.send_to_new_channel().await?,
            outcome => outcome,
        },
        None => alert.send_to_new_channel().await?,
    };
    fail_point::hit("worker.alerts.sent").await;
    match outcome {
        NoncedOutcome::Sent => finish(run, message, AlertOutcome::Sent).await,
        NoncedOutcome::Unknown => finish(run, message, AlertOutcome::Unknown).await,
        NoncedOutcome::Refused(error) => refused(run, message, &error).await,
    }
}

/// A message with its events.
struct Alert<'a> {
    run: &'a JobRun<'a>,
    message: AlertMessage,
    events: Vec<AlertEvent>,
}

impl Alert<'_> {
    /// Opens the member's channel, stores it, and sends the message to it.
    async fn send_to_new_channel(&self) -> Result<NoncedOutcome, Failure> {
        let (run, user) = (self.run, self.message.user);
        let calls = run.services.discord.bulk(Some(run.community.guild()));
        let channel = match calls.open_dm(Id::new(user.get())).await {
            Ok(channel) => channel,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => return Ok(NoncedOutcome::Refused(error)),
        };
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        tx.alerts().set_channel(user, Some(channel.get())).await?;
        tx.commit().await?;
        let sent = self.send(channel).await;
        sleep(OPENING_PAUSE).await;
        sent
    }

    /// Sends the message unless it was sent. Where Discord may have forgotten the nonce of an earlier attempt, the channel shows whether that
    /// attempt had an effect: the custom id of a button contains the message's id.
    async fn send(&self, channel: Id<ChannelMarker>) -> Result<NoncedOutcome, Failure> {
        let (services, community) = (self.run.services, self.run.community);
        let text = self.render()?;
        let calls = services.discord.bulk(Some(community.guild())).within(SEND_LIMIT);
        let key = key(self.message);
        let nonced = NoncedMessage {
            services,
            community: Some(community.id()),
            guild: Some(community.guild()),
            key: &key,
        };
        let id = self.message.id.to_string();
        let is_it = |message: &ListedMessage| message.components.to_string().contains(&id);
        let composed = composed_at(self.message.id);
        let (calls, text, direct) = (&calls, &text, SearchedChannel::Direct(channel));
        nonced
            .send_unless_found(
                |began| search(calls, direct, composed.unwrap_or(began), &is_it),
                |nonce| async move { calls.send_message(channel, text, nonce).await.map(drop) },
            )
            .await
    }

    fn render(&self) -> Result<InteractionResponseData, Failure> {
        let (services, community) = (self.run.services, self.run.community);
        let record = &community.record;
        let context = RenderContext {
            theme: &community.theme,
            ladder: community.ladder()?,
            symbol: &record.token.symbol,
            freshness: Freshness::new(record.token.last_success_at, services.now(), services.stale_after),
        };
        let named = (record.id, record.name.as_str());
        let (embed, buttons) = alert::embed(&context, named, self.message.id, &changes(&self.events)?);
        Ok(message_of(embed, buttons))
    }
}

/// When a message was composed, before the first attempt to send it.
fn composed_at(message: Uuid) -> Option<OffsetDateTime> {
    let (seconds, _) = message.get_timestamp()?.to_unix();
    OffsetDateTime::from_unix_timestamp(seconds.cast_signed()).ok()
}

fn key(message: AlertMessage) -> String {
    format!("alert:{}", message.id)
}

/// What follows a refusal: a member who accepts no messages is not written to again, and a limited bot tries again later.
async fn refused(run: &JobRun<'_>, message: AlertMessage, error: &Error) -> Result<Delivered, Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    if CLOSED.contains(&code_of(error)) {
        tracing::info!(%error, "a subscriber accepts no direct messages; no alert is sent until the next use of /alerts");
        tx.alerts().close(message.user).await?;
        tx.commit().await?;
        count(run, AlertOutcome::Refused);
        return Ok(Delivered::Not);
    }
    let pause = match error {
        error if is_of_bot(error) => Some(LIMITED_PAUSE),
        Error::Refused(_) => Some(REFUSED_PAUSE),
        _ => None,
    };
    if let Some(pause) = pause {
        // The claim stays, since an earlier attempt may have had an effect.
        tx.alerts().postpone_all(run.services.now() + pause).await?;
        tx.commit().await?;
        return Ok(Delivered::Later(error.to_string()));
    }
    tracing::warn!(%error, "an alert was not delivered");
    tx.alerts().set_channel(message.user, None).await?;
    tx.alerts().finish(message.id, AlertOutcome::Refused).await?;
    tx.commit().await?;
    count(run, AlertOutcome::Refused);
    Ok(Delivered::Not)
}

/// Records how a message ended.
pub(super) async fn finish(
    run: &JobRun<'_>,
    message: AlertMessage,
    outcome: AlertOutcome,
) -> Result<Delivered, Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    tx.alerts().finish(message.id, outcome).await?;
    tx.commit().await?;
    count(run, outcome);
    Ok(match outcome {
        AlertOutcome::Sent => Delivered::Sent,
        _ => Delivered::Not,
    })
}

fn count(run: &JobRun<'_>, outcome: AlertOutcome) {
    let labels = [outcome.as_str()];
    run.services.metrics.alerts.with_label_values(&labels).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_composition_follows_from_the_id() {
        let before = OffsetDateTime::now_utc() - time::Duration::seconds(2);
        let composed = composed_at(Uuid::now_v7()).unwrap();
        assert!(composed > before && composed <= OffsetDateTime::now_utc());
        assert_eq!(composed_at(Uuid::nil()), None);
    }
}
