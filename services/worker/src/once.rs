//! Calls that Discord cannot recognise when they are made twice: a follow-up has no nonce, and a second one is not refused.
//!
//! Such a call is made at most once. A claim is committed before the call, a second one (`#said`) after Discord's answer. A claim
//! without the second one has three meanings, told apart by its age on Postgres' clock:
//!
//! - Younger than 4.9 s: another worker may be sending right now. The message is retried later.
//! - Older: whoever claimed it ended between sending and recording. Whether Discord has it is unknown, and that is recorded: an
//!   audit entry `discord.outcome_unknown` where there is a community, a row of the platform's inbox where there is none, and a
//!   metric.
//! - Recorded as unknown before (`#unknown`): nothing more is done.
//!
//! While Postgres is away the call is made without a claim: a member who gets the answer twice is better off than one who gets
//! none.

use std::collections::HashMap;
use std::time::Duration;

use arrakis_contracts::redact;
use arrakis_db::{Actor, CommunityId, DbError, NewAuditEntry};
use arrakis_discord::Error;
use arrakis_runtime::fail_point;
use serde_json::json;
use tokio::time::Instant;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use crate::community::guild_id;
use crate::services::Services;

/// Action of the audit entry.
pub const OUTCOME_UNKNOWN: &str = "discord.outcome_unknown";

/// Longest time from the beginning of a claim to the end of its call.
const LONGEST_SEND: Duration = Duration::from_secs(4);
/// Shortest time that a call is begun with.
const SHORTEST_SEND: Duration = Duration::from_millis(500);
/// A claim of this age has no call under way: [`LONGEST_SEND`], and time to record the result. Below the first retry's 5 s.
const ABANDONED_AFTER: Duration = Duration::from_millis(4_900);
/// Longest reason that is recorded.
const REASON_BYTES: usize = 400;

/// What became of a call that is made at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Discord has it, from this attempt or an earlier one.
    Sent,
    /// Whether Discord has it is unknown, and that is recorded.
    Unknown,
    /// Another worker may be sending it right now. To be looked at again later.
    UnderWay,
}

/// A call for one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Once<'a> {
    /// Postgres and metrics.
    pub(crate) services: &'a Services,
    /// Whose entry it is.
    pub(crate) guild: Option<Id<GuildMarker>>,
    /// The event's id.
    pub(crate) event: &'a str,
    /// Which call, of those that one event may lead to.
    pub(crate) what: &'static str,
}

/// What the claims show before anything is sent.
#[derive(Debug, PartialEq, Eq)]
enum Claimed {
    Now,
    Sent,
    Unknown,
    UnderWay,
    Abandoned,
}

