//! Answers stored in Redis, each tier's under its own key, with the time at which they were received.

use std::time::Duration;

use arrakis_cache::{Cache, CacheKey, Ttl};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::answer::{Answer, Holding, Question, Score, Source};
use crate::settings::ProviderSettings;

/// The stored answers in Redis. Without Redis nothing is found and nothing is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredAnswers {
    cache: Cache,
    fresh_for: Duration,
    usable_for: Duration,
}

/// A stored value with the time at which it was received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stored<T> {
    #[serde(with = "time::serde::timestamp::milliseconds")]
    received_at: OffsetDateTime,
    value: T,
}

impl<T> Stored<T> {
    /// Time since it was received. Another worker's clock may be ahead.
    fn age(&self) -> Duration {
        Duration::try_from(OffsetDateTime::now_utc() - self.received_at).unwrap_or(Duration::ZERO)
    }
}

impl StoredAnswers {
    /// Stored answers in this cache, used up to the ages of `settings`.
    pub(crate) const fn new(cache: Cache, settings: &ProviderSettings) -> Self {
        Self {
            cache,
            fresh_for: settings.fresh_for,
            usable_for: settings.usable_for,
        }
    }

    /// A stored answer that needs no request. With a score service, it must contain a score.
    pub(crate) async fn fresh(&self, question: &Question, with_score: bool) -> Option<Answer> {
        if self.fresh_for.is_zero() {
            return None;
        }
        self.latest(question, self.fresh_for)
            .await
            .filter(|answer| answer.score.is_some() || !with_score)
    }

    /// A stored answer for a question that neither tier answers.
    pub(crate) async fn usable(&self, question: &Question) -> Option<Answer> {
        self.latest(question, self.usable_for).await
    }

    /// The stored parts that are not older than `limit`.
    async fn latest(&self, question: &Question, limit: Duration) -> Option<Answer> {
        let (holding, score) = tokio::join!(
            self.read::<Holding>("holding", question, limit),
            self.read::<Score>("score", question, limit)
        );
        let ages = [holding.as_ref().map(Stored::age), score.as_ref().map(Stored::age)];
        let age = ages.into_iter().flatten().max()?;
        let score = score.map(|stored| stored.value);
        let holding = match (holding, &score) {
            (Some(holding), _) => holding.value,
            (None, Some(score)) => score.holding(),
            (None, None) => return None,
        };
        Some(Answer {
            source: Source::Cache { age },
            holding,
            score,
        })
    }

    async fn read<T: DeserializeOwned>(&self, kind: &str, question: &Question, limit: Duration) -> Option<Stored<T>> {
        let stored: Stored<T> = self.cache.stored(&key(kind, question)).await?;
        (stored.age() <= limit).then_some(stored)
    }

    /// Stores what the chain reported. A failure of Redis is ignored.
    pub(crate) async fn store_holding(&self, question: &Question, holding: Holding) {
        self.store("holding", question, holding).await;
    }

    /// Stores the rating of the score service. A failure of Redis is ignored.
    pub(crate) async fn store_score(&self, question: &Question, score: &Score) {
        self.store("score", question, score).await;
    }

    async fn store<T: Serialize>(&self, kind: &str, question: &Question, value: T) {
        let stored = Stored {
            received_at: OffsetDateTime::now_utc(),
            value,
        };
        // Without Redis nothing is stored; the answer does not depend on it.
        self.cache
            .store(&key(kind, question), Ttl::of(self.usable_for), &stored)
            .await;
    }
}

/// The key of a stored part. The ids are a part of the token: other ids are another holding.
fn key(kind: &str, question: &Question) -> CacheKey {
    let ids: Vec<String> = question.token.ids.iter().map(ToString::to_string).collect();
    let standard = question.token.standard;
    CacheKey::new(
        "eligibility",
        &[
            &kind,
            &question.chain_id,
            &question.token.contract,
            &format!("{standard:?}").to_lowercase(),
            &ids.join(","),
            &question.wallet,
        ],
    )
}
