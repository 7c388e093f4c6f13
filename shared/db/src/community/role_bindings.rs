//! Which role of the server stands for which role of the theme.

use arrakis_domain::{RoleBindings, RoleId, RoleKey};

use super::Communities;
use crate::column::Column;
use crate::{DbError, named_query::named};

impl Communities<'_> {
    /// Which Discord role id stands for which role of the theme.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn role_bindings(&mut self) -> Result<RoleBindings, DbError> {
        let rows = named!(
            "role_binding.list",
            sqlx::query!(
                "select role_key, discord_role_id from role_bindings where community_id = $1",
                self.community.uuid()
            )
            .fetch_all(&mut **self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let key = Column("role_bindings", "role_key").parse(&row.role_key)?;
                Ok((key, RoleId(row.discord_role_id.unsigned_abs())))
            })
            .collect()
    }

    /// Binds a role of the theme to a role of the server, in place of an earlier binding.
    ///
    /// # Errors
    /// A conflict when the server's role is bound to another role of the theme.
    pub async fn bind_role(&mut self, key: &RoleKey, role: RoleId) -> Result<(), DbError> {
        named!(
            "role_binding.bind",
            sqlx::query!(
                "insert into role_bindings (community_id, role_key, discord_role_id) values ($1, $2, $3)
                 on conflict (community_id, role_key)
                 do update set discord_role_id = excluded.discord_role_id, bound_at = now()",
                self.community.uuid(),
                key.as_str(),
                role.0.cast_signed()
            )
            .execute(&mut **self.connection)
        )?;
        Ok(())
    }

    /// Removes the binding of a role that was deleted on the server. True when there was one.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn unbind_role(&mut self, role: RoleId) -> Result<bool, DbError> {
        let done = named!(
            "role_binding.unbind",
            sqlx::query!(
                "delete from role_bindings where community_id = $1 and discord_role_id = $2",
                self.community.uuid(),
                role.0.cast_signed()
            )
            .execute(&mut **self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }
}
