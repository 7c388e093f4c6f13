//! Reading a configuration: the message for each mistake, and the precedence of the values of a variable.

use std::collections::BTreeMap;

use arrakis_domain::Color;
use arrakis_iac::config::{Loaded, VariableFile, VariableInputs, load};
use arrakis_iac::model::{Attributes, Channel, ChannelKind, Clearable, Configuration, Kind, Reference, Role};
use arrakis_themes::Problems;

use crate::themes;

fn read(yaml: &str, inputs: &VariableInputs) -> Result<Loaded, Problems> {
    load("discord-server.yaml", yaml.as_bytes(), themes(), inputs)
}

fn configuration(yaml: &str) -> Configuration {
    read(yaml, &VariableInputs::default())
        .unwrap_or_else(|problems| panic!("{problems}"))
        .configuration
}

fn refusal(yaml: &str) -> String {
    refusal_with(yaml, &VariableInputs::default())
}

fn refusal_with(yaml: &str, inputs: &VariableInputs) -> String {
    match read(yaml, inputs) {
        Ok(loaded) if !loaded.configuration.broken_rules.is_empty() => rules(&loaded.configuration),
        Ok(_) => panic!("the file was accepted:\n{yaml}"),
        Err(problems) => problems.to_string(),
    }
}

/// The rules of Discord's that a configuration breaks, one a line.
pub(crate) fn rules(configuration: &Configuration) -> String {
    let mut reported = String::new();
    for rule in &configuration.broken_rules {
        let place = rule.origin.as_ref().unwrap();
        let (line, column, address, part) = (place.line, place.column, &rule.address, &rule.part);
        reported.push_str(&format!("{line}:{column}: {address}, {part:?}: {}\n", rule.reason));
    }
    reported
}

fn role<'a>(configuration: &'a Configuration, address: &str) -> &'a Role {
    match configuration.get(&address.parse().unwrap()) {
        Some(Attributes::Role(role)) => role,
        other => panic!("{address}: {other:?}"),
    }
}

fn channel<'a>(configuration: &'a Configuration, address: &str) -> &'a Channel {
    match configuration.get(&address.parse().unwrap()) {
        Some(Attributes::Channel(channel) | Attributes::Category(channel)) => channel,
        other => panic!("{address}: {other:?}"),
    }
}

fn order(configuration: &Configuration, kind: Kind) -> Vec<String> {
    configuration
        .of_kind(kind)
        .map(|(address, _)| address.key().unwrap().to_string())
        .collect()
}

macro_rules! refused {
    ($($name:ident: $yaml:literal;)+) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), refusal($yaml));
        })+
    };
}

