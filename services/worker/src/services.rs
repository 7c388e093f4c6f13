//! The clients that commands, events and jobs use: Postgres, Redis, Discord, chains, the publisher, the store of backups; with themes, metrics,
//! and reads through the cache.
//!
//! While Redis is unavailable no event is marked done and no cooldown is active; the inbox and Discord prevent repeated effects.

use std::time::Duration;

use arrakis_broker::Publisher;
use arrakis_cache::{Cache, CacheKey, Cooldown, DoneState, PROFILE_TTL, Ttl};
use arrakis_chain::Chains;
use arrakis_contracts::EventId;
use arrakis_db::{Community, CommunityId, Database, DbError, Profile, TenantTx, UserId};
use arrakis_discord::Discord;
use arrakis_eligibility::EligibilityProvider;
use arrakis_kill_switch::PlatformSwitch;
use arrakis_runtime::fail_point;
use arrakis_security::mfa::SecretCipher;
use arrakis_themes::Registry;
use arrakis_verification::Verification;
use time::OffsetDateTime;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;
use url::Url;

use crate::approval_settings::Approvals;
use crate::configuration::ShadowStore;
use crate::failure::Failure;
use crate::metrics::WorkerMetrics;
use crate::scheduled_backup::{Backups, NoticeDelivery, record_absence, send_stored};
use crate::synthesis_client::SynthesisClient;

/// Time to live of done markers. Claims in the inbox are kept for nine days (`CLAIM_RETENTION`).
const DONE_MARKER_TTL: Ttl = Ttl::seconds(24 * 3600);
/// Time limit of [`Services::probe_discord`].
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// How long an event or a job waits for a Postgres connection before its message is retried.
pub(crate) const POSTGRES_WAIT: Duration = Duration::from_secs(60);

/// The clients and settings that commands, events and jobs share.
#[derive(Debug)]
pub struct Services {
    /// Client of Postgres.
    pub database: Database,
    /// Client of Redis.
    pub cache: Cache,
    /// Client of Discord's REST API, through the discord-proxies.
    pub discord: Discord,
    /// Clients of the engine that sets up and changes servers, through the discord-proxies.
    pub synthesis: SynthesisClient,
    /// Clients of the chains that `CHAIN_RPC_URLS` configures.
    pub chains: Chains,
    /// Live eligibility of wallets, from the chains and the score service.
    pub eligibility: EligibilityProvider,
    /// Publishes jobs to RabbitMQ.
    pub publisher: Publisher,
    /// The shadows of configurations; `None`: no object store is configured.
    pub shadows: Option<ShadowStore>,
    /// The loaded themes.
    pub themes: Registry,
    /// Public address of the api, which has the status page; `None` without `VERIFY_BASE_URL`.
    pub status_page: Option<Url>,
    /// Verification of wallets; `None` without `VERIFY_BASE_URL`.
    pub verification: Option<Verification>,
    /// Metrics of the worker.
    pub metrics: WorkerMetrics,
    /// Time limit of one attempt at a deferred command.
    pub command_limit: Duration,
    /// Age of the ranking from which replies state that it is stale.
    pub stale_after: time::Duration,
    /// Whether admin commands that need MFA run without it, in a development deployment.
    pub admin_commands_without_mfa: bool,
    /// Encryption of the secrets of second factors; `None` without `MFA_ENCRYPTION_KEY`.
    pub mfa: Option<SecretCipher>,
    /// Whether the kill switch is on.
    pub kill_switch: PlatformSwitch,
    /// Scheduled backups; `None` without `BACKUP_STORE`.
    pub backups: Option<Backups>,
    /// Approvals of plans: who decides and in which channel, and the signer of decisions.
    pub approvals: Approvals,
}

impl Services {
    /// The present time on Discord's clock, which all workers share even if their own clocks differ. Before the first response from
    /// Discord it is the local time.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let offset = self.discord.clock_offset_ms().unwrap_or_default();
        let now = OffsetDateTime::now_utc();
        if fail_point::skips("worker.guard.clock") {
            return now;
        }
        now + time::Duration::milliseconds(offset)
    }

    /// Makes one cheap call. It shows whether a proxy and Discord respond, and measures the offset of Discord's clock.
    pub(crate) async fn probe_discord(&self) -> arrakis_discord::Result<()> {
        self.discord.bulk(None).within(PROBE_LIMIT).probe().await
    }

    /// Records that the bot was not in the server of a community at this time, and stores a notice if it was before. True in that case.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub(crate) async fn record_absence(
        &self,
        tx: &mut TenantTx,
        community: &Community,
        at: OffsetDateTime,
    ) -> Result<bool, DbError> {
        record_absence(self.backups.as_ref(), tx, community, at, self.now()).await
    }

    /// Sends the notices of all communities that wait. Two processes at once send each notice once.
    ///
    /// # Errors
    /// If Postgres is unavailable; the next call sends the rest.
    pub(crate) async fn send_notices(&self, now: OffsetDateTime) -> Result<(), Failure> {
        let Some(backups) = &self.backups else {
            return Ok(());
        };
        let delivery = NoticeDelivery {
            database: &self.database,
            metrics: &self.metrics,
            notifier: &backups.notifier,
        };
        Box::pin(send_stored(&delivery, now)).await
    }

    /// Whether the event has a done marker: a shortcut; the inbox decides.
    pub async fn was_done(&self, event: &EventId) -> bool {
        let seen = self.cache.done_state(event).await;
        let outcome = match seen {
            DoneState::Done => "hit",
            DoneState::NotDone => "miss",
            DoneState::Unknown => "unavailable",
        };
        self.metrics.cache.with_label_values(&["done", outcome]).inc();
        seen == DoneState::Done && !fail_point::skips("worker.guard.done")
    }

    /// Sets the done marker of an event.
    pub async fn mark_done(&self, event: &EventId) {
        self.cache.mark_done(event, DONE_MARKER_TTL).await;
    }

    /// Starts a cooldown for this event, or returns how long one that another event started still lasts.
    pub(crate) async fn start_cooldown(
        &self,
        community: CommunityId,
        command: &str,
        user: Id<UserMarker>,
        event: &str,
        length: Duration,
    ) -> Option<Duration> {
        let cooldown = self
            .cache
            .cooldown(community, command, user, event, Ttl::of(length))
            .await;
        match cooldown {
            Cooldown::Allowed | Cooldown::AllowedWithoutRedis => None,
            Cooldown::Wait(left) => Some(left),
        }
    }

    /// A member's profile, from Postgres or, for some minutes after a read, from the cache. Activity counts may be as old as that;
    /// every other change removes the cached profile.
    pub(crate) async fn profile(
        &self,
        tx: &mut TenantTx,
        community: CommunityId,
        user: UserId,
    ) -> Result<Option<Profile>, DbError> {
        // Neither an error nor a missing profile is cached: the profile may be created in a moment.
        let read = async || {
            let profile = tx.profiles().by_user(user).await.map_err(Some)?;
            profile.ok_or(None)
        };
        let key = CacheKey::profile(community, user);
        match self.cache.get_or_load(&key, PROFILE_TTL, read).await {
            Ok(profile) => Ok(Some(profile)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Removes a profile from the cache. To be called after the commit that changed it.
    pub(crate) async fn uncache_profile(&self, community: CommunityId, user: UserId) {
        self.cache.invalidate(&CacheKey::profile(community, user)).await;
    }
}
