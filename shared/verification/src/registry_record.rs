//! [`RegistryRecord`]: records proven wallets in the identity registry and enqueues the jobs.

use arrakis_contracts::JobKind;
use arrakis_db::NewJob;
use arrakis_db::registry::{
    Account as RegistryAccount, Cause, EventSource, IdentityRecord, Proved, Refusal as RegistryRefusal, Registry,
    RegistryError, SignatureKind, SignatureRecord, VerifiedWallet,
};
use arrakis_wallet::{Account, AccountNetwork, Method};
use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

use crate::account::registry_account;
use crate::record::{MoveRequest, ProvenWallet, RecordRefusal, RecordVerification, Recorded, SessionTx};
use crate::suspension::suspension;
use crate::{Refusal, VerificationError, VerificationJob, notice};

/// Reason of the event that removes a moved wallet.
const MOVED: &str = "moved to another account with the consent of its holder";

/// How much earlier than now a job is due: a worker whose clock is behind starts it at once nevertheless, and the leader need not
/// wait before it publishes a message that was lost.
const CLOCK_MARGIN: Duration = Duration::minutes(1);

/// Records proven wallets in the identity registry, and enqueues jobs of kind `verification` in the transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegistryRecord;

#[async_trait]
impl RecordVerification for RegistryRecord {
    async fn record(&self, tx: &mut SessionTx, wallet: &ProvenWallet) -> Result<Recorded, VerificationError> {
        let proved = prove(&mut tx.registry(), wallet).await;
        let joined = match proved {
            Ok(Proved::Joined { with }) => Some(shown_account(with)),
            Ok(Proved::Added | Proved::AlreadyHeld) => None,
            Err(error) => return refused(error, tx, wallet).await,
        };
        let notified = joined.filter(|account| account.network == AccountNetwork::Discord);
        enqueue(tx, &done(wallet, None, notified), wallet.verified_at).await?;
        notice::verified(tx, wallet, joined).await?;
        Ok(Recorded::Written)
    }

    async fn record_move(
        &self,
        tx: &mut SessionTx,
        wallet: &ProvenWallet,
        from: Account,
    ) -> Result<Recorded, VerificationError> {
        if let Err(error) = move_from(&mut tx.registry(), wallet, from).await {
            return refused(error, tx, wallet).await;
        }
        enqueue(tx, &done(wallet, Some(from), None), wallet.verified_at).await?;
        notice::verified(tx, wallet, None).await?;
        Ok(Recorded::Written)
    }

    async fn request_consent(&self, tx: &mut SessionTx, request: &MoveRequest) -> Result<(), VerificationError> {
        let job = VerificationJob::RequestConsent {
            session: request.session,
            requester: request.requester,
            requester_name: request.requester_name.clone(),
            holder: request.holder,
            address: request.address,
            expires_at: request.expires_at,
        };
        let now = OffsetDateTime::now_utc();
        enqueue(tx, &job, now).await?;
        notice::consent(tx, request, now).await
    }
}

const fn done(wallet: &ProvenWallet, moved_from: Option<Account>, joined: Option<Account>) -> VerificationJob {
    VerificationJob::Recorded {
        session: wallet.session,
        account: wallet.account,
        address: wallet.address,
        moved_from,
        joined,
    }
}

/// Stores the job in this transaction. A job with the same id is not stored again.
pub(crate) async fn enqueue(
    tx: &mut SessionTx,
    job: &VerificationJob,
    due_at: OffsetDateTime,
) -> Result<(), VerificationError> {
    let id = job.id();
    let new = NewJob {
        id: &id,
        kind: JobKind::Verification.name(),
        payload: serde_json::to_value(job).map_err(|_| Refusal::Internal)?,
        due_at: due_at - CLOCK_MARGIN,
    };
    tx.jobs().enqueue(&new).await?;
    Ok(())
}

async fn prove(registry: &mut Registry<'_>, wallet: &ProvenWallet) -> Result<Proved, RegistryError> {
    let account = registry_account(wallet.account)?;
    let proof = verified(wallet);
    registry
        .prove(account, &wallet.account_name, &proof, cause(wallet))
        .await
}

async fn move_from(registry: &mut Registry<'_>, wallet: &ProvenWallet, from: Account) -> Result<(), RegistryError> {
    let from = registry_account(from)?;
    let to = (registry_account(wallet.account)?, wallet.account_name.as_str());
    let proof = verified(wallet);
    registry.prove_moved(from, to, &proof, MOVED, cause(wallet)).await
}

/// What the member is shown of an error of the registry.
async fn refused(
    error: RegistryError,
    tx: &mut SessionTx,
    wallet: &ProvenWallet,
) -> Result<Recorded, VerificationError> {
    let refusal = match error {
        RegistryError::Db(error) => return Err(error.into()),
        RegistryError::Refused(refusal) => refusal,
    };
    Ok(match refusal {
        RegistryRefusal::WalletHeld | RegistryRefusal::WalletNotHeld => {
            let holder = tx.registry().holder_of(&verified(wallet)).await?;
            match holder.as_ref().and_then(account_of) {
                Some(holder) => Recorded::HeldBy(holder),
                // Removed before a move.
                None => return Err(Refusal::TryLater.into()),
            }
        }
        RegistryRefusal::Suspended => {
            let own = suspension(&mut tx.registry(), wallet.account, wallet.verified_at).await?;
            // Without one, it is the holder who is suspended: the wallet does not move.
            Recorded::Refused(own.unwrap_or(RecordRefusal::CannotJoin))
        }
        RegistryRefusal::TooManyWallets => Recorded::Refused(RecordRefusal::TooManyWallets),
        _ => Recorded::Refused(RecordRefusal::CannotJoin),
    })
}

/// The account of an identity that can be sent a question: Discord's, else Telegram's.
fn account_of(holder: &IdentityRecord) -> Option<Account> {
    let (discord, telegram) = (holder.identity.discord_user, holder.identity.telegram_user);
    let account = discord.map(RegistryAccount::Discord);
    account.or(telegram.map(RegistryAccount::Telegram)).map(shown_account)
}

const fn shown_account(account: RegistryAccount) -> Account {
    match account {
        RegistryAccount::Discord(user) => Account {
            network: AccountNetwork::Discord,
            id: user.get(),
        },
        RegistryAccount::Telegram(user) => Account {
            network: AccountNetwork::Telegram,
            id: user.get().unsigned_abs(),
        },
    }
}

const fn cause(wallet: &ProvenWallet) -> Cause {
    Cause {
        source: match wallet.account.network {
            AccountNetwork::Discord => EventSource::DiscordVerification,
            AccountNetwork::Telegram => EventSource::TelegramVerification,
        },
        at: wallet.verified_at,
    }
}

const fn verified(wallet: &ProvenWallet) -> VerifiedWallet {
    VerifiedWallet {
        address: wallet.address,
        chain_id: wallet.chain_id,
        signature: Some(SignatureRecord {
            kind: match wallet.signature.method {
                Method::Eip191 => SignatureKind::Eip191,
                Method::Erc1271 => SignatureKind::Erc1271,
                Method::Erc6492 => SignatureKind::Erc6492,
            },
            digest: wallet.signature.digest,
        }),
        verified_at: wallet.verified_at,
    }
}
