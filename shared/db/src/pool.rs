//! The connection pool, and [`PooledConnection`], the one way to use a connection of it.
//!
//! deadpool keeps the connections. sqlx's own pool sends two queries to the server at every return, which is half of all
//! round trips of a short transaction (`docs/decisions/0028`). Here a connection whose transaction has ended returns to the
//! pool without a message. A connection that was dropped within a transaction is rolled back first, in a task of its own
//! and within a time limit; one that cannot be rolled back is closed, so that neither a tenant nor a lock is left on it.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Object, PoolError, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;

use crate::error::with_address;
use crate::statements;

/// How long a check at the start of a service may wait for a connection.
pub(crate) const STARTUP_CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// Time limit of a rollback after a drop, and of a ping.
const RECYCLE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was idle for this long is pinged before it is used.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);
/// A connection that was idle for this long is closed.
const MAX_IDLE: Duration = Duration::from_secs(300);
/// A connection is closed at this age, and with it what the server keeps for a session: cached plans, catalogue entries.
const MAX_AGE: Duration = Duration::from_secs(1800);
/// First and longest pause between attempts to reach a server that is unavailable.
const CONNECT_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// The pool. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: managed::Pool<ConnectionManager>,
}

/// Opens connections and decides which are used again.
#[derive(Debug)]
struct ConnectionManager {
    options: PgConnectOptions,
}

/// A connection of the pool with what is known of its state.
#[derive(Debug)]
struct PoolEntry {
    connection: PgConnection,
    prepared: Prepared,
    idle_since: Instant,
    used: bool,
    /// Whether a transaction may be open: it was begun since the pool lent the connection.
    in_transaction: bool,
}

/// Whether a connection has the statements that are executed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prepared {
    No,
    /// They were sent, and the response was not read. Such a connection is not used again.
    Unknown,
    Yes,
}

/// SQL that is sent as one message, whatever the number of its statements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Statements<'a> {
    /// SQL without prepared statements.
    Plain(&'a str),
    /// SQL that executes statements of [`statements::PREPARE`] by name.
    UsingPrepared(&'a str),
}

impl managed::Manager for ConnectionManager {
    type Type = PoolEntry;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PoolEntry, sqlx::Error> {
        Ok(PoolEntry {
            // Boxed: connecting is rare, and its future is larger than everything else here together.
            connection: Box::pin(self.options.connect())
                .await
                .map_err(|error| with_address(&self.options, error))?,
            prepared: Prepared::No,
            idle_since: Instant::now(),
            used: false,
            in_transaction: false,
        })
    }

    async fn recycle(&self, entry: &mut PoolEntry, metrics: &managed::Metrics) -> RecycleResult<sqlx::Error> {
        let idle = entry.idle_since.elapsed();
        if idle > MAX_IDLE || metrics.age() > MAX_AGE {
            return Err(RecycleError::message("the connection reached its maximum age"));
        }
        if idle < PING_AFTER_IDLE {
            return Ok(());
        }
        match timeout(RECYCLE_TIMEOUT, entry.connection.ping()).await {
            Ok(response) => response.map_err(RecycleError::Backend),
            Err(_) => Err(RecycleError::message("the connection does not respond")),
        }
    }
}

impl Pool {
    /// A pool without open connections.
    pub(crate) fn new(options: PgConnectOptions, max_connections: u32) -> Result<Self, sqlx::Error> {
        let inner = managed::Pool::builder(ConnectionManager { options })
            .max_size(usize::try_from(max_connections).unwrap_or(usize::MAX))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Ok(Self { inner })
    }

    /// Acquires a connection within `limit`, opening one or waiting for one. Connects again while the server is unavailable.
    pub(crate) async fn acquire(&self, limit: Duration) -> Result<PooledConnection, sqlx::Error> {
        let deadline = Instant::now() + limit;
        let mut pause = CONNECT_PAUSES.0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match timeout(left, self.inner.get()).await {
                Ok(Ok(object)) => return Ok(PooledConnection(Some(object))),
                Ok(Err(PoolError::Backend(error))) => error,
                Ok(Err(PoolError::Closed)) => return Err(sqlx::Error::PoolClosed),
                Ok(Err(PoolError::Timeout(_))) | Err(_) => return Err(sqlx::Error::PoolTimedOut),
                Ok(Err(other)) => return Err(sqlx::Error::Configuration(other.to_string().into())),
            };
            if !is_unavailable(&error) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(CONNECT_PAUSES.1);
        }
    }

    /// Acquires a connection and runs these statements on it, which begin a transaction. A connection that turns out to be
    /// closed is replaced: nothing was done on it yet.
    pub(crate) async fn begin(
        &self,
        statements: Statements<'_>,
        limit: Duration,
    ) -> Result<(PooledConnection, Option<PgRow>), sqlx::Error> {
        loop {
            let mut connection = self.acquire(limit).await?;
            let used = connection.was_used();
            connection.mark_in_transaction();
            match connection.run(statements).await {
                Ok(last) => return Ok((connection, last)),
                Err(error) if used && is_unavailable(&error) => connection.discard(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Open connections, and how many of them are idle.
    pub(crate) fn connection_counts(&self) -> (usize, usize) {
        let status = self.inner.status();
        (status.size, status.available.min(status.size))
    }

    /// Closes every connection once it is returned.
    pub(crate) fn close(&self) {
        self.inner.close();
    }
}

/// Whether connecting again may help: the server is unreachable, is starting, has no connection left, or closed the
/// connection.
fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "53300")),
        _ => false,
    }
}