impl Once<'_> {
    /// Makes the call within the given time, unless it was or may have been made.
    ///
    /// # Errors
    /// Discord's, when the call certainly had no effect; `Unavailable` when that it is unknown could not be recorded.
    pub(crate) async fn send<F>(self, call: impl FnOnce(Duration) -> F) -> Result<Outcome, Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let began = Instant::now();
        let claim = match self.claim().await {
            Ok((community, Claimed::Now)) => Some(community),
            Ok((_, Claimed::Sent)) => return Ok(Outcome::Sent),
            Ok((_, Claimed::Unknown)) => return Ok(Outcome::Unknown),
            Ok((_, Claimed::UnderWay)) => return Ok(Outcome::UnderWay),
            Ok((community, Claimed::Abandoned)) => {
                let why = "an earlier attempt ended between sending and recording";
                return self.unknown(Some(community), why).await;
            }
            Err(error) => {
                tracing::warn!(%error, what = self.what, "sent without a claim");
                None
            }
        };
        let left = match claim {
            Some(_) => LONGEST_SEND.saturating_sub(began.elapsed()),
            None => LONGEST_SEND,
        };
        let sent = if left < SHORTEST_SEND {
            Err(Error::Unavailable("claiming the call took too long".to_owned()))
        } else {
            call(left).await
        };
        match sent {
            Ok(()) => {
                if let Some(community) = claim
                    && let Err(error) = self.note(community, "said").await
                {
                    tracing::warn!(%error, what = self.what, "sent, and not recorded");
                }
                Ok(Outcome::Sent)
            }
            Err(Error::OutcomeUnknown(why)) => self.unknown(claim, &why).await,
            Err(error) => {
                if let Some(community) = claim
                    && let Err(error) = self.release(community).await
                {
                    tracing::warn!(%error, what = self.what, "not sent, and its claim stays");
                }
                Err(error)
            }
        }
    }

    fn key(&self) -> String {
        format!("{}#{}", self.event, self.what)
    }

    fn noted(&self, how: &str) -> String {
        format!("{}#{how}", self.key())
    }

    async fn claim(&self) -> Result<(Option<CommunityId>, Claimed), DbError> {
        let database = &self.services.database;
        let community = self.community().await?;
        let key = self.key();
        let all = [key.clone(), self.noted("said"), self.noted("unknown")];
        let ages = if let Some(community) = community {
            let mut tx = database.tenant(community).await?;
            if tx.claim(&key).await? {
                tx.commit().await?;
                return Ok((Some(community), Claimed::Now));
            }
            tx.claim_ages(&all).await?
        } else {
            let mut tx = database.global().await?;
            if tx.claim(&key).await? {
                tx.commit().await?;
                return Ok((None, Claimed::Now));
            }
            tx.claim_ages(&all).await?
        };
        Ok((community, claimed(&ages, &all)))
    }

    async fn community(&self) -> Result<Option<CommunityId>, DbError> {
        match self.guild.map(guild_id) {
            Some(Ok(guild)) => self.services.database.route(guild).await,
            _ => Ok(None),
        }
    }

    async fn note(&self, community: Option<CommunityId>, how: &str) -> Result<(), DbError> {
        let key = self.noted(how);
        match community {
            Some(community) => {
                let mut tx = self.services.database.tenant(community).await?;
                tx.claim(&key).await?;
                tx.commit().await
            }
            None => {
                let mut tx = self.services.database.global().await?;
                tx.claim(&key).await?;
                tx.commit().await
            }
        }
    }

    async fn release(&self, community: Option<CommunityId>) -> Result<(), DbError> {
        match community {
            Some(community) => {
                let mut tx = self.services.database.tenant(community).await?;
                tx.unclaim(&self.key()).await?;
                tx.commit().await
            }
            None => {
                let mut tx = self.services.database.global().await?;
                tx.unclaim(&self.key()).await?;
                tx.commit().await
            }
        }
    }

    /// Records that this worker is about to remove what `what` names.
    ///
    /// # Errors
    /// When Postgres is away: then it must not be removed.
    pub(crate) async fn note_removal(self) -> Result<(), DbError> {
        let community = self.community().await?;
        self.note(community, "removed").await
    }

    /// Whether a worker of ours removed what `what` names, or was about to.
    ///
    /// # Errors
    /// When Postgres is away.
    pub(crate) async fn was_removed(self) -> Result<bool, DbError> {
        if fail_point::skips("worker.guard.removed") {
            return Ok(false);
        }
        let key = [self.noted("removed")];
        let ages = match self.community().await? {
            Some(community) => self.services.database.tenant(community).await?.claim_ages(&key).await?,
            None => self.services.database.global().await?.claim_ages(&key).await?,
        };
        Ok(!ages.is_empty())
    }

    /// Counts and records an unknown outcome. Without a claim (Postgres was away) counting is all that can be done.
    async fn unknown(&self, claimed: Option<Option<CommunityId>>, why: &str) -> Result<Outcome, Error> {
        self.services.metrics.unknown.with_label_values(&[self.what]).inc();
        let why = &recordable(why);
        tracing::warn!(what = self.what, why, "outcome of a Discord call is unknown");
        let Some(community) = claimed else {
            return Ok(Outcome::Unknown);
        };
        match self.write_down(community, why).await {
            Ok(()) => Ok(Outcome::Unknown),
            Err(error) => Err(Error::Unavailable(format!("recording an unknown outcome: {error}"))),
        }
    }

    async fn write_down(&self, community: Option<CommunityId>, why: &str) -> Result<(), DbError> {
        let Some(community) = community else {
            return self.note(None, "unknown").await;
        };
        let mut tx = self.services.database.tenant(community).await?;
        if tx.claim(&self.noted("unknown")).await? {
            tx.audit(&NewAuditEntry {
                actor: Actor::System("worker".to_owned()),
                action: OUTCOME_UNKNOWN,
                subject: self.event,
                reason: Some(why),
                detail: json!({"what": self.what}),
            })
            .await?;
        }
        tx.commit().await
    }

    /// For a call that Discord itself guards and whose outcome is unknown all the same: it is recorded, nothing else.
    pub(crate) async fn record(self, why: &str) {
        self.services.metrics.unknown.with_label_values(&[self.what]).inc();
        let why = &recordable(why);
        let written = match self.community().await {
            Ok(community) => self.write_down(community, why).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!(%error, event = self.event, what = self.what, why, "an unknown outcome could not be recorded");
        }
    }
}

