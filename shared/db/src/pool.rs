//! Connections that are used again, and the one way to borrow one.
//!
//! deadpool keeps them; sqlx's own pool asks the server twice at every return, which is half of all round trips of a short
//! transaction. Here a connection whose transaction was ended goes back without a word. One that was dropped in the middle is
//! rolled back first, beside the caller, within a limit; what cannot be is thrown away, so that neither a tenant nor a lock
//! is left behind.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Object, PoolError, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;

use crate::statements;

/// How long a connection may take to finish what it was dropped in the middle of, and to say that it lives.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);
/// A connection that has lain idle for this long is asked whether it lives before it is given out.
const SURELY_ALIVE: Duration = Duration::from_secs(1);
/// A connection that has lain idle for this long is closed.
const IDLE_AT_MOST: Duration = Duration::from_secs(300);
/// A connection is closed at this age: what the server gathers for a session (cached plans, catalogues) goes with it.
const AGE_AT_MOST: Duration = Duration::from_secs(1800);
/// Pauses between attempts to reach a server that is not there.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// The pool. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: managed::Pool<Maker>,
}

/// Makes connections and decides which may be used again.
#[derive(Debug)]
struct Maker {
    options: PgConnectOptions,
}

/// A connection, and when it was last given back.
#[derive(Debug)]
struct Kept {
    connection: PgConnection,
    prepared: Prepared,
    idle_since: Instant,
    used: bool,
}

/// Whether a connection has the statements that are executed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prepared {
    No,
    /// They were asked for, and the answer has not been read. Nobody can tell, so such a connection is not used again.
    Perhaps,
    Yes,
}

/// What is said on a connection: one message, whatever the number of its statements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Words<'a> {
    /// SQL as it is.
    Plain(&'a str),
    /// SQL that executes statements of [`statements::PREPARE`] by name.
    Executing(&'a str),
}

impl managed::Manager for Maker {
    type Type = Kept;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Kept, sqlx::Error> {
        Ok(Kept {
            // Boxed: connecting is rare, and its future is larger than everything else here together.
            connection: Box::pin(self.options.connect()).await?,
            prepared: Prepared::No,
            idle_since: Instant::now(),
            used: false,
        })
    }

    async fn recycle(&self, kept: &mut Kept, metrics: &managed::Metrics) -> RecycleResult<sqlx::Error> {
        let idle = kept.idle_since.elapsed();
        if idle > IDLE_AT_MOST || metrics.age() > AGE_AT_MOST {
            return Err(RecycleError::message("it is old"));
        }
        if idle < SURELY_ALIVE {
            return Ok(());
        }
        match timeout(RELEASE_WITHIN, kept.connection.ping()).await {
            Ok(answered) => answered.map_err(RecycleError::Backend),
            Err(_) => Err(RecycleError::message("it does not answer")),
        }
    }
}

impl Pool {
    /// A pool without connections yet.
    pub(crate) fn new(options: PgConnectOptions, most: u32) -> Result<Self, sqlx::Error> {
        let inner = managed::Pool::builder(Maker { options })
            .max_size(usize::try_from(most).unwrap_or(usize::MAX))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Ok(Self { inner })
    }

    /// Borrows a connection, waiting so long at most for one and for a server that is not there.
    pub(crate) async fn acquire(&self, within: Duration) -> Result<Lease, sqlx::Error> {
        let deadline = Instant::now() + within;
        let mut pause = PAUSES.0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match timeout(left, self.inner.get()).await {
                Ok(Ok(object)) => return Ok(Lease(Some(object))),
                Ok(Err(PoolError::Backend(error))) => error,
                Ok(Err(PoolError::Closed)) => return Err(sqlx::Error::PoolClosed),
                Ok(Err(PoolError::Timeout(_))) | Err(_) => return Err(sqlx::Error::PoolTimedOut),
                Ok(Err(other)) => return Err(sqlx::Error::Configuration(other.to_string().into())),
            };
            if !is_away(&error) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Borrows a connection and says these words on it, which begin a transaction. A connection that proves dead by them is
    /// replaced: nothing has been done on it yet.
    pub(crate) async fn begin(
        &self,
        words: Words<'_>,
        within: Duration,
    ) -> Result<(Lease, Option<PgRow>), sqlx::Error> {
        loop {
            let mut lease = self.acquire(within).await?;
            let used = lease.was_used();
            match lease.say(words).await {
                Ok(last) => return Ok((lease, last)),
                Err(error) if used && is_away(&error) => lease.discard(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Connections that are open, and of these the ones that wait for work.
    pub(crate) fn numbers(&self) -> (usize, usize) {
        let status = self.inner.status();
        (status.size, status.available.min(status.size))
    }

    /// Closes every connection once it is given back.
    pub(crate) fn close(&self) {
        self.inner.close();
    }
}

/// Whether trying again may help: the server is not there, is starting, has no connection left for us, or broke off.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "53300")),
        _ => false,
    }
}

const GIVEN_BACK: &str = "a lease that was given back is used";

/// A borrowed connection. Dropped without [`Lease::done`], it is rolled back before anybody else has it.
#[derive(Debug)]
pub(crate) struct Lease(Option<Object<Maker>>);

impl Lease {
    /// Gives the connection back as it is: no transaction is open on it, and nothing it was asked is unanswered.
    pub(crate) fn done(mut self) {
        if let Some(object) = self.0.take() {
            give_back(object);
        }
    }

    /// Says these words; answers the last row that comes back.
    pub(crate) async fn say(&mut self, words: Words<'_>) -> Result<Option<PgRow>, sqlx::Error> {
        let Some(object) = self.0.as_mut() else {
            unreachable!("{GIVEN_BACK}")
        };
        let (sql, prepares) = match words {
            Words::Plain(words) => (words.to_owned(), false),
            Words::Executing(words) if object.prepared == Prepared::Yes => (words.to_owned(), false),
            // In the same message: on the first use of a connection, and not when it is made, since this waits for whoever has
            // locked a table.
            Words::Executing(words) => (format!("{} {words}", statements::PREPARE), true),
        };
        if prepares {
            object.prepared = Prepared::Perhaps;
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

    /// Whether others had it before: it may have been ended meanwhile, and nobody has noticed.
    pub(crate) fn was_used(&self) -> bool {
        self.0.as_ref().is_some_and(|object| object.used)
    }

    /// Throws the connection away.
    pub(crate) fn discard(mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        // Only what consumes the lease takes the connection out of it.
        match &self.0 {
            Some(object) => &object.connection,
            None => unreachable!("{GIVEN_BACK}"),
        }
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match &mut self.0 {
            Some(object) => &mut object.connection,
            None => unreachable!("{GIVEN_BACK}"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut object) = self.0.take() else { return };
        let runtime = tokio::runtime::Handle::try_current().ok();
        let Some(runtime) = runtime.filter(|_| object.prepared != Prepared::Perhaps) else {
            drop(Object::take(object));
            return;
        };
        runtime.spawn(async move {
            let rolled_back = timeout(
                RELEASE_WITHIN,
                sqlx::raw_sql("rollback").execute(&mut object.connection),
            )
            .await;
            if matches!(rolled_back, Ok(Ok(_))) {
                give_back(object);
            } else {
                drop(Object::take(object));
            }
        });
    }
}

fn give_back(mut object: Object<Maker>) {
    object.idle_since = Instant::now();
    object.used = true;
}