refused! {
    unknown_keys: "roles:\n  naib: { colour: \"#FFD700\", hoisted: true }\nchanels: {}\nserver: { naem: Sietch }";
    bad_values: "roles:\n  naib:\n    color: FFD700\n    hoist: yes\n    permissions: [ADMINSTRATOR, Manage Channels, READ_MESSAGES, FLY]\n  usul: { color: #FFD700\n }";
    unresolved_variables: "variables:\n  accent: { type: color, default: \"#FFFFFF\" }\n  clan: {}\nflags: { voice: {} }\nroles:\n  a: { name: \"${clam}\", color: \"${acent}\" }\n  b: { name: \"${voice}\" }\n  c: { name: \"${clan}\" }\n  d: { name: \"${clan\" }";
    variables_of_wrong_types: "variables:\n  a: { type: colour, default: x }\n  b: { type: number, default: many }\n  c: { type: list, default: x }\n  d: { type: boolean, default: [true] }\n  Big: { default: x }\nflags: { a: {}, f: { default: maybe } }";
    cycles: "variables:\n  a: { default: \"${b}\" }\n  b: { default: \"${a}\" }\nroles:\n  x: { after: y }\n  y: { after: z }\n  z: { before: x }\n  w: { after: w }";
    duplicates: "categories:\n  a: { channels: { general: {}, spice: {} } }\nchannels:\n  general: {}\n  spice: {}\nroles:\n  naib: {}\n  naib: {}";
    logical_names: "roles:\n  Naib: {}\n  former naib: {}\n  69: {}\n  🏜️: {}";
    references: "server: { afk_channel: lobbi, system_channel: role.naib }\nroles: { naib: {} }\nchannels:\n  lobby: { category: nowhere, overwrites: { niab: {}, 12: {}, \"member:0\": {}, channel.lobby: {} } }";
    both_allowed_and_denied: "roles: { naib: {} }\nchannels:\n  lobby:\n    overwrites:\n      naib: { allow: [VIEW_CHANNEL, CONNECT], deny: [SPEAK, CONNECT] }\n      role.naib: {}";
    attributes_of_another_kind: "channels:\n  a: { kind: voice, topic: Talk, tags: [] }\n  b: { bitrate: 64000, layout: grid }\n  c: { kind: category }\n  d: { kind: stage, bitrate: 96000 }\n  e: { kind: voice, user_limit: 100 }\n  f: { overwrites: synced }\n  g: { kind: announcement, slow_mode: 5 }\n  h: { slow_mode: 21601, kind: texd }\ncategories:\n  i: { overwrites: synced, channels: { j: { overwrites: synced } } }";
    everyone_is_not_like_other_roles: "roles:\n  everyone: { name: all, color: \"#000000\", permissions: [] }";
    a_community_server_is_needed: "server: { community: false }\nchannels: { news: { kind: announcement } }\nwelcome_screen: { enabled: true }";
    moderation: "automod:\n  a: { actions: [] }\n  b: { trigger: { keyword: {}, spam: true }, actions: [{ timeout: 5, alert: x }] }\n  c: { trigger: { preset: {} }, actions: [{ timeout: 5 }] }\n  d: { trigger: { mention_spam: {} }, actions: [{ block_member: true }, { alert: nowhere }] }";
    extras: "emoji: { a: {}, fine: { name: \"no good\" } }\nstickers: { a: { name: Sand } }\nwebhooks: { clyde: {}, b: { channel: nowhere } }\nwelcome_screen: { channels: [{ description: x }] }\nonboarding: { prompts: [{ title: Q, options: [] }, { title: Q, options: [{ title: A }, { title: A, roles: [] }] }] }\nevents:\n  a: { start: tomorrow }\n  b: { start: 2027-01-02T00:00:00Z, end: 2027-01-01T00:00:00Z, location: here }\n  c: { start: 2027-01-02T00:00:00Z, location: here }";
    rules_of_channels: "channels:\n  d: { kind: stage, bitrate: 96000 }\n  e: { kind: voice, user_limit: 100 }\n  h: { slow_mode: 21601, name: \"\" }\ncategories:\n  i: { name: \" \", channels: { j: { kind: forum, tags: [{ name: a }, { name: a }] } } }";
    rules_of_overwrites: "roles: { naib: {} }\nchannels:\n  lobby:\n    overwrites:\n      naib: { allow: [VIEW_CHANNEL, CONNECT], deny: [SPEAK, CONNECT] }";
    rules_of_moderation: "automod:\n  a: { actions: [] }\n  c: { trigger: { preset: {} }, actions: [{ timeout: 5 }] }\n  d: { trigger: { spam: true }, actions: [{ block_member: true }], exempt_roles: [1, 1] }\n  e: { trigger: { spam: true }, actions: [{ timeout: 0 }] }";
    rules_of_extras: "emoji: { a: {}, fine: { name: \"no good\" } }\nstickers: { a: { name: S } }\nwebhooks: { clyde: {} }\nwelcome_screen: { channels: [{ channel: 1, description: \"\" }] }\nonboarding: { prompts: [{ title: Q, options: [] }, { title: Q, options: [{ title: A }, { title: A, roles: [] }] }] }\nevents:\n  a: {}\n  b: { start: 2027-01-02T00:00:00Z, end: 2027-01-01T00:00:00Z, location: here }\n  c: { start: 2027-01-02T00:00:00Z, location: here }";
    rules_of_settings: "server: { name: x, community: true, rules_channel: none }\nroles: { a: { tertiary_color: \"#000001\" } }";
    attributes_that_are_not_managed: "defaults: all\nroles: { a: { hoist: true, unmanaged: [hoist, colour] } }\nchannels: { b: { unmanaged: [kind, topic] } }\nevents: { c: { location: x, unmanaged: [place] } }";
    an_unknown_theme: "theme: { name: sietsch }";
    records_of_themes: "theme: basic\nfrom_theme:\n  name: basic\n  version: 1.0.0\n  digest: abc\n  variables: { Big: x, small: [a] }\n  flags: { enable_voice: perhaps }";
    settings_of_themes: "theme:\n  name: sietch\n  variables: { color_niab: \"#FFFFFF\", color_usul: purple }\n  flags: { enable_voise: true }\n  without: [channel.spicy, spice]\nvariables: { color_hajra: { default: x } }";
}

