//! Replay: the state that follows from events. Pure functions.
//!
//! [`IdentityRecord::apply`] is the one definition of what an event changes and which events are refused; operations check
//! with it before they append. The trigger `apply_identity_event` does the same to the tables. A test compares the two for
//! random histories.

use std::collections::{BTreeMap, HashMap};

use arrakis_domain::Address;
use time::OffsetDateTime;

use super::error::Refusal;
use super::event::{EventSource, IdentityEvent};
use super::identity::{
    Account, Identity, IdentityId, IdentityRecord, IdentityStatus, IdentityWallet, SignatureRecord, WalletScope,
};
use super::payload::EventPayload;

/// What an event changes: the event without its id and hashes.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Sequence number of the event.
    pub sequence: u64,
    /// Where it came from.
    pub source: EventSource,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// Its data.
    pub payload: &'a EventPayload,
}

impl<'a> From<&'a IdentityEvent> for Change<'a> {
    fn from(event: &'a IdentityEvent) -> Self {
        Self {
            sequence: event.sequence,
            source: event.source,
            occurred_at: event.occurred_at,
            payload: &event.payload,
        }
    }
}

impl IdentityRecord {
    /// The identity that `IDENTITY_CREATED` creates.
    ///
    /// # Errors
    /// [`Refusal::UnknownIdentity`] for another event, [`Refusal::NoAccount`] without an account.
    pub fn created(id: IdentityId, change: Change<'_>) -> Result<Self, Refusal> {
        let EventPayload::IdentityCreated {
            discord_user,
            telegram_user,
            display_name,
        } = change.payload
        else {
            return Err(Refusal::UnknownIdentity);
        };
        if discord_user.is_none() && telegram_user.is_none() {
            return Err(Refusal::NoAccount);
        }
        Ok(Self {
            identity: Identity {
                id,
                discord_user: *discord_user,
                telegram_user: *telegram_user,
                display_name: display_name.clone(),
                status: IdentityStatus::Active,
                created_at: change.occurred_at,
                updated_at: change.occurred_at,
            },
            wallets: Vec::new(),
        })
    }

    /// Applies an event of this identity. Whether an account or a wallet is another identity's is not checked here.
    ///
    /// # Errors
    /// When the event does not follow from the state; the state is unchanged then.
    pub fn apply(&mut self, change: Change<'_>) -> Result<(), Refusal> {
        if change.occurred_at < self.identity.updated_at {
            return Err(Refusal::BeforeLastEvent);
        }
        match change.payload {
            EventPayload::IdentityCreated { .. } => return Err(Refusal::IdentityExists),
            EventPayload::DiscordLinked {
                discord_user,
                display_name,
            } => {
                link(&mut self.identity.discord_user, *discord_user)?;
                self.identity.display_name.clone_from(display_name);
            }
            EventPayload::TelegramLinked { telegram_user, .. } => {
                link(&mut self.identity.telegram_user, *telegram_user)?;
            }
            EventPayload::DiscordUnlinked {
                discord_user,
                display_name,
                ..
            } => {
                let has_other = self.identity.telegram_user.is_some();
                unlink(&mut self.identity.discord_user, *discord_user, has_other)?;
                self.identity.display_name.clone_from(display_name);
            }
            EventPayload::TelegramUnlinked { telegram_user, .. } => {
                let has_other = self.identity.discord_user.is_some();
                unlink(&mut self.identity.telegram_user, *telegram_user, has_other)?;
            }
            EventPayload::WalletVerified {
                address,
                chain_id,
                is_primary,
                signature,
                verified_at,
            } => self.add_wallet(change, *address, (*chain_id, *is_primary, *signature, *verified_at))?,
            EventPayload::WalletRemoved { address, reason } => self.remove_wallet(change, *address, reason)?,
            EventPayload::WalletSetPrimary { address } => self.set_primary(*address)?,
            EventPayload::IdentitySuspended { expires_at, .. } => {
                self.identity.status = IdentityStatus::Suspended { until: *expires_at };
            }
            EventPayload::IdentityRestored { .. } => self.restore(change)?,
        }
        self.identity.updated_at = change.occurred_at;
        Ok(())
    }

