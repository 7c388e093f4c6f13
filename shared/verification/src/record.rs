//! [`RecordVerification`]: what follows a proof, in the transaction that uses the session's signature.

use arrakis_db::registry::Registry;
use arrakis_db::{CommunityId, Database, DbError, GlobalTx, Jobs, TelegramNotices, TenantTx, VerificationSessions};
use arrakis_domain::Address;
use arrakis_wallet::{Account, ProvenSignature};
use async_trait::async_trait;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::VerificationError;

/// The transaction in which a session and what follows from it are written.
#[derive(Debug)]
pub enum SessionTx {
    /// Of the community whose command began the session.
    Community(TenantTx),
    /// Without a community: a session of Telegram.
    Platform(GlobalTx),
}

impl SessionTx {
    /// Begins a transaction of this community; without one, a transaction of the platform.
    pub(crate) async fn begin(database: &Database, community: Option<CommunityId>) -> Result<Self, DbError> {
        Ok(match community {
            Some(community) => Self::Community(database.tenant(community).await?),
            None => Self::Platform(database.global().await?),
        })
    }

    /// Queries about verification sessions.
    pub(crate) fn sessions(&mut self) -> VerificationSessions<'_> {
        match self {
            Self::Community(tx) => tx.verification_sessions(),
            Self::Platform(tx) => tx.verification_sessions(),
        }
    }

    /// The identity registry.
    pub(crate) fn registry(&mut self) -> Registry<'_> {
        match self {
            Self::Community(tx) => tx.registry(),
            Self::Platform(tx) => tx.registry(),
        }
    }

    /// Queries about jobs, of the community or of the platform.
    pub(crate) fn jobs(&mut self) -> Jobs<'_> {
        match self {
            Self::Community(tx) => tx.jobs(),
            Self::Platform(tx) => tx.jobs(),
        }
    }

    /// Queries about notices for Telegram accounts.
    pub(crate) fn telegram_notices(&mut self) -> TelegramNotices<'_> {
        match self {
            Self::Community(tx) => tx.telegram_notices(),
            Self::Platform(tx) => tx.telegram_notices(),
        }
    }

    /// Commits. Dropped without it, the transaction is rolled back.
    pub(crate) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Community(tx) => tx.commit().await,
            Self::Platform(tx) => tx.commit().await,
        }
    }
}

/// A wallet whose control an account has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenWallet {
    /// Id of the session. The id of the job that follows contains it.
    pub session: Uuid,
    /// The account that has proven control of the wallet.
    pub account: Account,
    /// The account's name.
    pub account_name: String,
    /// The wallet.
    pub address: Address,
    /// Chain on which a contract wallet was checked.
    pub chain_id: u64,
    /// Method and SHA-256 of the signature.
    pub signature: ProvenSignature,
    /// When the signature was accepted.
    pub verified_at: OffsetDateTime,
}

/// A request to move a wallet from the account that holds it to one that has proven control of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveRequest {
    /// Id of the requester's session. The custom ids of the two buttons contain it.
    pub session: Uuid,
    /// The account that requests the wallet, and has proven control of it.
    pub requester: Account,
    /// The requester's name.
    pub requester_name: String,
    /// The wallet.
    pub address: Address,
    /// The account that holds the wallet, and gets the message with the two buttons.
    pub holder: Account,
    /// End of the session: a button that is pressed later changes nothing.
    pub expires_at: OffsetDateTime,
}

/// Result of recording a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The account's identity holds the wallet, newly or from before, and the job is enqueued.
    Written,
    /// Another account holds the wallet. Nothing was written.
    HeldBy(Account),
    /// The registry refuses it. Nothing was written.
    Refused(RecordRefusal),
}

/// Why the registry refuses a wallet. The text is for the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RecordRefusal {
    /// The account's identity is suspended.
    #[error("{} Contact the admins of the server.", suspended_text(.until.map(shown).as_deref()))]
    Suspended {
        /// When the suspension ends by itself; `None`: when an admin ends it.
        until: Option<OffsetDateTime>,
    },
    /// The account has as many wallets as are allowed.
    #[error("Your account has the maximum number of wallets. Unlink one first, with /verify unlink.")]
    TooManyWallets,
    /// The account, or the one to be joined with it, belongs to another identity.
    #[error(
        "The wallet belongs to an identity that cannot be joined with your account. Contact the admins of the server."
    )]
    CannotJoin,
}

impl RecordRefusal {
    /// Every refusal.
    pub const ALL: [Self; 3] = [Self::Suspended { until: None }, Self::TooManyWallets, Self::CannotJoin];

    /// The refusal's name in JSON and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Suspended { .. } => "account_suspended",
            Self::TooManyWallets => "too_many_wallets",
            Self::CannotJoin => "cannot_join",
        }
    }
}

/// What every reply to a suspended member states: the consequences, and the end if the suspension has one.
#[must_use]
pub fn suspended_text(until: Option<&str>) -> String {
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    format!("Your account is suspended here{until}: no tier, no roles, and wallets cannot change.")
}

/// `2026-12-01 09:30 UTC`.
fn shown(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute())
}

/// Writes what follows a proof: the identity registry, and a job of kind `verification` that assigns roles and edits the Discord
/// answer. Every method runs inside the transaction that changes the session, and neither commits nor rolls back: both
/// happen or neither.
#[async_trait]
pub trait RecordVerification: Send + Sync {
    /// Records the wallet for the account and enqueues the job.
    ///
    /// # Errors
    /// When the database fails; the transaction is rolled back, and the member may present the same signature again.
    async fn record(&self, tx: &mut SessionTx, wallet: &ProvenWallet) -> Result<Recorded, VerificationError>;

    /// Moves the wallet from the account that holds it, which has consented, and enqueues the jobs of both.
    /// [`Recorded::HeldBy`] when `from` no longer holds it.
    ///
    /// # Errors
    /// When the database fails; the transaction is rolled back.
    async fn record_move(
        &self,
        tx: &mut SessionTx,
        wallet: &ProvenWallet,
        from: Account,
    ) -> Result<Recorded, VerificationError>;

    /// Enqueues the job that sends the holder a message with two buttons.
    ///
    /// # Errors
    /// When the database fails; the transaction is rolled back.
    async fn request_consent(&self, tx: &mut SessionTx, request: &MoveRequest) -> Result<(), VerificationError>;
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn refusal_of_a_suspended_account_names_the_end() {
        let until = Some(datetime!(2026-12-01 09:30 UTC));
        assert_eq!(
            RecordRefusal::Suspended { until }.to_string(),
            "Your account is suspended here until 2026-12-01 09:30 UTC: no tier, no roles, and wallets cannot change. \
             Contact the admins of the server."
        );
        assert_eq!(
            RecordRefusal::Suspended { until: None }.to_string(),
            "Your account is suspended here: no tier, no roles, and wallets cannot change. Contact the admins of the server."
        );
    }
}
