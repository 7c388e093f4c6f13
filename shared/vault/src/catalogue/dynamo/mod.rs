//! [`DynamoCatalogue`]: records in a table of DynamoDB, plans and uses in a second one.
//!
//! | table | key | attributes |
//! |---|---|---|
//! | `gaib-backup-metadata` | `PK` `SERVER#{id}`, `SK` `BACKUP#{time}#{id}` or `SNAPSHOT#{time}#{id}` | of the record; `GSI1PK` the id; `GSI1SK` the same as `SK`; `TTL` the expiry |
//! | `gaib-server-tiers` | `PK` `SERVER#{id}`, `SK` `PLAN` | `plan` |
//! | `gaib-server-tiers` | `PK` `SERVER#{id}`, `SK` `USES#{operation}#{begin of the period}` | `uses`, a set of ids; `TTL` |
//!
//! `TTL` is in seconds since 1970. The index `GSI1` has the keys `GSI1PK` and `GSI1SK`. Every write is one request with a condition that can be
//! repeated: a repeated insertion finds an equal item, a use that is counted again is in the set already.

mod item;
mod queries;

use std::collections::{BTreeSet, HashMap};

use arrakis_domain::Plan;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Catalogue, CatalogueError, Cursor, DamagedRecord, ListRequest, Page, to_second};
use crate::aws::{AwsConnection, CallLimits, Failure, FailureKind, classify};
use crate::limits::Use;
use crate::paths::time_text;
use crate::record::{BackupRecord, plan_name};
use crate::server::ServerId;
use item::{Item, PARTITION, SORT, from_item, id_of_key, number, server_of, sort_key, string, to_item};

/// Sort key of the plan of a server.
const PLAN: &str = "PLAN";
/// How long a use is kept after the end of its period.
const USES_KEPT: Duration = Duration::DAY;

/// A catalogue in DynamoDB.
#[derive(Debug)]
pub struct DynamoCatalogue {
    client: Client,
    records: String,
    tiers: String,
    limits: CallLimits,
}

impl DynamoCatalogue {
    /// A catalogue in these tables, which exist: `records` has backups and snapshots, `tiers` plans and usage counters. Sends no request.
    #[must_use]
    pub fn new(connection: &AwsConnection, records: impl Into<String>, tiers: impl Into<String>) -> Self {
        Self {
            client: Client::new(connection.config()),
            records: records.into(),
            tiers: tiers.into(),
            limits: connection.limits(),
        }
    }

    /// The name of an item for messages.
    fn name(table: &str, key: &Item) -> String {
        let part = |name: &str| {
            key.get(name)
                .and_then(|value| value.as_s().ok())
                .cloned()
                .unwrap_or_default()
        };
        format!("dynamodb://{table}/{}/{}", part(PARTITION), part(SORT))
    }

    fn error(&self, operation: &'static str, table: &str, item: String, failure: Failure) -> CatalogueError {
        let attempts = self.limits.attempts;
        let hint = failure.hint();
        let Failure { kind, reason } = failure;
        match kind {
            FailureKind::NoContainer => CatalogueError::NoTable {
                item: format!("dynamodb://{table}"),
                reason,
            },
            FailureKind::NotFound => CatalogueError::NotFound { item },
            FailureKind::Denied | FailureKind::NoCredentials => CatalogueError::Denied {
                operation,
                item,
                reason,
                hint,
            },
            FailureKind::Throttled => CatalogueError::Throttled {
                operation,
                item,
                attempts,
                reason,
            },
            FailureKind::Unavailable | FailureKind::NoResponse | FailureKind::TimedOut | FailureKind::Conflict => {
                CatalogueError::Unavailable {
                    operation,
                    item,
                    attempts,
                    reason,
                }
            }
            FailureKind::ConditionFailed | FailureKind::Refused => CatalogueError::Refused {
                operation,
                item,
                reason,
            },
        }
    }

    /// An item, by a consistent read.
    async fn item(&self, table: &str, key: Item) -> Result<Option<Item>, CatalogueError> {
        let name = Self::name(table, &key);
        let request = self
            .client
            .get_item()
            .table_name(table)
            .set_key(Some(key))
            .consistent_read(true);
        match Box::pin(request.send()).await {
            Ok(read) => Ok(read.item),
            Err(error) => Err(self.error("read", table, name, classify(&error))),
        }
    }

