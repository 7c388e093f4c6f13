//! Direct messages to single members of a community, such as the messages to admins. Alerts have their own delivery
//! (`jobs/notify/deliver.rs`).
//!
//! Each message is sent once for its key ([`NoncedMessage`]). When Discord may have forgotten the nonce of an earlier attempt, the member's
//! channel is searched for a message with the same title and text.

use std::time::Duration;

use arrakis_causes::causes;
use arrakis_discord::{Error, ListedMessage};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use crate::community::Community;
use crate::failure::Failure;
use crate::nonced_message::{NoncedMessage, NoncedOutcome};
use crate::sent_messages::{Recognise, SearchResult, SearchedChannel, search};
use crate::services::Services;

/// Time limit of a call: far below the time for which Discord remembers a nonce.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Codes of a bot that opens channels too fast (40003) or is flagged as spam (20026): the member is not the reason.
const BOT_LIMITED: [u64; 2] = [40_003, 20_026];

/// A direct message that is sent once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirectMessage<'a> {
    /// Postgres, Discord and metrics.
    pub(crate) services: &'a Services,
    /// The community that it is about.
    pub(crate) community: &'a Community,
    /// What it follows from: the same in each attempt.
    pub(crate) key: &'a str,
    /// Its recipient.
    pub(crate) user: Id<UserMarker>,
    /// The message: one embed with title and description.
    pub(crate) text: &'a InteractionResponseData,
}

/// What became of a direct message.
#[derive(Debug)]
pub(crate) enum DirectOutcome {
    /// Sent, or not sent for a reason that another attempt does not change, which is logged.
    Ended,
    /// Discord accepts neither it nor others at the moment, for this reason.
    Later(String),
}

impl DirectMessage<'_> {
    /// Sends the message, unless it was sent.
    ///
    /// # Errors
    /// If a row in Postgres is corrupt.
    pub(crate) async fn send(self) -> Result<DirectOutcome, Failure> {
        match Box::pin(self.send_once()).await {
            Ok(NoncedOutcome::Sent | NoncedOutcome::Unknown) => Ok(DirectOutcome::Ended),
            Ok(NoncedOutcome::Refused(error)) if error.may_succeed_later() || is_of_bot(&error) => {
                Ok(DirectOutcome::Later(error.to_string()))
            }
            Ok(NoncedOutcome::Refused(error)) => {
                tracing::info!(%error, key = self.key, "a member accepts no direct messages of the bot");
                Ok(DirectOutcome::Ended)
            }
            Err(Failure::Retry(error)) => Ok(DirectOutcome::Later(causes(error.as_ref()))),
            Err(failure) => Err(failure),
        }
    }

    async fn send_once(self) -> Result<NoncedOutcome, Failure> {
        let Self {
            services,
            community,
            key,
            user,
            text,
        } = self;
        let calls = &services.discord.bulk(Some(community.guild())).within(SEND_LIMIT);
        let nonced = NoncedMessage {
            services,
            community: Some(community.id()),
            guild: Some(community.guild()),
            key,
        };
        let is_it: Recognise<'_> = &|message| has_text(message, text);
        nonced
            .send_unless_found(
                |began| async move {
                    match calls.open_dm(user).await {
                        Ok(channel) => search(calls, SearchedChannel::Direct(channel), began, is_it).await,
                        Err(error) if error.may_succeed_later() || is_of_bot(&error) => Err(Failure::retry(error)),
                        Err(_) => Ok(SearchResult::Unknown),
                    }
                },
                |nonce| async move { calls.send_dm(user, text, nonce).await.map(drop) },
            )
            .await
    }
}

/// Whether a refusal is of the bot, and not of the member.
pub(crate) fn is_of_bot(error: &Error) -> bool {
    BOT_LIMITED.contains(&code_of(error))
}

/// Discord's code of a refusal; 0 without one.
pub(crate) fn code_of(error: &Error) -> u64 {
    match error {
        Error::Gone { code, .. } | Error::Forbidden { code, .. } | Error::Invalid { code, .. } => *code,
        _ => 0,
    }
}

/// Whether a message has the title and the description of this one.
fn has_text(message: &ListedMessage, text: &InteractionResponseData) -> bool {
    let Some(embed) = text.embeds.as_deref().and_then(<[_]>::first) else {
        return false;
    };
    let listed = &message.embeds[0];
    listed["title"].as_str() == embed.title.as_deref() && listed["description"].as_str() == embed.description.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use twilight_util::builder::embed::EmbedBuilder;

    use super::*;
    use crate::interaction::reply::message;

    #[test]
    fn message_is_recognised_by_title_and_description() {
        let embed = EmbedBuilder::new().title("The rules change").description("On Monday.");
        let text = message(embed.build(), Vec::new());
        let sent = |title: &str, description: &str| ListedMessage {
            id: Id::new(7),
            components: Value::Null,
            embeds: json!([{"title": title, "description": description}]),
        };
        assert!(has_text(&sent("The rules change", "On Monday."), &text));
        assert!(!has_text(&sent("The rules change", "On Tuesday."), &text));
        assert!(!has_text(&sent("Something needs you", "On Monday."), &text));
    }

    #[test]
    fn refusal_of_the_bot_is_told_from_one_of_the_member() {
        let forbidden = |code: u64| Error::Forbidden {
            code,
            message: String::new(),
        };
        assert!(is_of_bot(&forbidden(40_003)));
        assert!(!is_of_bot(&forbidden(50_007)));
    }
}
