//! `cache:…`: what Postgres would answer, for a few minutes. With Redis away every question goes through to Postgres.

use std::fmt::Display;

use deadpool_redis::redis::Cmd;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys::Key;
use crate::{Cache, Ttl};

/// How long a profile is cached.
pub const PROFILE_TTL: Ttl = Ttl::seconds(300);

/// Stands where something was forgotten, for longer than a query may take: a reader that asked Postgres before the write
/// and comes back after it must not put the old answer here for minutes.
const FORGOTTEN: &[u8] = b"\0forgotten";
const FORGOTTEN_TTL: Ttl = Ttl::seconds(15);

/// Name of something cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey(Key);

impl CacheKey {
    /// Of this kind (`profile`), told apart by these parts. What belongs to a tenant has the tenant among them.
    #[must_use]
    pub fn new(kind: &str, parts: &[&dyn Display]) -> Self {
        let mut all: Vec<&dyn Display> = vec![&kind];
        all.extend(parts);
        Self(Key::new("cache", &all))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A member's profile.
    #[must_use]
    pub fn profile(tenant: impl Display, user: impl Display) -> Self {
        Self::new("profile", &[&tenant, &user])
    }
}

impl Cache {
    /// The value of a key, or what `load` answers, which is then remembered. An error of `load` is not.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn through<T, E>(
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
            // NX: where something has been forgotten meanwhile, this answer may be old.
            set.arg("SET")
                .arg(key.0.as_str())
                .arg(bytes)
                .arg("NX")
                .arg("PX")
                .arg(ttl.milliseconds());
            let _ = self.command::<()>("cache.put", &set).await;
        }
        Ok(value)
    }

    /// Forgets a value. To be called after the commit that changed it. Where Redis is away the old value may be read until it
    /// ends by itself; false then.
    pub async fn forget(&self, key: &CacheKey) -> bool {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(key.0.as_str())
            .arg(FORGOTTEN)
            .arg("PX")
            .arg(FORGOTTEN_TTL.milliseconds());
        self.command::<()>("cache.forget", &set).await.is_ok()
    }

    async fn cached<T: DeserializeOwned>(&self, key: &CacheKey) -> Option<T> {
        let mut get = Cmd::new();
        get.arg("GET").arg(key.0.as_str());
        let bytes: Option<Vec<u8>> = self.command("cache.get", &get).await.ok()?;
        let bytes = bytes.filter(|bytes| bytes != FORGOTTEN)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                // Written by another version: as good as not there.
                tracing::debug!(key = key.0.as_str(), %error, "a cached value cannot be read");
                self.forget(key).await;
                None
            }
        }
    }
}
