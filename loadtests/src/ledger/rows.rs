//! What stands in Postgres, read from the tables themselves and not by the operations of the services.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// A member of a server: both ids.
type Member = (u64, u64);

/// Reads the tenants' rows.
#[derive(Debug, Clone)]
pub struct Rows {
    url: String,
    /// Tenant and server of each community.
    communities: Vec<(Uuid, u64)>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Members with a profile who have not left.
    pub(super) here: HashSet<Member>,
    /// Members whose profile says that they have left, whoever noticed: the event, or a reconciliation.
    pub(super) gone: HashSet<Member>,
    /// Entries for leaving, by member.
    pub(super) left: HashMap<Member, i64>,
    /// Commands counted, by member.
    pub(super) commands: HashMap<Member, i64>,
    /// Deeds whose outcome nobody can tell, in the words of [`super::Deed`].
    pub(super) unknown: HashSet<String>,
}

impl Rows {
    /// Reads the rows of these communities (tenant and server) by this login.
    pub fn new(url: String, communities: Vec<(Uuid, u64)>) -> Self {
        Self { url, communities }
    }

    pub(super) async fn read(&self) -> anyhow::Result<Read> {
        // A connection for each look: the server may have gone away and come back in between.
        let mut connection = PgConnection::connect(&self.url)
            .await
            .context("the ledger's look into Postgres")?;
        let mut read = Read::default();
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
            let in_words = unknown.into_iter().map(|(id,)| format!("command {id}"));
            read.unknown.extend(in_words);
            tx.rollback().await?;
        }
        connection.close().await?;
        Ok(read)
    }
}
