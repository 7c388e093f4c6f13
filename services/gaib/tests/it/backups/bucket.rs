//! A bucket and tables of a test for the backups of a session.

use arrakis_test_support::Moto;
use serde_json::{Value, json};

use crate::session::Session;

const BUCKET: &str = "gaib-backups-123456789012";
/// Attribute with the ids of counted uses.
const USES: &str = "uses";

pub(crate) async fn create_bucket(moto: &Moto) {
    moto.create_bucket(BUCKET).await;
}

/// Sets the variables of a session to a bucket and its default tables, which are created.
pub(super) async fn share(session: &mut Session, moto: &Moto) {
    create_bucket(moto).await;
    moto.create_backup_tables("gaib-backup-metadata", "gaib-server-tiers")
        .await;
    use_bucket(session, moto.url(), "production");
}

/// The same for a bucket that exists, by another address of moto, with objects below `name` and tables of their own: `NAME-records` and
/// `NAME-tiers`.
pub(crate) async fn share_as(session: &mut Session, moto: &Moto, address: &str, name: &str) {
    moto.create_backup_tables(&format!("{name}-records"), &format!("{name}-tiers"))
        .await;
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
        moto.dynamo("DeleteItem", &json!({"TableName": tiers, "Key": key}))
            .await;
    }
}

async fn counted(moto: &Moto, tiers: &str) -> Vec<Value> {
    let found = moto.dynamo("Scan", &json!({"TableName": tiers})).await;
    let mut items = found["Items"].as_array().unwrap().clone();
    items.retain(|item| item.get(USES).is_some());
    items
}
