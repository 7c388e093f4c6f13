//! Discord calls that take effect each time they are made: a follow-up has no nonce, and a second one is not refused.
//!
//! Such a call is made at most once. A claim is committed in the inbox before the call, and a second one (`#said`) after Discord's
//! response. A claim without the second one means one of three things, depending on its age on Postgres' clock:
//!
//! - Younger than 4.9 s: another worker may be sending at this moment. The message is retried.
//! - Older: the worker that claimed it ended between sending and recording. The outcome is unknown, and that is recorded: an audit
//!   entry `discord.outcome_unknown` if there is a community, a row of the platform's inbox if there is none, and a metric.
//! - Recorded as unknown before (`#unknown`): nothing more is done.
//!
//! While Postgres is unavailable the call is made without a claim: a reply that is sent twice is better than none.

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

/// Longest time from the start of a claim to the end of its call.
const SEND_LIMIT: Duration = Duration::from_secs(4);
/// A call is started only with at least this much time left.
const SHORTEST_SEND: Duration = Duration::from_millis(500);
/// A claim of this age has no call in progress: [`SEND_LIMIT`], and time to record the result. Below the first retry's 5 s.
const ABANDONED_AFTER: Duration = Duration::from_millis(4_900);
/// Suffixes of further claims about a call. They are stored, so the names stay as earlier builds wrote them.
const SENT: &str = "said";
const UNKNOWN: &str = "unknown";
const DELETED: &str = "removed";
/// Longest reason in an audit entry.
const REASON_BYTES: usize = 400;

/// The outcome of a call that is made at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    /// It took effect, in this attempt or an earlier one.
    Sent,
    /// Whether it took effect is unknown, and that is recorded.
    Unknown,
    /// Another worker may be sending it at this moment. The message is to be retried.
    InProgress,
}

/// A call that one event leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtMostOnce<'a> {
    /// Postgres and metrics.
    pub(crate) services: &'a Services,
    /// The event's server; `None` in direct messages.
    pub(crate) guild: Option<Id<GuildMarker>>,
    /// The event's id.
    pub(crate) event: &'a str,
    /// Name of the call among those of the event.
    pub(crate) call: &'static str,
}

/// The state of a claim before the call is made.
#[derive(Debug, PartialEq, Eq)]
enum ClaimState {
    /// Claimed now, by this attempt.
    Claimed,
    Sent,
    Unknown,
    InProgress,
    Abandoned,
}

/// The inbox that contains an event's claims.
#[derive(Debug, Clone, Copy)]
enum Inbox {
    Community(CommunityId),
    /// For an event of no community.
    Platform,
}

