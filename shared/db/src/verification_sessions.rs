//! Sessions in which an account proves control of a wallet.
//!
//! ```text
//! open ──► signed ──► completed
//!            │  ▲         ▲
//!            ▼  (one      │ the holder consents
//!   awaiting_consent ─────┤
//!                         └► refused
//! ```
//!
//! `open` becomes `signed` by one conditional update, so a session accepts one signature. In the same transaction it becomes
//! `completed`, unless another account holds the wallet: then it stays `signed` until the member asks for a move. A new session
//! makes the account's earlier one `replaced`. A session that is not ended is expired from `expires_at` on, without a write.
//!
//! Row-level security shows only sessions whose key was presented in the transaction: the digest of the token, the account, or
//! the session's id. Each method presents the key that it was called with.

mod queries;

use arrakis_config::Secret;
use arrakis_domain::Address;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::column::Column;
use crate::{CommunityId, DbError, GlobalTx, TenantTx};

/// An account begins at most this many sessions within [`START_WINDOW`].
pub const MAX_STARTS: i64 = 5;

/// Time in which starts are counted: as long as a session lasts.
pub const START_WINDOW: Duration = Duration::minutes(15);

/// A session accepts at most this many attempts to present a signature.
pub const MAX_ATTEMPTS: i32 = 20;

/// Network of an account, as its column stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionNetwork {
    /// Discord.
    Discord,
    /// Telegram.
    Telegram,
}

impl SessionNetwork {
    /// The network as the column stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Telegram => "telegram",
        }
    }
}

/// An account of a session: its network, and its id there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionAccount {
    /// Network whose id `id` is.
    pub network: SessionNetwork,
    /// Id of the account in its network, greater than 0.
    pub id: i64,
}

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Waits for a signature.
    Open,
    /// A signature was accepted, and another account holds the wallet.
    Signed,
    /// The consent of the account that holds the wallet was requested.
    AwaitingConsent,
    /// The wallet is recorded.
    Completed,
    /// The holder of the wallet refused.
    Refused,
    /// The account began another session.
    Replaced,
    /// The time is over.
    Expired,
}

impl SessionState {
    /// The state as JSON and, except for `expired`, the column have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Signed => "signed",
            Self::AwaitingConsent => "awaiting_consent",
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
        }
    }

    fn from_column(text: &str) -> Option<Self> {
        let stored = [
            Self::Open,
            Self::Signed,
            Self::AwaitingConsent,
            Self::Completed,
            Self::Refused,
            Self::Replaced,
        ];
        stored.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether time ends a session in this state.
    const fn expires(self) -> bool {
        matches!(self, Self::Open | Self::Signed | Self::AwaitingConsent)
    }
}

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewVerificationSession<'a> {
    /// Its id, a version 7 UUID.
    pub id: Uuid,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// The account for which a wallet is verified.
    pub account: SessionAccount,
    /// The account's name, 1 to 200 characters.
    pub account_name: &'a str,
    /// Community whose command began it; `None` for Telegram, and only there.
    pub community: Option<CommunityId>,
    /// Token of the Discord interaction whose reply shows the result; `None` for Telegram.
    pub interaction_token: Option<&'a Secret>,
    /// Nonce of the sign-in message (EIP-4361): 8 to 64 ASCII letters and digits.
    pub nonce: &'a str,
    /// EIP-155 id of the chain on which a contract wallet is checked: that of the community's token.
    pub chain_id: u64,
    /// When it begins.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// Result of [`VerificationSessions::start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStart {
    /// The session exists.
    Started {
        /// Whether it replaced one that had not ended.
        replaced: bool,
    },
    /// The account began [`MAX_STARTS`] sessions within [`START_WINDOW`].
    TooMany {
        /// When it may begin the next one.
        next_at: OffsetDateTime,
    },
}

/// Which wallet signed in a session, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionProof {
    /// The wallet.
    pub address: Address,
    /// Method by which the wallet signed: `eip191`, `erc1271` or `erc6492`.
    pub method: &'static str,
    /// SHA-256 of the signature.
    pub signature_digest: [u8; 32],
    /// When the signature was accepted.
    pub signed_at: OffsetDateTime,
}

