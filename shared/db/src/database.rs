//! The pool, and the doors to the data.
//!
//! Owns connecting, limits of time, and transactions. [`Database::tenant`] is the only door to tenant tables;
//! [`Database::global`] opens a transaction on what belongs to no tenant. Refuses SQL of its own: queries lie with their
//! entity. To add an entity: a file with its queries, and a method on the transaction that may touch it.

use std::sync::Arc;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_fail_point as fail_point;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, Row as _};

use crate::background::{Background, Place};
use crate::breaker::{Attempt, Breaker, patience};
use crate::login::{self, Purpose};
use crate::measure::{named, run_named};
use crate::pool::{Lease, Pool, Words};
use crate::{Community, CommunityId, DbError, GuildId, migrate, statements};

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
    pool: Pool,
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
    /// Connects by the login of the application, waiting for a database that is not up yet, and checks its schema and that
    /// row-level security applies to the login.
    ///
    /// # Errors
    /// When the deadline passes, the login is refused, may do more than the application's may, or the schema is not what this
    /// build needs (the text says what to do).
    pub async fn connect(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        Self::connect_as(Purpose::App, url, options).await
    }

    pub(crate) async fn connect_as(purpose: Purpose, url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let database = Self::connect_unchecked(url, options).await?;
        login::check_by(&database.pool, purpose).await?;
        migrate::check_schema(&database.pool).await?;
        login::check_leftovers_by(&database.pool, purpose).await?;
        Ok(database)
    }

    pub(crate) async fn connect_unchecked(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let connection = connect_options(url, &options).map_err(|e| DbError::new("database.connect", e))?;
        let pool = Pool::new(connection, options.max_connections).map_err(|e| DbError::new("database.connect", e))?;
        let deadline = tokio::time::Instant::now() + options.connect_deadline;
        loop {
            // A refused login is an error at once; a server that is not there, after the pool has tried for a while.
            let source = match pool.acquire(options.acquire_timeout).await {
                Ok(first) => {
                    first.done();
                    return Ok(Self {
                        pool,
                        breaker: Arc::default(),
                        background: Background::of(options.max_connections),
                        acquire_timeout: options.acquire_timeout,
                        awaited_timeout: options.awaited_timeout,
                    });
                }
                Err(source) => source,
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
        let begin = format!("begin; select {} as tenant", set_tenant(&format!("'{community}'")));
        let place = self.place("transaction.begin").await?;
        let (transaction, row) = self.begin("transaction.begin", Words::Plain(&begin)).await?;
        Ok(TenantTx {
            transaction,
            community: tenant_set(row).map_err(|error| DbError::new("transaction.begin", error))?,
            _place: place,
        })
    }

    /// As [`Database::tenant`], for the community of a guild, which is found and read in the same round trip; `None` where the
    /// guild is not onboarded.
    ///
    /// # Errors
    /// When no connection comes free in time, or the community's row is corrupt.
    pub async fn community_of(&self, guild: GuildId) -> Result<Option<(Community, TenantTx)>, DbError> {
        // Where a guild has no route no tenant is set, and without one there is no community.
        let begin = format!("begin; {}; {}", enter_guild(guild), statements::CURRENT_COMMUNITY);
        let place = self.place("community.by_guild").await?;
        let (transaction, row) = self.begin("community.by_guild", Words::Executing(&begin)).await?;
        let Some(row) = row else {
            rollback(transaction).await?;
            return Ok(None);
        };
        let community = Community::read(&row)?;
        let tx = TenantTx {
            transaction,
            community: community.id,
            _place: place,
        };
        Ok(Some((community, tx)))
    }

    /// Opens a transaction on what belongs to no tenant. Tenant tables are empty in it.
    ///
    /// # Errors
    /// When no connection comes free in time.
    pub async fn global(&self) -> Result<GlobalTx, DbError> {
        let place = self.place("transaction.begin").await?;
        let (lease, _) = self.begin("transaction.begin", Words::Plain("begin")).await?;
        Ok(GlobalTx {
            transaction: lease,
            _place: place,
        })
    }

    async fn place(&self, query: &'static str) -> Result<Place, DbError> {
        let place = self.background.place(self.acquire_timeout).await;
        place.map_err(|error| DbError::new(query, error))
    }

    /// Begins a transaction on a connection of the pool, by way of the breaker.
    async fn begin(&self, name: &'static str, words: Words<'_>) -> Result<(Lease, Option<PgRow>), DbError> {
        let attempt = self.admitted(name).await?;
        let span = tracing::info_span!("db.transaction.begin");
        let begun = run_named(name, span, self.pool.begin(words, self.limit())).await;
        tell(attempt, begun.as_ref().err());
        begun
    }

    /// A connection for one statement outside of any transaction, by way of the breaker.
    pub(crate) async fn lease(&self, query: &'static str) -> Result<Lease, DbError> {
        let attempt = self.admitted(query).await?;
        let lease = self.pool.acquire(self.limit()).await;
        let lease = lease.map_err(|error| DbError::new(query, error));
        tell(attempt, lease.as_ref().err());
        lease
    }

    /// Lets a query ask for a connection, or refuses it; nobody looks where the guard is passed over.
    async fn admitted(&self, query: &'static str) -> Result<Option<Attempt<'_>>, DbError> {
        if fail_point::skips("db.guard.breaker") {
            return Ok(None);
        }
        match self.breaker.admit().await {
            Some(attempt) => Ok(Some(attempt)),
            None => Err(DbError::new(query, refused_by_breaker())),
        }
    }

    /// How long the work under way may wait for a connection.
    fn limit(&self) -> Duration {
        match patience() {
            Some(_) => self.acquire_timeout,
            None => self.awaited_timeout,
        }
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
        loop {
            let mut lease = self.lease("route.by_guild").await?;
            let found = named!(
                "route.by_guild",
                sqlx::query_scalar!(
                    "select community_id from guild_routes where guild_id = $1",
                    guild.stored()
                )
                .fetch_optional(&mut *lease)
            );
            match found {
                Ok(found) => {
                    lease.done();
                    return Ok(found.map(CommunityId::from_uuid));
                }
                // It was ended while it lay idle.
                Err(error) if lease.was_used() && error.is_away() => lease.discard(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Every route, by community: what a timed job walks.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn routes(&self) -> Result<Vec<(GuildId, CommunityId)>, DbError> {
        let mut lease = self.lease("route.list").await?;
        let rows = named!(
            "route.list",
            sqlx::query!("select guild_id, community_id from guild_routes order by community_id")
                .fetch_all(&mut *lease)
        )?;
        lease.done();
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
        // Not by way of the breaker: health asks how Postgres is, whatever became of others' asking.
        let mut lease = named!("database.ping", self.pool.acquire(self.acquire_timeout))?;
        named!("database.ping", sqlx::query("select").execute(&mut *lease))?;
        lease.done();
        Ok(started.elapsed())
    }

    /// Connections in use, for gauges.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let (open, idle) = self.pool.numbers();
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        PoolUse {
            open: number(open),
            idle: number(idle),
        }
    }

    /// Closes every connection once it is given back.
    pub fn close(&self) {
        self.pool.close();
    }
}

fn tell(attempt: Option<Attempt<'_>>, error: Option<&DbError>) {
    let away = error.is_some_and(DbError::is_away);
    if attempt.is_some_and(|attempt| attempt.tell(!away)) {
        tracing::error!("Postgres gives too few connections: refusing at once until it gives enough");
    }
}

fn refused_by_breaker() -> sqlx::Error {
    let why = "it gave no connections lately; asked again in a moment";
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::ResourceBusy, why))
}

/// The SQL that makes the rows of one tenant exist until the transaction ends. `community` is SQL of type text.
fn set_tenant(community: &str) -> String {
    if fail_point::skips("db.guard.tenant") {
        // What happens to those who set it for the connection: it outlives the transaction.
        return format!(
            "set_config('app.current_tenant', coalesce(nullif(current_setting('app.current_tenant', true), ''), {community}), false)"
        );
    }
    format!("set_config('app.current_tenant', {community}, true)")
}

/// The SQL that sets the tenant of a guild where it has one.
fn enter_guild(guild: GuildId) -> String {
    let guild = guild.stored();
    if fail_point::skips("db.guard.tenant") {
        let set = set_tenant("community_id::text");
        return format!("select {set} as tenant from guild_routes where guild_id = {guild}");
    }
    statements::enter_guild(guild)
}

/// The tenant that Postgres says it has set.
fn tenant_set(row: Option<PgRow>) -> Result<CommunityId, sqlx::Error> {
    let tenant: String = row.ok_or(sqlx::Error::RowNotFound)?.try_get("tenant")?;
    let tenant = uuid::Uuid::parse_str(&tenant).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(CommunityId::from_uuid(tenant))
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
    pub(crate) transaction: Lease,
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
    /// When a statement of the transaction had failed; then nothing of it was kept. When the database is away; then it is
    /// unknown whether the transaction took place, and the caller's message comes again.
    pub async fn commit(self) -> Result<(), DbError> {
        fail_point::hit("db.committing").await;
        commit(self.transaction).await?;
        fail_point::hit("db.committed").await;
        Ok(())
    }

    /// Says these words, which may execute what is prepared, and commits in the same message. Answers the last row.
    pub(crate) async fn commit_after(
        mut self,
        name: &'static str,
        span: tracing::Span,
        words: &str,
    ) -> Result<Option<PgRow>, DbError> {
        fail_point::hit("db.committing").await;
        let words = format!("{words}; commit");
        let last = run_named(name, span, self.transaction.say(Words::Executing(&words))).await?;
        self.transaction.done();
        fail_point::hit("db.committed").await;
        Ok(last)
    }

    /// Gives up what was written, at once rather than at the connection's next use.
    ///
    /// # Errors
    /// When the database is away; nothing was written then either.
    pub async fn rollback(self) -> Result<(), DbError> {
        rollback(self.transaction).await
    }
}

/// A transaction on what belongs to no tenant.
#[derive(Debug)]
pub struct GlobalTx {
    pub(crate) transaction: Lease,
    _place: Place,
}

impl GlobalTx {
    /// Makes what was written last.
    ///
    /// # Errors
    /// As [`TenantTx::commit`].
    pub async fn commit(self) -> Result<(), DbError> {
        commit(self.transaction).await
    }
}

async fn rollback(mut transaction: Lease) -> Result<(), DbError> {
    named!(
        "transaction.rollback",
        sqlx::raw_sql("rollback").execute(&mut *transaction)
    )?;
    transaction.done();
    Ok(())
}

/// A COMMIT of a transaction in which a statement failed is answered ROLLBACK, which is no error, and one outside of a
/// transaction is answered COMMIT with a warning; the driver shows neither. SAVEPOINT fails in both cases, so that it stands
/// before COMMIT in the same message: Postgres skips what follows a failed statement
/// (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT>).
const COMMIT: &str = "savepoint committing; commit";

async fn commit(mut transaction: Lease) -> Result<(), DbError> {
    named!("transaction.commit", sqlx::raw_sql(COMMIT).execute(&mut *transaction))?;
    transaction.done();
    Ok(())
}
