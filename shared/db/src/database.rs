//! [`Database`]: connecting, time limits, and the two kinds of transaction.
//!
//! [`Database::tenant`] is the only way to tenant tables; [`Database::global`] opens a transaction on tables without a
//! tenant. Queries are in the module of their entity and not here. To add an entity: a module with its queries, and a
//! method on the transaction that may use it.

use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_fail_point as fail_point;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, Row as _};

use crate::background_permits::{BackgroundPermit, BackgroundPermits};
use crate::circuit_breaker::{Attempt, CircuitBreaker, connection_wait};
use crate::login::{self, Purpose};
use crate::named_query::{named, run_named};
use crate::pool::{Pool, PooledConnection, Statements};
use crate::{Community, CommunityId, DbError, GuildId, migrate, statements};

/// Limits of a [`Database`].
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Name of the service, which `pg_stat_activity` shows.
    pub application_name: &'static str,
    /// Maximum number of connections.
    pub max_connections: u32,
    /// How long background work waits for a free connection.
    pub acquire_timeout: Duration,
    /// How long interactive work waits for a free connection. Shorter: meanwhile it delays commands that need no database.
    pub interactive_acquire_timeout: Duration,
    /// Time limit of one statement.
    pub statement_timeout: Duration,
    /// How long a transaction may be idle while it holds its locks.
    pub idle_in_transaction_timeout: Duration,
    /// How long [`Database::connect`] waits for a server that is not up yet.
    pub connect_deadline: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            application_name: "arrakis",
            max_connections: 16,
            acquire_timeout: Duration::from_secs(3),
            interactive_acquire_timeout: Duration::from_millis(1_500),
            statement_timeout: Duration::from_secs(10),
            idle_in_transaction_timeout: Duration::from_secs(30),
            connect_deadline: Duration::from_secs(30),
        }
    }
}

/// The database with one login. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
    breaker: Arc<CircuitBreaker>,
    background: BackgroundPermits,
    acquire_timeout: Duration,
    interactive_acquire_timeout: Duration,
}

/// Number of connections of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUsage {
    /// Open connections.
    pub open: u32,
    /// Open connections that are idle.
    pub idle: u32,
}

impl Database {
    /// Connects with the application's login, waiting for a server that is not up yet, and checks the schema and that
    /// row-level security applies to the login.
    ///
    /// # Errors
    /// When the deadline passes, the login is refused or has more rights than the application's, or the schema is not the
    /// one that this build needs; the text states what to do.
    pub async fn connect(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        Self::connect_as(Purpose::App, url, options).await
    }

    pub(crate) async fn connect_as(purpose: Purpose, url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let database = Self::connect_unchecked(url, options).await?;
        login::check_pool(&database.pool, purpose).await?;
        migrate::check_schema(&database.pool).await?;
        login::check_database_rights(&database.pool, purpose).await?;
        Ok(database)
    }

