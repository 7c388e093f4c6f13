//! [`RegistryRecord`]: records proven wallets in the identity registry and enqueues the jobs.

use arrakis_contracts::JobKind;
use arrakis_db::registry::{
    Account as RegistryAccount, Cause, EventSource, IdentityRecord, Refusal as RegistryRefusal, Registry,
    RegistryError, SignatureKind, SignatureRecord, TelegramUserId, VerifiedWallet,
};
use arrakis_db::{NewJob, UserId};
use arrakis_wallet::{Account, AccountNetwork, Method};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::record::{MoveRequest, ProvenWallet, RecordRefusal, RecordVerification, Recorded, SessionTx};
use crate::{Refusal, VerificationError, VerificationJob};

/// Reason of the event that removes a moved wallet.
const MOVED: &str = "moved to another account with the consent of its holder";

/// Records proven wallets in the identity registry, and enqueues jobs of kind `verification` in the transaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegistryRecord;

#[async_trait]
impl RecordVerification for RegistryRecord {
    async fn record(&self, tx: &mut SessionTx, wallet: &ProvenWallet) -> Result<Recorded, VerificationError> {
        let result = verify(&mut tx.registry(), wallet).await;
        let recorded = recorded(result, tx, wallet).await?;
        if recorded == Recorded::Written {
            enqueue(tx, &done(wallet, None), wallet.verified_at).await?;
        }
        Ok(recorded)
    }

    async fn record_move(
        &self,
        tx: &mut SessionTx,
        wallet: &ProvenWallet,
        from: Account,
    ) -> Result<Recorded, VerificationError> {
        let result = move_from(&mut tx.registry(), wallet, from).await;
        let recorded = recorded(result, tx, wallet).await?;
        if recorded == Recorded::Written {
            enqueue(tx, &done(wallet, Some(from)), wallet.verified_at).await?;
        }
        Ok(recorded)
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
        enqueue(tx, &job, OffsetDateTime::now_utc()).await
    }
}

const fn done(wallet: &ProvenWallet, moved_from: Option<Account>) -> VerificationJob {
    VerificationJob::Recorded {
        session: wallet.session,
        account: wallet.account,
        address: wallet.address,
        moved_from,
    }
}

async fn enqueue(tx: &mut SessionTx, job: &VerificationJob, due_at: OffsetDateTime) -> Result<(), VerificationError> {
    let id = job.id();
    let new = NewJob {
        id: &id,
        kind: JobKind::Verification.name(),
        payload: serde_json::to_value(job).map_err(|_| Refusal::Internal)?,
        due_at,
    };
    tx.jobs().enqueue(&new).await?;
    Ok(())
}

/// Adds the wallet to the account's identity. An account without an identity joins the one that holds the wallet, when that one
/// lacks an account of its network: the same person has proven both.
async fn verify(registry: &mut Registry<'_>, wallet: &ProvenWallet) -> Result<(), RegistryError> {
    let account = registry_account(wallet.account)?;
    let cause = cause(wallet);
    let own = registry.by_account(account).await?;
    if let Some(holder) = registry.by_wallet(wallet.address).await? {
        match own {
            Some(own) if own.identity.id == holder.identity.id => return Ok(()),
            None if lacks_account(&holder, wallet.account.network) => {
                return registry
                    .link(holder.identity.id, account, &wallet.account_name, cause)
                    .await;
            }
            _ => return Err(RegistryRefusal::WalletHeld.into()),
        }
    }
    let identity = registry.create(account, &wallet.account_name, cause).await?;
    registry.verify_wallet(identity.id, &verified(wallet), cause).await?;
    Ok(())
}

async fn move_from(registry: &mut Registry<'_>, wallet: &ProvenWallet, from: Account) -> Result<(), RegistryError> {
    let holder = registry.by_account(registry_account(from)?).await?;
    let Some(holder) = holder.filter(|holder| holder.holds(wallet.address)) else {
        return Err(RegistryRefusal::WalletHeld.into());
    };
    let account = registry_account(wallet.account)?;
    let cause = cause(wallet);
    let identity = registry.create(account, &wallet.account_name, cause).await?;
    registry
        .move_wallet(holder.identity.id, identity.id, &verified(wallet), MOVED, cause)
        .await
}

/// What the member is shown of the registry's result.
async fn recorded(
    result: Result<(), RegistryError>,
    tx: &mut SessionTx,
    wallet: &ProvenWallet,
) -> Result<Recorded, VerificationError> {
    let refusal = match result {
        Ok(()) => return Ok(Recorded::Written),
        Err(RegistryError::Db(error)) => return Err(error.into()),
        Err(RegistryError::Refused(refusal)) => refusal,
    };
    Ok(match refusal {
        RegistryRefusal::WalletHeld | RegistryRefusal::WalletNotHeld => {
            let holder = tx.registry().by_wallet(wallet.address).await?;
            match holder.as_ref().and_then(account_of) {
                Some(holder) => Recorded::HeldBy(holder),
                // Removed in the meantime.
                None => return Err(Refusal::TryLater.into()),
            }
        }
        RegistryRefusal::Suspended => Recorded::Refused(RecordRefusal::Suspended),
        RegistryRefusal::TooManyWallets => Recorded::Refused(RecordRefusal::TooManyWallets),
        _ => Recorded::Refused(RecordRefusal::CannotJoin),
    })
}

fn lacks_account(holder: &IdentityRecord, network: AccountNetwork) -> bool {
    match network {
        AccountNetwork::Discord => holder.identity.discord_user.is_none(),
        AccountNetwork::Telegram => holder.identity.telegram_user.is_none(),
    }
}

/// The account of an identity that can be sent a question: Discord's, else Telegram's.
fn account_of(holder: &IdentityRecord) -> Option<Account> {
    let discord = holder.identity.discord_user.map(|user| Account {
        network: AccountNetwork::Discord,
        id: user.get(),
    });
    discord.or_else(|| {
        holder.identity.telegram_user.map(|user| Account {
            network: AccountNetwork::Telegram,
            id: user.get().unsigned_abs(),
        })
    })
}

fn registry_account(account: Account) -> Result<RegistryAccount, RegistryRefusal> {
    match account.network {
        AccountNetwork::Discord => UserId::new(account.id).map(RegistryAccount::Discord).ok(),
        AccountNetwork::Telegram => i64::try_from(account.id)
            .ok()
            .and_then(|id| TelegramUserId::new(id).ok())
            .map(RegistryAccount::Telegram),
    }
    .ok_or(RegistryRefusal::NoAccount)
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
