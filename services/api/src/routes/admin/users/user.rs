//! The JSON of a user, and finding one by its id.

use arrakis_db::registry::{IdentityEvent, IdentityId, IdentityRecord, IdentityStatus, IdentityWallet};
use arrakis_domain::Address;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::authentication::View;
use crate::caller_tx::CallerTx;
use crate::problem::{Problem, ProblemKind};

/// A user: one person on every server of the platform.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    /// Its id in the registry
    pub(crate) id: Uuid,
    /// The Discord account, as text: JavaScript's numbers do not hold all ids
    #[schema(required = true, pattern = "^[0-9]+$")]
    pub(crate) discord_id: Option<String>,
    /// The Telegram account; null for a key of one community
    #[schema(required = true, pattern = "^[0-9]+$")]
    pub(crate) telegram_id: Option<String>,
    /// The account's name when it was linked
    pub(crate) name: String,
    /// Whether the user is suspended now
    pub(crate) status: UserStatus,
    /// When the suspension ends by itself; null when it does not, or the user is active
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub(crate) suspended_until: Option<OffsetDateTime>,
    /// The wallets that the user holds and the 20 that were removed last, in the order of their verification; for a key of one community
    /// the primary wallet only
    pub(crate) wallets: Vec<UserWallet>,
    /// Time of the first event
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    /// Time of the last event; null for a key of one community
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub(crate) updated_at: Option<OffsetDateTime>,
}

/// Whether a user is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UserStatus {
    /// Not suspended
    Active,
    /// Suspended: the user has no roles in any community
    Suspended,
}

impl UserStatus {
    /// The status as JSON and CSV have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// A wallet that a user holds or held.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserWallet {
    /// The address in lower case
    #[schema(value_type = String, pattern = "^0x[0-9a-f]{40}$")]
    pub(crate) address: Address,
    /// The chain on which it was verified
    pub(crate) chain_id: u64,
    /// Whether it is the one that counts in communities
    pub(crate) primary: bool,
    /// Where the verification came from; null for a key of one community
    #[schema(required = true, example = "discord_verification")]
    pub(crate) source: Option<&'static str>,
    /// When its owner proved it
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) verified_at: OffsetDateTime,
    /// When it was removed; null while the user holds it
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required = true)]
    pub(crate) removed_at: Option<OffsetDateTime>,
    /// Why it was removed
    #[schema(required = true)]
    pub(crate) removed_reason: Option<String>,
}

/// An event of a user's history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserEvent {
    /// Its number in the chain of all events
    pub(crate) sequence: u64,
    /// Its id
    pub(crate) id: Uuid,
    /// Its type
    #[serde(rename = "type")]
    #[schema(example = "WALLET_VERIFIED")]
    pub(crate) event_type: &'static str,
    /// Where it came from
    #[schema(example = "discord_verification")]
    pub(crate) source: &'static str,
    /// When it happened
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) occurred_at: OffsetDateTime,
    /// When it was recorded
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) recorded_at: OffsetDateTime,
    /// Its data, by type
    #[schema(value_type = Object)]
    pub(crate) data: Value,
}

impl User {
    /// The user as a caller sees it.
    pub(crate) fn new(record: IdentityRecord, view: View, now: OffsetDateTime) -> Self {
        let user = Self::of_record(record, now);
        match view {
            View::Platform => user,
            View::Community => user.for_community(),
        }
    }

    /// Removes what does not count in the caller's community: the Telegram account, further wallets and former ones, where a
    /// verification came from, and when the user last changed anything.
    fn for_community(mut self) -> Self {
        self.telegram_id = None;
        self.updated_at = None;
        self.wallets.retain(|wallet| wallet.primary);
        for wallet in &mut self.wallets {
            wallet.source = None;
        }
        self
    }

    fn of_record(record: IdentityRecord, now: OffsetDateTime) -> Self {
        let IdentityRecord { identity, wallets } = record;
        let is_suspended = identity.is_suspended(now);
        Self {
            id: identity.id.uuid(),
            discord_id: identity.discord_user.map(|id| id.to_string()),
            telegram_id: identity.telegram_user.map(|id| id.to_string()),
            status: if is_suspended {
                UserStatus::Suspended
            } else {
                UserStatus::Active
            },
            suspended_until: match identity.status {
                IdentityStatus::Suspended { until } if is_suspended => until,
                _ => None,
            },
            name: identity.display_name,
            wallets: wallets.into_iter().map(UserWallet::from).collect(),
            created_at: identity.created_at,
            updated_at: Some(identity.updated_at),
        }
    }

    /// The wallets that the user holds.
    pub(crate) fn held(&self) -> impl Iterator<Item = &UserWallet> {
        self.wallets.iter().filter(|wallet| wallet.removed_at.is_none())
    }
}

impl From<IdentityWallet> for UserWallet {
    fn from(wallet: IdentityWallet) -> Self {
        Self {
            address: wallet.address,
            chain_id: wallet.chain_id,
            primary: wallet.is_primary,
            source: Some(wallet.source.as_str()),
            verified_at: wallet.verified_at,
            removed_at: wallet.removed_at,
            removed_reason: wallet.removed_reason,
        }
    }
}

impl From<IdentityEvent> for UserEvent {
    fn from(event: IdentityEvent) -> Self {
        // A payload is a map with the entries `type` and `payload`, and serialises always.
        let data = serde_json::to_value(&event.payload).ok();
        let data = data.and_then(|mut data| data.get_mut("payload").map(Value::take));
        Self {
            sequence: event.sequence,
            id: event.event_id,
            event_type: event.payload.event_type().as_str(),
            source: event.source.as_str(),
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
            data: data.unwrap_or_default(),
        }
    }
}

/// The problem of a user that does not exist, or that the caller may not see: the two are not distinguished.
pub(crate) fn unknown_user() -> Problem {
    Problem::new(
        ProblemKind::UnknownUser,
        "there is no user with this id, or none that this API key may see",
    )
}

/// Parses the id of a user in a path.
pub(crate) fn parse_id(text: &str) -> Result<IdentityId, Problem> {
    text.parse()
        .map_err(|_| Problem::new(ProblemKind::InvalidParameter, "the id of a user is a UUID"))
}

/// The user with this id.
///
/// # Errors
/// [`ProblemKind::UnknownUser`] when there is none, or none that the caller may see.
pub(crate) async fn find(tx: &mut CallerTx, id: IdentityId) -> Result<IdentityRecord, Problem> {
    let record = tx.registry().overview(id).await?.ok_or_else(unknown_user)?;
    if let CallerTx::Community(tx) = tx {
        let user = record.identity.discord_user.ok_or_else(unknown_user)?;
        // Who has left is not the community's user any more: what the person registers later is none of its business.
        if tx
            .profiles()
            .by_user(user)
            .await?
            .is_none_or(|profile| profile.left_at.is_some())
        {
            return Err(unknown_user());
        }
    }
    Ok(record)
}
