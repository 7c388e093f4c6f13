//! Reads the logs of a profile from the first unread block to the finalised one, in batches.
//!
//! Each batch is one transaction that stores the events and moves the cursor. A process that dies in between leaves whole batches, and
//! the next run continues behind the last one.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use arrakis_chain::{Transfer, TransferBatch};
use arrakis_db::{EventBatch, StoredBlock, SyncCursor, SyncRun, TokenProfile};
use arrakis_runtime::fail_point;
use uuid::Uuid;

use super::error::SyncError;
use super::events::{events, filters};
use super::swap::SyncSummary;
use super::token_chain::TokenChain;
use crate::failure::Failure;
use crate::jobs::PlatformJobRun;
use crate::services::Services;

/// A sync ends with balances at its last block, which many nodes have for the latest 128 blocks only. After a longer reading the
/// finalised block has moved on, and the rest is read, too.
const RECENT_BLOCKS: u64 = 64;
/// Most times that a sync reads up to the finalised block.
const ROUNDS: u32 = 4;
/// Reorganisations in one sync after which it ends.
const MAX_REORGANISATIONS: u32 = 5;
/// Time between two updates of the job's progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two updates while the ranking is replaced. A job without one for five minutes counts as lost.
const ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// A sync of a token profile.
pub struct ProfileSync<'a> {
    /// Clients of Postgres and the broker, and the themes.
    pub services: &'a Services,
    /// Reads the chain of the profile.
    pub chain: &'a dyn TokenChain,
    /// The profile whose chain `chain` is. What is counted is read again when the run has begun: the profile may have changed since.
    pub profile: &'a TokenProfile,
    /// The job that runs the sync and whose row stores its progress; `None` where no job runs it.
    pub job: Option<&'a PlatformJobRun<'a>>,
    /// Time after which it ends with [`SyncEnd::PartOver`], to be continued by another job; `None`: it reads up to the finalised block.
    pub part: Option<Duration>,
    /// Whether a ranking without wallets may replace one with wallets.
    pub accept_empty: bool,
}

impl std::fmt::Debug for ProfileSync<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProfileSync")
            .field("profile", &self.profile.id)
            .finish_non_exhaustive()
    }
}

/// How a sync ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncEnd {
    /// The ranking is replaced.
    Complete(SyncSummary),
    /// The job has used the time of one run, and stored what it read; the next run continues at this block.
    PartOver {
        /// The next block to read.
        next_block: u64,
    },
}

/// What a run has read so far.
struct Reading {
    next: u64,
    last_stored: Option<StoredBlock>,
    logs: u64,
    reorganisations: u32,
    started: Instant,
    last_progress: Instant,
}

/// Why the reading of a range ended.
enum RangeEnd {
    Complete,
    PartOver,
    Reorganised,
}

