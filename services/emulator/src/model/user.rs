//! Users. <https://discord.com/developers/docs/resources/user#user-object>

use serde::Serialize;

use super::Id;

/// A person or a bot, independent of any server.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// Snowflake of the user.
    pub id: Id,
    /// Unique lower-case name.
    pub username: String,
    /// `"0"` for people on the new naming; bots keep four digits.
    pub discriminator: String,
    /// The name that is shown.
    pub global_name: Option<String>,
    /// Hash of the avatar.
    pub avatar: Option<String>,
    /// Whether it is a bot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// Hash of the banner.
    pub banner: Option<String>,
    /// Colour of the banner.
    pub accent_color: Option<u32>,
    /// Public flags, bit set.
    pub public_flags: u64,
    /// Emulator only: whether this person accepts direct messages from a bot (50007 when not).
    #[serde(skip)]
    pub accepts_dms: bool,
}

impl User {
    /// A person with this name and nothing else set.
    #[must_use]
    pub fn person(id: Id, username: &str, shown: Option<&str>) -> Self {
        Self {
            id,
            username: username.to_owned(),
            discriminator: "0".to_owned(),
            global_name: shown.map(str::to_owned),
            avatar: None,
            bot: false,
            banner: None,
            accent_color: None,
            public_flags: 0,
            accepts_dms: true,
        }
    }

    /// A bot account.
    #[must_use]
    pub fn bot(id: Id, username: &str) -> Self {
        Self {
            bot: true,
            discriminator: "0000".to_owned(),
            ..Self::person(id, username, None)
        }
    }

    /// The name people see: the shown name, else the unique one.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.global_name.as_deref().unwrap_or(&self.username)
    }
}
