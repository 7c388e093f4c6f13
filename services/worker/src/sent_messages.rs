//! Searches a channel for a message that an earlier attempt may have sent, when Discord may have forgotten the nonce of that attempt.

use arrakis_discord::{Calls, Error, LISTED_MESSAGES, ListedMessage};
use time::{Duration, OffsetDateTime};
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GenericMarker, MessageMarker};
use twilight_util::snowflake::Snowflake as _;

use crate::failure::Failure;

/// Pages of messages that a search reads at most, of a hundred messages each.
const MAX_PAGES: usize = 10;
/// Most that Discord's clock and the clock by which the earlier attempt began may differ.
const CLOCK_TOLERANCE: Duration = Duration::seconds(60);

/// Recognises a message.
pub(crate) type Recognise<'a> = &'a (dyn Fn(&ListedMessage) -> bool + Sync);

/// The channel of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchedChannel {
    /// Direct messages, whose history the bot can always read.
    Direct(Id<ChannelMarker>),
    /// A channel of a server. Without the permission to read its history, Discord returns no messages instead of an error.
    OfServer {
        /// The channel.
        id: Id<ChannelMarker>,
        /// Its latest message by Discord's list of channels, also if it was deleted.
        latest: Option<Id<GenericMarker>>,
    },
}

impl SearchedChannel {
    /// The channel's id.
    pub(crate) const fn id(self) -> Id<ChannelMarker> {
        match self {
            Self::Direct(id) | Self::OfServer { id, .. } => id,
        }
    }

    /// What it means that Discord returns no messages.
    fn without_messages(self, since: OffsetDateTime) -> SearchResult {
        match self {
            // Messages were sent since then, and the bot may not read them, or they were deleted.
            Self::OfServer {
                latest: Some(latest), ..
            } if is_since(latest.timestamp(), since) => SearchResult::Unknown,
            Self::Direct(_) | Self::OfServer { .. } => SearchResult::Missing,
        }
    }
}

/// Whether a channel contains a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchResult {
    /// It contains this one.
    Found(Id<MessageMarker>),
    /// It does not contain the message.
    Missing,
    /// Discord does not show that.
    Unknown,
}

/// Searches for the message of an attempt that began at `since`, by Discord's clock; `is_it` recognises it.
///
/// # Errors
/// [`Failure::Retry`] if Discord is unavailable, or the proxy refuses the call until an operator has changed its configuration.
pub(crate) async fn search(
    calls: &Calls,
    channel: SearchedChannel,
    since: OffsetDateTime,
    is_it: Recognise<'_>,
) -> Result<SearchResult, Failure> {
    match search_pages(calls, channel, since, is_it).await {
        Err(error) if error.may_succeed_later() => Err(Failure::retry(error)),
        Err(error) => {
            tracing::warn!(%error, channel.id = %channel.id(), "whether a message was sent is unknown: the channel cannot be read");
            Ok(SearchResult::Unknown)
        }
        Ok(result) => Ok(result),
    }
}

async fn search_pages(
    calls: &Calls,
    channel: SearchedChannel,
    since: OffsetDateTime,
    is_it: Recognise<'_>,
) -> Result<SearchResult, Error> {
    let mut page = calls.latest_messages(channel.id()).await?;
    if page.is_empty() {
        return Ok(channel.without_messages(since));
    }
    for _ in 1..MAX_PAGES {
        if let Some(result) = result_of(&page, since, is_it) {
            return Ok(result);
        }
        let Some(oldest) = page.last().map(|message| message.id) else {
            break;
        };
        page = calls.messages_before(channel.id(), oldest).await?;
    }
    Ok(result_of(&page, since, is_it).unwrap_or(SearchResult::Unknown))
}

/// What a page of messages, newest first, shows; `None` if the message may be on the next one.
fn result_of(page: &[ListedMessage], since: OffsetDateTime, is_it: Recognise<'_>) -> Option<SearchResult> {
    let mut later = page
        .iter()
        .take_while(|message| is_since(message.id.timestamp(), since));
    if let Some(found) = later.find(|message| is_it(message)) {
        return Some(SearchResult::Found(found.id));
    }
    let is_last = page.len() < usize::from(LISTED_MESSAGES);
    let reaches_back = page.last().is_none_or(|oldest| !is_since(oldest.id.timestamp(), since));
    (is_last || reaches_back).then_some(SearchResult::Missing)
}

/// Whether a message of this time, in milliseconds since 1970, may have been sent by an attempt that began at `since`.
fn is_since(sent_ms: i64, since: OffsetDateTime) -> bool {
    let since_ms = (since - CLOCK_TOLERANCE).unix_timestamp_nanos() / 1_000_000;
    i128::from(sent_ms) >= since_ms
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;

    const BEGAN: OffsetDateTime = datetime!(2026-11-23 09:00 UTC);

    /// The snowflake of a message that was sent so many seconds after the attempt began.
    fn id<T>(seconds: i64) -> Id<T> {
        let ms = (BEGAN.unix_timestamp() + seconds) * 1000 - 1_420_070_400_000;
        Id::new(ms.cast_unsigned() << 22)
    }

    fn sent(seconds: i64, title: &str) -> ListedMessage {
        ListedMessage {
            id: id(seconds),
            components: Value::Null,
            embeds: json!([{"title": title}]),
        }
    }

    fn is_digest(message: &ListedMessage) -> bool {
        message.embeds[0]["title"] == "digest"
    }

    #[test]
    fn message_is_found_only_behind_the_beginning_of_its_attempt() {
        let page = [sent(5, "other"), sent(1, "digest"), sent(-600, "digest")];
        assert_eq!(result_of(&page, BEGAN, &is_digest), Some(SearchResult::Found(id(1))));
        assert_eq!(
            result_of(&page[2..], BEGAN, &is_digest),
            Some(SearchResult::Missing),
            "it is of an earlier week"
        );
        let early = [sent(-30, "digest")];
        assert_eq!(
            result_of(&early, BEGAN, &is_digest),
            Some(SearchResult::Found(id(-30))),
            "the clocks may differ"
        );
    }

    #[test]
    fn next_page_is_read_while_a_full_one_does_not_reach_back() {
        let full = |oldest: i64| {
            let mut page = vec![sent(90, "other"); usize::from(LISTED_MESSAGES) - 1];
            page.push(sent(oldest, "other"));
            page
        };
        assert_eq!(result_of(&full(-30), BEGAN, &is_digest), None, "the clocks may differ");
        assert_eq!(result_of(&full(-120), BEGAN, &is_digest), Some(SearchResult::Missing));
        assert_eq!(
            result_of(&full(30)[..50], BEGAN, &is_digest),
            Some(SearchResult::Missing),
            "the channel has no more"
        );
        assert_eq!(result_of(&[], BEGAN, &is_digest), Some(SearchResult::Missing));
    }

    #[test]
    fn empty_list_of_a_channel_with_newer_messages_shows_nothing() {
        let channel = |latest: Option<i64>| SearchedChannel::OfServer {
            id: Id::new(7),
            latest: latest.map(id),
        };
        assert_eq!(channel(Some(5)).without_messages(BEGAN), SearchResult::Unknown);
        assert_eq!(channel(Some(-600)).without_messages(BEGAN), SearchResult::Missing);
        assert_eq!(channel(None).without_messages(BEGAN), SearchResult::Missing);
        let direct = SearchedChannel::Direct(Id::new(7));
        assert_eq!(direct.without_messages(BEGAN), SearchResult::Missing);
    }
}
