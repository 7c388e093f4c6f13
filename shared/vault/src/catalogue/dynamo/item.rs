//! Records as items of DynamoDB: an attribute for each field.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::catalogue::Cursor;
use crate::paths::time_text;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;

/// An item, or the key of one.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Attribute with the partition key.
pub(super) const PARTITION: &str = "PK";
/// Attribute with the sort key.
pub(super) const SORT: &str = "SK";
/// Attribute with the expiry, by which the table deletes items.
pub(super) const EXPIRY: &str = "TTL";
/// Attribute with the key of the index.
const INDEX_KEY: &str = "GSI1PK";
/// Attribute with the sort key of the index. An item without it is not in the index of a table that Terraform created.
const INDEX_SORT: &str = "GSI1SK";
/// Field of a record that is stored as [`EXPIRY`].
const EXPIRES: &str = "expires";

pub(super) fn string(text: impl Display) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

pub(super) fn number(number: impl Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) const fn sort_prefix(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Backup => "BACKUP#",
        RecordKind::Snapshot => "SNAPSHOT#",
    }
}

pub(super) fn sort_key(record: &BackupRecord) -> String {
    format!(
        "{}{}#{}",
        sort_prefix(record.kind),
        time_text(record.created),
        record.id
    )
}

/// The sort key of the record at a position.
pub(super) fn sort_key_of_cursor(kind: RecordKind, cursor: &Cursor) -> String {
    // The time contains a dot, the id does not.
    let position = cursor.as_str();
    let (time, id) = position.rsplit_once('.').unwrap_or((position, ""));
    format!("{}{time}#{id}", sort_prefix(kind))
}

/// The id in the key of a record; `None` where the key has none.
pub(super) fn id_of_key(item: &Item) -> Option<Uuid> {
    let text = item.get(SORT)?.as_s().ok()?;
    text.rsplit_once('#')?.1.parse().ok()
}

/// The server of an item.
pub(super) fn server_of(item: &Item) -> Option<ServerId> {
    let text = item.get(PARTITION)?.as_s().ok()?;
    text.strip_prefix("SERVER#")?.parse().ok()
}

/// A record as an item, with its keys.
pub(super) fn to_item(record: &BackupRecord) -> Result<Item, String> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(record) else {
        return Err("the record has no form as JSON".to_owned());
    };
    fields.remove(EXPIRES);
    let mut item = Item::new();
    for (name, value) in fields {
        item.insert(name, to_attribute(value)?);
    }
    item.insert(PARTITION.to_owned(), string(format!("SERVER#{}", record.server)));
    item.insert(SORT.to_owned(), string(sort_key(record)));
    item.insert(INDEX_KEY.to_owned(), string(record.id));
    item.insert(INDEX_SORT.to_owned(), string(sort_key(record)));
    if let Some(expires) = record.expires {
        item.insert(EXPIRY.to_owned(), number(expires.unix_timestamp()));
    }
    Ok(item)
}

/// The record of an item, which must be the one that its key names.
pub(super) fn from_item(item: &Item) -> Result<BackupRecord, String> {
    let mut fields = Map::new();
    for (name, value) in item {
        if ![PARTITION, SORT, INDEX_KEY, INDEX_SORT, EXPIRY].contains(&name.as_str()) {
            fields.insert(
                name.clone(),
                from_attribute(value).ok_or_else(|| format!("`{name}` has a wrong type"))?,
            );
        }
    }
    let mut record: BackupRecord = serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    record.expires = item.get(EXPIRY).map(expiry).transpose()?;
    let sort = item.get(SORT).and_then(|sort| sort.as_s().ok());
    if server_of(item) == Some(record.server) && sort == Some(&sort_key(&record)) {
        return Ok(record);
    }
    Err(format!(
        "it is the record of the {} {} of server {}, under another key",
        record.kind, record.id, record.server
    ))
}

fn expiry(value: &AttributeValue) -> Result<OffsetDateTime, String> {
    let seconds = value.as_n().ok().and_then(|seconds| seconds.parse::<i64>().ok());
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.ok_or_else(|| format!("`{EXPIRY}` is not a time in seconds"))
}

fn to_attribute(value: Value) -> Result<AttributeValue, String> {
    match value {
        Value::String(text) => Ok(AttributeValue::S(text)),
        Value::Number(value) => Ok(number(value)),
        Value::Object(fields) => {
            let pairs = fields.into_iter().map(|(name, value)| Ok((name, to_attribute(value)?)));
            Ok(AttributeValue::M(pairs.collect::<Result<_, String>>()?))
        }
        other => Err(format!("a record has no field like {other}")),
    }
}

fn from_attribute(value: &AttributeValue) -> Option<Value> {
    match value {
        AttributeValue::S(text) => Some(Value::String(text.clone())),
        AttributeValue::N(text) => Some(Value::Number(Number::from(text.parse::<u64>().ok()?))),
        AttributeValue::M(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, value)| Some((name.clone(), from_attribute(value)?)));
            Some(Value::Object(pairs.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrakis_domain::Plan;
    use time::macros::datetime;

    use super::*;
    use crate::record::StateVersion;
    use crate::sign::{Algorithm, Signature};

    fn record() -> BackupRecord {
        BackupRecord {
            id: Uuid::from_u128(1),
            kind: RecordKind::Snapshot,
            server: ServerId::new(1_200_000_000_000_000_000),
            workspace: "default".to_owned(),
            created: datetime!(2026-12-01 02:50:00.123 UTC),
            state: Some(StateVersion {
                lineage: "l".to_owned(),
                serial: u64::MAX,
            }),
            message: Some("ä".to_owned()),
            plan: Plan::Premium,
            size: 10,
            checksum: "00".to_owned(),
            expires: Some(datetime!(2026-12-08 00:00 UTC)),
            signature: Some(Signature {
                algorithm: Algorithm::Ed25519,
                key: "0123456789abcdef".to_owned(),
                version: 1,
                value: "AA==".to_owned(),
            }),
        }
    }

    #[test]
    fn record_is_the_same_after_an_item() {
        let item = to_item(&record()).unwrap();
        assert_eq!(
            item[SORT].as_s().unwrap(),
            "SNAPSHOT#20261201T025000.123Z#00000000-0000-0000-0000-000000000001"
        );
        assert_eq!(item["GSI1PK"].as_s().unwrap(), "00000000-0000-0000-0000-000000000001");
        assert_eq!(item["GSI1SK"], item[SORT]);
        assert_eq!(from_item(&item).unwrap(), record());
        assert_eq!(
            sort_key_of_cursor(RecordKind::Snapshot, &Cursor::of(&record())),
            sort_key(&record())
        );
        assert_eq!(server_of(&item), Some(record().server));
        assert_eq!(id_of_key(&item), Some(record().id));
    }

    #[test]
    fn item_under_another_key_is_refused() {
        for (name, value) in [(PARTITION, "SERVER#7"), (SORT, "BACKUP#20261201T025000.123Z#1")] {
            let mut item = to_item(&record()).unwrap();
            item.insert(name.to_owned(), string(value));
            assert!(from_item(&item).unwrap_err().contains("under another key"), "{name}");
        }
        let mut item = to_item(&record()).unwrap();
        item.insert("size".to_owned(), AttributeValue::Bool(true));
        assert!(from_item(&item).unwrap_err().contains("`size`"));
    }
}
