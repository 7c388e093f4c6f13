//! "Sietch Tabr", a realistic token-gated server, and "Arrakeen Market", a small one that is not onboarded.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    build::{CreatedGuild, SeedError, build},
    ids,
    people::{PEOPLE, TALK, TRADERS},
    spec::{BotSpec, ChannelSpec, ColorSpec, GuildSpec, KindSpec, MemberSpec, PermissionSpec, RoleSpec},
};
use crate::{
    model::{Author, Id, Message, Timestamp},
    world::State,
};

/// The tiers from the highest to the lowest, with their colours.
const TIERS: [(&str, u32); 9] = [
    ("Naib", 0xFF_D700),
    ("Fedaykin", 0x41_69E1),
    ("Usul", 0x9B_59B6),
    ("Sayyadina", 0x66_10F2),
    ("Mushtamal", 0x20_C997),
    ("Sihaya", 0x28_A745),
    ("Qanat", 0x17_A2B8),
    ("Ichwan", 0xFD_7E14),
    ("Hajra", 0xC2_B280),
];
const SPECIAL: [(&str, u32); 5] = [
    ("Former Naib", 0xB8_860B),
    ("Taqwa", 0x8D_99AE),
    ("Water Sharer", 0x5D_ADE2),
    ("Engaged", 0xE6_7E22),
    ("Veteran", 0x7F_8C8D),
];

/// Permissions of the bot's role. Not administrator, so that missing permissions have an effect.
const BOT_PERMISSIONS: [&str; 17] = [
    "VIEW_CHANNEL",
    "SEND_MESSAGES",
    "EMBED_LINKS",
    "ATTACH_FILES",
    "READ_MESSAGE_HISTORY",
    "MANAGE_ROLES",
    "MANAGE_CHANNELS",
    "MANAGE_MESSAGES",
    "MANAGE_NICKNAMES",
    "MANAGE_WEBHOOKS",
    "VIEW_AUDIT_LOG",
    "ADD_REACTIONS",
    "USE_EXTERNAL_EMOJIS",
    "USE_APPLICATION_COMMANDS",
    "CONNECT",
    "SPEAK",
    "SEND_MESSAGES_IN_THREADS",
];

/// Roles that see a channel, and roles that write: `x+` is that tier and those above it, empty is everyone, `-` the bot alone.
type Access = (&'static str, &'static str);

/// Category, then its channels: name, kind, topic, access.
type Section = (
    &'static str,
    &'static [(&'static str, &'static str, &'static str, Access)],
);

const SECTIONS: [Section; 9] = [
    (
        "📜 STILLSUIT",
        &[
            (
                "water-discipline",
                "text",
                "The rules of the sietch. Read them before you drink.",
                ("", "Naib+"),
            ),
            (
                "announcements",
                "announcement",
                "News of the sietch and the weekly digest.",
                ("", "Naib+"),
            ),
        ],
    ),
    (
        "🚪 CAVE ENTRANCE",
        &[
            (
                "cave-entrance",
                "text",
                "Where travellers arrive. Hajra listen, Ichwan and above speak.",
                ("Hajra+", "Ichwan+"),
            ),
            ("cave-voices", "voice", "", ("Hajra+", "Ichwan+")),
        ],
    ),
    (
        "🕳️ THE DEPTHS",
        &[
            (
                "the-depths",
                "text",
                "Deeper talk. Qanat listen, Sihaya and above speak.",
                ("Qanat+", "Sihaya+"),
            ),
            ("depth-voices", "voice", "", ("Qanat+", "Mushtamal+")),
        ],
    ),
    (
        "⚡ INNER SANCTUM",
        &[
            (
                "inner-sanctum",
                "text",
                "The keepers of the rites and those above them.",
                ("Sayyadina+", "Sayyadina+"),
            ),
            ("sanctum-voices", "voice", "", ("Sayyadina+", "Usul+")),
        ],
    ),
    (
        "⚔️ FEDAYKIN COMMONS",
        &[
            (
                "general",
                "text",
                "Everything that belongs nowhere else.",
                ("Fedaykin+", "Fedaykin+"),
            ),
            (
                "spice",
                "text",
                "Markets, chains and the flow of spice.",
                ("Fedaykin+", "Fedaykin+"),
            ),
            (
                "water-shares",
                "text",
                "Who shared water with whom, and why.",
                ("Fedaykin+", "Fedaykin+"),
            ),
            (
                "introductions",
                "text",
                "Say who you are. One message in five minutes.",
                ("Fedaykin+", "Fedaykin+"),
            ),
            (
                "census",
                "text",
                "The living leaderboard, kept by Shai-Hulud.",
                ("Fedaykin+", "-"),
            ),
            (
                "the-door",
                "text",
                "Who came and who went, kept by Shai-Hulud.",
                ("Fedaykin+", "-"),
            ),
            ("fedaykin-voices", "voice", "", ("Fedaykin+", "Fedaykin+")),
        ],
    ),
    (
        "🏛️ NAIB COUNCIL",
        &[
            ("council-rock", "text", "Where the seven decide.", ("Naib+", "Naib+")),
            ("council-chamber", "voice", "", ("Naib+", "Naib+")),
        ],
    ),
    (
        "🏛️ NAIB ARCHIVES",
        &[(
            "naib-archives",
            "text",
            "Counsel of those who sat and those who sit.",
            ("Naib,Former Naib", "Naib,Former Naib"),
        )],
    ),
    (
        "💧 BADGE CHANNELS",
        &[
            (
                "the-oasis",
                "text",
                "For those who were given water.",
                ("Water Sharer", "Water Sharer"),
            ),
            (
                "deep-desert",
                "text",
                "For holders of five badges or more.",
                ("Engaged", "Engaged"),
            ),
            (
                "stillsuit-lounge",
                "text",
                "For those of ninety days and more.",
                ("Veteran", "Veteran"),
            ),
        ],
    ),
    // Visible to everyone, so that members without a tier can verify.
    (
        "🛠️ SUPPORT",
        &[
            ("support", "text", "Ask, and somebody answers.", ("", "")),
            (
                "bot-commands",
                "text",
                "Speak to the bot here. Start with /help.",
                ("", ""),
            ),
        ],
    ),
];

