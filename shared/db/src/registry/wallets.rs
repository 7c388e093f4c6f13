//! Operations on the wallets of identities.

use arrakis_domain::Address;
use time::OffsetDateTime;

use super::Registry;
use super::append::{Appending, Cause};
use super::error::{Refusal, RegistryError};
use super::identity::{IdentityId, IdentityRecord, SignatureRecord, WalletScope};
use super::payload::EventPayload;
use super::text::{one_line, whole_microseconds};
use crate::{DbError, named_query::named};

/// Most wallets that an identity holds at a time.
pub const MAX_WALLETS: usize = 20;
/// Most characters of a reason; a longer one is cut off.
pub(super) const MAX_REASON: usize = 500;

/// A wallet whose owner has proven control of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedWallet {
    /// Its address.
    pub address: Address,
    /// The chain on which it was verified (EIP-155).
    pub chain_id: u64,
    /// Method and SHA-256 of the signature; `None` for a wallet that was migrated or added by an operator.
    pub signature: Option<SignatureRecord>,
    /// When control of it was proven.
    pub verified_at: OffsetDateTime,
}

impl VerifiedWallet {
    /// The chains for which the wallet is to be held.
    pub(super) fn scope(&self) -> WalletScope {
        WalletScope::of(self.chain_id, self.signature)
    }
}

/// Result of [`Registry::verify_wallet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The identity holds the wallet now.
    Added,
    /// The identity held it already; nothing was written.
    AlreadyHeld,
}

impl Registry<'_> {
    /// Adds a wallet that its owner has proved. The first one of an identity becomes its primary wallet.
    ///
    /// # Errors
    /// [`Refusal::WalletHeld`] when another identity holds it, [`Refusal::TooManyWallets`], [`Refusal::Suspended`].
    pub async fn verify_wallet(
        &mut self,
        identity: IdentityId,
        wallet: &VerifiedWallet,
        cause: Cause,
    ) -> Result<Verified, RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut record = appending.changeable(identity).await?;
        appending.verify(&mut record, wallet).await
    }

    /// Removes a wallet. If it was the primary one, the wallet that was verified first of the others becomes it.
    ///
    /// # Errors
    /// [`Refusal::WalletNotHeld`], [`Refusal::Suspended`].
    pub async fn remove_wallet(
        &mut self,
        identity: IdentityId,
        address: Address,
        reason: &str,
        cause: Cause,
    ) -> Result<(), RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut record = appending.changeable(identity).await?;
        appending.remove(&mut record, address, reason).await
    }

    /// Makes a wallet the primary one: it is the wallet that counts in communities.
    ///
    /// # Errors
    /// [`Refusal::WalletNotHeld`], [`Refusal::AlreadyPrimary`], [`Refusal::Suspended`].
    pub async fn set_primary(
        &mut self,
        identity: IdentityId,
        address: Address,
        cause: Cause,
    ) -> Result<(), RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut record = appending.changeable(identity).await?;
        if record.primary().is_some_and(|primary| primary.address == address) {
            return Err(Refusal::AlreadyPrimary.into());
        }
        let payload = EventPayload::WalletSetPrimary { address };
        appending.append(&mut record, &payload).await
    }

    /// Moves a wallet from one identity to another, whose owner has proved it: removed and verified in one transaction, so
    /// that it is never without an owner or with two.
    ///
    /// # Errors
    /// [`Refusal::WalletNotHeld`] when `from` does not hold it, and as [`Registry::verify_wallet`].
    pub async fn move_wallet(
        &mut self,
        from: IdentityId,
        to: IdentityId,
        wallet: &VerifiedWallet,
        reason: &str,
        cause: Cause,
    ) -> Result<(), RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut holder = appending.changeable(from).await?;
        let mut receiver = appending.changeable(to).await?;
        appending.check_move(&holder, Some(&receiver), wallet).await?;
        appending.remove(&mut holder, wallet.address, reason).await?;
        appending.verify(&mut receiver, wallet).await?;
        Ok(())
    }

    /// When a wallet was last removed from an identity.
    async fn last_removal(&mut self, address: Address) -> Result<Option<OffsetDateTime>, DbError> {
        named!(
            "identity.last_removal",
            sqlx::query_scalar!(
                "select max(removed_at) from identity_wallets where address = $1 and removed_at is not null",
                address.to_string()
            )
            .fetch_one(&mut *self.connection)
        )
    }
}

