//! `discord-server.yaml` as it is written: which keys there are and what each may hold.
//!
//! The types here are the one source of the reader, the messages about unknown keys and the JSON schema. To add a key, add a
//! field, and what it means in `resolve/`.

use crate::model::{
    AfkTimeout, AutoArchive, AutomodPreset, ContentFilter, Defaults, ForumLayout, Locale, Notifications,
    OnboardingMode, PromptKind, SortOrder, SystemMessage, TagMatch, Verification, VideoQuality,
};

use super::overwrites::OverwritesEntry;
use super::scalar::{
    Early, EmojiLink, FormatVersion, Hue, Limited, Link, List, ListedKind, Named, Number, OrNone, PermissionName, Pick,
    Text, Truth,
};
use super::variables::{DefaultEntry, ThemeEntry, TypeName};

document! {
    /// A Discord server as it should be. What is not said here is left as it is.
    pub(crate) struct ServerFile {
        /// The format of this file; 1 when nothing is said.
        version: FormatVersion,
        /// The theme that this file builds on: its id, or a map with `name`, `variables`, `flags` and `without`.
        theme: Early<ThemeEntry>,
        /// Variables, used as `${name}`. Set them by `--var name=value`, `--var-file` or `GAIB_VAR_name`.
        variables: Early<Named<VariableEntry>>,
        /// Flags; `flag: name` on a resource drops it while the flag is off. Set them like variables.
        flags: Early<Named<FlagEntry>>,
        /// What an attribute means that is not written: `unmanaged` leaves it as it is, `managed` sets it to Discord's default. An
        /// export says `managed`; `unmanaged` when nothing is said.
        defaults: Pick<Defaults>,
        /// The server's own settings.
        server: ServerEntry,
        /// Roles by logical name, from the highest to the lowest. `everyone` is the role of all members.
        roles: Named<RoleEntry>,
        /// Categories by logical name, from the top.
        categories: Named<CategoryEntry>,
        /// Channels that are in no category, or name it by `category`; by logical name, from the top.
        channels: Named<ChannelEntry>,
        /// The server's own emoji by logical name.
        emoji: Named<EmojiEntry>,
        /// The server's own stickers by logical name.
        stickers: Named<StickerEntry>,
        /// Incoming webhooks by logical name.
        webhooks: Named<WebhookEntry>,
        /// Rules of auto moderation by logical name.
        automod: Named<AutomodEntry>,
        /// The welcome screen of a community server.
        welcome_screen: WelcomeEntry,
        /// The onboarding of a community server.
        onboarding: OnboardingEntry,
        /// Scheduled events by logical name.
        events: Named<EventEntry>,
    }
}

document! {
    /// A variable. Without a default it must be set.
    pub(crate) struct VariableEntry {
        /// Its type; `string` when nothing is said.
        r#type: TypeName,
        /// Its value when it is not set.
        default: DefaultEntry,
        /// What it changes.
        description: Text<1, 1024>,
    }
}

document! {
    /// A flag, on or off.
    pub(crate) struct FlagEntry {
        /// Its state when it is not set; on when nothing is said.
        default: Truth,
        /// What it governs.
        description: Text<1, 1024>,
    }
}

document! {
    /// The server's own settings.
    pub(crate) struct ServerEntry {
        /// The server's name.
        name: Limited<2, 100>,
        /// What the server is; of a community server.
        description: Limited<0, 300>,
        /// What a member must have before writing.
        verification_level: Pick<Verification>,
        /// What a new member is notified of.
        default_notifications: Pick<Notifications>,
        /// Whose media Discord looks through.
        explicit_content_filter: Pick<ContentFilter>,
        /// The language of a community server.
        preferred_locale: Pick<Locale>,
        /// The voice channel where the silent are moved, or `none`.
        afk_channel: OrNone<Link>,
        /// After how long the silent are moved.
        afk_timeout: Pick<AfkTimeout>,
        /// The text channel of Discord's own messages, or `none`.
        system_channel: OrNone<Link>,
        /// Which of Discord's own messages are suppressed there.
        suppressed_messages: List<Pick<SystemMessage>>,
        /// Whether it is a community server; announcement, stage, forum and media channels need one.
        community: Truth,
        /// The channel of the rules, or `none`.
        rules_channel: OrNone<Link>,
        /// The channel where Discord tells moderators of changes, or `none`.
        public_updates_channel: OrNone<Link>,
        /// The channel where Discord tells moderators of raids, or `none`.
        safety_alerts_channel: OrNone<Link>,
        /// Whether the bar of boosts is shown.
        boost_progress_bar: Truth,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
    }
}

