//! Discord's permissions by name, each one bit of a 64-bit set.
//!
//! Source: <https://discord.com/developers/docs/topics/permissions>. To add one, add a line to the table; a test compares
//! it with twilight's.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! permissions {
    ($($variant:ident $name:literal $bit:literal $doc:literal)*) => {
        /// One permission.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $(#[doc = $doc] $variant = $bit,)*
        }

        impl Permission {
            /// All of them, by bit.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Discord's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it allows, in a sentence.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }
        }
    };
}

permissions! {
    CreateInvite "CREATE_INVITE" 0 "Create invites."
    KickMembers "KICK_MEMBERS" 1 "Kick members."
    BanMembers "BAN_MEMBERS" 2 "Ban members."
    Administrator "ADMINISTRATOR" 3 "Everything, whatever overwrites say."
    ManageChannels "MANAGE_CHANNELS" 4 "Make, change and delete channels."
    ManageGuild "MANAGE_GUILD" 5 "Change the server's settings."
    AddReactions "ADD_REACTIONS" 6 "Add reactions that nobody has added yet."
    ViewAuditLog "VIEW_AUDIT_LOG" 7 "Read the audit log."
    PrioritySpeaker "PRIORITY_SPEAKER" 8 "Be heard above others in voice."
    Stream "STREAM" 9 "Share a screen or a camera."
    ViewChannel "VIEW_CHANNEL" 10 "See a channel and, in text, read it."
    SendMessages "SEND_MESSAGES" 11 "Write in text channels, post in forums."
    SendTtsMessages "SEND_TTS_MESSAGES" 12 "Have messages read aloud."
    ManageMessages "MANAGE_MESSAGES" 13 "Delete messages of others."
    EmbedLinks "EMBED_LINKS" 14 "Have links shown as embeds."
    AttachFiles "ATTACH_FILES" 15 "Attach files."
    ReadMessageHistory "READ_MESSAGE_HISTORY" 16 "Read what was written before."
    MentionEveryone "MENTION_EVERYONE" 17 "Mention everyone and every role."
    UseExternalEmojis "USE_EXTERNAL_EMOJIS" 18 "Use emoji of other servers."
    ViewGuildInsights "VIEW_GUILD_INSIGHTS" 19 "See the server's statistics."
    Connect "CONNECT" 20 "Join a voice channel."
    Speak "SPEAK" 21 "Speak in a voice channel."
    MuteMembers "MUTE_MEMBERS" 22 "Mute others in voice."
    DeafenMembers "DEAFEN_MEMBERS" 23 "Deafen others in voice."
    MoveMembers "MOVE_MEMBERS" 24 "Move others between voice channels."
    UseVad "USE_VAD" 25 "Speak without push-to-talk."
    ChangeNickname "CHANGE_NICKNAME" 26 "Change the own nickname."
    ManageNicknames "MANAGE_NICKNAMES" 27 "Change nicknames of others."
    ManageRoles "MANAGE_ROLES" 28 "Make, change and give roles below the own."
    ManageWebhooks "MANAGE_WEBHOOKS" 29 "Make, change and delete webhooks."
    ManageGuildExpressions "MANAGE_GUILD_EXPRESSIONS" 30 "Change and delete emoji, stickers and sounds."
    UseApplicationCommands "USE_APPLICATION_COMMANDS" 31 "Use commands of applications."
    RequestToSpeak "REQUEST_TO_SPEAK" 32 "Ask to speak on a stage."
    ManageEvents "MANAGE_EVENTS" 33 "Change and delete scheduled events."
    ManageThreads "MANAGE_THREADS" 34 "Archive and delete threads, see private ones."
    CreatePublicThreads "CREATE_PUBLIC_THREADS" 35 "Open public threads."
    CreatePrivateThreads "CREATE_PRIVATE_THREADS" 36 "Open private threads."
    UseExternalStickers "USE_EXTERNAL_STICKERS" 37 "Use stickers of other servers."
    SendMessagesInThreads "SEND_MESSAGES_IN_THREADS" 38 "Write in threads."
    UseEmbeddedActivities "USE_EMBEDDED_ACTIVITIES" 39 "Start activities."
    ModerateMembers "MODERATE_MEMBERS" 40 "Time members out."
    ViewCreatorMonetizationAnalytics "VIEW_CREATOR_MONETIZATION_ANALYTICS" 41 "See role subscription figures."
    UseSoundboard "USE_SOUNDBOARD" 42 "Play sounds in voice."
    CreateGuildExpressions "CREATE_GUILD_EXPRESSIONS" 43 "Add emoji, stickers and sounds."
    CreateEvents "CREATE_EVENTS" 44 "Create scheduled events."
    UseExternalSounds "USE_EXTERNAL_SOUNDS" 45 "Play sounds of other servers."
    SendVoiceMessages "SEND_VOICE_MESSAGES" 46 "Send voice messages."
    SendPolls "SEND_POLLS" 49 "Send polls."
    UseExternalApps "USE_EXTERNAL_APPS" 50 "Let the own apps answer in public."
    PinMessages "PIN_MESSAGES" 51 "Pin and unpin messages."
    BypassSlowmode "BYPASS_SLOWMODE" 52 "Write without waiting for slow mode."
}

