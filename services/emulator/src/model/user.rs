//! Users. <https://discord.com/developers/docs/resources/user#user-object>

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Id;

/// A user or a bot, independent of servers.
#[derive(Clone, Debug)]
pub struct User {
    /// Snowflake of the user.
    pub id: Id,
    /// Unique lower-case name.
    pub username: String,
    /// `"0"` for users with unique names; bots keep four digits.
    pub discriminator: String,
    /// Display name.
    pub global_name: Option<String>,
    /// Hash of the avatar.
    pub avatar: Option<String>,
    /// Whether it is a bot.
    pub bot: bool,
    /// Hash of the banner.
    pub banner: Option<String>,
    /// Colour of the banner.
    pub accent_color: Option<u32>,
    /// Public flags, bit set.
    pub public_flags: u64,
    /// Emulator only: whether the user accepts direct messages from a bot (50007 when not).
    pub accepts_dms: bool,
}

/// A nickname or display name as Discord stores it: without white space at its ends; `None` when empty.
#[must_use]
pub fn shown_name(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

impl User {
    /// A user with this name and default values.
    #[must_use]
    pub fn person(id: Id, username: &str, shown: Option<&str>) -> Self {
        Self {
            id,
            username: username.to_owned(),
            discriminator: "0".to_owned(),
            global_name: shown.and_then(shown_name),
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

    /// The display name, else the unique name.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.global_name.as_deref().unwrap_or(&self.username)
    }
}

/// Discord's user object. `flags` has the public flags, since a bot sees no others.
impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("id", &self.id)?;
        out.serialize_entry("username", &self.username)?;
        out.serialize_entry("discriminator", &self.discriminator)?;
        out.serialize_entry("global_name", &self.global_name)?;
        out.serialize_entry("avatar", &self.avatar)?;
        if self.bot {
            out.serialize_entry("bot", &true)?;
        }
        out.serialize_entry("banner", &self.banner)?;
        out.serialize_entry("accent_color", &self.accent_color)?;
        out.serialize_entry("public_flags", &self.public_flags)?;
        out.serialize_entry("flags", &self.public_flags)?;
        out.serialize_entry("avatar_decoration_data", &None::<()>)?;
        out.serialize_entry("collectibles", &None::<()>)?;
        out.serialize_entry("primary_guild", &None::<()>)?;
        out.end()
    }
}
