//! What a proof of a member changes: the account, the wallet and its holder are read and changed under one lock of the head, so that a
//! lost race writes nothing.

use super::Registry;
use super::append::Cause;
use super::error::{Refusal, RegistryError};
use super::identity::{Account, IdentityId, IdentityRecord};
use super::wallets::{Verified, VerifiedWallet, check_chain};
use crate::DbError;

/// Result of [`Registry::prove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proved {
    /// The account's identity holds the wallet now; an account without an identity got one.
    Added,
    /// The account's identity held it already; nothing was written.
    AlreadyHeld,
    /// The account had no identity, and belongs now to the one whose primary wallet it is.
    Joined {
        /// The account that had the identity before, to which a message about the join is sent.
        with: Account,
    },
}

impl Registry<'_> {
    /// Records that an account has proved a wallet.
    ///
    /// An account without an identity joins the one that holds the wallet, when the wallet is its primary one, it lacks an account of
    /// this network, and its accounts were never separated (`docs/decisions/0045`). Otherwise a wallet of another identity is refused.
    ///
    /// # Errors
    /// [`Refusal::WalletHeld`], [`Refusal::Suspended`], [`Refusal::TooManyWallets`], [`Refusal::ChainId`]; nothing was written then.
    pub async fn prove(
        &mut self,
        account: Account,
        display_name: &str,
        wallet: &VerifiedWallet,
        cause: Cause,
    ) -> Result<Proved, RegistryError> {
        let mut appending = self.appending(cause).await?;
        let own = appending.registry.holding_by_account(account).await?;
        if let Some(own) = own {
            // Also of a suspended identity, which changes nothing.
            if own.excludes(wallet.address, wallet.scope()) {
                return Ok(Proved::AlreadyHeld);
            }
            let mut own = appending.changeable(own.identity.id).await?;
            return Ok(match appending.verify(&mut own, wallet).await? {
                Verified::Added => Proved::Added,
                Verified::AlreadyHeld => Proved::AlreadyHeld,
            });
        }
        let holders = appending.registry.excluding(wallet.address, wallet.scope()).await?;
        match holders.as_slice() {
            [] => {
                check_chain(wallet)?;
                let mut created = appending.create(account, display_name).await?;
                appending.verify(&mut created, wallet).await?;
                Ok(Proved::Added)
            }
            [holder] => {
                let with = appending.registry.join(*holder, account, wallet).await?;
                let with = with.ok_or(RegistryError::Refused(Refusal::WalletHeld))?;
                let mut record = appending.changeable(*holder).await?;
                appending.link(&mut record, account, display_name).await?;
                Ok(Proved::Joined { with })
            }
            _ => Err(Refusal::WalletHeld.into()),
        }
    }

    /// Moves a wallet from the identity of `from`, which has consented, to the account that has proved it. An account without an
    /// identity gets one.
    ///
    /// # Errors
    /// [`Refusal::WalletNotHeld`] when `from` does not hold it any more, and as [`Registry::prove`]; nothing was written then.
    pub async fn prove_moved(
        &mut self,
        from: Account,
        (account, display_name): (Account, &str),
        wallet: &VerifiedWallet,
        reason: &str,
        cause: Cause,
    ) -> Result<(), RegistryError> {
        let mut appending = self.appending(cause).await?;
        let holder = appending.registry.holding_by_account(from).await?;
        let holder = holder.ok_or(Refusal::WalletNotHeld)?;
        let mut holder = appending.changeable(holder.identity.id).await?;
        let own = match appending.registry.holding_by_account(account).await? {
            Some(own) => Some(appending.changeable(own.identity.id).await?),
            None => None,
        };
        appending.check_move(&holder, own.as_ref(), wallet).await?;
        appending.remove(&mut holder, wallet.address, reason).await?;
        let mut receiver = match own {
            Some(own) => own,
            None => appending.create(account, display_name).await?,
        };
        appending.verify(&mut receiver, wallet).await?;
        Ok(())
    }

    /// The identity whose holding of a wallet excludes that of another one, with the wallets that it holds; of several, the one that
    /// verified it first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn holder_of(&mut self, wallet: &VerifiedWallet) -> Result<Option<IdentityRecord>, DbError> {
        match self.excluding(wallet.address, wallet.scope()).await?.first() {
            Some(holder) => self.holding_by_id(*holder).await,
            None => Ok(None),
        }
    }

    /// The account whose identity a proof joins; `None` when a signature is not enough.
    async fn join(
        &mut self,
        holder: IdentityId,
        account: Account,
        wallet: &VerifiedWallet,
    ) -> Result<Option<Account>, RegistryError> {
        let Some(record) = self.holding_by_id(holder).await? else {
            return Ok(None);
        };
        let with = other_network(&record, account);
        let is_primary = record
            .primary()
            .is_some_and(|primary| primary.address == wallet.address && primary.scope().excludes(wallet.scope()));
        if with.is_none() || !is_primary || self.was_separated(holder).await? {
            return Ok(None);
        }
        Ok(with)
    }
}

/// The account of the other network, when the identity has none of this one.
fn other_network(record: &IdentityRecord, account: Account) -> Option<Account> {
    let (discord, telegram) = (record.identity.discord_user, record.identity.telegram_user);
    match account {
        Account::Discord(_) if discord.is_none() => telegram.map(Account::Telegram),
        Account::Telegram(_) if telegram.is_none() => discord.map(Account::Discord),
        _ => None,
    }
}
