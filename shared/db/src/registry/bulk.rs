//! Wallets of many members at once: for an import of profiles, and for its undo.
//!
//! What an operation of one member reads is read here for all members of a page, and their events are appended by one statement, so that
//! the head of the chain is locked for a moment. The rules are those of a migration: a wallet that another identity holds is refused, and
//! where the registry has the wallet of the member already, also as removed, the registry is kept.

use std::collections::HashMap;

use arrakis_domain::Address;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Registry;
use super::append::{Appending, Cause};
use super::error::{Refusal, RegistryError};
use super::event::EventSource;
use super::identity::{IdentityId, IdentityRecord, WalletScope};
use super::payload::EventPayload;
use super::read::IdentityRow;
use super::text::{one_line, whole_microseconds};
use super::{MAX_DISPLAY_NAME, MAX_WALLETS};
use crate::column::Column;
use crate::{DbError, UserId, named_query::named};

/// Reason with which the undo of an import removes a wallet. A later import may verify such a wallet again.
pub const UNDONE_IMPORT: &str = "the import of the profile was undone";

/// A member of an import, with the wallet that is to be the member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberWallet<'a> {
    /// The Discord user.
    pub user: UserId,
    /// Name of an identity that is created for the wallet.
    pub display_name: &'a str,
    /// The wallet, and when it was verified.
    pub wallet: Option<(Address, OffsetDateTime)>,
}

/// What an import does with the wallet of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletImport {
    /// The import has no wallet for the member.
    None,
    /// The member's identity holds it by this event.
    Verified {
        /// The wallet.
        address: Address,
        /// Sequence number of the event.
        event: u64,
    },
    /// The member's identity held it before.
    AlreadyHeld,
    /// The member has removed it; the registry is kept.
    KeptRemoved,
}

/// Result of [`Registry::import_wallets`] for one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedWallet {
    /// The member.
    pub user: UserId,
    /// What was done.
    pub import: WalletImport,
    /// The wallet that the member's profile has from now on.
    pub profile_wallet: Option<Address>,
}

/// A wallet that the registry refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletConflict {
    /// The member.
    pub user: UserId,
    /// The wallet.
    pub address: Address,
    /// Why it is refused.
    pub refusal: Refusal,
}

/// A wallet that an import has verified, and that its undo removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletToUndo {
    /// The member.
    pub user: UserId,
    /// The wallet.
    pub address: Address,
    /// Sequence number of the event that verified it.
    pub event: u64,
}

/// What the rules need of the registry, for the members of a page.
struct Known {
    records: HashMap<UserId, IdentityRecord>,
    /// Holders of the wallets.
    holders: HashMap<Address, IdentityId>,
    /// When the wallets were removed last.
    removals: HashMap<Address, OffsetDateTime>,
}

/// An event to append.
struct PlannedEvent {
    identity: IdentityId,
    payload: EventPayload,
    occurred_at: OffsetDateTime,
}