impl AtMostOnce<'_> {
    /// Makes the call within its time limit, unless it was made or may have been made.
    ///
    /// # Errors
    /// Discord's, if the call had no effect; `Unavailable` if an unknown outcome could not be recorded.
    pub(crate) async fn send<F>(self, call: impl FnOnce(Duration) -> F) -> Result<SendOutcome, Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let started = Instant::now();
        let claim = match self.claim().await {
            Ok((inbox, ClaimState::Claimed)) => Some(inbox),
            Ok((_, ClaimState::Sent)) => return Ok(SendOutcome::Sent),
            Ok((_, ClaimState::Unknown)) => return Ok(SendOutcome::Unknown),
            Ok((_, ClaimState::InProgress)) => return Ok(SendOutcome::InProgress),
            Ok((inbox, ClaimState::Abandoned)) => {
                let why = "an earlier attempt ended between sending and recording";
                return self.finish_unknown(Some(inbox), why).await;
            }
            Err(error) => {
                tracing::warn!(%error, call = self.call, "sending without a claim: Postgres is unavailable");
                None
            }
        };
        let left = match claim {
            Some(_) => SEND_LIMIT.saturating_sub(started.elapsed()),
            None => SEND_LIMIT,
        };
        let sent = if left < SHORTEST_SEND {
            Err(Error::Unavailable("claiming the call took too long".to_owned()))
        } else {
            call(left).await
        };
        match sent {
            Ok(()) => {
                if let Some(inbox) = claim
                    && let Err(error) = self.claim_note(inbox, SENT).await
                {
                    tracing::warn!(%error, call = self.call, "the call took effect, but that could not be recorded");
                }
                Ok(SendOutcome::Sent)
            }
            Err(Error::OutcomeUnknown(why)) => self.finish_unknown(claim, &why).await,
            Err(error) => {
                if let Some(inbox) = claim
                    && let Err(error) = self.release(inbox).await
                {
                    tracing::warn!(%error, call = self.call, "the call had no effect, but its claim could not be released");
                }
                Err(error)
            }
        }
    }

    /// Records that this worker is about to delete the message that `call` names.
    ///
    /// # Errors
    /// If Postgres is unavailable; the message must then not be deleted.
    pub(crate) async fn record_deletion(self) -> Result<(), DbError> {
        let inbox = self.inbox().await?;
        self.claim_note(inbox, DELETED).await
    }

    /// Whether a worker deleted the message that `call` names, or was about to.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub(crate) async fn was_deleted(self) -> Result<bool, DbError> {
        if fail_point::skips("worker.guard.removed") {
            return Ok(false);
        }
        let note = [self.note(DELETED)];
        let ages = match self.inbox().await? {
            Inbox::Community(id) => self.services.database.tenant(id).await?.claim_ages(&note).await?,
            Inbox::Platform => self.services.database.global().await?.claim_ages(&note).await?,
        };
        Ok(!ages.is_empty())
    }

    /// Records the unknown outcome of a call that Discord itself guards against repetition.
    pub(crate) async fn record_unknown(self, why: &str) {
        self.services
            .metrics
            .unknown_outcomes
            .with_label_values(&[self.call])
            .inc();
        let why = &recordable(why);
        let recorded = match self.inbox().await {
            Ok(inbox) => self.record_in(inbox, why).await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::error!(%error, event = self.event, call = self.call, why, "an unknown outcome could not be recorded");
        }
    }

    fn key(&self) -> String {
        format!("{}#{}", self.event, self.call)
    }

    /// Key of a further claim that notes something about the call.
    fn note(&self, what: &str) -> String {
        format!("{}#{what}", self.key())
    }

    async fn inbox(&self) -> Result<Inbox, DbError> {
        let Some(Ok(guild)) = self.guild.map(guild_id) else {
            return Ok(Inbox::Platform);
        };
        let community = self.services.database.route(guild).await?;
        Ok(community.map_or(Inbox::Platform, Inbox::Community))
    }

    async fn claim(&self) -> Result<(Inbox, ClaimState), DbError> {
        let database = &self.services.database;
        let inbox = self.inbox().await?;
        let key = self.key();
        let all = [key.clone(), self.note(SENT), self.note(UNKNOWN)];
        let ages = match inbox {
            Inbox::Community(id) => {
                let mut tx = database.tenant(id).await?;
                if tx.claim(&key).await? {
                    tx.commit().await?;
                    return Ok((inbox, ClaimState::Claimed));
                }
                tx.claim_ages(&all).await?
            }
            Inbox::Platform => {
                let mut tx = database.global().await?;
                if tx.claim(&key).await? {
                    tx.commit().await?;
                    return Ok((inbox, ClaimState::Claimed));
                }
                tx.claim_ages(&all).await?
            }
        };
        Ok((inbox, claim_state(&ages, &all)))
    }

    async fn claim_note(&self, inbox: Inbox, what: &str) -> Result<(), DbError> {
        let note = self.note(what);
        match inbox {
            Inbox::Community(id) => {
                let mut tx = self.services.database.tenant(id).await?;
                tx.claim(&note).await?;
                tx.commit().await
            }
            Inbox::Platform => {
                let mut tx = self.services.database.global().await?;
                tx.claim(&note).await?;
                tx.commit().await
            }
        }
    }

    async fn release(&self, inbox: Inbox) -> Result<(), DbError> {
        match inbox {
            Inbox::Community(id) => {
                let mut tx = self.services.database.tenant(id).await?;
                tx.release_claim(&self.key()).await?;
                tx.commit().await
            }
            Inbox::Platform => {
                let mut tx = self.services.database.global().await?;
                tx.release_claim(&self.key()).await?;
                tx.commit().await
            }
        }
    }

    /// Counts and records an unknown outcome. Without a claim (Postgres was unavailable) it is only counted and logged.
    async fn finish_unknown(&self, claim: Option<Inbox>, why: &str) -> Result<SendOutcome, Error> {
        self.services
            .metrics
            .unknown_outcomes
            .with_label_values(&[self.call])
            .inc();
        let why = &recordable(why);
        tracing::warn!(call = self.call, why, "the outcome of a Discord call is unknown");
        let Some(inbox) = claim else {
            return Ok(SendOutcome::Unknown);
        };
        match self.record_in(inbox, why).await {
            Ok(()) => Ok(SendOutcome::Unknown),
            Err(error) => Err(Error::Unavailable(format!("recording an unknown outcome: {error}"))),
        }
    }

    async fn record_in(&self, inbox: Inbox, why: &str) -> Result<(), DbError> {
        let Inbox::Community(id) = inbox else {
            return self.claim_note(inbox, UNKNOWN).await;
        };
        let mut tx = self.services.database.tenant(id).await?;
        if tx.claim(&self.note(UNKNOWN)).await? {
            tx.audit(&NewAuditEntry {
                actor: Actor::System("worker".to_owned()),
                action: OUTCOME_UNKNOWN,
                subject: self.event,
                reason: Some(why),
                detail: json!({"what": self.call}),
            })
            .await?;
        }
        tx.commit().await
    }
}