    pub(crate) async fn connect_unchecked(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let connection = connect_options(url, &options).map_err(|e| DbError::new("database.connect", e))?;
        let pool = Pool::new(connection, options.max_connections).map_err(|e| DbError::new("database.connect", e))?;
        let deadline = tokio::time::Instant::now() + options.connect_deadline;
        loop {
            // A refused login is an error at once; an unavailable server only after `acquire_timeout`.
            let source = match pool.acquire(options.acquire_timeout).await {
                Ok(first) => {
                    first.release();
                    return Ok(Self {
                        pool,
                        breaker: Arc::default(),
                        background: BackgroundPermits::for_connections(options.max_connections),
                        acquire_timeout: options.acquire_timeout,
                        interactive_acquire_timeout: options.interactive_acquire_timeout,
                    });
                }
                Err(source) => source,
            };
            let error = DbError::new("database.connect", source);
            if !error.is_transient() || tokio::time::Instant::now() > deadline {
                return Err(error);
            }
            tracing::info!(%error, "waiting for PostgreSQL");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Begins a transaction in which the rows of this community, and no others, are visible. It rolls back unless committed.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn tenant(&self, community: CommunityId) -> Result<TenantTx, DbError> {
        // One message, one round trip. A UUID prints as hex digits and dashes and so needs no escaping.
        let begin = format!("begin; select {} as tenant", set_tenant(&format!("'{community}'")));
        let permit = self.background_permit("transaction.begin").await?;
        let (transaction, row) = self.begin("transaction.begin", Statements::Plain(&begin)).await?;
        Ok(TenantTx {
            transaction,
            community: tenant_set(row).map_err(|error| DbError::new("transaction.begin", error))?,
            _permit: permit,
        })
    }

    /// As [`Database::tenant`], for the community of a guild, which is found and read in the same round trip. `None` when
    /// the guild has no community.
    ///
    /// # Errors
    /// When no connection is available in time, or the community's row is corrupt.
    pub async fn community_of(&self, guild: GuildId) -> Result<Option<(Community, TenantTx)>, DbError> {
        // A guild without a route sets no tenant, and without a tenant no community is visible.
        let begin = format!("begin; {}; {}", enter_guild(guild), statements::CURRENT_COMMUNITY);
        let permit = self.background_permit("community.by_guild").await?;
        let (transaction, row) = self
            .begin("community.by_guild", Statements::UsingPrepared(&begin))
            .await?;
        let Some(row) = row else {
            rollback(transaction).await?;
            return Ok(None);
        };
        let community = Community::read(&row)?;
        let tx = TenantTx {
            transaction,
            community: community.id,
            _permit: permit,
        };
        Ok(Some((community, tx)))
    }

    /// Begins a transaction on tables without a tenant. Tenant tables are empty in it.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn global(&self) -> Result<GlobalTx, DbError> {
        let permit = self.background_permit("transaction.begin").await?;
        let (transaction, _) = self.begin("transaction.begin", Statements::Plain("begin")).await?;
        Ok(GlobalTx {
            transaction,
            _permit: permit,
        })
    }

    async fn background_permit(&self, query: &'static str) -> Result<BackgroundPermit, DbError> {
        let permit = self.background.acquire(self.acquire_timeout).await;
        permit.map_err(|error| DbError::new(query, error))
    }

    /// Begins a transaction on a connection of the pool, unless the circuit breaker refuses it.
    async fn begin(
        &self,
        query: &'static str,
        statements: Statements<'_>,
    ) -> Result<(PooledConnection, Option<PgRow>), DbError> {
        let attempt = self.admit(query).await?;
        let span = tracing::info_span!("db.transaction.begin", otel.status_code = tracing::field::Empty);
        let begun = run_named(query, span, self.pool.begin(statements, self.acquire_limit())).await;
        record(attempt, begun.as_ref().err());
        begun
    }

    /// A connection for one statement outside of any transaction, unless the circuit breaker refuses it.
    pub(crate) async fn connection(&self, query: &'static str) -> Result<PooledConnection, DbError> {
        let attempt = self.admit(query).await?;
        let connection = self.pool.acquire(self.acquire_limit()).await;
        let connection = connection.map_err(|error| DbError::new(query, error));
        record(attempt, connection.as_ref().err());
        connection
    }

    /// Checks the circuit breaker; `None` when a fail point skips it.
    async fn admit(&self, query: &'static str) -> Result<Option<Attempt<'_>>, DbError> {
        if fail_point::skips("db.guard.breaker") {
            return Ok(None);
        }
        match self.breaker.admit().await {
            Some(attempt) => Ok(Some(attempt)),
            None => Err(DbError::new(query, circuit_open())),
        }
    }

    /// How long the current work may wait for a connection.
    fn acquire_limit(&self) -> Duration {
        match connection_wait() {
            Some(_) => self.acquire_timeout,
            None => self.interactive_acquire_timeout,
        }
    }

    /// Whether the circuit breaker refuses callers at once.
    #[must_use]
    pub fn breaker_is_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// How often the circuit breaker has opened.
    #[must_use]
    pub fn breaker_openings(&self) -> u64 {
        self.breaker.openings()
    }

    /// The community of a guild; `None` when the guild has none.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn route(&self, guild: GuildId) -> Result<Option<CommunityId>, DbError> {
        let _permit = self.background_permit("route.by_guild").await?;
        loop {
            let mut connection = self.connection("route.by_guild").await?;
            let found = named!(
                "route.by_guild",
                sqlx::query_scalar!(
                    "select community_id from guild_routes where guild_id = $1",
                    guild.stored()
                )
                .fetch_optional(&mut *connection)
            );
            match found {
                Ok(found) => {
                    connection.release();
                    return Ok(found.map(CommunityId::from_uuid));
                }
                // The server closed the connection while it was idle.
                Err(error) if connection.was_used() && error.is_unavailable() => connection.discard(),
                Err(error) => return Err(error),
            }
        }
    }

    /// The guild of every community, ordered by community.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn routes(&self) -> Result<Vec<(GuildId, CommunityId)>, DbError> {
        let mut connection = self.connection("route.list").await?;
        let rows = named!(
            "route.list",
            sqlx::query!("select guild_id, community_id from guild_routes order by community_id")
                .fetch_all(&mut *connection)
        )?;
        connection.release();
        rows.into_iter()
            .map(|row| {
                let guild = GuildId::try_from(row.guild_id)
                    .map_err(|why| DbError::corrupt("guild_routes", "guild_id", row.guild_id, why))?;
                Ok((guild, CommunityId::from_uuid(row.community_id)))
            })
            .collect()
    }

