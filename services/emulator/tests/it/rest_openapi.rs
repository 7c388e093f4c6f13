//! The emulator against Discord's OpenAPI document. `rest_support` checks every call of every test here; this file checks that
//! the document was found, and that the routes are those of the document.

use discord_emulator::{Options, rest::routes};
use reqwest::Method;
use serde_json::{Value, json};

use crate::rest_support::{Bot, checker, sietch};

/// Routes that Discord serves but does not list in the document.
const UNLISTED: [(&str, &str); 1] = [("POST", "/guilds")];

#[test]
fn routes_are_those_of_the_document() {
    let Some(checker) = checker() else {
        println!("Discord's OpenAPI document is absent: answers are not checked against it (set DISCORD_OPENAPI)");
        return;
    };
    for route in routes::all() {
        let method = route.method.as_str();
        if UNLISTED.contains(&(method, route.template)) {
            continue;
        }
        assert!(
            checker.knows(method, route.template),
            "{method} {} is not in the document",
            route.template
        );
    }
}

#[tokio::test]
async fn a_ledger_can_be_checked_afterwards() {
    let Some(checker) = checker() else { return };
    let options = Options {
        rate_limits: false,
        ledger_bodies: 16_384,
        ..Options::default()
    };
    let bot = Bot::with(options, &sietch()).await;
    let path = format!("/channels/{}/messages", bot.channel("general"));
    let sent = bot
        .upload(Method::POST, &path, json!({"content": "x"}), &[("a.txt", b"a")])
        .await
        .ok(200);
    bot.client
        .get(sent["attachments"][0]["url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    bot.get(&format!("/guilds/{}", bot.guild())).await.ok(200);
    bot.get("/users/5").await.refused(404, 10013);
    let ledger = format!("{}/control/ledger?kind=rest", bot.emulator.addresses().control);
    let lines = bot.client.get(ledger).send().await.unwrap().text().await.unwrap();
    let report = checker.check_ledger(&lines);
    assert_eq!((report.checked, report.skipped, report.findings), (3, 1, Vec::new()));
    // A wrong record is detected.
    let report = checker.check_ledger(&lines.replace("Unknown User\\\"", "Unknown User\\\",\\\"code\\\":\\\"x\\\""));
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let Some(checker) = checker() else { return };
    let role = serde_json::json!({"id": 5, "name": "x"});
    let exchange = discord_emulator::openapi::Exchange {
        method: "GET",
        path: "/guilds/1/roles/5",
        request: None,
        status: 200,
        response: Some(&role),
    };
    let findings = checker.check(&exchange);
    assert!(findings.iter().any(|finding| finding.at == "/id"), "{findings:?}");
    let error: Value = serde_json::json!({"message": "Unknown Role"});
    let exchange = discord_emulator::openapi::Exchange {
        status: 404,
        response: Some(&error),
        ..exchange
    };
    assert!(!checker.check(&exchange).is_empty());
}
