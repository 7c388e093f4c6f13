//! `server.yaml`: settings of the server itself.

use arrakis_domain::{DefaultNotifications, ExplicitContentFilter, ServerSettings, VerificationLevel};

use super::reader::Reader;
use crate::document::{ContentFilter, Notifications, Server, Verification};

pub(crate) fn read(document: &Server, reader: &mut Reader<'_>) -> ServerSettings {
    ServerSettings {
        name: document.name.as_ref().map(|name| reader.server_name(name)),
        verification_level: document.verification_level.map(|level| match level {
            Verification::None => VerificationLevel::None,
            Verification::Low => VerificationLevel::Low,
            Verification::Medium => VerificationLevel::Medium,
            Verification::High => VerificationLevel::High,
            Verification::VeryHigh => VerificationLevel::VeryHigh,
        }),
        default_notifications: document.default_notifications.map(|level| match level {
            Notifications::AllMessages => DefaultNotifications::AllMessages,
            Notifications::OnlyMentions => DefaultNotifications::OnlyMentions,
        }),
        explicit_content_filter: document.explicit_content_filter.map(|level| match level {
            ContentFilter::Disabled => ExplicitContentFilter::Disabled,
            ContentFilter::MembersWithoutRoles => ExplicitContentFilter::MembersWithoutRoles,
            ContentFilter::AllMembers => ExplicitContentFilter::AllMembers,
        }),
    }
}
