//! [`EligibilityProvider`]: reads both tiers at the same time and returns the best answer within a fixed time.

use std::sync::{Arc, Weak};

use arrakis_cache::Cache;
use arrakis_chain::{Chains, TokenStandard};
use arrakis_config::ScoreApi;
use arrakis_domain::{Address, U256};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::answer::{Answer, DegradedBecause, Holding, Question, Score, Source, Tier, Unanswered};
use crate::breaker::{BreakerStatus, CircuitBreaker};
use crate::in_flight::{InFlight, InProgress};
use crate::native::NativeReader;
use crate::observer::ProviderObserver;
use crate::score::{ScoreClient, ScoreFailure};
use crate::settings::ProviderSettings;
use crate::stored::StoredAnswers;

/// Identity of a question: concurrent questions with the same identity are one request.
type QuestionKey = (u64, Address, TokenStandard, Vec<U256>, Address);
type ScoreResult = Result<Score, ScoreFailure>;
/// `None` when the chain gave no answer.
type NativeResult = Option<Holding>;

/// Answers questions about wallets from the chain and the score service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EligibilityProvider {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ProviderSettings,
    native: NativeReader,
    reading: InFlight<QuestionKey, NativeResult>,
    score: Option<ScoreTier>,
    stored: StoredAnswers,
    observer: Arc<dyn ProviderObserver>,
}

/// The score service with its circuit breaker.
#[derive(Debug)]
struct ScoreTier {
    client: ScoreClient,
    breaker: Arc<CircuitBreaker>,
    requests: InFlight<QuestionKey, ScoreResult>,
}

impl EligibilityProvider {
    /// A provider; without `score` it has tier 1 only. Sends nothing.
    ///
    /// # Errors
    /// The key of the score service cannot be sent in a header, or the HTTP client cannot be built.
    pub fn new(
        chains: Chains,
        score: Option<&ScoreApi>,
        cache: Cache,
        settings: ProviderSettings,
        observer: Arc<dyn ProviderObserver>,
    ) -> Result<Self, String> {
        let tier = |api: &ScoreApi| {
            Ok::<_, String>(ScoreTier {
                client: ScoreClient::new(api, &settings)?,
                breaker: Arc::new(CircuitBreaker::new(settings.breaker)),
                requests: InFlight::default(),
            })
        };
        Ok(Self {
            shared: Arc::new(Shared {
                native: NativeReader::new(chains, settings.native_timeout),
                reading: InFlight::default(),
                score: score.map(tier).transpose()?,
                stored: StoredAnswers::new(cache, &settings),
                settings,
                observer,
            }),
        })
    }

    /// The reader of the chains (tier 1), without score service and stored answers.
    #[must_use]
    pub fn native(&self) -> &NativeReader {
        &self.shared.native
    }

    /// The circuit breaker of the score service and each change of its state; `None` when no score service is configured.
    #[must_use]
    pub fn breaker(&self) -> Option<watch::Receiver<BreakerStatus>> {
        self.shared.score.as_ref().map(|score| score.breaker.status())
    }

    /// Answers a question within [`ProviderSettings::answer_limit`], plus the time of Redis (at most 0.5 s).
    ///
    /// Both tiers are read at the same time. When the score service does not respond, the chain stands in for it; when neither
    /// responds, a stored answer does.
    ///
    /// # Errors
    /// There is no answer: the caller uses the ranking.
    pub async fn answer(&self, question: &Question) -> Result<Answer, Unanswered> {
        let began = Instant::now();
        let result = self.find(question, began).await;
        let source = result.as_ref().map_or("none", |answer| answer.source.name());
        self.shared.observer.answered(source, began.elapsed());
        result
    }

    async fn find(&self, question: &Question, began: Instant) -> Result<Answer, Unanswered> {
        let shared = &self.shared;
        let is_on_chain = question.is_on_chain();
        let has_chain = is_on_chain && shared.native.has_chain(question.chain_id);
        if !has_chain && shared.score.is_none() {
            return Err(if is_on_chain {
                Unanswered::NotConfigured
            } else {
                Unanswered::NotReadable
            });
        }
        if let Some(answer) = shared.stored.fresh(question, shared.score.is_some()).await {
            return Ok(answer);
        }
        let deadline = began + shared.settings.answer_limit;
        let reading = has_chain.then(|| self.read_chain(question));
        let request = shared.score.as_ref().map(|score| self.request_score(score, question));
        let (holding, score) = tokio::join!(within(deadline, reading), within(deadline, request));
        match (holding.flatten(), score) {
            (holding, Some(Ok(score))) => Ok(Answer {
                source: Source::Score,
                holding: holding.unwrap_or_else(|| score.holding()),
                score: Some(score),
            }),
            (Some(holding), failed) => Ok(Answer {
                source: self.source_without_score(failed),
                holding,
                score: None,
            }),
            (None, _) => shared.stored.usable(question).await.ok_or(Unanswered::NoResponse),
        }
    }

