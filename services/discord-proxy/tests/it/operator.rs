//! The operator's commands at running replicas in their own processes.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;

use crate::support::{CREDENTIAL, Reply, TOKEN, World, client, send};

const PROGRAM: &str = env!("CARGO_BIN_EXE_arrakis-discord-proxy");

/// A replica in its own process, which is killed on drop.
struct Process {
    child: Child,
    address: SocketAddr,
    health: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

impl Process {
    async fn start(world: &World, token: &str) -> Self {
        let (address, health) = (free_address(), free_address());
        let child = Command::new(PROGRAM)
            .env_clear()
            .envs([
                ("DISCORD_TOKEN", token),
                ("DISCORD_APPLICATION_ID", "1"),
                ("DISCORD_API_BASE", &world.upstream.base()),
                ("PROXY_CREDENTIALS", &format!("worker={CREDENTIAL}")),
                ("REDIS_URL", &world.redis.url()),
                ("PROXY_LISTEN_ADDR", &address.to_string()),
                ("HEALTH_ADDR", &health.to_string()),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, address, health };
        process
            .until("it serves", |health| health["components"]["redis"]["status"] == "up")
            .await;
        process
    }

    async fn health(&self) -> serde_json::Value {
        let answer = client().get(format!("http://{}/health", self.health)).send().await;
        match answer {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => serde_json::Value::Null,
        }
    }

    async fn until(&self, what: &str, condition: impl Fn(&serde_json::Value) -> bool) {
        let began = Instant::now();
        loop {
            let health = self.health().await;
            if condition(&health) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{what}: {health:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_refused(&self) {
        self.until("the token is refused", |health| health["token"]["state"] == "dead")
            .await;
    }

    async fn call(&self) -> (u16, Option<String>) {
        let call = client().request(Method::GET, format!("http://{}/api/v10/guilds/1", self.address));
        let answer = send(call.bearer_auth(CREDENTIAL)).await;
        (answer.status, answer.proxy_error().map(str::to_owned))
    }
}

/// Runs `arrakis-discord-proxy token …`, and returns its exit code and output.
async fn token(arguments: &[&str], token: &str, address: SocketAddr) -> (Option<i32>, String) {
    operate("token", arguments, token, address).await
}

async fn operate(task: &str, arguments: &[&str], token: &str, address: SocketAddr) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    command
        .arg(task)
        .args(arguments)
        .env_clear()
        .env("DISCORD_TOKEN", token)
        .env("PROXY_LISTEN_ADDR", address.to_string());
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let output = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
    assert!(!output.contains(token), "the token is printed: {output}");
    (ended.status.code(), output)
}

/// A Discord that accepts the token while the flag is set.
async fn world() -> (Arc<AtomicBool>, World) {
    let accepts = Arc::new(AtomicBool::new(true));
    let discord = Arc::clone(&accepts);
    let world = World::new(move |_| {
        if discord.load(Ordering::SeqCst) {
            Reply::ok()
        } else {
            Reply::status(401, r#"{"message":"401: Unauthorized","code":0}"#)
        }
    });
    (accepts, world.await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_cleared_at_one_replica_is_used_again_at_all() {
    let (accepts, world) = world().await;
    let replicas = [Process::start(&world, TOKEN).await, Process::start(&world, TOKEN).await];
    let (code, output) = token(&["status"], TOKEN, replicas[0].address).await;
    assert!(code == Some(0) && output.contains("not refused"), "{output}");
    accepts.store(false, Ordering::SeqCst);
    assert_eq!(replicas[0].call().await.0, 401);
    for replica in &replicas {
        replica.until_refused().await;
    }
    let (code, output) = token(&["status"], TOKEN, replicas[1].address).await;
    assert_eq!(code, Some(1), "{output}");
    for word in ["dead", "since 2", "found by replica", "next check 2", "token clear"] {
        assert!(output.contains(word), "{word} is missing in {output}");
    }
    // While Discord still refuses the token, clearing has no lasting effect.
    let (code, output) = token(&["clear"], TOKEN, replicas[1].address).await;
    assert!(
        code == Some(1) && output.contains("GET /users/@me: refused"),
        "{output}"
    );
    assert_eq!(replicas[1].call().await, (503, Some("token-dead".to_owned())));
    // The advice in /health, when the token is valid again.
    let health = replicas[0].health().await;
    let advice = health["components"]["token"]["detail"].as_str().unwrap();
    assert!(advice.contains("`arrakis-discord-proxy token clear`"), "{advice}");
    accepts.store(true, Ordering::SeqCst);
    let (code, output) = token(&["clear"], TOKEN, replicas[1].address).await;
    assert!(
        code == Some(0) && output.contains("GET /users/@me: accepted"),
        "{output}"
    );
    for replica in &replicas {
        replica
            .until("the token is used again", |health| {
                health["components"]["token"]["status"] == "up"
            })
            .await;
        assert_eq!(replica.call().await, (200, None));
    }
    // After a restart.
    let restarted = Process::start(&world, TOKEN).await;
    assert_eq!(restarted.call().await, (200, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_other_replicas_follow_a_clearing_when_redis_is_back() {
    let (accepts, world) = world().await;
    let replicas = [Process::start(&world, TOKEN).await, Process::start(&world, TOKEN).await];
    accepts.store(false, Ordering::SeqCst);
    replicas[0].call().await;
    for replica in &replicas {
        replica.until_refused().await;
    }
    world.redis.hang();
    replicas[0]
        .until("Redis is unavailable", |health| {
            health["components"]["redis"]["status"] == "degraded"
        })
        .await;
    accepts.store(true, Ordering::SeqCst);
    let (code, output) = token(&["clear"], TOKEN, replicas[0].address).await;
    assert!(code == Some(0) && output.contains("Redis is unavailable"), "{output}");
    assert_eq!(replicas[0].call().await, (200, None));
    assert_eq!(
        replicas[1].call().await,
        (503, Some("token-dead".to_owned())),
        "it is not updated yet"
    );
    world.redis.wake();
    replicas[1]
        .until("the other follows", |health| {
            health["components"]["token"]["status"] == "up"
        })
        .await;
    assert_eq!(replicas[0].call().await, (200, None), "the old mark is not restored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_token_needs_a_new_token_and_a_restart() {
    let old = "MQ.old.token";
    let world = World::new(move |seen| {
        if seen.headers["authorization"] == "Bot MQ.old.token" {
            Reply::status(401, r#"{"message":"401: Unauthorized","code":0}"#)
        } else {
            Reply::ok()
        }
    })
    .await;
    let replica = Process::start(&world, old).await;
    replica.call().await;
    replica.until_refused().await;
    // The operator has the new token, and the replica still has the old one.
    let (code, output) = token(&["clear"], "MQ.new.token", replica.address).await;
    assert!(code == Some(1) && output.contains("restart the replica"), "{output}");
    drop(replica);
    let replica = Process::start(&world, "MQ.new.token").await;
    assert_eq!(replica.call().await, (200, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_cleared_at_one_replica_end_at_all() {
    let absurd = || Reply::status(429, "<html>").with("retry-after", 86_400);
    let world = World::new(move |seen| if seen.number == 0 { absurd() } else { Reply::ok() }).await;
    let replicas = [Process::start(&world, TOKEN).await, Process::start(&world, TOKEN).await];
    let limits = async |task: &str, at: usize| operate("limits", &[task], TOKEN, replicas[at].address).await;
    let (code, output) = limits("status", 0).await;
    assert!(code == Some(0) && output.contains("no pause"), "{output}");
    let call = client().request(Method::GET, format!("http://{}/api/v10/guilds/1", replicas[0].address));
    let call = call.header("x-arrakis-deadline-ms", 200).bearer_auth(CREDENTIAL);
    assert_eq!(send(call).await.status, 429);
    for (at, replica) in replicas.iter().enumerate() {
        replica
            .until("the pause", |health| {
                health["components"]["limits"]["status"] == "degraded"
            })
            .await;
        let (code, output) = limits("status", at).await;
        assert!(
            code == Some(1) && output.contains("every call from this address"),
            "{output}"
        );
    }
    // The advice in /health.
    let health = replicas[1].health().await;
    let advice = health["components"]["limits"]["detail"].as_str().unwrap();
    assert!(advice.contains("`arrakis-discord-proxy limits clear`"), "{advice}");
    let (code, output) = limits("clear", 1).await;
    assert!(code == Some(0) && output.contains("no pause"), "{output}");
    for replica in &replicas {
        replica
            .until("the end", |health| health["components"]["limits"]["status"] == "up")
            .await;
        assert_eq!(replica.call().await, (200, None));
    }
    // After a restart.
    let restarted = Process::start(&world, TOKEN).await;
    assert_eq!(restarted.call().await, (200, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_credential_is_refused_at_operator_endpoints() {
    let (_, world) = world().await;
    let replica = world.replica().await;
    for (method, path) in [
        (Method::GET, "/operator/token"),
        (Method::POST, "/operator/token/clear"),
        (Method::GET, "/operator/limits"),
        (Method::POST, "/operator/limits/clear"),
    ] {
        let url = format!("http://{}{path}", replica.address);
        let bare = send(client().request(method.clone(), &url)).await;
        assert_eq!(bare.status, 401, "{path}");
        for credential in [CREDENTIAL, TOKEN, ""] {
            let answer = send(client().request(method.clone(), &url).bearer_auth(credential)).await;
            assert_eq!(answer.status, 401, "{path} {credential}");
            assert!(!answer.body.to_string().contains(TOKEN));
        }
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_without_a_reachable_replica_names_the_option_address() {
    let (code, output) = token(&["status"], TOKEN, free_address()).await;
    assert!(code == Some(1) && output.contains("--address"), "{output}");
    let output = Command::new(PROGRAM)
        .args(["token", "clear"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
}