/// Refuses a chain id that is 0 or does not fit a column of type `bigint`.
pub(super) fn check_chain(wallet: &VerifiedWallet) -> Result<(), Refusal> {
    if i64::try_from(wallet.chain_id).map_or(true, |id| id == 0) {
        return Err(Refusal::ChainId);
    }
    Ok(())
}

fn check_addition(record: &IdentityRecord, wallet: &VerifiedWallet) -> Result<(), Refusal> {
    check_chain(wallet)?;
    if record.held().count() >= MAX_WALLETS {
        return Err(Refusal::TooManyWallets);
    }
    Ok(())
}

impl Appending<'_, '_> {
    /// Checks that a wallet can move from `holder` to `receiver`, which is `None` when an identity will be created for the wallet.
    ///
    /// # Errors
    /// The [`Refusal`] for which it cannot, or the database is unavailable.
    pub(super) async fn check_move(
        &mut self,
        holder: &IdentityRecord,
        receiver: Option<&IdentityRecord>,
        wallet: &VerifiedWallet,
    ) -> Result<(), RegistryError> {
        if !holder.excludes(wallet.address, wallet.scope()) {
            return Err(Refusal::WalletNotHeld.into());
        }
        if receiver.is_some_and(|receiver| receiver.identity.id == holder.identity.id) {
            return Err(Refusal::WalletAlreadyHeld.into());
        }
        // A key excludes the contracts of every chain: all of them would have to agree.
        let holders = self.registry.excluding(wallet.address, wallet.scope()).await?;
        if holders.iter().any(|id| *id != holder.identity.id) {
            return Err(Refusal::WalletHeld.into());
        }
        match receiver {
            Some(receiver) => Ok(check_addition(receiver, wallet)?),
            None => Ok(check_chain(wallet)?),
        }
    }

    /// Adds a verified wallet to an identity, as its primary one if it has none.
    ///
    /// # Errors
    /// [`Refusal::WalletHeld`], [`Refusal::TooManyWallets`], [`Refusal::ChainId`], or the database is unavailable.
    pub(super) async fn verify(
        &mut self,
        record: &mut IdentityRecord,
        wallet: &VerifiedWallet,
    ) -> Result<Verified, RegistryError> {
        if record.excludes(wallet.address, wallet.scope()) {
            return Ok(Verified::AlreadyHeld);
        }
        if !self
            .registry
            .excluding(wallet.address, wallet.scope())
            .await?
            .is_empty()
        {
            return Err(Refusal::WalletHeld.into());
        }
        check_addition(record, wallet)?;
        let payload = EventPayload::WalletVerified {
            address: wallet.address,
            chain_id: wallet.chain_id,
            is_primary: record.primary().is_none(),
            signature: wallet.signature,
            verified_at: whole_microseconds(wallet.verified_at),
        };
        // Not before its removal from the identity before: at every moment a wallet has at most one holder.
        let removed_at = self.registry.last_removal(wallet.address).await?;
        let at = removed_at.map_or(self.at(), |removed_at| removed_at.max(self.at()));
        self.append_at(record, &payload, at).await?;
        Ok(Verified::Added)
    }

    /// Removes a wallet of an identity. A removed primary wallet is followed by a new primary one, if another is held.
    ///
    /// # Errors
    /// When the event is refused or the database is unavailable.
    pub(super) async fn remove(
        &mut self,
        record: &mut IdentityRecord,
        address: Address,
        reason: &str,
    ) -> Result<(), RegistryError> {
        let reason = one_line(reason, MAX_REASON);
        self.append(record, &EventPayload::WalletRemoved { address, reason })
            .await?;
        if record.primary().is_some() {
            return Ok(());
        }
        let Some(next) = record.held().next().map(|wallet| wallet.address) else {
            return Ok(());
        };
        self.append(record, &EventPayload::WalletSetPrimary { address: next })
            .await
    }
}
