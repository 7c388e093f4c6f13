use std::time::Duration;

use arrakis_config::Secret;
use arrakis_discord::{Discord, DiscordConfig, Error};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use url::Url;

use crate::peer::{Peer, Script, closed_port};

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const UNREACHABLE: &str =
    "HTTP/1.1 502 Bad Gateway\r\nx-arrakis-proxy-error: unreachable\r\ncontent-length: 2\r\n\r\n{}";

fn client(proxies: &[&Url]) -> Discord {
    Discord::new(&DiscordConfig {
        proxies: proxies.iter().map(|url| (*url).clone()).collect(),
        credential: Secret::new("a-credential"),
        application: Id::new(7),
    })
    .unwrap()
}

fn message(text: &str) -> InteractionResponseData {
    InteractionResponseData {
        content: Some(text.to_owned()),
        ..InteractionResponseData::default()
    }
}

#[tokio::test]
async fn call_carries_credential_tenant_urgency_and_deadline() {
    let peer = Peer::start(Script::Response(NO_CONTENT)).await;
    let calls = client(&[&peer.url])
        .sync(Id::new(5))
        .within(Duration::from_secs(7))
        .traced("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let given = calls
        .assign_role(Id::new(5), Id::new(6), Id::new(8), None, "tier: Fedaykin")
        .await;
    assert_eq!(given, Ok(true));
    let requests = peer.requests().join("\n").to_lowercase();
    assert!(
        requests.starts_with("put /api/v10/guilds/5/members/6/roles/8 http/1.1"),
        "{requests}"
    );
    for header in [
        "authorization: bearer a-credential",
        "x-arrakis-tenant: 5",
        "x-arrakis-urgency: sync",
        "x-arrakis-call-class: idempotent",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "x-audit-log-reason: tier%3a%20fedaykin",
    ] {
        assert!(requests.contains(header), "{header} is missing in {requests}");
    }
    let deadline = requests.split_once("x-arrakis-deadline-ms: ").unwrap().1;
    let deadline: u64 = deadline.lines().next().unwrap().parse().unwrap();
    assert!((1..=7_000).contains(&deadline), "{deadline} ms are left of 7 s");
}

#[tokio::test]
async fn role_that_the_member_has_is_not_assigned() {
    let peer = Peer::start(Script::Response(NO_CONTENT)).await;
    let calls = client(&[&peer.url]).sync(Id::new(5));
    let (guild, user, role) = (Id::new(5), Id::new(6), Id::new(8));
    assert_eq!(
        calls.assign_role(guild, user, role, Some(&[role]), "r").await,
        Ok(false)
    );
    assert_eq!(calls.remove_role(guild, user, role, Some(&[]), "r").await, Ok(false));
    assert!(peer.requests().is_empty());
    assert_eq!(calls.remove_role(guild, user, role, Some(&[role]), "r").await, Ok(true));
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn call_that_was_not_sent_goes_to_the_next_replica() {
    let closed = closed_port().await;
    let cut_off = Peer::start(Script::Response(UNREACHABLE)).await;
    let peer = Peer::start(Script::Response(NO_CONTENT)).await;
    let calls = client(&[&closed, &cut_off.url, &peer.url]).interactive(None);
    // More calls than replicas, so that each replica is the first one at least once.
    for _ in 0..4 {
        assert_eq!(calls.send_followup("token", &message("hi")).await, Ok(()));
    }
    // Each call arrived exactly once.
    assert_eq!(peer.requests().len(), 4);
}

#[tokio::test]
async fn followup_whose_response_was_lost_is_not_repeated() {
    for script in [Script::Close, Script::Hang] {
        let (one, other) = (Peer::start(script.clone()).await, Peer::start(script).await);
        let calls = client(&[&one.url, &other.url])
            .interactive(None)
            .within(Duration::from_millis(300));
        let outcome = calls.send_followup("token", &message("hi")).await;
        assert!(matches!(outcome, Err(Error::OutcomeUnknown(_))), "{outcome:?}");
        assert_eq!(one.requests().len() + other.requests().len(), 1);
    }
}

#[tokio::test]
async fn first_response_without_a_response_goes_to_another_replica() {
    for script in [Script::Close, Script::Hang] {
        let (dead, alive) = (
            Peer::start(script).await,
            Peer::start(Script::Response(NO_CONTENT)).await,
        );
        let calls = client(&[&dead.url, &alive.url]).interactive(None);
        assert_eq!(calls.defer_reply(Id::new(1), "token", true).await, Ok(()));
        assert_eq!((dead.requests().len(), alive.requests().len()), (1, 1));
        // A replica that failed is tried last for a while.
        assert_eq!(calls.defer_reply(Id::new(2), "token", true).await, Ok(()));
        assert_eq!((dead.requests().len(), alive.requests().len()), (1, 2));
    }
}

/// A refusal of Discord, forwarded by the proxy.
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nx-arrakis-attempts: 1\r\ncontent-length: 46\r\n\r\n\
    {\"message\":\"Missing Permissions\",\"code\":50013}";
/// A limit of Discord that is longer than the proxy may wait.
const LIMITED: &str = "HTTP/1.1 429 Too Many Requests\r\nx-arrakis-attempts: 1\r\nretry-after: 1\r\ncontent-length: 48\r\n\r\n\
    {\"message\":\"x\",\"retry_after\":0.3,\"global\":false}";
const UNKNOWN_CALLER: &str = "HTTP/1.1 401 Unauthorized\r\nx-arrakis-proxy-error: unknown-caller\r\nx-arrakis-attempts: 0\r\n\
    content-length: 29\r\n\r\n{\"message\":\"no one\",\"code\":0}";
/// A gateway in front of the proxy.
const GATEWAY_404: &str = "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
const GATEWAY_FORM: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 42\r\n\r\n\
    {\"message\":\"Unknown Role   \",\"code\":10011}";
/// Discord failed after the effect, and the proxy could not retry.
const FAILED: &str = "HTTP/1.1 502 Bad Gateway\r\nx-arrakis-attempts: 1\r\ncontent-length: 6\r\n\r\n<html>";

#[tokio::test]
async fn first_response_waits_for_a_limit_longer_than_one_attempt() {
    let peer = Peer::start(Script::Responses(&[LIMITED, LIMITED, NO_CONTENT])).await;
    let calls = client(&[&peer.url])
        .interactive(None)
        .within(Duration::from_millis(2_900));
    let began = std::time::Instant::now();
    assert_eq!(calls.defer_reply(Id::new(1), "token", true).await, Ok(()));
    assert_eq!(peer.requests().len(), 3);
    assert!(began.elapsed() >= Duration::from_millis(600), "each wait was observed");
    // A wait beyond the deadline ends the call at once.
    let peer = Peer::start(Script::Response(LIMITED)).await;
    let calls = client(&[&peer.url])
        .interactive(None)
        .within(Duration::from_millis(300));
    let outcome = calls.defer_reply(Id::new(1), "token", true).await;
    assert!(matches!(outcome, Err(Error::RateLimited { .. })), "{outcome:?}");
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn first_response_refused_after_a_lost_attempt_is_unknown() {
    let peer = Peer::start(Script::Responses(&[FAILED, FORBIDDEN])).await;
    let calls = client(&[&peer.url])
        .interactive(None)
        .within(Duration::from_millis(2_900));
    let outcome = calls.defer_reply(Id::new(1), "token", true).await;
    assert!(matches!(outcome, Err(Error::OutcomeUnknown(_))), "{outcome:?}");
    let peer = Peer::start(Script::Response(FORBIDDEN)).await;
    let calls = client(&[&peer.url]).interactive(None);
    let outcome = calls.defer_reply(Id::new(1), "token", true).await;
    assert!(
        matches!(outcome, Err(Error::Forbidden { code: 50_013, .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn replica_that_refuses_the_credential_is_skipped_and_named() {
    let (old, new) = (
        Peer::start(Script::Response(UNKNOWN_CALLER)).await,
        Peer::start(Script::Response(NO_CONTENT)).await,
    );
    let discord = client(&[&old.url, &new.url]);
    for number in 1..=4 {
        let calls = discord.interactive(None);
        assert_eq!(calls.defer_reply(Id::new(number), "token", true).await, Ok(()));
        assert_eq!(calls.send_followup("token", &message("hi")).await, Ok(()));
    }
    assert_eq!(new.requests().len(), 8);
    let refusing = discord.refusing_proxies();
    assert_eq!(refusing.len(), 1);
    assert!(refusing[0].starts_with(old.url.as_str()), "{refusing:?}");
}

#[tokio::test]
async fn credential_refused_by_all_replicas_is_a_transient_error() {
    let (one, other) = (
        Peer::start(Script::Response(UNKNOWN_CALLER)).await,
        Peer::start(Script::Response(UNKNOWN_CALLER)).await,
    );
    let calls = client(&[&one.url, &other.url]).interactive(None);
    let error = calls.edit_original("token", &message("hi")).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("unknown-caller"),
        "{error}"
    );
    assert_eq!((one.requests().len(), other.requests().len()), (1, 1));
}

#[tokio::test]
async fn refusal_of_a_gateway_goes_to_the_next_replica() {
    for answer in [GATEWAY_404, GATEWAY_FORM] {
        let (behind, direct) = (
            Peer::start(Script::Response(answer)).await,
            Peer::start(Script::Response(NO_CONTENT)).await,
        );
        let discord = client(&[&behind.url, &direct.url]);
        for _ in 0..2 {
            let calls = discord.sync(Id::new(5));
            let given = calls
                .assign_role(Id::new(5), Id::new(6), Id::new(8), None, "tier")
                .await;
            assert_eq!(given, Ok(true));
        }
        let alone = client(&[&behind.url])
            .sync(Id::new(5))
            .within(Duration::from_millis(400));
        let error = alone
            .assign_role(Id::new(5), Id::new(6), Id::new(8), None, "tier")
            .await
            .unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn call_without_a_reachable_replica_fails_within_its_deadline() {
    let calls = client(&[&closed_port().await])
        .interactive(None)
        .within(Duration::from_millis(200));
    let outcome = calls.edit_original("token", &message("hi")).await;
    let Err(Error::Unavailable(why)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test]
async fn replica_that_comes_back_within_the_deadline_is_used() {
    let url = closed_port().await;
    let calls = client(&[&url]).interactive(None).within(Duration::from_secs(20));
    let call = tokio::spawn(async move { calls.edit_original("token", &message("hi")).await });
    let listener = tokio::net::TcpListener::bind((url.host_str().unwrap(), url.port().unwrap()))
        .await
        .unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, NO_CONTENT.as_bytes())
        .await
        .unwrap();
    assert_eq!(call.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn invalid_content_is_refused_before_it_is_sent() {
    let peer = Peer::start(Script::Response(NO_CONTENT)).await;
    let calls = client(&[&peer.url]).interactive(None);
    let long = message(&"x".repeat(2001));
    for outcome in [
        calls.reply(Id::new(1), "token", long.clone()).await,
        calls.edit_original("token", &long).await,
    ] {
        assert!(
            matches!(&outcome, Err(Error::Invalid { message, .. }) if message.contains("content is invalid")),
            "{outcome:?}"
        );
    }
    assert!(peer.requests().is_empty());
}

#[tokio::test]
async fn direct_message_has_no_mentions_and_an_enforced_nonce() {
    let channel = r#"{"id":"9","type":1,"recipients":[],"last_message_id":null}"#;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{channel}", channel.len());
    let peer = Peer::start(Script::Response(answer.leak())).await;
    let calls = client(&[&peer.url]).interactive(None);
    // The peer's second response is also a channel, which is not a message.
    assert_eq!(
        calls
            .send_dm(Id::new(6), &message("@everyone hi"), 42)
            .await
            .unwrap_err()
            .class(),
        "unreadable"
    );
    let requests = peer.requests();
    assert!(
        requests[0].starts_with("POST /api/v10/users/@me/channels"),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with("POST /api/v10/channels/9/messages"),
        "{}",
        requests[1]
    );
    let body: serde_json::Value = serde_json::from_str(requests[1].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["nonce"], 42);
    assert_eq!(body["enforce_nonce"], true);
    assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
}
