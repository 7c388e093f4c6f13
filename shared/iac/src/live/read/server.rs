//! The server's own settings.

use super::wire;
use crate::model::{
    AfkTimeout, Clearable, ContentFilter, Locale, Notifications, Reference, Server, Snowflake, SystemMessage,
    Verification,
};

pub(super) fn attributes(guild: &wire::Guild) -> Server {
    let channel = |id: Option<Snowflake>| Some(Clearable::from(id.map(Reference::Id)));
    let suppressed = SystemMessage::ALL
        .iter()
        .copied()
        .filter(|message| guild.system_channel_flags & message.wire() != 0);
    Server {
        name: Some(guild.name.clone()),
        description: Some(guild.description.clone().unwrap_or_default()),
        verification_level: Verification::from_wire(guild.verification_level),
        default_notifications: Notifications::from_wire(guild.default_message_notifications),
        explicit_content_filter: ContentFilter::from_wire(guild.explicit_content_filter),
        preferred_locale: Locale::from_name(&guild.preferred_locale),
        afk_channel: channel(guild.afk_channel_id),
        afk_timeout: AfkTimeout::from_wire(guild.afk_timeout),
        system_channel: channel(guild.system_channel_id),
        suppressed_messages: Some(suppressed.collect()),
        community: Some(guild.features.iter().any(|feature| feature == "COMMUNITY")),
        rules_channel: channel(guild.rules_channel_id),
        public_updates_channel: channel(guild.public_updates_channel_id),
        safety_alerts_channel: channel(guild.safety_alerts_channel_id),
        boost_progress_bar: Some(guild.premium_progress_bar_enabled),
    }
}
