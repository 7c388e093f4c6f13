//! Restores what was before an import, a page of members at a time. A field that changed since keeps its value.

use arrakis_domain::Address;
use uuid::Uuid;

use super::{ProfileImports, stored};
use crate::column::Column;
use crate::{DbError, UserId, named_query::named};

/// A member of whom an undo would delete what was stored after the import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedMember {
    /// The member.
    pub user: UserId,
    /// The member's name.
    pub name: String,
}

/// A member whose import is to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberToUndo {
    /// The member.
    pub user: UserId,
    /// The import created the profile.
    pub created: bool,
    /// The wallet that the import verified, with the sequence number of the event.
    pub verified: Option<(Address, u64)>,
}

impl ProfileImports<'_> {
    /// Members whose profile an import created and who have used commands, written messages, chosen alerts, or got a badge, a setting or a
    /// tier by `/admin-migrate` since, in the order of their ids; at most `limit`.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn changed_since(&mut self, import: Uuid, limit: u32) -> Result<Vec<ChangedMember>, DbError> {
        let rows = named!(
            "profile_import.changed_since",
            sqlx::query!(
                "select p.user_id, p.display_name
                   from profile_import_members m
                   join profile_imports i using (community_id, import_id)
                   join profiles p using (community_id, user_id)
                  where m.community_id = $1 and m.import_id = $2 and m.previous is null
                    and (p.commands <> (m.imported ->> 'commands')::bigint
                         or p.messages <> (m.imported ->> 'messages')::bigint
                         or p.protected <> (m.imported ->> 'protected')::boolean
                         or p.hidden <> (m.imported ->> 'hidden')::boolean
                         or p.waitlisted_at is distinct from (m.imported ->> 'waitlisted_at')::timestamptz
                         -- A rule badge is earned again.
                         or exists (select from badges b
                                     where b.community_id = $1 and b.user_id = p.user_id and b.source <> 'rule'
                                       and b.awarded_at >= i.started_at and not b.badge_id = any(m.badge_ids))
                         -- Deleted with the profile.
                         or exists (select from subscriptions s where s.community_id = $1 and s.user_id = p.user_id)
                         or exists (select from imported_tiers t where t.community_id = $1 and t.user_id = p.user_id))
                  order by p.user_id limit $3",
                self.community.uuid(),
                import,
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(ChangedMember {
                    user: Column("profiles", "user_id").user(row.user_id)?,
                    name: row.display_name,
                })
            })
            .collect()
    }

    /// The next members to undo; empty when all are undone.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn to_undo(&mut self, import: Uuid, limit: u32) -> Result<Vec<MemberToUndo>, DbError> {
        let rows = named!(
            "profile_import.to_undo",
            sqlx::query!(
                r#"select user_id, previous is null as "created!", wallet, verified_event from profile_import_members
                    where community_id = $1 and import_id = $2 order by user_id limit $3"#,
                self.community.uuid(),
                import,
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("profile_import_members", name);
        rows.into_iter()
            .map(|row| {
                let wallet = column("wallet").parse_some(row.wallet.as_deref())?;
                let event = row
                    .verified_event
                    .map(|event| column("verified_event").count(event))
                    .transpose()?;
                Ok(MemberToUndo {
                    user: column("user_id").user(row.user_id)?,
                    created: row.created,
                    verified: wallet.zip(event),
                })
            })
            .collect()
    }

    /// Restores these members, and deletes their rows of the import. Wallets are not restored: the registry decides on them.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn undo(&mut self, import: Uuid, users: &[UserId]) -> Result<(), DbError> {
        let users = stored(users);
        self.detach_shares(import, &users).await?;
        self.delete_added(import, &users).await?;
        self.restore_profiles(import, &users).await?;
        self.restore_badges(import, &users).await?;
        named!(
            "profile_import.forget",
            sqlx::query!(
                "delete from profile_import_members where community_id = $1 and import_id = $2 and user_id = any($3)",
                self.community.uuid(),
                import,
                &users
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Makes badges that were shared from those to be deleted roots of a lineage.
    async fn detach_shares(&mut self, import: Uuid, users: &[i64]) -> Result<(), DbError> {
        named!(
            "profile_import.detach_shares",
            sqlx::query!(
                "update badges set shared_from = null
                  where community_id = $1
                    and shared_from in (
                        select b.badge_id from badges b
                          join profile_import_members m on m.community_id = b.community_id and m.user_id = b.user_id
                         where b.community_id = $1 and m.import_id = $2 and m.user_id = any($3)
                           and (m.previous is null or b.badge_id = any(m.badge_ids)))",
                self.community.uuid(),
                import,
                users
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn delete_added(&mut self, import: Uuid, users: &[i64]) -> Result<(), DbError> {
        named!(
            "profile_import.delete_added_badges",
            sqlx::query!(
                "delete from badges b using profile_import_members m
                  where b.community_id = $1 and m.community_id = $1 and m.import_id = $2 and m.user_id = any($3)
                    and b.user_id = m.user_id and b.badge_id = any(m.badge_ids)",
                self.community.uuid(),
                import,
                users
            )
            .execute(&mut *self.connection)
        )?;
        named!(
            "profile_import.delete_added_tiers",
            sqlx::query!(
                "delete from tiers_reached t using profile_import_members m
                  where t.community_id = $1 and m.community_id = $1 and m.import_id = $2 and m.user_id = any($3)
                    and t.user_id = m.user_id and t.tier = any(m.tiers)",
                self.community.uuid(),
                import,
                users
            )
            .execute(&mut *self.connection)
        )?;
        named!(
            "profile_import.delete_added_days",
            sqlx::query!(
                "delete from profile_activity a using profile_import_members m
                  where a.community_id = $1 and m.community_id = $1 and m.import_id = $2 and m.user_id = any($3)
                    and a.user_id = m.user_id and a.day = any(m.days)",
                self.community.uuid(),
                import,
                users
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn restore_profiles(&mut self, import: Uuid, users: &[i64]) -> Result<(), DbError> {
        named!(
            "profile_import.delete_profiles",
            sqlx::query!(
                "delete from profiles p using profile_import_members m
                  where p.community_id = $1 and m.community_id = $1 and m.import_id = $2 and m.user_id = any($3)
                    and p.user_id = m.user_id and m.previous is null",
                self.community.uuid(),
                import,
                users
            )
            .execute(&mut *self.connection)
        )?;
        named!(
            "profile_import.restore_profiles",
            sqlx::query!(
                "update profiles p
                    set joined_at = case when p.joined_at = written.joined_at then earlier.joined_at else p.joined_at end,
                        tier = case when (p.tier, p.tier_since) is not distinct from (written.tier, written.tier_since)
                                    then earlier.tier else p.tier end,
                        tier_since = case when (p.tier, p.tier_since) is not distinct from (written.tier, written.tier_since)
                                          then earlier.tier_since else p.tier_since end,
                        highest_tier = case when p.highest_tier is not distinct from written.highest_tier
                                            then earlier.highest_tier else p.highest_tier end,
                        protected = case when p.protected = written.protected then earlier.protected else p.protected end,
                        hidden = case when p.hidden = written.hidden then earlier.hidden else p.hidden end,
                        waitlisted_at = case when p.waitlisted_at is not distinct from written.waitlisted_at
                                             then earlier.waitlisted_at else p.waitlisted_at end,
                        commands = greatest(0, p.commands - written.commands + earlier.commands),
                        messages = greatest(0, p.messages - written.messages + earlier.messages),
                        last_active_at = case when p.last_active_at is not distinct from written.last_active_at
                                              then earlier.last_active_at else p.last_active_at end,
                        created_at = earlier.created_at, updated_at = now()
                   from profile_import_members m,
                        jsonb_to_record(m.previous) as earlier (
                            joined_at timestamptz, tier text, tier_since timestamptz, highest_tier text, protected boolean,
                            hidden boolean, waitlisted_at timestamptz, commands bigint, messages bigint,
                            last_active_at timestamptz, created_at timestamptz),
                        jsonb_to_record(m.imported) as written (
                            joined_at timestamptz, tier text, tier_since timestamptz, highest_tier text, protected boolean,
                            hidden boolean, waitlisted_at timestamptz, commands bigint, messages bigint,
                            last_active_at timestamptz)
                  where p.community_id = $1 and m.community_id = $1 and m.import_id = $2 and m.user_id = any($3)
                    and p.user_id = m.user_id and m.previous is not null",
                self.community.uuid(),
                import,
                users
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Writes the badges again that made room for those of the import. One that the member has earned again since stays in their place.
    async fn restore_badges(&mut self, import: Uuid, users: &[i64]) -> Result<(), DbError> {
        named!(
            "profile_import.restore_badges",
            sqlx::query!(
                "insert into badges (community_id, badge_id, user_id, badge, source, awarded_by, awarded_at, reason, revoked_at,
                                     revoked_by, revoke_reason)
                 select $1, r.badge_id, p.user_id, r.badge, r.source, r.awarded_by, r.awarded_at, r.reason, r.revoked_at,
                        r.revoked_by, r.revoke_reason
                   from profile_import_members m
                   join profiles p on p.community_id = m.community_id and p.user_id = m.user_id,
                        jsonb_to_recordset(m.replaced_badges) as r (
                            badge_id uuid, badge text, source text, awarded_by bigint, awarded_at timestamptz, reason text,
                            revoked_at timestamptz, revoked_by bigint, revoke_reason text)
                  where m.community_id = $1 and m.import_id = $2 and m.user_id = any($3)
                 on conflict do nothing",
                self.community.uuid(),
                import,
                users
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}
