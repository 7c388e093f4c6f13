//! Accounts as the message names them and as the session stores them.

use arrakis_db::registry::{Account as RegistryAccount, Refusal as RegistryRefusal, TelegramUserId};
use arrakis_db::{SessionAccount, SessionNetwork, UserId};
use arrakis_wallet::{Account, AccountNetwork};

/// The account as a session stores it; `None` for an id that no network gives.
pub(crate) fn stored(account: Account) -> Option<SessionAccount> {
    let network = match account.network {
        AccountNetwork::Discord => SessionNetwork::Discord,
        AccountNetwork::Telegram => SessionNetwork::Telegram,
    };
    let id = i64::try_from(account.id).ok().filter(|id| *id > 0)?;
    Some(SessionAccount { network, id })
}

/// The account of a stored session.
pub(crate) const fn read(account: SessionAccount) -> Account {
    Account {
        network: match account.network {
            SessionNetwork::Discord => AccountNetwork::Discord,
            SessionNetwork::Telegram => AccountNetwork::Telegram,
        },
        id: account.id.unsigned_abs(),
    }
}

/// The id of a Telegram account; `None` for another network's, and for an id that Telegram does not give.
pub(crate) fn telegram_user(account: Account) -> Option<TelegramUserId> {
    match account.network {
        AccountNetwork::Telegram => TelegramUserId::new(i64::try_from(account.id).ok()?).ok(),
        AccountNetwork::Discord => None,
    }
}

/// The account as the registry has it.
///
/// # Errors
/// When the network gives no account such an id.
pub(crate) fn registry_account(account: Account) -> Result<RegistryAccount, RegistryRefusal> {
    match account.network {
        AccountNetwork::Discord => UserId::new(account.id).map(RegistryAccount::Discord).ok(),
        AccountNetwork::Telegram => telegram_user(account).map(RegistryAccount::Telegram),
    }
    .ok_or(RegistryRefusal::NoAccount)
}