/// Creates both servers. The seed decides the special roles of members and the times of messages; ids are constant.
///
/// # Errors
/// When they exist already.
pub fn lively(state: &mut State, seed: u64) -> Result<Vec<CreatedGuild>, SeedError> {
    let mut random = StdRng::seed_from_u64(seed);
    let tabr = build(state, &sietch_tabr(&mut random))?;
    talk(state, &tabr, &mut random);
    let market = build(state, &arrakeen_market())?;
    Ok(vec![tabr, market])
}

fn sietch_tabr(random: &mut StdRng) -> GuildSpec {
    let role = |(n, (name, color)): (u64, &(&str, u32))| RoleSpec {
        id: Some(ids::tabr_role(n)),
        name: (*name).to_owned(),
        color: Some(ColorSpec::Number(*color)),
        hoist: n <= 9,
        mentionable: n == 1,
        ..RoleSpec::default()
    };
    let members = PEOPLE
        .iter()
        .zip(1_u64..)
        .map(|(person, n)| member(person, n, random))
        .collect();
    GuildSpec {
        id: Some(ids::SIETCH_TABR),
        name: "Sietch Tabr".to_owned(),
        description: Some("Those who hold are those who sit.".to_owned()),
        owner_id: Some(ids::OWNER),
        community: true,
        premium_tier: 2,
        bot: BotSpec {
            role_id: Some(ids::bot_role(ids::SIETCH_TABR)),
            permissions: Some(PermissionSpec::Names(BOT_PERMISSIONS.map(str::to_owned).to_vec())),
            below: None,
        },
        roles: (1_u64..).zip(TIERS.iter().chain(&SPECIAL)).map(role).collect(),
        channels: channels(),
        members,
        ..GuildSpec::default()
    }
}

fn member(person: &(&str, &str, usize, u64), n: u64, random: &mut StdRng) -> MemberSpec {
    let (name, display, tier, joined_days_ago) = *person;
    let mut roles: Vec<String> = tier
        .checked_sub(1)
        .map(|tier| TIERS[tier].0.to_owned())
        .into_iter()
        .collect();
    let mut also = |name: &str, given: bool| {
        if given {
            roles.push(name.to_owned());
        }
    };
    also("Former Naib", matches!(name, "korba" | "ramallo"));
    also("Taqwa", tier == 3);
    also("Water Sharer", tier > 0 && random.random_ratio(1, 5));
    also("Engaged", tier > 0 && tier < 4 && random.random_ratio(1, 2));
    also("Veteran", joined_days_ago >= 90);
    MemberSpec {
        user_id: Some(ids::person(n)),
        name: name.to_owned(),
        display: Some(display.to_owned()),
        roles,
        joined_days_ago,
        // One user accepts no direct messages from bots, for tests of code 50007.
        refuses_dms: name == "jamis",
        ..MemberSpec::default()
    }
}

