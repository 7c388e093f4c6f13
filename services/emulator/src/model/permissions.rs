//! Permission bits. <https://discord.com/developers/docs/topics/permissions#permissions-bitwise-permission-flags>

use std::{fmt, str::FromStr};

use bitflags::bitflags;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

bitflags! {
    /// A set of permissions. In JSON it is a decimal string.
    ///
    /// [`Permissions::all`] is every bit of Discord's `OpenAPI` document, 0 to 53. REST drops other bits in roles and
    /// overwrites and refuses them in commands; seeds and the control API keep them, so that tests can create a server as a
    /// later version of Discord might return it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Permissions: u64 {
        /// Create invites.
        const CREATE_INSTANT_INVITE = 1 << 0;
        /// Kick members.
        const KICK_MEMBERS = 1 << 1;
        /// Ban members.
        const BAN_MEMBERS = 1 << 2;
        /// All permissions; overwrites do not apply.
        const ADMINISTRATOR = 1 << 3;
        /// Create, edit and delete channels.
        const MANAGE_CHANNELS = 1 << 4;
        /// Edit the server.
        const MANAGE_GUILD = 1 << 5;
        /// Add new reactions.
        const ADD_REACTIONS = 1 << 6;
        /// Read the audit log.
        const VIEW_AUDIT_LOG = 1 << 7;
        /// Priority speaker.
        const PRIORITY_SPEAKER = 1 << 8;
        /// Go live.
        const STREAM = 1 << 9;
        /// View a channel; required for everything else in it.
        const VIEW_CHANNEL = 1 << 10;
        /// Send messages (and create posts in forums).
        const SEND_MESSAGES = 1 << 11;
        /// Send with text to speech.
        const SEND_TTS_MESSAGES = 1 << 12;
        /// Delete and pin others' messages.
        const MANAGE_MESSAGES = 1 << 13;
        /// Embed links.
        const EMBED_LINKS = 1 << 14;
        /// Upload files.
        const ATTACH_FILES = 1 << 15;
        /// Read older messages.
        const READ_MESSAGE_HISTORY = 1 << 16;
        /// Mention @everyone, @here and every role.
        const MENTION_EVERYONE = 1 << 17;
        /// Use emojis of other servers.
        const USE_EXTERNAL_EMOJIS = 1 << 18;
        /// See server insights.
        const VIEW_GUILD_INSIGHTS = 1 << 19;
        /// Join voice.
        const CONNECT = 1 << 20;
        /// Speak in voice.
        const SPEAK = 1 << 21;
        /// Mute others in voice.
        const MUTE_MEMBERS = 1 << 22;
        /// Deafen others in voice.
        const DEAFEN_MEMBERS = 1 << 23;
        /// Move others between voice channels.
        const MOVE_MEMBERS = 1 << 24;
        /// Speak without push to talk.
        const USE_VAD = 1 << 25;
        /// Change one's own nickname.
        const CHANGE_NICKNAME = 1 << 26;
        /// Change others' nicknames.
        const MANAGE_NICKNAMES = 1 << 27;
        /// Create, edit, delete and assign roles below one's own; edit overwrites.
        const MANAGE_ROLES = 1 << 28;
        /// Create, edit and delete webhooks.
        const MANAGE_WEBHOOKS = 1 << 29;
        /// Edit and delete all emojis, stickers and sounds.
        const MANAGE_GUILD_EXPRESSIONS = 1 << 30;
        /// Use slash commands and context menus.
        const USE_APPLICATION_COMMANDS = 1 << 31;
        /// Ask to speak on a stage.
        const REQUEST_TO_SPEAK = 1 << 32;
        /// Edit and delete all scheduled events.
        const MANAGE_EVENTS = 1 << 33;
        /// Delete and archive threads, see private ones.
        const MANAGE_THREADS = 1 << 34;
        /// Create public threads.
        const CREATE_PUBLIC_THREADS = 1 << 35;
        /// Create private threads.
        const CREATE_PRIVATE_THREADS = 1 << 36;
        /// Use stickers of other servers.
        const USE_EXTERNAL_STICKERS = 1 << 37;
        /// Send in threads.
        const SEND_MESSAGES_IN_THREADS = 1 << 38;
        /// Use activities.
        const USE_EMBEDDED_ACTIVITIES = 1 << 39;
        /// Time members out.
        const MODERATE_MEMBERS = 1 << 40;
        /// See insights of role subscriptions.
        const VIEW_CREATOR_MONETIZATION_ANALYTICS = 1 << 41;
        /// Use the soundboard.
        const USE_SOUNDBOARD = 1 << 42;
        /// Create expressions and edit one's own.
        const CREATE_GUILD_EXPRESSIONS = 1 << 43;
        /// Create events and edit one's own.
        const CREATE_EVENTS = 1 << 44;
        /// Use sounds of other servers.
        const USE_EXTERNAL_SOUNDS = 1 << 45;
        /// Send voice messages.
        const SEND_VOICE_MESSAGES = 1 << 46;
        /// Use Clyde, an assistant that Discord removed in 2023. No longer documented, but still granted to @everyone of
        /// a new server.
        const USE_CLYDE_AI = 1 << 47;
        /// Set the voice channel's status.
        const SET_VOICE_CHANNEL_STATUS = 1 << 48;
        /// Send polls.
        const SEND_POLLS = 1 << 49;
        /// Let user-installed apps answer in public.
        const USE_EXTERNAL_APPS = 1 << 50;
        /// Pin and unpin messages.
        const PIN_MESSAGES = 1 << 51;
        /// Bypass slow mode.
        const BYPASS_SLOWMODE = 1 << 52;
        // Not documented; the highest bit that Discord's OpenAPI document allows (`maximum` of
        // `default_member_permissions`).
        const _ = 1 << 53;
    }
}

impl Permissions {
    /// Permissions of @everyone in a new server.
    pub const DEFAULT_EVERYONE: Self = Self::from_bits_retain(2_222_085_186_637_377);

    /// The names of the bits that are set, in bit order.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        self.iter_names().map(|(name, _)| name).collect()
    }

    /// The set of the named bits; the first unknown name is the error.
    ///
    /// # Errors
    /// The name that is not a permission.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        names.into_iter().try_fold(Self::empty(), |set, name| {
            Self::from_name(name)
                .map(|bit| set | bit)
                .ok_or_else(|| name.to_owned())
        })
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.bits(), f)
    }
}

impl FromStr for Permissions {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::from_bits_retain)
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.bits())
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(u64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(bits) => Ok(Self::from_bits_retain(bits)),
            Raw::Text(text) => text
                .parse()
                .map_err(|_| de::Error::custom(format!("{text:?} is not a permission bit set"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_agree() {
        let set = Permissions::from_names(["VIEW_CHANNEL", "SEND_MESSAGES"]).unwrap();
        assert_eq!(set.bits(), 0xC00);
        assert_eq!(set.names(), ["VIEW_CHANNEL", "SEND_MESSAGES"]);
        assert_eq!(Permissions::from_names(["FLY"]), Err("FLY".to_owned()));
    }

    #[test]
    fn every_bit_up_to_53_is_known_and_the_default_has_no_other() {
        assert_eq!(Permissions::all().bits(), 18_014_398_509_481_983);
        assert!(Permissions::all().contains(Permissions::DEFAULT_EVERYONE));
        assert!(Permissions::DEFAULT_EVERYONE.contains(Permissions::USE_CLYDE_AI));
    }

    #[test]
    fn unknown_bits_survive_a_round_trip() {
        let set: Permissions = serde_json::from_str("\"4611686018427387904\"").unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), "\"4611686018427387904\"");
    }
}
