//! What commands, events and jobs work with, and the short-lived state that they share in Redis.
//!
//! Nothing here outlives a message in the process. With Redis away every question has an answer: not done, no cooldown,
//! nothing announced; Postgres and Discord then decide.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::Publisher;
use arrakis_cache::{Cache, CacheKey, Cooldown, PROFILE_TTL, Seen, Ttl};
use arrakis_contracts::EventId;
use arrakis_db::{Database, DbError, Deed, Profile, TenantTx, UserId};
use arrakis_discord::Discord;
use arrakis_domain::{RoleDifference, RoleId};
use arrakis_runtime::fail_point;
use arrakis_themes::Registry;
use time::OffsetDateTime;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use crate::commands::Commands;
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::gate::Gate;
use crate::interactions::invocation::Invocation;
use crate::metrics::WorkerMetrics;

/// How long the Redis shortcut for handled events lasts. Claims in the inbox are kept for nine days (`CLAIMS_KEPT`).
const DONE: Ttl = Ttl::seconds(24 * 3600);
/// How long a role change of ours is known as ours. Its event comes within a second; a change by hand of the same role
/// within this time waits for the next reconcile.
const ANNOUNCED: Ttl = Ttl::seconds(15);

/// What the worker works with.
#[derive(Debug)]
pub struct Services {
    /// Postgres.
    pub database: Database,
    /// Redis.
    pub cache: Cache,
    /// Discord, by way of the proxies.
    pub discord: Discord,
    /// Publishes jobs.
    pub publisher: Publisher,
    /// Themes.
    pub themes: Registry,
    /// Commands.
    pub commands: Commands,
    /// Who may use what.
    pub gate: Arc<dyn Gate>,
    /// What is counted.
    pub metrics: WorkerMetrics,
    /// How long one try of a deferred command may take.
    pub command_limit: Duration,
    /// From what age on answers say that the ranking is old.
    pub stale_after: time::Duration,
}

impl Services {
    /// The time by Discord's clock: what members did is stamped by it, and workers whose own clocks differ agree on it. Our
    /// own before Discord's first answer.
    pub(crate) fn now(&self) -> OffsetDateTime {
        let offset = self.discord.clock_offset_ms().unwrap_or_default();
        let now = OffsetDateTime::now_utc();
        if fail_point::skips("worker.guard.clock") {
            return now;
        }
        now + time::Duration::milliseconds(offset)
    }

    /// Whether an event is known to be done: a shortcut, never the judge.
    pub async fn was_done(&self, event: &EventId) -> bool {
        let seen = self.cache.seen(event).await;
        let outcome = match seen {
            Seen::Done => "hit",
            Seen::New => "miss",
            Seen::Unknown => "away",
        };
        self.metrics.cache.with_label_values(&["done", outcome]).inc();
        seen == Seen::Done && !fail_point::skips("worker.guard.done")
    }

    /// Remembers that an event is done.
    pub async fn mark_done(&self, event: &EventId) {
        self.cache.mark_done(event, DONE).await;
    }

    /// Begins a cooldown for this event, or says how long the one lasts that another has begun.
    pub(crate) async fn cool_down(
        &self,
        community: &Community,
        command: &str,
        user: Id<UserMarker>,
        event: &str,
        length: Duration,
    ) -> Option<Duration> {
        match self
            .cache
            .cooldown(community.id(), command, user, event, Ttl::of(length))
            .await
        {
            Cooldown::Open | Cooldown::OpenWithoutRedis => None,
            Cooldown::Wait(left) => Some(left),
        }
    }

    /// Ends a cooldown: the command failed, and trying again is no abuse.
    pub(crate) async fn end_cool_down(&self, community: &Community, command: &str, user: Id<UserMarker>) {
        self.cache.end_cooldown(community.id(), command, user).await;
    }

    /// Counts the use of a command, once for each interaction, and ends its transaction. The answer does not depend on it, so a
    /// failure is logged and forgotten.
    pub(crate) async fn record_use(&self, tx: TenantTx, invocation: &Invocation, event: &EventId) {
        if let Err(failure) = self.try_record_use(tx, invocation, event).await {
            tracing::warn!(%failure, "the use of a command was not counted");
        }
    }

    async fn try_record_use(&self, tx: TenantTx, invocation: &Invocation, event: &EventId) -> Result<(), Failure> {
        let user = user_id(invocation.author.id)?;
        tx.commit_counted(event.as_str(), user, Deed::Command, self.now())
            .await?;
        Ok(())
    }

    /// A member as Postgres knows them, from the cache for some minutes after the first question. Counts of what they did may
    /// be as old as that; everything else is forgotten when it is written.
    pub(crate) async fn profile(
        &self,
        tx: &mut TenantTx,
        community: &Community,
        user: UserId,
    ) -> Result<Option<Profile>, DbError> {
        // An error is not remembered, and neither is that somebody is not known: they may be known in a moment.
        let read = async || {
            let profile = tx.profiles().by_user(user).await.map_err(Some)?;
            profile.ok_or(None)
        };
        let key = CacheKey::profile(community.id(), user);
        match self.cache.through(&key, PROFILE_TTL, read).await {
            Ok(profile) => Ok(Some(profile)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Forgets what the cache knows of a member. To be called after the commit that changed it.
    pub(crate) async fn forget_member(&self, community: &Community, user: UserId) {
        self.cache.forget(&CacheKey::profile(community.id(), user)).await;
    }

    /// Says beforehand which roles of a member are about to change by our own doing.
    pub(crate) async fn announce_changes(
        &self,
        community: &Community,
        user: Id<UserMarker>,
        difference: &RoleDifference,
    ) {
        for (direction, role) in changes(difference) {
            let key = announced(community, user, direction, role);
            let announce = async || Ok::<_, std::convert::Infallible>(true);
            let Ok(_) = self.cache.through(&key, ANNOUNCED, announce).await;
        }
    }

    /// Takes back what was announced, once the changes are made: from then on the same change is somebody else's.
    pub(crate) async fn withdraw_changes(
        &self,
        community: &Community,
        user: Id<UserMarker>,
        difference: &RoleDifference,
    ) {
        for (direction, role) in changes(difference) {
            self.cache.forget(&announced(community, user, direction, role)).await;
        }
    }

    /// What of a difference was not announced: changes on their way by our own doing are left out.
    pub(crate) async fn without_announced(
        &self,
        community: &Community,
        user: Id<UserMarker>,
        mut difference: RoleDifference,
    ) -> RoleDifference {
        for (direction, role) in changes(&difference) {
            let key = announced(community, user, direction, role);
            // Nothing is remembered when it is not there: the loader refuses.
            let known = self.cache.through(&key, ANNOUNCED, async || Err::<bool, ()>(())).await;
            if known.is_ok() {
                difference.add.retain(|id, _| direction != "give" || *id != role);
                difference.remove.retain(|id, _| direction != "take" || *id != role);
            }
        }
        difference
    }
}

/// Each change of a difference, by direction.
fn changes(difference: &RoleDifference) -> Vec<(&'static str, RoleId)> {
    let give = difference.add.keys().map(|role| ("give", *role));
    let take = difference.remove.keys().map(|role| ("take", *role));
    give.chain(take).collect()
}

fn announced(community: &Community, user: Id<UserMarker>, direction: &str, role: RoleId) -> CacheKey {
    CacheKey::new("role-change", &[&community.id(), &user, &direction, &role])
}
