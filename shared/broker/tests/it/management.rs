//! What a test does to the broker behind the code's back, through its management plugin.

use arrakis_test_support::required_variable;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

/// Calls the management API; the path begins with `/api`.
pub(crate) async fn call(method: Method, path: &str, body: Option<Value>) -> Value {
    let base: Url = required_variable("RABBITMQ_MANAGEMENT_URL").parse().unwrap();
    let mut url = base.join(path).unwrap();
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let mut request = Client::new()
        .request(method.clone(), url)
        .basic_auth(base.username(), base.password());
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    // An object to delete may be deleted already.
    let gone = method == Method::DELETE && status == StatusCode::NOT_FOUND;
    assert!(status.is_success() || gone, "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Limits the length of a queue with a policy: a full queue refuses messages.
pub(crate) async fn bound_queue(vhost: &str, queue: &str, length: u32) {
    let definition = json!({ "max-length": length, "overflow": "reject-publish" });
    let policy = json!({ "pattern": format!("^{queue}$"), "definition": definition, "apply-to": "queues" });
    call(Method::PUT, &format!("/api/policies/{vhost}/bound"), Some(policy)).await;
}

/// Removes the limit.
pub(crate) async fn unbound_queue(vhost: &str) {
    call(Method::DELETE, &format!("/api/policies/{vhost}/bound"), None).await;
}
