//! The rules that preflight checks, as a table: what a person reads in the documentation, and what tests go through.

/// A rule of Discord's (or, where it says so, of gaib's) that a plan must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in [`crate::plan::Finding::rule`].
    pub id: &'static str,
    /// Which resources and attributes it is about.
    pub about: &'static str,
    /// What is checked.
    pub text: &'static str,
    /// Where Discord says so.
    pub source: &'static str,
}

/// Builds the table.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $id:literal $about:literal $text:literal $source:literal;)+) => {
        $($(#[$doc])* pub(crate) const $name: &str = $id;)+

        /// All of them, in the order in which findings are reported.
        pub const RULES: &[Rule] = &[$(Rule { id: $id, about: $about, text: $text, source: $source },)+];
    };
}

rules! {
    OUTCOME_UNKNOWN "outcome-unknown" "everything that is made"
        "A rule of gaib's: nothing is made again while something on the server may have come from an earlier request for it whose answer was lost."
        "";
    DOUBLED "doubled" "everything that is made"
        "A warning of gaib's: what was asked for again after a lost answer is there once. The earlier request may take effect after all."
        "";
    UNREADABLE "unreadable" "everything that is managed"
        "A warning: what is managed and there has a kind that this version of gaib knows. What has another is neither changed nor made again nor forgotten."
        "";
    VALUE "value" "every attribute"
        "A value that is sent has the length, the range and the form that Discord takes. Values that the server has already may stay."
        "https://discord.com/developers/docs/reference";
    REFERENCE "reference" "every attribute that names a role, category, channel or emoji"
        "An id that is sent names something of the right kind on this server."
        "https://discord.com/developers/docs/reference";
    ABSENT_MEMBER "absent-member" "channels and categories: overwrites"
        "A warning: a member in an overwrite is on the server. Discord takes any user."
        "https://discord.com/developers/docs/resources/channel#edit-channel-permissions";
    BOT_PERMISSIONS "bot-permissions" "every request"
        "The bot has the permissions that the request needs at that moment, on the server or, where Discord looks there, in the channel."
        "https://discord.com/developers/docs/topics/permissions";
    CHANNEL_ACCESS "channel-access" "channels and categories that change, their overwrites and webhooks"
        "The bot sees the channel at that moment, and may join it if it is a voice channel or a stage."
        "https://discord.com/developers/docs/topics/permissions#implicit-permissions";
    ROLE_HIERARCHY "role-hierarchy" "roles"
        "A role that changes, moves, is given or goes stands below the bot's highest role; so does the place of a new one."
        "https://discord.com/developers/docs/topics/permissions#permission-hierarchy";
    ROLE_MANAGED "role-managed" "roles"
        "A role of an application, of boosting or of a subscription is neither deleted nor given to the bot."
        "https://discord.com/developers/docs/topics/permissions#role-object-role-structure";
    ROLE_GRANT "role-grant" "roles: permissions"
        "The bot has each permission that a role gains or loses."
        "https://discord.com/developers/docs/topics/permissions#permission-hierarchy";
    OVERWRITE_GRANT "overwrite-grant" "channels and categories: overwrites"
        "The bot has each permission of which an overwrite changes, on the server or in the category; or an overwrite of the channel allows it MANAGE_ROLES, with which it may set any."
        "https://discord.com/developers/docs/resources/channel#edit-channel-permissions";
    OVERWRITE_MANAGE_ROLES "overwrite-manage-roles" "channels and categories: overwrites"
        "A channel that is made has MANAGE_ROLES in an overwrite only if the bot is an administrator."
        "https://discord.com/developers/docs/resources/guild#create-guild-channel";
    BOT_SHUT_OUT "bot-shut-out" "channels and categories: overwrites"
        "A rule of gaib's: a bot that is no administrator still sees the channels whose overwrites it changes."
        "";
    CHANNEL_KIND "channel-kind" "channels: kind"
        "Announcement channels, stages, forums and media channels are made, and text channels become announcement channels, on community servers."
        "https://discord.com/developers/docs/resources/channel#channel-object-channel-types";
    CHANNEL_CONVERSION "channel-conversion" "channels: kind"
        "The rules channel and the updates channel of a community server stay text channels."
        "https://discord.com/developers/docs/resources/channel#modify-channel";
    COMMUNITY_SWITCH "community-switch" "server: community"
        "The bot is an administrator when it switches Community on or off."
        "https://discord.com/developers/docs/resources/guild#guild-object-mutable-guild-features";
    COMMUNITY_CHANNELS "community-channels" "server: community, rules_channel, public_updates_channel"
        "A community server has a rules channel and an updates channel: both are there when Community is switched on, and neither is taken away."
        "https://discord.com/developers/docs/resources/guild#modify-guild";
    COMMUNITY_SAFETY "community-safety" "server: community, verification_level, explicit_content_filter"
        "A warning: a server that becomes a community has `verification_level` low or higher and `explicit_content_filter` all_members, which Discord's own dialogue sets."
        "https://support.discord.com/hc/en-us/articles/360047132851";
    COMMUNITY_DELETION "community-deletion" "channels"
        "The rules channel and the updates channel of a community server are not deleted (error 50074)."
        "https://discord.com/developers/docs/resources/channel#deleteclose-channel";
    COMMUNITY_ONLY "community-only" "welcome screen, onboarding"
        "They change on community servers only."
        "https://discord.com/developers/docs/resources/guild#welcome-screen-object";
    SERVER_CHANNEL "server-channel" "server: afk_channel, system_channel, rules_channel, public_updates_channel, safety_alerts_channel"
        "The AFK channel is a voice channel, the others are text or announcement channels."
        "https://discord.com/developers/docs/resources/guild#modify-guild";
    ONBOARDING_CHANNELS "onboarding-channels" "onboarding: enabled, mode, default_channels, prompts"
        "Onboarding that is on shows 7 channels to everybody, and everybody may write in 5 of them; with the mode `advanced`, channels of answers count too."
        "https://discord.com/developers/docs/resources/guild#guild-onboarding-object";
    ROLES_LIMIT "roles-limit" "roles"
        "At no moment are there more than 250 roles, @everyone among them."
        "https://discord.com/developers/docs/topics/opcodes-and-status-codes#json";
    CHANNELS_LIMIT "channels-limit" "channels and categories"
        "At no moment are there more than 500 channels and categories."
        "https://discord.com/developers/docs/topics/opcodes-and-status-codes#json";
    CATEGORY_LIMIT "category-limit" "channels: category"
        "At no moment are there more than 50 channels in a category."
        "https://discord.com/developers/docs/resources/channel#channel-object-channel-types";
    EMOJI_LIMIT "emoji-limit" "emoji"
        "At no moment are there more emoji than the boost level gives: 50, 100, 150 or 250 that are animated, and as many that are not."
        "https://discord.com/developers/docs/resources/emoji#create-guild-emoji";
    STICKERS_LIMIT "stickers-limit" "stickers"
        "At no moment are there more stickers than the boost level gives: 5, 15, 30 or 60."
        "https://discord.com/developers/docs/resources/sticker#create-guild-sticker";
    WEBHOOKS_LIMIT "webhooks-limit" "webhooks: channel"
        "At no moment are there more than 15 webhooks in a channel."
        "https://discord.com/developers/docs/topics/opcodes-and-status-codes#json";
    AUTOMOD_LIMIT "automod-limit" "automod: trigger"
        "At no moment are there more rules with one trigger than Discord allows: 6 keyword, 1 spam, 1 preset, 1 mention_spam, 1 member_profile."
        "https://discord.com/developers/docs/resources/auto-moderation#auto-moderation-rule-object-trigger-types";
    EVENTS_LIMIT "events-limit" "events"
        "At no moment are there more than 100 scheduled events."
        "https://discord.com/developers/docs/resources/guild-scheduled-event#create-guild-scheduled-event";
    BITRATE "bitrate" "channels: bitrate"
        "A bitrate that changes is at most what the boost level gives: 96000, 128000, 256000 or 384000; 384000 with the feature VIP_REGIONS; 64000 for a stage."
        "https://discord.com/developers/docs/resources/channel#modify-channel";
    ROLE_ICON "role-icon" "roles: unicode_emoji"
        "A role gets an icon on servers with the feature ROLE_ICONS."
        "https://discord.com/developers/docs/resources/guild#guild-object-guild-features";
    ROLE_GRADIENT "role-gradient" "roles: secondary_color, tertiary_color"
        "A role gets a second or third colour on servers with the feature ENHANCED_ROLE_COLORS."
        "https://discord.com/developers/docs/resources/guild#guild-object-guild-features";
    WEBHOOK_NAME "webhook-name" "webhooks: name"
        "A name that is given to a webhook contains neither `clyde` nor `discord`, in any case."
        "https://discord.com/developers/docs/resources/webhook#create-webhook";
    AUTOMOD_TIMEOUT "automod-timeout" "automod: actions"
        "The bot has MODERATE_MEMBERS when a rule gets the action `timeout`."
        "https://discord.com/developers/docs/resources/auto-moderation#auto-moderation-action-object-action-types";
    IMAGE "image" "emoji and stickers: image; webhooks: avatar; events: image"
        "An emoji or a sticker that is made has an image. A file that is uploaded can be read, is PNG, JPEG, GIF, WebP or, for an emoji, AVIF, for a sticker PNG, APNG, GIF or Lottie, and has at most 256 KiB for an emoji, 512 KiB for a sticker, 8 MiB for an avatar and 10 MiB for an event."
        "https://discord.com/developers/docs/reference#image-data";
    STICKER_LOTTIE "sticker-lottie" "stickers: image"
        "A Lottie file is uploaded as a sticker on servers with the feature VERIFIED or PARTNERED."
        "https://discord.com/developers/docs/resources/sticker#create-guild-sticker";
}

/// The table in Markdown.
#[must_use]
pub fn rules_table() -> String {
    let mut text = String::from("| rule | about | what is checked |\n|---|---|---|\n");
    for Rule {
        id,
        about,
        text: what,
        source,
    } in RULES
    {
        let id = match source.is_empty() {
            true => format!("`{id}`"),
            false => format!("[`{id}`]({source})"),
        };
        text.push_str(&format!("| {id} | {about} | {what} |\n"));
    }
    text
}