    /// Runs an empty query; returns how long it took. The health endpoint uses it. It is a probe of the circuit breaker, which a service without
    /// traffic would never close.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn ping(&self) -> Result<Duration, DbError> {
        let started = std::time::Instant::now();
        // Without the circuit breaker: health reports the state of PostgreSQL itself.
        let mut connection = named!("database.ping", self.pool.acquire(self.acquire_timeout))?;
        named!("database.ping", sqlx::query("select").execute(&mut *connection))?;
        connection.release();
        let took = started.elapsed();
        // A success that other callers would not have waited for says nothing.
        if self.breaker.is_open()
            && took <= self.interactive_acquire_timeout
            && let Some(probe) = self.breaker.try_admit()
        {
            probe.record(true);
        }
        Ok(took)
    }

    /// Number of connections, for gauges.
    #[must_use]
    pub fn pool_usage(&self) -> PoolUsage {
        let (open, idle) = self.pool.connection_counts();
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        PoolUsage {
            open: number(open),
            idle: number(idle),
        }
    }

    /// Closes every connection once it is returned.
    pub fn close(&self) {
        self.pool.close();
    }
}

fn record(attempt: Option<Attempt<'_>>, error: Option<&DbError>) {
    let unavailable = error.is_some_and(DbError::is_unavailable);
    if attempt.is_some_and(|attempt| attempt.record(!unavailable)) {
        tracing::error!("PostgreSQL circuit breaker opened: too few connections; queries fail at once until it closes");
    }
}

fn circuit_open() -> sqlx::Error {
    let reason = "circuit breaker is open: the pool had no connections; it tries again within 2 s";
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::ResourceBusy, reason))
}

/// SQL that makes the rows of one tenant visible until the transaction ends. `community` is SQL of type text.
fn set_tenant(community: &str) -> String {
    if fail_point::skips("db.guard.tenant") {
        // The mistake that the guard prevents: a setting of the connection, which outlives the transaction.
        return format!(
            "set_config('app.current_tenant', coalesce(nullif(current_setting('app.current_tenant', true), ''), {community}), false)"
        );
    }
    format!("set_config('app.current_tenant', {community}, true)")
}

/// SQL that sets the tenant to the community of a guild, if it has one.
fn enter_guild(guild: GuildId) -> String {
    let guild = guild.stored();
    if fail_point::skips("db.guard.tenant") {
        let set = set_tenant("community_id::text");
        return format!("select {set} as tenant from guild_routes where guild_id = {guild}");
    }
    statements::enter_guild(guild)
}

/// The tenant that PostgreSQL has set.
fn tenant_set(row: Option<PgRow>) -> Result<CommunityId, sqlx::Error> {
    let tenant: String = row.ok_or(sqlx::Error::RowNotFound)?.try_get("tenant")?;
    let tenant = uuid::Uuid::parse_str(&tenant).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(CommunityId::from_uuid(tenant))
}

