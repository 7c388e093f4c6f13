//! The community of a server, as a caller may see it.

use arrakis_contracts::servers::PlanName;
use arrakis_db::{Actor, Community, DbError, GuildId, NewAuditEntry, TenantTx};
use arrakis_domain::Plan;

use crate::authentication::Caller;
use crate::body::invalid_parameter;
use crate::caller_tx::Act;
use crate::problem::{Problem, ProblemKind};
use crate::services::Services;

/// The community of a server, with a transaction on its rows. It has the application's login, also for a key for all communities.
#[derive(Debug)]
pub(super) struct Server {
    /// The settings of the community.
    pub(super) record: Community,
    /// The transaction.
    pub(super) tx: TenantTx,
}

impl Server {
    /// Finds the community of a server by the id in the path.
    ///
    /// # Errors
    /// [`ProblemKind::UnknownServer`] when there is none, or none that the caller may see: the two are not distinguished.
    pub(super) async fn find(services: &Services, caller: &Caller, guild: &str) -> Result<Self, Problem> {
        let guild = guild
            .parse::<GuildId>()
            .map_err(|why| invalid_parameter("guild", why))?;
        let found = services.database.community_of(guild).await?;
        let (record, tx) = found.ok_or_else(unknown_server)?;
        if caller.community().is_some_and(|own| own != record.id) {
            return Err(unknown_server());
        }
        Ok(Self { record, tx })
    }

    /// Locks the community until the end of the transaction, and reads its settings again: the theme may have changed, or a takeover may have
    /// begun.
    pub(super) async fn lock(&mut self) -> Result<(), DbError> {
        self.tx.communities().lock().await?;
        if let Some(record) = self.tx.communities().get().await? {
            self.record = record;
        }
        Ok(())
    }

    /// Writes the audit entry of this request.
    pub(super) async fn audit(&mut self, caller: &Caller, act: Act<'_>) -> Result<(), DbError> {
        let entry = NewAuditEntry {
            actor: Actor::Operator(caller.name()),
            action: act.action,
            subject: act.subject,
            reason: act.reason,
            detail: act.detail,
        };
        self.tx.audit(&entry).await
    }

    /// Commits. Dropped without it, the transaction is rolled back.
    pub(super) async fn commit(self) -> Result<(), DbError> {
        self.tx.commit().await
    }
}

fn unknown_server() -> Problem {
    Problem::new(
        ProblemKind::UnknownServer,
        "the Discord server with this id has no community, or none that this API key may see",
    )
}

/// The plan as JSON has it.
pub(super) const fn plan_name(plan: Plan) -> PlanName {
    match plan {
        Plan::Free => PlanName::Free,
        Plan::Premium => PlanName::Premium,
    }
}
