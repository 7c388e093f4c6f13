//! The table of rules that preflight checks. The documentation and the tests use it.

/// A rule that preflight checks: of Discord or, where its text states so, of gaib.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Id, as in [`crate::plan::Finding::rule`].
    pub id: &'static str,
    /// The resources and attributes that it applies to.
    pub about: &'static str,
    /// The rule.
    pub text: &'static str,
    /// URL of Discord's documentation; empty for a rule of gaib.
    pub source: &'static str,
}

/// Declares the table and a constant for the id of each rule.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $id:literal $about:literal $text:literal $source:literal;)+) => {
        $($(#[$doc])* pub(crate) const $name: &str = $id;)+

        /// All rules, in the order of findings.
        pub const RULES: &[Rule] = &[$(Rule { id: $id, about: $about, text: $text, source: $source },)+];
    };
}

rules! {
    OUTCOME_UNKNOWN "outcome-unknown" "every creation"
        "A rule of gaib: a resource is not created again while a resource on the server may be the result of an earlier request without a response."
        "";
    DOUBLED "doubled" "every creation"
        "A warning of gaib: a resource whose creation was repeated after a missing response exists once. The earlier request may still take effect."
        "";
    UNREADABLE "unreadable" "every managed resource"
        "A warning: an existing managed resource has a kind that this version of gaib supports. A resource of an unknown kind is not changed, created again or removed from the state."
        "";
    VALUE "value" "every attribute"
        "A value that is sent has a length, range and format that Discord accepts. Existing values of the server can stay."
        "https://discord.com/developers/docs/reference";
    REFERENCE "reference" "every attribute that references a role, category, channel or emoji"
        "An id that is sent exists on this server and has the right kind."
        "https://discord.com/developers/docs/reference";
    ABSENT_MEMBER "absent-member" "channels and categories: overwrites"
        "A warning: a member in an overwrite is a member of the server. Discord accepts any user."
        "https://discord.com/developers/docs/resources/channel#edit-channel-permissions";
    BOT_PERMISSIONS "bot-permissions" "every request"
        "At the time of a request, the bot has the permissions that the request requires, on the server or, where Discord checks them there, in the channel."
        "https://discord.com/developers/docs/topics/permissions";
    CHANNEL_ACCESS "channel-access" "channels and categories that change, their overwrites and webhooks"
        "At the time of a request, the bot can view the channel and, for a voice channel or a stage, join it."
        "https://discord.com/developers/docs/topics/permissions#implicit-permissions";
    ROLE_HIERARCHY "role-hierarchy" "roles"
        "A role that is changed, moved, assigned or deleted is below the bot's highest role; so is the position of a new role."
        "https://discord.com/developers/docs/topics/permissions#permission-hierarchy";
    ROLE_MANAGED "role-managed" "roles"
        "A role of an application, of boosting or of a subscription is neither deleted nor assigned to the bot."
        "https://discord.com/developers/docs/topics/permissions#role-object-role-structure";
    ROLE_GRANT "role-grant" "roles: permissions"
        "The bot has each permission that a role gains or loses."
        "https://discord.com/developers/docs/topics/permissions#permission-hierarchy";
    OVERWRITE_GRANT "overwrite-grant" "channels and categories: overwrites"
        "The bot has each permission that an overwrite changes, on the server or in the category; or an overwrite of the channel allows the bot MANAGE_ROLES, which permits any change."
        "https://discord.com/developers/docs/resources/channel#edit-channel-permissions";
    OVERWRITE_MANAGE_ROLES "overwrite-manage-roles" "channels and categories: overwrites"
        "A channel is created with MANAGE_ROLES in an overwrite only if the bot is an administrator."
        "https://discord.com/developers/docs/resources/guild#create-guild-channel";
    BOT_SHUT_OUT "bot-shut-out" "channels and categories: overwrites"
        "A rule of gaib: a bot that is not an administrator can still view the channels whose overwrites it changes."
        "";
    CHANNEL_KIND "channel-kind" "channels: kind"
        "Announcement channels, stages, forums and media channels are created, and text channels are changed to announcement channels, only on community servers."
        "https://discord.com/developers/docs/resources/channel#channel-object-channel-types";
    CHANNEL_CONVERSION "channel-conversion" "channels: kind"
        "The rules channel and the updates channel of a community server stay text channels."
        "https://discord.com/developers/docs/resources/channel#modify-channel";
    COMMUNITY_SWITCH "community-switch" "server: community"
        "The bot is an administrator when it enables or disables Community."
        "https://discord.com/developers/docs/resources/guild#guild-object-mutable-guild-features";
    COMMUNITY_CHANNELS "community-channels" "server: community, rules_channel, public_updates_channel"
        "A community server has a rules channel and an updates channel: both are set when Community is enabled, and neither is removed."
        "https://discord.com/developers/docs/resources/guild#modify-guild";
    COMMUNITY_SAFETY "community-safety" "server: community, verification_level, explicit_content_filter"
        "A warning: a server that becomes a community has `verification_level` low or higher and `explicit_content_filter` all_members, which Discord's settings page requires."
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
        "Enabled onboarding has at least 7 channels that @everyone can view, and @everyone can send messages in at least 5 of them; with the mode `advanced`, the channels of answers count too."
        "https://discord.com/developers/docs/resources/guild#guild-onboarding-object";
    ROLES_LIMIT "roles-limit" "roles"
        "At no time are there more than 250 roles, including @everyone."
        "https://discord.com/developers/docs/topics/opcodes-and-status-codes#json";
    CHANNELS_LIMIT "channels-limit" "channels and categories"
        "At no time are there more than 500 channels and categories."
        "https://discord.com/developers/docs/topics/opcodes-and-status-codes#json";
    CATEGORY_LIMIT "category-limit" "channels: category"
        "At no time are there more than 50 channels in a category."
        "https://discord.com/developers/docs/resources/channel#channel-object-channel-types";
    EMOJI_LIMIT "emoji-limit" "emoji"
        "At no time are there more emoji than the boost level gives: 50, 100, 150 or 250 that are animated, and as many that are not."
        "https://discord.com/developers/docs/resources/emoji#create-guild-emoji";
    STICKERS_LIMIT "stickers-limit" "stickers"
        "At no time are there more stickers than the boost level gives: 5, 15, 30 or 60."
        "https://discord.com/developers/docs/resources/sticker#create-guild-sticker";
    WEBHOOKS_LIMIT "webhooks-limit" "webhooks: channel"
        "At no time are there more than 15 webhooks in a channel."
        "https://discord.com/developers/docs/topics/opcodes-and-status-codes#json";
    AUTOMOD_LIMIT "automod-limit" "automod: trigger"
        "At no time are there more rules with one trigger than Discord allows: 6 keyword, 1 spam, 1 preset, 1 mention_spam, 1 member_profile."
        "https://discord.com/developers/docs/resources/auto-moderation#auto-moderation-rule-object-trigger-types";
    EVENTS_LIMIT "events-limit" "events"
        "At no time are there more than 100 scheduled events."
        "https://discord.com/developers/docs/resources/guild-scheduled-event#create-guild-scheduled-event";
    BITRATE "bitrate" "channels: bitrate"
        "A bitrate that changes is at most what the boost level gives: 96000, 128000, 256000 or 384000; 384000 with the feature VIP_REGIONS; 64000 for a stage."
        "https://discord.com/developers/docs/resources/channel#modify-channel";
    ROLE_ICON "role-icon" "roles: unicode_emoji"
        "A role has an icon only on servers with the feature ROLE_ICONS."
        "https://discord.com/developers/docs/resources/guild#guild-object-guild-features";
    ROLE_GRADIENT "role-gradient" "roles: secondary_color, tertiary_color"
        "A role has a second or third colour only on servers with the feature ENHANCED_ROLE_COLORS."
        "https://discord.com/developers/docs/resources/guild#guild-object-guild-features";
    WEBHOOK_NAME "webhook-name" "webhooks: name"
        "The name of a webhook contains neither `clyde` nor `discord`, in any case."
        "https://discord.com/developers/docs/resources/webhook#create-webhook";
    AUTOMOD_TIMEOUT "automod-timeout" "automod: actions"
        "The bot has MODERATE_MEMBERS when a rule gets the action `timeout`."
        "https://discord.com/developers/docs/resources/auto-moderation#auto-moderation-action-object-action-types";
    IMAGE "image" "emoji and stickers: image; webhooks: avatar; events: image"
        "An emoji or a sticker has an image when it is created. An uploaded file can be read and has an accepted type and size: PNG, JPEG, GIF, WebP or AVIF and at most 256 KiB for an emoji; PNG, APNG, GIF or Lottie and at most 512 KiB for a sticker; PNG, JPEG, GIF or WebP and at most 8 MiB for an avatar and 10 MiB for an event."
        "https://discord.com/developers/docs/reference#image-data";
    STICKER_LOTTIE "sticker-lottie" "stickers: image"
        "A Lottie file is uploaded as a sticker only on servers with the feature VERIFIED or PARTNERED."
        "https://discord.com/developers/docs/resources/sticker#create-guild-sticker";
}

/// The table of rules in Markdown.
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
