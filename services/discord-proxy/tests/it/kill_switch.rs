//! The kill switch and freezes at several replicas: by the endpoint, by Redis, and after a restart without either.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_security::kill_switch::{CONFIRMS, KillSwitch, KillSwitchScope, PROXY_PATH, REDIS_KEY};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    CREDENTIAL, CallResponse, GAIB, Replica, Reply, Seen, TOKEN, World, client, eventually, send, start_with,
};

const SWITCH: &str = "credential-of-the-kill-switch";
const ROLE: &str = "/guilds/7/members/2/roles/3";
/// A port without a listener.
const NO_REDIS: &str = "redis://127.0.0.1:1/0";

/// A replica with a credential. In place of a worker, the test confirms its state while it has no Redis.
async fn replica(world: &World, redis: &str, file: Option<PathBuf>) -> Replica {
    let replica = unconfirmed(world, redis, file).await;
    if redis == NO_REDIS {
        let address = replica.address;
        confirm(address).await.unwrap();
        tokio::spawn(async move {
            while confirm(address).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
    }
    replica
}

/// Confirms the state of a replica once, as a worker does.
async fn confirm(address: SocketAddr) -> reqwest::Result<()> {
    let url = format!("http://{address}{PROXY_PATH}");
    let read: Value = client().get(&url).bearer_auth(SWITCH).send().await?.json().await?;
    let write = client().put(&url).bearer_auth(SWITCH).json(&json!([]));
    let write = write.header(CONFIRMS, read["read"].as_str().unwrap());
    write.send().await.map(drop)
}

async fn unconfirmed(world: &World, redis: &str, file: Option<PathBuf>) -> Replica {
    start_with(&world.upstream.base(), redis, TOKEN, |config| {
        config.kill_switch_credential = Some(Secret::new(SWITCH));
        config.kill_switch_file = file;
    })
    .await
}

fn entry(scope: KillSwitchScope, is_on: bool, version: u64) -> KillSwitch {
    KillSwitch {
        scope,
        is_on,
        version,
        by: "stilgar".to_owned(),
        reason: "a test".to_owned(),
    }
}

async fn write(replica: &Replica, entries: &[KillSwitch]) -> CallResponse {
    let url = format!("http://{}{PROXY_PATH}", replica.address);
    send(client().put(url).bearer_auth(SWITCH).json(entries)).await
}

async fn role(replica: &Replica) -> CallResponse {
    send(replica.call(Method::PUT, ROLE)).await
}

fn writes(world: &World) -> usize {
    let seen = world.upstream.seen();
    seen.iter().filter(|call| call.method != Method::GET).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_of_the_endpoint_stops_writes_without_redis() {
    let world = World::new(|_| Reply::ok()).await;
    let replicas = [
        replica(&world, NO_REDIS, None).await,
        replica(&world, NO_REDIS, None).await,
    ];
    for replica in &replicas {
        assert_eq!(role(replica).await.status, 200);
        let answer = write(replica, &[entry(KillSwitchScope::Platform, true, 5)]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["switches"][0]["is_on"], true);
    }
    let before = writes(&world);
    for replica in &replicas {
        for (method, path) in [
            (Method::PUT, ROLE),
            (Method::POST, "/channels/1/messages"),
            (Method::POST, "/interactions/1/token/callback"),
            (Method::POST, "/webhooks/1/token"),
        ] {
            let answer = send(replica.call(method, path)).await;
            assert_eq!(
                (answer.status, answer.proxy_error()),
                (503, Some("kill-switch")),
                "{path}"
            );
            assert_eq!(answer.header("x-arrakis-attempts"), Some("0"));
        }
        assert_eq!(replica.get("/guilds/7").await.status, 200, "reads pass");
        assert!(replica.trouble("kill_switch").unwrap().contains("stilgar (a test)"));
        assert!((replica.metric("arrakis_proxy_kill_switch_on") - 1.0).abs() < f64::EPSILON);
    }
    assert_eq!(writes(&world), before);
    for replica in &replicas {
        write(replica, &[entry(KillSwitchScope::Platform, false, 6)]).await;
        assert_eq!(role(replica).await.status, 200);
        assert_eq!(replica.trouble("kill_switch"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_in_redis_stops_writes_at_every_replica_and_only_the_endpoint_ends_it() {
    let world = World::new(|_| Reply::ok()).await;
    let url = world.redis.url();
    let replicas = [replica(&world, &url, None).await, replica(&world, &url, None).await];
    let store = |switch: KillSwitch| {
        let json = serde_json::to_string(&switch).unwrap();
        world
            .redis
            .command::<i64>(&["HSET", REDIS_KEY, &switch.scope.to_string(), &json]);
    };
    store(entry(KillSwitchScope::Platform, true, 5));
    for replica in &replicas {
        eventually("the switch is on", || replica.trouble("kill_switch").is_some()).await;
        assert_eq!(role(replica).await.proxy_error(), Some("kill-switch"));
    }
    // A replica that starts now has it before its first call.
    let started = replica(&world, &url, None).await;
    assert_eq!(role(&started).await.proxy_error(), Some("kill-switch"));
    // The entry of the community shows that Redis was read after the one of the platform was written.
    store(entry(KillSwitchScope::Platform, false, 6));
    store(entry(KillSwitchScope::Community(9), true, 6));
    for replica in &replicas {
        let has_frozen = || (replica.metric("arrakis_proxy_frozen_communities") - 1.0).abs() < f64::EPSILON;
        eventually("Redis was read", has_frozen).await;
        assert_eq!(
            role(replica).await.proxy_error(),
            Some("kill-switch"),
            "Redis cannot turn it off"
        );
        write(replica, &[entry(KillSwitchScope::Platform, false, 6)]).await;
        assert_eq!(role(replica).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_far_in_the_future_is_refused_in_redis_and_at_the_endpoint() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = replica(&world, &world.redis.url(), None).await;
    let forged = entry(KillSwitchScope::Platform, true, u64::MAX);
    let answer = write(&replica, std::slice::from_ref(&forged)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("platform"), "{answer:?}");
    let json = serde_json::to_string(&forged).unwrap();
    world
        .redis
        .command::<i64>(&["HSET", REDIS_KEY, &forged.scope.to_string(), &json]);
    // The entry of a community shows that Redis was read after the forged one was written.
    let frozen = entry(KillSwitchScope::Community(9), true, 6);
    let json = serde_json::to_string(&frozen).unwrap();
    world
        .redis
        .command::<i64>(&["HSET", REDIS_KEY, &frozen.scope.to_string(), &json]);
    let has_frozen = || (replica.metric("arrakis_proxy_frozen_communities") - 1.0).abs() < f64::EPSILON;
    eventually("Redis was read", has_frozen).await;
    assert!(replica.metric("arrakis_proxy_kill_switch_on").abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_switch_ends_writes_in_flight_and_those_that_wait() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let world = World::new(move |_| Reply::ok().behind(&gate)).await;
    let replica = replica(&world, NO_REDIS, None).await;
    let call = tokio::spawn(send(replica.call(Method::POST, "/channels/1/messages")));
    eventually("the call is in flight", || writes(&world) == 1).await;
    write(&replica, &[entry(KillSwitchScope::Platform, true, 5)]).await;
    let answer = call.await.unwrap();
    assert_eq!(
        (answer.status, answer.proxy_error()),
        (504, Some("outcome-unknown")),
        "{answer:?}"
    );
    assert_eq!(writes(&world), 1, "it is not repeated");
    open.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_that_nothing_confirms_sends_no_writes() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = unconfirmed(&world, NO_REDIS, None).await;
    let refused = role(&replica).await;
    assert_eq!((refused.status, refused.proxy_error()), (503, Some("kill-switch")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.message().contains("confirmed"), "{refused:?}");
    assert_eq!(replica.get("/guilds/7").await.status, 200, "reads pass");
    assert!(replica.trouble("kill_switch").unwrap().contains("confirmed"));
    // A read of the state alone, or a token of another replica, confirms nothing.
    let url = format!("http://{}{PROXY_PATH}", replica.address);
    let other = unconfirmed(&world, NO_REDIS, None).await;
    let token = send(
        client()
            .get(format!("http://{}{PROXY_PATH}", other.address))
            .bearer_auth(SWITCH),
    )
    .await;
    let token = token.body["read"].as_str().unwrap().to_owned();
    send(client().get(&url).bearer_auth(SWITCH)).await;
    send(
        client()
            .put(&url)
            .bearer_auth(SWITCH)
            .header(CONFIRMS, token)
            .json(&json!([])),
    )
    .await;
    assert_eq!(role(&replica).await.status, 503);
    assert_eq!(writes(&world), 0);
    confirm(replica.address).await.unwrap();
    assert_eq!(role(&replica).await.status, 200);
    eventually("the confirmation is too old", || {
        replica.trouble("kill_switch").is_some()
    })
    .await;
    assert_eq!(role(&replica).await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_whose_redis_hangs_sends_writes_while_a_worker_confirms() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = unconfirmed(&world, &world.redis.url(), None).await;
    assert_eq!(role(&replica).await.status, 200);
    world.redis.hang();
    eventually("the confirmation is too old", || {
        replica.trouble("kill_switch").is_some()
    })
    .await;
    assert_eq!(role(&replica).await.proxy_error(), Some("kill-switch"));
    confirm(replica.address).await.unwrap();
    assert_eq!(role(&replica).await.status, 200);
    world.redis.wake();
    eventually("Redis confirms", || replica.trouble("kill_switch").is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_in_flight_ends_with_the_confirmation() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let world = World::new(move |_| Reply::ok().behind(&gate)).await;
    let replica = unconfirmed(&world, NO_REDIS, None).await;
    confirm(replica.address).await.unwrap();
    let answer = send(replica.call(Method::POST, "/channels/1/messages")).await;
    assert_eq!(
        (answer.status, answer.proxy_error()),
        (504, Some("outcome-unknown")),
        "{answer:?}"
    );
    assert_eq!(writes(&world), 1, "it is not repeated");
    open.store(true, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_stops_roles_of_its_server_and_passes_messages() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = replica(&world, NO_REDIS, None).await;
    write(&replica, &[entry(KillSwitchScope::Community(7), true, 5)]).await;
    let answer = role(&replica).await;
    assert_eq!((answer.status, answer.proxy_error()), (503, Some("frozen")));
    assert_eq!(answer.header("retry-after"), Some("60"));
    for (method, path) in [
        (Method::POST, "/channels/1/messages"),
        (Method::PUT, "/guilds/8/members/2/roles/3"),
        (Method::POST, "/interactions/1/token/callback"),
    ] {
        let call = replica.call(method, path).header("x-arrakis-tenant", "7");
        let call = match path.starts_with("/guilds/8") {
            true => call.header("x-arrakis-deadline-ms", "20000"),
            false => call,
        };
        let answer = send(call).await;
        // The tenant is of the frozen server, so the role of another server is refused, too.
        let wanted = if path.starts_with("/guilds/8") { 503 } else { 200 };
        assert_eq!(answer.status, wanted, "{path}: {answer:?}");
    }
    // Another spelling of the id does not pass the freeze.
    for path in ["/guilds/%37/members/2/roles/3", "/guilds/+7/members/2/roles/3"] {
        let answer = send(replica.call(Method::PUT, path).header("x-arrakis-tenant", "8")).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    let answer = send(replica.call(Method::PUT, "/guilds/007/members/2/roles/3")).await;
    assert_eq!(answer.proxy_error(), Some("frozen"));
    write(&replica, &[entry(KillSwitchScope::Community(7), false, 6)]).await;
    assert_eq!(role(&replica).await.status, 200);
}

/// The tenant is what the caller states; the server of a channel is what Discord states.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_stops_changes_of_channels_of_its_server_whatever_the_tenant() {
    let world = World::new(|call| match call.path.as_str() {
        "/api/v10/channels/1" => Reply::status(200, r#"{"id":"1","guild_id":"7"}"#),
        "/api/v10/channels/2" => Reply::status(200, r#"{"id":"2","guild_id":"8"}"#),
        "/api/v10/channels/3" => Reply::status(403, r#"{"code":50001,"message":"Missing Access"}"#),
        "/api/v10/webhooks/1" => Reply::status(200, r#"{"id":"1","guild_id":"7"}"#),
        _ => Reply::ok(),
    })
    .await;
    let replica = replica(&world, NO_REDIS, None).await;
    write(&replica, &[entry(KillSwitchScope::Community(7), true, 5)]).await;
    let before = writes(&world);
    for (method, path) in [
        (Method::PATCH, "/channels/1"),
        (Method::DELETE, "/channels/1"),
        (Method::POST, "/channels/1/webhooks"),
        (Method::PUT, "/channels/1/permissions/5"),
        (Method::DELETE, "/webhooks/1"),
        // The server of this channel cannot be read.
        (Method::PATCH, "/channels/3"),
    ] {
        for tenant in ["8", "123", "x"] {
            let call = replica.call_as(GAIB, method.clone(), path);
            let answer = send(call.header("x-arrakis-tenant", tenant)).await;
            assert_eq!(answer.proxy_error(), Some("frozen"), "{path} {tenant}: {answer:?}");
        }
    }
    assert_eq!(writes(&world), before);
    for _ in 0..3 {
        assert_eq!(send(replica.call(Method::PATCH, "/channels/2")).await.status, 200);
    }
    let reads = |path: &str| {
        let seen = world.upstream.seen();
        let is_read = |call: &&Seen| call.method == Method::GET && call.path == path;
        seen.iter().filter(is_read).count()
    };
    assert_eq!(reads("/api/v10/channels/2"), 1, "what is known is not read again");
    assert_eq!(reads("/api/v10/channels/1"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_without_redis_keeps_the_kill_switch_on() {
    let world = World::new(|_| Reply::ok()).await;
    let folder = std::env::temp_dir().join(format!("arrakis-kill-switch-{:016x}", rand::random::<u64>()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("kill-switch.json");
    let before = replica(&world, NO_REDIS, Some(file.clone())).await;
    let answer = write(&before, &[entry(KillSwitchScope::Platform, true, 5)]).await;
    assert_eq!(answer.body["stored"], true);
    drop(before);
    let after = replica(&world, NO_REDIS, Some(file.clone())).await;
    assert_eq!(role(&after).await.proxy_error(), Some("kill-switch"));
    assert_eq!(writes(&world), 0);
    drop(after);
    // A forged end in the file is not reported to the workers as an end.
    let forged = serde_json::to_string(&[entry(KillSwitchScope::Platform, false, 99)]).unwrap();
    std::fs::write(&file, forged).unwrap();
    let forged = replica(&world, NO_REDIS, Some(file)).await;
    let url = format!("http://{}{PROXY_PATH}", forged.address);
    let state = send(client().get(&url).bearer_auth(SWITCH)).await;
    assert_eq!(state.body["switches"], json!([]));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A forged entry of PostgreSQL was ended: the replica has an end whose version is a day ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emergency_write_states_that_it_has_no_effect_and_has_one_without_a_version() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = replica(&world, NO_REDIS, None).await;
    let now = KillSwitch::changed(KillSwitchScope::Platform, true, 0, "", "").version;
    let ahead = now + 24 * 3600 * 1_000;
    let ended = write(&replica, &[entry(KillSwitchScope::Platform, false, ahead)]).await;
    assert_eq!((ended.status, &ended.body["stored"]), (200, &json!(true)));
    let refused = write(&replica, &[entry(KillSwitchScope::Platform, true, now)]).await;
    assert_eq!((refused.status, &refused.body["stored"]), (409, &json!(false)));
    assert!(refused.message().contains(&ahead.to_string()), "{refused:?}");
    assert_eq!(role(&replica).await.status, 200);
    let url = format!("http://{}{PROXY_PATH}", replica.address);
    let on = json!([{"scope": "platform", "is_on": true, "by": "stilgar", "reason": "a leaked token"}]);
    let stored = send(client().put(&url).bearer_auth(SWITCH).json(&on)).await;
    assert_eq!((stored.status, &stored.body["stored"]), (200, &json!(true)));
    assert_eq!(stored.body["switches"][0]["version"], json!(ahead + 1));
    assert_eq!(role(&replica).await.proxy_error(), Some("kill-switch"));
    // An end of no version in particular would end what the caller has not seen.
    let off = json!([{"scope": "platform", "is_on": false}]);
    let refused = send(client().put(&url).bearer_auth(SWITCH).json(&off)).await;
    assert_eq!(refused.status, 400, "{refused:?}");
}

/// While the credential is changed, workers of both credentials reach the replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn previous_credential_opens_the_endpoint_beside_the_present_one() {
    let world = World::new(|_| Reply::ok()).await;
    let start = async |present: Option<&'static str>| {
        start_with(&world.upstream.base(), NO_REDIS, TOKEN, |config| {
            config.kill_switch_credential = present.map(Secret::new);
            config.kill_switch_previous = Some(Secret::new(SWITCH));
        })
        .await
    };
    let (changed, without) = (start(Some("the-credential-after-it")).await, start(None).await);
    for (replica, credential, status) in [
        (&changed, "the-credential-after-it", 200),
        (&changed, SWITCH, 200),
        (&changed, CREDENTIAL, 401),
        (&without, SWITCH, 401),
    ] {
        let url = format!("http://{}{PROXY_PATH}", replica.address);
        let read = send(client().get(&url).bearer_auth(credential)).await;
        assert_eq!(read.status, status, "{credential}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_callers_do_not_open_the_endpoint() {
    let world = World::new(|_| Reply::ok()).await;
    let with = replica(&world, NO_REDIS, None).await;
    let without = start_with(&world.upstream.base(), NO_REDIS, TOKEN, |_| {}).await;
    for (replica, credential) in [
        (&with, CREDENTIAL),
        (&with, TOKEN),
        (&with, ""),
        (&without, SWITCH),
        (&without, ""),
    ] {
        let url = format!("http://{}{PROXY_PATH}", replica.address);
        for method in [Method::GET, Method::PUT] {
            let request = client().request(method, &url).bearer_auth(credential);
            let body = json!([entry(KillSwitchScope::Platform, true, 5)]);
            assert_eq!(send(request.json(&body)).await.status, 401);
        }
        assert_eq!(role(replica).await.status, 200);
    }
    let url = format!("http://{}{PROXY_PATH}", with.address);
    let unreadable = send(client().put(&url).bearer_auth(SWITCH).json(&json!({"is_on": true}))).await;
    assert_eq!(unreadable.status, 400);
    let state = send(client().get(&url).bearer_auth(SWITCH)).await;
    assert_eq!(
        (state.status, &state.body["switches"]),
        (200, &Value::Array(Vec::new()))
    );
}
