//! Discord's permissions: the names, and sets of them.
//!
//! Discord sends a set as a decimal integer "of variable length". Unknown bits, also those beyond 64, are kept, compared
//! and sent back, up to [`Permissions::BITS`].
//!
//! Source: <https://discord.com/developers/docs/topics/permissions>. To add one, add a line to the table; a test compares
//! it with twilight's.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! permissions {
    ($($variant:ident $name:literal $bit:literal $doc:literal)*) => {
        /// A permission of Discord, by its name in the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $(#[doc = $doc] $variant = $bit,)*
        }

        impl Permission {
            /// All named permissions, ordered by bit.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Discord's name of the permission.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What the permission allows, one sentence.
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

/// A name that is not a permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a permission")]
pub struct UnknownPermission(pub String);

impl Permission {
    /// The permission's bit.
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

/// A set of permissions, named and unnamed. Serde and [`fmt::Display`] use Discord's format, the bits as a decimal number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions([u64; WORDS]);

/// Number of 64-bit words of a set; the first is the least significant.
const WORDS: usize = 4;
/// The greatest power of ten below 2^64: digits are printed in groups of 19.
const GROUP: u64 = 10_000_000_000_000_000_000;
const GROUP_DIGITS: usize = 19;

/// Why a text is not a set of permissions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionsError {
    /// The text is empty or not decimal digits only.
    #[error("permission bits are a decimal string")]
    NotDecimal,
    /// The number exceeds [`Permissions::BITS`] bits.
    #[error(
        "the permission bits are 2^{} or more, and this version handles {} bits",
        Permissions::BITS,
        Permissions::BITS
    )]
    TooLarge,
}

impl Permissions {
    /// The empty set.
    pub const NONE: Self = Self([0; WORDS]);
    /// Every bit, named or not.
    pub const ALL: Self = Self([u64::MAX; WORDS]);
    /// Number of bits of a set.
    pub const BITS: u32 = 256;

    /// The set with these bits, named or not. [`str::parse`] also accepts bits beyond 64.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        let mut words = [0; WORDS];
        words[0] = bits;
        Self(words)
    }

    /// The set with only this bit; `None` for a bit beyond [`Self::BITS`].
    #[must_use]
    pub const fn of_bit(bit: u32) -> Option<Self> {
        if bit >= Self::BITS {
            return None;
        }
        let mut words = [0; WORDS];
        words[(bit / u64::BITS) as usize] = 1 << (bit % u64::BITS);
        Some(Self(words))
    }

    /// The numbers of its bits, named or not, in ascending order.
    pub fn bit_numbers(self) -> impl Iterator<Item = u32> {
        (0..Self::BITS).filter(move |bit| self.0[(bit / u64::BITS) as usize] & (1 << (bit % u64::BITS)) != 0)
    }

    /// The set of these permissions.
    #[must_use]
    pub const fn of(permissions: &[Permission]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < permissions.len() {
            bits |= permissions[index].bits();
            index += 1;
        }
        Self::from_bits(bits)
    }

    /// Whether the set contains this permission.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0[0] & permission.bits() != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        let mut index = 0;
        while index < WORDS {
            if self.0[index] != 0 {
                return false;
            }
            index += 1;
        }
        true
    }

    /// The permissions that are in both sets.
    #[must_use]
    pub const fn intersection(mut self, other: Self) -> Self {
        let mut index = 0;
        while index < WORDS {
            self.0[index] &= other.0[index];
            index += 1;
        }
        self
    }

    /// The permissions of this set that are not in the other one.
    #[must_use]
    pub const fn without(mut self, other: Self) -> Self {
        let mut index = 0;
        while index < WORDS {
            self.0[index] &= !other.0[index];
            index += 1;
        }
        self
    }

    /// The named permissions of the set, ordered by bit.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |permission| self.contains(*permission))
    }

    /// This number times `factor`, plus `summand`; `None` beyond [`Self::BITS`].
    fn scaled(mut self, factor: u64, summand: u64) -> Option<Self> {
        let mut carry = u128::from(summand);
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(factor) + carry;
            *word = low(product);
            carry = product >> u64::BITS;
        }
        (carry == 0).then_some(self)
    }

    /// Quotient and remainder of this number by [`GROUP`].
    fn divided(mut self) -> (Self, u64) {
        let mut rest = 0;
        for word in self.0.iter_mut().rev() {
            let dividend = u128::from(rest) << u64::BITS | u128::from(*word);
            *word = low(dividend / u128::from(GROUP));
            rest = low(dividend % u128::from(GROUP));
        }
        (self, rest)
    }
}

