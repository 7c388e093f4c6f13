//! Short-lived markers: keys without a value of interest. Set and cleared unconditionally, unlike a cached value.

use deadpool_redis::redis::Cmd;

use crate::{Cache, CacheKey, Ttl};

/// Result of [`Cache::claim_marker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerClaim {
    /// It was not set, and is now.
    Claimed,
    /// It was set before.
    Taken,
    /// Redis is unavailable.
    Unknown,
}

impl Cache {
    /// Sets a marker for this time, also when it was set or cleared a moment ago. False when Redis is unavailable and
    /// nothing is set.
    pub async fn set_marker(&self, key: &CacheKey, ttl: Ttl) -> bool {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(key.as_str())
            .arg(1)
            .arg("PX")
            .arg(ttl.milliseconds());
        self.command::<()>("marker.set", &set).await.is_ok()
    }

    /// Sets a marker that is not set: of several callers, one gets [`MarkerClaim::Claimed`].
    pub async fn claim_marker(&self, key: &CacheKey, ttl: Ttl) -> MarkerClaim {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(key.as_str())
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(ttl.milliseconds());
        match self.command::<Option<String>>("marker.claim", &set).await {
            Ok(Some(_)) => MarkerClaim::Claimed,
            Ok(None) => MarkerClaim::Taken,
            Err(_) => MarkerClaim::Unknown,
        }
    }

    /// Whether a marker is set; false when Redis is unavailable.
    pub async fn has_marker(&self, key: &CacheKey) -> bool {
        let mut exists = Cmd::new();
        exists.arg("EXISTS").arg(key.as_str());
        self.command("marker.read", &exists).await.unwrap_or(false)
    }

    /// Clears a marker. False when Redis is unavailable: the marker then stays until its time to live ends.
    pub async fn clear_marker(&self, key: &CacheKey) -> bool {
        let mut delete = Cmd::new();
        delete.arg("DEL").arg(key.as_str());
        self.command::<()>("marker.clear", &delete).await.is_ok()
    }
}