fn channels() -> Vec<ChannelSpec> {
    let mut numbers = 1_u64..;
    let mut next = || numbers.next().map(|n| ids::channel(ids::SIETCH_TABR, n));
    let mut list = Vec::with_capacity(SECTIONS.len());
    for (name, inside) in SECTIONS {
        let id = next();
        let channels = inside
            .iter()
            .map(|(name, kind, topic, (see, write))| ChannelSpec {
                id: next(),
                name: (*name).to_owned(),
                kind: Some(KindSpec::Name((*kind).to_owned())),
                topic: (!topic.is_empty()).then(|| (*topic).to_owned()),
                slow_mode: if *name == "introductions" { 300 } else { 0 },
                user_limit: if *name == "council-chamber" { 7 } else { 0 },
                visible_to: roles_of(see),
                writable_by: roles_of(write).filter(|_| see != write),
                ..ChannelSpec::default()
            })
            .collect();
        let category = KindSpec::Name("category".to_owned());
        list.push(ChannelSpec {
            id,
            name: name.to_owned(),
            kind: Some(category),
            channels,
            ..ChannelSpec::default()
        });
    }
    list
}

/// The roles of an entry of the table; `None` is everyone.
fn roles_of(access: &str) -> Option<Vec<String>> {
    match access {
        "" => None,
        "-" => Some(Vec::new()),
        _ => Some(
            access
                .split(',')
                .flat_map(|word| match word.strip_suffix('+') {
                    None => vec![word.to_owned()],
                    Some(lowest) => {
                        let end = TIERS
                            .iter()
                            .position(|(name, _)| *name == lowest)
                            .map_or(0, |place| place + 1);
                        TIERS[..end].iter().map(|(name, _)| (*name).to_owned()).collect()
                    }
                })
                .collect(),
        ),
    }
}

/// Adds the messages to the channels, minutes apart, the newest an hour ago.
fn talk(state: &mut State, made: &CreatedGuild, random: &mut StdRng) {
    let mut at = state.now().0.saturating_sub(60 * 60 * 1_000);
    let mut times: Vec<u64> = TALK
        .iter()
        .map(|_| {
            at -= random.random_range(2..50) * 60_000 + random.random_range(0..60_000);
            at
        })
        .collect();
    times.reverse();
    for ((speaker, channel, text), at) in TALK.iter().zip(times) {
        let Some(channel) = made.channels.get(*channel) else {
            continue;
        };
        let author = Author::User(ids::person(*speaker as u64));
        let message = Message::text(
            Id::at_ms(at),
            *channel,
            Some(made.guild_id),
            author,
            text,
            Timestamp(at),
        );
        state.put_message(message);
    }
}

fn arrakeen_market() -> GuildSpec {
    let guild = ids::ARRAKEEN_MARKET;
    let text = |n: u64, name: &str, topic: &str| ChannelSpec {
        id: Some(ids::channel(guild, n)),
        name: name.to_owned(),
        topic: Some(topic.to_owned()),
        ..ChannelSpec::default()
    };
    let members = TRADERS.iter().map(|n| MemberSpec {
        user_id: Some(ids::person(*n as u64)),
        name: PEOPLE[n - 1].0.to_owned(),
        roles: if *n == 20 {
            vec!["Warden".to_owned()]
        } else {
            Vec::new()
        },
        joined_days_ago: PEOPLE[n - 1].3.min(20),
        ..MemberSpec::default()
    });
    GuildSpec {
        id: Some(guild),
        name: "Arrakeen Market".to_owned(),
        owner_id: Some(ids::OWNER),
        bot: BotSpec {
            role_id: Some(ids::bot_role(guild)),
            ..BotSpec::default()
        },
        roles: vec![RoleSpec {
            id: Some(Id(guild.0 + 101)),
            name: "Warden".to_owned(),
            color: Some(ColorSpec::Number(0xAA_3333)),
            permissions: Some(PermissionSpec::Names(vec![
                "MANAGE_GUILD".to_owned(),
                "KICK_MEMBERS".to_owned(),
            ])),
            hoist: true,
            ..RoleSpec::default()
        }],
        channels: vec![
            text(1, "bazaar", "Goods from all sectors."),
            text(2, "rumours", "What the smugglers say."),
        ],
        members: members.collect(),
        ..GuildSpec::default()
    }
}
