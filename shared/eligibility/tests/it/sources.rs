//! The source of an answer, for every way in which a tier can fail.

use std::time::{Duration, Instant};

use arrakis_chain::{Chains, TokenStandard};
use arrakis_domain::{Rank, U256};
use arrakis_eligibility::{BreakerState, DegradedBecause, ProviderSettings, Source, Tier, Unanswered};
use arrakis_test_support::address_of;
use futures_util::future::join_all;

use crate::score_double::{Behaviour, KEY, ScoreDouble};
use crate::setup::{Chain, NO_LISTENER, chains, provider, settings};

#[tokio::test]
async fn score_is_joined_with_the_holding_on_the_chain() {
    let (chain, score) = (Chain::start().await, ScoreDouble::healthy().await);
    let test = provider(chains(chain.anvil.url()), Some(&score), settings());
    let answer = test.provider.answer(&chain.question(3)).await.unwrap();
    assert_eq!(answer.source, Source::Score);
    assert_eq!(
        (answer.holding.held, answer.holding.tier),
        (U256::from(3), Tier::Native)
    );
    let rating = answer.score.unwrap();
    assert_eq!(
        (rating.rank, rating.activity, rating.held),
        (Rank::new(42), Some(87), U256::from(5_000))
    );
    assert_eq!(
        score.last(),
        format!("80094/{}/{}", chain.token.address(), address_of(3)),
        "path of the request"
    );
    assert_eq!(*test.reported.sources.lock(), ["score"]);
    assert_eq!(*test.reported.outcomes.lock(), ["ok"]);
}

#[tokio::test]
async fn ids_of_a_token_are_sent() {
    let score = ScoreDouble::healthy().await;
    let test = provider(Chains::default(), Some(&score), settings());
    let mut question = crate::setup::question(address_of(9), address_of(1));
    question.token.standard = TokenStandard::Erc721;
    question.token.ids = vec![U256::from(5), U256::from(7)];
    test.provider.answer(&question).await.unwrap();
    assert!(score.last().ends_with("?token_ids=5%2C7"), "{}", score.last());
}

#[tokio::test]
async fn chain_answers_where_no_score_service_is_configured() {
    let chain = Chain::start().await;
    let test = provider(chains(chain.anvil.url()), None, settings());
    let answer = test.provider.answer(&chain.question(2)).await.unwrap();
    assert_eq!((answer.source, answer.holding.held), (Source::Native, U256::from(2)));
    assert_eq!(answer.score, None);
    assert!(test.provider.breaker().is_none());
}

#[tokio::test]
async fn score_service_answers_where_the_chain_does_not() {
    let score = ScoreDouble::healthy().await;
    let unreachable = chains(&format!("http://{NO_LISTENER}"));
    for chains in [Chains::default(), unreachable] {
        let test = provider(chains, Some(&score), settings());
        let question = crate::setup::question(address_of(9), address_of(1));
        let answer = test.provider.answer(&question).await.unwrap();
        assert_eq!(answer.source, Source::Score);
        assert_eq!(
            (answer.holding.held, answer.holding.tier),
            (U256::from(5_000), Tier::Score)
        );
    }
}

#[tokio::test]
async fn chain_stands_in_for_a_score_service_that_fails() {
    use DegradedBecause::{Failed, Late};
    let (chain, other) = (Chain::start().await, ScoreDouble::healthy().await);
    let redirect = format!("{}/v1/chains/80094/tokens/a/wallets/b", other.url());
    for (behaviour, because, outcome) in [
        (Behaviour::Status(500, "{}"), Failed, "status"),
        (Behaviour::Status(429, "{}"), Failed, "status"),
        (Behaviour::Status(403, "{}"), Failed, "unauthorized"),
        (Behaviour::Status(404, "not here"), Failed, "status"),
        (Behaviour::Status(204, ""), Failed, "status"),
        (Behaviour::Status(200, "<html>maintenance</html>"), Failed, "malformed"),
        (Behaviour::Status(200, "{}"), Failed, "malformed"),
        (Behaviour::Status(200, ""), Failed, "malformed"),
        (Behaviour::OtherWallet, Failed, "malformed"),
        (Behaviour::Huge, Failed, "too_large"),
        (Behaviour::CutOff, Failed, "transport"),
        (Behaviour::Redirect(redirect), Failed, "status"),
        (Behaviour::Hang, Late, "timed_out"),
        (Behaviour::HangInBody, Late, "timed_out"),
    ] {
        let name = format!("{behaviour:?}");
        let score = ScoreDouble::start(behaviour).await;
        let limits = ProviderSettings {
            answer_limit: Duration::from_millis(1_000),
            score_timeout: Duration::from_millis(900),
            ..settings()
        };
        let test = provider(chains(chain.anvil.url()), Some(&score), limits);
        let answer = test.provider.answer(&chain.question(1)).await.unwrap();
        assert_eq!(answer.source, Source::Degraded(because), "{name}");
        assert_eq!((answer.holding.held, answer.score), (U256::from(1), None), "{name}");
        assert_eq!(*test.reported.outcomes.lock(), [outcome], "{name}");
        assert_eq!(*test.reported.sources.lock(), ["degraded"], "{name}");
    }
    assert_eq!(other.requests(), 0, "the key is not sent to another address");
}

