//! Bodies of the requests between `arrakis-telegram` and the api (`/internal/telegram`), and the notices in PostgreSQL.
//!
//! A notice is stored by one build and read by another: kinds are added over time, and a reader skips a kind that its build
//! does not have.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// `POST /internal/telegram/sessions`: begins a verification session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartSession {
    /// Telegram's id of the user.
    pub telegram_user_id: i64,
    /// The user's first and last name in Telegram, which the sign-in message shows.
    pub name: String,
}

/// Response to [`StartSession`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SessionStarted {
    /// The session exists.
    Started {
        /// Its id.
        session: Uuid,
        /// Link to the wallet page; a secret of the user.
        link: String,
        /// When it ends.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
        /// Whether an earlier link does not work any more.
        replaced: bool,
    },
    /// The user began too many sessions.
    TooMany {
        /// When the user may begin the next one.
        #[serde(with = "time::serde::rfc3339")]
        next_at: OffsetDateTime,
    },
    /// The identity of the user is suspended; nothing was changed.
    Suspended {
        /// When the suspension ends by itself; `None`: when an admin ends it.
        #[serde(default, with = "time::serde::rfc3339::option")]
        until: Option<OffsetDateTime>,
    },
}

/// `GET /internal/telegram/accounts/{id}`: what is linked to a Telegram account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AccountStatus {
    /// The wallets, in the order of their verification.
    pub wallets: Vec<LinkedWallet>,
    /// Whether a Discord account belongs to the same identity.
    pub discord: bool,
    /// Whether the identity is suspended.
    pub suspended: bool,
    /// When the suspension ends by itself; `None`: when an admin ends it, or without a suspension.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub suspended_until: Option<OffsetDateTime>,
    /// The session in progress, if there is one.
    pub session: Option<SessionProgress>,
}

/// A wallet of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LinkedWallet {
    /// Its address.
    pub address: String,
    /// Whether it is the one that counts in communities.
    pub primary: bool,
    /// The chain of a contract wallet; `None` for a wallet with a key, which counts on every chain.
    pub chain_id: Option<u64>,
    /// Sequence number of the event that verified it; 0 from an api of an earlier build.
    #[serde(default)]
    pub verified_event: u64,
}

/// A session in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SessionProgress {
    /// `open`, `signed` or `awaiting_consent`.
    pub state: String,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Result of a request to unlink a wallet or to separate two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnlinkOutcome {
    /// The wallet is unlinked, or the accounts are separated.
    Done,
    /// The wallet was not linked, or the accounts were not joined; nothing was changed.
    Already,
    /// The identity is suspended; nothing was changed.
    Suspended,
    /// The identity has a Discord account, whose `/verify unlink` removes wallets; nothing was changed.
    InDiscord,
    /// The wallet was unlinked and verified again by another event than the request names; nothing was changed.
    VerifiedAgain,
}

/// Response to `DELETE /internal/telegram/accounts/{id}/wallets/{address}` and `POST …/accounts/{id}/separate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Unlinked {
    /// Result of the request.
    pub outcome: UnlinkOutcome,
}

/// `POST /internal/telegram/sessions/{id}/answer`: the answer of an account that holds a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConsentAnswer {
    /// Telegram's id of the user who pressed the button.
    pub telegram_user_id: i64,
    /// Whether the holder agrees that the wallet moves to the requester.
    pub consents: bool,
}

/// Response to [`ConsentAnswer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ConsentOutcome {
    /// The wallet was moved.
    Moved {
        /// The wallet.
        address: String,
    },
    /// The wallet stays.
    Kept,
    /// The request has ended, or was never for this account.
    Ended,
    /// The wallet cannot be moved.
    Refused {
        /// Why, for the member.
        message: String,
    },
}

/// `POST /internal/telegram/notices/take`: takes the notices that are to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TakeNotices {
    /// Seconds to wait while there is none, at most 10.
    pub wait_seconds: u8,
}

/// Response to [`TakeNotices`]. Each notice is leased to the caller for a minute: no other request returns it in that time. The
/// caller shows it and deletes it by `DELETE /internal/telegram/notices/{id}`; otherwise it is returned again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TakenNotices {
    /// The oldest notices that are not leased; empty when there were none within the wait.
    pub notices: Vec<TakenNotice>,
}

/// A notice leased to the caller, to be shown in the chat of its account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TakenNotice {
    /// Id of the notice.
    pub id: Uuid,
    /// Telegram's id of the user to whom it is shown.
    pub telegram_user_id: i64,
    /// What happened; [`TelegramNotice`], or a kind that a newer build has added.
    pub notice: serde_json::Value,
}

/// What happened outside of the chat of a Telegram account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TelegramNotice {
    /// A wallet is linked.
    Verified {
        /// The session.
        session: Uuid,
        /// The wallet.
        address: String,
        /// Whether the account joined the identity of a Discord account, which had the wallet.
        joined: bool,
    },
    /// Another account holds the wallet, and its consent was requested.
    ConsentRequested {
        /// The session.
        session: Uuid,
        /// The wallet.
        address: String,
    },
    /// The account that holds the wallet refused.
    Refused {
        /// The session.
        session: Uuid,
        /// The wallet.
        address: String,
    },
    /// Another account has signed with a wallet of this one, and requests it.
    Consent {
        /// The session of the account that requests it.
        session: Uuid,
        /// Its name, which its owner chose, and its network and id, which its owner cannot choose.
        requester: Requester,
        /// The wallet.
        address: String,
        /// End of the session: a button that is pressed later changes nothing.
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    /// A Discord account has signed with the wallet of this one, and belongs to its identity now.
    Joined {
        /// The wallet.
        address: String,
        /// The Discord account.
        discord: Requester,
    },
    /// The two accounts of the identity were separated from the side of Discord.
    Separated,
}

/// An account, as it is shown to the owner of another account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Requester {
    /// `discord` or `telegram`.
    pub network: String,
    /// Id of the account in its network.
    pub id: u64,
    /// Name of the account, which its owner chose.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notice_of_an_earlier_build_still_decodes() {
        let session = Uuid::from_u128(1);
        let samples = [
            (
                TelegramNotice::Verified {
                    session,
                    address: "0x12".to_owned(),
                    joined: true,
                },
                json!({"kind": "verified", "session": session, "address": "0x12", "joined": true}),
            ),
            (
                TelegramNotice::Consent {
                    session,
                    requester: Requester {
                        network: "discord".to_owned(),
                        id: 8,
                        name: "Chani".to_owned(),
                    },
                    address: "0x12".to_owned(),
                    expires_at: OffsetDateTime::UNIX_EPOCH,
                },
                json!({"kind": "consent", "session": session, "address": "0x12", "expires_at": "1970-01-01T00:00:00Z",
                       "requester": {"network": "discord", "id": 8, "name": "Chani"}}),
            ),
            (TelegramNotice::Separated, json!({"kind": "separated"})),
        ];
        for (notice, stored) in samples {
            assert_eq!(serde_json::to_value(&notice).unwrap(), stored);
            assert_eq!(serde_json::from_value::<TelegramNotice>(stored).unwrap(), notice);
        }
    }
}