    /// The source of an answer of the chain alone. `failed` is the result of the score service, if it ended in time.
    fn source_without_score(&self, failed: Option<ScoreResult>) -> Source {
        match (&self.shared.score, failed) {
            (None, _) => Source::Native,
            (Some(_), Some(Err(failure))) => Source::Degraded(failure.because()),
            (Some(_), _) => Source::Degraded(DegradedBecause::Late),
        }
    }

    /// Reads the chain, or joins a reading in progress.
    fn read_chain(&self, question: &Question) -> InProgress<NativeResult> {
        let shared = &self.shared;
        shared.reading.join_or_start(&key(question), || {
            let (native, stored, question) = (shared.native.clone(), shared.stored.clone(), question.clone());
            async move {
                let Question {
                    chain_id,
                    token,
                    wallet,
                } = &question;
                match native.get_balance(*chain_id, token, *wallet).await {
                    Ok(held) => {
                        let holding = Holding {
                            held,
                            as_of: OffsetDateTime::now_utc(),
                            tier: Tier::Native,
                        };
                        stored.store_holding(&question, holding).await;
                        Some(holding)
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot read the balance of a wallet from the chain");
                        None
                    }
                }
            }
        })
    }

    /// Sends a request to the score service, or joins one in progress. Refused at once while the circuit breaker is open. The failure that
    /// opens the breaker schedules the probe.
    fn request_score(&self, score: &ScoreTier, question: &Question) -> InProgress<ScoreResult> {
        let shared = &self.shared;
        let provider = Arc::downgrade(shared);
        score.requests.join_or_start(&key(question), || {
            let permit = score.breaker.permit();
            let (client, observer) = (score.client.clone(), Arc::clone(&shared.observer));
            let (stored, question) = (shared.stored.clone(), question.clone());
            async move {
                let began = Instant::now();
                let Some(permit) = permit else {
                    observer.score_requested(ScoreFailure::BreakerOpen.name(), began.elapsed());
                    return Err(ScoreFailure::BreakerOpen);
                };
                let result = client.score(&question).await;
                match &result {
                    Ok(_) | Err(ScoreFailure::NotCovered) => permit.succeeded(),
                    Err(failure) => {
                        if let Some(probe_at) = permit.failed(&failure.to_string()) {
                            probe(provider, probe_at, question.clone());
                        }
                    }
                }
                let outcome = result.as_ref().map_or_else(ScoreFailure::name, |_| "ok");
                observer.score_requested(outcome, began.elapsed());
                match &result {
                    Ok(score) => stored.store_score(&question, score).await,
                    Err(failure) => tracing::debug!(%failure, "request to the score service failed"),
                }
                result
            }
        })
    }
}

/// Sends a question again when the pause of the circuit breaker is over: without a member's question it would stay open.
fn probe(shared: Weak<Shared>, at: Instant, question: Question) {
    tokio::spawn(async move {
        sleep_until(at).await;
        let Some(shared) = shared.upgrade() else { return };
        let provider = EligibilityProvider { shared };
        let Some(score) = &provider.shared.score else { return };
        // A request that began before the breaker opened may be in progress; it is not the probe.
        while score.breaker.is_probe_due() {
            provider.request_score(score, &question).await;
        }
    });
}

/// The result of a request that ended before the deadline; `None` for no request, a late one, and one whose task panicked.
async fn within<V: Clone>(deadline: Instant, request: Option<InProgress<V>>) -> Option<V> {
    timeout_at(deadline, request?).await.ok().flatten()
}

fn key(question: &Question) -> QuestionKey {
    let token = &question.token;
    (
        question.chain_id,
        token.contract,
        token.standard,
        token.ids.clone(),
        question.wallet,
    )
}
