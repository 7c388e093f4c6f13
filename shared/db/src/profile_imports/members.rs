//! Reads and writes the rows of members, a page at a time.

use std::collections::BTreeMap;

use arrakis_domain::{Address, BadgeId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::{BadgeRow, MemberRows, ProfileImports, ProfileRow, json, stored};
use crate::checksum::Checksum;
use crate::column::Column;
use crate::{DbError, UserId, named_query::named};

/// What an import writes of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberWrite {
    /// The profile as it is to be, and the other rows to add.
    pub rows: MemberRows,
    /// The profile before; `None`: the member has none.
    pub previous: Option<ProfileRow>,
    /// Badges that make room for those of the import, and that its undo writes again.
    pub replaced: Vec<BadgeRow>,
}

/// What an import has written of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenMember<'a> {
    /// What was written.
    pub write: &'a MemberWrite,
    /// Checksum of the rows, as they were read afterwards.
    pub checksum: Checksum,
    /// The wallet that the import verified, with the sequence number of the event.
    pub verified: Option<(Address, u64)>,
}

/// A shared badge and the badge that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SharedBadge {
    /// The badge.
    pub badge_id: Uuid,
    /// The badge of the giver.
    pub shared_from: Uuid,
}

/// A row of `profile_import_members` as JSON.
#[derive(Serialize)]
struct ImportMemberJson<'a> {
    user_id: UserId,
    previous: Option<&'a ProfileRow>,
    imported: &'a ProfileRow,
    checksum: String,
    badge_ids: Vec<Uuid>,
    tiers: Vec<&'a str>,
    days: Vec<&'a str>,
    wallet: Option<Address>,
    verified_event: Option<u64>,
    replaced_badges: &'a [BadgeRow],
}

/// A row that belongs to a member, as JSON.
#[derive(Serialize)]
struct OfMember<'a, T> {
    user_id: UserId,
    #[serde(flatten)]
    row: &'a T,
}

