//! What follows a suspension or its end: a tier sync of the member in every community, which removes or gives back the roles.
//!
//! The jobs are stored in the transaction of the change, so none is lost, and published after its commit.

use arrakis_contracts::{JobKind, job};
use arrakis_db::registry::{IdentityRecord, Refusal, RegistryError};
use arrakis_db::{DbError, GlobalTx, NewJob};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::user::{User, unknown_user};
use crate::jobs::StoredJob;
use crate::problem::{Problem, ProblemKind};

/// A user after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedUser {
    /// The user
    pub(crate) user: User,
    /// Number of communities in which the user's roles are being changed
    pub(crate) communities: usize,
}

/// Stores a tier sync of the user in each community that the Discord account is in; none without one. `cause` is a part of the jobs' ids.
/// The caller publishes the jobs after the commit.
pub(crate) async fn store_jobs(
    tx: &mut GlobalTx,
    record: &IdentityRecord,
    cause: &str,
) -> Result<Vec<StoredJob>, DbError> {
    let id = format!("{}:{cause}:{}", JobKind::TierSync, Uuid::now_v7());
    let Some(user) = record.identity.discord_user else {
        return Ok(Vec::new());
    };
    let new = NewJob {
        id: &id,
        kind: JobKind::TierSync.name(),
        payload: job::tier_sync_of_member(user.get()),
        due_at: OffsetDateTime::now_utc(),
    };
    let communities = tx.enqueue_in_communities_of(user, &new).await?;
    let stored = |community| StoredJob {
        id: id.clone(),
        kind: JobKind::TierSync,
        community: Some(community),
    };
    Ok(communities.into_iter().map(stored).collect())
}

/// The problem of an operation that the registry did not carry out.
pub(crate) fn problem_of(error: RegistryError) -> Problem {
    match error {
        RegistryError::Db(error) => error.into(),
        RegistryError::Refused(Refusal::UnknownIdentity) => unknown_user(),
        RegistryError::Refused(Refusal::NotSuspended) => Problem::new(
            ProblemKind::NotSuspended,
            "the user is not suspended, so there is nothing to end",
        ),
        RegistryError::Refused(Refusal::EndOfSuspension) => Problem::new(
            ProblemKind::InvalidBody,
            "until: the end of a suspension must be in the future",
        ),
        RegistryError::Refused(refusal) => {
            Problem::internal(format!("the registry refused a suspension or its end: {refusal}"))
        }
    }
}
