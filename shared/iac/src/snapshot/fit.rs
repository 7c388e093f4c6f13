//! Values of a snapshot that Discord would not accept again.
//!
//! A server may have values that it could not get today: from before a limit, or from a higher boost level. Those that did not change
//! stay; those that would be sent are adapted, each with a reason.

use crate::live::LiveServer;
use crate::model::limits::{BITRATE_BY_LEVEL, STAGE_BITRATE, USER_LIMIT};
use crate::model::{Attributes, Channel, ChannelKind, Clearable, Role, Server};

/// Adapts the attributes of a resource. `found` are those of the live server, where the resource exists there. Returns what was
/// adapted.
pub(super) fn fit(attributes: &mut Attributes, found: Option<&Attributes>, live: &LiveServer) -> Vec<String> {
    match (attributes, found) {
        (Attributes::Channel(channel), found) => fit_channel(channel, found.and_then(Attributes::channel), live),
        (Attributes::Role(role), Some(Attributes::Role(found))) => fit_role(role, Some(found), live),
        (Attributes::Role(role), _) => fit_role(role, None, live),
        (Attributes::Server(server), _) => fit_server(server, live),
        _ => Vec::new(),
    }
}

fn fit_channel(channel: &mut Channel, found: Option<&Channel>, live: &LiveServer) -> Vec<String> {
    let mut adapted = Vec::new();
    let most = *USER_LIMIT.end();
    if channel.kind == ChannelKind::Voice
        && let Some(limit) = channel.user_limit.filter(|limit| *limit > most)
        && found.is_none_or(|found| found.user_limit != Some(limit))
    {
        channel.user_limit = Some(most);
        adapted.push(format!(
            "its user limit of {limit} becomes {most}, the maximum of a voice channel"
        ));
    }
    let most = most_bitrate(channel.kind, live);
    if let Some(bitrate) = channel.bitrate.filter(|bitrate| *bitrate > most)
        && found.is_none_or(|found| found.bitrate != Some(bitrate))
    {
        channel.bitrate = Some(most);
        adapted.push(format!(
            "its bitrate of {bitrate} becomes {most}, the maximum at boost level {}",
            live.boost_level
        ));
    }
    adapted
}

fn most_bitrate(kind: ChannelKind, live: &LiveServer) -> u32 {
    match kind {
        ChannelKind::Stage => STAGE_BITRATE,
        _ if live.features.contains("VIP_REGIONS") => BITRATE_BY_LEVEL[3],
        _ => BITRATE_BY_LEVEL[usize::from(live.boost_level).min(3)],
    }
}

fn fit_role(role: &mut Role, found: Option<&Role>, live: &LiveServer) -> Vec<String> {
    let mut adapted = Vec::new();
    let has_icon = role.unicode_emoji.as_ref().is_some_and(|emoji| !emoji.is_empty());
    if has_icon
        && !live.features.contains("ROLE_ICONS")
        && found.is_none_or(|found| found.unicode_emoji != role.unicode_emoji)
    {
        role.unicode_emoji = None;
        adapted.push("its icon is not restored: the server has no role icons".to_owned());
    }
    let gradient = |role: &Role| {
        let colors = [&role.secondary_color, &role.tertiary_color];
        colors.map(|color| color.as_ref().and_then(Clearable::value).copied())
    };
    if gradient(role).iter().any(Option::is_some)
        && !live.features.contains("ENHANCED_ROLE_COLORS")
        && found.is_none_or(|found| gradient(found) != gradient(role))
    {
        (role.secondary_color, role.tertiary_color) = (None, None);
        adapted.push("its second colour is not restored: the server has no gradient colours".to_owned());
    }
    adapted
}

/// A restore adds Community and does not take it away, with the channels that require it.
fn fit_server(server: &mut Server, live: &LiveServer) -> Vec<String> {
    if server.community != Some(false) || !live.is_community() {
        return Vec::new();
    }
    server.community = None;
    server.rules_channel = None;
    server.public_updates_channel = None;
    server.safety_alerts_channel = None;
    vec!["Community stays enabled, with its channels".to_owned()]
}
