//! Allow-lists: each caller may send exactly the calls of its client, and receives no secret.

use std::collections::BTreeSet;
use std::path::Path;

use arrakis_discord_proxy::AllowLists;
use http::Method;

use crate::support::{API, CREDENTIAL, GAIB, Reply, World, send};

/// Every `"METHOD /path"` that the sources below a folder name, tests left out.
fn endpoints(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            endpoints(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let literals = code.split('"').skip(1).step_by(2);
        found.extend(literals.filter(|literal| is_endpoint(literal)).map(str::to_owned));
    }
}

fn is_endpoint(literal: &str) -> bool {
    literal.split_once(' ').is_some_and(|(method, path)| {
        ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) && path.starts_with('/')
    })
}

/// The allow-list of a caller is exactly what the sources below these folders name: nothing is missing, and nothing is unused.
fn assert_allowed_exactly(caller: &str, sources: &[&str]) {
    let mut callable = BTreeSet::new();
    for sources in sources {
        endpoints(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources), &mut callable);
    }
    assert!(callable.len() >= 20, "the client's endpoints are found: {callable:?}");
    let lists = AllowLists::built_in().unwrap();
    let allowed: BTreeSet<String> = lists
        .of(caller)
        .unwrap()
        .entries()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let missing: Vec<_> = callable.difference(&allowed).collect();
    let unused: Vec<_> = allowed.difference(&callable).collect();
    assert!(
        missing.is_empty(),
        "{caller} sends calls that are not allowed: {missing:?}"
    );
    assert!(
        unused.is_empty(),
        "{caller} is allowed calls that it never sends: {unused:?}"
    );
}

#[test]
fn allow_list_of_the_worker_is_exactly_its_clients_endpoints() {
    let sources = [
        "../../shared/discord/src",
        "../worker/src/synthesis",
        "../worker/src/jobs/backup",
    ];
    assert_allowed_exactly("worker", &sources);
}

/// A test of iac-apply makes every call of its list and finds no other.
#[test]
fn allow_list_of_gaib_is_exactly_its_endpoints() {
    assert_allowed_exactly("gaib", &["../../shared/iac-apply/src"]);
}

/// Routes whose answers hold a secret. Of Discord's OpenAPI document: every operation whose answer has a field with "token",
/// "secret" or "password" in its name, at any depth. Beyond these, what opens a door by being known (invites, templates), and
/// what belongs to the application's owner.
const SECRET: [(Method, &str); 29] = [
    (Method::GET, "/channels/5/webhooks"),
    (Method::POST, "/channels/5/webhooks"),
    (Method::GET, "/guilds/5/audit-logs"),
    (Method::GET, "/guilds/5/webhooks"),
    (Method::POST, "/partner-sdk/token"),
    (Method::POST, "/partner-sdk/token/bot"),
    (Method::GET, "/webhooks/5"),
    (Method::PATCH, "/webhooks/5"),
    (Method::GET, "/webhooks/5/token"),
    (Method::PATCH, "/webhooks/5/token"),
    (Method::GET, "/webhooks/1/token"),
    (Method::PATCH, "/webhooks/1/token"),
    (Method::POST, "/webhooks/5/token"),
    (Method::POST, "/webhooks/5/token/slack"),
    (Method::POST, "/webhooks/5/token/github"),
    (Method::PATCH, "/webhooks/5/token/messages/@original"),
    (Method::GET, "/webhooks/5/token/messages/6"),
    (Method::GET, "/guilds/5/invites"),
    (Method::GET, "/channels/5/invites"),
    (Method::POST, "/channels/5/invites"),
    (Method::GET, "/guilds/5/vanity-url"),
    (Method::GET, "/guilds/5/templates"),
    (Method::GET, "/guilds/5/integrations"),
    (Method::GET, "/applications/@me"),
    (Method::PATCH, "/applications/@me"),
    (Method::GET, "/applications/1"),
    (Method::GET, "/oauth2/applications/@me"),
    (Method::GET, "/oauth2/@me"),
    (Method::GET, "/users/@me/connections"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_receives_a_secret() {
    const BODY: &str = r#"[{"id":"5","name":"kept","token":"S3CRET","url":"https://discord.com/api/webhooks/5/S3CRET",
        "webhooks":[{"token":"S3CRET"}],"nested":{"url":"S3CRET"}}]"#;
    let world = World::new(|_| Reply::status(200, BODY)).await;
    let replica = world.replica().await;
    let mut passed = Vec::new();
    for (name, credential) in [("worker", CREDENTIAL), ("api", API), ("gaib", GAIB)] {
        for (method, path) in &SECRET {
            let answer = replica
                .call_as(credential, method.clone(), path)
                .body("{}")
                .send()
                .await
                .unwrap();
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            assert!(!body.contains("S3CRET"), "{name} {method} {path}: {body}");
            if status == 200 {
                assert!(body.contains("kept"), "the other fields remain: {body}");
                passed.push(format!("{name} {method} {path}"));
            } else {
                assert_eq!(status, 403, "{name} {method} {path}");
            }
        }
    }
    assert_eq!(
        passed,
        [
            "worker GET /guilds/5/webhooks",
            "gaib POST /channels/5/webhooks",
            "gaib GET /guilds/5/webhooks",
            "gaib PATCH /webhooks/5"
        ],
        "the worker exports webhooks and gaib manages them; both receive them without their secrets"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_that_cannot_be_searched_for_secrets_is_withheld() {
    let world = World::new(|_| Reply::status(200, r#"{"token":"S3CRET""#)).await;
    let replica = world.replica().await;
    let answer = send(replica.call_as(GAIB, Method::GET, "/guilds/5/webhooks")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.message().contains("withheld"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_for_another_application_is_refused_with_the_bots_id() {
    let world = World::new(|_| Reply::ok()).await;
    let replica = world.replica().await;
    for (method, path) in [
        (Method::POST, "/webhooks/5/token"),
        (Method::PATCH, "/webhooks/5/token/messages/@original"),
        (Method::PUT, "/applications/5/commands"),
    ] {
        let answer = send(replica.call(method, path)).await;
        assert_eq!(
            (answer.status, answer.proxy_error()),
            (403, Some("not-allowed")),
            "{path}"
        );
        assert!(answer.message().contains("which is 1 "), "{}", answer.message());
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(send(replica.call(Method::POST, "/webhooks/1/token")).await.status, 200);
}
