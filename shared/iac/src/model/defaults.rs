//! The value that Discord gives each attribute of a new resource when nothing is said of it.
//!
//! A configuration with `defaults: managed` leaves such values out and means them. To add an attribute: its default here, or
//! its name in [`WITHOUT_DEFAULT`] when Discord has none.

use std::collections::BTreeSet;

use arrakis_domain::{Color, Permissions};

use super::limits::DEFAULT_BITRATE;
use super::{
    AfkTimeout, Attributes, AutomodRule, Channel, Clearable, ContentFilter, Emoji, Event, ForumLayout, Kind, Locale,
    Notifications, Onboarding, OnboardingMode, Role, Server, Sticker, Verification, VideoQuality, Webhook,
    WelcomeScreen,
};

choices! {
    /// What an attribute means that a configuration does not write. Discord has no numbers for it.
    pub enum Defaults {
        /// It is left as it is.
        Unmanaged "unmanaged" = 0,
        /// It has Discord's default.
        Managed "managed" = 1,
    }
}

/// Attributes that have no default: an export writes each of them, and one that is left out is not managed. Overwrites are
/// among them, since a channel that is made without any takes those of its category.
pub const WITHOUT_DEFAULT: &[(Kind, &str)] = &[
    (Kind::Server, "name"),
    (Kind::Role, "name"),
    (Kind::Category, "kind"),
    (Kind::Category, "name"),
    (Kind::Category, "overwrites"),
    (Kind::Channel, "kind"),
    (Kind::Channel, "name"),
    (Kind::Channel, "overwrites"),
    (Kind::Emoji, "name"),
    (Kind::Emoji, "image"),
    (Kind::Sticker, "name"),
    (Kind::Sticker, "tags"),
    (Kind::Sticker, "image"),
    (Kind::Webhook, "name"),
    (Kind::Webhook, "channel"),
    (Kind::Webhook, "avatar"),
    (Kind::Automod, "name"),
    (Kind::Automod, "trigger"),
    (Kind::Automod, "actions"),
    (Kind::Event, "name"),
    (Kind::Event, "start"),
    (Kind::Event, "place"),
    (Kind::Event, "image"),
];

impl Attributes {
    /// The defaults of the attributes that a resource of this kind has; for a channel, of its kind of channel.
    #[must_use]
    pub fn defaults(&self) -> Self {
        match self {
            Self::Server(_) => Self::Server(server()),
            Self::Role(_) => Self::Role(role()),
            Self::Category(channel) => Self::Category(Channel {
                kind: channel.kind,
                ..Channel::default()
            }),
            Self::Channel(of) => Self::Channel(channel(of)),
            Self::Emoji(_) => Self::Emoji(Emoji {
                roles: Some(Vec::new()),
                ..Emoji::default()
            }),
            Self::Sticker(_) => Self::Sticker(Sticker {
                description: Some(String::new()),
                ..Sticker::default()
            }),
            Self::Webhook(_) => Self::Webhook(Webhook::default()),
            Self::Automod(_) => Self::Automod(AutomodRule {
                enabled: Some(false),
                exempt_roles: Some(Vec::new()),
                exempt_channels: Some(Vec::new()),
                ..AutomodRule::default()
            }),
            Self::WelcomeScreen(_) => Self::WelcomeScreen(WelcomeScreen {
                enabled: Some(false),
                description: Some(String::new()),
                channels: Some(Vec::new()),
            }),
            Self::Onboarding(_) => Self::Onboarding(Onboarding {
                enabled: Some(false),
                mode: Some(OnboardingMode::Default),
                default_channels: Some(Vec::new()),
                prompts: Some(Vec::new()),
            }),
            Self::Event(_) => Self::Event(Event {
                description: Some(String::new()),
                end: Some(Clearable::Cleared),
                ..Event::default()
            }),
        }
    }
}

const fn server() -> Server {
    Server {
        name: None,
        description: Some(String::new()),
        verification_level: Some(Verification::None),
        default_notifications: Some(Notifications::AllMessages),
        explicit_content_filter: Some(ContentFilter::Disabled),
        preferred_locale: Some(Locale::EnUs),
        afk_channel: Some(Clearable::Cleared),
        afk_timeout: Some(AfkTimeout::FiveMinutes),
        system_channel: Some(Clearable::Cleared),
        suppressed_messages: Some(BTreeSet::new()),
        community: Some(false),
        rules_channel: Some(Clearable::Cleared),
        public_updates_channel: Some(Clearable::Cleared),
        safety_alerts_channel: Some(Clearable::Cleared),
        boost_progress_bar: Some(false),
    }
}

const fn role() -> Role {
    Role {
        name: None,
        color: Some(Color::from_rgb(0)),
        secondary_color: Some(Clearable::Cleared),
        tertiary_color: Some(Clearable::Cleared),
        hoist: Some(false),
        mentionable: Some(false),
        permissions: Some(Permissions::NONE),
        unicode_emoji: Some(String::new()),
        given_to_bot: Some(false),
    }
}

fn channel(of: &Channel) -> Channel {
    let mut defaults = Channel {
        kind: of.kind,
        name: None,
        category: Some(Clearable::Cleared),
        topic: Some(String::new()),
        nsfw: Some(false),
        slow_mode: Some(0),
        bitrate: Some(DEFAULT_BITRATE),
        user_limit: Some(0),
        region: Some(Clearable::Cleared),
        video_quality: Some(VideoQuality::Auto),
        auto_archive: Some(Clearable::Cleared),
        thread_slow_mode: Some(0),
        tags: Some(Vec::new()),
        require_tag: Some(false),
        default_reaction: Some(Clearable::Cleared),
        sort_order: Some(Clearable::Cleared),
        layout: Some(ForumLayout::NotSet),
        tag_match: Some(Clearable::Cleared),
        hide_download_options: Some(false),
        overwrites: None,
    };
    let absent = Channel::FIELDS.iter().filter(|field| !of.kind.has(field));
    absent.for_each(|field| defaults.release(field));
    defaults
}
