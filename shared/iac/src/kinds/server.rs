//! Settings of the server itself.

use std::collections::BTreeSet;

use arrakis_domain::{DefaultNotifications, ExplicitContentFilter, Permission, VerificationLevel};
use serde::Deserialize;
use serde_json::Value;

use super::Attributes;
use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, Requirement, Resolve, Sent, Violation, Write,
};
use super::draft::{Draft, Section, resource_entry};
use super::emoji::EmojiObject;
use super::role::RoleObject;
use super::sticker::StickerObject;
use crate::values::{
    Address, CHANNEL, Clearable, Image, ImageAttribute, Kind, Kinds, Overwrites, Reference, RulePart, Snowflake,
};
use crate::wire::{self, Integer, UnknownValue, UnknownValues, Unreadable, nullable, number};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Limited, Link, List, OrNone, Pick, Text, Truth};
use crate::yaml::{KnownAddresses, Yaml};

choices! {
    /// Verification that members need before they can send messages.
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
    /// Default notifications of members.
    pub enum Notifications {
        /// Every message.
        AllMessages "all_messages" = 0,
        /// Mentions.
        OnlyMentions "only_mentions" = 1,
    }
}

choices! {
    /// Members whose media Discord scans.
    pub enum ContentFilter {
        /// No members.
        Disabled "disabled" = 0,
        /// Members without roles.
        MembersWithoutRoles "members_without_roles" = 1,
        /// All members.
        AllMembers "all_members" = 2,
    }
}

choices! {
    /// Inactivity after which a member is moved to the AFK channel. The number is in seconds.
    pub enum AfkTimeout {
        /// One minute.
        OneMinute "1m" = 60,
        /// Five minutes.
        FiveMinutes "5m" = 300,
        /// Fifteen minutes.
        FifteenMinutes "15m" = 900,
        /// Thirty minutes.
        ThirtyMinutes "30m" = 1800,
        /// One hour.
        OneHour "1h" = 3600,
    }
}

choices! {
    /// Messages of Discord in the system channel. The number is the flag that suppresses the message.
    pub enum SystemMessage {
        /// A member joined.
        Join "join" = 1,
        /// A member boosted the server.
        Boost "boost" = 2,
        /// Tips for setting the server up.
        SetupTips "setup_tips" = 4,
        /// A sticker to reply to a join with.
        JoinReplies "join_replies" = 8,
        /// A member subscribed to a role.
        RoleSubscription "role_subscription" = 16,
        /// A sticker to reply to a subscription with.
        RoleSubscriptionReplies "role_subscription_replies" = 32,
    }
}

choices! {
    /// Locales of Discord: <https://discord.com/developers/docs/reference#locales>. The API uses the name.
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
    /// The settings of the server.
    pub struct Server {
        /// Its name, 2 to 100 characters.
        name: String,
        /// The description of a community server; empty for none.
        description: String,
        /// Verification that members need before they can send messages.
        verification_level: Verification,
        /// Default notifications of members.
        default_notifications: Notifications,
        /// Members whose media Discord scans.
        explicit_content_filter: ContentFilter,
        /// The language of a community server.
        preferred_locale: Locale,
        /// The AFK channel: a voice channel to which inactive members are moved.
        afk_channel: Clearable<Reference>,
        /// Inactivity after which a member is moved to the AFK channel.
        afk_timeout: AfkTimeout,
        /// The text channel of system messages.
        system_channel: Clearable<Reference>,
        /// System messages that are suppressed.
        suppressed_messages: BTreeSet<SystemMessage>,
        /// Whether it is a community server, which announcement, stage, forum and media channels require.
        community: bool,
        /// The channel of the rules; a community server has one.
        rules_channel: Clearable<Reference>,
        /// The channel of Discord's updates for moderators; a community server has one.
        public_updates_channel: Clearable<Reference>,
        /// The channel of safety alerts for moderators.
        safety_alerts_channel: Clearable<Reference>,
        /// Whether the boost progress bar is shown.
        boost_progress_bar: bool,
    }
}

document! {
    /// The settings of the server.
    pub(crate) struct ServerEntry {
        /// The server's name.
        name: Limited<2, 100>,
        /// The description of a community server.
        description: Limited<0, 300>,
        /// Verification that members need before they can send messages.
        verification_level: Pick<Verification>,
        /// Default notifications of members.
        default_notifications: Pick<Notifications>,
        /// Members whose media Discord scans.
        explicit_content_filter: Pick<ContentFilter>,
        /// The language of a community server.
        preferred_locale: Pick<Locale>,
        /// The AFK channel, or `none`.
        afk_channel: OrNone<Link>,
        /// Inactivity after which a member is moved to the AFK channel.
        afk_timeout: Pick<AfkTimeout>,
        /// The text channel of system messages, or `none`.
        system_channel: OrNone<Link>,
        /// System messages that are suppressed.
        suppressed_messages: List<Pick<SystemMessage>>,
        /// Whether it is a community server; announcement, stage, forum and media channels require one.
        community: Truth,
        /// The channel of the rules, or `none`.
        rules_channel: OrNone<Link>,
        /// The channel of Discord's updates for moderators, or `none`.
        public_updates_channel: OrNone<Link>,
        /// The channel of safety alerts for moderators, or `none`.
        safety_alerts_channel: OrNone<Link>,
        /// Whether the boost progress bar is shown.
        boost_progress_bar: Truth,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
    }
}

