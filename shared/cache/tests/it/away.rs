//! Redis stopped, hung and back: commands go on, and health is told.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_cache::{
    Cache, CacheKey, CacheOptions, Cooldown, Limit, PROFILE_TTL, Seen, SessionError, SessionName, State, Ttl,
};
use arrakis_config::Secret;
use arrakis_test_support::{Process, eventually};

/// A Redis of the test's own, which it may stop.
struct Server {
    port: u16,
    process: Process,
}

impl Server {
    async fn start() -> Self {
        // Between the two somebody may take the port; Redis says so then, and the next one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(process) = Self::start_on(port).await {
                return Self { port, process };
            }
        }
        panic!("redis-server found no free port");
    }

    async fn start_on(port: u16) -> Option<Process> {
        let number = port.to_string();
        let arguments = [
            "--port",
            &number,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            "/tmp",
        ];
        let process = Process::start_at(Path::new("redis-server"), &arguments, [("LC_ALL", "C")]);
        let told = || {
            let lines = process.lines();
            let has = |text: &str| lines.iter().any(|line| line.contains(text));
            std::future::ready(if has("Ready to accept") {
                Some(true)
            } else {
                (has("bind:") || has("Failed listening")).then_some(false)
            })
        };
        eventually(told, "redis-server to listen").await.then_some(process)
    }

    fn cache(&self) -> Cache {
        let url = Secret::new(format!("redis://127.0.0.1:{}/0", self.port));
        let options = CacheOptions {
            call_timeout: Duration::from_millis(200),
            rest: Duration::from_millis(50),
        };
        Cache::new(&url, options).unwrap()
    }
}

const MINUTE: Ttl = Ttl::seconds(60);

/// What every use answers while Redis is away.
async fn assert_degraded(cache: &Cache) {
    assert_eq!(
        cache.cooldown("a", "stats", 1, "first", MINUTE).await,
        Cooldown::OpenWithoutRedis
    );
    assert!(cache.cooldown("a", "stats", 1, "first", MINUTE).await.is_open());
    cache.end_cooldown("a", "stats", 1).await;
    assert_eq!(cache.seen("77").await, Seen::Unknown);
    cache.mark_done("77", MINUTE).await;
    assert_eq!(cache.limit("caller", "users", 1, MINUTE).await, Limit::Uncounted);

    let key = CacheKey::profile("a", 1);
    assert!(!cache.forget(&key).await);
    assert_eq!(
        cache.through(&key, PROFILE_TTL, async || Ok::<_, String>(5)).await,
        Ok(5)
    );

    let begun = cache.begin_session(SessionName::new("a", "wizard", 1), 1, MINUTE).await;
    let Err(SessionError::Away(_)) = &begun else {
        panic!("{begun:?}")
    };
    let words = begun.unwrap_err().to_string();
    assert!(words.starts_with("I cannot remember your steps right now"), "{words}");
}

#[tokio::test]
async fn with_redis_stopped_everything_answers_and_it_is_used_again_when_it_is_back() {
    let mut server = Server::start().await;
    let cache = server.cache();
    let state = cache.state();
    assert_eq!(*state.borrow(), State::Unknown);
    assert_eq!(cache.cooldown("a", "stats", 9, "first", MINUTE).await, Cooldown::Open);
    assert_eq!(*state.borrow(), State::Up);

    server.process.kill().await;
    assert_degraded(&cache).await;
    assert!(matches!(&*state.borrow(), State::Away(_)), "{:?}", *state.borrow());

    server.process = Server::start_on(server.port).await.unwrap();
    let back = async || cache.ping().await.is_ok();
    eventually(back, "Redis to be used again").await;
    assert_eq!(*state.borrow(), State::Up);
    assert_eq!(cache.cooldown("a", "stats", 1, "first", MINUTE).await, Cooldown::Open);
}

/// A Redis that takes connections and answers nothing is worse than one that is gone.
#[tokio::test]
async fn with_redis_hung_everything_answers_and_it_is_used_again_when_it_goes_on() {
    let server = Server::start().await;
    let cache = server.cache();
    cache.ping().await.unwrap();
    server.process.hang();
    assert_degraded(&cache).await;
    assert!(matches!(&*cache.state().borrow(), State::Away(_)));

    server.process.go_on();
    eventually(async || cache.ping().await.is_ok(), "Redis to be used again").await;
    assert_eq!(cache.seen("77").await, Seen::New);
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_caller_the_time_out_and_not_every_one() {
    let server = Server::start().await;
    let url = Secret::new(format!("redis://127.0.0.1:{}/0", server.port));
    let limit = Duration::from_secs(1);
    let options = CacheOptions {
        call_timeout: limit,
        rest: Duration::from_secs(3600),
    };
    let cache = Cache::new(&url, options).unwrap();
    server.process.hang();
    let asked = async {
        for event in 0..300 {
            assert_eq!(cache.seen(event).await, Seen::Unknown);
        }
    };
    // If each of them waited, this would take five minutes.
    tokio::time::timeout(limit * 60, asked)
        .await
        .expect("callers waited for a Redis that is known to hang");
    server.process.go_on();
}

#[tokio::test]
async fn health_hears_of_it_while_nobody_calls() {
    let mut server = Server::start().await;
    let cache = server.cache();
    let mut state = cache.state();
    let asking = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.keep_asking(Duration::from_millis(20)).await })
    };
    state.wait_for(|state| *state == State::Up).await.unwrap();
    server.process.kill().await;
    state.wait_for(|state| matches!(state, State::Away(_))).await.unwrap();
    asking.abort();
}

#[test]
fn a_url_that_is_none_is_refused_without_its_password() {
    let error = Cache::new(&Secret::new("http://:hunter2@host"), CacheOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("REDIS_URL") && !error.contains("hunter2"), "{error}");
}
