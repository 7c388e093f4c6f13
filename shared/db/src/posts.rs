//! Posts: what the bot writes into channels of a server on its own, with the state that makes each message one.

mod arrivals;
mod digest;

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use self::arrivals::{Arrival, NewArrival};
pub use self::digest::{AwardedBadge, RankMove};
use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, TokenProfileId, named_query::named};

/// A leaderboard is compared at least this often, since names and members change without a new ranking, and members may delete the message.
pub const LEADERBOARD_CHECK: Duration = Duration::hours(1);

/// A kind of post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PostKind {
    /// The live leaderboard: one message that is edited.
    Leaderboard,
    /// Joins and departures, in batches.
    Arrivals,
    /// What changed in a week.
    Digest,
}

impl PostKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Leaderboard, Self::Arrivals, Self::Digest];

    /// The kind as the database stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leaderboard => "leaderboard",
            Self::Arrivals => "arrivals",
            Self::Digest => "digest",
        }
    }
}

/// A text that names no post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a post is one of: leaderboard, arrivals, digest")]
pub struct UnknownPost;

impl std::str::FromStr for PostKind {
    type Err = UnknownPost;

    fn from_str(text: &str) -> Result<Self, UnknownPost> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownPost)
    }
}

/// What is stored about one kind of post of a community: whether it is on, and what was posted last. A community without a row has the
/// default: on, and never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Whether it is switched on.
    pub enabled: bool,
    /// Id of its channel at Discord; `None` until the channel was found by the name that the theme has for it.
    pub channel: Option<u64>,
    /// Of the live leaderboard: id of its message at Discord, which is edited; `None` until it was created. Other posts have none.
    pub message: Option<u64>,
    /// Id of the creation of a message that has begun, from which the nonce of the message follows; `None` when the next message is a new
    /// one. It is stored before the first call, so that a repeated creation has the same nonce.
    pub attempt: Option<Uuid>,
    /// Of the live leaderboard: hash of the content that its message shows; an equal content is not sent again.
    pub content_hash: Option<i64>,
    /// Of the weekly digest: the last week whose digest is done, as `2026-W48`.
    pub period: Option<String>,
    /// When the post was last compared with what it should show, or written; `None` before the first time.
    pub checked_at: Option<OffsetDateTime>,
}

/// On, and never written.
impl Default for Post {
    fn default() -> Self {
        Self {
            enabled: true,
            channel: None,
            message: None,
            attempt: None,
            content_hash: None,
            period: None,
            checked_at: None,
        }
    }
}

/// Queries about the posts of a community.
#[derive(Debug)]
pub struct Posts<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the posts of this community.
    pub fn posts(&mut self) -> Posts<'_> {
        Posts {
            connection: &mut self.transaction,
            community: self.community,
        }
    }
}

