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
    /// Seconds until the session ends, 0 afterwards. The page counts down from it, because the clock of a device may be wrong.
    pub seconds_left: i64,
    /// Address of the wallet that has signed, in lower case; `None` before.
    pub address: Option<String>,
}

/// An account as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// `discord` or `telegram`.
    pub network: &'static str,
    /// The account's id in its network, as text: numbers of JavaScript are exact to 2^53 only.
    pub id: String,
    /// The account's name when the session began.
    pub name: String,
}

/// A sign-in message as the page gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// The text to sign, an EIP-4361 message.
    pub message: String,
}

impl SessionView {
    /// The view of a session at the time `now`.
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
