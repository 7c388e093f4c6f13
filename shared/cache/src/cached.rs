//! `cache:…`: results of PostgreSQL queries, kept for a few minutes, and answers of other services. While Redis is unavailable each of
//! them is requested.

use std::fmt::Display;

use deadpool_redis::redis::Cmd;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// Time to live of a cached profile.
pub const PROFILE_TTL: Ttl = Ttl::seconds(300);

/// Replaces an invalidated value for longer than a query may take: a reader that queried PostgreSQL before the write must not
/// store the old result after it.
const TOMBSTONE: &[u8] = b"\0forgotten";
const TOMBSTONE_TTL: Ttl = Ttl::seconds(15);

/// Key of a cached value or of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey(Key);

impl CacheKey {
    /// A key of this kind (`profile`) with these parts. The parts of a tenant's value include the tenant.
    #[must_use]
    pub fn new(kind: &str, parts: &[&dyn Display]) -> Self {
        let mut all: Vec<&dyn Display> = vec![&kind];
        all.extend(parts);
        Self(Key::new("cache", &all))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Key of a member's profile.
    #[must_use]
    pub fn profile(tenant: impl Display, user: impl Display) -> Self {
        Self::new("profile", &[&tenant, &user])
    }
}

impl Cache {
    /// The cached value of a key, or else the result of `load`, which is then cached. An error of `load` is not cached.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn get_or_load<T, E>(
        &self,
        key: &CacheKey,
        ttl: Ttl,
        load: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
    {
        if let Some(value) = self.cached(key).await {
            return Ok(value);
        }
        let value = load().await?;
        if let Ok(bytes) = serde_json::to_vec(&value) {
            let mut set = Cmd::new();
            // NX: when the key was invalidated meanwhile, this value may be old.
            set.arg("SET")
                .arg(key.0.as_str())
                .arg(bytes)
                .arg("NX")
                .arg("PX")
                .arg(ttl.milliseconds());
            let _ = self.command::<()>("cache.set", &set).await;
        }
        Ok(value)
    }

    /// Removes a cached value. Call it after the commit that changed the value. False when Redis is unavailable: the old
    /// value may then be read until its time to live ends.
    pub async fn invalidate(&self, key: &CacheKey) -> bool {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(key.0.as_str())
            .arg(TOMBSTONE)
            .arg("PX")
            .arg(TOMBSTONE_TTL.milliseconds());
        self.command::<()>("cache.invalidate", &set).await.is_ok()
    }

    /// The stored value of a key; `None` when there is none, it cannot be decoded, or Redis is unavailable.
    pub async fn stored<T: DeserializeOwned>(&self, key: &CacheKey) -> Option<T> {
        self.cached(key).await
    }

    /// Stores a value in the place of an earlier one. False when Redis is unavailable and nothing is stored.
    pub async fn store<T: Serialize>(&self, key: &CacheKey, ttl: Ttl, value: &T) -> bool {
        let Ok(bytes) = serde_json::to_vec(value) else {
            return false;
        };
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(key.0.as_str())
            .arg(bytes)
            .arg("PX")
            .arg(ttl.milliseconds());
        self.command::<()>("cache.store", &set).await.is_ok()
    }

    async fn cached<T: DeserializeOwned>(&self, key: &CacheKey) -> Option<T> {
        let mut get = Cmd::new();
        get.arg("GET").arg(key.0.as_str());
        let bytes: Option<Vec<u8>> = self.command("cache.get", &get).await.ok()?;
        let bytes = bytes.filter(|bytes| bytes != TOMBSTONE)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                // Written by another version.
                tracing::debug!(key = key.0.as_str(), %error, "cached value cannot be decoded; it is loaded again");
                self.invalidate(key).await;
                None
            }
        }
    }
}
