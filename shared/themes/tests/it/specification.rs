//! Sietch 3.0.0 against its specification, row by row, by the permissions that members have as a result.

use std::collections::BTreeSet;

use arrakis_domain::{Access, Channel, ChannelKind, Permission, Permissions, Role, Theme};
use arrakis_themes::Registry;

/// Role, colour, displayed separately, position.
const ROLES: [(&str, &str, bool, u16); 15] = [
    ("Naib", "#FFD700", true, 100),
    ("Shai-Hulud", "#FFD700", false, 99),
    ("Fedaykin", "#4169E1", true, 95),
    ("Usul", "#9B59B6", true, 90),
    ("Sayyadina", "#6610F2", true, 85),
    ("Mushtamal", "#20C997", true, 80),
    ("Sihaya", "#28A745", true, 75),
    ("Qanat", "#17A2B8", true, 70),
    ("Ichwan", "#FD7E14", true, 65),
    ("Hajra", "#C2B280", true, 60),
    ("Former Naib", "#C0C0C0", false, 55),
    ("Taqwa", "#C2B280", false, 50),
    ("Water Sharer", "#00D4FF", false, 45),
    ("Engaged", "#28A745", false, 40),
    ("Veteran", "#9B59B6", false, 35),
];

/// Category, channel, kind, who reads (or sees), who writes (or joins and speaks; with a comma, who joins and who speaks).
const CHANNELS: [(&str, &str, &str, &str, &str); 23] = [
    ("📜 STILLSUIT", "water-discipline", "text", "everyone", "Naib"),
    (
        "📜 STILLSUIT",
        "announcements",
        "announcement",
        "everyone",
        "Naib & Shai-Hulud",
    ),
    ("🚪 CAVE ENTRANCE", "cave-entrance", "text", "Hajra+", "Ichwan+"),
    ("🚪 CAVE ENTRANCE", "cave-voices", "voice 64k/25", "Hajra+", "Ichwan+"),
    ("🕳️ THE DEPTHS", "the-depths", "text", "Qanat+", "Sihaya+"),
    ("🕳️ THE DEPTHS", "depth-voices", "voice 64k/25", "Qanat+", "Mushtamal+"),
    ("⚡ INNER SANCTUM", "inner-sanctum", "text", "Sayyadina+", "Sayyadina+"),
    (
        "⚡ INNER SANCTUM",
        "sanctum-voices",
        "voice 96k/15",
        "Sayyadina+",
        "Sayyadina+, Usul+",
    ),
    ("⚔️ FEDAYKIN COMMONS", "general", "text", "Fedaykin+", "Fedaykin+"),
    ("⚔️ FEDAYKIN COMMONS", "spice", "text", "Fedaykin+", "Fedaykin+"),
    ("⚔️ FEDAYKIN COMMONS", "water-shares", "text", "Fedaykin+", "Fedaykin+"),
    (
        "⚔️ FEDAYKIN COMMONS",
        "introductions",
        "text slow 300",
        "Fedaykin+",
        "Fedaykin+",
    ),
    ("⚔️ FEDAYKIN COMMONS", "census", "text", "Fedaykin+", "Shai-Hulud"),
    ("⚔️ FEDAYKIN COMMONS", "the-door", "text", "Fedaykin+", "Shai-Hulud"),
    (
        "⚔️ FEDAYKIN COMMONS",
        "fedaykin-voices",
        "voice 96k/69",
        "Fedaykin+",
        "Fedaykin+",
    ),
    ("🏛️ NAIB COUNCIL", "council-rock", "text", "Naib", "Naib"),
    ("🏛️ NAIB COUNCIL", "council-chamber", "voice 96k/7", "Naib", "Naib"),
    (
        "🏛️ NAIB ARCHIVES",
        "naib-archives",
        "text",
        "Naib & Former Naib",
        "Naib & Former Naib",
    ),
    ("💧 BADGE CHANNELS", "the-oasis", "text", "Water Sharer", "Water Sharer"),
    ("💧 BADGE CHANNELS", "deep-desert", "text", "Engaged", "Engaged"),
    ("💧 BADGE CHANNELS", "stillsuit-lounge", "text", "Veteran", "Veteran"),
    ("🛠️ SUPPORT", "support", "text", "Fedaykin+", "Fedaykin+"),
    ("🛠️ SUPPORT", "bot-commands", "text", "Fedaykin+", "Fedaykin+"),
];

