//! Handles one update, from a poll or from the webhook. Handling it again changes nothing and sends nothing: a change has a condition or a
//! claim, an answer is claimed before it is sent (`message_claims`), and an edit repeats itself.

use serde_json::value::RawValue;

use crate::bot_api::{CallbackQuery, Message, Update, UpdateHead};
use crate::commands::{self, Command};
use crate::services::{Handled, Services};

/// Decodes an update. An update that Telegram's next version has changed is skipped.
pub(crate) fn decode(services: &Services, raw: &RawValue) -> Option<Update> {
    match serde_json::from_str(raw.get()) {
        Ok(update) => Some(update),
        Err(error) => {
            let id = id(raw);
            services.metrics.update("malformed");
            tracing::warn!(update.id = id, %error, "an update cannot be decoded, and is skipped");
            None
        }
    }
}

/// The id of an undecoded update; `None` when it has none by which it could be confirmed.
pub(crate) fn id(raw: &RawValue) -> Option<i64> {
    let head: Option<UpdateHead> = serde_json::from_str(raw.get()).ok();
    head.map(|head| head.update_id).filter(|id| (0..i64::MAX).contains(id))
}

/// The chat of an update, `None` for a kind that is not handled. The updates of one chat are handled in their order.
pub(crate) fn chat(update: &Update) -> Option<i64> {
    let pressed = update.callback_query.as_ref().map(|query| query.from.id);
    pressed.or_else(|| update.message.as_ref().map(|message| message.chat.id))
}

/// Handles an update and counts it. Errors are logged; the member gets a reply that states them.
pub(crate) async fn handle(services: &Services, update: &Update) -> Handled {
    if let Some(query) = &update.callback_query {
        services.metrics.update("callback_query");
        press(services, update.update_id, query).await
    } else if let Some(message) = &update.message {
        services.metrics.update("message");
        receive(services, update.update_id, message).await
    } else {
        services.metrics.update("other");
        Handled::Done
    }
}

async fn receive(services: &Services, update: i64, message: &Message) -> Handled {
    let Some(user) = message.from.as_ref().filter(|user| !user.is_bot && user.id > 0) else {
        return Handled::Done;
    };
    let (chat, text) = (&message.chat, message.text.as_deref().unwrap_or_default());
    let command = Command::parse(text, &services.username);
    if chat.is_private_with(user.id) {
        // Photos, stickers and the like need no answer.
        if text.is_empty() || services.is_answered(update).await || !is_allowed(services, update, user.id).await {
            return Handled::Done;
        }
        let name = command.map_or("help", |command| command.name);
        commands::run(services, update, message, user, name).await
    } else if chat.is_private() {
        // An answer would be the one for the user's account, in the chat of another one.
        tracing::warn!(
            update.id = update,
            "a message in a private chat is not of the user of the chat; it is not answered"
        );
        Handled::Done
    } else if chat.is_group()
        && command.is_some_and(Command::is_for_this_bot)
        && !services.is_answered(update).await
        && services.rate_limits.begin_group(chat.id, update).await
    {
        commands::in_group(services, update, chat.id).await
    } else {
        Handled::Done
    }
}

async fn press(services: &Services, update: i64, query: &CallbackQuery) -> Handled {
    let user = query.from.id;
    let own_chat = query
        .message
        .as_ref()
        .filter(|message| message.chat.is_private_with(user));
    if let Some(message) = own_chat
        && is_allowed(services, update, user).await
    {
        return commands::press(services, update, query, message).await;
    }
    // A forwarded message, or too many presses: only the waiting state of the button ends.
    commands::answer_press(services, &query.id, "").await;
    Handled::Done
}

/// Whether the user has sent few enough updates. What exceeds the limit is counted, and not answered.
async fn is_allowed(services: &Services, update: i64, user: i64) -> bool {
    let is_allowed = services.rate_limits.take(user, update).await;
    if !is_allowed {
        services.metrics.limited.inc();
    }
    is_allowed
}
