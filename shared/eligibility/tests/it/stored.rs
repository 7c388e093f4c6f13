//! Stored answers in a real Redis: used while they are fresh, and when neither tier responds.

use std::time::Duration;

use arrakis_domain::{Rank, U256};
use arrakis_eligibility::{DegradedBecause, ProviderSettings, Source, Tier, Unanswered};
use arrakis_test_support::{FaultProxy, TestRedis, eventually};
use deadpool_redis::redis::cmd;

use crate::score_double::{Behaviour, ScoreDouble};
use crate::setup::{Chain, chains, settings, with_redis};

fn fresh() -> ProviderSettings {
    ProviderSettings {
        fresh_for: Duration::from_secs(60),
        ..settings()
    }
}

fn assert_cached(source: Source) {
    assert!(
        matches!(source, Source::Cache { age } if age < Duration::from_secs(20)),
        "{source:?}"
    );
}

#[tokio::test]
async fn fresh_answer_is_used_without_a_request() {
    let (chain, score, redis) = (Chain::start().await, ScoreDouble::healthy().await, TestRedis::create());
    let test = with_redis(chains(chain.anvil.url()), Some(&score), fresh(), &redis);
    let first = test.provider.answer(&chain.question(3)).await.unwrap();
    // Another worker.
    let other = with_redis(chains(chain.anvil.url()), Some(&score), fresh(), &redis);
    let second = other.provider.answer(&chain.question(3)).await.unwrap();
    assert_eq!(first.source, Source::Score);
    assert_cached(second.source);
    assert_eq!(second.score, first.score);
    assert_eq!(
        (second.holding.held, second.holding.tier),
        (U256::from(3), Tier::Native)
    );
    assert_eq!(score.requests(), 1);
    for key in redis.keys() {
        let left: i64 = cmd("TTL").arg(&key).query(&mut redis.connection()).unwrap();
        assert!((1..=6 * 3600).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn answer_of_the_chain_alone_is_not_fresh_where_a_score_is_expected() {
    let (chain, redis) = (Chain::start().await, TestRedis::create());
    let score = ScoreDouble::start(Behaviour::Status(500, "")).await;
    let test = with_redis(chains(chain.anvil.url()), Some(&score), fresh(), &redis);
    for _ in 0..2 {
        let answer = test.provider.answer(&chain.question(1)).await.unwrap();
        assert_eq!(answer.source, Source::Degraded(DegradedBecause::Failed));
    }
    score.behave(Behaviour::Rank(9, Duration::ZERO));
    let answer = test.provider.answer(&chain.question(1)).await.unwrap();
    assert_eq!(answer.source, Source::Score);
}

#[tokio::test]
async fn late_response_is_stored_for_the_next_question() {
    let (chain, redis) = (Chain::start().await, TestRedis::create());
    let score = ScoreDouble::start(Behaviour::Rank(5, Duration::from_millis(1_200))).await;
    let limits = ProviderSettings {
        answer_limit: Duration::from_millis(600),
        ..fresh()
    };
    let test = with_redis(chains(chain.anvil.url()), Some(&score), limits, &redis);
    let answer = test.provider.answer(&chain.question(1)).await.unwrap();
    assert_eq!(answer.source, Source::Degraded(DegradedBecause::Late));
    eventually(|| async { redis.keys().len() == 2 }, "the score is stored").await;
    let answer = test.provider.answer(&chain.question(1)).await.unwrap();
    assert_cached(answer.source);
    assert_eq!(answer.score.unwrap().rank, Rank::new(5));
    assert_eq!(score.requests(), 1);
}

#[tokio::test]
async fn stored_answer_is_used_when_neither_tier_responds() {
    let (chain, score, redis) = (Chain::start().await, ScoreDouble::healthy().await, TestRedis::create());
    let rpc = FaultProxy::start(chain.anvil.url()).await;
    let limits = settings();
    let test = with_redis(
        chains(&rpc.proxied_url(chain.anvil.url())),
        Some(&score),
        limits,
        &redis,
    );
    test.provider.answer(&chain.question(3)).await.unwrap();
    rpc.refuse(true);
    rpc.close_connections();
    score.behave(Behaviour::Status(500, ""));
    let answer = test.provider.answer(&chain.question(3)).await.unwrap();
    assert_cached(answer.source);
    assert_eq!(answer.holding.held, U256::from(3));
    assert_eq!(answer.score.unwrap().rank, Rank::new(42));
    assert_eq!(*test.reported.sources.lock(), ["score", "cache"]);
    let unknown = test.provider.answer(&chain.question(2)).await;
    assert_eq!(unknown, Err(Unanswered::NoResponse), "another wallet");
    let too_old = ProviderSettings {
        usable_for: Duration::ZERO,
        ..settings()
    };
    let strict = with_redis(
        chains(&rpc.proxied_url(chain.anvil.url())),
        Some(&score),
        too_old,
        &redis,
    );
    assert_eq!(
        strict.provider.answer(&chain.question(3)).await,
        Err(Unanswered::NoResponse)
    );
}