/// A reason as logs and audit entries keep it: without tokens (an answer that an error quotes may repeat the path of the call), and
/// not too long. Tokens are taken out first: the beginning of one has no longer its form.
fn recordable(why: &str) -> String {
    let mut why = redact::text(why);
    why.truncate(why.floor_char_boundary(REASON_BYTES));
    why
}

/// What the committed claims mean: `all` are the claim itself, its `#said` and its `#unknown`.
fn claimed(ages: &HashMap<String, Duration>, all: &[String; 3]) -> Claimed {
    let [key, said, unknown] = all;
    if ages.contains_key(said) {
        return Claimed::Sent;
    }
    if ages.contains_key(unknown) {
        return Claimed::Unknown;
    }
    match ages.get(key) {
        Some(age) if *age >= ABANDONED_AFTER || fail_point::skips("worker.guard.under_way") => Claimed::Abandoned,
        // A claim that is gone was given back this moment: whoever had it did not send.
        Some(_) | None => Claimed::UnderWay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(claims: &[(&str, u64)]) -> Claimed {
        let ages = claims
            .iter()
            .map(|(key, ms)| ((*key).to_owned(), Duration::from_millis(*ms)))
            .collect();
        claimed(&ages, &["k".to_owned(), "k#said".to_owned(), "k#unknown".to_owned()])
    }

    #[test]
    fn a_young_claim_is_under_way_and_an_old_one_is_abandoned() {
        assert_eq!(of(&[("k", 10)]), Claimed::UnderWay);
        assert_eq!(of(&[("k", 4_899)]), Claimed::UnderWay);
        assert_eq!(of(&[("k", 4_900)]), Claimed::Abandoned);
        assert_eq!(of(&[]), Claimed::UnderWay);
    }

    #[test]
    fn a_recorded_reason_holds_no_token_wherever_it_is_cut() {
        let token = format!("aW50ZXJhY3Rpb246{}", "x".repeat(180));
        for before in [0, 30, REASON_BYTES - 60, REASON_BYTES - 20, REASON_BYTES - 3] {
            for quoted in [
                format!("POST /webhooks/1/{token}/messages failed"),
                format!("a body that is no JSON: <h1>{token}</h1>"),
                format!("{{\"token\":\"{token}\"}}"),
            ] {
                let why = format!("{}ü {quoted}", "w ".repeat(before / 2));
                let recorded = recordable(&why);
                assert!(!recorded.contains("aW50ZXJhY3Rp"), "{recorded}");
                assert!(recorded.len() <= REASON_BYTES);
            }
        }
        assert_eq!(recordable("no answer within 700 ms"), "no answer within 700 ms");
    }

    #[test]
    fn a_recorded_result_counts_whatever_the_age() {
        assert_eq!(of(&[("k", 10), ("k#said", 5)]), Claimed::Sent);
        assert_eq!(of(&[("k", 90_000), ("k#said", 80_000)]), Claimed::Sent);
        assert_eq!(of(&[("k", 10), ("k#unknown", 5)]), Claimed::Unknown);
    }

    #[test]
    fn a_call_has_ended_before_its_claim_counts_as_abandoned() {
        assert!(LONGEST_SEND < ABANDONED_AFTER);
        assert!(ABANDONED_AFTER < Duration::from_secs(u64::from(arrakis_contracts::names::RETRY_SECONDS[0])));
    }
}
