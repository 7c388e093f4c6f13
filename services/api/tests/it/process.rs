//! The api as a process: refused starts, health, shutdown.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_test_support::{Process, TestDatabase, TestRedis, TestVhost, eventually};

use crate::support::environment;

const LIMIT: Duration = Duration::from_secs(30);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_arrakis-api"))
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn missing_variables_are_named_with_exit_code_78() {
    let nothing: [(&str, &str); 0] = [];
    let (status, text) = Process::start_at(program(), &[], nothing).output(LIMIT).await;
    assert_eq!(status.code(), Some(78), "{text}");
    for variable in [
        "AMQP_URL",
        "DATABASE_URL",
        "DATABASE_ADMIN_URL",
        "REDIS_URL",
        "VERIFY_BASE_URL",
    ] {
        assert!(text.contains(&format!("{variable} is not set")), "{text}");
    }
}

#[tokio::test]
async fn wrong_login_and_used_port_are_exit_code_78() {
    let (database, redis, vhost) = (
        TestDatabase::create().await,
        TestRedis::create(),
        TestVhost::create().await,
    );
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used_address = used.local_addr().unwrap().to_string();
    for (name, value, reason) in [
        ("DATABASE_ADMIN_URL", database.app_url(), "BYPASSRLS"),
        ("DATABASE_URL", database.admin_url(), "BYPASSRLS"),
        ("API_ADDR", used_address, "cannot be used"),
    ] {
        let mut variables = environment(&database, &redis.url(), &vhost);
        variables.retain(|(variable, _)| *variable != name);
        variables.push((name, value));
        variables.push(("HEALTH_ADDR", free_address()));
        if name != "API_ADDR" {
            variables.push(("API_ADDR", free_address()));
        }
        let (status, text) = Process::start_at(program(), &[], variables).output(LIMIT).await;
        assert_eq!(status.code(), Some(78), "{text}");
        assert!(text.contains(name) && text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn api_is_ready_and_ends_with_0_after_sigterm() {
    let (database, redis, vhost) = (
        TestDatabase::create().await,
        TestRedis::create(),
        TestVhost::create().await,
    );
    let (api, health) = (free_address(), free_address());
    let mut variables = environment(&database, &redis.url(), &vhost);
    variables.extend([("API_ADDR", api.clone()), ("HEALTH_ADDR", health.clone())]);
    let mut process = Process::start_at(program(), &[], variables);
    process.ready(&health).await;
    let status = async |address: &str, path: &str| {
        let response = reqwest::get(format!("http://{address}{path}")).await;
        response.map_or(0, |response| response.status().as_u16())
    };
    eventually(
        async || status(&api, "/openapi.json").await == 200,
        "the api to respond",
    )
    .await;
    let document = async || -> serde_json::Value {
        reqwest::get(format!("http://{health}/health"))
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    eventually(async || document().await["status"] == "up", "every component to be up").await;
    let components = document().await["components"].clone();
    for name in ["postgres", "postgres-admin", "broker", "redis"] {
        assert_eq!(components[name]["status"], "up", "{components}");
    }
    process.terminate();
    let ended = process.ended(LIMIT).await;
    assert_eq!(ended.code(), Some(0), "{:#?}", process.lines());
}
