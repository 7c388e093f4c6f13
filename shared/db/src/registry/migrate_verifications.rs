//! Moves verifications from before the registry into it: the rows of `wallet_verifications`, and `profiles.wallet` where it
//! is the only source.
//!
//! Safe to repeat and to interrupt: a wallet that an identity holds or held by another way than this one is left as the
//! registry has it, and a migrated row is recognised by its identity, address and time. Times are kept: the events occur when
//! the wallet was verified or removed, unless the identity has a later event. Each page is a transaction.

use std::collections::{BTreeMap, HashMap};

use arrakis_config::Secret;
use arrakis_domain::Address;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::Registry;
use super::append::{Appending, Cause};
use super::error::{Refusal, RegistryError};
use super::event::EventSource;
use super::identity::{Account, IdentityRecord, WalletScope};
use super::payload::EventPayload;
use super::text::whole_microseconds;
use super::wallets::{Verified, VerifiedWallet};
use crate::column::Column;
use crate::login::Purpose;
use crate::{CommunityId, Database, DatabaseOptions, DbError, UserId, named_query::named};

/// Rows of one transaction. Appends of others wait meanwhile.
const PAGE: i64 = 100;

/// Refused wallets that a migration names; further ones are only counted.
const NAMED_REFUSALS: usize = 50;

/// A wallet that a migration left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedVerification {
    /// The wallet.
    pub address: Address,
    /// The Discord user whose verification is refused.
    #[serde(serialize_with = "as_text")]
    pub user: UserId,
    /// The account that holds the wallet, such as `Discord user 7`; `None` when no other one does.
    pub holder: Option<String>,
    /// Name of the refusal.
    pub conflict: &'static str,
}

/// Counts of a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MigratedVerifications {
    /// Wallets that were added to the registry.
    pub migrated: u64,
    /// Of these, wallets that were removed before the migration, and are in the registry as removed.
    pub removed: u64,
    /// Wallets that the registry had already.
    pub already_there: u64,
    /// Wallets that were refused, by the name of the refusal.
    pub conflicts: BTreeMap<&'static str, u64>,
    /// The first 50 of the refused wallets.
    pub refused: Vec<RefusedVerification>,
}

/// A verification to migrate.
struct Verification {
    user: UserId,
    address: Address,
    chain_id: u64,
    verified_at: OffsetDateTime,
    /// The time is an estimate: the same wallet at another time is the same verification.
    from_profile: bool,
}

/// A row of the time line of `wallet_verifications`: at `at`, a wallet is verified or removed.
struct StepRow {
    at: OffsetDateTime,
    /// 0: removed, 1: verified. In this order, since another user may verify a wallet at the moment of its removal.
    kind: i32,
    discord_user_id: i64,
    address: String,
    chain_id: i64,
    verified_at: OffsetDateTime,
}

/// Migrates every verification, with the owner's login.
///
/// # Errors
/// When the database is unavailable, refuses the login, or has a corrupt row. What was migrated until then stays; the next
/// run continues.
pub async fn migrate_verifications(owner_url: &Secret) -> Result<MigratedVerifications, DbError> {
    let options = DatabaseOptions {
        application_name: "arrakis-migrate",
        max_connections: 2,
        ..DatabaseOptions::default()
    };
    let database = Database::connect_as(Purpose::Owner, owner_url, options).await?;
    let counts = migrate_all(&database).await;
    database.close();
    counts
}

