//! The job `eligibility-sync`: reads the transfers of a token profile from its chain, ranks the wallets, and stores what changed. A job
//! of the platform. Changes no roles: it enqueues tier syncs.
//!
//! `sync.rs` reads logs in batches, each of which is one transaction; `reorganisation.rs` compares the stored end of the logs with the
//! chain; `reconcile.rs` compares the best wallets with their balances on the chain; `swap.rs` replaces the ranking. `token_chain.rs`
//! is what the sync needs of a chain.
//!
//! Running it twice, or two at once, is safe: every write names its run, only the run that began last may write
//! (`shared/db/src/eligibility_sync.rs`), the others end at their next write, and events are stored once. A long sync runs in parts, each
//! of which enqueues the next, whose id contains its first block. A failed sync is recorded in the profile's health and
//! ends; the leader enqueues another one every ten minutes until one succeeds. It is no dead letter: a replay would add nothing.

mod communities;
mod error;
mod events;
pub(crate) mod health;
mod reconcile;
mod reorganisation;
mod swap;
mod sync;
mod token_chain;

use arrakis_broker::MAX_ATTEMPTS;
use arrakis_contracts::JobKind;
use arrakis_db::{TokenProfile, TokenProfileId};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

pub use self::communities::profiles_in_use;
pub use self::error::SyncError;
pub(crate) use self::events::token_standard;
pub use self::swap::SyncSummary;
pub use self::sync::{ProfileSync, SyncEnd};
pub use self::token_chain::{TokenChain, TransferBatches};
use super::{JobRequest, PART, PlatformJobHandler, PlatformJobRun, enqueue_for_platform};
use crate::failure::Failure;
use crate::services::Services;

/// Hours between two scheduled syncs of a profile.
const SLOT_HOURS: u8 = 6;
/// Minutes between two attempts after a failed sync.
const RETRY_MINUTES: u8 = 10;

/// The handler of `eligibility-sync`.
#[derive(Debug)]
pub struct EligibilitySync;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    token_profile: TokenProfileId,
    /// Whether a ranking without wallets may replace one with wallets.
    #[serde(default)]
    accept_empty: bool,
    /// Number of this part of a long sync, counted from 0.
    #[serde(default)]
    part: u32,
}

/// Id of the scheduled sync of a profile in the present time slot: `eligibility-sync:bgt:2026-11-21T06`.
pub fn scheduled_id(token: &TokenProfileId, now: OffsetDateTime) -> String {
    let hour = now.hour() - now.hour() % SLOT_HOURS;
    format!("eligibility-sync:{token}:{}T{hour:02}", now.date())
}

/// Id of the next attempt after a failed sync: `eligibility-sync:bgt:2026-11-21T06:20:retry`.
pub fn retry_id(token: &TokenProfileId, now: OffsetDateTime) -> String {
    let minute = now.minute() - now.minute() % RETRY_MINUTES;
    format!(
        "eligibility-sync:{token}:{}T{:02}:{minute:02}:retry",
        now.date(),
        now.hour()
    )
}

/// The request to enqueue a sync of a profile as a job with this id. `accept_empty`: a ranking without wallets may replace the stored
/// one.
pub fn request(id: String, token: &TokenProfileId, accept_empty: bool) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::EligibilitySync,
        payload: json!({"token_profile": token, "accept_empty": accept_empty}),
    }
}

/// The id of the part that follows a job with this id and begins at this block: `x` → `x+500` → `x+900`. So a job that runs again, since
/// its worker died or its message was duplicated, has another next part when it reads further.
pub fn next_part_id(id: &str, next_block: u64) -> String {
    let base = id.rsplit_once('+').map_or(id, |(base, _)| base);
    format!("{base}+{next_block}")
}

impl PlatformJobHandler for EligibilitySync {
    fn kind(&self) -> JobKind {
        JobKind::EligibilitySync
    }