/// A verification session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationSession {
    /// Its id.
    pub id: Uuid,
    /// The account for which a wallet is verified.
    pub account: SessionAccount,
    /// The account's name at the start.
    pub account_name: String,
    /// Community whose command began it; `None` for Telegram.
    pub community: Option<CommunityId>,
    /// Nonce of the sign-in message (EIP-4361).
    pub nonce: String,
    /// EIP-155 id of the chain on which a contract wallet is checked.
    pub chain_id: u64,
    /// Its state at the time that the query was given.
    pub state: SessionState,
    /// Number of signatures that were presented.
    pub attempts: i32,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// The accepted signature; `None` before one was accepted.
    pub proof: Option<SessionProof>,
    /// The account that holds the wallet, when it is another one.
    pub holder: Option<SessionAccount>,
}

/// How a session is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKey {
    /// By SHA-256 of its token.
    Token([u8; 32]),
    /// By its id, which is no secret: for jobs and buttons.
    Id(Uuid),
}

/// Queries about sessions.
#[derive(Debug)]
pub struct VerificationSessions<'a> {
    connection: &'a mut PgConnection,
}

impl TenantTx {
    /// Queries about verification sessions.
    pub fn verification_sessions(&mut self) -> VerificationSessions<'_> {
        VerificationSessions {
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// Queries about verification sessions.
    pub fn verification_sessions(&mut self) -> VerificationSessions<'_> {
        VerificationSessions {
            connection: &mut self.transaction,
        }
    }
}

struct Row {
    session_id: Uuid,
    network: String,
    account_id: i64,
    account_name: String,
    community: Option<Uuid>,
    nonce: String,
    chain_id: i64,
    state: String,
    attempts: i32,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    address: Option<String>,
    method: Option<String>,
    signature_digest: Option<Vec<u8>>,
    signed_at: Option<OffsetDateTime>,
    holder_network: Option<String>,
    holder_id: Option<i64>,
}

const fn column(name: &'static str) -> Column {
    Column("verification_sessions", name)
}

fn network(name: &'static str, text: &str) -> Result<SessionNetwork, DbError> {
    match text {
        "discord" => Ok(SessionNetwork::Discord),
        "telegram" => Ok(SessionNetwork::Telegram),
        _ => Err(column(name).corrupt(text, "unknown network")),
    }
}

impl Row {
    fn read(self, now: OffsetDateTime) -> Result<VerificationSession, DbError> {
        let state = SessionState::from_column(&self.state)
            .ok_or_else(|| column("state").corrupt(&self.state, "unknown state"))?;
        let expired = state.expires() && self.expires_at <= now;
        let holder = match (&self.holder_network, self.holder_id) {
            (Some(text), Some(id)) => Some(SessionAccount {
                network: network("holder_network", text)?,
                id,
            }),
            _ => None,
        };
        Ok(VerificationSession {
            proof: self.proof()?,
            id: self.session_id,
            account: SessionAccount {
                network: network("network", &self.network)?,
                id: self.account_id,
            },
            account_name: self.account_name,
            community: self.community.map(CommunityId::from_uuid),
            nonce: self.nonce,
            chain_id: column("chain_id").count(self.chain_id)?,
            state: if expired { SessionState::Expired } else { state },
            attempts: self.attempts,
            created_at: self.created_at,
            expires_at: self.expires_at,
            holder,
        })
    }

    fn proof(&self) -> Result<Option<SessionProof>, DbError> {
        let (Some(address), Some(method), Some(digest), Some(signed_at)) =
            (&self.address, &self.method, &self.signature_digest, self.signed_at)
        else {
            return Ok(None);
        };
        let method = ["eip191", "erc1271", "erc6492"]
            .into_iter()
            .find(|known| known == method)
            .ok_or_else(|| column("method").corrupt(method, "unknown method"))?;
        let signature_digest = digest
            .as_slice()
            .try_into()
            .map_err(|_| column("signature_digest").corrupt(digest.len(), "not 32 bytes"))?;
        Ok(Some(SessionProof {
            address: column("address").parse(address)?,
            method,
            signature_digest,
            signed_at,
        }))
    }
}
