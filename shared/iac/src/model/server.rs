//! Settings of the server itself.

use std::collections::BTreeSet;

use arrakis_domain::{DefaultNotifications, ExplicitContentFilter, VerificationLevel};

use super::{Clearable, Reference};

choices! {
    /// What a member must have before writing.
    pub enum Verification {
        /// Nothing.
        None "none" = 0,
        /// A verified e-mail address.
        Low "low" = 1,
        /// Registered for five minutes.
        Medium "medium" = 2,
        /// Member of the server for ten minutes.
        High "high" = 3,
        /// A verified phone number.
        VeryHigh "very_high" = 4,
    }
}

choices! {
    /// What a new member is notified of.
    pub enum Notifications {
        /// Every message.
        AllMessages "all_messages" = 0,
        /// Mentions.
        OnlyMentions "only_mentions" = 1,
    }
}

choices! {
    /// Whose media Discord looks through.
    pub enum ContentFilter {
        /// Nobody's.
        Disabled "disabled" = 0,
        /// Of members without roles.
        MembersWithoutRoles "members_without_roles" = 1,
        /// Everybody's.
        AllMembers "all_members" = 2,
    }
}

choices! {
    /// After how long a silent member is moved to the AFK channel. The number is in seconds.
    pub enum AfkTimeout {
        /// A minute.
        OneMinute "1m" = 60,
        /// Five minutes.
        FiveMinutes "5m" = 300,
        /// Fifteen minutes.
        FifteenMinutes "15m" = 900,
        /// Half an hour.
        ThirtyMinutes "30m" = 1800,
        /// An hour.
        OneHour "1h" = 3600,
    }
}

choices! {
    /// Messages that Discord posts in the system channel. The number is the bit that suppresses one.
    pub enum SystemMessage {
        /// Somebody joined.
        Join "join" = 1,
        /// Somebody boosted.
        Boost "boost" = 2,
        /// Tips for setting the server up.
        SetupTips "setup_tips" = 4,
        /// A sticker to reply to a join with.
        JoinReplies "join_replies" = 8,
        /// Somebody subscribed to a role.
        RoleSubscription "role_subscription" = 16,
        /// A sticker to reply to a subscription with.
        RoleSubscriptionReplies "role_subscription_replies" = 32,
    }
}

choices! {
    /// Languages of Discord: <https://discord.com/developers/docs/reference#locales>. Discord writes the name.
    pub enum Locale {
        /// Arabic.
        Ar "ar" = 0,
        /// Bulgarian.
        Bg "bg" = 1,
        /// Czech.
        Cs "cs" = 2,
        /// Danish.
        Da "da" = 3,
        /// German.
        De "de" = 4,
        /// Greek.
        El "el" = 5,
        /// English, UK.
        EnGb "en-GB" = 6,
        /// English, US.
        EnUs "en-US" = 7,
        /// Spanish, Latin America.
        Es419 "es-419" = 8,
        /// Spanish.
        EsEs "es-ES" = 9,
        /// Finnish.
        Fi "fi" = 10,
        /// French.
        Fr "fr" = 11,
        /// Hebrew.
        He "he" = 12,
        /// Hindi.
        Hi "hi" = 13,
        /// Croatian.
        Hr "hr" = 14,
        /// Hungarian.
        Hu "hu" = 15,
        /// Indonesian.
        Id "id" = 16,
        /// Italian.
        It "it" = 17,
        /// Japanese.
        Ja "ja" = 18,
        /// Korean.
        Ko "ko" = 19,
        /// Lithuanian.
        Lt "lt" = 20,
        /// Dutch.
        Nl "nl" = 21,
        /// Norwegian.
        No "no" = 22,
        /// Polish.
        Pl "pl" = 23,
        /// Portuguese, Brazil.
        PtBr "pt-BR" = 24,
        /// Romanian.
        Ro "ro" = 25,
        /// Russian.
        Ru "ru" = 26,
        /// Swedish.
        SvSe "sv-SE" = 27,
        /// Thai.
        Th "th" = 28,
        /// Turkish.
        Tr "tr" = 29,
        /// Ukrainian.
        Uk "uk" = 30,
        /// Vietnamese.
        Vi "vi" = 31,
        /// Chinese, China.
        ZhCn "zh-CN" = 32,
        /// Chinese, Taiwan.
        ZhTw "zh-TW" = 33,
    }
}

attributes! {
    /// The server's settings.
    pub struct Server {
        /// Its name, 2 to 100 characters.
        name: String,
        /// What it is, for community servers; empty for none.
        description: String,
        /// What a member must have before writing.
        verification_level: Verification,
        /// What a new member is notified of.
        default_notifications: Notifications,
        /// Whose media Discord looks through.
        explicit_content_filter: ContentFilter,
        /// The language of a community server.
        preferred_locale: Locale,
        /// The voice channel where the silent are moved.
        afk_channel: Clearable<Reference>,
        /// After how long.
        afk_timeout: AfkTimeout,
        /// The text channel of Discord's own messages.
        system_channel: Clearable<Reference>,
        /// Which of Discord's own messages are suppressed there.
        suppressed_messages: BTreeSet<SystemMessage>,
        /// Whether it is a community server, which announcement, stage, forum and media channels need.
        community: bool,
        /// The channel of the rules; a community server has one.
        rules_channel: Clearable<Reference>,
        /// The channel where Discord tells moderators of changes; a community server has one.
        public_updates_channel: Clearable<Reference>,
        /// The channel where Discord tells moderators of raids.
        safety_alerts_channel: Clearable<Reference>,
        /// Whether the bar of boosts is shown.
        boost_progress_bar: bool,
    }
}

impl From<VerificationLevel> for Verification {
    fn from(level: VerificationLevel) -> Self {
        match level {
            VerificationLevel::None => Self::None,
            VerificationLevel::Low => Self::Low,
            VerificationLevel::Medium => Self::Medium,
            VerificationLevel::High => Self::High,
            VerificationLevel::VeryHigh => Self::VeryHigh,
        }
    }
}

impl From<DefaultNotifications> for Notifications {
    fn from(notifications: DefaultNotifications) -> Self {
        match notifications {
            DefaultNotifications::AllMessages => Self::AllMessages,
            DefaultNotifications::OnlyMentions => Self::OnlyMentions,
        }
    }
}

impl From<ExplicitContentFilter> for ContentFilter {
    fn from(filter: ExplicitContentFilter) -> Self {
        match filter {
            ExplicitContentFilter::Disabled => Self::Disabled,
            ExplicitContentFilter::MembersWithoutRoles => Self::MembersWithoutRoles,
            ExplicitContentFilter::AllMembers => Self::AllMembers,
        }
    }
}