/// Tiers, highest first.
const TIERS: [&str; 9] = [
    "Naib",
    "Fedaykin",
    "Usul",
    "Sayyadina",
    "Mushtamal",
    "Sihaya",
    "Qanat",
    "Ichwan",
    "Hajra",
];

fn sietch() -> Theme {
    Theme::clone(Registry::load(None).unwrap().theme("sietch").unwrap())
}

#[test]
fn version_counts_and_variables() {
    let sietch = sietch();
    assert_eq!(sietch.version, "3.0.0");
    assert_eq!(
        (sietch.roles.len(), sietch.categories.len(), sietch.channel_count()),
        (15, 9, 23)
    );
    let mut variables: BTreeSet<String> = ROLES
        .iter()
        .map(|(name, ..)| format!("color_{}", name.to_lowercase().replace([' ', '-'], "_")))
        .collect();
    variables.insert("community_name".to_owned());
    let known: BTreeSet<String> = sietch.variables.keys().cloned().collect();
    assert_eq!(known, variables, "a colour for each role, and the community's name");
    assert_eq!(
        sietch.flags.keys().collect::<Vec<_>>(),
        ["enable_badge_channels", "enable_voice"]
    );
    assert_eq!(sietch.variable_count(), 18, "fifteen colours, a name, two flags");
    assert_eq!(sietch.settings.name.as_deref(), Some("Sietch"));
}

#[test]
fn roles_equal_the_table() {
    let sietch = sietch();
    let found: Vec<(&str, String, bool, u16)> = sietch
        .roles
        .iter()
        .map(|role| (role.name.as_str(), role.color.to_string(), role.hoist, role.position))
        .collect();
    let expected: Vec<(&str, String, bool, u16)> = ROLES
        .iter()
        .map(|(name, color, hoist, position)| (*name, (*color).to_owned(), *hoist, *position))
        .collect();
    assert_eq!(found, expected);
    for role in &sietch.roles {
        let expected = if role.name == "Naib" {
            Permissions::of(&[Permission::Administrator])
        } else {
            Permissions::NONE
        };
        assert_eq!(role.permissions, expected, "{}", role.name);
    }
}

#[test]
fn channels_equal_the_table() {
    let sietch = sietch();
    let found: Vec<(&str, &str, String)> = sietch
        .categories
        .iter()
        .flat_map(|category| {
            category
                .channels
                .iter()
                .map(|channel| (category.name.as_str(), channel.name.as_str(), kind(channel)))
        })
        .collect();
    let expected: Vec<(&str, &str, String)> = CHANNELS
        .iter()
        .map(|(category, channel, kind, ..)| (*category, *channel, (*kind).to_owned()))
        .collect();
    assert_eq!(found, expected);
    let topics = sietch
        .categories
        .iter()
        .flat_map(|category| &category.channels)
        .map(|channel| channel.topic.as_str());
    assert!(
        topics.clone().all(|topic| topic.len() > 10),
        "every channel states its purpose"
    );
    assert_eq!(topics.collect::<BTreeSet<_>>().len(), 23, "each its own");
}

fn kind(channel: &Channel) -> String {
    match &channel.kind {
        ChannelKind::Text { slow_mode_seconds: 0 } => "text".to_owned(),
        ChannelKind::Text { slow_mode_seconds } => format!("text slow {slow_mode_seconds}"),
        ChannelKind::Announcement => "announcement".to_owned(),
        ChannelKind::Voice { bitrate, user_limit } => format!("voice {}k/{user_limit}", bitrate / 1000),
        other => format!("{other:?}"),
    }
}