async fn migrate_all(database: &Database) -> Result<MigratedVerifications, DbError> {
    let mut counts = MigratedVerifications::default();
    let names = names_of_verified_members(database).await?;
    let mut after: Option<StepRow> = None;
    loop {
        let mut tx = database.global().await?;
        let mut registry = tx.registry();
        let steps = registry.verification_steps(after.as_ref()).await?;
        for step in &steps {
            registry.apply_step(step, &names, &mut counts).await?;
        }
        tx.commit().await?;
        match steps.into_iter().last() {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    for (_, community) in database.routes().await? {
        migrate_profiles(database, community, &mut counts).await?;
    }
    Ok(counts)
}

/// The names of the users in `wallet_verifications`, which has none, by their profiles.
async fn names_of_verified_members(database: &Database) -> Result<HashMap<i64, String>, DbError> {
    let mut names = HashMap::new();
    for (_, community) in database.routes().await? {
        let mut tx = database.tenant(community).await?;
        let rows = named!(
            "profile.names_of_verified",
            sqlx::query!(
                "select user_id, display_name from profiles
                  where community_id = $1 and user_id in (select discord_user_id from wallet_verifications)",
                community.uuid()
            )
            .fetch_all(&mut *tx.transaction)
        )?;
        tx.rollback().await?;
        names.extend(rows.into_iter().map(|row| (row.user_id, row.display_name)));
    }
    Ok(names)
}

async fn migrate_profiles(
    database: &Database,
    community: CommunityId,
    counts: &mut MigratedVerifications,
) -> Result<(), DbError> {
    let mut after = 0;
    loop {
        let mut tx = database.tenant(community).await?;
        let rows = named!(
            "profile.wallets_to_migrate",
            sqlx::query!(
                r#"select p.user_id, p.display_name, p.wallet as "wallet!", p.updated_at, t.chain_id
                     from profiles p join communities c using (community_id) join token_profiles t using (token_profile_id)
                    where p.community_id = $1 and p.wallet is not null and p.user_id > $2
                      and not exists (select from wallet_verifications v
                                       where v.discord_user_id = p.user_id and v.address = p.wallet)
                    order by p.user_id limit $3"#,
                community.uuid(),
                after,
                PAGE
            )
            .fetch_all(&mut *tx.transaction)
        )?;
        let Some(last) = rows.last() else {
            return tx.rollback().await;
        };
        after = last.user_id;
        let mut registry = tx.registry();
        for row in rows {
            let verification = Verification {
                user: Column("profiles", "user_id").user(row.user_id)?,
                address: Column("profiles", "wallet").parse(&row.wallet)?,
                chain_id: Column("token_profiles", "chain_id").count(row.chain_id)?,
                // When it was linked is not stored. It was linked at this time.
                verified_at: row.updated_at,
                from_profile: true,
            };
            registry.migrate_one(&verification, &row.display_name, counts).await?;
        }
        tx.commit().await?;
    }
}

impl Registry<'_> {
    /// The next rows of the time line. A wallet that a user verified for several token profiles is one verification, for as
    /// long as one of them lasts.
    async fn verification_steps(&mut self, after: Option<&StepRow>) -> Result<Vec<StepRow>, DbError> {
        named!(
            "identity.verifications_to_migrate",
            sqlx::query_as!(
                StepRow,
                r#"with held as (
                       select discord_user_id, address, min(chain_id) as chain_id,
                              range_agg(tstzrange(verified_at,
                                  case when removed_at is not null then greatest(removed_at, verified_at) end)) as spans
                         from wallet_verifications join token_profiles using (token_profile_id)
                        group by discord_user_id, address),
                   period as (
                       select discord_user_id, address, chain_id, lower(span) as verified_at, upper(span) as removed_at
                         from held, unnest(spans) as span),
                   step as (
                       select verified_at as at, 1 as kind, * from period
                       union all
                       select removed_at, 0, * from period where removed_at is not null)
                   select at as "at!", kind as "kind!", discord_user_id as "discord_user_id!", address as "address!",
                          chain_id as "chain_id!", verified_at as "verified_at!"
                     from step
                    where $1::timestamptz is null or (at, kind, discord_user_id, address) > ($1, $2, $3, $4)
                    order by at, kind, discord_user_id, address limit $5"#,
                after.map(|step| step.at),
                after.map(|step| step.kind),
                after.map(|step| step.discord_user_id),
                after.map(|step| step.address.as_str()),
                PAGE
            )
            .fetch_all(&mut *self.connection)
        )
    }

    async fn apply_step(
        &mut self,
        step: &StepRow,
        names: &HashMap<i64, String>,
        counts: &mut MigratedVerifications,
    ) -> Result<(), DbError> {
        let verification = Verification {
            user: Column("wallet_verifications", "discord_user_id").user(step.discord_user_id)?,
            address: Column("wallet_verifications", "address").parse(&step.address)?,
            chain_id: Column("token_profiles", "chain_id").count(step.chain_id)?,
            verified_at: step.verified_at,
            from_profile: false,
        };
        if step.kind == 1 {
            let name = names.get(&step.discord_user_id).map_or("", String::as_str);
            return self.migrate_one(&verification, name, counts).await;
        }
        let Some(record) = self.by_account(Account::Discord(verification.user)).await? else {
            return Ok(());
        };
        let was_migrated = record.held().any(|wallet| {
            wallet.address == verification.address
                && wallet.verified_at == verification.verified_at
                && wallet.source == EventSource::Migration
        });
        if was_migrated {
            let removed = self
                .remove_wallet(
                    record.identity.id,
                    verification.address,
                    "removed before the migration",
                    migration(step.at),
                )
                .await;
            removed.map_err(unexpected)?;
            counts.removed += 1;
        }
        Ok(())
    }

    async fn migrate_one(
        &mut self,
        verification: &Verification,
        name: &str,
        counts: &mut MigratedVerifications,
    ) -> Result<(), DbError> {
        let account = Account::Discord(verification.user);
        let known = self.by_account(account).await?;
        if known.as_ref().is_some_and(|record| has(record, verification)) {
            counts.already_there += 1;
            return Ok(());
        }
        let mut appending = self.appending(migration(verification.verified_at)).await?;
        let migrated = appending.migrate(verification, account, name).await;
        match migrated {
            Ok(Verified::Added) => counts.migrated += 1,
            Ok(Verified::AlreadyHeld) => counts.already_there += 1,
            Err(RegistryError::Refused(refusal)) => {
                self.count_refused(verification, refusal, counts).await?;
            }
            Err(RegistryError::Db(error)) => return Err(error),
        }
        Ok(())
    }

    async fn count_refused(
        &mut self,
        verification: &Verification,
        refusal: Refusal,
        counts: &mut MigratedVerifications,
    ) -> Result<(), DbError> {
        *counts.conflicts.entry(refusal.name()).or_default() += 1;
        if counts.refused.len() >= NAMED_REFUSALS {
            return Ok(());
        }
        let holders = self.excluding(verification.address, WalletScope::EveryChain).await?;
        let holder = self.by_ids(&holders).await?.first().and_then(account_text);
        tracing::warn!(
            user = %verification.user,
            holder = holder.as_deref(),
            address = %verification.address,
            conflict = refusal.name(),
            "a verification was not migrated: the registry refuses it"
        );
        counts.refused.push(RefusedVerification {
            address: verification.address,
            user: verification.user,
            holder,
            conflict: refusal.name(),
        });
        Ok(())
    }
}

