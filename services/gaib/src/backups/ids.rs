//! Which backup or snapshot the command line names: ids may be short, and `latest` is the newest one.

use arrakis_vault::catalogue::DamagedRecord;
use arrakis_vault::{ListRequest, Page, RecordKind, VaultError};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Backups, help_for_record, time_text};
use crate::arguments::id::IdArgument;
use crate::error::{Failure, Result};
use crate::printer::Severity;

/// Records that one request of a list returns.
const PAGE: usize = 100;

impl Backups {
    /// The id of the backup or snapshot that the command line names. `latest` is the newest backup of the workspace, or the newest snapshot of
    /// the server; a note names it. A whole id is not searched.
    ///
    /// # Errors
    /// When there is none, or several ids begin with the text.
    pub async fn id_of(&self, kind: RecordKind, argument: &IdArgument) -> Result<Uuid> {
        if let Some(id) = argument.whole() {
            return Ok(id);
        }
        let page = self.records(kind, Some(OffsetDateTime::now_utc())).await?;
        if *argument == IdArgument::Latest {
            return self.newest(kind, &page);
        }
        if let Some(id) = find(argument, kind, &page)? {
            return Ok(id);
        }
        // One that expired, or whose deletion was interrupted: the command reports it, or completes the deletion.
        let page = self.records(kind, None).await?;
        if let Some(id) = find(argument, kind, &page)? {
            return Ok(id);
        }
        let failure = argument.not_found(kind.as_str(), &format!("gaib server {kind} list"));
        let other = match kind {
            RecordKind::Backup => RecordKind::Snapshot,
            RecordKind::Snapshot => RecordKind::Backup,
        };
        let page = self.records(other, Some(OffsetDateTime::now_utc())).await?;
        Err(match find(argument, other, &page) {
            Ok(None) => failure,
            Ok(Some(_)) | Err(_) => failure.help(format!(
                "the id is that of a {other}: use a command of `gaib server {other}`"
            )),
        })
    }

    /// All records of a kind, newest first. Without `now`, also expired ones.
    async fn records(&self, kind: RecordKind, now: Option<OffsetDateTime>) -> Result<Page> {
        let mut request = ListRequest {
            server: self.server(),
            kind,
            limit: PAGE,
            after: None,
            now,
        };
        let mut all = Page::default();
        loop {
            let page = self.vault.catalogue().list(&request).await;
            let page = page.map_err(VaultError::from)?;
            all.records.extend(page.records);
            all.damaged.extend(page.damaged);
            match page.next {
                Some(next) => request.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// The newest one. A backup is of a workspace, a snapshot of the whole server. Warns of records that cannot be read: one of them may be
    /// newer.
    fn newest(&self, kind: RecordKind, page: &Page) -> Result<Uuid> {
        let workspace = self.workspace.name.as_str();
        let mut records = page.records.iter();
        let (newest, of) = match kind {
            RecordKind::Backup => (
                records.find(|record| record.workspace == workspace),
                format!("workspace {workspace}"),
            ),
            RecordKind::Snapshot => (records.next(), format!("server {}", self.guild)),
        };
        for damaged in &page.damaged {
            let summary = format!(
                "{} cannot be read, and may be newer than the newest {kind} that can: {}",
                damaged.object, damaged.reason
            );
            let help = help_for_record(damaged);
            self.printer.diagnostic(Severity::Warning, &summary, Some(&help));
        }
        let newest = newest.ok_or_else(|| {
            Failure::new(format!("{of} has no {kind}, so there is no newest one"))
                .help(format!("`gaib server {kind} list` lists those of the server"))
        })?;
        self.printer.note(&format!(
            "The newest {kind} of {of} is {} of {}.",
            newest.id,
            time_text(newest.created)
        ));
        Ok(newest.id)
    }
}

/// The only record whose id begins with the text, also one that cannot be read: a command with its id makes it again.
fn find(argument: &IdArgument, kind: RecordKind, page: &Page) -> Result<Option<Uuid>> {
    let readable = page.records.iter().map(|record| (record.id, time_text(record.created)));
    let damaged = page.damaged.iter().filter_map(|record: &DamagedRecord| {
        let id = record.id?;
        Some((id, "record damaged".to_owned()))
    });
    let found = argument.only(kind.as_str(), readable.chain(damaged), |(id, described)| {
        (id.to_string(), described.clone())
    })?;
    Ok(found.map(|(id, _)| id))
}