document! {
    /// A role.
    pub(crate) struct RoleEntry {
        /// What Discord shows; the logical name when nothing is said.
        name: Limited<1, 100>,
        /// Its colour, `#RRGGBB`; `#000000` is none.
        color: Hue,
        /// The second colour of a gradient, or `none`; on servers that have gradients.
        secondary_color: OrNone<Hue>,
        /// The third colour of a holographic role, or `none`.
        tertiary_color: OrNone<Hue>,
        /// Shown apart in the list of members.
        hoist: Truth,
        /// Anybody may mention it.
        mentionable: Truth,
        /// What its holders may do everywhere.
        permissions: List<PermissionName>,
        /// A Unicode emoji as its icon; empty for none. On servers that have role icons.
        unicode_emoji: Limited<0, 100>,
        /// The bot that applies is given it.
        given_to_bot: Truth,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it while it is off.
        flag: Text<1, 50>,
        /// The role directly above it, where its place in the file does not say it.
        after: Link,
        /// The role directly below it, where its place in the file does not say it.
        before: Link,
    }
}

document! {
    /// A category.
    pub(crate) struct CategoryEntry {
        /// What Discord shows; the logical name when nothing is said.
        name: Limited<1, 100>,
        /// Who may do what in it, other than everywhere.
        overwrites: OverwritesEntry,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it, with its channels, while it is off.
        flag: Text<1, 50>,
        /// The category directly above it, where its place in the file does not say it.
        after: Link,
        /// The category directly below it, where its place in the file does not say it.
        before: Link,
        /// Its channels by logical name, from the top.
        channels: Named<ChannelEntry>,
    }
}

document! {
    /// A channel.
    pub(crate) struct ChannelEntry {
        /// What it is; `text` when nothing is said.
        kind: ListedKind,
        /// What Discord shows; the logical name when nothing is said.
        name: Limited<1, 100>,
        /// The category it is in, or `none`; where it does not stand under one.
        category: OrNone<Link>,
        /// What it is for; the guidelines of a forum.
        topic: Limited<0, 4096>,
        /// For adults alone.
        nsfw: Truth,
        /// Seconds between two messages, or posts, of one member; 0 for none.
        slow_mode: Number<0, 21600>,
        /// Bits per second of a voice channel (up to 96000, more on boosted servers) or a stage (up to 64000).
        bitrate: Number<8000, 384000>,
        /// Most members at once; 0 for no limit. Up to 99 in a voice channel, 10000 on a stage.
        user_limit: Number<0, 10000>,
        /// The voice region; `none` lets Discord choose.
        region: OrNone<Limited<1, 100>>,
        /// How good the pictures of cameras are.
        video_quality: Pick<VideoQuality>,
        /// After how long without messages a thread is archived; `none` leaves it to Discord.
        auto_archive: OrNone<Pick<AutoArchive>>,
        /// Slow mode of new threads, in seconds.
        thread_slow_mode: Number<0, 21600>,
        /// Tags of a forum or a media channel.
        tags: List<TagEntry>,
        /// A post needs a tag.
        require_tag: Truth,
        /// The emoji of the button under a post, or `none`.
        default_reaction: OrNone<EmojiLink>,
        /// How posts are sorted at first, or `none`.
        sort_order: OrNone<Pick<SortOrder>>,
        /// How posts of a forum are shown at first.
        layout: Pick<ForumLayout>,
        /// Which posts several chosen tags show; `none` leaves it to Discord.
        tag_match: OrNone<Pick<TagMatch>>,
        /// Media are shown without buttons to download them.
        hide_download_options: Truth,
        /// Who may do what in it, other than everywhere; `synced` for the same as its category.
        overwrites: OverwritesEntry,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it while it is off.
        flag: Text<1, 50>,
        /// The channel directly above it, where its place in the file does not say it.
        after: Link,
        /// The channel directly below it, where its place in the file does not say it.
        before: Link,
    }
}

document! {
    /// A tag that posts may have.
    pub(crate) struct TagEntry {
        /// What is shown.
        name: Limited<1, 50>,
        /// Only those who manage threads may set it.
        moderated: Truth,
        /// Shown before the name.
        emoji: EmojiLink,
    }
}

document! {
    /// An emoji of the server's own.
    pub(crate) struct EmojiEntry {
        /// Its name, 2 to 32 letters, digits and `_`; the logical name with `_` for `-` when nothing is said.
        name: Limited<2, 32>,
        /// The picture: a path relative to this file.
        image: Text<1, 1024>,
        /// Roles that alone may use it.
        roles: List<Link>,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it while it is off.
        flag: Text<1, 50>,
    }
}

document! {
    /// A sticker of the server's own.
    pub(crate) struct StickerEntry {
        /// Its name; the logical name when nothing is said.
        name: Limited<2, 30>,
        /// What it shows, for those who cannot see it.
        description: Limited<0, 100>,
        /// The name of the Unicode emoji it goes with.
        tags: Limited<1, 200>,
        /// The picture: a path relative to this file.
        image: Text<1, 1024>,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it while it is off.
        flag: Text<1, 50>,
    }
}

document! {
    /// An incoming webhook. Its token is never written anywhere.
    pub(crate) struct WebhookEntry {
        /// The name it writes under; the logical name when nothing is said.
        name: Limited<1, 80>,
        /// The channel it writes to.
        channel: Link,
        /// The picture beside its messages: a path relative to this file.
        avatar: Text<1, 1024>,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it while it is off.
        flag: Text<1, 50>,
    }
}

