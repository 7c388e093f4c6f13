//! The transport of the engine: the discord-proxy, with two guards before each call.
//!
//! All workers together send ten calls a second for syntheses and ten for exports, by token buckets in Redis; without Redis each process
//! keeps these rates itself. A call that changes the server of a frozen community is refused before it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrakis_cache::{Bucket, Cache, LocalBuckets, RateLimit};
use arrakis_db::{CommunityId, Database, DbError};
use arrakis_iac_apply::http::{Proxy, Request, Response, SendError, Transport};
use arrakis_runtime::fail_point;
use async_trait::async_trait;

/// Method and path template of each call that the engine makes for roles, categories and channels without a deletion. A test of the
/// discord-proxy compares them with the worker's allow-list.
pub const ENDPOINTS: &[&str] = &[
    "GET /users/@me",
    "GET /guilds/{guild}",
    "GET /guilds/{guild}/members/{user}",
    "PUT /guilds/{guild}/members/{user}/roles/{role}",
    "DELETE /guilds/{guild}/members/{user}/roles/{role}",
    "POST /guilds/{guild}/roles",
    "PATCH /guilds/{guild}/roles",
    "PATCH /guilds/{guild}/roles/{role}",
    "GET /guilds/{guild}/channels",
    "POST /guilds/{guild}/channels",
    "PATCH /guilds/{guild}/channels",
    "GET /channels/{channel}",
    "PATCH /channels/{channel}",
    "PUT /channels/{channel}/permissions/{overwrite}",
    "DELETE /channels/{channel}/permissions/{overwrite}",
];

/// Ten calls a second, none at once: the tokens of a larger bucket would let twice as many pass in one second.
const RATE: Bucket = Bucket {
    burst: 1,
    refill: Duration::from_millis(100),
};

/// For what calls are made. Each purpose has a rate of its own, so that an export of every server does not delay a synthesis.
#[derive(Debug, Clone, Copy)]
pub(super) enum CallPurpose {
    Synthesis,
    Export,
}

impl CallPurpose {
    /// Name of the token bucket.
    const fn bucket(self) -> &'static str {
        match self {
            Self::Synthesis => "synthesis",
            Self::Export => "export",
        }
    }
}

/// Calls through the discord-proxy for one community.
#[derive(Debug)]
pub(super) struct GuardedTransport {
    purpose: CallPurpose,
    proxy: Proxy,
    cache: Cache,
    local: Arc<LocalBuckets>,
    database: Database,
    community: Option<CommunityId>,
    met_freeze: AtomicBool,
}

impl GuardedTransport {
    pub(super) fn new(
        purpose: CallPurpose,
        proxy: Proxy,
        cache: Cache,
        local: Arc<LocalBuckets>,
        database: Database,
        community: Option<CommunityId>,
    ) -> Self {
        Self {
            purpose,
            proxy,
            cache,
            local,
            database,
            community,
            met_freeze: AtomicBool::new(false),
        }
    }

    /// Whether a call was refused because the community is frozen or the kill switch is on.
    pub(super) fn met_freeze(&self) -> bool {
        self.met_freeze.load(Ordering::Relaxed)
    }

    async fn wait_for_rate(&self) {
        let bucket = self.purpose.bucket();
        loop {
            let taken = match self.cache.take_token(bucket, "calls", RATE).await {
                RateLimit::Uncounted => self.local.take_token(bucket, "calls", RATE),
                counted => counted,
            };
            match taken {
                RateLimit::Exceeded { retry_after } => tokio::time::sleep(retry_after).await,
                _ => return,
            }
        }
    }

    /// Refuses a change while the community is frozen.
    async fn check_freeze(&self) -> Result<(), SendError> {
        let frozen = match self.community {
            Some(community) => self.is_frozen(community).await,
            None => Ok(false),
        };
        match frozen {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.met_freeze.store(true, Ordering::Relaxed);
                Err(SendError::Stopped("the community is frozen".to_owned()))
            }
            Err(error) => Err(SendError::NotSent(format!(
                "whether the community is frozen cannot be read: {error}"
            ))),
        }
    }

    async fn is_frozen(&self, community: CommunityId) -> Result<bool, DbError> {
        let mut tx = self.database.tenant(community).await?;
        let record = tx.communities().get().await?;
        tx.commit().await?;
        Ok(record.is_some_and(|record| record.frozen.is_some()))
    }
}

#[async_trait]
impl Transport for GuardedTransport {
    async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let method = request.method.as_str();
        if method != "GET" {
            self.check_freeze().await?;
        }
        self.wait_for_rate().await;
        fail_point::hit_at("worker.synthesis.calling", &[method]).await;
        let sent = self.proxy.send(request).await;
        fail_point::hit_at("worker.synthesis.called", &[method]).await;
        // The proxy learned of a freeze, or of the kill switch, after the check here.
        if matches!(sent, Err(SendError::Stopped(_))) {
            self.met_freeze.store(true, Ordering::Relaxed);
        }
        sent
    }

    fn has_shared_limits(&self) -> bool {
        true
    }
}