/// The least significant 64 bits.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the caller keeps the other bits as carry"
)]
const fn low(number: u128) -> u64 {
    number as u64
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self |= other;
        self
    }
}

impl BitOrAssign for Permissions {
    fn bitor_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions
            .into_iter()
            .fold(Self::NONE, |set, one| set | Self::from_bits(one.bits()))
    }
}

impl FromStr for Permissions {
    type Err = PermissionsError;

    fn from_str(text: &str) -> Result<Self, PermissionsError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PermissionsError::NotDecimal);
        }
        let digits = text.bytes().map(|digit| u64::from(digit - b'0'));
        let mut set = Self::NONE;
        for digit in digits {
            set = set.scaled(10, digit).ok_or(PermissionsError::TooLarge)?;
        }
        Ok(set)
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut quotient, first) = self.divided();
        let mut groups = vec![first];
        while !quotient.is_empty() {
            let (next, group) = quotient.divided();
            groups.push(group);
            quotient = next;
        }
        let mut groups = groups.into_iter().rev();
        let mut text = groups.next().unwrap_or(0).to_string();
        for group in groups {
            text.push_str(&format!("{group:0GROUP_DIGITS$}"));
        }
        f.pad_integral(true, "", &text)
    }
}

/// Prints names instead of a number.
impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::of(Permission::ALL);
        let names = self.iter().map(|permission| permission.name().to_owned());
        let unknown = self.without(named).bit_numbers().map(|bit| format!("BIT_{bit}"));
        write!(f, "[{}]", names.chain(unknown).collect::<Vec<_>>().join(" | "))
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Discord renamed two that twilight has by their old names: <https://discord.com/developers/docs/change-log>.
    const RENAMED: [(&str, &str); 2] = [
        ("MANAGE_EMOJIS_AND_STICKERS", "MANAGE_GUILD_EXPRESSIONS"),
        ("USE_SLASH_COMMANDS", "USE_APPLICATION_COMMANDS"),
    ];

    #[test]
    fn names_and_bits_equal_those_of_twilight() {
        let mut twilight: Vec<(&str, u64)> = twilight_model::guild::Permissions::all()
            .iter_names()
            .map(|(name, bit)| (name, bit.bits()))
            .collect();
        for (old, new) in RENAMED {
            twilight
                .iter_mut()
                .filter(|(name, _)| *name == old)
                .for_each(|(name, _)| *name = new);
        }
        twilight.retain(|(_, bits)| bits.is_power_of_two());
        twilight.sort_by_key(|(_, bits)| *bits);
        twilight.dedup_by_key(|(_, bits)| *bits);
        let ours: Vec<(&str, u64)> = Permission::ALL.iter().map(|one| (one.name(), one.bits())).collect();
        assert_eq!(ours, twilight);
    }

    #[test]
    fn set_operations() {
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

    #[test]
    fn bits_beyond_64_round_trip() {
        for text in [
            "0",
            "8",
            "18446744073709551615",
            "18446744073709551616",
            "10000000000000000000",
            "100000000000000000000000000000000000000",
            "340282366920938463463374607431768211456",
            "115792089237316195423570985008687907853269984665640564039457584007913129639935",
        ] {
            let set: Permissions = text.parse().unwrap();
            assert_eq!(set.to_string(), text);
            assert_eq!(serde_json::to_string(&set).unwrap(), format!("\"{text}\""));
            let bits = set.bit_numbers().filter_map(Permissions::of_bit);
            assert_eq!(bits.fold(Permissions::NONE, |sum, bit| sum | bit), set, "{text}");
            assert_eq!(set.without(set), Permissions::NONE);
            assert_eq!(set.intersection(Permissions::ALL), set);
        }
        let high: Permissions = "18446744073709551616".parse().unwrap();
        assert_eq!(high.bit_numbers().collect::<Vec<_>>(), [64]);
        assert!(!high.is_empty());
        assert_eq!(format!("{high:?}"), "[BIT_64]");
        assert_eq!(
            high | Permissions::from_bits(1),
            "18446744073709551617".parse().unwrap()
        );
    }

    #[test]
    fn malformed_set_is_refused() {
        for text in ["", "-1", "+1", " 1", "0x8", "1.0"] {
            assert_eq!(
                text.parse::<Permissions>(),
                Err(PermissionsError::NotDecimal),
                "{text:?}"
            );
        }
        let beyond = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        let error = beyond.parse::<Permissions>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the permission bits are 2^256 or more, and this version handles 256 bits"
        );
    }
}
