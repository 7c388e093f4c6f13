//! One leader among the workers: who holds an advisory lock.
//!
//! The lock lives on a connection of its own, outside every pool: it ends with the connection, however that ends. The server
//! notices a leader whose machine is gone by TCP keepalives; the leader notices a server that is gone by asking. Between the
//! two, two leaders may overlap for seconds; ids of jobs are made of kind and time slot, so that this does no harm.

use std::time::Duration;

use arrakis_config::Secret;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::{DatabaseOptions, DbError, database::connect_options, measure::named};

/// How long the lock's connection may say nothing. An answer takes a millisecond.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The server's side of the connection: a leader that is gone is noticed after 5 + 3 x 2 seconds.
const KEEPALIVES: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "11000"),
];

/// What there is one leader of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Publishing what is due.
    Clock,
}

impl Leadership {
    /// The key of its advisory lock: "arrakis" in ASCII, and a number of its own.
    const fn key(self) -> i64 {
        0x6172_7261_6b69_7300
            + match self {
                Self::Clock => 1,
            }
    }
}

/// A worker's candidacy, and its leadership while it has it. Dropping it gives the lock up.
#[derive(Debug)]
pub struct Leader {
    connection: PgConnection,
    leadership: Leadership,
    leads: bool,
}

impl Leader {
    /// Connects for a candidacy.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn candidate(url: &Secret, leadership: Leadership) -> Result<Self, DbError> {
        let limits = DatabaseOptions {
            application_name: "arrakis-leader",
            ..DatabaseOptions::default()
        };
        let options = connect_options(url, &limits).map_err(|e| DbError::new("leader.connect", e))?;
        let options = options.options(KEEPALIVES);
        let connected = tokio::time::timeout(ANSWER_WITHIN, options.connect()).await;
        let connection = connected
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(|e| DbError::new("leader.connect", e))?;
        Ok(Self {
            connection,
            leadership,
            leads: false,
        })
    }

    /// Whether this worker leads now: asks for the lock, or asks whether the connection that holds it is still there. To be
    /// called every few seconds.
    ///
    /// # Errors
    /// When the database does not answer in time. Leadership is lost then: drop this and be a candidate anew.
    pub async fn leads(&mut self) -> Result<bool, DbError> {
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.ask()).await;
        match asked.unwrap_or_else(|_| Err(DbError::new("leader.ask", sqlx::Error::PoolTimedOut))) {
            Ok(leads) => {
                self.leads = leads;
                Ok(leads)
            }
            Err(error) => {
                self.leads = false;
                Err(error)
            }
        }
    }

    async fn ask(&mut self) -> Result<bool, DbError> {
        if self.leads {
            named!("leader.ask", sqlx::query("select").execute(&mut self.connection))?;
            return Ok(true);
        }
        named!(
            "leader.try",
            sqlx::query_scalar("select pg_try_advisory_lock($1)")
                .bind(self.leadership.key())
                .fetch_one(&mut self.connection)
        )
    }

    /// What the server goes by to notice that this worker is gone: idle, interval, count of TCP keepalives (seconds, seconds,
    /// probes), and the milliseconds that sent data may stay unacknowledged.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Gives the lock up at once, so that another leads without waiting.
    pub async fn resign(self) {
        // Where this fails, the server ends the connection by itself, and the lock with it.
        let _ = tokio::time::timeout(ANSWER_WITHIN, self.connection.close()).await;
    }
}
