//! Redis stopped, hanging, and available again: operations return without it, and the state follows.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_cache::{
    Cache, CacheKey, CacheOptions, CacheState, Cooldown, DoneState, PROFILE_TTL, RateLimit, SessionError, SessionName,
    Ttl,
};
use arrakis_config::Secret;
use arrakis_test_support::{Process, eventually};

/// A Redis server of the test's own, which it can stop.
struct RedisServer {
    port: u16,
    process: Process,
}

impl RedisServer {
    async fn start() -> Self {
        // Another process may take the port before Redis binds it; then the next port is tried.
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
        let listening = || {
            let lines = process.lines();
            let has = |text: &str| lines.iter().any(|line| line.contains(text));
            std::future::ready(if has("Ready to accept") {
                Some(true)
            } else {
                (has("bind:") || has("Failed listening")).then_some(false)
            })
        };
        eventually(listening, "redis-server to listen").await.then_some(process)
    }

    fn cache(&self) -> Cache {
        let url = Secret::new(format!("redis://127.0.0.1:{}/0", self.port));
        let options = CacheOptions {
            command_timeout: Duration::from_millis(200),
            pause_after_failure: Duration::from_millis(50),
        };
        Cache::new(&url, options).unwrap()
    }
}

const MINUTE: Ttl = Ttl::seconds(60);

/// The result of each operation while Redis is unavailable.
async fn assert_works_without_redis(cache: &Cache) {
    assert_eq!(
        cache.cooldown("a", "stats", 1, "first", MINUTE).await,
        Cooldown::AllowedWithoutRedis
    );
    assert!(cache.cooldown("a", "stats", 1, "first", MINUTE).await.is_allowed());
    cache.end_cooldown("a", "stats", 1).await;
    assert_eq!(cache.done_state("77").await, DoneState::Unknown);
    cache.mark_done("77", MINUTE).await;
    assert_eq!(
        cache.check_rate_limit("caller", "users", 1, MINUTE).await,
        RateLimit::Uncounted
    );

    let key = CacheKey::profile("a", 1);
    assert!(!cache.invalidate(&key).await);
    assert_eq!(
        cache.get_or_load(&key, PROFILE_TTL, async || Ok::<_, String>(5)).await,
        Ok(5)
    );

    let begun = cache.begin_session(SessionName::new("a", "wizard", 1), 1, MINUTE).await;
    let Err(SessionError::Unavailable(_)) = &begun else {
        panic!("{begun:?}")
    };
    let text = begun.unwrap_err().to_string();
    assert!(text.starts_with("I cannot remember your steps right now"), "{text}");
}

#[tokio::test]
async fn operations_return_while_redis_is_stopped_and_use_it_after_its_restart() {
    let mut server = RedisServer::start().await;
    let cache = server.cache();
    let state = cache.state();
    assert_eq!(*state.borrow(), CacheState::Unknown);
    assert_eq!(
        cache.cooldown("a", "stats", 9, "first", MINUTE).await,
        Cooldown::Allowed
    );
    assert_eq!(*state.borrow(), CacheState::Available);

    server.process.kill().await;
    assert_works_without_redis(&cache).await;
    assert!(
        matches!(&*state.borrow(), CacheState::Unavailable(_)),
        "{:?}",
        *state.borrow()
    );

    server.process = RedisServer::start_on(server.port).await.unwrap();
    let available = async || cache.ping().await.is_ok();
    eventually(available, "Redis to be used again").await;
    assert_eq!(*state.borrow(), CacheState::Available);
    assert_eq!(
        cache.cooldown("a", "stats", 1, "first", MINUTE).await,
        Cooldown::Allowed
    );
}

/// A Redis that accepts connections and does not respond is worse than one that is stopped.
#[tokio::test]
async fn operations_return_while_redis_hangs_and_use_it_when_it_resumes() {
    let server = RedisServer::start().await;
    let cache = server.cache();
    cache.ping().await.unwrap();
    server.process.suspend();
    assert_works_without_redis(&cache).await;
    assert!(matches!(&*cache.state().borrow(), CacheState::Unavailable(_)));

    server.process.resume();
    eventually(async || cache.ping().await.is_ok(), "Redis to be used again").await;
    assert_eq!(cache.done_state("77").await, DoneState::NotDone);
}

#[tokio::test]
async fn hanging_redis_costs_one_caller_the_timeout_and_not_every_one() {
    let server = RedisServer::start().await;
    let url = Secret::new(format!("redis://127.0.0.1:{}/0", server.port));
    let limit = Duration::from_secs(1);
    let options = CacheOptions {
        command_timeout: limit,
        pause_after_failure: Duration::from_secs(3600),
    };
    let cache = Cache::new(&url, options).unwrap();
    server.process.suspend();
    let reads = async {
        for event in 0..300 {
            assert_eq!(cache.done_state(event).await, DoneState::Unknown);
        }
    };
    // If each of them waited, this would take five minutes.
    tokio::time::timeout(limit * 60, reads)
        .await
        .expect("callers waited for a Redis that is known to hang");
    server.process.resume();
}

#[tokio::test]
async fn state_changes_while_no_operation_runs() {
    let mut server = RedisServer::start().await;
    let cache = server.cache();
    let mut state = cache.state();
    let pinging = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.ping_periodically(Duration::from_millis(20)).await })
    };
    state.wait_for(|state| *state == CacheState::Available).await.unwrap();
    server.process.kill().await;
    state
        .wait_for(|state| matches!(state, CacheState::Unavailable(_)))
        .await
        .unwrap();
    pinging.abort();
}

#[test]
fn invalid_url_is_refused_without_its_password() {
    let error = Cache::new(&Secret::new("http://:hunter2@host"), CacheOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("REDIS_URL") && !error.contains("hunter2"), "{error}");
}