resource_entry!(ServerEntry);

impl Section for ServerEntry {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        let at = section.at;
        let entry = &section.value;
        let mut channel =
            |link: Option<&_>| -> Option<Clearable<Reference>> { names.link_or_none(link, Kind::Channel, reader) };
        let links = (
            channel(entry.afk_channel.as_ref()),
            channel(entry.system_channel.as_ref()),
            channel(entry.rules_channel.as_ref()),
            channel(entry.public_updates_channel.as_ref()),
            channel(entry.safety_alerts_channel.as_ref()),
        );
        let (afk_channel, system_channel, rules_channel, public_updates_channel, safety_alerts_channel) = links;
        let own = Server {
            name: entry.name.as_ref().map(|name| name.value.0.clone()),
            description: entry
                .description
                .as_ref()
                .map(|description| description.value.0.clone()),
            verification_level: entry.verification_level.as_ref().map(|level| level.value.0),
            default_notifications: entry.default_notifications.as_ref().map(|level| level.value.0),
            explicit_content_filter: entry.explicit_content_filter.as_ref().map(|level| level.value.0),
            preferred_locale: entry.preferred_locale.as_ref().map(|locale| locale.value.0),
            afk_channel,
            afk_timeout: entry.afk_timeout.as_ref().map(|timeout| timeout.value.0),
            system_channel,
            suppressed_messages: entry
                .suppressed_messages
                .as_ref()
                .map(|list| list.value.0.iter().map(|message| message.value.0).collect()),
            community: entry.community.as_ref().map(|community| community.value.0),
            rules_channel,
            public_updates_channel,
            safety_alerts_channel,
            boost_progress_bar: entry.boost_progress_bar.as_ref().map(|shown| shown.value.0),
        };
        let mut server = match draft.resources.get(&Address::SERVER) {
            Some(Attributes::Server(theirs)) => theirs.clone(),
            _ => Server::default(),
        };
        server.override_with(own);
        if server.community == Some(true) {
            for (channel, key) in [
                (&server.rules_channel, "rules_channel"),
                (&server.public_updates_channel, "public_updates_channel"),
            ] {
                if *channel == Some(Clearable::Cleared) {
                    let parts = ["community", key].map(|field| RulePart::Attribute(field.to_owned()));
                    let reason = format!("a community server requires a `{key}`, and here it is `none`");
                    reader.break_rule_of(at, &Address::SERVER, &parts, reason);
                }
            }
        }
        draft.put(Address::SERVER, Attributes::Server(server), at);
    }
}

impl Server {
    const fn channels(&self) -> [&Option<Clearable<Reference>>; 5] {
        [
            &self.afk_channel,
            &self.system_channel,
            &self.rules_channel,
            &self.public_updates_channel,
            &self.safety_alerts_channel,
        ]
    }

    const fn channels_mut(&mut self) -> [&mut Option<Clearable<Reference>>; 5] {
        [
            &mut self.afk_channel,
            &mut self.system_channel,
            &mut self.rules_channel,
            &mut self.public_updates_channel,
            &mut self.safety_alerts_channel,
        ]
    }
}