    fn add_wallet(
        &mut self,
        change: Change<'_>,
        address: Address,
        (chain_id, is_primary, signature, verified_at): (u64, bool, Option<SignatureRecord>, OffsetDateTime),
    ) -> Result<(), Refusal> {
        if self.excludes(address, WalletScope::of(chain_id, signature)) {
            return Err(Refusal::WalletAlreadyHeld);
        }
        if is_primary {
            for wallet in &mut self.wallets {
                wallet.is_primary = false;
            }
        }
        self.wallets.push(IdentityWallet {
            verified_event: change.sequence,
            address,
            chain_id,
            is_primary,
            source: change.source,
            signature,
            verified_at,
            removed_at: None,
            removed_event: None,
            removed_reason: None,
        });
        Ok(())
    }

    /// Removes the wallet from every chain for which it is held.
    fn remove_wallet(&mut self, change: Change<'_>, address: Address, reason: &str) -> Result<(), Refusal> {
        if !self.holds(address) {
            return Err(Refusal::WalletNotHeld);
        }
        let is_removed = |wallet: &&mut IdentityWallet| wallet.address == address && wallet.removed_at.is_none();
        for wallet in self.wallets.iter_mut().filter(is_removed) {
            wallet.is_primary = false;
            wallet.removed_at = Some(change.occurred_at);
            wallet.removed_event = Some(change.sequence);
            wallet.removed_reason = Some(reason.to_owned());
        }
        Ok(())
    }

    /// Of a wallet that is held for several chains, the one that was verified first becomes the primary one.
    fn set_primary(&mut self, address: Address) -> Result<(), Refusal> {
        let first = self.held().find(|wallet| wallet.address == address);
        let event = first.ok_or(Refusal::WalletNotHeld)?.verified_event;
        for wallet in self.wallets.iter_mut().filter(|wallet| wallet.removed_at.is_none()) {
            wallet.is_primary = wallet.verified_event == event;
        }
        Ok(())
    }

    fn restore(&mut self, change: Change<'_>) -> Result<(), Refusal> {
        let IdentityStatus::Suspended { until } = self.identity.status else {
            return Err(Refusal::NotSuspended);
        };
        let has_ended = until.is_some_and(|until| until <= change.occurred_at);
        if change.source == EventSource::Expiry && !has_ended {
            return Err(Refusal::EndOfSuspension);
        }
        self.identity.status = IdentityStatus::Active;
        Ok(())
    }
}

fn link<T>(account: &mut Option<T>, new: T) -> Result<(), Refusal> {
    if account.is_some() {
        return Err(Refusal::AccountLinked);
    }
    *account = Some(new);
    Ok(())
}

fn unlink<T: PartialEq>(account: &mut Option<T>, left: T, has_other: bool) -> Result<(), Refusal> {
    if !has_other || *account != Some(left) {
        return Err(Refusal::NotJoined);
    }
    *account = None;
    Ok(())
}

/// An event that does not follow from the events before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence}: {refusal}")]
pub struct ReplayError {
    /// Sequence number of the event.
    pub sequence: u64,
    /// Why the event is refused.
    pub refusal: Refusal,
}

/// All identities, as events leave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryState {
    identities: BTreeMap<IdentityId, IdentityRecord>,
    accounts: HashMap<Account, IdentityId>,
    holders: HashMap<Address, Vec<Hold>>,
}

/// A wallet that an identity holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    identity: IdentityId,
    scope: WalletScope,
}

