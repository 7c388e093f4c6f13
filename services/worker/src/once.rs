//! What Discord cannot recognise when it is said twice: a follow-up has no nonce, and no second one is refused.
//!
//! Such words are said at most once. A claim is committed before ("may have been said"), another after Discord's answer
//! ("was said"). Who finds the first without the second cannot tell, and neither can Discord: the words are not said again,
//! and that nobody can tell is written down (an audit entry `discord.outcome_unknown` where there is a community, a row of
//! the platform's inbox where there is none, and a metric). While Postgres is away the words are said without a claim: that a
//! member hears something is worth more than that they cannot hear it twice.

use arrakis_db::{Actor, CommunityId, DbError, NewAuditEntry};
use arrakis_discord::Error;
use serde_json::json;
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use crate::community::guild_id;
use crate::services::Services;

/// Action of the audit entry.
pub const OUTCOME_UNKNOWN: &str = "discord.outcome_unknown";

/// Longest reason that is written down.
const REASON_BYTES: usize = 400;

/// What became of words that are said at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// Now, or by an earlier attempt.
    Yes,
    /// Nobody can tell, and that is written down.
    Unknown,
}

/// Words for one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Once<'a> {
    /// Postgres and metrics.
    pub(crate) services: &'a Services,
    /// Whose entry it is.
    pub(crate) guild: Option<Id<GuildMarker>>,
    /// The event's id.
    pub(crate) event: &'a str,
    /// Which words, of those that one event may lead to.
    pub(crate) what: &'static str,
}

/// What the claims say before anything is sent.
enum Begun {
    First,
    Said,
    Unknown,
}

impl Once<'_> {
    /// Says them, unless they were or may have been said.
    ///
    /// # Errors
    /// Discord's, when the words were certainly not said; or `Unavailable`, when they may have been and that could not be
    /// written down.
    pub(crate) async fn say(self, send: impl Future<Output = Result<(), Error>>) -> Result<Said, Error> {
        let community = match self.begin().await {
            Ok((community, Begun::First)) => Some(community),
            Ok((_, Begun::Said)) => return Ok(Said::Yes),
            Ok((community, Begun::Unknown)) => {
                let why = "an earlier attempt ended between saying and noting it";
                return self.unknown(Some(community), why).await;
            }
            Err(error) => {
                tracing::warn!(%error, what = self.what, "said without a claim");
                None
            }
        };
        match send.await {
            Ok(()) => {
                if let Some(community) = community
                    && let Err(error) = self.note(community, "said").await
                {
                    tracing::warn!(%error, what = self.what, "said, and not noted");
                }
                Ok(Said::Yes)
            }
            Err(Error::OutcomeUnknown(why)) => self.unknown(community, &why).await,
            Err(error) => {
                if let Some(community) = community
                    && let Err(error) = self.release(community).await
                {
                    tracing::warn!(%error, what = self.what, "not said, and its claim stays");
                }
                Err(error)
            }
        }
    }

    fn key(&self) -> String {
        format!("{}#{}", self.event, self.what)
    }

    async fn begin(&self) -> Result<(Option<CommunityId>, Begun), DbError> {
        let database = &self.services.database;
        let community = self.community().await?;
        let (key, said) = (self.key(), format!("{}#said", self.key()));
        // A claim that succeeds where it was only asked for is rolled back with its transaction.
        let begun = if let Some(community) = community {
            let mut tx = database.tenant(community).await?;
            if tx.claim(&key).await? {
                tx.commit().await?;
                Begun::First
            } else {
                asked(tx.claim(&said).await?)
            }
        } else {
            let mut tx = database.global().await?;
            if tx.claim(&key).await? {
                tx.commit().await?;
                Begun::First
            } else {
                asked(tx.claim(&said).await?)
            }
        };
        Ok((community, begun))
    }

    async fn community(&self) -> Result<Option<CommunityId>, DbError> {
        match self.guild.map(guild_id) {
            Some(Ok(guild)) => self.services.database.route(guild).await,
            _ => Ok(None),
        }
    }

    async fn note(&self, community: Option<CommunityId>, how: &str) -> Result<(), DbError> {
        let key = format!("{}#{how}", self.key());
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

    /// Counts and writes down that nobody can tell. Without a claim (Postgres was away) counting is all that can be done.
    async fn unknown(&self, claimed: Option<Option<CommunityId>>, why: &str) -> Result<Said, Error> {
        self.services.metrics.unknown.with_label_values(&[self.what]).inc();
        tracing::warn!(what = self.what, why, "whether Discord has it is not known");
        let Some(community) = claimed else {
            return Ok(Said::Unknown);
        };
        match self.write_down(community, why).await {
            Ok(()) => Ok(Said::Unknown),
            Err(error) => Err(Error::Unavailable(format!(
                "writing down that an outcome is unknown: {error}"
            ))),
        }
    }

    async fn write_down(&self, community: Option<CommunityId>, why: &str) -> Result<(), DbError> {
        let Some(community) = community else {
            return self.note(None, "unknown").await;
        };
        let mut tx = self.services.database.tenant(community).await?;
        if tx.claim(&format!("{}#unknown", self.key())).await? {
            tx.audit(&NewAuditEntry {
                actor: Actor::System("worker".to_owned()),
                action: OUTCOME_UNKNOWN,
                subject: self.event,
                reason: Some(&why[..why.floor_char_boundary(REASON_BYTES)]),
                detail: json!({"what": self.what}),
            })
            .await?;
        }
        tx.commit().await
    }

    /// For a call that Discord itself guards and that still came to no answer within its time: written down, nothing else.
    pub(crate) async fn record(self, why: &str) -> Said {
        self.services.metrics.unknown.with_label_values(&[self.what]).inc();
        let written = match self.community().await {
            Ok(community) => self.write_down(community, why).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!(%error, event = self.event, what = self.what, why, "an unknown outcome could not be written down");
        }
        Said::Unknown
    }
}

fn asked(is_new: bool) -> Begun {
    if is_new { Begun::Unknown } else { Begun::Said }
}
