//! The live leaderboard: one message, which is edited when what it shows has changed, and created anew when it was deleted. It is edited as
//! well when it was not compared for an hour: that shows whether the message still exists.

use arrakis_db::{LEADERBOARD_CHECK, LeaderboardPage, Post, PostKind};
use arrakis_discord::{Error, ListedMessage};
use arrakis_domain::{Standing, TierId};
use arrakis_runtime::fail_point;
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use uuid::Uuid;

use super::{SEND_LIMIT, channel, forget_message, has_title, record_broken, render_context, store};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::jobs::JobRun;
use crate::nonced_message::{NoncedMessage, NoncedOutcome, nonce};
use crate::render::leaderboard::Row;
use crate::render::posts;
use crate::sent_messages::{SearchResult, SearchedChannel, search};

const KIND: PostKind = PostKind::Leaderboard;
/// Rows of the message.
const ROWS: u32 = 20;

/// Compares the message with the ranking, and writes it where it differs.
pub(super) async fn write(run: &JobRun<'_>) -> Result<(), Failure> {
    let token = &run.community.record.token_profile;
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let mut post = tx.posts().get(KIND).await?;
    let page = tx.profiles().leaderboard(token, 0, ROWS).await?;
    tx.commit().await?;
    if !post.enabled {
        return Ok(());
    }
    let text = render(run, &page)?;
    let hash = content_hash(&text);
    let now = run.services.now();
    let is_recent = post.checked_at.is_some_and(|checked| now - checked < LEADERBOARD_CHECK);
    post.checked_at = Some(now);
    if post.message.is_some() && post.content_hash == Some(hash) && is_recent {
        return store(run, KIND, &post).await;
    }
    let Some(channel) = channel(run, KIND, &mut post).await? else {
        return store(run, KIND, &post).await;
    };
    if let Some(existing) = post.message.and_then(Id::new_checked) {
        let calls = run.services.discord.bulk(Some(run.community.guild()));
        match calls.edit_message(channel.id(), existing, &text).await {
            Ok(_) => post.content_hash = Some(hash),
            Err(Error::Gone { .. }) => forget_message(run, KIND, &mut post).await?,
            Err(error) if error.may_succeed_later() => return Err(Failure::retry(error)),
            Err(error) => record_broken(run, KIND, &error.to_string()).await?,
        }
        store(run, KIND, &post).await?;
    }
    if post.message.is_none() {
        create(run, post, channel, text, hash).await?;
    }
    Ok(())
}

/// Creates the message, once for each stored attempt. Its id is stored before the attempt counts as done.
async fn create(
    run: &JobRun<'_>,
    mut post: Post,
    channel: SearchedChannel,
    text: InteractionResponseData,
    hash: i64,
) -> Result<(), Failure> {
    let (services, community) = (run.services, run.community);
    let mut tx = services.database.tenant(community.id()).await?;
    let attempt = tx.posts().begin_attempt(KIND, Uuid::now_v7()).await?;
    tx.commit().await?;
    post.attempt = Some(attempt);
    let calls = services.discord.bulk(Some(community.guild())).within(SEND_LIMIT);
    let key = format!("post:{attempt}");
    let nonced = NoncedMessage {
        services,
        community: Some(community.id()),
        guild: Some(community.guild()),
        key: &key,
    };
    if let Some(began) = nonced.abandoned_since().await? {
        match search(&calls, channel, began, &|message| is_leaderboard(message, &text)).await? {
            SearchResult::Found(existing) => {
                // Its content is unknown: the next job, which is due at once, edits it.
                (post.message, post.content_hash, post.checked_at) = (Some(existing.get()), None, None);
                store(run, KIND, &post).await?;
                nonced.record_sent().await?;
                return Ok(());
            }
            SearchResult::Missing => nonced.release().await?,
            SearchResult::Unknown => {}
        }
    }
    let mut stored = post.clone();
    let create = |nonce| async move {
        let created = calls.send_message(channel.id(), &text, nonce).await?;
        fail_point::hit("worker.posts.created").await;
        stored.message = Some(created.id.get());
        stored.content_hash = Some(hash);
        let written = store(run, KIND, &stored).await;
        written.map_err(|failure| Error::Unavailable(format!("storing the message of the leaderboard: {failure}")))
    };
    match nonced.send(create).await? {
        NoncedOutcome::Sent => return Ok(()),
        NoncedOutcome::Refused(error) if error.may_succeed_later() => return Err(Failure::retry(error)),
        NoncedOutcome::Unknown => {}
        NoncedOutcome::Refused(error) => record_broken(run, KIND, &error.to_string()).await?,
    }
    // The next attempt is another message.
    forget_message(run, KIND, &mut post).await?;
    store(run, KIND, &post).await
}

/// Whether a message is a live leaderboard with the title of this one. A reply to `/leaderboard` has the same title, and buttons.
fn is_leaderboard(message: &ListedMessage, text: &InteractionResponseData) -> bool {
    let embed = text.embeds.as_deref().and_then(<[_]>::first);
    let title = embed.and_then(|embed| embed.title.as_deref());
    let has_buttons = message.components.as_array().is_some_and(|rows| !rows.is_empty());
    title.is_some_and(|title| has_title(message, title)) && !has_buttons
}

fn render(run: &JobRun<'_>, page: &LeaderboardPage) -> Result<InteractionResponseData, Failure> {
    let context = render_context(run)?;
    let tier = |rank, held| context.ladder.tier_of(Standing::new(Some(rank), held)).cloned();
    let tiers: Vec<Option<TierId>> = page.entries.iter().map(|entry| tier(entry.rank, entry.held)).collect();
    let entries = page.entries.iter().zip(&tiers);
    let rows: Vec<Row<'_>> = entries
        .map(|(entry, tier)| Row {
            position: entry.position,
            name: &entry.display_name,
            rank: entry.rank,
            held: entry.held,
            tier: tier.as_ref(),
            own: false,
        })
        .collect();
    Ok(message(posts::leaderboard(&context, &rows, page.total), Vec::new()))
}

/// A hash of what the message shows, the same in every build.
fn content_hash(text: &InteractionResponseData) -> i64 {
    // Embeds always serialise.
    let shown = serde_json::to_string(&text.embeds).unwrap_or_default();
    nonce(&shown).cast_signed()
}
