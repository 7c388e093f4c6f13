//! The emulator against Discord's OpenAPI document. Every call of every test here is checked by `rest_support`; this file
//! says whether that happened, and that the routes are those of the document.

use discord_emulator::rest::routes;
use serde_json::Value;

use crate::rest_support::checker;

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