/// Options of each connection. The server enforces the time limits, so that they hold when this process hangs.
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
        // `named_query` logs the name of a slow query instead of its text.
        .disable_statement_logging())
}

/// A tenant transaction: one community's rows are visible. Dropped without [`TenantTx::commit`], it rolls back.
#[derive(Debug)]
pub struct TenantTx {
    pub(crate) transaction: PooledConnection,
    pub(crate) community: CommunityId,
    /// Returned after the connection: fields are dropped in their order.
    _permit: BackgroundPermit,
}

impl TenantTx {
    /// The transaction's tenant.
    #[must_use]
    pub fn community_id(&self) -> CommunityId {
        self.community
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// When a statement of the transaction had failed: the transaction was rolled back. When the database is unavailable:
    /// whether the transaction was committed is unknown, and the caller's message must be handled again.
    pub async fn commit(self) -> Result<(), DbError> {
        fail_point::hit("db.committing").await;
        commit(self.transaction).await?;
        fail_point::hit("db.committed").await;
        Ok(())
    }

    /// Runs these statements, which may use prepared ones, and commits in the same message. Returns the last row.
    pub(crate) async fn run_and_commit(
        mut self,
        query: &'static str,
        span: tracing::Span,
        statements: &str,
    ) -> Result<Option<PgRow>, DbError> {
        fail_point::hit("db.committing").await;
        let statements = format!("{statements}; commit");
        let run = self.transaction.run(Statements::UsingPrepared(&statements));
        let last = run_named(query, span, run).await?;
        self.transaction.release();
        fail_point::hit("db.committed").await;
        Ok(last)
    }

    /// The same transaction for another community: its rows, and no others, are visible from here on. For changes of several
    /// communities that must commit together.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn enter(self, community: CommunityId) -> Result<Self, DbError> {
        enter(self.transaction, self._permit, community).await
    }

    /// Rolls back at once, rather than in the background after a drop.
    ///
    /// # Errors
    /// When the database is unavailable; nothing was written then either.
    pub async fn rollback(self) -> Result<(), DbError> {
        rollback(self.transaction).await
    }
}

/// A transaction on tables without a tenant.
#[derive(Debug)]
pub struct GlobalTx {
    pub(crate) transaction: PooledConnection,
    _permit: BackgroundPermit,
}

impl GlobalTx {
    /// Commits the transaction.
    ///
    /// # Errors
    /// As [`TenantTx::commit`].
    pub async fn commit(self) -> Result<(), DbError> {
        commit(self.transaction).await
    }

    /// The same transaction with the rows of one community visible. For changes of the platform's and of communities' tables that
    /// must commit together.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn enter(self, community: CommunityId) -> Result<TenantTx, DbError> {
        enter(self.transaction, self._permit, community).await
    }
}

/// Sets the tenant of a transaction that has begun.
async fn enter(
    mut transaction: PooledConnection,
    permit: BackgroundPermit,
    community: CommunityId,
) -> Result<TenantTx, DbError> {
    let enter = format!("select {} as tenant", set_tenant(&format!("'{community}'")));
    let row = named!("transaction.enter", transaction.run(Statements::Plain(&enter)))?;
    Ok(TenantTx {
        transaction,
        community: tenant_set(row).map_err(|error| DbError::new("transaction.enter", error))?,
        _permit: permit,
    })
}

async fn rollback(mut transaction: PooledConnection) -> Result<(), DbError> {
    named!(
        "transaction.rollback",
        sqlx::raw_sql("rollback").execute(&mut *transaction)
    )?;
    transaction.release();
    Ok(())
}

/// SAVEPOINT before COMMIT, so that a failed transaction is an error. PostgreSQL responds to a COMMIT after a failed
/// statement with ROLLBACK, and to one outside of a transaction with a warning; the driver reports neither. SAVEPOINT fails
/// in both cases, and PostgreSQL skips what follows a failed statement in one message
/// (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT>).
const COMMIT: &str = "savepoint committing; commit";

async fn commit(mut transaction: PooledConnection) -> Result<(), DbError> {
    named!("transaction.commit", sqlx::raw_sql(COMMIT).execute(&mut *transaction))?;
    transaction.release();
    Ok(())
}
