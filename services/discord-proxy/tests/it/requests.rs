//! Requests of callers: malformed ones, those outside the allow-list, and which headers are forwarded.

use arrakis_contracts::proxy::{PROXY_ERROR, ProxyError};
use http::Method;

use crate::support::{CallResponse, Reply, World, send};

fn assert_refusal(answer: &CallResponse, error: ProxyError) {
    assert_eq!(
        (answer.status, answer.header(PROXY_ERROR)),
        (error.status(), Some(error.name())),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-arrakis-attempts"), Some("0"));
    assert_eq!(answer.body["code"], 0, "Discord's error form: {}", answer.body);
    assert!(answer.message().len() > 20, "{}", answer.message());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_without_a_known_credential_is_refused() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/api/v10/guilds/1", replica.address);
    assert_refusal(&send(client.get(&url)).await, ProxyError::UnknownCaller);
    assert_refusal(
        &send(client.get(&url).bearer_auth("a-wrong-credential")).await,
        ProxyError::UnknownCaller,
    );
    let bot = client
        .get(&url)
        .header("authorization", format!("Bot {}", crate::support::TOKEN));
    assert_refusal(&send(bot).await, ProxyError::UnknownCaller);
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_outside_the_allow_list_is_refused_with_its_caller() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    for (method, path) in [
        (Method::DELETE, "/guilds/1"),
        (Method::PUT, "/guilds/1/bans/2"),
        (Method::DELETE, "/channels/1"),
        (Method::GET, "/oauth2/applications/@me"),
        (Method::GET, "/guilds/1/anything"),
        (Method::OPTIONS, "/guilds/1"),
        (Method::HEAD, "/guilds/1"),
    ] {
        let head = method == Method::HEAD;
        let answer = send(replica.call(method, path)).await;
        assert_eq!((answer.status, answer.proxy_error()), (403, Some("not-allowed")));
        if !head {
            assert!(answer.message().contains("worker"), "{}", answer.message());
        }
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(
        replica.metric(r#"arrakis_proxy_refusals_total{why="not-allowed"}"#),
        7.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_is_forwarded_unchanged() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    let answer = replica.get("/guilds/1?with=query&and=%20more").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        world.upstream.seen()[0].path,
        "/api/v10/guilds/1?with=query&and=%20more"
    );
}

/// Sends a path unchanged; HTTP clients normalise paths.
async fn raw(replica: &crate::support::Replica, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(replica.address).await.unwrap();
    let credential = crate::support::CREDENTIAL;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: proxy\r\nauthorization: Bearer {credential}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_path_is_refused() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    let long = format!("/api/v10/guilds/{}", "1".repeat(1_024));
    for path in [
        "/api/v10/guilds/1/../2",
        "/api/v10/guilds/1/%2e%2e/2",
        "/api/v10/guilds/1%2f..%2f2",
        "/api/v10/guilds//1",
        "/api/v10/guilds/1/",
        "/api/v9/guilds/1",
        "/guilds/1",
        "/",
        &long,
    ] {
        let answer = raw(&replica, path).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(
            answer.contains("x-arrakis-proxy-error: bad-request") && answer.contains("\"code\":0"),
            "{answer}"
        );
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_header_is_refused_with_its_name() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    for (name, value) in [
        ("x-arrakis-urgency", "yesterday"),
        ("x-arrakis-deadline-ms", "soon"),
        ("x-arrakis-deadline-ms", "0"),
        ("x-arrakis-deadline-ms", "99999999"),
        ("x-arrakis-tenant", "a tenant with spaces"),
        ("x-arrakis-tenant", ""),
    ] {
        let answer = send(replica.call(Method::GET, "/guilds/1").header(name, value)).await;
        assert_refusal(&answer, ProxyError::BadRequest);
        assert!(answer.message().contains(name), "{}", answer.message());
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_above_the_limit_is_refused_and_one_at_the_limit_is_sent() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world
        .tuned(crate::support::TOKEN, |tuning| tuning.max_body = 1 << 20)
        .await;
    let post = |size: usize| {
        replica
            .call(Method::POST, "/channels/5/messages")
            .body(vec![b'a'; size])
    };
    let refused = send(post((1 << 20) + 1)).await;
    assert_refusal(&refused, ProxyError::BodyTooLarge);
    assert!(refused.message().contains("1048576"), "{}", refused.message());
    let chunks = futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 32 << 10])));
    let unannounced = replica
        .call(Method::POST, "/channels/5/messages")
        .body(reqwest::Body::wrap_stream(chunks));
    assert_refusal(&send(unannounced).await, ProxyError::BodyTooLarge);
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(send(post(1 << 20)).await.status, 200);
    assert_eq!(world.upstream.seen()[0].body.len(), 1 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discord_receives_only_its_own_headers() {
    let world = World::new(|_| {
        Reply::ok()
            .with("set-cookie", "__cf=1")
            .with("x-arrakis-attempts", "9")
            .with("x-ratelimit-scope", "user")
            .with("via", "1.1 google")
    })
    .await;
    let replica = world.replica().await;
    let call = replica
        .call(Method::PUT, "/guilds/1/members/2/roles/3")
        .header("x-arrakis-tenant", "1")
        .header("x-arrakis-urgency", "sync")
        .header("x-audit-log-reason", "tier%20changed")
        .header("user-agent", "worker/1")
        .header("cookie", "a=b")
        .header("te", "trailers")
        .header("x-forwarded-for", "10.0.0.1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let answer = send(call).await;
    let seen = &world.upstream.seen()[0];
    let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "host",
            "user-agent",
            "x-audit-log-reason"
        ]
    );
    assert_eq!(
        seen.headers["authorization"],
        format!("Bot {}", crate::support::TOKEN).as_str()
    );
    assert_eq!(seen.headers["x-audit-log-reason"], "tier%20changed");
    let agent = seen.headers["user-agent"].to_str().unwrap();
    assert!(
        agent.starts_with("DiscordBot (https://") && agent.ends_with(')'),
        "{agent}"
    );
    assert_eq!(answer.header("x-arrakis-attempts"), Some("1"));
    assert_eq!(
        (answer.header("set-cookie"), answer.header("via")),
        (None, Some("1.1 google"))
    );
    assert_eq!(answer.proxy_error(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_content_types_are_forwarded_unchanged() {
    let world = World::new(|_| Reply::status(200, "{\"id\":\"1\"}").with("content-type", "application/json")).await;
    let replica = world.replica().await;
    let body = b"--b\r\ncontent-disposition: form-data; name=\"files[0]\"\r\n\r\n\x00\xff\r\n--b--\r\n".to_vec();
    let call = replica.call(Method::POST, "/channels/5/messages").body(body.clone());
    let answer = send(call.header("content-type", "multipart/form-data; boundary=b")).await;
    let seen = &world.upstream.seen()[0];
    assert_eq!(
        (&seen.body[..], seen.headers["content-type"].to_str().unwrap()),
        (&body[..], "multipart/form-data; boundary=b")
    );
    assert_eq!(
        (answer.body["id"].as_str(), answer.header("content-type")),
        (Some("1"), Some("application/json"))
    );
}
