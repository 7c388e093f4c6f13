//! Intent bits. <https://discord.com/developers/docs/events/gateway#list-of-intents>

use bitflags::bitflags;

bitflags! {
    /// Events that a session receives.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Intents: u64 {
        /// Servers, roles, channels, threads.
        const GUILDS = 1 << 0;
        /// Joins, leaves, changes of members. Privileged.
        const GUILD_MEMBERS = 1 << 1;
        /// Bans and the audit log.
        const GUILD_MODERATION = 1 << 2;
        /// Emoji, stickers, sounds.
        const GUILD_EXPRESSIONS = 1 << 3;
        /// Integrations.
        const GUILD_INTEGRATIONS = 1 << 4;
        /// Webhooks.
        const GUILD_WEBHOOKS = 1 << 5;
        /// Invites.
        const GUILD_INVITES = 1 << 6;
        /// Voice states.
        const GUILD_VOICE_STATES = 1 << 7;
        /// Presences. Privileged.
        const GUILD_PRESENCES = 1 << 8;
        /// Messages in servers.
        const GUILD_MESSAGES = 1 << 9;
        /// Reactions in servers.
        const GUILD_MESSAGE_REACTIONS = 1 << 10;
        /// Typing in servers.
        const GUILD_MESSAGE_TYPING = 1 << 11;
        /// Direct messages.
        const DIRECT_MESSAGES = 1 << 12;
        /// Reactions in direct messages.
        const DIRECT_MESSAGE_REACTIONS = 1 << 13;
        /// Typing in direct messages.
        const DIRECT_MESSAGE_TYPING = 1 << 14;
        /// The content of messages. Privileged; filters fields, not events.
        const MESSAGE_CONTENT = 1 << 15;
        /// Scheduled events.
        const GUILD_SCHEDULED_EVENTS = 1 << 16;
        /// Changes of auto moderation.
        const AUTO_MODERATION_CONFIGURATION = 1 << 20;
        /// What auto moderation did.
        const AUTO_MODERATION_EXECUTION = 1 << 21;
        /// Polls in servers.
        const GUILD_MESSAGE_POLLS = 1 << 24;
        /// Polls in direct messages.
        const DIRECT_MESSAGE_POLLS = 1 << 25;
    }
}

impl Intents {
    /// Undocumented bits that are accepted and select no events. Libraries that work with Discord set them (interactions.py
    /// sets 17 in "all").
    pub const UNDOCUMENTED: u64 = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 22 | 1 << 23;
    /// Intents that must be switched on in the developer portal.
    pub const PRIVILEGED: Self = Self::GUILD_MEMBERS
        .union(Self::GUILD_PRESENCES)
        .union(Self::MESSAGE_CONTENT);
}
