//! The pool, and the doors to the data.
//!
//! Owns connecting, limits of time, and transactions. [`Database::tenant`] is the only door to tenant tables;
//! [`Database::global`] opens a transaction on what belongs to no tenant. Refuses SQL of its own: queries lie with their
//! entity. To add an entity: a file with its queries, and a method on the transaction that may touch it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_fail_point as fail_point;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, Postgres, Transaction};

use crate::background::{Background, Place};
use crate::breaker::{Attempt, Breaker, patience};
use crate::{CommunityId, DbError, GuildId, measure::named, migrate};

/// Limits of a pool.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Shown by `pg_stat_activity`; the service's name.
    pub application_name: &'static str,
    /// Connections at most.
    pub max_connections: u32,
    /// How long a caller waits for a free connection while nobody waits for it.
    pub acquire_timeout: Duration,
    /// How long a caller waits for one while somebody waits for it: it holds up those behind it, who may need no database.
    pub awaited_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// How long a transaction may hold its locks while nothing comes.
    pub idle_in_transaction_timeout: Duration,
    /// How long a start waits for a database that is not up yet.
    pub connect_deadline: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            application_name: "arrakis",
            max_connections: 16,
            acquire_timeout: Duration::from_secs(3),
            awaited_timeout: Duration::from_millis(1_500),
            statement_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(30),
            connect_deadline: Duration::from_secs(30),
        }
    }
}

/// The database by one login. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pub(crate) pool: PgPool,
    breaker: Arc<Breaker>,
    background: Background,
    acquire_timeout: Duration,
    awaited_timeout: Duration,
}

/// How many connections a pool has and how many of them wait for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Open connections.
    pub open: u32,
    /// Of these, idle ones.
    pub idle: u32,
}

impl Database {
    /// Connects, waiting for a database that is not up yet, and checks its schema.
    ///
    /// # Errors
    /// When the deadline passes, the login is refused, or the schema is not what this build needs (the text says what to do).
    pub async fn connect(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let database = Self::connect_unchecked(url, options).await?;
        migrate::check_schema(&database.pool).await?;
        Ok(database)
    }