#[test]
fn limits_of_discord() {
    let roles: String = (0..250).map(|number| format!("  r{number}: {{}}\n")).collect();
    assert!(refusal(&format!("roles:\n{roles}")).contains("250 roles; a server has at most 249 besides @everyone"));
    let channels: String = (0..51).map(|number| format!("      c{number}: {{}}\n")).collect();
    let crowded = refusal(&format!("categories:\n  a:\n    channels:\n{channels}"));
    assert!(crowded.contains("more than 50 channels in `category.a`"), "{crowded}");
    let channels: String = (0..501).map(|number| format!("  c{number}: {{}}\n")).collect();
    assert!(refusal(&format!("channels:\n{channels}")).contains("more than 500 categories and channels"));
    let tags = (0..21)
        .map(|number| format!("{{ name: t{number} }}"))
        .collect::<Vec<_>>()
        .join(", ");
    assert!(refusal(&format!("channels: {{ f: {{ kind: forum, tags: [{tags}] }} }}")).contains("more than 20 tags"));
    let overwrites: String = (1..=101).map(|number| format!("      role:{number}: {{}}\n")).collect();
    assert!(refusal(&format!("channels:\n  a:\n    overwrites:\n{overwrites}")).contains("more than 100 overwrites"));
    let topic = "t".repeat(1_025);
    assert!(refusal(&format!("channels: {{ a: {{ topic: {topic} }} }}")).contains("1025 characters; at most 1024"));
    configuration(&format!("channels: {{ a: {{ kind: forum, topic: {topic} }} }}"));
    assert!(
        refusal(&format!("roles: {{ a: {{ name: {} }} }}", "n".repeat(101))).contains("101 characters; at most 100")
    );
}

#[test]
fn later_source_of_a_variable_takes_precedence() {
    let yaml = "variables: { shade: { type: color, default: \"#000001\" } }\nroles: { a: { color: \"${shade}\" } }";
    let file = |value: &str| VariableFile {
        name: "vars.yaml".into(),
        bytes: format!("shade: \"{value}\"").into_bytes(),
    };
    let shade = |inputs: &VariableInputs| {
        role(&read(yaml, inputs).unwrap().configuration, "role.a")
            .color
            .map(Color::rgb)
    };
    let mut inputs = VariableInputs::default();
    assert_eq!(shade(&inputs), Some(1));
    inputs.environment = BTreeMap::from([
        ("shade".into(), "#000002".into()),
        ("nobody_declared".into(), "x".into()),
    ]);
    assert_eq!(shade(&inputs), Some(2));
    inputs.files = vec![file("#000003"), file("#000004")];
    assert_eq!(shade(&inputs), Some(4));
    inputs.arguments = vec![("shade".into(), "#000005".into()), ("shade".into(), "#000006".into())];
    assert_eq!(shade(&inputs), Some(6));
}

