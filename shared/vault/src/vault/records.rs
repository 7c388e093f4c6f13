//! Reads all records of a server from the catalogue, page by page.

use time::OffsetDateTime;

use super::Vault;
use crate::catalogue::{Catalogue, CatalogueError, DamagedRecord, ListRequest, Page};
use crate::error::VaultError;
use crate::record::{BackupRecord, RecordKind};
use crate::server::ServerId;

/// Records that one request of a list returns.
const PAGE: usize = 100;

/// The pages of a list.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    catalogue: &'a dyn Catalogue,
    /// `None` after the last page.
    request: Option<ListRequest>,
}

impl Pages<'_> {
    /// The next page; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, CatalogueError> {
        let Some(mut request) = self.request.take() else {
            return Ok(None);
        };
        let page = self.catalogue.list(&request).await?;
        if page.next.is_some() {
            request.after.clone_from(&page.next);
            self.request = Some(request);
        }
        Ok(Some(page))
    }
}

impl Vault {
    /// Every record of a server, also expired ones, newest first. Records that cannot be read are left out.
    pub(super) async fn all_records(
        &self,
        server: ServerId,
        kind: RecordKind,
    ) -> Result<Vec<BackupRecord>, VaultError> {
        Ok(self.all_and_damaged(server, kind).await?.0)
    }

    /// Every record of a server, also expired ones, newest first; and the records that cannot be read.
    pub(super) async fn all_and_damaged(
        &self,
        server: ServerId,
        kind: RecordKind,
    ) -> Result<(Vec<BackupRecord>, Vec<DamagedRecord>), VaultError> {
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        let mut pages = self.pages(server, kind, None);
        while let Some(page) = pages.next().await? {
            records.extend(page.records);
            damaged.extend(page.damaged);
        }
        Ok((records, damaged))
    }

    /// The pages of the records of a server, newest first. With `now`, without expired records.
    pub(super) fn pages(&self, server: ServerId, kind: RecordKind, now: Option<OffsetDateTime>) -> Pages<'_> {
        let request = ListRequest {
            server,
            kind,
            limit: PAGE,
            after: None,
            now,
        };
        Pages {
            catalogue: &*self.parts.catalogue,
            request: Some(request),
        }
    }
}
