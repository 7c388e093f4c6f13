use arrakis_test_support::{TestVhost, required_variable};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

/// By the management API, so that the crate needs no AMQP client.
async fn management(method: Method, path: &str, body: Value) -> StatusCode {
    let mut url = Url::parse(&required_variable("RABBITMQ_MANAGEMENT_URL")).unwrap();
    let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
    // Credentials in the URL would be sent a second time, which the broker refuses.
    url.set_username("").unwrap();
    url.set_password(None).unwrap();
    let request = Client::new()
        .request(method, url.join(path).unwrap())
        .basic_auth(user, password)
        .json(&body);
    request.send().await.unwrap().status()
}

async fn publish(vhost: &TestVhost, queue: &str) {
    let name = vhost.name();
    let made = management(
        Method::PUT,
        &format!("/api/queues/{name}/{queue}"),
        json!({"durable": true}),
    )
    .await;
    assert!(made.is_success(), "{made}");
    let message = json!({"properties": {}, "routing_key": queue, "payload": "x", "payload_encoding": "string"});
    let sent = management(
        Method::POST,
        &format!("/api/exchanges/{name}/amq.default/publish"),
        message,
    )
    .await;
    assert!(sent.is_success(), "{sent}");
}

#[tokio::test]
async fn vhost_is_deleted_at_the_end_of_the_test() {
    let vhost = TestVhost::create().await;
    let path = format!("/api/vhosts/{}", vhost.name());
    assert_eq!(management(Method::GET, &path, Value::Null).await, StatusCode::OK);
    vhost.finish().await;
    assert_eq!(management(Method::GET, &path, Value::Null).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
#[should_panic(expected = "unexpected messages are left: 1 in forgotten")]
async fn message_left_behind_fails_the_test() {
    let vhost = TestVhost::create().await;
    publish(&vhost, "forgotten").await;
    vhost.finish().await;
}

#[tokio::test]
async fn expected_messages_and_last_value_queues_do_not_fail_the_test() {
    let vhost = TestVhost::create().await;
    publish(&vhost, "arrakis.dlq").await;
    publish(&vhost, "arrakis.ingestor.shard.0").await;
    assert_eq!(vhost.messages("arrakis.dlq").await, 1);
    assert_eq!(vhost.messages("no.such.queue").await, 0);
    vhost.finish_with(&["arrakis.dlq"]).await;
}
