//! Leader election among the workers: the leader holds an advisory lock.
//!
//! The lock belongs to a connection outside of every pool, and is released when that connection ends, for whatever reason.
//! The server detects a leader whose machine is down by TCP keepalives; the leader detects an unavailable server by its
//! queries. Two leaders may overlap for seconds. That is harmless: the id of a scheduled job consists of its kind and time
//! slot.

use std::time::Duration;

use arrakis_config::Secret;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::error::with_address;
use crate::{Database, DatabaseOptions, DbError, database::connect_options, named_query::named};

/// Time limit of each query on the lock's connection. A response normally takes 1 ms.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Server settings of the connection: the server detects a lost leader after 5 + 3 x 2 seconds.
const KEEPALIVES: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "11000"),
];

/// What the leader is responsible for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Publishing scheduled jobs.
    ScheduledJobs,
}

impl Leadership {
    /// Key of the advisory lock: "arrakis" in ASCII and a number for each variant.
    const fn key(self) -> i64 {
        0x6172_7261_6b69_7300
            + match self {
                Self::ScheduledJobs => 1,
            }
    }
}

impl Database {
    /// Whether a worker leads, and so whether workers use this database.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn has_leader(&self) -> Result<bool, DbError> {
        let mut connection = self.connection("leader.exists").await?;
        let held = named!(
            "leader.exists",
            sqlx::query_scalar(
                "select exists (select from pg_locks where locktype = 'advisory' and granted and objsubid = 1
                    and database = (select oid from pg_database where datname = current_database())
                    and (classid::bigint << 32) | objid::bigint = $1)"
            )
            .bind(Leadership::ScheduledJobs.key())
            .fetch_one(&mut *connection)
        )?;
        connection.release();
        Ok(held)
    }
}

/// A worker's connection for leader election. Dropping it releases the lock.
#[derive(Debug)]
pub struct LeaderElection {
    connection: PgConnection,
    leadership: Leadership,
    is_leader: bool,
}

impl LeaderElection {
    /// Opens the connection.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn connect(url: &Secret, leadership: Leadership) -> Result<Self, DbError> {
        let limits = DatabaseOptions {
            application_name: "arrakis-leader",
            ..DatabaseOptions::default()
        };
        let options = connect_options(url, &limits).map_err(|e| DbError::new("leader.connect", e))?;
        let options = options.options(KEEPALIVES);
        let connected = tokio::time::timeout(RESPONSE_TIMEOUT, options.connect()).await;
        let connection = connected
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(|e| DbError::new("leader.connect", with_address(&options, e)))?;
        Ok(Self {
            connection,
            leadership,
            is_leader: false,
        })
    }

    /// Whether this worker is the leader: tries to take the lock, or checks that the connection which holds it is alive.
    /// Call it every few seconds.
    ///
    /// # Errors
    /// When the database does not respond in time. The leadership is lost then: drop this and connect again.
    pub async fn try_lead(&mut self) -> Result<bool, DbError> {
        let result = tokio::time::timeout(RESPONSE_TIMEOUT, self.take_or_check_lock()).await;
        match result.unwrap_or_else(|_| Err(DbError::new("leader.check", sqlx::Error::PoolTimedOut))) {
            Ok(is_leader) => {
                self.is_leader = is_leader;
                Ok(is_leader)
            }
            Err(error) => {
                self.is_leader = false;
                Err(error)
            }
        }
    }

    async fn take_or_check_lock(&mut self) -> Result<bool, DbError> {
        if self.is_leader {
            named!("leader.check", sqlx::query("select").execute(&mut self.connection))?;
            return Ok(true);
        }
        named!(
            "leader.try",
            sqlx::query_scalar("select pg_try_advisory_lock($1)")
                .bind(self.leadership.key())
                .fetch_one(&mut self.connection)
        )
    }

    /// Server settings by which the server detects a lost leader: idle time, interval and count of TCP keepalives (seconds,
    /// seconds, probes), and how long sent data may stay unacknowledged (milliseconds).
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn server_settings(&mut self) -> Result<[String; 4], DbError> {
        let mut settings = <[String; 4]>::default();
        for (setting, name) in settings.iter_mut().zip(KEEPALIVES) {
            *setting = named!(
                "leader.settings",
                sqlx::query_scalar("select setting from pg_settings where name = $1")
                    .bind(name.0)
                    .fetch_one(&mut self.connection)
            )?;
        }
        Ok(settings)
    }

    /// Releases the lock at once, so that another worker becomes the leader without delay.
    pub async fn resign(self) {
        // When this fails, the server ends the connection itself, and releases the lock with it.
        let _ = tokio::time::timeout(RESPONSE_TIMEOUT, self.connection.close()).await;
    }
}
