//! JSON of the page.

use arrakis_db::VerificationSession;
use serde::Serialize;
use time::OffsetDateTime;

use crate::account;

/// A session as the page shows it. It names no other member: not who holds a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// `open`, `signed`, `awaiting_consent`, `completed`, `refused`, `replaced` or `expired`.
    pub state: &'static str,
    /// The account for which a wallet is verified.
    pub account: AccountView,
    /// Chain on which a contract wallet is checked.
    pub chain_id: u64,
    /// When the session ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// Seconds until then: the clock of a device may be wrong.
    pub seconds_left: i64,
    /// The wallet, once it has signed.
    pub address: Option<String>,
}

/// An account as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// `discord` or `telegram`.
    pub network: &'static str,
    /// Its id, as text: JavaScript's numbers are too short for it.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The text to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// The text.
    pub message: String,
}

impl SessionView {
    pub(crate) fn of(session: &VerificationSession, now: OffsetDateTime) -> Self {
        let account = account::read(session.account);
        Self {
            state: session.state.as_str(),
            account: AccountView {
                network: account.network.as_str(),
                id: account.id.to_string(),
                name: session.account_name.clone(),
            },
            chain_id: session.chain_id,
            expires_at: session.expires_at,
            seconds_left: (session.expires_at - now).whole_seconds().max(0),
            address: session.proof.map(|proof| proof.address.to_string()),
        }
    }
}
