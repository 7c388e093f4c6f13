//! Posts: the live leaderboard, joins and departures, the weekly digest. A job `notify` whose payload names a post writes that post.
//!
//! The theme names the channel; the server's channel is found by its name once, and by its id from then on. A post whose channel was
//! deleted, or in which Discord refuses messages, is recorded in the audit log once a day (`post.broken`) and stops no other. A new
//! message is created once: its nonce follows from an id that is stored before the first attempt, and the channel is searched for the
//! message of an attempt whose nonce Discord may have forgotten. An edit of the same content twice changes nothing.

mod arrivals;
mod digest;
mod leaderboard;

use std::time::Duration;

use arrakis_db::{Actor, NewAuditEntry, Post, PostKind};
use arrakis_discord::ListedMessage;
use arrakis_domain::{ChannelKey, Theme};
use serde_json::json;
use twilight_model::channel::Channel;
use twilight_model::http::interaction::InteractionResponseData;

pub use self::digest::{Week, week_of};
use crate::failure::Failure;
use crate::jobs::JobRun;
use crate::nonced_message::{NoncedMessage, NoncedOutcome};
use crate::render::{Freshness, RenderContext};
use crate::sent_messages::{Recognise, SearchedChannel, search};

/// Time limit of a call that sends a message, as for alerts.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// The channel in which the theme wants a post; `None` where it wants none.
pub(crate) fn channel_key(theme: &Theme, kind: PostKind) -> Option<&ChannelKey> {
    match kind {
        PostKind::Leaderboard => theme.posts.leaderboard.as_ref(),
        PostKind::Arrivals => theme.posts.arrivals.as_ref(),
        PostKind::Digest => theme.posts.digest.as_ref(),
    }
}

/// Writes a post. While Discord is unavailable it is left to the leader's next job.
pub(super) async fn write(run: &JobRun<'_>, kind: PostKind) -> Result<(), Failure> {
    let written = match kind {
        PostKind::Leaderboard => Box::pin(leaderboard::write(run)).await,
        PostKind::Arrivals => Box::pin(arrivals::write(run)).await,
        PostKind::Digest => Box::pin(digest::write(run)).await,
    };
    match written {
        Err(failure @ Failure::Retry(_)) => {
            tracing::warn!(%failure, post = kind.as_str(), "a post cannot be written at the moment; the next job continues");
            Ok(())
        }
        written => written,
    }
}

/// The channel of a post, read from Discord, which also shows before a message is begun that Discord responds. `None` where there is none;
/// that is recorded. A message of another channel is forgotten.
async fn channel(run: &JobRun<'_>, kind: PostKind, post: &mut Post) -> Result<Option<SearchedChannel>, Failure> {
    let Some(name) = channel_name(&run.community.theme, kind) else {
        return Ok(None);
    };
    let calls = run.services.discord.bulk(Some(run.community.guild()));
    let channels = match calls.channels(run.community.guild()).await {
        Ok(channels) => channels,
        Err(error) if error.may_succeed_later() => return Err(Failure::retry(error)),
        Err(error) => {
            record_broken(run, kind, &error.to_string()).await?;
            return Ok(None);
        }
    };
    let is_stored = |channel: &&Channel| Some(channel.id.get()) == post.channel;
    let found = channels.iter().find(is_stored);
    let found = found.or_else(|| channels.iter().find(|channel| channel.name.as_deref() == Some(name)));
    let Some(found) = found else {
        // A server that never had the channel has no such post.
        if post.channel.is_some() {
            record_broken(run, kind, &format!("the server has no channel \"{name}\" any more")).await?;
        }
        return Ok(None);
    };
    if post.channel != Some(found.id.get()) {
        if post.channel.is_some() {
            forget_message(run, kind, post).await?;
        }
        post.channel = Some(found.id.get());
        store(run, kind, post).await?;
    }
    Ok(Some(SearchedChannel::OfServer {
        id: found.id,
        latest: found.last_message_id,
    }))
}

/// Forgets the message of a post, which does not exist any more or is in another channel: the next one is created.
async fn forget_message(run: &JobRun<'_>, kind: PostKind, post: &mut Post) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    tx.posts().end_attempt(kind, post.attempt).await?;
    tx.commit().await?;
    (post.message, post.attempt, post.content_hash) = (None, None, None);
    Ok(())
}

/// The name at Discord of the channel of a post; `None` where the theme wants none.
pub(crate) fn channel_name(theme: &Theme, kind: PostKind) -> Option<&str> {
    let key = channel_key(theme, kind)?;
    let mut channels = theme.categories.iter().flat_map(|category| &category.channels);
    let found = channels.find(|channel| &channel.key == key)?;
    Some(&found.name)
}

/// Sends a message once for each key; `is_it` recognises the message of an earlier attempt.
async fn send(
    run: &JobRun<'_>,
    key: &str,
    channel: SearchedChannel,
    text: &InteractionResponseData,
    is_it: Recognise<'_>,
) -> Result<NoncedOutcome, Failure> {
    let community = run.community;
    let calls = &run.services.discord.bulk(Some(community.guild())).within(SEND_LIMIT);
    let message = NoncedMessage {
        services: run.services,
        community: Some(community.id()),
        guild: Some(community.guild()),
        key,
    };
    let sent = message
        .send_unless_found(
            |began| search(calls, channel, began, is_it),
            |nonce| async move { calls.send_message(channel.id(), text, nonce).await.map(drop) },
        )
        .await?;
    match sent {
        NoncedOutcome::Refused(error) if error.may_succeed_later() => Err(Failure::retry(error)),
        sent => Ok(sent),
    }
}

/// Whether the first embed of a message has this title.
fn has_title(message: &ListedMessage, title: &str) -> bool {
    message.embeds[0]["title"] == title
}

async fn store(run: &JobRun<'_>, kind: PostKind, post: &Post) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    tx.posts().put(kind, post).await?;
    tx.commit().await?;
    Ok(())
}

fn render_context<'a>(run: &JobRun<'a>) -> Result<RenderContext<'a>, Failure> {
    let token = &run.community.record.token;
    Ok(RenderContext {
        theme: &run.community.theme,
        ladder: run.community.ladder()?,
        symbol: &token.symbol,
        freshness: Freshness::new(token.last_success_at, run.services.now(), run.services.stale_after),
    })
}

/// Records in the audit log that a post cannot be written, once a day.
async fn record_broken(run: &JobRun<'_>, kind: PostKind, reason: &str) -> Result<(), Failure> {
    tracing::warn!(post = kind.as_str(), reason, "a post cannot be written");
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let claim = format!("post-broken:{}:{}", kind.as_str(), run.services.now().date());
    if tx.claim(&claim).await? {
        tx.audit(&NewAuditEntry {
            actor: Actor::System("posts".to_owned()),
            action: "post.broken",
            subject: kind.as_str(),
            reason: Some(reason),
            detail: json!({}),
        })
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrakis_themes::Registry;

    use super::*;

    #[test]
    fn every_channel_of_a_post_is_one_of_the_theme() {
        let themes = Registry::load(None).unwrap();
        let sietch = themes.theme("sietch").unwrap();
        let names = PostKind::ALL.map(|kind| channel_name(sietch, kind));
        assert_eq!(names, [Some("census"), Some("the-door"), Some("announcements")]);
    }
}