const ALREADY_RELEASED: &str = "a connection was used after its release";

/// A connection lent by the pool. Dropped without [`PooledConnection::release`], its transaction, if [`Pool::begin`] began one, is rolled
/// back before it is lent again.
#[derive(Debug)]
pub(crate) struct PooledConnection(Option<Object<ConnectionManager>>);

impl PooledConnection {
    /// Returns the connection to the pool as it is: no transaction is open on it and every response was read.
    pub(crate) fn release(mut self) {
        if let Some(object) = self.0.take() {
            return_to_pool(object);
        }
    }

    /// Runs these statements; returns the last row of their results.
    pub(crate) async fn run(&mut self, statements: Statements<'_>) -> Result<Option<PgRow>, sqlx::Error> {
        let Some(object) = self.0.as_mut() else {
            unreachable!("{ALREADY_RELEASED}")
        };
        let (sql, prepares) = match statements {
            Statements::Plain(sql) => (sql.to_owned(), false),
            Statements::UsingPrepared(sql) if object.prepared == Prepared::Yes => (sql.to_owned(), false),
            // In the same message, with the first use of a connection and not when it is opened: PREPARE waits for locks on
            // tables.
            Statements::UsingPrepared(sql) => (format!("{} {sql}", statements::PREPARE), true),
        };
        if prepares {
            object.prepared = Prepared::Unknown;
        }
        let rows = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_all(&mut object.connection)
            .await;
        let mut rows = rows?;
        if prepares {
            object.prepared = Prepared::Yes;
        }
        Ok(rows.pop())
    }

    /// Notes that a transaction begins, which a drop rolls back.
    fn mark_in_transaction(&mut self) {
        if let Some(object) = self.0.as_mut() {
            object.in_transaction = true;
        }
    }

    /// Whether the connection was used before: the server may have closed it while it was idle.
    pub(crate) fn was_used(&self) -> bool {
        self.0.as_ref().is_some_and(|object| object.used)
    }

    /// Closes the connection.
    pub(crate) fn discard(mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        // Only methods that consume `self` take the connection.
        match &self.0 {
            Some(object) => &object.connection,
            None => unreachable!("{ALREADY_RELEASED}"),
        }
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match &mut self.0 {
            Some(object) => &mut object.connection,
            None => unreachable!("{ALREADY_RELEASED}"),
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(mut object) = self.0.take() else { return };
        let runtime = tokio::runtime::Handle::try_current().ok();
        let Some(runtime) = runtime.filter(|_| object.prepared != Prepared::Unknown) else {
            drop(Object::take(object));
            return;
        };
        // PostgreSQL logs a warning for a rollback outside of a transaction. After a single statement, the response is read and that is all.
        let last = if object.in_transaction { "rollback" } else { "select" };
        runtime.spawn(async move {
            let ended = timeout(RECYCLE_TIMEOUT, sqlx::raw_sql(last).execute(&mut object.connection)).await;
            if matches!(ended, Ok(Ok(_))) {
                return_to_pool(object);
            } else {
                drop(Object::take(object));
            }
        });
    }
}

fn return_to_pool(mut object: Object<ConnectionManager>) {
    object.idle_since = Instant::now();
    object.used = true;
    object.in_transaction = false;
}
