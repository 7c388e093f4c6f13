//! What `arrakis-telegram` requests: sessions, accounts, and notices. It has no login at the database, and a key with the scope `telegram`.
//!
//! The bodies are those of `arrakis_contracts::telegram`. Requests are not in the audit log: each follows from a message of a member, and
//! what it changes is an event of the registry.

mod accounts;
mod notices;
mod sessions;

use arrakis_causes::causes;
use arrakis_db::registry::TelegramUserId;
use arrakis_verification::{Account, AccountNetwork, VerificationError};

pub(crate) use self::accounts::{
    __path_account, __path_separate_accounts, __path_unlink_wallet, account, separate_accounts, unlink_wallet,
};
pub(crate) use self::notices::{__path_delete_notice, __path_take_notices, delete_notice, take_notices};
pub(crate) use self::sessions::{__path_answer_request, __path_start_session, answer_request, start_session};
use crate::body::invalid_parameter;
use crate::problem::Problem;

/// The id of a Telegram user in a path or a body.
fn telegram_user(id: i64) -> Result<TelegramUserId, Problem> {
    TelegramUserId::new(id).map_err(|why| invalid_parameter("telegram_user_id", why))
}

/// The id of a Telegram user in a path.
fn parse_telegram_user(text: &str) -> Result<TelegramUserId, Problem> {
    text.parse().map_err(|why| invalid_parameter("id", why))
}

/// The account as the verification names it.
fn verification_account(user: TelegramUserId) -> Account {
    Account {
        network: AccountNetwork::Telegram,
        id: user.get().unsigned_abs(),
    }
}

/// An error that is no refusal of the request.
fn problem(error: VerificationError) -> Problem {
    match error {
        VerificationError::Database(error) => error.into(),
        VerificationError::Chain(error) => Problem::unavailable(causes(&error)),
        VerificationError::Signer(error) => Problem::unavailable(causes(&error)),
        VerificationError::Refused(refusal) => Problem::internal(refusal.to_string()),
    }
}
