//! Discord's limits, and those of gaib, which are checked before a request is sent. A range contains the accepted values.
//!
//! Sources: <https://discord.com/developers/docs/resources/guild>, <https://discord.com/developers/docs/resources/channel>
//! and Discord's OpenAPI document.

use std::ops::RangeInclusive;

/// Maximum length of a logical name, in bytes. A limit of gaib: Discord has no logical names.
pub const MAX_LOGICAL_NAME_LENGTH: usize = 50;
/// Maximum number of roles of a server, including @everyone.
pub const MAX_ROLES: usize = 250;
/// Maximum number of channels and categories of a server.
pub const MAX_CHANNELS: usize = 500;
/// Maximum number of channels in a category.
pub const MAX_IN_CATEGORY: usize = 50;
/// Maximum number of overwrites in one request.
pub const MAX_OVERWRITES: usize = 100;
/// Number of characters of a role's or channel's name.
pub const NAME: RangeInclusive<usize> = 1..=100;
/// Number of characters of a server's name.
pub const SERVER_NAME: RangeInclusive<usize> = 2..=100;
/// Number of characters of a server's description.
pub const SERVER_DESCRIPTION: RangeInclusive<usize> = 0..=300;
/// Number of characters of a topic.
pub const TOPIC: RangeInclusive<usize> = 0..=1_024;
/// Number of characters of a forum's guidelines.
pub const FORUM_TOPIC: RangeInclusive<usize> = 0..=4_096;
/// Slow mode, in seconds.
pub const SLOW_MODE: RangeInclusive<u32> = 0..=21_600;
/// Bits per second of a voice channel on a server with every boost.
pub const BITRATE: RangeInclusive<u32> = 8_000..=384_000;
/// Maximum bits per second of a voice channel by boost level, 0 to 3.
pub const BITRATE_BY_LEVEL: [u32; 4] = [96_000, 128_000, 256_000, 384_000];
/// Maximum bits per second of a stage.
pub const STAGE_BITRATE: u32 = 64_000;
/// Bits per second of a new voice channel.
pub const DEFAULT_BITRATE: u32 = 64_000;
/// Limit on the members at once in a voice channel; 0 for no limit.
pub const USER_LIMIT: RangeInclusive<u32> = 0..=99;
/// Limit on the members at once on a stage; 0 for no limit.
pub const STAGE_USER_LIMIT: RangeInclusive<u32> = 0..=10_000;
/// Maximum number of tags of a forum.
pub const MAX_TAGS: usize = 20;
/// Number of characters of a tag's name. The limit is that of Discord's OpenAPI document; its guide states 20, but
/// existing names must be exportable.
pub const TAG_NAME: RangeInclusive<usize> = 1..=50;
/// Number of characters of an emoji's name.
pub const EMOJI_NAME: RangeInclusive<usize> = 2..=32;
/// Maximum number of emoji of a server by boost level, 0 to 3, separately for animated and other emoji.
pub const EMOJI_BY_LEVEL: [usize; 4] = [50, 100, 150, 250];
/// Maximum number of bytes of an emoji's image.
pub const EMOJI_BYTES: usize = 256 * 1024;
/// Number of characters of a sticker's name.
pub const STICKER_NAME: RangeInclusive<usize> = 2..=30;
/// Number of characters of a sticker's description, unless it is empty.
pub const STICKER_DESCRIPTION: RangeInclusive<usize> = 2..=100;
/// Number of characters of a sticker's tags.
pub const STICKER_TAGS: RangeInclusive<usize> = 1..=200;
/// Maximum number of stickers of a server by boost level, 0 to 3.
pub const STICKERS_BY_LEVEL: [usize; 4] = [5, 15, 30, 60];
/// Maximum number of bytes of a sticker's image.
pub const STICKER_BYTES: usize = 512 * 1024;
/// Maximum number of bytes of a webhook's avatar.
pub const AVATAR_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of bytes of the image of a scheduled event.
pub const EVENT_IMAGE_BYTES: usize = 10 * 1024 * 1024;
/// Number of characters of a webhook's name.
pub const WEBHOOK_NAME: RangeInclusive<usize> = 1..=80;
/// Maximum number of webhooks of a channel.
pub const MAX_WEBHOOKS: usize = 15;
/// Number of characters of an automod rule's name.
pub const AUTOMOD_NAME: RangeInclusive<usize> = 1..=100;
/// Maximum number of keywords of a rule.
pub const AUTOMOD_KEYWORDS: usize = 1_000;
/// Number of characters of a keyword.
pub const AUTOMOD_KEYWORD: RangeInclusive<usize> = 1..=60;
/// Maximum number of patterns of a rule.
pub const AUTOMOD_PATTERNS: usize = 10;
/// Number of characters of a pattern.
pub const AUTOMOD_PATTERN: RangeInclusive<usize> = 1..=260;
/// Maximum number of allowed words of a keyword rule.
pub const AUTOMOD_ALLOW: usize = 100;
/// Maximum number of allowed words of a rule with Discord's word lists.
pub const AUTOMOD_PRESET_ALLOW: usize = 1_000;
/// Number of actions of a rule.
pub const AUTOMOD_ACTIONS: RangeInclusive<usize> = 1..=5;
/// Maximum number of exempt roles of a rule.
pub const AUTOMOD_EXEMPT_ROLES: usize = 20;
/// Maximum number of exempt channels of a rule.
pub const AUTOMOD_EXEMPT_CHANNELS: usize = 50;
/// Number of mentions that a rule against mention spam allows in one message.
pub const AUTOMOD_MENTIONS: RangeInclusive<u32> = 1..=50;
/// Length of a timeout, in seconds: four weeks at most.
pub const AUTOMOD_TIMEOUT: RangeInclusive<u32> = 1..=2_419_200;
/// Number of characters of the message to a blocked author. The limit is that of Discord's OpenAPI document; its guide
/// states 150, but existing values of a server must be exportable.
pub const AUTOMOD_MESSAGE: RangeInclusive<usize> = 0..=300;
/// Maximum number of rules by Discord's number of their trigger: keyword, spam, preset, mention spam, member profile.
pub const AUTOMOD_RULES: [(u64, usize); 5] = [(1, 6), (3, 1), (4, 1), (5, 1), (6, 1)];
/// Maximum number of channels on the welcome screen.
pub const WELCOME_CHANNELS: usize = 5;
/// Number of characters of the welcome screen's text.
pub const WELCOME_DESCRIPTION: RangeInclusive<usize> = 0..=140;
/// Number of characters of the description of a channel on the welcome screen.
pub const WELCOME_CHANNEL_DESCRIPTION: RangeInclusive<usize> = 1..=50;
/// Maximum number of questions of onboarding.
pub const ONBOARDING_PROMPTS: usize = 15;
/// Number of answers to a question.
pub const ONBOARDING_OPTIONS: RangeInclusive<usize> = 1..=50;
/// Number of characters of a question.
pub const ONBOARDING_TITLE: RangeInclusive<usize> = 1..=100;
/// Number of characters of an answer.
pub const ONBOARDING_OPTION_TITLE: RangeInclusive<usize> = 1..=50;
/// Number of characters of the description of an answer.
pub const ONBOARDING_OPTION_DESCRIPTION: RangeInclusive<usize> = 0..=100;
/// Minimum number of channels that enabled onboarding shows.
pub const ONBOARDING_MIN_CHANNELS: usize = 7;
/// Minimum number of these channels in which @everyone can send messages.
pub const ONBOARDING_MIN_WRITABLE: usize = 5;
/// Number of characters of an event's name.
pub const EVENT_NAME: RangeInclusive<usize> = 1..=100;
/// Number of characters of an event's description.
pub const EVENT_DESCRIPTION: RangeInclusive<usize> = 0..=1_000;
/// Number of characters of a place outside Discord.
pub const EVENT_LOCATION: RangeInclusive<usize> = 1..=100;
/// Maximum number of scheduled events of a server.
pub const MAX_EVENTS: usize = 100;
/// Number of characters of an audit-log reason, before it is encoded.
pub const AUDIT_REASON: RangeInclusive<usize> = 1..=512;