impl Posts<'_> {
    /// The state of a post.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn get(&mut self, post: PostKind) -> Result<Post, DbError> {
        let row = named!(
            "post.get",
            sqlx::query!(
                "select enabled, channel_id, message_id, attempt_id, content_hash, period, checked_at
                   from posts where community_id = $1 and post = $2",
                self.community.uuid(),
                post.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        Ok(row.map_or_else(Post::default, |row| Post {
            enabled: row.enabled,
            channel: row.channel_id.map(i64::unsigned_abs),
            message: row.message_id.map(i64::unsigned_abs),
            attempt: row.attempt_id,
            content_hash: row.content_hash,
            period: row.period,
            checked_at: row.checked_at,
        }))
    }

    /// Stores the state of a post, except for whether it is on, and for the attempt. A message that is stored is not removed by one without:
    /// only [`Posts::end_attempt`] does that.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn put(&mut self, kind: PostKind, post: &Post) -> Result<(), DbError> {
        named!(
            "post.put",
            sqlx::query!(
                "insert into posts (community_id, post, channel_id, message_id, content_hash, period, checked_at)
                 values ($1, $2, $3, $4, $5, $6, $7)
                 on conflict (community_id, post) do update
                    set channel_id = excluded.channel_id, message_id = coalesce(excluded.message_id, posts.message_id),
                        content_hash = excluded.content_hash, period = excluded.period, checked_at = excluded.checked_at",
                self.community.uuid(),
                kind.as_str(),
                post.channel.map(u64::cast_signed),
                post.message.map(u64::cast_signed),
                post.content_hash,
                post.period.as_deref(),
                post.checked_at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The id of the message that is being created: the stored one, else this one, which is then stored. So two workers at once create one
    /// message.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn begin_attempt(&mut self, kind: PostKind, id: Uuid) -> Result<Uuid, DbError> {
        named!(
            "post.begin_attempt",
            sqlx::query_scalar!(
                r#"insert into posts (community_id, post, attempt_id) values ($1, $2, $3)
                   on conflict (community_id, post) do update set attempt_id = coalesce(posts.attempt_id, excluded.attempt_id)
                   returning attempt_id as "attempt_id!""#,
                self.community.uuid(),
                kind.as_str(),
                id
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// Ends an attempt: the next message is another one. The message of the attempt is forgotten. Changes nothing when another attempt was
    /// begun since.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn end_attempt(&mut self, kind: PostKind, attempt: Option<Uuid>) -> Result<(), DbError> {
        named!(
            "post.end_attempt",
            sqlx::query!(
                "update posts set attempt_id = null, message_id = null, content_hash = null
                  where community_id = $1 and post = $2 and attempt_id is not distinct from $3::uuid",
                self.community.uuid(),
                kind.as_str(),
                attempt
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Switches a post on or off. Joins and departures while it is off are not posted later; the digest of the last week is.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_enabled(&mut self, post: PostKind, enabled: bool) -> Result<(), DbError> {
        named!(
            "post.set_enabled",
            sqlx::query!(
                "insert into posts (community_id, post, enabled) values ($1, $2, $3)
                 on conflict (community_id, post) do update set enabled = excluded.enabled",
                self.community.uuid(),
                post.as_str(),
                enabled
            )
            .execute(&mut *self.connection)
        )?;
        if post == PostKind::Arrivals && !enabled {
            named!(
                "arrival.drop_all",
                sqlx::query!(
                    "update arrivals set posted_at = now() where community_id = $1 and posted_at is null",
                    self.community.uuid()
                )
                .execute(&mut *self.connection)
            )?;
        }
        Ok(())
    }

    /// Whether a job `notify` of this post waits or runs: another one is not enqueued meanwhile.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn is_job_pending(&mut self, post: PostKind) -> Result<bool, DbError> {
        named!(
            "post.is_job_pending",
            sqlx::query_scalar!(
                r#"select exists (select from jobs where community_id = $1 and kind = 'notify' and payload ->> 'post' = $2
                                                     and state in ('queued', 'running', 'waiting')) as "pending!""#,
                self.community.uuid(),
                post.as_str()
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// Whether the live leaderboard is to be compared with the ranking now. It is when the post is on, and it was never compared, the
    /// ranking of `token` was replaced since the last comparison, or [`LEADERBOARD_CHECK`] has passed since then.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn is_leaderboard_due(&mut self, token: &TokenProfileId, now: OffsetDateTime) -> Result<bool, DbError> {
        let post = self.get(PostKind::Leaderboard).await?;
        let Some(checked) = post.checked_at.filter(|_| post.enabled) else {
            return Ok(post.enabled);
        };
        let synced = named!(
            "post.ranking_replaced_at",
            sqlx::query_scalar!(
                "select last_success_at from eligibility_health_status where token_profile_id = $1",
                token.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let is_newer = synced.flatten().is_some_and(|synced| synced > checked);
        Ok(is_newer || now - checked >= LEADERBOARD_CHECK)
    }
}

/// A number of rows.
fn count(table: &'static str, number: i64) -> Result<u32, DbError> {
    Column(table, "count").count(number)
}