impl Definition for Server {
    const IMAGE: Option<ImageAttribute> = None;
    const LIST: Option<ListRequest> = None;
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[
        ("afk_channel", "channel."),
        ("system_channel", "channel."),
        ("rules_channel", "channel."),
        ("public_updates_channel", "channel."),
        ("safety_alerts_channel", "channel."),
    ];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Server(server) => Some(server),
            _ => None,
        }
    }

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn name_mut(&mut self) -> Option<&mut String> {
        self.name.as_mut()
    }

    fn stored_name(&self, name: &str) -> String {
        name.trim().to_owned()
    }

    fn image(&self) -> Option<&Image> {
        None
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        None
    }

    fn defaults(&self) -> Self {
        Self {
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

    fn references(&self) -> Vec<&Reference> {
        let channels = self.channels().into_iter().flatten();
        channels.filter_map(Clearable::value).collect()
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        for channel in self.channels_mut().into_iter().flatten() {
            if let Clearable::Set(channel) = channel {
                change(CHANNEL, channel);
            }
        }
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        for channel in self.channels_mut() {
            channel.take_if(|channel| channel.value().is_some_and(is_gone));
        }
        true
    }

    fn forces_replacement(&self, _: &Self) -> Option<&'static str> {
        None
    }

    fn is_same_place(&self, _: &Self, _: Resolve<'_>) -> bool {
        true
    }

    fn requirements(_: Write<'_, Self>) -> Vec<Requirement> {
        Requirement::on_server(&[Permission::ManageGuild])
    }

    fn limits(&self, _: Resolve<'_>) -> Vec<Limit> {
        Vec::new()
    }

    fn bound(_: Group, _: u8) -> Bound {
        Bound::NONE
    }

    fn violations(&self, _: Sent<'_>, _: &Abilities<'_>) -> Vec<Violation> {
        Vec::new()
    }

    fn written(&self, _: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        None
    }

    fn read_answer(answer: &Value, _: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let guild: Guild = wire::read("PATCH /guilds/{id}", answer)?;
        Ok(Some(Attributes::Server(read(&guild, &mut Vec::new()))))
    }
}

/// The response to `GET /guilds/{id}`. It contains roles, emoji and stickers.
#[derive(Debug, Deserialize)]
pub(crate) struct Guild {
    pub(crate) id: Snowflake,
    pub(crate) owner_id: Snowflake,
    pub(crate) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) description: Option<String>,
    pub(crate) verification_level: Integer,
    pub(crate) default_message_notifications: Integer,
    pub(crate) explicit_content_filter: Integer,
    pub(crate) preferred_locale: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) afk_channel_id: Option<Snowflake>,
    pub(crate) afk_timeout: Integer,
    #[serde(deserialize_with = "nullable")]
    pub(crate) system_channel_id: Option<Snowflake>,
    pub(crate) system_channel_flags: Integer,
    #[serde(deserialize_with = "nullable")]
    pub(crate) rules_channel_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) public_updates_channel_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) safety_alerts_channel_id: Option<Snowflake>,
    pub(crate) premium_progress_bar_enabled: bool,
    pub(crate) premium_tier: Integer,
    pub(crate) features: Vec<String>,
    pub(crate) roles: Vec<RoleObject>,
    pub(crate) emojis: Vec<EmojiObject>,
    /// Required by the OpenAPI document; optional in the reference.
    pub(crate) stickers: Option<Vec<StickerObject>>,
}

/// The settings in a response.
pub(crate) fn read(guild: &Guild, unknown: &mut Vec<UnknownValue>) -> Server {
    let mut unknown = UnknownValues::of(Kind::Server, guild.id, &guild.name, unknown);
    let channel = |id: Option<Snowflake>| Some(Clearable::from(id.map(Reference::Id)));
    let (level, notifications) = (guild.verification_level, guild.default_message_notifications);
    let (filter, timeout) = (guild.explicit_content_filter, guild.afk_timeout);
    let (flags, locale) = (guild.system_channel_flags, &guild.preferred_locale);
    Server {
        name: Some(guild.name.clone()),
        description: Some(guild.description.clone().unwrap_or_default()),
        verification_level: unknown.check(
            "verification_level",
            number(level, Verification::from_discord_number),
            level,
        ),
        default_notifications: unknown.check(
            "default_notifications",
            number(notifications, Notifications::from_discord_number),
            notifications,
        ),
        explicit_content_filter: unknown.check(
            "explicit_content_filter",
            number(filter, ContentFilter::from_discord_number),
            filter,
        ),
        preferred_locale: unknown.check("preferred_locale", Locale::from_name(locale), locale),
        afk_channel: channel(guild.afk_channel_id),
        afk_timeout: unknown.check("afk_timeout", number(timeout, AfkTimeout::from_discord_number), timeout),
        system_channel: channel(guild.system_channel_id),
        suppressed_messages: unknown.check("suppressed_messages", number(flags, suppressed), flags),
        community: Some(guild.features.iter().any(|feature| feature == "COMMUNITY")),
        rules_channel: channel(guild.rules_channel_id),
        public_updates_channel: channel(guild.public_updates_channel_id),
        safety_alerts_channel: channel(guild.safety_alerts_channel_id),
        boost_progress_bar: Some(guild.premium_progress_bar_enabled),
    }
}

/// A request replaces all flags, so a set with an unknown flag cannot be managed.
fn suppressed(flags: u64) -> Option<BTreeSet<SystemMessage>> {
    let known: u64 = SystemMessage::ALL.iter().map(|message| message.discord_number()).sum();
    let messages = SystemMessage::ALL.iter().copied();
    (flags & !known == 0).then(|| {
        messages
            .filter(|message| flags & message.discord_number() != 0)
            .collect()
    })
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
