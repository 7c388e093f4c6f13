//! The rows in Postgres, read from the tables directly and not through the services' queries.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// A member of a server: server id and user id.
type Member = (u64, u64);

/// Reads the tenants' rows.
#[derive(Debug, Clone)]
pub struct RowReader {
    url: String,
    /// Tenant and server of each community.
    communities: Vec<(Uuid, u64)>,
}

/// The rows at one moment.
#[derive(Debug, Default)]
pub(super) struct StoredRows {
    /// Members with a profile that is not marked as left.
    pub(super) here: HashSet<Member>,
    /// Members whose profile is marked as left, by the event or by a reconcile.
    pub(super) gone: HashSet<Member>,
    /// Audit entries for leaving, by member.
    pub(super) left: HashMap<Member, i64>,
    /// Counted commands, by member.
    pub(super) commands: HashMap<Member, i64>,
    /// Actions with a recorded unknown outcome, in the form of [`super::MemberAction`]'s `Display`.
    pub(super) unknown: HashSet<String>,
}

impl RowReader {
    /// Reads the rows of these communities (tenant and server) with this login.
    pub fn new(url: String, communities: Vec<(Uuid, u64)>) -> Self {
        Self { url, communities }
    }

    pub(super) async fn read(&self) -> anyhow::Result<StoredRows> {
        // A new connection for each read: the server may have restarted meanwhile.
        let mut connection = PgConnection::connect(&self.url)
            .await
            .context("connecting to Postgres to read the rows")?;
        let mut read = StoredRows::default();
        for (community, guild) in &self.communities {
            let mut tx = connection.begin().await?;
            sqlx::query("select set_config('app.current_tenant', $1, true)")
                .bind(community.to_string())
                .execute(&mut *tx)
                .await?;
            let profiles: Vec<(i64, bool, i64)> =
                sqlx::query_as("select user_id, left_at is null, commands from profiles")
                    .fetch_all(&mut *tx)
                    .await?;
            for (user, is_here, commands) in profiles {
                let member = (*guild, user.cast_unsigned());
                let side = if is_here { &mut read.here } else { &mut read.gone };
                side.insert(member);
                read.commands.insert(member, commands);
            }
            let left: Vec<(String, i64)> =
                sqlx::query_as("select subject, count(*) from audit_log where action = 'member.left' group by subject")
                    .fetch_all(&mut *tx)
                    .await?;
            for (subject, entries) in left {
                read.left.insert((*guild, subject.parse()?), entries);
            }
            let unknown: Vec<(String,)> =
                sqlx::query_as("select subject from audit_log where action = 'discord.outcome_unknown'")
                    .fetch_all(&mut *tx)
                    .await?;
            let texts = unknown.into_iter().map(|(id,)| format!("command {id}"));
            read.unknown.extend(texts);
            tx.rollback().await?;
        }
        connection.close().await?;
        Ok(read)
    }
}
