//! The store of the measured backups: a local S3 and DynamoDB with the bucket and the tables of a deployment.

use anyhow::{Context as _, ensure};
use arrakis_test_support::Moto;
use serde_json::json;

const BUCKET: &str = "gaib-backups-123456789012";
const PREFIX: &str = "production";
const RECORDS: &str = "gaib-backup-metadata";
const TIERS: &str = "gaib-server-tiers";

/// A bucket with its catalogue.
#[derive(Debug)]
pub(super) struct Storage {
    moto: Moto,
}

/// An object in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Its key, with the prefix.
    pub(super) key: String,
    /// Bytes.
    pub(super) size: u64,
}

impl Storage {
    pub(super) async fn start() -> anyhow::Result<Self> {
        ensure!(
            Moto::is_installed(),
            "MOTO names no program: install python3-venv, then `./dev bench --profile vault` installs moto"
        );
        let moto = Moto::start(1_000).await;
        moto.create_bucket(BUCKET).await;
        moto.create_backup_tables(RECORDS, TIERS).await;
        Ok(Self { moto })
    }

    /// The variables with which gaib uses the bucket.
    pub(super) fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("BACKUP_STORE", format!("s3://{BUCKET}/{PREFIX}")),
            ("AWS_ENDPOINT_URL", self.moto.url().to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
    }

    /// Gives a server the premium plan, which has no limits: a measurement creates several backups.
    pub(super) async fn set_premium(&self, guild: u64) {
        let item = json!({
            "PK": {"S": format!("SERVER#{guild}")}, "SK": {"S": "PLAN"}, "plan": {"S": "premium"},
        });
        let request = json!({"TableName": TIERS, "Item": item});
        self.moto.dynamo("PutItem", &request).await;
    }

    /// The objects whose keys begin with this, below the prefix.
    pub(super) async fn objects(&self, folder: &str) -> anyhow::Result<Vec<Object>> {
        let url = format!("{}/{BUCKET}?list-type=2&prefix={PREFIX}/{folder}", self.moto.url());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let response = client.get(&url).send().await.with_context(|| url.clone())?;
        read_list(&response.error_for_status()?.text().await?)
    }

    /// Process id of moto.
    pub(super) fn pid(&self) -> Option<u32> {
        self.moto.process().pid()
    }
}

/// The objects in a response to `ListObjectsV2`.
fn read_list(xml: &str) -> anyhow::Result<Vec<Object>> {
    ensure!(
        !xml.contains("<IsTruncated>true"),
        "the list of objects has a second page"
    );
    xml.split("<Contents>")
        .skip(1)
        .map(|content| {
            anyhow::Ok(Object {
                key: element(content, "Key")?.to_owned(),
                size: element(content, "Size")?.parse()?,
            })
        })
        .collect()
}

/// The text of the first element with this name.
fn element<'a>(xml: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let rest = xml.split_once(&begin).map(|(_, rest)| rest);
    let text = rest.and_then(|rest| rest.split_once(&end)).map(|(text, _)| text);
    text.with_context(|| format!("an object in the list has no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_a_list_have_key_and_size_and_a_second_page_is_refused() {
        let list = |truncated: bool| {
            format!(
                "<ListBucketResult><Name>b</Name><IsTruncated>{truncated}</IsTruncated><Contents><Key>a/1</Key><Size>7</Size></Contents>\
                 <Contents><Key>a/2</Key><ETag>e</ETag><Size>0</Size></Contents></ListBucketResult>"
            )
        };
        let found = read_list(&list(false)).unwrap();
        let found: Vec<_> = found.iter().map(|object| (object.key.as_str(), object.size)).collect();
        assert_eq!(found, [("a/1", 7), ("a/2", 0)]);
        assert!(read_list(&list(true)).is_err());
        assert!(read_list("<Contents><Key>a</Key></Contents>").is_err());
        assert!(read_list("<ListBucketResult/>").unwrap().is_empty());
    }
}