impl RegistryState {
    /// The state after these events, which begin at event 1 and are in the order of their sequence numbers.
    ///
    /// # Errors
    /// For the first event that does not follow from the ones before it.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a IdentityEvent>) -> Result<Self, ReplayError> {
        let mut state = Self::default();
        for event in events {
            state
                .apply(event.identity, event.into())
                .map_err(|refusal| ReplayError {
                    sequence: event.sequence,
                    refusal,
                })?;
        }
        Ok(state)
    }

    /// Applies the next event.
    ///
    /// # Errors
    /// When it does not follow from the state; the state is unchanged then.
    pub fn apply(&mut self, id: IdentityId, change: Change<'_>) -> Result<(), Refusal> {
        let accounts = accounts_of(change.payload);
        if accounts.iter().any(|account| self.accounts.contains_key(account)) {
            return Err(Refusal::AccountInUse);
        }
        if let EventPayload::WalletVerified {
            address,
            chain_id,
            signature,
            ..
        } = change.payload
        {
            let scope = WalletScope::of(*chain_id, *signature);
            let mut holds = self.holders.get(address).into_iter().flatten();
            if holds.any(|hold| hold.identity != id && hold.scope.excludes(scope)) {
                return Err(Refusal::WalletHeld);
            }
        }
        match self.identities.get_mut(&id) {
            Some(record) => record.apply(change)?,
            None => {
                let created = IdentityRecord::created(id, change)?;
                self.identities.insert(id, created);
            }
        }
        self.accounts.extend(accounts.into_iter().map(|account| (account, id)));
        self.index(id, change.payload);
        Ok(())
    }

    /// Keeps the indexes of accounts and wallets.
    fn index(&mut self, id: IdentityId, payload: &EventPayload) {
        match payload {
            EventPayload::WalletVerified {
                address,
                chain_id,
                signature,
                ..
            } => self.holders.entry(*address).or_default().push(Hold {
                identity: id,
                scope: WalletScope::of(*chain_id, *signature),
            }),
            EventPayload::WalletRemoved { address, .. } => {
                if let Some(holds) = self.holders.get_mut(address) {
                    holds.retain(|hold| hold.identity != id);
                    if holds.is_empty() {
                        self.holders.remove(address);
                    }
                }
            }
            EventPayload::DiscordUnlinked { discord_user, .. } => {
                self.accounts.remove(&Account::Discord(*discord_user));
            }
            EventPayload::TelegramUnlinked { telegram_user, .. } => {
                self.accounts.remove(&Account::Telegram(*telegram_user));
            }
            _ => {}
        }
    }

    /// The identities in the order of their ids.
    pub fn identities(&self) -> impl Iterator<Item = &IdentityRecord> {
        self.identities.values()
    }

    /// The identity with this id.
    #[must_use]
    pub fn get(&self, id: IdentityId) -> Option<&IdentityRecord> {
        self.identities.get(&id)
    }

    /// The identity of an account.
    #[must_use]
    pub fn by_account(&self, account: Account) -> Option<&IdentityRecord> {
        self.get(*self.accounts.get(&account)?)
    }

    /// The identity that holds a wallet; of several, on several chains, the one that verified it first.
    #[must_use]
    pub fn by_wallet(&self, address: Address) -> Option<&IdentityRecord> {
        self.get(self.holders.get(&address)?.first()?.identity)
    }
}

/// The accounts that an event adds.
fn accounts_of(payload: &EventPayload) -> Vec<Account> {
    match payload {
        EventPayload::IdentityCreated {
            discord_user,
            telegram_user,
            ..
        } => {
            let discord = discord_user.map(Account::Discord);
            discord
                .into_iter()
                .chain(telegram_user.map(Account::Telegram))
                .collect()
        }
        EventPayload::DiscordLinked { discord_user, .. } => vec![Account::Discord(*discord_user)],
        EventPayload::TelegramLinked { telegram_user, .. } => vec![Account::Telegram(*telegram_user)],
        _ => Vec::new(),
    }
}
