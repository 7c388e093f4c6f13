//! Messages that the bot sends of its own accord, once for each key: a welcome, a question to a holder.
//!
//! A claim in the inbox is committed before the call, and a second one (`#sent`) after it. The call has a nonce that follows from the
//! key: for some minutes Discord returns the message that exists instead of a second one. So an attempt that finds only the first
//! claim repeats the call while Discord certainly remembers the nonce. Later, the outcome is recorded as unknown, and the message is
//! not sent again, unless a search of its channel shows whether it was ([`NoncedMessage::send_unless_found`], `sent_messages.rs`).

use std::collections::HashMap;
use std::time::Duration;

use arrakis_db::{CommunityId, DbError};
use arrakis_discord::Error;
use time::OffsetDateTime;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use crate::at_most_once::AtMostOnce;
use crate::failure::Failure;
use crate::sent_messages::SearchResult;
use crate::services::Services;

/// Suffix of the claim that the message was sent.
const SENT: &str = "sent";
/// For how long Discord remembers a nonce at least: <https://discord.com/developers/docs/resources/message#create-message> states "the
/// past few minutes". The retries of a message end within this time.
const NONCE_LIFETIME: Duration = Duration::from_secs(3 * 60);

/// A message that is sent once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoncedMessage<'a> {
    /// Postgres and metrics.
    pub(crate) services: &'a Services,
    /// The community whose inbox has the claims; `None`: the platform's.
    pub(crate) community: Option<CommunityId>,
    /// The community's server.
    pub(crate) guild: Option<Id<GuildMarker>>,
    /// What the message follows from: the same in each attempt.
    pub(crate) key: &'a str,
}

/// What became of the message.
#[derive(Debug, PartialEq)]
pub(crate) enum NoncedOutcome {
    /// Sent, in this attempt or an earlier one.
    Sent,
    /// Whether an earlier attempt sent it is unknown, and that is recorded.
    Unknown,
    /// Discord refuses it permanently.
    Refused(Error),
}

impl NoncedMessage<'_> {
    /// Sends the message by `call`, which receives the nonce, unless it was sent.
    ///
    /// # Errors
    /// If Postgres or Discord is unavailable: the attempt is to be repeated.
    pub(crate) async fn send<F>(self, call: impl FnOnce(u64) -> F) -> Result<NoncedOutcome, Failure>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let sent = format!("{}#{SENT}", self.key);
        let ages = self.claim(&sent).await?;
        if ages.contains_key(&sent) {
            return Ok(NoncedOutcome::Sent);
        }
        if ages.get(self.key).is_some_and(|age| *age >= NONCE_LIFETIME) {
            let record = AtMostOnce {
                services: self.services,
                guild: self.guild,
                event: self.key,
                call: "message",
            };
            record
                .record_unknown("an earlier attempt ended between sending and recording")
                .await;
            return Ok(NoncedOutcome::Unknown);
        }
        match call(nonce(self.key)).await {
            Ok(()) => {
                self.note(&sent).await?;
                Ok(NoncedOutcome::Sent)
            }
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Ok(NoncedOutcome::Refused(error)),
        }
    }

    /// As [`NoncedMessage::send`]. If Discord may have forgotten the nonce of an earlier attempt, `search` finds out whether that attempt had
    /// an effect; it receives the time at which the attempt began. A message that is missing is sent again.
    ///
    /// # Errors
    /// As [`NoncedMessage::send`], and the failure of the search.
    pub(crate) async fn send_unless_found<S, F>(
        self,
        search: impl FnOnce(OffsetDateTime) -> S,
        call: impl FnOnce(u64) -> F,
    ) -> Result<NoncedOutcome, Failure>
    where
        S: Future<Output = Result<SearchResult, Failure>>,
        F: Future<Output = Result<(), Error>>,
    {
        if let Some(began) = self.abandoned_since().await? {
            match Box::pin(search(began)).await? {
                SearchResult::Found(_) => {
                    self.record_sent().await?;
                    return Ok(NoncedOutcome::Sent);
                }
                SearchResult::Missing => self.release().await?,
                // `send` records the outcome as unknown.
                SearchResult::Unknown => {}
            }
        }
        self.send(call).await
    }

    /// When an attempt began after which Discord may have forgotten the nonce by now, by Discord's clock; `None` if there is none, or one
    /// recorded that the message was sent. A caller who searches for the message records that it was sent, or releases it to send it again.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub(crate) async fn abandoned_since(&self) -> Result<Option<OffsetDateTime>, DbError> {
        let sent = format!("{}#{SENT}", self.key);
        let keys = [self.key.to_owned(), sent.clone()];
        let database = &self.services.database;
        let ages = match self.community {
            Some(community) => database.tenant(community).await?.claim_ages(&keys).await?,
            None => database.global().await?.claim_ages(&keys).await?,
        };
        let age = ages.get(self.key).filter(|age| **age >= NONCE_LIFETIME);
        Ok(age
            .filter(|_| !ages.contains_key(&sent))
            .map(|age| self.services.now() - *age))
    }

    /// Records that Discord has the message.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub(crate) async fn record_sent(&self) -> Result<(), DbError> {
        self.note(&format!("{}#{SENT}", self.key)).await
    }

    /// Forgets the attempts at a message that Discord certainly does not have.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub(crate) async fn release(&self) -> Result<(), DbError> {
        let database = &self.services.database;
        if let Some(community) = self.community {
            let mut tx = database.tenant(community).await?;
            tx.release_claim(self.key).await?;
            return tx.commit().await;
        }
        let mut tx = database.global().await?;
        tx.release_claim(self.key).await?;
        tx.commit().await
    }

    /// Claims the message; returns the ages of its claims.
    async fn claim(&self, sent: &str) -> Result<HashMap<String, Duration>, DbError> {
        let keys = [self.key.to_owned(), sent.to_owned()];
        let database = &self.services.database;
        if let Some(community) = self.community {
            let mut tx = database.tenant(community).await?;
            tx.claim(self.key).await?;
            let ages = tx.claim_ages(&keys).await?;
            tx.commit().await?;
            return Ok(ages);
        }
        let mut tx = database.global().await?;
        tx.claim(self.key).await?;
        let ages = tx.claim_ages(&keys).await?;
        tx.commit().await?;
        Ok(ages)
    }

    async fn note(&self, sent: &str) -> Result<(), DbError> {
        let database = &self.services.database;
        if let Some(community) = self.community {
            let mut tx = database.tenant(community).await?;
            tx.claim(sent).await?;
            return tx.commit().await;
        }
        let mut tx = database.global().await?;
        tx.claim(sent).await?;
        tx.commit().await
    }
}

/// The nonce of a key: FNV-1a, of which 53 bits fit into a number of JSON. It is the same in every build.
pub(crate) fn nonce(key: &str) -> u64 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash >> 11
}

#[cfg(test)]
mod tests {
    use arrakis_contracts::names::RETRY_SECONDS;

    use super::*;

    #[test]
    fn nonce_follows_from_the_key() {
        assert_eq!(nonce("a"), nonce("a"));
        assert_ne!(nonce("a"), nonce("b"));
        assert!(nonce("verification") < 1 << 53);
    }

    #[test]
    fn retries_end_while_the_nonce_is_remembered() {
        let retries: u64 = RETRY_SECONDS.iter().copied().map(u64::from).sum();
        assert!(Duration::from_secs(retries) < NONCE_LIFETIME);
    }
}