/// Whether the audience includes a member with this one role.
fn includes(audience: &str, role: Option<&str>) -> bool {
    let named = |part: &str| match part.strip_suffix('+') {
        Some(tier) => {
            let height = TIERS.iter().position(|one| *one == tier).unwrap();
            role.is_some_and(|role| TIERS[..=height].contains(&role))
        }
        None => role == Some(part),
    };
    audience == "everyone" || audience.split(" & ").any(named)
}

/// Permissions in a channel of a member with this one role, by Discord's rules; @everyone has all of them on the server.
fn permissions_in(channel: &Channel, role: Option<&Role>) -> Permissions {
    if role.is_some_and(|role| role.permissions.contains(Permission::Administrator)) {
        return Permissions::ALL;
    }
    let mut may = Permissions::ALL.without(Permissions::of(&[Permission::Administrator]));
    let overwrites = channel.access.overwrites();
    for overwrite in overwrites.iter().filter(|one| one.role.is_none()) {
        may = may.without(overwrite.deny) | overwrite.allow;
    }
    for overwrite in overwrites
        .iter()
        .filter(|one| one.role.is_some() && one.role.as_ref() == role.map(|role| &role.key))
    {
        may = may.without(overwrite.deny) | overwrite.allow;
    }
    may
}

#[test]
fn members_have_the_permissions_of_the_matrix() {
    let sietch = sietch();
    let channels = sietch.categories.iter().flat_map(|category| &category.channels);
    for (channel, (_, name, _, read, write)) in channels.zip(CHANNELS) {
        let (join, speak) = write.split_once(", ").unwrap_or((write, write));
        for role in sietch.roles.iter().map(Some).chain([None]) {
            let role_name = role.map(|role| role.name.as_str());
            // A higher level includes the lower ones, and administrators have every permission.
            let all = role_name == Some("Naib");
            let writes = all || includes(speak, role_name);
            let joins = writes || includes(join, role_name);
            let reads = joins || includes(read, role_name);
            let may = permissions_in(channel, role);
            let member = format!("{name}: {}", role_name.unwrap_or("everyone"));
            assert_eq!(may.contains(Permission::ViewChannel), reads, "{member} sees");
            match channel.access {
                Access::Text { .. } => {
                    assert_eq!(may.contains(Permission::ReadMessageHistory), reads, "{member} reads");
                    for right in [
                        Permission::SendMessages,
                        Permission::SendMessagesInThreads,
                        Permission::CreatePublicThreads,
                    ] {
                        assert_eq!(may.contains(right), writes, "{member} {right}");
                    }
                }
                Access::Voice { .. } => {
                    assert_eq!(may.contains(Permission::Connect), joins, "{member} joins");
                    assert_eq!(may.contains(Permission::Speak), writes, "{member} speaks");
                }
            }
        }
    }
}

/// A channel that is added manually gets its category's overwrites.
#[test]
fn category_is_visible_to_those_who_see_one_of_its_channels() {
    let sietch = sietch();
    for category in &sietch.categories {
        let overwrites = category.overwrites();
        for role in sietch.roles.iter().map(Some).chain([None]) {
            let sees_any = category
                .channels
                .iter()
                .any(|channel| permissions_in(channel, role).contains(Permission::ViewChannel));
            let own = overwrites
                .iter()
                .any(|one| one.role.as_ref() == role.map(|role| &role.key) && !one.allow.is_empty());
            let open = overwrites.is_empty();
            let administrator = role.is_some_and(|role| role.permissions.contains(Permission::Administrator));
            assert_eq!(
                own || open || administrator,
                sees_any,
                "{}: {:?}",
                category.name,
                role.map(|role| &role.name)
            );
        }
    }
}