    async fn record(&self, key: Item) -> Result<Option<BackupRecord>, CatalogueError> {
        let name = Self::name(&self.records, &key);
        let read = self.item(&self.records, key).await?;
        let damaged = |reason| CatalogueError::Damaged { item: name, reason };
        read.map(|item| from_item(&item)).transpose().map_err(damaged)
    }
}

#[async_trait]
impl Catalogue for DynamoCatalogue {
    fn describe(&self) -> String {
        format!("dynamodb://{}", self.records)
    }

    async fn insert(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        let key = record_key(record);
        let name = Self::name(&self.records, &key);
        let item = to_item(record).map_err(|reason| CatalogueError::Refused {
            operation: "write",
            item: name.clone(),
            reason,
        })?;
        let request = self
            .client
            .put_item()
            .table_name(&self.records)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(PK)");
        let Err(error) = Box::pin(request.send()).await else {
            return Ok(());
        };
        let failure = classify(&error);
        if failure.kind != FailureKind::ConditionFailed {
            return Err(self.error("write", &self.records, name, failure));
        }
        // An attempt without a response may have written it.
        match self.record(key).await? {
            Some(present) if present == *record => Ok(()),
            _ => Err(CatalogueError::Exists { item: name }),
        }
    }

    async fn get(&self, id: Uuid, server: Option<ServerId>) -> Result<Option<BackupRecord>, CatalogueError> {
        let mut key = self.key_by_index(id).await?;
        if let (None, Some(server)) = (&key, server) {
            key = self.key_by_server(id, server).await?;
        }
        let Some(key) = key else {
            return Ok(None);
        };
        // The index may have an older version of the record.
        let record = self.record(key).await?;
        Ok(record.filter(|record| server.is_none_or(|server| record.server == server)))
    }

    async fn list(&self, request: &ListRequest) -> Result<Page, CatalogueError> {
        let mut page = Page::default();
        let mut start = None;
        loop {
            let (items, last) = self.list_once(request, start).await?;
            for item in items {
                match from_item(&item) {
                    // The range of the request includes its end.
                    Ok(record) if request.after.as_ref() == Some(&Cursor::of(&record)) => {}
                    Ok(_) if page.records.len() >= request.limit => {
                        page.next = page.records.last().map(Cursor::of);
                        return Ok(page);
                    }
                    Ok(record) => page.records.push(record),
                    Err(reason) => page.damaged.push(DamagedRecord {
                        kind: request.kind,
                        id: id_of_key(&item),
                        object: Self::name(&self.records, &item),
                        reason,
                    }),
                }
            }
            match last {
                Some(last) => start = Some(last),
                None => return Ok(page),
            }
        }
    }

