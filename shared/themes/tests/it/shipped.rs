//! The built-in themes, entry by entry.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use arrakis_domain::{
    Access, Audience, BadgeId, ChannelKind, MemberFacts, Permission, Permissions, Plan, Rank, RoleRule, Standing,
    Theme, TierId,
};
use arrakis_themes::{Registry, Settings};

fn theme(id: &str) -> Theme {
    Theme::clone(Registry::load(None).unwrap().theme(id).unwrap())
}

fn badges(theme: &Theme, rank: u32, facts: &MemberFacts) -> Vec<String> {
    let ladder = theme.ladder(None).unwrap();
    let evaluation = theme.evaluate(ladder, Standing::new(Rank::new(rank), "0".parse().unwrap()), facts);
    evaluation
        .badges
        .iter()
        .map(|badge| theme.badge(badge).unwrap().name.clone())
        .collect()
}

#[test]
fn the_roles_of_sietch() {
    let sietch = theme("sietch");
    let rows: Vec<(&str, String, bool, u16)> = sietch
        .roles
        .iter()
        .map(|role| (role.name.as_str(), role.color.to_string(), role.hoist, role.position))
        .collect();
    let expected = [
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
    assert_eq!(
        rows,
        expected.map(|(name, color, hoist, position)| (name, color.to_owned(), hoist, position))
    );
    for role in &sietch.roles {
        let admin = role.permissions == Permissions::of(&[Permission::Administrator]);
        assert_eq!(admin, role.name == "Naib", "{}", role.name);
        assert!(admin || role.permissions.is_empty(), "{}", role.name);
        let variable = format!("color_{}", role.key.as_str().replace('-', "_"));
        assert!(sietch.variables.contains_key(&variable), "{variable}");
    }
    assert_eq!(sietch.roles[1].given_to, RoleRule::Bot);
    assert_eq!(sietch.version, "3.0.0");
    assert_eq!(sietch.variables.len(), 16, "fifteen colours and the name");
    assert_eq!(
        sietch.flags.keys().collect::<Vec<_>>(),
        ["enable_badge_channels", "enable_voice"]
    );
}

/// An audience in the specification's notation: `X+` for a tier and all tiers above it.
fn notation(theme: &Theme, audience: &Audience) -> String {
    if audience.everyone {
        return "everyone".to_owned();
    }
    let tiers: Vec<&TierId> = theme.tiers.iter().map(|tier| &tier.id).collect();
    for (index, tier) in theme.tiers.iter().enumerate().skip(1).rev() {
        let roles: BTreeSet<_> = tiers[..=index]
            .iter()
            .map(|id| theme.role_of_tier(id).unwrap().key.clone())
            .collect();
        if roles == audience.roles {
            return format!("{}+", tier.name);
        }
    }
    let name = |role: &&arrakis_domain::Role| audience.includes(&role.key);
    let names: Vec<&str> = theme.roles.iter().filter(name).map(|role| role.name.as_str()).collect();
    names.join(", ")
}

fn matrix(theme: &Theme) -> String {
    let mut table = String::new();
    for category in &theme.categories {
        writeln!(table, "{}", category.name).unwrap();
        for channel in &category.channels {
            let kind = match &channel.kind {
                ChannelKind::Text { slow_mode_seconds: 0 } => "text".to_owned(),
                ChannelKind::Text { slow_mode_seconds } => format!("text, slow {slow_mode_seconds} s"),
                ChannelKind::Voice { bitrate, user_limit } => format!("voice {}k/{user_limit}", bitrate / 1000),
                ChannelKind::Announcement => "announcement".to_owned(),
                other => format!("{other:?}"),
            };
            let access = match &channel.access {
                Access::Text { read, write } => {
                    format!("read {} | write {}", notation(theme, read), notation(theme, write))
                }
                Access::Voice { see, join, speak } => {
                    let [see, join, speak] = [see, join, speak].map(|audience| notation(theme, audience));
                    format!("see {see} | join {join} | speak {speak}")
                }
            };
            writeln!(table, "    {} | {kind} | {access}", channel.name).unwrap();
        }
    }
    table
}

#[test]
fn the_channels_of_sietch() {
    let sietch = theme("sietch");
    assert_eq!((sietch.categories.len(), sietch.channel_count()), (9, 23));
    insta::assert_snapshot!(matrix(&sietch));
    for channel in sietch.categories.iter().flat_map(|category| &category.channels) {
        assert!(channel.topic.len() > 10, "{} states its purpose", channel.name);
        let overwrites = channel.access.overwrites();
        assert!(
            overwrites.iter().all(|one| one.allow.intersection(one.deny).is_empty()),
            "{}",
            channel.name
        );
    }
    let posts = &sietch.posts;
    let places = [&posts.leaderboard, &posts.arrivals, &posts.digest].map(|post| post.as_ref().unwrap().as_str());
    assert_eq!(places, ["census", "the-door", "announcements"]);
}

#[test]
fn the_small_server_of_basic() {
    let basic = theme("basic");
    insta::assert_snapshot!(matrix(&basic));
    let needs_community = |channel: &arrakis_domain::Channel| channel.kind.needs_community();
    assert!(
        !basic
            .categories
            .iter()
            .flat_map(|category| &category.channels)
            .any(needs_community)
    );
}

#[test]
fn basic_uses_no_names_from_dune() {
    let words = [
        "naib", "fedaykin", "sietch", "spice", "fremen", "shai", "taqwa", "dune", "water",
    ];
    for folder in arrakis_themes::ThemeFolder::embedded()
        .into_iter()
        .filter(|folder| folder.id == "basic")
    {
        for (file, text) in folder.files {
            let text = text.to_lowercase();
            assert!(!words.iter().any(|word| text.contains(word)), "{file}");
        }
    }
}

#[test]
fn twelve_badges_of_sietch() {
    let sietch = theme("sietch");
    assert_eq!(sietch.badges.len(), 12);
    let facts = |tenure_days, active_days| MemberFacts {
        tenure_days,
        active_days,
        ..MemberFacts::default()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(badges(&sietch, 0, &facts(29, 4)), none);
    assert_eq!(badges(&sietch, 0, &facts(30, 0)), ["Sand Walker"]);
    assert_eq!(badges(&sietch, 0, &facts(89, 0)), ["Sand Walker"]);
    assert_eq!(badges(&sietch, 0, &facts(90, 0)), ["Desert Kin", "Sand Walker"]);
    assert_eq!(badges(&sietch, 0, &facts(179, 0)).len(), 2);
    assert_eq!(badges(&sietch, 0, &facts(180, 0)).len(), 3);
    for (days, count) in [(5, 1), (11, 1), (12, 2), (19, 2), (20, 3), (30, 3)] {
        assert_eq!(badges(&sietch, 0, &facts(0, days)).len(), count, "{days} active days");
    }
    assert_eq!(
        badges(&sietch, 70, &facts(0, 0)),
        none,
        "rank 70 without a holding has no tier"
    );
    assert_eq!(badges(&sietch, 69, &facts(0, 0)), ["Crysknife", "First Crossing"]);
    assert_eq!(
        badges(&sietch, 7, &facts(0, 0)),
        ["Crysknife", "First Crossing", "Seat of the Seven"]
    );

    let reached = [TierId::new("naib").unwrap()].into();
    let given = ["contributor", "water-sharer"]
        .map(|id| BadgeId::new(id).unwrap())
        .into();
    let all = MemberFacts {
        tenure_days: 180,
        active_days: 20,
        reached,
        given,
        ..MemberFacts::default()
    };
    assert_eq!(badges(&sietch, 8, &all).len(), 12, "every badge can be had");
    assert!(
        !badges(&sietch, 7, &all).contains(&"Former Naib".to_owned()),
        "who sits is not former"
    );
}

#[test]
fn five_badges_of_basic() {
    let basic = theme("basic");
    let all = MemberFacts {
        tenure_days: 90,
        join_order: Some(100),
        active_days: 20,
        given: [BadgeId::new("contributor").unwrap()].into(),
        ..MemberFacts::default()
    };
    let mut names = badges(&basic, 10, &all);
    names.sort();
    assert_eq!(names, ["Active", "Contributor", "Early Adopter", "Top Tier", "Veteran"]);
    let almost = MemberFacts {
        tenure_days: 89,
        join_order: Some(101),
        active_days: 19,
        ..MemberFacts::default()
    };
    assert_eq!(badges(&basic, 11, &almost), Vec::<String>::new());
    let once = MemberFacts {
        reached: [TierId::new("gold").unwrap()].into(),
        ..MemberFacts::default()
    };
    assert_eq!(badges(&basic, 0, &once), ["Top Tier"], "ever in Gold");
}

#[test]
fn special_roles_of_sietch() {
    let sietch = theme("sietch");
    let ladder = sietch.ladder(None).unwrap();
    let roles = |rank: u32, facts: &MemberFacts| {
        let evaluation = sietch.evaluate(ladder, Standing::new(Rank::new(rank), "0".parse().unwrap()), facts);
        let desired = sietch.desired_roles(&evaluation, facts);
        desired
            .iter()
            .map(|key| sietch.role(key).unwrap().name.clone())
            .collect::<Vec<_>>()
    };
    let waiting = MemberFacts {
        waitlisted: true,
        ..MemberFacts::default()
    };
    assert_eq!(roles(70, &waiting), ["Taqwa"]);
    let veteran = MemberFacts {
        tenure_days: 90,
        ..MemberFacts::default()
    };
    assert_eq!(
        roles(69, &veteran),
        ["Fedaykin", "Veteran"],
        "four badges do not make one engaged"
    );
    let engaged = MemberFacts {
        tenure_days: 90,
        active_days: 5,
        ..MemberFacts::default()
    };
    assert_eq!(roles(69, &engaged), ["Engaged", "Fedaykin", "Veteran"], "five do");
    let former = MemberFacts {
        reached: [TierId::new("naib").unwrap()].into(),
        ..MemberFacts::default()
    };
    assert!(roles(8, &former).contains(&"Former Naib".to_owned()));
    assert!(!roles(7, &former).contains(&"Former Naib".to_owned()));
    let sharer = MemberFacts {
        given: [BadgeId::new("water-sharer").unwrap()].into(),
        ..MemberFacts::default()
    };
    assert_eq!(roles(0, &sharer), ["Water Sharer"]);
}

#[test]
fn plan_includes_its_themes() {
    let registry = Registry::load(None).unwrap();
    let allowed = |plan| {
        registry
            .allowed(plan)
            .map(|theme| theme.id.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(allowed(Plan::Free), ["basic"]);
    assert_eq!(registry.fallback(Plan::Free).unwrap().id.as_str(), "basic");
    assert_eq!(allowed(Plan::Premium), ["basic", "sietch"]);
}

#[test]
fn variables_and_flags_change_a_theme() {
    let registry = Registry::load(None).unwrap();
    let settings = Settings::default()
        .with_variable("color_naib", "#010203")
        .with_variable("community_name", "Sietch Tabr")
        .with_flag("enable_voice", false)
        .with_flag("enable_badge_channels", false);
    let own = registry.with_settings("sietch", &settings).unwrap();
    assert_eq!(own.color_of(TierId::new("naib").ok().as_ref()).rgb(), 0x01_02_03);
    assert_eq!(own.roles[0].color.rgb(), 0x01_02_03);
    assert_eq!(own.settings.name.as_deref(), Some("Sietch Tabr"));
    assert_eq!(
        (own.categories.len(), own.channel_count()),
        (8, 15),
        "five voice and three badge channels are gone"
    );
    assert!(own.flags.values().all(|flag| flag.default && !flag.enabled));
}
