//! Taking back what was linked: a wallet of a Telegram account, and the join of a Discord and a Telegram account.

use arrakis_db::registry::{
    Account as RegistryAccount, Cause, EventSource, IdentityRecord, IdentityWallet, Refusal as RegistryRefusal,
    RegistryError, Separated,
};
use arrakis_domain::Address;
use arrakis_wallet::{Account, AccountNetwork};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::account::registry_account;
use crate::record::SessionTx;
use crate::registry_record::enqueue;
use crate::{Refusal, StoredJob, Verification, VerificationError, VerificationJob, notice};

/// Reason of the events that undo a join.
const SEPARATED: &str = "the accounts were separated by their owner";
/// Reason of the event that removes a wallet.
const UNLINKED: &str = "unlinked by the member with /unlink";

/// Result of a request to unlink a wallet or to separate two accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlinking {
    /// The change is committed. The caller publishes the message of this job, which assigns and removes roles.
    Done(StoredJob),
    /// There is nothing to do: the wallet is not held, or the identity has one account.
    Nothing,
    /// The identity is suspended; nothing was changed.
    Suspended,
    /// The identity has a Discord account, and only that account may remove wallets; nothing was changed.
    InDiscord,
    /// The wallet is held by another event than the request names; nothing was changed.
    VerifiedAgain,
}

impl Verification {
    /// Removes a wallet of a Telegram account whose identity has no Discord account.
    ///
    /// A Telegram account can join an identity by a signature of its primary wallet. It may not remove the other wallets: they were
    /// linked by the Discord account.
    ///
    /// With `verified_event`, only the wallet that this event verified is removed: a repetition of the request does not remove one that
    /// was verified again meanwhile.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn unlink(
        &self,
        account: Account,
        address: Address,
        verified_event: Option<u64>,
        now: OffsetDateTime,
    ) -> Result<Unlinking, VerificationError> {
        let mut tx = SessionTx::begin(&self.database, None).await?;
        let Some(record) = identity(&mut tx, account).await? else {
            return Ok(Unlinking::Nothing);
        };
        if record.identity.discord_user.is_some() {
            return Ok(Unlinking::InDiscord);
        }
        let cause = cause(account, now);
        let removed = tx
            .registry()
            .remove_wallet(record.identity.id, address, UNLINKED, cause)
            .await;
        if let Some(refused) = refused(removed)? {
            return Ok(refused);
        }
        // The chain is locked by now: the condition holds until the commit. Without a commit, nothing is removed.
        if let Some(event) = verified_event
            && !identity(&mut tx, account)
                .await?
                .is_some_and(|record| was_removed_last(&record, address, event))
        {
            return Ok(Unlinking::VerifiedAgain);
        }
        let removal = Uuid::now_v7();
        let job = VerificationJob::Unlinked {
            removal,
            account,
            address,
        };
        finish(tx, &job, now).await
    }

    /// Undoes the join of a Discord and a Telegram account, requested by either of them: the one that was linked later leaves the
    /// identity.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn separate(&self, by: Account, now: OffsetDateTime) -> Result<Unlinking, VerificationError> {
        let mut tx = SessionTx::begin(&self.database, None).await?;
        let Some(record) = identity(&mut tx, by).await? else {
            return Ok(Unlinking::Nothing);
        };
        let separated = tx
            .registry()
            .separate(record.identity.id, SEPARATED, cause(by, now))
            .await;
        let Separated { left, kept } = match separated {
            Ok(separated) => separated,
            Err(error) => return Ok(refused(Err(error))?.unwrap_or(Unlinking::Nothing)),
        };
        let separation = Uuid::now_v7();
        let mut discord = None;
        for account in [left, kept] {
            match account {
                RegistryAccount::Discord(user) => discord = Some(user),
                RegistryAccount::Telegram(user) if by.network == AccountNetwork::Discord => {
                    notice::separated(&mut tx, user, separation, now).await?;
                }
                RegistryAccount::Telegram(_) => {}
            }
        }
        // An identity with two accounts has one of Discord.
        let discord = discord.ok_or(Refusal::Internal)?;
        let account = Account {
            network: AccountNetwork::Discord,
            id: discord.get(),
        };
        finish(tx, &VerificationJob::Separated { separation, account }, now).await
    }
}

async fn identity(tx: &mut SessionTx, account: Account) -> Result<Option<IdentityRecord>, VerificationError> {
    let Ok(account) = registry_account(account) else {
        return Ok(None);
    };
    Ok(tx.registry().by_account(account).await?)
}

/// Whether the last removal of a wallet with this address ended the verification by this event.
fn was_removed_last(record: &IdentityRecord, address: Address, event: u64) -> bool {
    let of_address = |wallet: &&IdentityWallet| wallet.address == address;
    let last = record
        .wallets
        .iter()
        .filter(of_address)
        .max_by_key(|wallet| wallet.removed_event);
    let last = last.and_then(|wallet| wallet.removed_event);
    let named = record
        .wallets
        .iter()
        .filter(of_address)
        .find(|wallet| wallet.verified_event == event);
    last.is_some() && named.is_some_and(|wallet| wallet.removed_event == last)
}

const fn cause(account: Account, at: OffsetDateTime) -> Cause {
    let source = match account.network {
        AccountNetwork::Discord => EventSource::DiscordVerification,
        AccountNetwork::Telegram => EventSource::TelegramVerification,
    };
    Cause { source, at }
}

/// What a refusal of the registry means; `None` without one.
fn refused(result: Result<(), RegistryError>) -> Result<Option<Unlinking>, VerificationError> {
    match result {
        Ok(()) => Ok(None),
        Err(RegistryError::Refused(RegistryRefusal::Suspended)) => Ok(Some(Unlinking::Suspended)),
        Err(RegistryError::Refused(RegistryRefusal::WalletNotHeld | RegistryRefusal::NotJoined)) => {
            Ok(Some(Unlinking::Nothing))
        }
        Err(RegistryError::Refused(refusal)) => {
            tracing::error!(%refusal, "the registry refused an unlink or a separation for an unexpected reason");
            Err(Refusal::Internal.into())
        }
        Err(RegistryError::Db(error)) => Err(error.into()),
    }
}

async fn finish(mut tx: SessionTx, job: &VerificationJob, now: OffsetDateTime) -> Result<Unlinking, VerificationError> {
    enqueue(&mut tx, job, now).await?;
    tx.commit().await?;
    Ok(Unlinking::Done(StoredJob {
        id: job.id(),
        community: None,
    }))
}
