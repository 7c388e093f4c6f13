//! The commands and the buttons.
//!
//! | file | handles |
//! |---|---|
//! | `verify.rs` | `/verify`, and `/start verify` by a link to the bot |
//! | `status.rs` | `/status` |
//! | `unlink.rs` | `/unlink` and its buttons |
//! | `consent.rs` | the buttons by which the holder of a wallet answers |

mod consent;
mod status;
mod unlink;
mod verify;

use crate::api::ApiError;
use crate::bot_api::{CallError, CallbackQuery, Keyboard, Message, User};
use crate::buttons::Press;
use crate::message_claims::MessageClaim;
use crate::render;
use crate::services::{Delivery, Handled, Services};

/// Payload of a link to the bot that begins a verification: `https://t.me/BOT?start=verify`.
const VERIFY: &str = "verify";

/// A command in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    /// The command that is to be run: of `/start verify`, `verify`.
    pub(crate) name: &'a str,
    /// Whether it names this bot; `None` when it names none.
    names_this_bot: Option<bool>,
}

impl<'a> Command<'a> {
    /// The command with which a text begins.
    pub(crate) fn parse(text: &'a str, username: &str) -> Option<Self> {
        let mut words = text.strip_prefix('/')?.split_whitespace();
        let first = words.next()?;
        let (name, bot) = first
            .split_once('@')
            .map_or((first, None), |(name, bot)| (name, Some(bot)));
        let name = if name == "start" && words.next() == Some(VERIFY) {
            VERIFY
        } else {
            name
        };
        Some(Self {
            name,
            names_this_bot: bot.map(|bot| bot.eq_ignore_ascii_case(username)),
        })
    }

    /// Whether a command in a group is for this bot: it names the bot, or it is the one that no other bot has.
    pub(crate) fn is_for_this_bot(self) -> bool {
        self.names_this_bot.unwrap_or(self.name == VERIFY)
    }
}

/// Runs a command of a private chat. A text that is no command gets the help.
pub(crate) async fn run(services: &Services, update: i64, message: &Message, user: &User, name: &str) -> Handled {
    let chat = message.chat.id;
    let reply = match name {
        VERIFY => return verify::run(services, update, chat, user).await,
        "status" => status::run(services, user.id).await,
        "unlink" => unlink::show_choices(services, user.id).await,
        "start" => Ok((render::start(), Keyboard::default())),
        _ => Ok((render::help(), Keyboard::default())),
    };
    let (text, keyboard) = reply.unwrap_or_else(|error| unavailable(&error));
    services.answer(update, chat, &text, &keyboard).await.0
}

/// Replies in a group with a button that opens the private chat. A link to the wallet page is a secret of one account. When the reply
/// was certainly not sent, another command of the group may get one.
pub(crate) async fn in_group(services: &Services, update: i64, chat: i64) -> Handled {
    let url = format!("https://t.me/{}?start={VERIFY}", services.username);
    let keyboard = Keyboard::default().link("Write in private", url);
    let claim = MessageClaim::Answer(update);
    let delivery = services.deliver(claim, chat, &render::private_only(), &keyboard).await;
    if let Delivery::Failed(error) = &delivery
        && error.is_not_executed()
    {
        services.rate_limits.end_group(chat).await;
    }
    services.answered(delivery).0
}

/// Handles the press of a button: the message with it states the result. A press that is delivered again changes nothing: `unlink` names
/// the verification that it ends, an answer its session, and separating is claimed by the id of the update.
pub(crate) async fn press(services: &Services, update: i64, query: &CallbackQuery, message: &Message) -> Handled {
    let user = query.from.id;
    let result = match query.data.as_deref().and_then(Press::parse) {
        Some(Press::Unlink { address, event }) => unlink::unlink(services, user, &address, event).await,
        Some(Press::Separate) => unlink::separate(services, update, user).await,
        Some(Press::Answer { session, consents }) => consent::answer(services, user, session, consents).await,
        Some(Press::Keep) => Ok(render::kept()),
        None => Ok(render::outdated()),
    };
    let (text, busy) = match result {
        Ok(text) => (text, false),
        Err(error) => (unavailable(&error).0, true),
    };
    let hint = if busy { text.as_str() } else { "" };
    let shown = async {
        if busy {
            // The buttons stay, so that the member may press again.
            return Handled::Done;
        }
        show(services, update, message, &text).await
    };
    tokio::join!(shown, answer_press(services, &query.id, hint)).0
}

/// Ends the waiting state of a button, with a text that is shown for a moment.
pub(crate) async fn answer_press(services: &Services, query: &str, text: &str) {
    if let Err(error) = services.bot.answer_callback(query, text).await {
        tracing::debug!(%error, "the press of a button was not answered");
    }
}

/// Replaces the message; one that cannot be edited is followed by another.
async fn show(services: &Services, update: i64, message: &Message, text: &str) -> Handled {
    let keyboard = Keyboard::default();
    let edited = services.bot.edit(message.chat.id, message.message_id, text, &keyboard);
    match edited.await {
        Ok(()) => Handled::Done,
        Err(CallError::Refused { .. }) => services.answer(update, message.chat.id, text, &keyboard).await.0,
        Err(CallError::Forbidden(_)) => Handled::Done,
        Err(_) if services.bot.is_stopping() => Handled::Stopped,
        Err(error) => {
            crate::services::log_unsent(&error, "the result of a button");
            Handled::Done
        }
    }
}

/// The reply while the api does not work.
fn unavailable(error: &ApiError) -> (String, Keyboard) {
    tracing::warn!(%error, "a request of a member failed; the reply states it");
    let text = match error {
        ApiError::Unknown(_) => render::uncertain(),
        _ => render::busy(),
    };
    (text, Keyboard::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_read_with_its_bot_and_its_payload() {
        let parse = |text| Command::parse(text, "ArrakisBot").map(|command| (command.name, command.is_for_this_bot()));
        for (text, expected) in [
            ("/verify", Some(("verify", true))),
            ("/verify@arrakisbot", Some(("verify", true))),
            ("/verify@OtherBot", Some(("verify", false))),
            ("/status", Some(("status", false))),
            ("/status@ArrakisBot now", Some(("status", true))),
            ("/start verify", Some(("verify", true))),
            ("/start verify2", Some(("start", false))),
            ("/start", Some(("start", false))),
            ("/", None),
            ("verify", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