#[tokio::test]
async fn token_without_data_leaves_the_breaker_closed() {
    let chain = Chain::start().await;
    let score = ScoreDouble::start(Behaviour::Status(404, r#"{"error": {"code": "unknown_token"}}"#)).await;
    let test = provider(chains(chain.anvil.url()), Some(&score), settings());
    for _ in 0..8 {
        let answer = test.provider.answer(&chain.question(1)).await.unwrap();
        assert_eq!(answer.source, Source::Degraded(DegradedBecause::NotCovered));
    }
    assert_eq!((test.state(), score.requests()), (BreakerState::Closed, 8));
}

#[tokio::test]
async fn answer_does_not_wait_for_a_slow_score_service() {
    let chain = Chain::start().await;
    let score = ScoreDouble::start(Behaviour::Rank(1, Duration::from_secs(2))).await;
    let limits = ProviderSettings {
        answer_limit: Duration::from_millis(700),
        ..settings()
    };
    let test = provider(chains(chain.anvil.url()), Some(&score), limits);
    let began = Instant::now();
    let answer = test.provider.answer(&chain.question(1)).await.unwrap();
    assert_eq!(answer.source, Source::Degraded(DegradedBecause::Late));
    assert!(began.elapsed() < Duration::from_millis(1_900), "{:?}", began.elapsed());
    // The request is still in progress: the next question joins it instead of sending another.
    test.provider.answer(&chain.question(1)).await.unwrap();
    assert_eq!(score.requests(), 1);
}

#[tokio::test]
async fn concurrent_questions_about_one_wallet_are_one_request() {
    let chain = Chain::start().await;
    let score = ScoreDouble::start(Behaviour::Rank(7, Duration::from_millis(200))).await;
    let test = provider(chains(chain.anvil.url()), Some(&score), settings());
    let (one, other) = (chain.question(1), chain.question(2));
    let questions = (0..40).map(|number| test.provider.answer(if number % 4 == 0 { &other } else { &one }));
    for answer in join_all(questions).await {
        assert_eq!(answer.unwrap().source, Source::Score);
    }
    assert_eq!(score.requests(), 2);
}

#[tokio::test]
async fn question_without_any_tier_has_no_answer() {
    let question = crate::setup::question(address_of(9), address_of(1));
    let neither = provider(Chains::default(), None, settings());
    assert_eq!(neither.provider.answer(&question).await, Err(Unanswered::NotConfigured));
    let score = ScoreDouble::start(Behaviour::Status(500, "")).await;
    let failing = provider(chains(&format!("http://{NO_LISTENER}")), Some(&score), settings());
    let began = Instant::now();
    assert_eq!(failing.provider.answer(&question).await, Err(Unanswered::NoResponse));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(*failing.reported.sources.lock(), ["none"]);
}

#[tokio::test]
async fn key_is_in_no_text() {
    let score = ScoreDouble::start(Behaviour::Status(401, KEY)).await;
    let test = provider(Chains::default(), Some(&score), settings());
    let question = crate::setup::question(address_of(9), address_of(1));
    for _ in 0..5 {
        let _ = test.provider.answer(&question).await;
    }
    let status = test.provider.breaker().unwrap().borrow().clone();
    assert!(status.cause.as_ref().unwrap().contains("SCORE_API_KEY"), "{status:?}");
    let text = format!("{:?} {status:?}", test.provider);
    assert!(!text.contains(KEY), "{text}");
}
