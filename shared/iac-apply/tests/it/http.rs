//! The client: limits from headers, which calls are repeated, and the waits that it reports.

use std::sync::Arc;
use std::time::Duration;

use arrakis_iac_apply::http::{CallError, Reason};
use arrakis_iac_apply::{Event, Wait};
use discord_emulator::Options;
use discord_emulator::faults::{Condition, DeadHost, FaultKind};
use http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Server, empty};

fn once(method: &str) -> Condition {
    Condition {
        count: Some(1),
        method: Some(method.to_owned()),
        ..Condition::default()
    }
}

fn because() -> Reason {
    Reason::new("gaib: plan 7")
}

#[tokio::test]
async fn a_429_is_obeyed_and_the_call_made_again() {
    let server = Server::start(empty()).await;
    let (discord, watched) = server.client();
    let path = format!("/guilds/{}/roles", server.made.guild_id);
    for scope in ["user", "global", "shared"] {
        let limited = FaultKind::RestRateLimit {
            scope: scope.to_owned(),
            retry_after: 0.05,
        };
        server.emulator.app().faults.arm(limited, once("POST"));
    }
    let role = json!({"name": "Naib", "permissions": "0"});
    let made = discord
        .write(Method::POST, &path, Some(&role), &because())
        .await
        .unwrap();
    assert_eq!(made["name"], "Naib");
    assert_eq!(watched.count("POST"), 4);
    let roles: Vec<Value> = discord.get(&path).await.unwrap();
    assert_eq!(roles.iter().filter(|role| role["name"] == "Naib").count(), 1);
    let audit = format!("/guilds/{}/audit-logs?action_type=30", server.made.guild_id);
    let audit: Value = discord.get(&audit).await.unwrap();
    assert_eq!(audit["audit_log_entries"][0]["reason"], "gaib: plan 7");
}

#[tokio::test]
async fn headers_keep_us_out_of_429s() {
    let server = Server::with(Options::default(), empty()).await;
    let (discord, watched) = server.client();
    let path = format!("/guilds/{}", server.made.guild_id);
    // Two edits in ten seconds are allowed; the third one waits by the headers of the second.
    for name in ["One", "Two"] {
        let body = json!({ "name": name });
        discord
            .write(Method::PATCH, &path, Some(&body), &because())
            .await
            .unwrap();
    }
    let third = discord.clone();
    let asked = path.clone();
    let third = tokio::spawn(async move {
        third
            .write(Method::PATCH, &asked, Some(&json!({"name": "Three"})), &because())
            .await
    });
    let is_reported = || {
        watched.events().iter().any(|event| {
            matches!(event, Event::Waiting { why: Wait::Bucket, duration, .. } if *duration > Duration::from_secs(5))
        })
    };
    while !is_reported() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // It has not been sent: what is allowed was known without asking.
    assert_eq!(watched.count("PATCH"), 2);
    third.abort();
    let limited = server.emulator.app().traffic.stats().limited;
    assert!(limited.is_empty(), "{limited:?}");
}

#[tokio::test]
async fn the_wait_for_a_third_rename_is_told_and_can_be_stopped() {
    let server = Server::with(
        Options::default(),
        json!({"name": "Sietch", "channels": [{"name": "a"}]}),
    )
    .await;
    let stop = CancellationToken::new();
    let (discord, watched) = server.client_over(Arc::new(server.https()), stop.clone());
    let path = format!("/channels/{}", server.made.channels["a"]);
    for name in ["b", "c"] {
        let body = json!({ "name": name });
        discord
            .write(Method::PATCH, &path, Some(&body), &because())
            .await
            .unwrap();
    }
    let renaming = tokio::spawn(async move {
        discord
            .write(Method::PATCH, &path, Some(&json!({"name": "d"})), &because())
            .await
    });
    let is_reported = || {
        watched.events().iter().any(
            |event| matches!(event, Event::Waiting { why: Wait::Rename, duration, .. } if duration.as_secs() > 500),
        )
    };
    while !is_reported() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.cancel();
    let stopped = renaming.await.unwrap().unwrap_err();
    assert!(matches!(stopped, CallError::Cancelled { .. }), "{stopped}");
}

#[tokio::test]
async fn what_may_have_been_made_is_not_made_again_and_the_rest_is_repeated() {
    let server = Server::start(empty()).await;
    let (discord, watched) = server.client();
    let faults = &server.emulator.app().faults;
    let path = format!("/guilds/{}/roles", server.made.guild_id);
    let role = json!({"name": "Naib", "permissions": "0"});
    for mode in [DeadHost::Refuse, DeadHost::Hang] {
        faults.arm(FaultKind::RestLostAnswer { mode }, once("POST"));
        let lost = discord
            .write(Method::POST, &path, Some(&role), &because())
            .await
            .unwrap_err();
        assert!(matches!(lost, CallError::OutcomeUnknown { .. }), "{lost}");
    }
    assert_eq!(watched.count("POST"), 2);
    faults.arm(FaultKind::RestStatus { status: 502 }, once("POST"));
    let lost = discord
        .write(Method::POST, &path, Some(&role), &because())
        .await
        .unwrap_err();
    assert!(matches!(lost, CallError::OutcomeUnknown { .. }), "{lost}");

    for kind in [
        FaultKind::RestStatus { status: 503 },
        FaultKind::RestLostAnswer { mode: DeadHost::Refuse },
    ] {
        faults.arm(kind, once("PATCH"));
    }
    let path = format!("/guilds/{}", server.made.guild_id);
    let body = json!({ "name": "Renamed" });
    discord
        .write(Method::PATCH, &path, Some(&body), &because())
        .await
        .unwrap();
    assert_eq!(watched.count("PATCH"), 3);
    assert!(
        watched
            .events()
            .iter()
            .any(|event| matches!(event, Event::Retrying { attempt: 3, .. }))
    );
}

#[tokio::test]
async fn a_wrong_token_and_a_refusal_are_told_in_words() {
    let server = Server::start(empty()).await;
    let (discord, _) = server.client();
    let unknown = discord.get::<Value>("/guilds/5/roles").await.unwrap_err();
    assert!(unknown.is_gone(), "{unknown}");
    let path = format!("/guilds/{}/roles", server.made.guild_id);
    let long = json!({"name": "x".repeat(101)});
    let refused = discord
        .write(Method::POST, &path, Some(&long), &because())
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("name Must be between 1 and 100"),
        "{refused}"
    );
    server
        .emulator
        .app()
        .faults
        .arm(FaultKind::RestStatus { status: 401 }, once("GET"));
    let token = discord.get::<Value>(&path).await.unwrap_err();
    assert!(token.to_string().contains("DISCORD_TOKEN"), "{token}");
}