/// A reason as logs and audit entries contain it: without tokens (a quoted response may repeat the path of the call), and of bounded
/// length. Tokens are removed first, since the beginning of one is not recognised.
fn recordable(why: &str) -> String {
    let mut why = redact::text(why);
    why.truncate(why.floor_char_boundary(REASON_BYTES));
    why
}

/// The state of a call by its committed claims: `all` are the claim itself, its `#said` and its `#unknown`.
fn claim_state(ages: &HashMap<String, Duration>, all: &[String; 3]) -> ClaimState {
    let [key, sent, unknown] = all;
    if ages.contains_key(sent) {
        return ClaimState::Sent;
    }
    if ages.contains_key(unknown) {
        return ClaimState::Unknown;
    }
    match ages.get(key) {
        Some(age) if *age >= ABANDONED_AFTER || fail_point::skips("worker.guard.under_way") => ClaimState::Abandoned,
        // A claim that has disappeared was released a moment ago: its call had no effect, and its message is retried too.
        Some(_) | None => ClaimState::InProgress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_of(claims: &[(&str, u64)]) -> ClaimState {
        let ages = claims
            .iter()
            .map(|(key, ms)| ((*key).to_owned(), Duration::from_millis(*ms)))
            .collect();
        claim_state(&ages, &["k".to_owned(), "k#said".to_owned(), "k#unknown".to_owned()])
    }

    #[test]
    fn young_claim_is_in_progress_and_old_claim_is_abandoned() {
        assert_eq!(state_of(&[("k", 10)]), ClaimState::InProgress);
        assert_eq!(state_of(&[("k", 4_899)]), ClaimState::InProgress);
        assert_eq!(state_of(&[("k", 4_900)]), ClaimState::Abandoned);
        assert_eq!(state_of(&[]), ClaimState::InProgress);
    }

    #[test]
    fn recorded_reason_contains_no_token_wherever_it_is_cut() {
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
    fn recorded_result_decides_at_any_age() {
        assert_eq!(state_of(&[("k", 10), ("k#said", 5)]), ClaimState::Sent);
        assert_eq!(state_of(&[("k", 90_000), ("k#said", 80_000)]), ClaimState::Sent);
        assert_eq!(state_of(&[("k", 10), ("k#unknown", 5)]), ClaimState::Unknown);
    }

    #[test]
    fn call_ends_before_its_claim_is_abandoned() {
        assert!(SEND_LIMIT < ABANDONED_AFTER);
        assert!(ABANDONED_AFTER < Duration::from_secs(u64::from(arrakis_contracts::names::RETRY_SECONDS[0])));
    }
}
