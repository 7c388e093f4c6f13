//! The queries of a [`DynamoCatalogue`].

use uuid::Uuid;

use super::item::{EXPIRY, Item, PARTITION, SORT, number, sort_key_of_cursor, sort_prefix, string};
use super::{DynamoCatalogue, partition};
use crate::aws::classify;
use crate::catalogue::{CatalogueError, ListRequest};
use crate::server::ServerId;

/// The index by id.
const INDEX: &str = "GSI1";
/// Largest number of items of one request.
const PAGE: usize = 200;

impl DynamoCatalogue {
    /// The key of the record with this id, by the index, which is eventually consistent.
    pub(super) async fn key_by_index(&self, id: Uuid) -> Result<Option<Item>, CatalogueError> {
        let request = self
            .client
            .query()
            .table_name(&self.records)
            .index_name(INDEX)
            .key_condition_expression("GSI1PK = :id")
            .expression_attribute_values(":id", string(id))
            .limit(1);
        match Box::pin(request.send()).await {
            Ok(found) => Ok(found.items().first().map(key_of)),
            Err(error) => {
                let name = format!("dynamodb://{}/{INDEX}/{id}", self.records);
                Err(self.error("read", &self.records, name, classify(&error)))
            }
        }
    }

    /// The key of the record with this id, by a consistent read of all records of its server.
    pub(super) async fn key_by_server(&self, id: Uuid, server: ServerId) -> Result<Option<Item>, CatalogueError> {
        let mut start = None;
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.records)
                .consistent_read(true)
                .key_condition_expression("PK = :server")
                .filter_expression("GSI1PK = :id")
                .expression_attribute_values(":server", partition(server))
                .expression_attribute_values(":id", string(id))
                .set_exclusive_start_key(start);
            let found = match Box::pin(request.send()).await {
                Ok(found) => found,
                Err(error) => {
                    let name = format!("dynamodb://{}/SERVER#{server}", self.records);
                    return Err(self.error("read", &self.records, name, classify(&error)));
                }
            };
            if let Some(item) = found.items().first() {
                return Ok(Some(key_of(item)));
            }
            match found.last_evaluated_key {
                Some(last) => start = Some(last),
                None => return Ok(None),
            }
        }
    }

    /// One request of a list, newest first.
    pub(super) async fn list_once(
        &self,
        request: &ListRequest,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), CatalogueError> {
        let prefix = sort_prefix(request.kind);
        let high = match &request.after {
            Some(after) => sort_key_of_cursor(request.kind, after),
            // `~` sorts after every character of a time.
            None => format!("{prefix}~"),
        };
        let limit = request.limit.saturating_add(2).min(PAGE);
        let mut query = self
            .client
            .query()
            .table_name(&self.records)
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .key_condition_expression("PK = :server AND SK BETWEEN :low AND :high")
            .expression_attribute_values(":server", partition(request.server))
            .expression_attribute_values(":low", string(prefix))
            .expression_attribute_values(":high", string(high))
            .set_exclusive_start_key(start);
        if let Some(now) = request.now {
            query = query
                .filter_expression("attribute_not_exists(#ttl) OR #ttl > :now")
                .expression_attribute_names("#ttl", EXPIRY)
                .expression_attribute_values(":now", number(now.unix_timestamp()));
        }
        match Box::pin(query.send()).await {
            Ok(found) => Ok((found.items.unwrap_or_default(), found.last_evaluated_key)),
            Err(error) => {
                let name = format!("dynamodb://{}/SERVER#{}", self.records, request.server);
                Err(self.error("list", &self.records, name, classify(&error)))
            }
        }
    }
}

/// The key of an item.
fn key_of(item: &Item) -> Item {
    let part = |name: &str| item.get(name).map(|value| (name.to_owned(), value.clone()));
    [PARTITION, SORT].into_iter().filter_map(part).collect()
}