#[test]
fn given_values_are_reported_at_their_source() {
    let yaml =
        "variables: { shade: { type: color, default: \"#000001\" }, size: { type: number } }\nflags: { voice: {} }";
    let inputs = VariableInputs {
        environment: BTreeMap::from([("size".into(), "large".into())]),
        files: vec![VariableFile {
            name: "vars.yaml".into(),
            bytes: b"# ours\nshade: red\nshad: \"#000000\"\n".to_vec(),
        }],
        arguments: vec![("voise".into(), "true".into()), ("voice".into(), "loud".into())],
    };
    insta::assert_snapshot!(refusal_with(yaml, &inputs));
}

#[test]
fn variables_of_every_type_are_replaced() {
    let yaml = r##"
variables:
  clan: { default: Tabr }
  title: { default: "Sietch ${clan}" }
  shade: { type: color, default: "#FFD700" }
  apart: { type: boolean, default: true }
  pause: { type: number, default: 30 }
  may: { type: list, default: [CONNECT, SPEAK] }
server: { name: "${title}" }
roles:
  a: { name: "$${clan} of ${clan}", color: "${shade}", hoist: "${apart}", permissions: "${may}" }
  b: { permissions: [STREAM, "${may}"] }
channels: { c: { slow_mode: "${pause}" } }
"##;
    let configuration = configuration(yaml);
    let a = role(&configuration, "role.a");
    assert_eq!((a.name.as_deref(), a.hoist), (Some("${clan} of Tabr"), Some(true)));
    assert_eq!(format!("{:?}", a.permissions.unwrap()), "[CONNECT | SPEAK]");
    assert_eq!(
        format!("{:?}", role(&configuration, "role.b").permissions.unwrap()),
        "[STREAM | CONNECT | SPEAK]"
    );
    assert_eq!(channel(&configuration, "channel.c").slow_mode, Some(30));
    let Some(Attributes::Server(server)) = configuration.get(&"server".parse().unwrap()) else {
        panic!()
    };
    assert_eq!(server.name.as_deref(), Some("Sietch Tabr"));
}

#[test]
fn flags_remove_resources_and_references_to_them() {
    let yaml = r"
flags: { voice: { default: true }, staff: { default: true } }
server: { afk_channel: quiet }
roles: { host: { flag: staff }, player: {} }
categories:
  rooms: { flag: voice, channels: { quiet: { kind: voice } } }
channels:
  lobby: { overwrites: { host: { allow: [VIEW_CHANNEL] }, player: { allow: [VIEW_CHANNEL] } } }
";
    let off = |flag: &str| VariableInputs {
        arguments: vec![(flag.into(), "false".into())],
        ..VariableInputs::default()
    };
    assert_eq!(configuration(yaml).resources.len(), 6);
    let quiet = read(yaml, &off("voice")).unwrap().configuration;
    assert_eq!(quiet.resources.len(), 4, "the category, its channel");
    let Some(Attributes::Server(server)) = quiet.get(&"server".parse().unwrap()) else {
        panic!()
    };
    assert_eq!(server.afk_channel, None);
    let alone = read(yaml, &off("staff")).unwrap().configuration;
    assert_eq!(channel(&alone, "channel.lobby").overwrites.as_ref().unwrap().len(), 1);
    let needed = format!("{yaml}webhooks: {{ w: {{ channel: quiet }} }}");
    assert!(refusal_with(&needed, &off("voice")).contains("use the same flag here"));
}

