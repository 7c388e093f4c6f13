//! The control API and the page against web pages of other origins.

use http::Method;
use serde_json::{Value, json};

use crate::support::Emu;
use discord_emulator::Options;

/// Status and error of a call with these headers.
async fn call(emu: &Emu, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let url = format!("{}{path}", emu.emulator.addresses().control);
    let mut request = reqwest::Client::new().request(method, url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    // Streams never end: only their status is read.
    let streams = answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream");
    let body = if streams {
        Value::Null
    } else {
        answer.json().await.unwrap_or_default()
    };
    (status, body)
}

fn own_origin(emu: &Emu) -> String {
    emu.emulator.addresses().control.clone()
}

#[tokio::test]
async fn other_host_is_refused_on_every_path_with_the_option_that_allows_it() {
    let emu = Emu::start().await;
    for path in [
        "/",
        "/assets/app.js",
        "/page/view",
        "/page/changes",
        "/control/health",
        "/control/traffic",
        "/nowhere",
    ] {
        let (status, body) = call(&emu, Method::GET, path, &[("host", "evil.example:4011")], "").await;
        assert_eq!(status, 403, "{path}");
        assert!(body["error"].as_str().unwrap().contains("evil.example:4011"), "{body}");
        assert!(
            body["what_to_do"]
                .as_str()
                .unwrap()
                .contains("--control-host evil.example"),
            "{body}"
        );
    }
    let seed = r#"{"kind":"lively"}"#;
    let (status, _) = call(&emu, Method::POST, "/control/seed", &[("host", "evil.example")], seed).await;
    assert_eq!(status, 403);
    assert_eq!(emu.get("health").await["guilds"], 0);
}

#[tokio::test]
async fn a_host_can_be_allowed() {
    let options = Options {
        control_hosts: vec!["emulator.test".to_owned()],
        ..Options::default()
    };
    let emu = Emu::with(options).await;
    let page = [("host", "emulator.test:8080"), ("origin", "http://emulator.test:8080")];
    assert_eq!(call(&emu, Method::GET, "/control/health", &page, "").await.0, 200);
    assert_eq!(
        call(&emu, Method::GET, "/control/health", &[("host", "other.test")], "")
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn another_origin_changes_nothing_and_reads_nothing() {
    let emu = Emu::start().await;
    for origin in ["https://evil.example", "http://localhost:3000", "null"] {
        for (method, path) in [
            (Method::POST, "/control/seed"),
            (Method::POST, "/control/token/reset"),
            (Method::DELETE, "/control/faults"),
            (Method::GET, "/control/addresses"),
            (Method::GET, "/control/traffic"),
            (Method::GET, "/page/changes"),
            (Method::OPTIONS, "/control/seed"),
        ] {
            let headers = [("origin", origin), ("content-type", "text/plain")];
            let (status, body) = call(&emu, method.clone(), path, &headers, r#"{"kind":"lively"}"#).await;
            assert_eq!(status, 403, "{method} {path} from {origin}");
            assert!(body["error"].as_str().unwrap().contains(origin), "{body}");
            assert!(!body["what_to_do"].as_str().unwrap().is_empty());
        }
    }
    // A form or an image of an old browser that sends no Origin.
    let form = [
        ("referer", "https://evil.example/"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(
        call(&emu, Method::POST, "/control/seed", &form, r#"{"kind":"lively"}"#)
            .await
            .0,
        403
    );
    let image = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
    assert_eq!(call(&emu, Method::GET, "/control/addresses", &image, "").await.0, 403);
    assert_eq!(emu.get("health").await["guilds"], 0);
}

#[tokio::test]
async fn the_page_itself_programs_and_links_are_served() {
    let emu = Emu::start().await;
    let origin = own_origin(&emu);
    let json_of_page = [
        ("origin", origin.as_str()),
        ("content-type", "application/json"),
        ("sec-fetch-site", "same-origin"),
    ];
    let body = json!({"kind": "lively"}).to_string();
    assert_eq!(
        call(&emu, Method::POST, "/control/seed", &json_of_page, &body).await.0,
        200
    );
    let streams = [("sec-fetch-site", "same-origin"), ("origin", origin.as_str())];
    for path in ["/control/traffic", "/page/changes"] {
        assert_eq!(call(&emu, Method::GET, path, &streams, "").await.0, 200, "{path}");
    }
    // `curl -d`.
    let curl = [("content-type", "application/x-www-form-urlencoded")];
    let person = r#"{"name":"duncan"}"#;
    assert_eq!(call(&emu, Method::POST, "/control/users", &curl, person).await.0, 200);
    // A link in a chat.
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(call(&emu, Method::GET, "/", &link, "").await.0, 200);
    // The same body as a form of the page itself.
    let form = [("origin", origin.as_str()), ("content-type", "text/plain")];
    let (status, refused) = call(&emu, Method::POST, "/control/users", &form, r#"{"name":"gurney"}"#).await;
    assert_eq!(status, 403, "{refused}");
    assert!(
        refused["what_to_do"].as_str().unwrap().contains("application/json"),
        "{refused}"
    );
}
