//! The parts of Telegram's objects that are read or sent. Unknown fields are ignored: Telegram adds some with every version.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The id of an update: the one field that every kind of update has.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct UpdateHead {
    /// Id of the update; later updates have larger ones.
    pub(crate) update_id: i64,
}

/// An [update](https://core.telegram.org/bots/api#update). An update of any other kind has neither message nor callback query.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Update {
    /// Id of the update; later updates have larger ones.
    pub(crate) update_id: i64,
    /// A new message of a chat.
    pub(crate) message: Option<Message>,
    /// The press of a button.
    pub(crate) callback_query: Option<CallbackQuery>,
}

/// A [message](https://core.telegram.org/bots/api#message).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    pub(crate) message_id: i64,
    pub(crate) from: Option<User>,
    pub(crate) chat: Chat,
    pub(crate) text: Option<String>,
}

/// A [chat](https://core.telegram.org/bots/api#chat). The id of a private chat is that of its user.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Chat {
    pub(crate) id: i64,
    #[serde(rename = "type")]
    kind: String,
}

impl Chat {
    /// Whether it is the chat of a user with the bot.
    pub(crate) fn is_private(&self) -> bool {
        self.kind == "private"
    }

    /// Whether it is the chat of this user with the bot.
    pub(crate) fn is_private_with(&self, user: i64) -> bool {
        self.is_private() && self.id == user
    }

    /// Whether it is a group or a supergroup; a channel is neither.
    pub(crate) fn is_group(&self) -> bool {
        matches!(self.kind.as_str(), "group" | "supergroup")
    }
}

/// A [user](https://core.telegram.org/bots/api#user) or a bot.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) is_bot: bool,
    #[serde(default)]
    first_name: String,
    last_name: Option<String>,
    pub(crate) username: Option<String>,
}

impl User {
    /// The name as Telegram shows it, on one line.
    pub(crate) fn name(&self) -> String {
        let mut name = self.first_name.clone();
        if let Some(last) = &self.last_name {
            name.push(' ');
            name.push_str(last);
        }
        crate::render::one_line(&name)
    }
}

/// The press of a button ([callback query](https://core.telegram.org/bots/api#callbackquery)).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CallbackQuery {
    pub(crate) id: String,
    pub(crate) from: User,
    /// The message with the button.
    pub(crate) message: Option<Message>,
    /// The data of the button, as [`Keyboard::press`] set it.
    pub(crate) data: Option<String>,
}

/// The buttons below a message, one a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Keyboard {
    inline_keyboard: Vec<[Button; 1]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Button {
    Press { text: String, data: String },
    Link { text: String, url: String },
}

impl Serialize for Button {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let button: Value = match self {
            Self::Press { text, data } => json!({"text": text, "callback_data": data}),
            Self::Link { text, url } => json!({"text": text, "url": url}),
        };
        button.serialize(serializer)
    }
}

impl Keyboard {
    /// Adds a button whose press is sent with this data, at most 64 bytes.
    pub(crate) fn press(mut self, text: impl Into<String>, data: impl Into<String>) -> Self {
        let (text, data) = (text.into(), data.into());
        debug_assert!(data.len() <= 64, "callback data {data}");
        self.inline_keyboard.push([Button::Press { text, data }]);
        self
    }

    /// Adds a button that opens a page.
    pub(crate) fn link(mut self, text: impl Into<String>, url: impl Into<String>) -> Self {
        let (text, url) = (text.into(), url.into());
        self.inline_keyboard.push([Button::Link { text, url }]);
        self
    }
}