impl ProfileSync<'_> {
    /// Reads the new logs and replaces the ranking.
    ///
    /// # Errors
    /// See [`SyncError`]. The ranking is unchanged then, and the batches that were stored are kept.
    pub async fn run(&self) -> Result<SyncEnd, SyncError> {
        let run = SyncRun {
            profile: self.profile.id.clone(),
            run: Uuid::now_v7(),
        };
        let mut tx = self.services.database.global().await?;
        let begun = tx.begin_sync(&run.profile, run.run).await?;
        tx.commit().await?;
        let Some((profile, cursor)) = begun else {
            return Err(Failure::drop(format!("there is no token profile {}", run.profile)).into());
        };
        if profile.chain_id != self.profile.chain_id {
            return Err(SyncError::OtherChain(run.profile, profile.chain_id));
        }
        let sync = ProfileSync {
            profile: &profile,
            ..*self
        };
        Box::pin(sync.run_begun(&run, cursor)).await
    }

    async fn run_begun(&self, run: &SyncRun, cursor: SyncCursor) -> Result<SyncEnd, SyncError> {
        let next = cursor.next_block;
        if cursor.roll_back_to.is_some() {
            self.finish_roll_back(run, next).await?;
        }
        self.count_holdings(run).await?;
        if !self.chain.has_contract(self.profile.contract).await? {
            return Err(SyncError::NoContract(self.profile.contract, self.profile.chain_id));
        }
        let mut reading = Reading {
            next,
            last_stored: None,
            logs: 0,
            reorganisations: 0,
            started: Instant::now(),
            last_progress: Instant::now(),
        };
        match self.read_all(run, &mut reading).await? {
            ControlFlow::Break(()) => Ok(SyncEnd::PartOver {
                next_block: reading.next,
            }),
            ControlFlow::Continue(finalized) => {
                let swap = Box::pin(self.swap_ranking(run, reading.next, reading.logs, finalized));
                let summary = self.with_progress(reading.next, swap).await?;
                Ok(SyncEnd::Complete(summary))
            }
        }
    }

    /// Reads up to a recent finalised block, and returns that; breaks when the part is over.
    async fn read_all(&self, run: &SyncRun, reading: &mut Reading) -> Result<ControlFlow<(), u64>, SyncError> {
        self.align_with_chain(run, reading).await?;
        let mut rounds = 0;
        loop {
            let finalized = self.chain.finalized().await?.number;
            self.set_target(run, finalized).await?;
            let unread = (finalized + 1)
                .checked_sub(reading.next)
                .ok_or_else(|| SyncError::Lagging {
                    profile: self.profile.id.clone(),
                    read: reading.next.saturating_sub(1),
                    finalized,
                })?;
            match self.read_range(run, reading, finalized).await? {
                RangeEnd::PartOver => return Ok(ControlFlow::Break(())),
                RangeEnd::Complete => {
                    rounds += 1;
                    if unread <= RECENT_BLOCKS || rounds >= ROUNDS {
                        return Ok(ControlFlow::Continue(finalized));
                    }
                }
                RangeEnd::Reorganised => {
                    reading.reorganisations += 1;
                    if reading.reorganisations >= MAX_REORGANISATIONS {
                        return Err(SyncError::Unstable(reading.reorganisations));
                    }
                    self.align_with_chain(run, reading).await?;
                }
            }
        }
    }

    async fn align_with_chain(&self, run: &SyncRun, reading: &mut Reading) -> Result<(), SyncError> {
        (reading.next, reading.last_stored) = self.undo_reorganisation(run, reading.next).await?;
        Ok(())
    }

    /// Stores the finalised block, from which every worker computes how far the sync is behind.
    async fn set_target(&self, run: &SyncRun, finalized: u64) -> Result<(), SyncError> {
        let mut tx = self.services.database.global().await?;
        let is_mine = tx.set_sync_target(run, finalized).await?;
        tx.commit().await?;
        if is_mine { Ok(()) } else { Err(SyncError::Superseded) }
    }

    /// Counts stored events that the holdings do not include: those of an earlier build, and of a batch that it stored.
    pub(super) async fn count_holdings(&self, run: &SyncRun) -> Result<(), SyncError> {
        loop {
            let mut tx = self.services.database.global().await?;
            let step = tx.count_holdings_step(run).await?;
            tx.commit().await?;
            let step = step.ok_or(SyncError::Superseded)?;
            if step.is_done {
                return Ok(());
            }
            tracing::info!(token_profile = %self.profile.id, counted_to = step.held_block, "counting stored events");
            self.report_step(step.held_block).await?;
        }
    }

    /// Reads the blocks up to `last`.
    async fn read_range(&self, run: &SyncRun, reading: &mut Reading, last: u64) -> Result<RangeEnd, SyncError> {
        if reading.next > last {
            return Ok(RangeEnd::Complete);
        }
        let filters = filters(self.profile);
        let Some((first, others)) = filters.split_first() else {
            return Ok(RangeEnd::Complete);
        };
        let mut batches = self.chain.transfers(*first, reading.next, last);
        while let Some(batch) = batches.next().await? {
            fail_point::hit("worker.eligibility.read").await;
            let (from, end) = (batch.from_block, batch.to);
            let mut transfers = vec![batch.transfers];
            for filter in others {
                let Some(more) = self.read_blocks(*filter, from, end.number, end.hash).await? else {
                    return Ok(RangeEnd::Reorganised);
                };
                transfers.push(more);
            }
            if !is_consistent(&transfers, end.number, end.hash) || !self.is_on_chain(reading.last_stored).await? {
                return Ok(RangeEnd::Reorganised);
            }
            self.store(
                run,
                reading,
                &transfers,
                (
                    from,
                    StoredBlock {
                        number: end.number,
                        hash: end.hash,
                    },
                ),
            )
            .await?;
            self.report_progress(reading, last).await?;
            if self.part.is_some_and(|part| reading.started.elapsed() > part) && reading.next <= last {
                return Ok(RangeEnd::PartOver);
            }
        }
        Ok(RangeEnd::Complete)
    }

    /// The transfers of all blocks from `from` to `to`; `None` if the last block has another hash than this.
    async fn read_blocks(
        &self,
        filter: arrakis_chain::TransferFilter,
        from: u64,
        to: u64,
        hash: [u8; 32],
    ) -> Result<Option<Vec<Transfer>>, SyncError> {
        let mut batches = self.chain.transfers(filter, from, to);
        let mut transfers = Vec::new();
        let mut end = None;
        while let Some(TransferBatch {
            to, transfers: more, ..
        }) = batches.next().await?
        {
            transfers.extend(more);
            end = Some(to);
        }
        Ok(end.is_some_and(|end| end.hash == hash).then_some(transfers))
    }

    async fn store(
        &self,
        run: &SyncRun,
        reading: &mut Reading,
        transfers: &[Vec<Transfer>],
        (from, end): (u64, StoredBlock),
    ) -> Result<(), SyncError> {
        let events = events(self.profile, transfers);
        let logs = u64::try_from(transfers.iter().map(Vec::len).sum::<usize>()).unwrap_or(u64::MAX);
        let batch = EventBatch {
            blocks: from..=end.number,
            end_hash: end.hash,
            claims: events.claims,
            burns: events.burns,
        };
        let mut tx = self.services.database.global().await?;
        let stored = tx.store_event_batch(run, &batch).await?;
        fail_point::hit("worker.eligibility.storing").await;
        tx.commit().await?;
        if !stored {
            return Err(SyncError::Superseded);
        }
        fail_point::hit("worker.eligibility.stored").await;
        self.services.metrics.eligibility.read_logs(&self.profile.id, logs);
        reading.next = end.number + 1;
        reading.last_stored = Some(end);
        reading.logs += logs;
        Ok(())
    }

    async fn report_progress(&self, reading: &mut Reading, last: u64) -> Result<(), SyncError> {
        let behind = (last + 1).saturating_sub(reading.next);
        self.services.metrics.eligibility.set_behind(&self.profile.id, behind);
        if let Some(job) = self.job
            && reading.last_progress.elapsed() >= PROGRESS_INTERVAL
        {
            let start = self.profile.start_block;
            let blocks = |to: u64| count(to.saturating_sub(start));
            job.progress(blocks(reading.next), Some(blocks(last + 1))).await?;
            reading.last_progress = Instant::now();
        }
        Ok(())
    }

    /// Stores `done` as the progress of a long task: number of finished items so far. A job without progress for five minutes counts as
    /// lost.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub(super) async fn report_step(&self, done: u64) -> Result<(), SyncError> {
        match self.job {
            Some(job) => Ok(job.progress(count(done), None).await?),
            None => Ok(()),
        }
    }

    /// Runs the last task, which may take minutes, and stores meanwhile that the job is alive.
    async fn with_progress<T>(
        &self,
        done: u64,
        task: impl Future<Output = Result<T, SyncError>>,
    ) -> Result<T, SyncError> {
        let mut task = std::pin::pin!(task);
        loop {
            tokio::select! {
                biased;
                result = &mut task => return result,
                () = tokio::time::sleep(ALIVE_INTERVAL) => match self.report_step(done).await {
                    Err(SyncError::Stopped(Failure::Drop(why))) => return Err(Failure::Drop(why).into()),
                    Err(error) => tracing::debug!(%error, "cannot store the progress of the eligibility sync"),
                    Ok(()) => {}
                },
            }
        }
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether the transfers of the last block are of the block with this hash.
fn is_consistent(transfers: &[Vec<Transfer>], number: u64, hash: [u8; 32]) -> bool {
    let mut of_last = transfers
        .iter()
        .flatten()
        .filter(|transfer| transfer.block_number == number);
    of_last.all(|transfer| transfer.block_hash == hash)
}