    async fn run(&self, run: &PlatformJobRun<'_>) -> Result<(), Failure> {
        let payload = Payload::deserialize(run.payload)
            .map_err(|error| Failure::permanent(format!("invalid payload of an eligibility sync: {error}")))?;
        let token = &payload.token_profile;
        let mut tx = run.services.database.global().await?;
        let profile = tx.eligibility().token_profile(token).await?;
        tx.commit().await?;
        let Some(profile) = profile else {
            return Err(Failure::drop(format!("there is no token profile {token}")));
        };
        match sync(run, &profile, payload.accept_empty).await {
            Ok(SyncEnd::Complete(_)) => Ok(()),
            Ok(SyncEnd::PartOver { next_block }) => {
                let next =
                    json!({"token_profile": token, "accept_empty": payload.accept_empty, "part": payload.part + 1});
                enqueue_next_part(run.services, run.id, next, next_block).await?;
                Ok(())
            }
            Err(error @ SyncError::OtherChain(..)) => Err(Failure::retry(error)),
            Err(SyncError::Superseded) => Err(Failure::drop(SyncError::Superseded.to_string())),
            Err(SyncError::Stopped(Failure::Drop(why))) => Err(Failure::Drop(why)),
            // The last attempt records the failure, after which the leader begins another sync; a dead letter would show it to nobody.
            Err(SyncError::Database(error)) if error.is_transient() && run.attempt < MAX_ATTEMPTS => Err(error.into()),
            Err(SyncError::Stopped(Failure::Retry(error))) => Err(Failure::Retry(error)),
            Err(error) => {
                record_failure(run, token, &error).await?;
                Err(Failure::drop(error.to_string()))
            }
        }
    }
}

async fn sync(run: &PlatformJobRun<'_>, profile: &TokenProfile, accept_empty: bool) -> Result<SyncEnd, SyncError> {
    let Some(chain) = run.services.chains.get(profile.chain_id) else {
        // Not a failure of the sync: without endpoints the stored ranking is what there is.
        let why = format!(
            "CHAIN_RPC_URLS of this worker has no endpoint of chain {}; the ranking is kept as it is stored",
            profile.chain_id
        );
        return Err(SyncError::Stopped(Failure::drop(why)));
    };
    let sync = ProfileSync {
        services: run.services,
        chain: &**chain,
        profile,
        job: Some(run),
        part: Some(PART),
        accept_empty,
    };
    sync.run().await
}

/// Enqueues the part of a long sync that follows the job with this id and begins at this block; returns its id.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn enqueue_next_part(
    services: &Services,
    id: &str,
    payload: Value,
    next_block: u64,
) -> Result<String, Failure> {
    let mut request = JobRequest {
        id: next_part_id(id, next_block),
        kind: JobKind::EligibilitySync,
        payload,
    };
    while !enqueue_for_platform(&services.database, &services.publisher, &request, services.now()).await? {
        // A part that begins here was enqueued before: it waits, or it has ended and a reorganisation led back here.
        if request.id != id && is_pending(services, &request.id).await? {
            break;
        }
        request.id = super::copy_id(&request.id);
    }
    tracing::info!(
        next = request.id,
        next_block,
        "enqueued the next part of the eligibility sync"
    );
    Ok(request.id)
}

/// Whether there is a job with this id that has not ended.
async fn is_pending(services: &Services, id: &str) -> Result<bool, Failure> {
    let mut tx = services.database.global().await?;
    let job = tx.jobs().get(id).await?;
    tx.commit().await?;
    Ok(job.is_some_and(|job| !job.state.is_final()))
}

async fn record_failure(run: &PlatformJobRun<'_>, token: &TokenProfileId, error: &SyncError) -> Result<(), Failure> {
    run.services.metrics.eligibility.failed(token);
    tracing::warn!(token_profile = %token, %error, "the eligibility sync failed; the stored ranking is kept");
    let mut tx = run.services.database.global().await?;
    tx.eligibility()
        .record_failure(token, &error.to_string(), run.services.now())
        .await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn ids_contain_profile_and_slot() {
        let token = "bgt".parse().unwrap();
        let now = datetime!(2026-11-21 07:29 UTC);
        assert_eq!(scheduled_id(&token, now), "eligibility-sync:bgt:2026-11-21T06");
        assert_eq!(retry_id(&token, now), "eligibility-sync:bgt:2026-11-21T07:20:retry");
        assert_eq!(next_part_id("eligibility-sync:bgt:x", 9), "eligibility-sync:bgt:x+9");
        assert_eq!(
            next_part_id("eligibility-sync:bgt:x+9", 10),
            "eligibility-sync:bgt:x+10"
        );
        assert_eq!(
            next_part_id("eligibility-sync:bgt:x+9~1", 10),
            "eligibility-sync:bgt:x+10"
        );
    }
}
