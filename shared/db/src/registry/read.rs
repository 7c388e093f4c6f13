//! Reads identities with their wallets from the tables.

mod overview;

use arrakis_domain::Address;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::identity::{
    Account, Identity, IdentityId, IdentityRecord, IdentityStatus, IdentityWallet, SignatureRecord, TelegramUserId,
    WalletScope,
};
use crate::column::Column;
use crate::{DbError, UserId, named_query::named};

pub use self::overview::REMOVED_WALLETS;

/// Which wallets are read with an identity.
#[derive(Clone, Copy, Debug)]
enum Wallets {
    /// Those that it holds or held.
    All,
    /// Those that it holds.
    Held,
}

/// A row of `user_identities`, with the columns' names and values; [`Identity`] is its decoded form.
pub(super) struct IdentityRow {
    pub(super) identity_id: Uuid,
    pub(super) discord_user_id: Option<i64>,
    pub(super) telegram_user_id: Option<i64>,
    pub(super) display_name: String,
    pub(super) status: String,
    pub(super) suspended_until: Option<OffsetDateTime>,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
}

impl TryFrom<IdentityRow> for Identity {
    type Error = DbError;

    fn try_from(row: IdentityRow) -> Result<Self, DbError> {
        let column = |name| Column("user_identities", name);
        let telegram = |id| TelegramUserId::new(id).map_err(|why| column("telegram_user_id").corrupt(id, why));
        let discord = |id| column("discord_user_id").user(id);
        Ok(Self {
            id: IdentityId::from_uuid(row.identity_id),
            discord_user: row.discord_user_id.map(discord).transpose()?,
            telegram_user: row.telegram_user_id.map(telegram).transpose()?,
            display_name: row.display_name,
            status: match row.status.as_str() {
                "active" => IdentityStatus::Active,
                "suspended" => IdentityStatus::Suspended {
                    until: row.suspended_until,
                },
                other => return Err(column("status").corrupt(other, "unknown status")),
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

struct WalletRow {
    verified_event: i64,
    removed_event: Option<i64>,
    identity_id: Uuid,
    address: String,
    chain_id: i64,
    is_primary: bool,
    source: String,
    signature_kind: Option<String>,
    signature_digest: Option<Vec<u8>>,
    verified_at: OffsetDateTime,
    removed_at: Option<OffsetDateTime>,
    removed_reason: Option<String>,
}

impl TryFrom<WalletRow> for IdentityWallet {
    type Error = DbError;

    fn try_from(row: WalletRow) -> Result<Self, DbError> {
        let column = |name| Column("identity_wallets", name);
        let signature = match (row.signature_kind, row.signature_digest) {
            (Some(kind), Some(digest)) => Some(SignatureRecord {
                kind: column("signature_kind").parse(&kind)?,
                digest: digest
                    .try_into()
                    .map_err(|digest| column("signature_digest").corrupt(hex::encode(digest), "not 32 bytes"))?,
            }),
            _ => None,
        };
        Ok(Self {
            verified_event: column("verified_event").count(row.verified_event)?,
            address: column("address").parse(&row.address)?,
            chain_id: column("chain_id").count(row.chain_id)?,
            is_primary: row.is_primary,
            source: column("source").parse(&row.source)?,
            signature,
            verified_at: row.verified_at,
            removed_at: row.removed_at,
            removed_event: row
                .removed_event
                .map(|event| column("removed_event").count(event))
                .transpose()?,
            removed_reason: row.removed_reason,
        })
    }
}

impl Registry<'_> {
    /// The identity with this id.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn by_id(&mut self, id: IdentityId) -> Result<Option<IdentityRecord>, DbError> {
        let row = self.row_by_id(id).await?;
        self.record_of(row, Wallets::All).await
    }

    /// As [`Registry::by_id`], with the wallets that it holds and without those that it held: for operations, whose reads
    /// under the lock of the head are bounded.
    pub(super) async fn holding_by_id(&mut self, id: IdentityId) -> Result<Option<IdentityRecord>, DbError> {
        let row = self.row_by_id(id).await?;
        self.record_of(row, Wallets::Held).await
    }

    async fn row_by_id(&mut self, id: IdentityId) -> Result<Option<IdentityRow>, DbError> {
        named!(
            "identity.by_id",
            sqlx::query_as!(
                IdentityRow,
                "select identity_id, discord_user_id, telegram_user_id, display_name, status, suspended_until, created_at,
                        updated_at
                   from user_identities where identity_id = $1",
                id.uuid()
            )
            .fetch_optional(&mut *self.connection)
        )
    }

    /// The identities with these ids, in the order of their ids.
    pub(super) async fn by_ids(&mut self, ids: &[IdentityId]) -> Result<Vec<IdentityRecord>, DbError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let rows = named!(
            "identity.by_ids",
            sqlx::query_as!(
                IdentityRow,
                "select identity_id, discord_user_id, telegram_user_id, display_name, status, suspended_until, created_at,
                        updated_at
                   from user_identities where identity_id = any($1) order by identity_id",
                &ids
            )
            .fetch_all(&mut *self.connection)
        )?;
        self.records_of(rows).await
    }

    /// The identity of an account.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn by_account(&mut self, account: Account) -> Result<Option<IdentityRecord>, DbError> {
        let row = self.row_by_account(account).await?;
        self.record_of(row, Wallets::All).await
    }

    /// As [`Registry::by_account`], without the wallets that the identity held.
    pub(super) async fn holding_by_account(&mut self, account: Account) -> Result<Option<IdentityRecord>, DbError> {
        let row = self.row_by_account(account).await?;
        self.record_of(row, Wallets::Held).await
    }

    async fn row_by_account(&mut self, account: Account) -> Result<Option<IdentityRow>, DbError> {
        let (discord, telegram) = match account {
            Account::Discord(user) => (Some(user.stored()), None),
            Account::Telegram(user) => (None, Some(user.get())),
        };
        named!(
            "identity.by_account",
            sqlx::query_as!(
                IdentityRow,
                "select identity_id, discord_user_id, telegram_user_id, display_name, status, suspended_until, created_at,
                        updated_at
                   from user_identities where discord_user_id = $1 or telegram_user_id = $2",
                discord,
                telegram
            )
            .fetch_optional(&mut *self.connection)
        )
    }

    /// The identity that holds a wallet now; of several, on several chains, the one that verified it first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn by_wallet(&mut self, address: Address) -> Result<Option<IdentityRecord>, DbError> {
        let row = named!(
            "identity.by_wallet",
            sqlx::query_as!(
                IdentityRow,
                "select i.identity_id, i.discord_user_id, i.telegram_user_id, i.display_name, i.status, i.suspended_until,
                        i.created_at, i.updated_at
                   from identity_wallets w join user_identities i using (identity_id)
                  where w.address = $1 and w.removed_at is null order by w.verified_event limit 1",
                address.to_string()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        self.record_of(row, Wallets::All).await
    }

    /// The identities whose holding of a wallet excludes that of this one: of the same address, proved by a key, or by a contract on
    /// the same chain. At most as many as chains.
    pub(super) async fn excluding(&mut self, address: Address, scope: WalletScope) -> Result<Vec<IdentityId>, DbError> {
        let rows = named!(
            "identity.excluding",
            sqlx::query!(
                "select identity_id, chain_id, signature_kind from identity_wallets
                  where address = $1 and removed_at is null order by verified_event",
                address.to_string()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("identity_wallets", name);
        let mut holders = Vec::new();
        for row in rows {
            let held = match row.signature_kind {
                None => WalletScope::EveryChain,
                Some(kind) => {
                    let kind = column("signature_kind").parse(&kind)?;
                    WalletScope::of_kind(column("chain_id").count(row.chain_id)?, kind)
                }
            };
            let id = IdentityId::from_uuid(row.identity_id);
            if held.excludes(scope) && !holders.contains(&id) {
                holders.push(id);
            }
        }
        Ok(holders)
    }

    /// Every identity that holds a wallet or held it, in the order in which they verified it.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn holders_ever(&mut self, address: Address) -> Result<Vec<IdentityId>, DbError> {
        let rows = named!(
            "identity.holders_ever",
            sqlx::query_scalar!(
                "select identity_id from identity_wallets where address = $1 group by identity_id order by min(verified_event)",
                address.to_string()
            )
            .fetch_all(&mut *self.connection)
        )?;
        Ok(rows.into_iter().map(IdentityId::from_uuid).collect())
    }

    /// Whether the identity of a Discord user is suspended at `now`; false without an identity.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn is_suspended(&mut self, user: UserId, now: OffsetDateTime) -> Result<bool, DbError> {
        named!(
            "identity.is_suspended",
            sqlx::query_scalar!(
                r#"select exists (select from user_identities
                                   where discord_user_id = $1 and status = 'suspended'
                                     and (suspended_until is null or suspended_until > $2)) as "suspended!""#,
                user.stored(),
                now
            )
            .fetch_one(&mut *self.connection)
        )
    }

    async fn record_of(
        &mut self,
        row: Option<IdentityRow>,
        wallets: Wallets,
    ) -> Result<Option<IdentityRecord>, DbError> {
        Ok(self.records_with(row.into_iter().collect(), wallets).await?.pop())
    }

    /// These identities with every wallet, in the same order.
    pub(super) async fn records_of(&mut self, rows: Vec<IdentityRow>) -> Result<Vec<IdentityRecord>, DbError> {
        self.records_with(rows, Wallets::All).await
    }

    async fn records_with(&mut self, rows: Vec<IdentityRow>, wallets: Wallets) -> Result<Vec<IdentityRecord>, DbError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.identity_id).collect();
        let mut records = rows
            .into_iter()
            .map(|row| {
                let identity = row.try_into()?;
                let wallets = Vec::new();
                Ok(IdentityRecord { identity, wallets })
            })
            .collect::<Result<Vec<_>, DbError>>()?;
        for row in self.wallet_rows(&ids, wallets).await? {
            let owner = ids.iter().position(|id| *id == row.identity_id);
            if let Some(record) = owner.and_then(|place| records.get_mut(place)) {
                record.wallets.push(row.try_into()?);
            }
        }
        Ok(records)
    }

    async fn wallet_rows(&mut self, ids: &[Uuid], wallets: Wallets) -> Result<Vec<WalletRow>, DbError> {
        match wallets {
            Wallets::All => named!(
                "identity.wallets",
                sqlx::query_as!(
                    WalletRow,
                    "select verified_event, removed_event, identity_id, address, chain_id, is_primary, source, signature_kind,
                            signature_digest, verified_at, removed_at, removed_reason
                       from identity_wallets where identity_id = any($1) order by verified_event",
                    ids
                )
                .fetch_all(&mut *self.connection)
            ),
            Wallets::Held => named!(
                "identity.held_wallets",
                sqlx::query_as!(
                    WalletRow,
                    "select verified_event, removed_event, identity_id, address, chain_id, is_primary, source, signature_kind,
                            signature_digest, verified_at, removed_at, removed_reason
                       from identity_wallets where identity_id = any($1) and removed_at is null order by verified_event",
                    ids
                )
                .fetch_all(&mut *self.connection)
            ),
        }
    }
}
