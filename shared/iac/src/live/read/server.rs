//! The server's own settings.

use super::unknown::{UnknownValue, Unknowns, number};
use super::wire;
use crate::model::{
    AfkTimeout, Clearable, ContentFilter, Kind, Locale, Notifications, Reference, Server, Snowflake, SystemMessage,
    Verification,
};

pub(super) fn attributes(guild: &wire::Guild, unknown: &mut Vec<UnknownValue>) -> Server {
    let mut unknown = Unknowns::of(Kind::Server, guild.id, &guild.name, unknown);
    let channel = |id: Option<Snowflake>| Some(Clearable::from(id.map(Reference::Id)));
    let (level, notifications) = (guild.verification_level, guild.default_message_notifications);
    let (filter, timeout) = (guild.explicit_content_filter, guild.afk_timeout);
    let (flags, locale) = (guild.system_channel_flags, &guild.preferred_locale);
    Server {
        name: Some(guild.name.clone()),
        description: Some(guild.description.clone().unwrap_or_default()),
        verification_level: unknown.check("verification_level", number(level, Verification::from_wire), level),
        default_notifications: unknown.check(
            "default_notifications",
            number(notifications, Notifications::from_wire),
            notifications,
        ),
        explicit_content_filter: unknown.check(
            "explicit_content_filter",
            number(filter, ContentFilter::from_wire),
            filter,
        ),
        preferred_locale: unknown.check("preferred_locale", Locale::from_name(locale), locale),
        afk_channel: channel(guild.afk_channel_id),
        afk_timeout: unknown.check("afk_timeout", number(timeout, AfkTimeout::from_wire), timeout),
        system_channel: channel(guild.system_channel_id),
        suppressed_messages: unknown.check("suppressed_messages", number(flags, suppressed), flags),
        community: Some(guild.features.iter().any(|feature| feature == "COMMUNITY")),
        rules_channel: channel(guild.rules_channel_id),
        public_updates_channel: channel(guild.public_updates_channel_id),
        safety_alerts_channel: channel(guild.safety_alerts_channel_id),
        boost_progress_bar: Some(guild.premium_progress_bar_enabled),
    }
}

/// Discord takes the flags whole: a set with a flag that is unknown here cannot be sent back.
fn suppressed(flags: u64) -> Option<std::collections::BTreeSet<SystemMessage>> {
    let known: u64 = SystemMessage::ALL.iter().map(|message| message.wire()).sum();
    let messages = SystemMessage::ALL.iter().copied();
    (flags & !known == 0).then(|| messages.filter(|message| flags & message.wire() != 0).collect())
}
