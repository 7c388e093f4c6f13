//! A Redis database of its own for each test, one of the server's 4,096.

use deadpool_redis::redis::{self, Client, Connection, RedisResult};
use url::Url;

use crate::environment::{report, required_url, with_path};

/// Databases that `./dev` gives its Redis; 0 holds who has taken which.
const DATABASES: u64 = 4096;
/// Taken for this long at most: a killed test gives its database back.
const CLAIM_SECONDS: u64 = 1800;

/// A Redis database that is empty at the start and flushed at the end.
#[derive(Debug)]
pub struct TestRedis {
    server: Url,
    number: u64,
}

impl TestRedis {
    /// Takes one. Blocks for a moment; loopback answers in well under a millisecond.
    ///
    /// # Panics
    /// When `REDIS_URL` is not set, the server refuses, or every database is taken.
    #[must_use]
    pub fn create() -> Self {
        let server = required_url("REDIS_URL");
        match take(&server) {
            Ok(Some(number)) => Self { server, number },
            Ok(None) => panic!("every Redis database is taken by a test; `./dev down` clears them"),
            Err(why) => panic!("no Redis database for this test: {why}"),
        }
    }

    /// Its URL: what a service's `REDIS_URL` is.
    #[must_use]
    pub fn url(&self) -> String {
        with_path(&self.server, &self.number.to_string())
    }

    /// A plain blocking connection, to look behind the code under test.
    ///
    /// # Panics
    /// When the server refuses.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match connect(&self.url()) {
            Ok(connection) => connection,
            Err(why) => panic!("the test's Redis database cannot be reached: {why}"),
        }
    }

    /// Every key in it, sorted.
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
            Err(why) => panic!("the test's Redis database does not list its keys: {why}"),
        }
    }
}

fn connect(url: &str) -> RedisResult<Connection> {
    Client::open(url)?.get_connection()
}

/// Tries databases from a place of this process on, so that tests rarely meet.
fn take(server: &Url) -> RedisResult<Option<u64>> {
    let mut claims = connect(&with_path(server, "0"))?;
    let start = uuid::Uuid::new_v4().as_u64_pair().0 % DATABASES;
    for number in (0..DATABASES)
        .map(|step| (start + step) % DATABASES)
        .filter(|number| *number != 0)
    {
        let taken: Option<String> = redis::cmd("SET")
            .arg(claim(number))
            .arg(std::process::id())
            .arg("NX")
            .arg("EX")
            .arg(CLAIM_SECONDS)
            .query(&mut claims)?;
        if taken.is_some() {
            redis::cmd("FLUSHDB").query::<()>(&mut connect(&with_path(server, &number.to_string()))?)?;
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn claim(number: u64) -> String {
    format!("arrakis-test:database:{number}")
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let give_back = || -> RedisResult<()> {
            redis::cmd("FLUSHDB").query::<()>(&mut connect(&self.url())?)?;
            redis::cmd("DEL")
                .arg(claim(self.number))
                .query(&mut connect(&with_path(&self.server, "0"))?)
        };
        if let Err(why) = give_back() {
            report(&format!("giving back the test's Redis database: {why}"));
        }
    }
}
