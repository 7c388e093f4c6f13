//! A bucket and tables of a test for the backups of a session.

use arrakis_test_support::Moto;
use serde_json::{Value, json};

use crate::session::Session;

const BUCKET: &str = "gaib-backups-123456789012";
/// Attribute with the ids of counted uses.
const USES: &str = "uses";

pub(crate) async fn create_bucket(moto: &Moto) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let created = client.put(format!("{}/{BUCKET}", moto.url())).send().await.unwrap();
    assert!(created.status().is_success(), "{created:?}");
}

/// Sets the variables of a session to a bucket and its default tables, which are created.
pub(super) async fn share(session: &mut Session, moto: &Moto) {
    create_bucket(moto).await;
    create_tables(moto, "gaib-backup-metadata", "gaib-server-tiers").await;
    use_bucket(session, moto.url(), "production");
}

/// The same for a bucket that exists, by another address of moto, with objects below `name` and tables of their own: `NAME-records` and
/// `NAME-tiers`.
pub(crate) async fn share_as(session: &mut Session, moto: &Moto, address: &str, name: &str) {
    create_tables(moto, &format!("{name}-records"), &format!("{name}-tiers")).await;
    use_bucket(session, address, name);
    let catalogue = format!("dynamodb://{name}-records/{name}-tiers");
    session.environment("BACKUP_CATALOGUE", Some(&catalogue));
}

fn use_bucket(session: &mut Session, address: &str, prefix: &str) {
    for (name, value) in [
        ("BACKUP_STORE", format!("s3://{BUCKET}/{prefix}").as_str()),
        ("AWS_ENDPOINT_URL", address),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ] {
        session.environment(name, Some(value));
    }
}

async fn create_tables(moto: &Moto, records: &str, tiers: &str) {
    for (name, has_index) in [(records, true), (tiers, false)] {
        let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let mut attributes = vec![text("PK"), text("SK")];
        let mut table = json!({
            "TableName": name,
            "KeySchema": [key("PK", "HASH"), key("SK", "RANGE")],
            "BillingMode": "PAY_PER_REQUEST",
        });
        if has_index {
            attributes.push(text("GSI1PK"));
            table["GlobalSecondaryIndexes"] = json!([{
                "IndexName": "GSI1",
                "KeySchema": [key("GSI1PK", "HASH")],
                "Projection": {"ProjectionType": "ALL"},
            }]);
        }
        table["AttributeDefinitions"] = json!(attributes);
        dynamo(moto, "CreateTable", &table).await;
    }
}

/// A request to DynamoDB.
pub(super) async fn dynamo(moto: &Moto, operation: &str, body: &Value) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = client
        .post(moto.url())
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261201/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0",
        )
        .body(body.to_string());
    let response = sent.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{operation}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Number of uses that the table `tiers` counts.
pub(super) async fn uses(moto: &Moto, tiers: &str) -> usize {
    let items = counted(moto, tiers).await;
    let ids = items.iter().filter_map(|item| item[USES]["SS"].as_array());
    ids.map(Vec::len).sum()
}

/// Forgets all uses, as in another period.
pub(super) async fn forget_uses(moto: &Moto, tiers: &str) {
    for item in counted(moto, tiers).await {
        let key = json!({"PK": item["PK"], "SK": item["SK"]});
        dynamo(moto, "DeleteItem", &json!({"TableName": tiers, "Key": key})).await;
    }
}

async fn counted(moto: &Moto, tiers: &str) -> Vec<Value> {
    let found = dynamo(moto, "Scan", &json!({"TableName": tiers})).await;
    let mut items = found["Items"].as_array().unwrap().clone();
    items.retain(|item| item.get(USES).is_some());
    items
}