    async fn delete(&self, record: &BackupRecord) -> Result<(), CatalogueError> {
        let key = record_key(record);
        let name = Self::name(&self.records, &key);
        let request = self.client.delete_item().table_name(&self.records).set_key(Some(key));
        match Box::pin(request.send()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error("delete", &self.records, name, classify(&error))),
        }
    }

    async fn set_expiry(&self, record: &BackupRecord, expires: Option<OffsetDateTime>) -> Result<(), CatalogueError> {
        let key = record_key(record);
        let name = Self::name(&self.records, &key);
        let request = self
            .client
            .update_item()
            .table_name(&self.records)
            .set_key(Some(key))
            .condition_expression("attribute_exists(PK)")
            .expression_attribute_names("#ttl", item::EXPIRY);
        let request = match expires.map(to_second) {
            Some(expires) => request
                .update_expression("SET #ttl = :ttl")
                .expression_attribute_values(":ttl", number(expires.unix_timestamp())),
            None => request.update_expression("REMOVE #ttl"),
        };
        let Err(error) = Box::pin(request.send()).await else {
            return Ok(());
        };
        let mut failure = classify(&error);
        if failure.kind == FailureKind::ConditionFailed {
            failure.kind = FailureKind::NotFound;
        }
        Err(self.error("write", &self.records, name, failure))
    }

    async fn take(&self, wanted: &Use) -> Result<bool, CatalogueError> {
        let key = uses_key(wanted);
        let name = Self::name(&self.tiers, &key);
        let kept_until = (wanted.end() + USES_KEPT).unix_timestamp();
        let request = self
            .client
            .update_item()
            .table_name(&self.tiers)
            .set_key(Some(key))
            .update_expression("SET #ttl = :ttl ADD #uses :one")
            .condition_expression("attribute_not_exists(#uses) OR contains(#uses, :id) OR size(#uses) < :limit")
            .expression_attribute_names("#ttl", item::EXPIRY)
            .expression_attribute_names("#uses", USES)
            .expression_attribute_values(":ttl", number(kept_until))
            .expression_attribute_values(":one", one_use(wanted))
            .expression_attribute_values(":id", string(wanted.id))
            .expression_attribute_values(":limit", number(wanted.limit.uses));
        let Err(error) = Box::pin(request.send()).await else {
            return Ok(true);
        };
        let failure = classify(&error);
        if failure.kind == FailureKind::ConditionFailed {
            return Ok(false);
        }
        Err(self.error("write", &self.tiers, name, failure))
    }

    async fn give_back(&self, taken: &Use) -> Result<(), CatalogueError> {
        let key = uses_key(taken);
        let name = Self::name(&self.tiers, &key);
        let request = self
            .client
            .update_item()
            .table_name(&self.tiers)
            .set_key(Some(key))
            .update_expression("DELETE #uses :one")
            .condition_expression("attribute_exists(#uses)")
            .expression_attribute_names("#uses", USES)
            .expression_attribute_values(":one", one_use(taken));
        let Err(error) = Box::pin(request.send()).await else {
            return Ok(());
        };
        let failure = classify(&error);
        if failure.kind == FailureKind::ConditionFailed {
            return Ok(());
        }
        Err(self.error("write", &self.tiers, name, failure))
    }

    async fn plan(&self, server: ServerId) -> Result<Plan, CatalogueError> {
        let key = key(server, PLAN);
        let name = Self::name(&self.tiers, &key);
        let Some(item) = self.item(&self.tiers, key).await? else {
            return Ok(Plan::Free);
        };
        let plan = item.get("plan").and_then(|plan| plan.as_s().ok());
        plan.and_then(|plan| plan_name::parse(plan))
            .ok_or_else(|| CatalogueError::Damaged {
                item: name,
                reason: "it names no plan".to_owned(),
            })
    }

    async fn set_plan(&self, server: ServerId, plan: Plan) -> Result<(), CatalogueError> {
        let mut item = key(server, PLAN);
        let name = Self::name(&self.tiers, &item);
        item.insert("plan".to_owned(), string(plan));
        let request = self.client.put_item().table_name(&self.tiers).set_item(Some(item));
        match Box::pin(request.send()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error("write", &self.tiers, name, classify(&error))),
        }
    }

    async fn servers(&self) -> Result<Vec<ServerId>, CatalogueError> {
        let mut servers = BTreeSet::new();
        let mut pages = self
            .client
            .scan()
            .table_name(&self.records)
            .projection_expression("PK")
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error("list", &self.records, self.describe(), classify(&error)))?;
            servers.extend(page.items().iter().filter_map(server_of));
        }
        Ok(servers.into_iter().collect())
    }
}

/// Attribute with the ids of counted uses.
const USES: &str = "uses";

fn partition(server: ServerId) -> AttributeValue {
    string(format!("SERVER#{server}"))
}

fn key(server: ServerId, sort: &str) -> Item {
    HashMap::from([
        (PARTITION.to_owned(), partition(server)),
        (SORT.to_owned(), string(sort)),
    ])
}

fn record_key(record: &BackupRecord) -> Item {
    key(record.server, &sort_key(record))
}

fn uses_key(counted: &Use) -> Item {
    let sort = format!("USES#{}#{}", counted.operation.as_str(), time_text(counted.begin));
    key(counted.server, &sort)
}

fn one_use(counted: &Use) -> AttributeValue {
    AttributeValue::Ss(vec![counted.id.to_string()])
}