#[test]
fn theme_resources_can_be_overridden_added_and_removed() {
    let yaml = r##"
theme: { name: sietch, variables: { color_usul: "#010203" }, flags: { enable_voice: false }, without: [category.badge-channels] }
roles:
  usul: { hoist: false }
  sandrider: { after: usul }
categories:
  support: { name: Help, channels: { first: { before: support } } }
channels:
  announcements: { kind: text }
  cave-voices: { bitrate: 8000 }
"##;
    let loaded = read(yaml, &VariableInputs::default()).unwrap();
    let configuration = loaded.configuration;
    assert_eq!(configuration.theme.as_ref().unwrap().version, "3.0.0");
    let usul = role(&configuration, "role.usul");
    assert_eq!(
        (usul.color.unwrap().rgb(), usul.hoist, usul.name.as_deref()),
        (0x01_02_03, Some(false), Some("Usul"))
    );
    let roles = order(&configuration, Kind::Role);
    assert_eq!(&roles[2..6], ["fedaykin", "usul", "sandrider", "sayyadina"]);
    assert_eq!(
        channel(&configuration, "category.support").name.as_deref(),
        Some("Help")
    );
    let support = "category.support".parse().unwrap();
    let inside: Vec<String> = configuration
        .channels_in(Some(&support))
        .map(ToString::to_string)
        .collect();
    assert_eq!(inside, ["channel.first", "channel.support", "channel.bot-commands"]);
    let announcements = channel(&configuration, "channel.announcements");
    assert_eq!(announcements.kind, ChannelKind::Text);
    assert_eq!(
        announcements.category,
        Some(Clearable::Set(Reference::Address(
            "category.stillsuit".parse().unwrap()
        )))
    );
    assert!(announcements.overwrites.is_some() && announcements.topic.is_some());
    for gone in ["channel.cave-voices", "category.badge-channels", "channel.the-oasis"] {
        assert_eq!(configuration.get(&gone.parse().unwrap()), None, "{gone}");
    }
}

#[test]
fn synced_channels_have_the_overwrites_of_their_category() {
    let configuration = configuration(
        "categories:\n  a:\n    overwrites: { everyone: { deny: [VIEW_CHANNEL] } }\n    channels: { b: { overwrites: synced }, c: {} }",
    );
    let own = channel(&configuration, "category.a").overwrites.clone();
    assert_eq!(channel(&configuration, "channel.b").overwrites, own);
    assert_eq!(channel(&configuration, "channel.c").overwrites, None, "not managed");
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let configuration = configuration(
        "roles:\n  a: &quiet { hoist: true, permissions: [CONNECT], color: \"#111111\" }\n  b: { <<: *quiet, color: \"#222222\" }\n  c: *quiet",
    );
    let color = |address: &str| role(&configuration, address).color.unwrap().rgb();
    assert_eq!(
        (color("role.a"), color("role.b"), color("role.c")),
        (0x11_11_11, 0x22_22_22, 0x11_11_11)
    );
    assert_eq!(
        role(&configuration, "role.b").permissions,
        role(&configuration, "role.a").permissions
    );
    assert_eq!(role(&configuration, "role.b").name.as_deref(), Some("b"));
}

#[test]
fn equal_names_are_a_warning() {
    let loaded = read(
        "roles: { a: { name: Naib }, b: { name: Naib } }",
        &VariableInputs::default(),
    )
    .unwrap();
    let reported: Vec<String> = loaded.warnings.iter().map(|warning| warning.reason.clone()).collect();
    assert_eq!(reported, ["`role.b` and `role.a` have the same name, `Naib`"]);
}

#[test]
fn names_are_normalised_like_discord() {
    let configuration =
        configuration("channels: { a: { name: The  Spice Market }, b: { kind: voice, name: \" Big Table \" } }");
    assert_eq!(
        channel(&configuration, "channel.a").name.as_deref(),
        Some("the-spice-market")
    );
    assert_eq!(channel(&configuration, "channel.b").name.as_deref(), Some("Big Table"));
}

#[test]
fn positions_are_those_of_the_file() {
    let loaded = configuration("\n\nroles:\n  naib: {}\n");
    let origin = loaded.resources[0].origin.as_ref().unwrap();
    assert_eq!(
        (origin.file.as_str(), origin.line, origin.column),
        ("discord-server.yaml", 4, 3)
    );
}

#[test]
fn digest_covers_resources_and_their_order() {
    let digest = |yaml: &str| configuration(yaml).digest();
    let one = digest("roles: { a: {}, b: {} }");
    assert_eq!(one, digest("# a comment\nroles:\n  a: {}\n  b: {}\n"));
    assert_ne!(one, digest("roles: { b: {}, a: {} }"));
    assert_ne!(one, digest("roles: { a: { hoist: true }, b: {} }"));
}