/// A name that is no permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a permission")]
pub struct UnknownPermission(pub String);

impl Permission {
    /// Its bit.
    #[must_use]
    pub const fn bits(self) -> u64 {
        1 << self as u8
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(name: &str) -> Result<Self, UnknownPermission> {
        let found = Self::ALL.iter().copied().find(|permission| permission.name() == name);
        found.ok_or_else(|| UnknownPermission(name.to_owned()))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of permissions. Serde speaks Discord's form, the bits as a decimal string.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u64);

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);

    /// From Discord's bits, unknown ones included, so that nothing is lost on the way through.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Discord's bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A set of these; `const`, for tables.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < permissions.len() {
            bits |= permissions[index].bits();
            index += 1;
        }
        Self(bits)
    }

    /// Whether it is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bits() != 0
    }

    /// Nothing in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What both hold.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What this holds and the other does not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The permissions in it that have a name, by bit.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |permission| self.contains(*permission))
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Permissions {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions
            .into_iter()
            .fold(Self::NONE, |set, one| set | Self(one.bits()))
    }
}

/// The names, which a test's reader understands and a number would not tell.
impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Permission::name).collect();
        write!(f, "[{}]", names.join(" | "))
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| serde::de::Error::custom("permission bits are a decimal string"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Discord renamed two after twilight took them: <https://discord.com/developers/docs/change-log>.
    const RENAMED: [(&str, &str); 2] = [
        ("MANAGE_EMOJIS_AND_STICKERS", "MANAGE_GUILD_EXPRESSIONS"),
        ("USE_SLASH_COMMANDS", "USE_APPLICATION_COMMANDS"),
    ];

    #[test]
    fn names_and_bits_are_those_of_discord() {
        let mut theirs: Vec<(&str, u64)> = twilight_model::guild::Permissions::all()
            .iter_names()
            .map(|(name, bit)| (name, bit.bits()))
            .collect();
        for (old, new) in RENAMED {
            theirs
                .iter_mut()
                .filter(|(name, _)| *name == old)
                .for_each(|(name, _)| *name = new);
        }
        theirs.retain(|(_, bits)| bits.is_power_of_two());
        theirs.sort_by_key(|(_, bits)| *bits);
        theirs.dedup_by_key(|(_, bits)| *bits);
        let ours: Vec<(&str, u64)> = Permission::ALL.iter().map(|one| (one.name(), one.bits())).collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn sets_are_sets() {
        let both = Permissions::of(&[Permission::Connect, Permission::Speak]);
        assert!(both.contains(Permission::Speak) && !both.contains(Permission::Stream));
        assert_eq!(
            both.without(Permissions::of(&[Permission::Speak])),
            Permissions::of(&[Permission::Connect])
        );
        assert_eq!(both.iter().collect::<Permissions>(), both);
        assert_eq!(serde_json::to_string(&both).unwrap(), "\"3145728\"");
        assert_eq!(serde_json::from_str::<Permissions>("\"3145728\"").unwrap(), both);
        assert_eq!(format!("{both:?}"), "[CONNECT | SPEAK]");
        assert!("SEND_MESAGES".parse::<Permission>().is_err());
    }
}
