//! Replaces the ranking, with everything that follows from it, in one transaction: snapshot, changes, notification events, and the rows
//! of tier syncs. The messages of the tier syncs are published after the commit; the leader publishes those that are lost.

use arrakis_db::{CommunityId, SyncRun, TenantTx};
use arrakis_domain::{RankingDifference, Zones};
use arrakis_runtime::fail_point;
use time::OffsetDateTime;

use super::communities::{Changes, communities_of};
use super::error::SyncError;
use super::reconcile::{Reconciled, compute};
use super::sync::ProfileSync;
use crate::community::Community;
use crate::failure::Failure;
use crate::jobs::{self, JobOwner};

/// How long snapshots are kept, and the changes with them.
const SNAPSHOTS_KEPT: time::Duration = time::Duration::days(30);

/// Figures of a completed sync, for the log and the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSummary {
    /// Number of the block up to which events are counted.
    pub block: u64,
    /// Number of transfers that this run read.
    pub logs: u64,
    /// Number of wallets in the ranking.
    pub holders: usize,
    /// Number of wallets whose rank or holding changed.
    pub changed: usize,
    /// Number of wallets whose holding differed from the chain's balance.
    pub mismatches: u32,
    /// Number of communities for which a tier sync was enqueued.
    pub tier_syncs: usize,
}

/// A new ranking with what it changes.
struct Replacement {
    reconciled: Reconciled,
    difference: RankingDifference,
    /// Whether there was no ranking before.
    is_first: bool,
    block: u64,
    finalized: u64,
    now: OffsetDateTime,
}

impl ProfileSync<'_> {
    /// Replaces the ranking by that of the stored events of the blocks below `next`. `logs` is the number of transfers that the run read,
    /// `finalized` the finalised block.
    ///
    /// # Errors
    /// If another run has begun, the new ranking is empty without `accept_empty`, or the chain or Postgres is unavailable. The stored
    /// ranking is then kept.
    pub(super) async fn swap_ranking(
        &self,
        run: &SyncRun,
        next: u64,
        logs: u64,
        finalized: u64,
    ) -> Result<SyncSummary, SyncError> {
        let token = &self.profile.id;
        let now = self.services.now();
        let block = next.saturating_sub(1);
        self.count_holdings(run).await?;
        let mut tx = self.services.database.global().await?;
        let synced = tx.eligibility().synced_holdings(token).await?;
        let overrides = tx.eligibility().active_overrides(token, now).await?;
        let before = tx.eligibility().ranking(token).await?;
        tx.commit().await?;
        let reconciled = self.reconcile(synced, overrides, block).await?;
        if reconciled.ranking.wallets().is_empty() && !before.wallets().is_empty() && !self.accept_empty {
            return Err(SyncError::Empty {
                profile: token.clone(),
                block,
                stored: before.wallets().len(),
            });
        }
        let is_first = before.wallets().is_empty();
        let (reconciled, difference) = compute(move || {
            let difference = RankingDifference::between(&before, &reconciled.ranking, Zones::STANDARD);
            (reconciled, difference)
        })
        .await?;
        let communities = communities_of(self.services, token).await?;
        let changed = difference.changes.len();
        let replacement = Replacement {
            reconciled,
            difference,
            is_first,
            block,
            finalized,
            now,
        };
        fail_point::hit("worker.eligibility.swapping").await;
        let mismatches = replacement.reconciled.mismatches;
        let holders = replacement.reconciled.ranking.wallets().len();
        let tier_syncs = self.write(run, next, replacement, &communities).await?;
        fail_point::hit("worker.eligibility.swapped").await;
        for (community, request) in &tier_syncs {
            jobs::publish(
                &self.services.publisher,
                JobOwner::Community(*community),
                &request.id,
                request.kind,
            )
            .await;
        }
        let summary = SyncSummary {
            block,
            logs,
            holders,
            changed,
            mismatches,
            tier_syncs: tier_syncs.len(),
        };
        self.services.metrics.eligibility.succeeded(token, summary.mismatches);
        tracing::info!(token_profile = %token, ?summary, "eligibility sync complete: the ranking is replaced");
        Ok(summary)
    }

    /// Writes everything and commits. Returns the tier syncs to publish.
    async fn write(
        &self,
        run: &SyncRun,
        next: u64,
        replacement: Replacement,
        communities: &[Community],
    ) -> Result<Vec<(CommunityId, jobs::JobRequest)>, SyncError> {
        let token = &self.profile.id;
        let zones = Zones::STANDARD;
        let ranking = &replacement.reconciled.ranking;
        let mut tx = self.services.database.global().await?;
        if !tx.move_sync_cursor(run, next, next).await? {
            return Err(SyncError::Superseded);
        }
        let (block, now) = (replacement.block, replacement.now);
        let snapshot = tx.replace_ranking(token, ranking.wallets(), block, now).await?;
        tx.mark_overrides(token, ranking.by_override(), zones).await?;
        tx.record_sync_figures(token, replacement.reconciled.mismatches, replacement.finalized)
            .await?;
        let changes = Changes::new(snapshot, replacement.difference, zones, replacement.is_first);
        tx.store_ranking_changes(token, snapshot, &changes.stored(), zones)
            .await?;
        tx.prune_snapshots(token, now - SNAPSHOTS_KEPT).await?;
        let mut tier_syncs = Vec::new();
        let Some((first, others)) = communities.split_first() else {
            tx.commit().await?;
            return Ok(tier_syncs);
        };
        let mut tenant = tx.enter(first.id()).await?;
        tier_syncs.extend(write_community(&mut tenant, &changes, first, now).await?);
        for community in others {
            tenant = tenant.enter(community.id()).await?;
            tier_syncs.extend(write_community(&mut tenant, &changes, community, now).await?);
        }
        tenant.commit().await?;
        Ok(tier_syncs)
    }
}

/// Writes notification events and the tier sync of a community; returns the tier sync.
async fn write_community(
    tx: &mut TenantTx,
    changes: &Changes,
    community: &Community,
    now: OffsetDateTime,
) -> Result<Option<(CommunityId, jobs::JobRequest)>, Failure> {
    let wallets = tx.profiles().wallets().await?;
    tx.notifications().add(&changes.notifications(&wallets)).await?;
    let Some(request) = changes.tier_sync(community, &wallets)? else {
        return Ok(None);
    };
    tx.jobs().enqueue(&request.row(now)).await?;
    Ok(Some((community.id(), request)))
}
