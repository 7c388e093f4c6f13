//! A Redis database for each test, one of the server's 4,096.

use deadpool_redis::redis::{self, Client, Connection, RedisResult};
use url::Url;

use crate::environment::{report, required_url, with_path};

/// Number of databases of the Redis that `./dev` starts. Database 0 holds the claims on the others.
const DATABASES: u64 = 4096;
/// Time to live of a claim, after which the database of a killed test is free.
const CLAIM_SECONDS: u64 = 1800;

/// A Redis database that is empty at the start of the test and flushed at its end.
#[derive(Debug)]
pub struct TestRedis {
    server: Url,
    number: u64,
}

impl TestRedis {
    /// Claims a database. Blocks the thread for less than 1 ms.
    ///
    /// # Panics
    /// When `REDIS_URL` is not set, the server refuses, or every database is claimed.
    #[must_use]
    pub fn create() -> Self {
        let server = required_url("REDIS_URL");
        match claim(&server) {
            Ok(Some(number)) => Self { server, number },
            Ok(None) => panic!("every Redis database is claimed by a test; `./dev down` clears the claims"),
            Err(why) => panic!("no Redis database can be claimed for this test: {why}"),
        }
    }

    /// Its URL, for a service's `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        with_path(&self.server, &self.number.to_string())
    }

    /// A blocking connection, to inspect the database.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match connect(&self.url()) {
            Ok(connection) => connection,
            Err(why) => panic!("the connection to the test's Redis database failed: {why}"),
        }
    }

    /// All keys, sorted.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let keys: RedisResult<Vec<String>> = redis::cmd("KEYS").arg("*").query(&mut self.connection());
        match keys {
            Ok(mut keys) => {
                keys.sort();
                keys
            }
            Err(why) => panic!("the keys of the test's Redis database cannot be read: {why}"),
        }
    }
}

fn connect(url: &str) -> RedisResult<Connection> {
    Client::open(url)?.get_connection()
}

/// Tries databases from a random number on, so that tests rarely try the same one.
fn claim(server: &Url) -> RedisResult<Option<u64>> {
    let mut claims = connect(&with_path(server, "0"))?;
    let start = uuid::Uuid::new_v4().as_u64_pair().0 % DATABASES;
    for number in (0..DATABASES)
        .map(|step| (start + step) % DATABASES)
        .filter(|number| *number != 0)
    {
        let claimed: Option<String> = redis::cmd("SET")
            .arg(claim_key(number))
            .arg(std::process::id())
            .arg("NX")
            .arg("EX")
            .arg(CLAIM_SECONDS)
            .query(&mut claims)?;
        if claimed.is_some() {
            redis::cmd("FLUSHDB").query::<()>(&mut connect(&with_path(server, &number.to_string()))?)?;
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn claim_key(number: u64) -> String {
    format!("arrakis-test:database:{number}")
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let release = || -> RedisResult<()> {
            redis::cmd("FLUSHDB").query::<()>(&mut connect(&self.url())?)?;
            redis::cmd("DEL")
                .arg(claim_key(self.number))
                .query(&mut connect(&with_path(&self.server, "0"))?)
        };
        if let Err(why) = release() {
            report(&format!("the test's Redis database cannot be released: {why}"));
        }
    }
}
