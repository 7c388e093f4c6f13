//! The circuit breaker with a real score service: it opens, sends one probe, and closes.

use std::time::{Duration, Instant};

use arrakis_eligibility::{BreakerState, DegradedBecause, Source};
use arrakis_test_support::eventually;

use crate::score_double::{Behaviour, ScoreDouble};
use crate::setup::{Chain, Provider, chains, provider, settings};

async fn source(test: &Provider, chain: &Chain, wallet: u64) -> Source {
    test.provider.answer(&chain.question(wallet)).await.unwrap().source
}

#[tokio::test]
async fn open_breaker_sends_nothing_until_its_probe_succeeds() {
    let (chain, score) = (
        Chain::start().await,
        ScoreDouble::start(Behaviour::Status(503, "")).await,
    );
    let mut limits = settings();
    limits.breaker.open_for = Duration::from_secs(2);
    let test = provider(chains(chain.anvil.url()), Some(&score), limits);
    for _ in 0..5 {
        assert_eq!(
            source(&test, &chain, 1).await,
            Source::Degraded(DegradedBecause::Failed)
        );
    }
    assert_eq!(test.state(), BreakerState::Open);
    for _ in 0..5 {
        assert_eq!(
            source(&test, &chain, 1).await,
            Source::Degraded(DegradedBecause::BreakerOpen)
        );
    }
    assert_eq!(score.requests(), 5);

    // The provider sends the probe itself, at the end of the pause.
    eventually(async || score.requests() >= 6, "the probe").await;
    eventually(async || test.state() == BreakerState::Open, "the end of the probe").await;
    assert_eq!(
        source(&test, &chain, 1).await,
        Source::Degraded(DegradedBecause::BreakerOpen)
    );

    // It closes without a question.
    score.behave(Behaviour::Rank(42, Duration::from_millis(100)));
    let closed = async || test.state() == BreakerState::Closed;
    eventually(closed, "the breaker to close without a question").await;
    let status = test.provider.breaker().unwrap().borrow().clone();
    assert_eq!((status.since, status.probe_at, status.cause), (None, None, None));
    assert_eq!(source(&test, &chain, 2).await, Source::Score);
}

#[tokio::test]
async fn hanging_score_service_costs_the_limit_only_until_the_breaker_opens() {
    let (chain, score) = (Chain::start().await, ScoreDouble::start(Behaviour::Hang).await);
    let mut limits = settings();
    limits.score_timeout = Duration::from_millis(300);
    limits.breaker.open_for = Duration::from_secs(30);
    let test = provider(chains(chain.anvil.url()), Some(&score), limits);
    for _ in 0..5 {
        assert_eq!(source(&test, &chain, 1).await, Source::Degraded(DegradedBecause::Late));
    }
    let began = Instant::now();
    assert_eq!(
        source(&test, &chain, 1).await,
        Source::Degraded(DegradedBecause::BreakerOpen)
    );
    assert!(began.elapsed() < Duration::from_millis(290), "{:?}", began.elapsed());
    let cause = test.provider.breaker().unwrap().borrow().cause.clone();
    assert_eq!(cause.as_deref(), Some("no complete response within 300 ms"));
}

#[tokio::test]
async fn flapping_score_service_opens_the_breaker() {
    let (chain, score) = (Chain::start().await, ScoreDouble::start(Behaviour::Flapping).await);
    let mut limits = settings();
    // No probe within the test.
    limits.breaker.open_for = Duration::from_secs(30);
    let test = provider(chains(chain.anvil.url()), Some(&score), limits);
    let mut sources = Vec::new();
    for _ in 0..6 {
        sources.push(source(&test, &chain, 1).await);
    }
    let scores = sources.iter().filter(|source| **source == Source::Score).count();
    assert_eq!(scores, 3, "{sources:?}");
    assert_eq!((test.state(), score.requests()), (BreakerState::Open, 6));
}