impl ProfileImports<'_> {
    /// The rows of these users who have a profile, in the order of their ids. Locks the profiles until the transaction ends.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn members(&mut self, users: &[UserId]) -> Result<Vec<MemberRows>, DbError> {
        let rows = named!(
            "profile_import.members",
            sqlx::query!(
                r#"select jsonb_build_object(
                              'user_id', p.user_id, 'display_name', p.display_name, 'wallet', p.wallet, 'joined_at', p.joined_at,
                              'left_at', p.left_at, 'tier', p.tier, 'tier_since', p.tier_since, 'highest_tier', p.highest_tier,
                              'protected', p.protected, 'hidden', p.hidden, 'waitlisted_at', p.waitlisted_at,
                              'commands', p.commands, 'messages', p.messages, 'last_active_at', p.last_active_at,
                              'created_at', p.created_at, 'updated_at', p.updated_at) as "profile!",
                          array(select jsonb_build_object('tier', t.tier, 'reached_at', t.reached_at)
                                  from tiers_reached t
                                 where t.community_id = $1 and t.user_id = p.user_id) as "tiers!",
                          array(select jsonb_build_object('day', a.day, 'commands', a.commands, 'messages', a.messages)
                                  from profile_activity a
                                 where a.community_id = $1 and a.user_id = p.user_id) as "days!",
                          array(select jsonb_build_object(
                                           'badge_id', b.badge_id, 'badge', b.badge, 'source', b.source,
                                           'awarded_by', b.awarded_by, 'awarded_at', b.awarded_at, 'reason', b.reason,
                                           'revoked_at', b.revoked_at, 'revoked_by', b.revoked_by,
                                           'revoke_reason', b.revoke_reason)
                                  from badges b
                                 where b.community_id = $1 and b.user_id = p.user_id) as "badges!"
                     from profiles p where p.community_id = $1 and p.user_id = any($2) order by p.user_id for update of p"#,
                self.community.uuid(),
                &stored(users)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let mut member = MemberRows {
                    profile: decoded(Column("profiles", "user_id"), row.profile)?,
                    tiers: all_decoded(Column("tiers_reached", "tier"), row.tiers)?,
                    days: all_decoded(Column("profile_activity", "day"), row.days)?,
                    badges: all_decoded(Column("badges", "badge_id"), row.badges)?,
                };
                // Not by the database, whose order of texts depends on its locale.
                member.tiers.sort_by(|one, other| one.tier.cmp(&other.tier));
                member.days.sort_by(|one, other| one.day.cmp(&other.day));
                member.badges.sort_by_key(|badge| badge.badge_id);
                Ok(member)
            })
            .collect()
    }

    /// Writes members: creates or changes their profiles, and adds the other rows. A tier, a day or a badge that exists is an error.
    ///
    /// # Errors
    /// A conflict when a row exists already, or another profile has the wallet.
    pub async fn write(&mut self, members: &[MemberWrite]) -> Result<(), DbError> {
        let replaced: Vec<Uuid> = members
            .iter()
            .flat_map(|member| member.replaced.iter().map(|badge| badge.badge_id))
            .collect();
        if !replaced.is_empty() {
            self.delete_badges(&replaced).await?;
        }
        self.write_profiles(members).await?;
        self.write_tiers(members).await?;
        self.write_days(members).await?;
        self.write_badges(members).await
    }

    async fn delete_badges(&mut self, badges: &[Uuid]) -> Result<(), DbError> {
        named!(
            "profile_import.delete_badges",
            sqlx::query!(
                "delete from badges where community_id = $1 and badge_id = any($2)",
                self.community.uuid(),
                badges
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn write_profiles(&mut self, members: &[MemberWrite]) -> Result<(), DbError> {
        let profiles: Vec<&ProfileRow> = members.iter().map(|member| &member.rows.profile).collect();
        named!(
            "profile_import.write_profiles",
            sqlx::query!(
                "insert into profiles (community_id, user_id, display_name, wallet, joined_at, left_at, tier, tier_since,
                                       highest_tier, protected, hidden, waitlisted_at, commands, messages, last_active_at,
                                       created_at, updated_at)
                 select $1, r.user_id, r.display_name, r.wallet, r.joined_at, r.left_at, r.tier, r.tier_since, r.highest_tier,
                        r.protected, r.hidden, r.waitlisted_at, r.commands, r.messages, r.last_active_at, r.created_at,
                        r.updated_at
                   from jsonb_to_recordset($2) as r (
                        user_id bigint, display_name text, wallet text, joined_at timestamptz, left_at timestamptz, tier text,
                        tier_since timestamptz, highest_tier text, protected boolean, hidden boolean,
                        waitlisted_at timestamptz, commands bigint, messages bigint, last_active_at timestamptz,
                        created_at timestamptz, updated_at timestamptz)
                 on conflict (community_id, user_id) do update
                    set display_name = excluded.display_name, wallet = excluded.wallet, joined_at = excluded.joined_at,
                        left_at = excluded.left_at, tier = excluded.tier, tier_since = excluded.tier_since,
                        highest_tier = excluded.highest_tier, protected = excluded.protected, hidden = excluded.hidden,
                        waitlisted_at = excluded.waitlisted_at, commands = excluded.commands, messages = excluded.messages,
                        last_active_at = excluded.last_active_at, created_at = excluded.created_at,
                        updated_at = excluded.updated_at",
                self.community.uuid(),
                json(&profiles)?
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn write_tiers(&mut self, members: &[MemberWrite]) -> Result<(), DbError> {
        let rows = of_members(members, |rows| rows.tiers.as_slice());
        named!(
            "profile_import.write_tiers",
            sqlx::query!(
                "insert into tiers_reached (community_id, user_id, tier, reached_at)
                 select $1, r.user_id, r.tier, r.reached_at
                   from jsonb_to_recordset($2) as r (user_id bigint, tier text, reached_at timestamptz)",
                self.community.uuid(),
                json(&rows)?
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn write_days(&mut self, members: &[MemberWrite]) -> Result<(), DbError> {
        let rows = of_members(members, |rows| rows.days.as_slice());
        named!(
            "profile_import.write_days",
            sqlx::query!(
                "insert into profile_activity (community_id, user_id, day, commands, messages)
                 select $1, r.user_id, r.day, r.commands, r.messages
                   from jsonb_to_recordset($2) as r (user_id bigint, day date, commands integer, messages integer)",
                self.community.uuid(),
                json(&rows)?
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn write_badges(&mut self, members: &[MemberWrite]) -> Result<(), DbError> {
        let rows = of_members(members, |rows| rows.badges.as_slice());
        named!(
            "profile_import.write_badges",
            sqlx::query!(
                "insert into badges (community_id, badge_id, user_id, badge, source, awarded_by, awarded_at, reason, revoked_at,
                                     revoked_by, revoke_reason)
                 select $1, r.badge_id, r.user_id, r.badge, r.source, r.awarded_by, r.awarded_at, r.reason, r.revoked_at,
                        r.revoked_by, r.revoke_reason
                   from jsonb_to_recordset($2) as r (
                        badge_id uuid, user_id bigint, badge text, source text, awarded_by bigint, awarded_at timestamptz,
                        reason text, revoked_at timestamptz, revoked_by bigint, revoke_reason text)",
                self.community.uuid(),
                json(&rows)?
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Records written members, in the transaction that has written them, which has locked the running import ([`ProfileImports::lock`]).
    ///
    /// # Errors
    /// A conflict when the import has recorded one of them before.
    pub async fn record(&mut self, import: Uuid, members: &[WrittenMember<'_>]) -> Result<(), DbError> {
        let rows: Vec<_> = members.iter().map(ImportMemberJson::of).collect();
        named!(
            "profile_import.record",
            sqlx::query!(
                "insert into profile_import_members (community_id, import_id, user_id, previous, imported, checksum, badge_ids,
                                                     tiers, days, wallet, verified_event, replaced_badges)
                 select $1, $2, r.user_id, r.previous, r.imported, decode(r.checksum, 'hex'), r.badge_ids, r.tiers, r.days,
                        r.wallet, r.verified_event, r.replaced_badges
                   from jsonb_to_recordset($3) as r (
                        user_id bigint, previous jsonb, imported jsonb, checksum text, badge_ids uuid[], tiers text[],
                        days date[], wallet text, verified_event bigint, replaced_badges jsonb)",
                self.community.uuid(),
                import,
                json(&rows)?
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Stores which badges these shared ones come from. Safe to repeat.
    ///
    /// # Errors
    /// A conflict when the badge of a giver does not exist.
    pub async fn link_shared_badges(&mut self, badges: &[SharedBadge]) -> Result<(), DbError> {
        named!(
            "profile_import.link_shared_badges",
            sqlx::query!(
                "update badges b set shared_from = r.shared_from
                   from jsonb_to_recordset($2) as r (badge_id uuid, shared_from uuid)
                  where b.community_id = $1 and b.badge_id = r.badge_id and b.shared_from is distinct from r.shared_from",
                self.community.uuid(),
                json(&badges)?
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Of these badge ids, those that the community has, with the member of each.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn owners_of_badges(&mut self, badges: &[Uuid]) -> Result<BTreeMap<Uuid, UserId>, DbError> {
        let rows = named!(
            "profile_import.owners_of_badges",
            sqlx::query!(
                "select badge_id, user_id from badges where community_id = $1 and badge_id = any($2)",
                self.community.uuid(),
                badges
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| Ok((row.badge_id, Column("badges", "user_id").user(row.user_id)?)))
            .collect()
    }

    /// Of these badge ids, those from which another one is shared.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn shared_on(&mut self, badges: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
        named!(
            "profile_import.shared_on",
            sqlx::query_scalar!(
                r#"select distinct shared_from as "shared_from!" from badges
                    where community_id = $1 and shared_from = any($2)"#,
                self.community.uuid(),
                badges
            )
            .fetch_all(&mut *self.connection)
        )
    }

    /// The shares that these members have made and that are held: giver, badge, and id of the shared badge.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn shares_of(&mut self, givers: &[UserId]) -> Result<Vec<(UserId, BadgeId, Uuid)>, DbError> {
        let rows = named!(
            "profile_import.shares_of",
            sqlx::query!(
                r#"select awarded_by as "awarded_by!", badge, badge_id from badges
                    where community_id = $1 and source = 'share' and revoked_at is null and awarded_by = any($2)"#,
                self.community.uuid(),
                &stored(givers)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let giver = Column("badges", "awarded_by").user(row.awarded_by)?;
                Ok((giver, Column("badges", "badge").parse(&row.badge)?, row.badge_id))
            })
            .collect()
    }

    /// The members whose profiles have these wallets.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn owners_of_wallets(&mut self, wallets: &[Address]) -> Result<BTreeMap<Address, UserId>, DbError> {
        let wallets: Vec<String> = wallets.iter().map(ToString::to_string).collect();
        let rows = named!(
            "profile_import.owners_of_wallets",
            sqlx::query!(
                r#"select wallet as "wallet!", user_id from profiles where community_id = $1 and wallet = any($2)"#,
                self.community.uuid(),
                &wallets
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("profiles", name);
        rows.into_iter()
            .map(|row| {
                Ok((
                    column("wallet").parse(&row.wallet)?,
                    column("user_id").user(row.user_id)?,
                ))
            })
            .collect()
    }
}

impl<'a> ImportMemberJson<'a> {
    fn of(member: &WrittenMember<'a>) -> Self {
        let MemberWrite {
            rows,
            previous,
            replaced,
        } = member.write;
        Self {
            user_id: rows.profile.user_id,
            previous: previous.as_ref(),
            imported: &rows.profile,
            checksum: member.checksum.to_string(),
            badge_ids: rows.badges.iter().map(|badge| badge.badge_id).collect(),
            tiers: rows.tiers.iter().map(|reached| reached.tier.as_str()).collect(),
            days: rows.days.iter().map(|activity| activity.day.as_str()).collect(),
            wallet: member.verified.map(|(wallet, _)| wallet),
            verified_event: member.verified.map(|(_, event)| event),
            replaced_badges: replaced,
        }
    }
}

/// The rows of one table of all members.
fn of_members<'a, T>(members: &'a [MemberWrite], rows: impl Fn(&'a MemberRows) -> &'a [T]) -> Vec<OfMember<'a, T>> {
    let mut all = Vec::new();
    for member in members {
        let user_id = member.rows.profile.user_id;
        all.extend(rows(&member.rows).iter().map(|row| OfMember { user_id, row }));
    }
    all
}

fn decoded<T: DeserializeOwned>(column: Column, row: Value) -> Result<T, DbError> {
    let text = row.to_string();
    serde_json::from_value(row).map_err(|why| column.corrupt(text, why))
}

fn all_decoded<T: DeserializeOwned>(column: Column, rows: Vec<Value>) -> Result<Vec<T>, DbError> {
    rows.into_iter().map(|row| decoded(column, row)).collect()
}