document! {
    /// A rule of auto moderation.
    pub(crate) struct AutomodEntry {
        /// What moderators read; the logical name when nothing is said.
        name: Limited<1, 100>,
        /// Whether it works.
        enabled: Truth,
        /// What sets it off: one of `keyword`, `spam`, `preset`, `mention_spam`, `member_profile`.
        trigger: TriggerEntry,
        /// What it does.
        actions: List<ActionEntry>,
        /// Roles that it does not bind.
        exempt_roles: List<Link>,
        /// Channels where it does not look.
        exempt_channels: List<Link>,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it while it is off.
        flag: Text<1, 50>,
    }
}

document! {
    /// What sets a rule off; one key.
    pub(crate) struct TriggerEntry {
        /// Words in a message.
        keyword: WordsEntry,
        /// What Discord takes for spam; `true`.
        spam: Truth,
        /// Words of Discord's own lists.
        preset: PresetEntry,
        /// Many mentions in a message.
        mention_spam: MentionsEntry,
        /// Words in a member's profile.
        member_profile: WordsEntry,
    }
}

document! {
    /// Words and patterns.
    pub(crate) struct WordsEntry {
        /// Words; `*` at an end for any continuation.
        keywords: List<Limited<1, 60>>,
        /// Regular expressions of Rust's flavour.
        patterns: List<Limited<1, 260>>,
        /// What is let through.
        allow: List<Limited<1, 60>>,
    }
}

document! {
    /// Discord's own lists of words.
    pub(crate) struct PresetEntry {
        /// Which lists.
        presets: List<Pick<AutomodPreset>>,
        /// What is let through.
        allow: List<Limited<1, 60>>,
    }
}

document! {
    /// Mentions in a message.
    pub(crate) struct MentionsEntry {
        /// Most mentions that a message may have.
        limit: Number<1, 50>,
        /// Whether Discord looks out for raids of mentions.
        raid_protection: Truth,
    }
}

document! {
    /// What a rule does; one key.
    pub(crate) struct ActionEntry {
        /// Keeps the message back; the text is what its author is told, empty for Discord's own words.
        block_message: Limited<0, 300>,
        /// Tells moderators in this channel.
        alert: Link,
        /// Keeps the author from writing for so many seconds.
        timeout: Number<1, 2419200>,
        /// Keeps a member with such a profile from doing anything; `true`.
        block_member: Truth,
    }
}

document! {
    /// The welcome screen of a community server.
    pub(crate) struct WelcomeEntry {
        /// Whether it is shown.
        enabled: Truth,
        /// What the server is.
        description: Limited<0, 140>,
        /// Up to five channels to begin with.
        channels: List<WelcomeChannelEntry>,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
    }
}

document! {
    /// A channel of the welcome screen.
    pub(crate) struct WelcomeChannelEntry {
        /// Which channel.
        channel: Link,
        /// What it is for.
        description: Limited<1, 50>,
        /// Shown before it.
        emoji: EmojiLink,
    }
}

document! {
    /// The onboarding of new members of a community server.
    pub(crate) struct OnboardingEntry {
        /// Whether it takes place.
        enabled: Truth,
        /// What counts towards the channels that it must show.
        mode: Pick<OnboardingMode>,
        /// Channels that everybody sees.
        default_channels: List<Link>,
        /// Questions.
        prompts: List<PromptEntry>,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
    }
}

document! {
    /// A question to new members.
    pub(crate) struct PromptEntry {
        /// What is asked.
        title: Limited<1, 100>,
        /// How it is asked; `multiple_choice` when nothing is said.
        kind: Pick<PromptKind>,
        /// One answer at most.
        single_select: Truth,
        /// An answer is needed.
        required: Truth,
        /// Asked when joining; else only under "channels and roles".
        in_onboarding: Truth,
        /// Answers.
        options: List<OptionEntry>,
    }
}

document! {
    /// An answer, which gives roles or shows channels.
    pub(crate) struct OptionEntry {
        /// What is read.
        title: Limited<1, 50>,
        /// What it means.
        description: Limited<0, 100>,
        /// Shown before it.
        emoji: EmojiLink,
        /// Roles that it gives.
        roles: List<Link>,
        /// Channels that it shows.
        channels: List<Link>,
    }
}

document! {
    /// A scheduled event, on a `stage`, in a `voice` channel, or at a `location` elsewhere.
    pub(crate) struct EventEntry {
        /// What it is called; the logical name when nothing is said.
        name: Limited<1, 100>,
        /// What it is.
        description: Limited<0, 1000>,
        /// When it begins, like `2026-12-24T18:00:00Z`.
        start: Text<1, 60>,
        /// When it ends, or `none`; needed with a location.
        end: OrNone<Text<1, 60>>,
        /// The stage where it takes place.
        stage: Link,
        /// The voice channel where it takes place.
        voice: Link,
        /// Where it takes place outside Discord.
        location: Limited<1, 100>,
        /// The picture over it: a path relative to this file.
        image: Text<1, 1024>,
        /// Attributes that are left as they are, whatever `defaults` says and whatever a theme sets.
        unmanaged: List<Text<1, 50>>,
        /// The flag that drops it while it is off.
        flag: Text<1, 50>,
    }
}
