//! The schedule of a server, in the store.

use time::OffsetDateTime;

use super::Vault;
use super::write::MAX_WRITES;
use crate::error::VaultError;
use crate::paths;
use crate::schedule::{BackupSchedule, Task};
use crate::server::ServerId;
use crate::store::{Condition, NewObject};

impl Vault {
    /// The last runs of a server's tasks; empty before the first run.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], or the store cannot be read.
    pub async fn schedule(&self, server: ServerId) -> Result<BackupSchedule, VaultError> {
        Ok(self.schedule_and_condition(server).await?.0)
    }

    /// Records that a task has run for a slot ([`BackupSchedule::due`]), after its work. Recording a slot again, or an older one, changes
    /// nothing. A damaged schedule is replaced: at worst, a task runs once more.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn complete_run(&self, server: ServerId, task: Task, slot: OffsetDateTime) -> Result<(), VaultError> {
        let key = paths::schedule(server);
        let mut attempt = 1;
        loop {
            let read = self.schedule_and_condition(server).await;
            let (mut schedule, condition) = match read {
                Err(error) if error.is_damage() => {
                    tracing::warn!(%server, %error, "the damaged schedule is replaced");
                    (BackupSchedule::new(server), Condition::Any)
                }
                read => read?,
            };
            if !schedule.complete(task, slot) {
                return Ok(());
            }
            let bytes = self.seal(&key, &schedule)?;
            match self.parts.store.put(&key, NewObject::new(bytes), &condition).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_condition_failed() && attempt < MAX_WRITES => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn schedule_and_condition(&self, server: ServerId) -> Result<(BackupSchedule, Condition), VaultError> {
        let key = paths::schedule(server);
        let (schedule, condition) = self.read_document::<BackupSchedule>(&key).await?;
        let schedule = schedule.unwrap_or_else(|| BackupSchedule::new(server));
        if schedule.server != server {
            return Err(self.other_server(&key, schedule.server, server));
        }
        Ok((schedule, condition))
    }
}