impl Appending<'_, '_> {
    async fn migrate(
        &mut self,
        verification: &Verification,
        account: Account,
        name: &str,
    ) -> Result<Verified, RegistryError> {
        // A refused wallet leaves no identity behind.
        let held = self.registry.excluding(verification.address, WalletScope::EveryChain);
        if !held.await?.is_empty() {
            return Err(Refusal::WalletHeld.into());
        }
        let mut record = match self.registry.holding_by_account(account).await? {
            Some(record) => record,
            None => {
                let payload = EventPayload::IdentityCreated {
                    discord_user: Some(verification.user),
                    telegram_user: None,
                    display_name: super::text::one_line(name, super::MAX_DISPLAY_NAME),
                };
                self.append_created(&payload).await?
            }
        };
        let wallet = VerifiedWallet {
            address: verification.address,
            chain_id: verification.chain_id,
            signature: None,
            verified_at: verification.verified_at,
        };
        self.verify(&mut record, &wallet).await
    }
}

/// An account of an identity: Discord's, else Telegram's.
fn account_text(holder: &IdentityRecord) -> Option<String> {
    let (discord, telegram) = (holder.identity.discord_user, holder.identity.telegram_user);
    discord
        .map(|user| format!("Discord user {user}"))
        .or_else(|| telegram.map(|user| format!("Telegram user {user}")))
}

/// An id as text: JSON's numbers have 53 bits.
fn as_text<S: Serializer>(user: &UserId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(user)
}

/// Whether the registry has this verification, or has had the wallet by another way: then the registry is right.
fn has(record: &IdentityRecord, verification: &Verification) -> bool {
    record.wallets.iter().any(|wallet| {
        wallet.address == verification.address
            && (wallet.removed_at.is_none()
                || verification.from_profile
                || wallet.source != EventSource::Migration
                || wallet.verified_at == whole_microseconds(verification.verified_at))
    })
}

fn migration(at: OffsetDateTime) -> Cause {
    Cause {
        source: EventSource::Migration,
        at,
    }
}

/// The refusal of an operation whose conditions were checked.
fn unexpected(error: RegistryError) -> DbError {
    match error {
        RegistryError::Db(error) => error,
        RegistryError::Refused(refusal) => Column("identity_wallets", "address").corrupt("", refusal),
    }
}
