//! The state of a server in PostgreSQL, as the executor writes it: before each creation and after each step.

use arrakis_db::{CommunityId, DbError, StateHolder};
use arrakis_iac_apply::store::{LockRecord, SetAside, StateLock, StoreError};
use arrakis_runtime::fail_point;
use async_trait::async_trait;
use serde_json::Value;

use crate::services::Services;

/// How long an attempt holds a state without a sign of life. It is renewed with each write and by the job's heartbeat.
pub(crate) const HOLD: time::Duration = time::Duration::seconds(60);

/// The state that an attempt of a job holds.
#[derive(Debug)]
pub(crate) struct StoredState<'a> {
    services: &'a Services,
    community: CommunityId,
    attempt: u32,
    record: LockRecord,
}

impl<'a> StoredState<'a> {
    /// The state of this community, which the attempt holds already.
    pub(crate) fn new(services: &'a Services, community: CommunityId, job: &str, attempt: u32) -> Self {
        let record = LockRecord {
            id: job.to_owned(),
            who: "arrakis-worker".to_owned(),
            host: String::new(),
            operation: "synthesis".to_owned(),
            since: services.now(),
            process: None,
        };
        Self {
            services,
            community,
            attempt,
            record,
        }
    }

    fn holder(&self) -> StateHolder<'_> {
        StateHolder {
            job: &self.record.id,
            attempt: self.attempt,
        }
    }

    async fn store(&self, state: &Value) -> Result<bool, DbError> {
        let mut tx = self.services.database.tenant(self.community).await?;
        let until = self.services.now() + HOLD;
        let is_holder = tx.server_state().write(self.holder(), state, until).await?;
        tx.commit().await?;
        Ok(is_holder)
    }

    async fn end(&self) -> Result<(), DbError> {
        let mut tx = self.services.database.tenant(self.community).await?;
        tx.server_state().release(self.holder()).await?;
        tx.commit().await
    }
}

#[async_trait]
impl StateLock for StoredState<'_> {
    fn record(&self) -> &LockRecord {
        &self.record
    }

    fn left_behind(&self) -> Option<&LockRecord> {
        None
    }

    async fn set_aside(&mut self, _: SetAside) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn write(&mut self, state: &[u8]) -> Result<(), StoreError> {
        if fail_point::skips("worker.guard.synthesis") {
            return Ok(());
        }
        let state = serde_json::from_slice(state).map_err(|error| StoreError::Backend(error.to_string()))?;
        match self.store(&state).await {
            Ok(true) => Ok(()),
            // This attempt ends before it sends anything further.
            Ok(false) => Err(StoreError::Backend("another attempt holds it".to_owned())),
            Err(error) => Err(StoreError::Backend(error.to_string())),
        }
    }

    async fn release(self: Box<Self>) -> Result<(), StoreError> {
        self.end().await.map_err(|error| StoreError::Backend(error.to_string()))
    }
}
