//! Operations on identities and their accounts.

use super::Registry;
use super::append::Cause;
use super::error::{Refusal, RegistryError};
use super::identity::{Account, Identity, IdentityId};
use super::payload::EventPayload;
use super::text::one_line;

/// Most characters of a display name; a longer one is cut off.
pub const MAX_DISPLAY_NAME: usize = 100;

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
        if let Some(known) = self.by_account(account).await? {
            return Ok(known.identity);
        }
        let mut appending = self.appending(cause).await?;
        // Created by another transaction before this one locked the head.
        if let Some(known) = appending.registry.by_account(account).await? {
            return Ok(known.identity);
        }
        let (discord_user, telegram_user) = match account {
            Account::Discord(user) => (Some(user), None),
            Account::Telegram(user) => (None, Some(user)),
        };
        let payload = EventPayload::IdentityCreated {
            discord_user,
            telegram_user,
            display_name: one_line(display_name, MAX_DISPLAY_NAME),
        };
        Ok(appending.append_created(&payload).await?.identity)
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
        match appending.registry.by_account(account).await? {
            Some(owner) if owner.identity.id == identity => return Ok(()),
            Some(_) => return Err(Refusal::AccountInUse.into()),
            None => {}
        }
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
        appending.append(&mut record, &payload).await
    }
}
