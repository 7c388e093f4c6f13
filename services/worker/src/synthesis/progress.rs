//! The steps of an apply, and the reply to the interaction that requested it.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrakis_cache::{CacheKey, Ttl};
use arrakis_db::CommunityId;
use arrakis_discord::Error;
use arrakis_iac_apply::{Event, Progress};
use twilight_model::http::interaction::InteractionResponseData;

use crate::services::Services;

/// How long a token edits its reply, less the time of a call: <https://discord.com/developers/docs/interactions/receiving-and-responding>
/// states 15 minutes.
const TOKEN_TTL: Ttl = Ttl::seconds(14 * 60 + 45);

/// Counts the steps of an apply.
#[derive(Debug, Default)]
pub(crate) struct StepCounter {
    done: AtomicUsize,
    total: AtomicUsize,
}

impl StepCounter {
    /// Steps done, and their number; `None` before the apply begins.
    pub(crate) fn counts(&self) -> (usize, Option<usize>) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed), (total > 0).then_some(total))
    }
}

impl Progress for StepCounter {
    fn event(&self, event: Event) {
        match event {
            Event::Started { steps } => self.total.store(steps, Ordering::Relaxed),
            Event::StepDone { .. } => {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            Event::Waiting { why, call, duration } => {
                let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(?why, call, wait_ms = ms, "a call of the synthesis waits");
            }
            Event::Retrying { call, why, attempt } => {
                tracing::warn!(call, why, attempt, "a call of the synthesis is retried");
            }
            Event::Found { address, id } => {
                tracing::info!(
                    address,
                    id,
                    "the result of an earlier attempt was found and is not created again"
                );
            }
            _ => {}
        }
    }
}

/// What became of an edit of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyEdit {
    /// The reply shows it.
    Shown,
    /// Discord did not accept it; a later edit may succeed.
    NotShown,
    /// There is no reply, or it cannot be edited any more.
    NoReply,
}

/// The reply of the interaction that requested a job. Its token is in Redis for as long as Discord accepts it, and nowhere else: when
/// Redis loses it, the reply stays as it is, and the command shows the job's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyHandle<'a> {
    services: &'a Services,
    community: CommunityId,
    job: &'a str,
}

impl<'a> ReplyHandle<'a> {
    /// The reply of the interaction that requested this job.
    pub(crate) const fn new(services: &'a Services, community: CommunityId, job: &'a str) -> Self {
        Self {
            services,
            community,
            job,
        }
    }

    fn key(self) -> CacheKey {
        CacheKey::new("job-reply", &[&self.community, &self.job])
    }

    /// Stores the token of the interaction, in place of an earlier one.
    pub(crate) async fn remember(self, token: &str) {
        self.services.cache.store(&self.key(), TOKEN_TTL, &token).await;
    }

    /// Edits the reply, if there is one. A failure is only logged: the command shows the same.
    pub(crate) async fn edit(self, message: &InteractionResponseData) -> ReplyEdit {
        let Some(token) = self.services.cache.stored::<String>(&self.key()).await else {
            return ReplyEdit::NoReply;
        };
        match self
            .services
            .discord
            .interactive(None)
            .edit_original(&token, message)
            .await
        {
            Ok(()) => ReplyEdit::Shown,
            Err(error @ (Error::Gone { .. } | Error::TokenExpired)) => {
                tracing::info!(%error, job = self.job, "the reply cannot be edited any more");
                self.services.cache.invalidate(&self.key()).await;
                ReplyEdit::NoReply
            }
            Err(error) => {
                tracing::warn!(%error, job = self.job, "the progress was not shown");
                ReplyEdit::NotShown
            }
        }
    }
}