    pub(crate) async fn connect_unchecked(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let connection = connect_options(url, &options).map_err(|e| DbError::new("database.connect", e))?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(Duration::from_secs(300))
            // A connection was asked whether it lives when it was given back; under load that is a moment ago.
            .test_before_acquire(false)
            .before_acquire(|connection, known| Box::pin(lives_if_idle(connection, known.idle_for)))
            .after_release(|connection, _| Box::pin(still_answers(connection)))
            .connect_lazy_with(connection);
        let deadline = tokio::time::Instant::now() + options.connect_deadline;
        loop {
            // A refused login is an error at once; a server that is not there, after the pool has tried for a while.
            let Err(source) = pool.acquire().await else {
                return Ok(Self {
                    pool,
                    breaker: Arc::default(),
                    background: Background::of(options.max_connections),
                    acquire_timeout: options.acquire_timeout,
                    awaited_timeout: options.awaited_timeout,
                });
            };
            let error = DbError::new("database.connect", source);
            if !error.is_passing() || tokio::time::Instant::now() > deadline {
                return Err(error);
            }
            tracing::info!(%error, "waiting for Postgres");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Opens a transaction in which the rows of this community, and no others, exist. It rolls back unless committed.
    ///
    /// # Errors
    /// When no connection comes free in time.
    pub async fn tenant(&self, community: CommunityId) -> Result<TenantTx, DbError> {
        // One message, one round trip. A uuid prints as hex digits and dashes and so needs no escaping.
        let mut begin = format!("begin; select set_config('app.current_tenant', '{community}', true)");
        let unguarded = fail_point::skips("worker.guard.tenant");
        if unguarded {
            // What happens to those who keep the tenant with the connection: who has it next finds it there.
            begin = format!(
                "begin; select set_config('app.current_tenant', coalesce(nullif(current_setting('app.current_tenant', true), ''), '{community}'), false)"
            );
        }
        let place = self.place("transaction.begin").await?;
        let mut transaction = self.begin(Box::pin(self.pool.begin_with(AssertSqlSafe(begin)))).await?;
        let community = if unguarded {
            tenant_of_connection(&mut transaction).await?
        } else {
            community
        };
        Ok(TenantTx {
            transaction,
            community,
            _place: place,
        })
    }

    /// Opens a transaction on what belongs to no tenant. Tenant tables are empty in it.
    ///
    /// # Errors
    /// When no connection comes free in time.
    pub async fn global(&self) -> Result<GlobalTx, DbError> {
        let place = self.place("transaction.begin").await?;
        let transaction = self.begin(Box::pin(self.pool.begin())).await?;
        Ok(GlobalTx {
            transaction,
            _place: place,
        })
    }

    async fn place(&self, query: &'static str) -> Result<Place, DbError> {
        let place = self.background.place(self.acquire_timeout).await;
        place.map_err(|error| DbError::new(query, error))
    }

    /// Asks the pool for a transaction, by way of the breaker.
    async fn begin(
        &self,
        begin: impl Future<Output = Result<Transaction<'static, Postgres>, sqlx::Error>>,
    ) -> Result<Transaction<'static, Postgres>, DbError> {
        let attempt = self.admitted("transaction.begin").await?;
        let begun = named!("transaction.begin", self.in_time(begin));
        tell(attempt, begun.as_ref().err());
        begun
    }

    /// Lets a query ask for a connection, or refuses it; nobody looks where the guard is passed over.
    async fn admitted(&self, query: &'static str) -> Result<Option<Attempt<'_>>, DbError> {
        if fail_point::skips("worker.guard.breaker") {
            return Ok(None);
        }
        match self.breaker.admit().await {
            Some(attempt) => Ok(Some(attempt)),
            None => Err(DbError::new(query, refused_by_breaker())),
        }
    }

    /// No longer than somebody who waits for the work may wait for a connection; the pool knows the other limit.
    async fn in_time<T>(&self, asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        if patience().is_some() {
            return asking.await;
        }
        let asked = tokio::time::timeout(self.awaited_timeout, asking).await;
        asked.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Whether callers are refused at once, since the pool gave no connections lately.
    #[must_use]
    pub fn breaker_is_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// How often that began.
    #[must_use]
    pub fn breaker_openings(&self) -> u64 {
        self.breaker.openings()
    }

    /// The community of a guild; `None` where the guild is not onboarded.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn route(&self, guild: GuildId) -> Result<Option<CommunityId>, DbError> {
        let _place = self.place("route.by_guild").await?;
        let attempt = self.admitted("route.by_guild").await?;
        let asked = Box::pin(async {
            let mut connection = self.in_time(self.pool.acquire()).await?;
            sqlx::query_scalar!(
                "select community_id from guild_routes where guild_id = $1",
                guild.stored()
            )
            .fetch_optional(&mut *connection)
            .await
        });
        let found = named!("route.by_guild", asked);
        tell(attempt, found.as_ref().err());
        let found = found?;
        Ok(found.map(CommunityId::from_uuid))
    }

    /// Every route, by community: what a timed job walks.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn routes(&self) -> Result<Vec<(GuildId, CommunityId)>, DbError> {
        let rows = named!(
            "route.list",
            sqlx::query!("select guild_id, community_id from guild_routes order by community_id").fetch_all(&self.pool)
        )?;
        rows.into_iter()
            .map(|row| {
                let guild = GuildId::try_from(row.guild_id)
                    .map_err(|why| DbError::corrupt("guild_routes", "guild_id", row.guild_id, why))?;
                Ok((guild, CommunityId::from_uuid(row.community_id)))
            })
            .collect()
    }

    /// Whether the database answers, and how fast: what health asks.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<Duration, DbError> {
        let started = std::time::Instant::now();
        named!("database.ping", sqlx::query("select").execute(&self.pool))?;
        Ok(started.elapsed())
    }

