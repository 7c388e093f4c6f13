//! Operations on identities and their accounts.

use super::Registry;
use super::append::{Appending, Cause};
use super::error::{Refusal, RegistryError};
use super::event::{EventRow, EventSource, EventType, IdentityEvent};
use super::identity::{Account, Identity, IdentityId, IdentityRecord};
use super::payload::EventPayload;
use super::text::one_line;
use super::wallets::MAX_REASON;
use crate::{DbError, named_query::named};

/// Most characters of a display name; a longer one is cut off.
pub const MAX_DISPLAY_NAME: usize = 100;

/// Result of [`Registry::separate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separated {
    /// The account that has no identity now.
    pub left: Account,
    /// The account that keeps the identity.
    pub kept: Account,
}

impl Registry<'_> {
    /// The identity of an account; creates it with this name if there is none.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn create(
        &mut self,
        account: Account,
        display_name: &str,
        cause: Cause,
    ) -> Result<Identity, RegistryError> {
        // Most accounts are known, and need no lock of the head.
        if let Some(known) = self.holding_by_account(account).await? {
            return Ok(known.identity);
        }
        let mut appending = self.appending(cause).await?;
        // Created by another transaction before this one locked the head.
        if let Some(known) = appending.registry.holding_by_account(account).await? {
            return Ok(known.identity);
        }
        Ok(appending.create(account, display_name).await?.identity)
    }

    /// Adds the Discord or Telegram account that an identity lacks. Writes nothing when it has this account already.
    ///
    /// # Errors
    /// [`Refusal::AccountLinked`] when it has another one, [`Refusal::AccountInUse`] when the account is another identity's.
    pub async fn link(
        &mut self,
        identity: IdentityId,
        account: Account,
        display_name: &str,
        cause: Cause,
    ) -> Result<(), RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut record = appending.changeable(identity).await?;
        match appending.registry.holding_by_account(account).await? {
            Some(owner) if owner.identity.id == identity => return Ok(()),
            Some(_) => return Err(Refusal::AccountInUse.into()),
            None => {}
        }
        appending.link(&mut record, account, display_name).await
    }

    /// Undoes the join of an identity's two accounts: the one that was linked later leaves. The identity and its wallets stay with the
    /// other, except for wallets that the leaving account has verified since. Either account may request it, and neither gains a
    /// wallet by it.
    ///
    /// # Errors
    /// [`Refusal::NotJoined`] when the identity has one account, [`Refusal::Suspended`].
    pub async fn separate(
        &mut self,
        identity: IdentityId,
        reason: &str,
        cause: Cause,
    ) -> Result<Separated, RegistryError> {
        let mut appending = self.appending(cause).await?;
        let mut record = appending.changeable(identity).await?;
        appending.separate(&mut record, reason).await
    }

    /// The event that joined the accounts of an identity last, if they are joined by one: its sequence number and type.
    async fn last_link(&mut self, identity: IdentityId) -> Result<Option<(i64, String)>, DbError> {
        let row = named!(
            "identity_event.last_link",
            sqlx::query!(
                "select sequence, event_type from identity_events
                  where identity_id = $1
                    and event_type in ('DISCORD_LINKED', 'TELEGRAM_LINKED', 'DISCORD_UNLINKED', 'TELEGRAM_UNLINKED')
                  order by sequence desc limit 1",
                identity.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(row.map(|row| (row.sequence, row.event_type)))
    }

    /// Whether the accounts of an identity were ever separated.
    pub(super) async fn was_separated(&mut self, identity: IdentityId) -> Result<bool, DbError> {
        named!(
            "identity_event.was_separated",
            sqlx::query_scalar!(
                r#"select exists (select from identity_events
                                   where identity_id = $1
                                     and event_type in ('DISCORD_LINKED', 'TELEGRAM_LINKED', 'DISCORD_UNLINKED', 'TELEGRAM_UNLINKED')
                                     and event_type in ('DISCORD_UNLINKED', 'TELEGRAM_UNLINKED')) as "separated!""#,
                identity.uuid()
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// The name with which an identity was created.
    async fn first_name(&mut self, identity: IdentityId) -> Result<String, DbError> {
        let row = named!(
            "identity_event.first",
            sqlx::query_as!(
                EventRow,
                "select sequence, event_id, identity_id, event_type, source, occurred_at, recorded_at, payload, previous_hash,
                        hash
                   from identity_events where identity_id = $1 order by sequence limit 1",
                identity.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let first = row.map(IdentityEvent::try_from).transpose()?;
        Ok(match first.map(|event| event.payload) {
            Some(EventPayload::IdentityCreated { display_name, .. }) => display_name,
            _ => String::new(),
        })
    }
}

impl Appending<'_, '_> {
    /// Creates the identity of an account that has none.
    pub(super) async fn create(
        &mut self,
        account: Account,
        display_name: &str,
    ) -> Result<IdentityRecord, RegistryError> {
        let (discord_user, telegram_user) = match account {
            Account::Discord(user) => (Some(user), None),
            Account::Telegram(user) => (None, Some(user)),
        };
        let payload = EventPayload::IdentityCreated {
            discord_user,
            telegram_user,
            display_name: one_line(display_name, MAX_DISPLAY_NAME),
        };
        self.append_created(&payload).await
    }

    /// Adds an account that has no identity.
    pub(super) async fn link(
        &mut self,
        record: &mut IdentityRecord,
        account: Account,
        display_name: &str,
    ) -> Result<(), RegistryError> {
        let display_name = one_line(display_name, MAX_DISPLAY_NAME);
        let payload = match account {
            Account::Discord(discord_user) => EventPayload::DiscordLinked {
                discord_user,
                display_name,
            },
            Account::Telegram(telegram_user) => EventPayload::TelegramLinked {
                telegram_user,
                display_name,
            },
        };
        let at = self.after_separations().await?;
        self.append_at(record, &payload, at).await
    }

    async fn separate(&mut self, record: &mut IdentityRecord, reason: &str) -> Result<Separated, RegistryError> {
        let identity = &record.identity;
        let (Some(discord), Some(telegram)) = (identity.discord_user, identity.telegram_user) else {
            return Err(Refusal::NotJoined.into());
        };
        let id = identity.id;
        let reason = one_line(reason, MAX_REASON);
        let (since, kind) = self.registry.last_link(id).await?.unwrap_or_default();
        let discord_leaves = kind == EventType::DiscordLinked.as_str();
        let source = if discord_leaves {
            EventSource::DiscordVerification
        } else {
            EventSource::TelegramVerification
        };
        let verified_since = record
            .held()
            .filter(|wallet| wallet.source == source && wallet.verified_event > since.unsigned_abs());
        let addresses: Vec<_> = verified_since.map(|wallet| wallet.address).collect();
        for address in addresses {
            // Held for several chains, it is removed at once.
            if record.holds(address) {
                self.remove(record, address, &reason).await?;
            }
        }
        let payload = if discord_leaves {
            EventPayload::DiscordUnlinked {
                discord_user: discord,
                display_name: self.registry.first_name(id).await?,
                reason,
            }
        } else {
            EventPayload::TelegramUnlinked {
                telegram_user: telegram,
                reason,
            }
        };
        self.append(record, &payload).await?;
        let (discord, telegram) = (Account::Discord(discord), Account::Telegram(telegram));
        Ok(if discord_leaves {
            Separated {
                left: discord,
                kept: telegram,
            }
        } else {
            Separated {
                left: telegram,
                kept: discord,
            }
        })
    }
}
