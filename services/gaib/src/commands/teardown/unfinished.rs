//! The record in the store of backups of a teardown that is deleting. Another folder or machine reads from it that the server is
//! incomplete: its export would have only the rest, and would be recommended for a recovery.

use arrakis_vault::UnfinishedTeardown;
use uuid::Uuid;

use super::Teardown;
use super::record::Record;
use crate::backups::{Backups, time_text};
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::workspace::host;

impl Teardown<'_> {
    /// Snapshots of earlier teardowns of the server that were not finished, oldest first: they have the server from before. None where there
    /// is no such teardown, or the present one continues it.
    ///
    /// # Errors
    /// When one is not finished that another folder or machine began, unless `--begin-again` is given; when its record cannot be read.
    pub(super) async fn earlier_snapshots(&self, backups: &Backups, record: &Record) -> Result<Vec<Uuid>> {
        let printer = self.context.printer;
        let found = match backups.vault.unfinished_teardown(backups.server()).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Vec::new()),
            Err(error) if error.is_unusable() => {
                let failure = Failure::of_vault(&error);
                let summary = format!(
                    "a teardown of server {} is not finished, and its record cannot be used: {}",
                    self.guild,
                    failure.summary()
                );
                if self.arguments.begin_again {
                    printer.diagnostic(Severity::Warning, &summary, failure.what_to_do());
                    return Ok(Vec::new());
                }
                return Err(Failure::new(summary).help(
                    "continue it in its folder, with its key or one that trusts it (BACKUP_TRUSTED_KEYS); where that is lost, --begin-again \
                     begins another teardown, with an export of what is left",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let mut earlier = found.earlier_snapshots.clone();
        if found.begun == record.begun_at() {
            return Ok(earlier);
        }
        let summary = described(&found);
        if !self.arguments.begin_again && !self.is_here(&found) {
            return Err(Failure::new(summary).help(ways_out(&found)));
        }
        printer.diagnostic(
            Severity::Warning,
            &summary,
            Some("the export of this teardown has what is left of the server: recover the server from the earlier one"),
        );
        earlier.extend(found.snapshot);
        Ok(earlier)
    }

    /// Whether a teardown began in this folder of this machine. Its record was deleted there, on purpose.
    fn is_here(&self, found: &UnfinishedTeardown) -> bool {
        found.host == host() && found.folder == self.folder_text()
    }

    fn folder_text(&self) -> String {
        self.workspace.folder().display().to_string()
    }

    /// Records in the store that the deletions begin.
    pub(super) async fn record_in_store(
        &self,
        backups: &Backups,
        record: &Record,
        earlier_snapshots: &[Uuid],
    ) -> Result<()> {
        let export = record.export().unwrap_or_default();
        let export = std::path::absolute(&export).unwrap_or(export);
        let teardown = UnfinishedTeardown {
            server: backups.server(),
            begun: record.begun_at(),
            host: host(),
            folder: self.folder_text(),
            export: export.display().to_string(),
            snapshot: record.snapshot().map(|snapshot| snapshot.id),
            checkpoint: record.checkpoint().map(|checkpoint| checkpoint.id),
            earlier_snapshots: earlier_snapshots.to_vec(),
        };
        Ok(backups.vault.record_teardown(&teardown).await?)
    }
}

/// A teardown that is not finished, and what has the server from before it.
fn described(found: &UnfinishedTeardown) -> String {
    let snapshot = found.snapshot.map(|id| format!(", the snapshot {id}"));
    let checkpoint = found.checkpoint.map(|id| format!(", the checkpoint {id}"));
    format!(
        "the teardown of server {} that began at {} in {} on {} is not finished, and has deleted a part of it; the server from before is in \
         its export {} there{}{}",
        found.server,
        time_text(found.begun),
        found.folder,
        found.host,
        found.export,
        snapshot.unwrap_or_default(),
        checkpoint.unwrap_or_default()
    )
}

fn ways_out(found: &UnfinishedTeardown) -> String {
    let recover = found
        .snapshot
        .map(|id| format!("; or recover the server: `gaib server snapshot restore {id} --apply`"));
    format!(
        "continue it there, with the same command{}; where that folder is lost, --begin-again begins another teardown, with an export of \
         what is left",
        recover.unwrap_or_default()
    )
}