    /// Connections in use, for gauges.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        PoolUse {
            open: self.pool.size(),
            idle,
        }
    }

    /// Closes every connection once it is given back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn tell(attempt: Option<Attempt<'_>>, error: Option<&DbError>) {
    let away = error.is_some_and(DbError::is_away);
    if attempt.is_some_and(|attempt| attempt.tell(!away)) {
        tracing::error!("Postgres gives too few connections: refusing at once until it gives enough");
    }
}

/// For fault runs alone: as whom the connection acts.
async fn tenant_of_connection(connection: &mut PgConnection) -> Result<CommunityId, DbError> {
    let asked = sqlx::query_scalar("select current_setting('app.current_tenant')::uuid").fetch_one(connection);
    let tenant = named!("transaction.tenant", asked)?;
    Ok(CommunityId::from_uuid(tenant))
}

fn refused_by_breaker() -> sqlx::Error {
    let why = "it gave no connections lately; asked again in a moment";
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::ResourceBusy, why))
}

/// How long a connection that is given back may take to finish what it was in the middle of.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// A connection that has lain idle for this long is asked whether it lives before it is given out.
const SURELY_ALIVE: Duration = Duration::from_secs(1);

async fn lives_if_idle(connection: &mut PgConnection, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if idle_for < SURELY_ALIVE {
        return Ok(true);
    }
    // What does not answer is thrown away, and the pool makes another.
    Ok(still_answers(connection).await.unwrap_or(false))
}

/// A connection whose server is gone without a word is thrown away: the pool itself would wait for it, and count it as open,
/// until the kernel gives up a quarter of an hour later.
async fn still_answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(RELEASE_WITHIN, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "no answer",
        ))),
    }
}

/// Options of each connection: limits of time are the server's, so that they hold when this process hangs.
pub(crate) fn connect_options(url: &Secret, options: &DatabaseOptions) -> Result<PgConnectOptions, sqlx::Error> {
    let milliseconds = |limit: Duration| limit.as_millis().to_string();
    let parsed: PgConnectOptions = url.expose().parse()?;
    Ok(parsed
        .application_name(options.application_name)
        .options([
            ("statement_timeout", milliseconds(options.statement_timeout)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(options.idle_in_transaction_timeout),
            ),
            ("lock_timeout", milliseconds(options.statement_timeout / 2)),
            ("timezone", "UTC".to_owned()),
        ])
        // Our own log names the query instead of printing it.
        .disable_statement_logging())
}

/// A transaction in which one community's rows exist. Dropped without [`TenantTx::commit`], it rolls back.
#[derive(Debug)]
pub struct TenantTx {
    pub(crate) transaction: Transaction<'static, Postgres>,
    pub(crate) community: CommunityId,
    /// Given back after the connection: fields are dropped in their order.
    _place: Place,
}

impl TenantTx {
    /// Whose rows these are.
    #[must_use]
    pub fn community_id(&self) -> CommunityId {
        self.community
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// When the database is away; then it is unknown whether the transaction took place, and the caller's message comes again.
    pub async fn commit(self) -> Result<(), DbError> {
        fail_point::hit("worker.committing").await;
        let committed = named!("transaction.commit", self.transaction.commit());
        fail_point::hit("worker.committed").await;
        committed
    }

    /// Gives up what was written, at once rather than at the connection's next use.
    ///
    /// # Errors
    /// When the database is away; nothing was written then either.
    pub async fn rollback(self) -> Result<(), DbError> {
        named!("transaction.rollback", self.transaction.rollback())
    }
}

/// A transaction on what belongs to no tenant.
#[derive(Debug)]
pub struct GlobalTx {
    pub(crate) transaction: Transaction<'static, Postgres>,
    _place: Place,
}

impl GlobalTx {
    /// Makes what was written last.
    ///
    /// # Errors
    /// As [`TenantTx::commit`].
    pub async fn commit(self) -> Result<(), DbError> {
        named!("transaction.commit", self.transaction.commit())
    }
}
