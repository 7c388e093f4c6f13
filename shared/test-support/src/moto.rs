//! [`Moto`]: a local S3 and DynamoDB.

use std::path::Path;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::process::Process;

/// An empty S3 and DynamoDB of its own: a moto process, killed when dropped. It accepts any credentials.
///
/// Its conditional writes are not atomic between concurrent requests, which those of AWS are: a test of concurrent writers sends one
/// request at a time.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    url: String,
}

impl Moto {
    /// Starts moto. A list of objects has at most `page` keys; DynamoDB's pages are not limited by it.
    ///
    /// # Panics
    /// When the variable `MOTO` is not set or moto cannot be started.
    pub async fn start(page: u32) -> Self {
        let arguments = ["--host", "127.0.0.1", "--port", "0"];
        let page = page.to_string();
        let process = Process::start_at(Path::new(&program()), &arguments, [("MOTO_S3_DEFAULT_MAX_KEYS", &page)]);
        let line = process.line("Running on http://").await;
        let url = line.split("Running on ").nth(1).unwrap_or_default().trim().to_owned();
        Self { process, url }
    }

    /// Whether moto is installed: the variable `MOTO` names it.
    #[must_use]
    pub fn is_installed() -> bool {
        std::env::var_os("MOTO").is_some_and(|program| Path::new(&program).is_file())
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, to suspend or kill it.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Creates a bucket.
    ///
    /// # Panics
    /// When moto refuses.
    pub async fn create_bucket(&self, name: &str) {
        match client().put(format!("{}/{name}", self.url)).send().await {
            Ok(response) if response.status().is_success() => {}
            other => panic!("the bucket {name} cannot be created: {other:?}"),
        }
    }

    /// Creates the two tables of a catalogue of backups, as a deployment has them: records with the index `GSI1`, and plans. Items expire by
    /// their attribute `TTL`.
    ///
    /// # Panics
    /// When moto refuses.
    pub async fn create_backup_tables(&self, records: &str, tiers: &str) {
        for (name, has_index) in [(records, true), (tiers, false)] {
            self.dynamo("CreateTable", &backup_table(name, has_index)).await;
            let expiry = json!({
                "TableName": name,
                "TimeToLiveSpecification": {"AttributeName": "TTL", "Enabled": true},
            });
            self.dynamo("UpdateTimeToLive", &expiry).await;
        }
    }

    /// The headers of an object, such as those of its encryption.
    ///
    /// # Panics
    /// When moto does not respond or does not have the object.
    pub async fn object_headers(&self, bucket: &str, key: &str) -> HeaderMap {
        let url = format!("{}/{bucket}/{key}", self.url);
        match client()
            .head(url)
            .header("authorization", authorization("s3"))
            .send()
            .await
        {
            Ok(response) if response.status().is_success() => response.headers().clone(),
            other => panic!("the object {key} of the bucket {bucket} cannot be read: {other:?}"),
        }
    }

    /// Sends a request to DynamoDB, such as `PutItem`, and returns the response.
    ///
    /// # Panics
    /// When moto does not respond or refuses.
    pub async fn dynamo(&self, operation: &str, body: &Value) -> Value {
        let sent = client()
            .post(&self.url)
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", authorization("dynamodb"))
            .body(body.to_string());
        let response = match sent.send().await {
            Ok(response) => response,
            Err(why) => panic!("{operation}: moto does not respond: {why}"),
        };
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        assert!(status.is_success(), "{operation}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{operation}: {why}: {text}"))
    }
}

/// The header of a request to a service. moto requires one and does not check its signature.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261201/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

/// moto is on this machine; a proxy named by the environment is not for it.
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap_or_default()
}

/// The description of a table with the key of records and plans.
fn backup_table(name: &str, has_index: bool) -> Value {
    let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let mut attributes = vec![text("PK"), text("SK")];
    let mut table = json!({
        "TableName": name,
        "KeySchema": [key("PK", "HASH"), key("SK", "RANGE")],
        "BillingMode": "PAY_PER_REQUEST",
    });
    if has_index {
        attributes.extend([text("GSI1PK"), text("GSI1SK")]);
        table["GlobalSecondaryIndexes"] = json!([{
            "IndexName": "GSI1",
            "KeySchema": [key("GSI1PK", "HASH"), key("GSI1SK", "RANGE")],
            "Projection": {"ProjectionType": "ALL"},
        }]);
    }
    table["AttributeDefinitions"] = json!(attributes);
    table
}

/// Path of moto.
fn program() -> String {
    match std::env::var("MOTO") {
        Ok(path) if !path.is_empty() => path,
        _ => panic!(
            "MOTO is not set: this test needs moto, a local S3 and DynamoDB. Run `./dev test`, which installs it by pip, or `./dev services` \
             once and then `eval \"$(./dev env)\"` in this shell"
        ),
    }
}
