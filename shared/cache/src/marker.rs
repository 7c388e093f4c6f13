//! Short-lived markers: a key that exists, or does not. Written and removed unconditionally, unlike a cached value.

use deadpool_redis::redis::Cmd;

use crate::{Cache, CacheKey, Ttl};

impl Cache {
    /// Sets a marker for this time, also where it was set or removed a moment ago. With Redis unavailable nothing is set; false then.
    pub async fn set_marker(&self, key: &CacheKey, ttl: Ttl) -> bool {
        let mut set = Cmd::new();
        set.arg("SET")
            .arg(key.as_str())
            .arg(1)
            .arg("PX")
            .arg(ttl.milliseconds());
        self.command::<()>("marker.set", &set).await.is_ok()
    }

    /// Whether a marker is set. With Redis unavailable it is not.
    pub async fn has_marker(&self, key: &CacheKey) -> bool {
        let mut exists = Cmd::new();
        exists.arg("EXISTS").arg(key.as_str());
        self.command("marker.read", &exists).await.unwrap_or(false)
    }

    /// Removes a marker. With Redis unavailable it stays until its time is over; false then.
    pub async fn clear_marker(&self, key: &CacheKey) -> bool {
        let mut delete = Cmd::new();
        delete.arg("DEL").arg(key.as_str());
        self.command::<()>("marker.clear", &delete).await.is_ok()
    }
}
