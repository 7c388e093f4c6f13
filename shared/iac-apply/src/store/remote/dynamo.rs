//! Locks in a DynamoDB table, for states whose other tools keep their locks there.
//!
//! The table has the partition key `LockID`, a string, as that of Terraform's S3 backend. An item has the record of a lock as JSON
//! (`Info`) and its id (`Id`).

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::path::PathBuf;

use arrakis_causes::causes;
use arrakis_vault::aws::AwsConnection;
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::LockTable;
use crate::store::{LockRecord, StoreError};

const KEY: &str = "LockID";
const ID: &str = "Id";
const INFO: &str = "Info";

/// Locks as items of a DynamoDB table.
#[derive(Clone)]
pub struct DynamoLocks {
    client: Client,
    table: String,
    /// Begins the key of every item, so that stores in several buckets can share a table.
    scope: String,
}

impl Debug for DynamoLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoLocks")
            .field("table", &self.table)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl DynamoLocks {
    /// Locks in `table`. `scope` is the bucket and the prefix of the states. Sends no request.
    #[must_use]
    pub fn new(connection: &AwsConnection, table: impl Into<String>, scope: impl Into<String>) -> Self {
        Self {
            client: Client::new(connection.config()),
            table: table.into(),
            scope: scope.into(),
        }
    }

    fn key(&self, name: &str) -> AttributeValue {
        AttributeValue::S(format!("{}/{name}", self.scope))
    }

    /// The item of a lock.
    async fn item(&self, name: &str) -> Result<Option<HashMap<String, AttributeValue>>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, self.key(name))
            .consistent_read(true);
        let found = Box::pin(request.send()).await;
        let found = found.map_err(|error| self.failed("read", name, causes(&error)))?;
        Ok(found.item)
    }

    fn parse(&self, name: &str, item: &HashMap<String, AttributeValue>) -> Result<LockRecord, StoreError> {
        let invalid = |reason: String| StoreError::LockRecord {
            path: PathBuf::from(format!("{}/{name} in the DynamoDB table {}", self.scope, self.table)),
            reason,
            is_shared: true,
        };
        let info = item.get(INFO).and_then(|info| info.as_s().ok());
        let info = info.ok_or_else(|| invalid("it has no `Info`".to_owned()))?;
        serde_json::from_str(info).map_err(|error| invalid(error.to_string()))
    }

    fn failed(&self, operation: &'static str, name: &str, reason: String) -> StoreError {
        StoreError::LockTable {
            operation,
            lock: format!("{}/{name} in the DynamoDB table {}", self.scope, self.table),
            reason,
            is_unknown: false,
        }
    }
}

#[async_trait]
impl LockTable for DynamoLocks {
    async fn create(&self, name: &str, record: &LockRecord) -> Result<bool, StoreError> {
        let info = serde_json::to_string(record).map_err(|error| self.failed("write", name, error.to_string()))?;
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, self.key(name))
            .item(ID, AttributeValue::S(record.id.clone()))
            .item(INFO, AttributeValue::S(info))
            .condition_expression("attribute_not_exists(LockID)");
        match Box::pin(request.send()).await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                // A request of ours whose response was lost, and which the SDK has repeated, finds its own record.
                let held = self.read(name).await?;
                Ok(held.is_some_and(|held| held.id == record.id))
            }
            Err(error) => {
                let mut failed = self.failed("write", name, causes(&error));
                if let StoreError::LockTable { is_unknown, .. } = &mut failed {
                    *is_unknown = error.as_service_error().is_none();
                }
                Err(failed)
            }
        }
    }

    async fn read(&self, name: &str) -> Result<Option<LockRecord>, StoreError> {
        let item = self.item(name).await?;
        item.map(|item| self.parse(name, &item)).transpose()
    }

    async fn remove(&self, name: &str, id: &str) -> Result<bool, StoreError> {
        if self.read(name).await?.is_none_or(|held| held.id != id) {
            return Ok(false);
        }
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, self.key(name))
            .condition_expression("#id = :id")
            .expression_attribute_names("#id", ID)
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()));
        match Box::pin(request.send()).await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                // Likewise, a repeated request finds no record, or that of the next operation. The record was there until now.
                Ok(true)
            }
            Err(error) => Err(self.failed("delete", name, causes(&error))),
        }
    }

    async fn remove_unreadable(&self, name: &str) -> Result<bool, StoreError> {
        let Some(item) = self.item(name).await? else {
            return Ok(false);
        };
        if self.parse(name, &item).is_ok() {
            return Ok(false);
        }
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, self.key(name))
            .expression_attribute_names("#info", INFO);
        // Not the record of an operation that has taken the lock meanwhile.
        let request = match item.get(INFO) {
            Some(info) => request
                .condition_expression("#info = :info")
                .expression_attribute_values(":info", info.clone()),
            None => request.condition_expression("attribute_not_exists(#info)"),
        };
        match Box::pin(request.send()).await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.failed("delete", name, causes(&error))),
        }
    }
}