impl Registry<'_> {
    /// Which wallets [`Registry::import_wallets`] would refuse at `now`. Writes nothing and locks nothing.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn wallet_conflicts(
        &mut self,
        members: &[MemberWallet<'_>],
        chain_id: u64,
        now: OffsetDateTime,
    ) -> Result<Vec<WalletConflict>, DbError> {
        let known = self.known(members).await?;
        let refused = members.iter().filter_map(|member| {
            let (address, _) = member.wallet?;
            let refusal = known.decide(member, chain_id, now).err()?;
            Some(WalletConflict {
                user: member.user,
                address,
                refusal,
            })
        });
        Ok(refused.collect())
    }

    /// Verifies the wallets of members, by events with the source `migration` and the times of the wallets. Creates identities where they
    /// are missing. `chain_id` is that of the community's token. An identity that is suspended at `now` gets no wallet.
    ///
    /// # Errors
    /// The first [`Refusal`]; the transaction must be rolled back then.
    pub async fn import_wallets(
        &mut self,
        members: &[MemberWallet<'_>],
        chain_id: u64,
        now: OffsetDateTime,
    ) -> Result<Vec<ImportedWallet>, RegistryError> {
        let mut appending = self.appending(migration(now)).await?;
        let mut known = appending.registry.known(members).await?;
        let separated_at = appending.last_separation().await?;
        let mut events = Vec::new();
        let mut imported = Vec::with_capacity(members.len());
        for member in members {
            let import = match known.decide(member, chain_id, now)? {
                Decision::Verify(address, verified_at) => {
                    let mut at = whole_microseconds(verified_at);
                    let record = match known.records.get_mut(&member.user) {
                        Some(record) => record,
                        None => {
                            let created_at = separated_at.map_or(at, |separated| separated.max(at));
                            let record = appending.plan_created(member, created_at, &mut events)?;
                            known.records.entry(member.user).or_insert(record)
                        }
                    };
                    let payload = EventPayload::WalletVerified {
                        address,
                        chain_id,
                        is_primary: record.primary().is_none(),
                        signature: None,
                        verified_at: at,
                    };
                    // Not before its removal from the identity before: at every moment a wallet has at most one holder.
                    if let Some(removed_at) = known.removals.get(&address) {
                        at = at.max(*removed_at);
                    }
                    let event = appending.plan(record, payload, at, &mut events)?;
                    WalletImport::Verified { address, event }
                }
                Decision::Nothing(import) => import,
            };
            let record = known.records.get(&member.user);
            imported.push(ImportedWallet {
                user: member.user,
                import,
                profile_wallet: record.and_then(|record| wallet_on(record, chain_id)),
            });
        }
        appending.append_all(&events).await?;
        Ok(imported)
    }

    /// Removes wallets that an import has verified. One that the member has removed or verified again since stays as it is.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn undo_wallets(&mut self, wallets: &[WalletToUndo], now: OffsetDateTime) -> Result<(), RegistryError> {
        if wallets.is_empty() {
            return Ok(());
        }
        let users: Vec<i64> = wallets.iter().map(|wallet| wallet.user.stored()).collect();
        let mut appending = self.appending(migration(now)).await?;
        let mut records = appending.registry.records_of_users(&users).await?;
        let mut events = Vec::new();
        for undo in wallets {
            let Some(record) = records.get_mut(&undo.user) else {
                continue;
            };
            let holds = record
                .held()
                .any(|wallet| wallet.address == undo.address && wallet.verified_event == undo.event);
            if !holds {
                continue;
            }
            let payload = EventPayload::WalletRemoved {
                address: undo.address,
                reason: UNDONE_IMPORT.to_owned(),
            };
            appending.plan(record, payload, whole_microseconds(now), &mut events)?;
            if record.primary().is_some() {
                continue;
            }
            let next = record.held().next().map(|wallet| wallet.address);
            if let Some(address) = next {
                let payload = EventPayload::WalletSetPrimary { address };
                appending.plan(record, payload, whole_microseconds(now), &mut events)?;
            }
        }
        appending.append_all(&events).await?;
        Ok(())
    }

    async fn known(&mut self, members: &[MemberWallet<'_>]) -> Result<Known, DbError> {
        let users: Vec<i64> = members.iter().map(|member| member.user.stored()).collect();
        let wallets: Vec<String> = members
            .iter()
            .filter_map(|member| Some(member.wallet?.0.to_string()))
            .collect();
        let records = self.records_of_users(&users).await?;
        let rows = named!(
            "identity.holders_of_wallets",
            sqlx::query!(
                "select address, identity_id from identity_wallets where address = any($1) and removed_at is null",
                &wallets
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = Column("identity_wallets", "address");
        let mut holders = HashMap::new();
        for row in rows {
            holders.insert(column.parse(&row.address)?, IdentityId::from_uuid(row.identity_id));
        }
        let rows = named!(
            "identity.last_removals",
            sqlx::query!(
                r#"select address, max(removed_at) as "removed_at!" from identity_wallets
                    where address = any($1) and removed_at is not null group by address"#,
                &wallets
            )
            .fetch_all(&mut *self.connection)
        )?;
        let mut removals = HashMap::new();
        for row in rows {
            removals.insert(column.parse(&row.address)?, row.removed_at);
        }
        Ok(Known {
            records,
            holders,
            removals,
        })
    }

    async fn records_of_users(&mut self, users: &[i64]) -> Result<HashMap<UserId, IdentityRecord>, DbError> {
        let rows = named!(
            "identity.by_discord_users",
            sqlx::query_as!(
                IdentityRow,
                "select identity_id, discord_user_id, telegram_user_id, display_name, status, suspended_until, created_at,
                        updated_at
                   from user_identities where discord_user_id = any($1)",
                users
            )
            .fetch_all(&mut *self.connection)
        )?;
        let records = self.records_of(rows).await?;
        let by_user = records
            .into_iter()
            .filter_map(|record| Some((record.identity.discord_user?, record)));
        Ok(by_user.collect())
    }
}

/// What the rules decide about the wallet of a member.
enum Decision {
    /// To verify it.
    Verify(Address, OffsetDateTime),
    /// Nothing to do.
    Nothing(WalletImport),
}

impl Known {
    fn decide(&self, member: &MemberWallet<'_>, chain_id: u64, now: OffsetDateTime) -> Result<Decision, Refusal> {
        let Some((address, verified_at)) = member.wallet else {
            return Ok(Decision::Nothing(WalletImport::None));
        };
        if i64::try_from(chain_id).map_or(true, |id| id == 0) {
            return Err(Refusal::ChainId);
        }
        let record = self.records.get(&member.user);
        if record.is_some_and(|record| record.holds(address)) {
            return Ok(Decision::Nothing(WalletImport::AlreadyHeld));
        }
        let removed = record.and_then(|record| record.wallets.iter().rfind(|wallet| wallet.address == address));
        if removed.is_some_and(|wallet| wallet.removed_reason.as_deref() != Some(UNDONE_IMPORT)) {
            return Ok(Decision::Nothing(WalletImport::KeptRemoved));
        }
        // The file has what the member verified elsewhere: that must not give a suspended identity a further wallet.
        if record.is_some_and(|record| record.identity.is_suspended(now)) {
            return Err(Refusal::Suspended);
        }
        // A wallet without a signature is held on every chain: every holder excludes it.
        if self.holders.contains_key(&address) {
            return Err(Refusal::WalletHeld);
        }
        if record.is_some_and(|record| record.held().count() >= MAX_WALLETS) {
            return Err(Refusal::TooManyWallets);
        }
        Ok(Decision::Verify(address, verified_at))
    }
}

/// The primary wallet, if it counts on a chain, as [`crate::Profiles::copy_wallet_from_registry`] copies it.
fn wallet_on(record: &IdentityRecord, chain_id: u64) -> Option<Address> {
    let primary = record.primary()?.address;
    let mut held = record.held().filter(|wallet| wallet.address == primary);
    held.any(|wallet| match wallet.scope() {
        WalletScope::EveryChain => true,
        WalletScope::Chain(chain) => chain == chain_id,
    })
    .then_some(primary)
}

fn migration(at: OffsetDateTime) -> Cause {
    Cause {
        source: EventSource::Migration,
        at,
    }
}

impl Appending<'_, '_> {
    /// Plans the first event of an identity.
    fn plan_created(
        &mut self,
        member: &MemberWallet<'_>,
        at: OffsetDateTime,
        events: &mut Vec<PlannedEvent>,
    ) -> Result<IdentityRecord, Refusal> {
        let payload = EventPayload::IdentityCreated {
            discord_user: Some(member.user),
            telegram_user: None,
            display_name: one_line(member.display_name, MAX_DISPLAY_NAME),
        };
        let identity = IdentityId::new();
        let record = IdentityRecord::created(identity, self.change(&payload, at))?;
        self.planned(identity, payload, at, events);
        Ok(record)
    }

    /// Plans an event of an identity, not before its last one, and applies it to `record`. Returns its sequence number.
    fn plan(
        &mut self,
        record: &mut IdentityRecord,
        payload: EventPayload,
        at: OffsetDateTime,
        events: &mut Vec<PlannedEvent>,
    ) -> Result<u64, Refusal> {
        let at = at.max(record.identity.updated_at);
        record.apply(self.change(&payload, at))?;
        Ok(self.planned(record.identity.id, payload, at, events))
    }

    fn planned(
        &mut self,
        identity: IdentityId,
        payload: EventPayload,
        occurred_at: OffsetDateTime,
        events: &mut Vec<PlannedEvent>,
    ) -> u64 {
        events.push(PlannedEvent {
            identity,
            payload,
            occurred_at,
        });
        let sequence = self.next;
        self.next += 1;
        sequence
    }

    /// Appends planned events in their order.
    async fn append_all(&mut self, events: &[PlannedEvent]) -> Result<(), DbError> {
        if events.is_empty() {
            return Ok(());
        }
        let event_ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
        let identities: Vec<Uuid> = events.iter().map(|event| event.identity.uuid()).collect();
        let types: Vec<&str> = events.iter().map(|event| event.payload.event_type().as_str()).collect();
        let sources = vec![self.cause.source.as_str(); events.len()];
        let times: Vec<OffsetDateTime> = events.iter().map(|event| event.occurred_at).collect();
        let payloads: Vec<Vec<u8>> = events.iter().map(|event| event.payload.encode()).collect();
        let last = named!(
            "identity_event.append_all",
            sqlx::query_scalar!(
                r#"select append_identity_events($1, $2, $3, $4, $5, $6) as "last!""#,
                &event_ids,
                &identities,
                &types as &[&str],
                &sources as &[&str],
                &times,
                &payloads
            )
            .fetch_one(&mut *self.registry.connection)
        )?;
        if u64::try_from(last) != Ok(self.next - 1) {
            let expected = format_args!("expected {}: the head is locked", self.next - 1);
            return Err(Column("identity_events", "sequence").corrupt(last, expected));
        }
        Ok(())
    }
}
