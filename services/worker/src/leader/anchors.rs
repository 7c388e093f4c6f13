//! Anchors the chain of identity events outside of the database, and copies the public keys of the signing key.
//!
//! Before each anchor, the chain is compared with the one before: a chain that contradicts its anchor is logged and counted, and gets no
//! further anchor, which would cover what was changed. Two leaders at once do no harm: an anchor is written once and never replaced. While the
//! store or the service with the key is unavailable, the anchor waits.

use std::time::Duration;

use arrakis_db::DbError;
use arrakis_vault::{ChainAnchors, DocumentError, PublicKeyCopies};
use time::OffsetDateTime;

use crate::registry_anchors::{NamedAnchor, anchor_of, compare};
use crate::services::Services;

/// Interval of the anchors.
const INTERVAL: Duration = Duration::from_secs(600);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(30);

/// Why the chain was not anchored.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The database is unavailable.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The anchor cannot be read, signed or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// What [`anchor_chain`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchored {
    /// No object store is configured.
    NoStore,
    /// The chain has no event.
    Empty,
    /// The latest event has an anchor.
    Present(u64),
    /// An anchor was written for this event.
    Written(u64),
    /// The chain contradicts its latest anchor.
    Differs(u64),
}

/// Anchors the chain at intervals, for as long as the future is polled.
pub(super) async fn run(services: &Services) {
    if services.backups.is_none() {
        return std::future::pending().await;
    }
    loop {
        let pause = match anchor_chain(services, services.now()).await {
            Ok(_) => INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "the chain of identity events was not anchored; it will be retried");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Copies the public keys, compares the chain with its latest anchor, and anchors its head.
///
/// # Errors
/// If the database, the store or the signer is unavailable, or the latest anchor is damaged.
pub async fn anchor_chain(services: &Services, now: OffsetDateTime) -> Result<Anchored, AnchorError> {
    let Some(backups) = &services.backups else {
        return Ok(Anchored::NoStore);
    };
    let (store, signer) = (backups.vault().store(), backups.vault().signer());
    if PublicKeyCopies::new(store.clone(), signer.clone()).copy().await? {
        tracing::info!("the public keys of the signing key were copied to the object store");
    }
    let anchors = ChainAnchors::new(store.clone(), signer.clone());
    let latest = anchors.latest().await?;
    let latest_sequence = latest.as_ref().map_or(0, |anchor| anchor.sequence);
    let named = latest.map(|anchor| NamedAnchor {
        name: "the latest anchor".to_owned(),
        anchor,
    });
    if let Some(problem) = compare(&services.database, named.as_slice()).await? {
        services.metrics.signing.differs_from_anchor();
        tracing::error!(
            event = problem.sequence,
            expected = problem.expected,
            found = problem.found,
            "the chain of identity events contradicts its anchor: {}",
            problem.problem.description()
        );
        return Ok(Anchored::Differs(problem.sequence));
    }
    let mut tx = services.database.global().await?;
    let head = tx.registry().head().await?;
    tx.commit().await?;
    let Some(anchor) = anchor_of(head, now) else {
        return Ok(Anchored::Empty);
    };
    let is_written = head.sequence > latest_sequence && anchors.write(&anchor).await?;
    services.metrics.signing.anchored(head.sequence, now);
    Ok(match is_written {
        true => Anchored::Written(head.sequence),
        false => Anchored::Present(head.sequence),
    })
}
