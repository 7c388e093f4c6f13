//! Random valid configurations of every kind, with the names that people and hostile people choose.

use std::collections::BTreeSet;

use arrakis_domain::{Color, Permissions};
use arrakis_iac::model::{
    Address, Attributes, AutoArchive, AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger, Channel, ChannelKind,
    Clearable, Configuration, Emoji, EmojiReference, Event, EventLocation, ForumLayout, Image, Kind, LogicalName,
    Onboarding, OnboardingMode, OnboardingOption, OnboardingPrompt, Overwrite, Overwrites, PromptKind, Reference,
    Resource, Role, Server, Snowflake, SortOrder, Sticker, SystemMessage, Tag, TagMatch, Target, ThemeUse, Timestamp,
    Verification, VideoQuality, Webhook, WelcomeChannel, WelcomeScreen, normalised_name,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// What is hard to write down: YAML's own signs and words, variables, controls, letters of many alphabets.
fn sign() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-zA-Z0-9 ]".prop_map(|text| text),
        2 => select(vec![": ", " #", "- ", "${", "$${", "}", "[", "{", "'", "\"", "\\", "\n", "\t", "!", "&", "*", "|", ">", "%", "@", "`", "~", "?", ","]).prop_map(str::to_owned),
        1 => select(vec!["🏛️", "日本", "Ö", "ß", "\u{200d}", "\u{202e}", "\u{feff}", "\u{2028}", "\u{a0}", "\u{85}", "\u{7}", "null", "true"]).prop_map(str::to_owned),
    ]
}

/// A text of so many characters at most that is not blank.
fn text(most: usize) -> impl Strategy<Value = String> {
    vec(sign(), 1..12).prop_map(move |signs| {
        let text: String = signs.concat().chars().take(most).collect();
        if text.trim().is_empty() { "x".to_owned() } else { text }
    })
}

fn bits() -> impl Strategy<Value = Permissions> {
    prop_oneof![
        any::<u64>().prop_map(Permissions::from_bits),
        (any::<u64>(), any::<u64>()).prop_map(|(low, high)| {
            let wide = u128::from(high) << 64 | u128::from(low);
            wide.to_string().parse().unwrap()
        }),
        Just(Permissions::NONE),
        (0_u64..1 << 53).prop_map(Permissions::from_bits)
    ]
}

fn keys(kind: Kind, most: usize) -> impl Strategy<Value = Vec<Address>> {
    btree_set("[a-z][a-z0-9_-]{0,12}", 0..=most).prop_shuffle_keys(kind)
}

trait ShuffleKeys {
    fn prop_shuffle_keys(self, kind: Kind) -> BoxedStrategy<Vec<Address>>;
}

impl<S: Strategy<Value = BTreeSet<String>> + 'static> ShuffleKeys for S {
    fn prop_shuffle_keys(self, kind: Kind) -> BoxedStrategy<Vec<Address>> {
        let address = move |key: String| Address::of(kind, LogicalName::new(key).unwrap());
        let fits = |key: &String| !matches!(key.as_str(), "everyone" | "bot");
        self.prop_map(move |keys| keys.into_iter().filter(fits).map(address).collect::<Vec<_>>())
            .prop_shuffle()
            .boxed()
    }
}

fn color() -> impl Strategy<Value = Color> {
    (0_u32..1 << 24).prop_map(Color::from_rgb)
}

fn role() -> impl Strategy<Value = Role> {
    let gradient = prop_oneof![
        Just((None, None)),
        Just((Some(Clearable::Cleared), Some(Clearable::Cleared))),
        (color(), option::of(color())).prop_map(|(two, three)| (Some(Clearable::Set(two)), Some(three.into()))),
    ];
    let rest = (
        option::of(any::<bool>()),
        option::of(any::<bool>()),
        option::of(select(vec!["🔥", "", "1️⃣"])),
        option::of(any::<bool>()),
    );
    (text(100), option::of(color()), gradient, bits(), rest).prop_map(
        |(name, color, (secondary_color, tertiary_color), permissions, (hoist, mentionable, emoji, given_to_bot))| {
            Role {
                name: Some(name),
                color,
                secondary_color,
                tertiary_color,
                hoist,
                mentionable,
                permissions: Some(permissions),
                unicode_emoji: emoji.map(str::to_owned),
                given_to_bot,
            }
        },
    )
}

/// What there is to refer to.
#[derive(Clone, Debug)]
struct World {
    roles: Vec<Address>,
    categories: Vec<Address>,
    channels: Vec<Address>,
    emoji: Vec<Address>,
}

fn id() -> impl Strategy<Value = Snowflake> {
    (1_u64..).prop_map(|id| Snowflake::new(id).unwrap())
}

fn reference(addresses: &[Address]) -> BoxedStrategy<Reference> {
    match addresses.is_empty() {
        true => id().prop_map(Reference::Id).boxed(),
        false => {
            prop_oneof![3 => select(addresses.to_vec()).prop_map(Reference::from), 1 => id().prop_map(Reference::Id)]
                .boxed()
        }
    }
}

fn references(addresses: &[Address]) -> impl Strategy<Value = Vec<Reference>> + use<> {
    subsequence(addresses.to_vec(), 0..=addresses.len().min(5))
        .prop_map(|some| some.into_iter().map(Reference::from).collect())
}

fn emoji(world: &World) -> impl Strategy<Value = EmojiReference> + use<> {
    prop_oneof![
        select(vec!["🔥", "👩‍🚀", "1️⃣"]).prop_map(|emoji| EmojiReference::Unicode(emoji.to_owned())),
        reference(&world.emoji).prop_map(EmojiReference::Own)
    ]
}

fn overwrites(world: &World) -> impl Strategy<Value = Overwrites> + use<> {
    let roles = world.roles.clone();
    let known = match roles.is_empty() {
        true => Just(Target::Everyone).boxed(),
        false => select(roles).prop_map(Target::from).boxed(),
    };
    let target = prop_oneof![
        Just(Target::Everyone),
        Just(Target::Bot),
        known,
        id().prop_map(Target::Member),
        id().prop_map(|id| Target::Role(Reference::Id(id))),
    ];
    let overwrite = (bits(), bits()).prop_map(|(allow, deny)| Overwrite {
        allow,
        deny: deny.without(allow),
    });
    proptest::collection::btree_map(target, overwrite, 0..5)
}

fn clearable<T: std::fmt::Debug + 'static>(
    some: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<Clearable<T>>> {
    option::of(option::of(some).prop_map(Clearable::from)).boxed()
}

fn channel(world: &World) -> impl Strategy<Value = Channel> + use<> {
    let kinds: Vec<ChannelKind> = ChannelKind::ALL
        .iter()
        .copied()
        .filter(|kind| *kind != ChannelKind::Category)
        .collect();
    let place = option::of(reference(&world.categories)).prop_map(Clearable::from);
    let words = (
        option::of(text(1024)),
        option::of(any::<bool>()),
        option::of(0_u32..=21600),
        option::of(0_u32..=21600),
    );
    let voice = (
        option::of(8000_u32..=64000),
        option::of(0_u32..=99),
        clearable(select(vec!["rotterdam".to_owned(), "us-west".to_owned()])),
        option::of(select(VideoQuality::ALL)),
    );
    let tag = (text(20), any::<bool>(), option::of(emoji(world))).prop_map(|(name, moderated, emoji)| Tag {
        id: None,
        name,
        moderated,
        emoji,
    });
    let tags = vec(tag, 0..5).prop_map(|mut tags| {
        let mut seen = BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.name.clone()));
        tags
    });
    let posts = (
        option::of(tags),
        option::of(any::<bool>()),
        clearable(emoji(world)),
        clearable(select(SortOrder::ALL)),
        option::of(select(ForumLayout::ALL)),
        clearable(select(TagMatch::ALL)),
        option::of(any::<bool>()),
        clearable(select(AutoArchive::ALL)),
    );
    (select(kinds), text(100), place, words, voice, posts, option::of(overwrites(world))).prop_map(
        |(kind, name, category, (topic, nsfw, slow_mode, thread_slow_mode), (bitrate, user_limit, region, video_quality), posts, overwrites)| {
            let (tags, require_tag, default_reaction, sort_order, layout, tag_match, hide_download_options, auto_archive) = posts;
            let mut channel = Channel { kind, name: Some(normalised_name(kind, &name)), category: Some(category), topic, nsfw, slow_mode, bitrate, user_limit, region, video_quality, auto_archive, thread_slow_mode, tags, require_tag, default_reaction, sort_order, layout, tag_match, hide_download_options, overwrites };
            macro_rules! fit {
                ($($field:ident)+) => { $(if !kind.has(stringify!($field)) { channel.$field = None; })+ };
            }
            fit!(topic nsfw slow_mode bitrate user_limit region video_quality auto_archive thread_slow_mode tags require_tag default_reaction sort_order layout tag_match hide_download_options);
            channel
        },
    )
}

fn server(world: &World) -> impl Strategy<Value = Server> + use<> {
    let channel = || clearable(reference(&world.channels));
    let suppressed = btree_set(select(SystemMessage::ALL), 0..4);
    (
        option::of(text(100)),
        option::of(text(300)),
        option::of(select(Verification::ALL)),
        channel(),
        channel(),
        option::of(suppressed),
    )
        .prop_map(
            |(name, description, verification_level, afk_channel, system_channel, suppressed_messages)| Server {
                name: name.map(|name| format!("S{name}").chars().take(100).collect()),
                description,
                verification_level,
                afk_channel,
                system_channel,
                suppressed_messages,
                ..Server::default()
            },
        )
}

fn rule(world: &World) -> impl Strategy<Value = AutomodRule> + use<> {
    let words = || vec(text(60), 0..4);
    let trigger = prop_oneof![
        (words(), words(), words()).prop_map(|(keywords, patterns, allow)| AutomodTrigger::Keyword {
            keywords,
            patterns,
            allow
        }),
        (btree_set(select(AutomodPreset::ALL), 1..3), words())
            .prop_map(|(presets, allow)| AutomodTrigger::Preset { presets, allow }),
        (1_u32..=50, any::<bool>())
            .prop_map(|(limit, raid_protection)| AutomodTrigger::MentionSpam { limit, raid_protection }),
    ];
    let message = prop_oneof![Just(String::new()), text(150)];
    let action = prop_oneof![
        message.prop_map(|message| AutomodAction::BlockMessage { message }),
        reference(&world.channels).prop_map(|channel| AutomodAction::Alert { channel }),
    ];
    (
        text(100),
        option::of(any::<bool>()),
        trigger,
        vec(action, 1..4),
        option::of(references(&world.roles)),
        option::of(references(&world.channels)),
    )
        .prop_map(
            |(name, enabled, trigger, actions, exempt_roles, exempt_channels)| AutomodRule {
                name: Some(name),
                enabled,
                trigger: Some(trigger),
                actions: Some(actions),
                exempt_roles,
                exempt_channels,
            },
        )
}

fn greeting(world: &World) -> impl Strategy<Value = (WelcomeScreen, Onboarding)> + use<> {
    let channel =
        (reference(&world.channels), text(50), option::of(emoji(world))).prop_map(|(channel, description, emoji)| {
            WelcomeChannel {
                channel,
                description,
                emoji,
            }
        });
    let screen = (
        option::of(any::<bool>()),
        option::of(text(140)),
        option::of(vec(channel, 0..5)),
    )
        .prop_map(|(enabled, description, channels)| WelcomeScreen {
            enabled,
            description,
            channels,
        });
    let option = (
        text(50),
        prop_oneof![Just(String::new()), text(100)],
        option::of(emoji(world)),
        references(&world.roles),
        references(&world.channels),
    )
        .prop_map(|(title, description, emoji, roles, channels)| OnboardingOption {
            title,
            description,
            emoji,
            roles,
            channels,
        });
    let options = vec(option, 1..4).prop_map(|mut options| {
        let mut seen = BTreeSet::new();
        options.retain(|option| seen.insert(option.title.clone()));
        options
    });
    let prompt = (text(100), select(PromptKind::ALL), any::<[bool; 3]>(), options).prop_map(
        |(title, kind, [single_select, required, in_onboarding], options)| OnboardingPrompt {
            title,
            kind,
            single_select,
            required,
            in_onboarding,
            options,
        },
    );
    let onboarding = (
        option::of(any::<bool>()),
        option::of(select(OnboardingMode::ALL)),
        option::of(references(&world.channels)),
        option::of(prompt),
    )
        .prop_map(|(enabled, mode, default_channels, prompt)| Onboarding {
            enabled,
            mode,
            default_channels,
            prompts: prompt.map(|prompt| vec![prompt]),
        });
    (screen, onboarding)
}

fn image() -> impl Strategy<Value = Option<Image>> {
    option::of(text(60).prop_map(|path| Image { path, sha256: None }))
}

fn small(world: &World, kind: Kind) -> BoxedStrategy<Attributes> {
    match kind {
        Kind::Emoji => ("[A-Za-z0-9_]{2,32}", image(), option::of(references(&world.roles)))
            .prop_map(|(name, image, roles)| {
                Attributes::Emoji(Emoji {
                    name: Some(name),
                    image,
                    roles,
                })
            })
            .boxed(),
        Kind::Sticker => (text(28), option::of(text(90)), text(200), image())
            .prop_map(|(name, description, tags, image)| {
                let description = description.map(|description| format!("d {description}"));
                Attributes::Sticker(Sticker {
                    name: Some(format!("st{name}").chars().take(30).collect()),
                    description,
                    tags: Some(tags),
                    image,
                })
            })
            .boxed(),
        Kind::Webhook => (text(80), reference(&world.channels), image())
            .prop_map(|(name, channel, avatar)| {
                Attributes::Webhook(Webhook {
                    name: Some(name),
                    channel: Some(channel),
                    avatar,
                })
            })
            .boxed(),
        _ => {
            let place = prop_oneof![
                reference(&world.channels).prop_map(EventLocation::Stage),
                reference(&world.channels).prop_map(EventLocation::Voice),
                text(100).prop_map(EventLocation::External),
            ];
            (
                text(100),
                option::of(text(1000)),
                0_i64..4_000_000_000,
                1_i64..1_000_000,
                place,
            )
                .prop_map(|(name, description, start, length, place)| {
                    let time = |seconds: i64| {
                        let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
                        time.format(&time::format_description::well_known::Rfc3339)
                            .unwrap()
                            .parse::<Timestamp>()
                            .unwrap()
                    };
                    Attributes::Event(Event {
                        name: Some(name),
                        description,
                        start: Some(time(start)),
                        end: Some(Clearable::Set(time(start + length))),
                        place: Some(place),
                        image: None,
                    })
                })
                .boxed()
        }
    }
}

/// The theme that a file was written from.
fn theme_use() -> impl Strategy<Value = ThemeUse> {
    let name = || "[a-z][a-z0-9_]{0,8}";
    let variables = proptest::collection::btree_map(name(), prop_oneof![Just(String::new()), text(60)], 0..3);
    let flags = proptest::collection::btree_map(name(), any::<bool>(), 0..3);
    let digest = prop_oneof![Just(String::new()), "[0-9a-f]{64}"];
    (text(50), text(50), digest, variables, flags).prop_map(|(id, version, digest, variables, flags)| ThemeUse {
        id,
        version,
        digest,
        variables,
        flags,
    })
}

/// Any configuration that [`arrakis_iac::config::load`] can return.
pub(crate) fn configurations() -> impl Strategy<Value = Configuration> {
    let addresses = (
        keys(Kind::Role, 6),
        keys(Kind::Category, 4),
        keys(Kind::Channel, 8),
        keys(Kind::Emoji, 3),
    );
    addresses.prop_flat_map(|(roles, categories, channels, emoji)| {
        let world = World {
            roles,
            categories,
            channels,
            emoji,
        };
        let category = (text(100), option::of(overwrites(&world)));
        let main = (
            vec(role(), world.roles.len()),
            vec(category, world.categories.len()),
            vec(channel(&world), world.channels.len()),
        );
        let single = (
            option::of(server(&world)),
            option::of(greeting(&world)),
            option::of(bits()),
        );
        let extras = (
            vec(small(&world, Kind::Emoji), world.emoji.len()),
            extra(&world, Kind::Sticker),
            extra(&world, Kind::Webhook),
            extra(&world, Kind::Event),
            vec(rule(&world), 0..2),
        );
        (main, single, extras, option::of(theme_use())).prop_map(
            move |(
                (of_roles, of_categories, of_channels),
                (server, greeting, everyone),
                (of_emoji, stickers, webhooks, events, rules),
                theme,
            )| {
                let mut all: Vec<(Address, Attributes)> = Vec::new();
                all.extend(server.map(|server| (Address::SERVER, Attributes::Server(server))));
                all.extend(
                    world
                        .roles
                        .iter()
                        .cloned()
                        .zip(of_roles.into_iter().map(Attributes::Role)),
                );
                all.extend(everyone.map(|permissions| {
                    (
                        "role.everyone".parse().unwrap(),
                        Attributes::Role(Role {
                            permissions: Some(permissions),
                            ..Role::default()
                        }),
                    )
                }));
                let category = |(name, overwrites): (String, Option<Overwrites>)| {
                    Attributes::Category(Channel {
                        kind: ChannelKind::Category,
                        name: Some(normalised_name(ChannelKind::Category, &name)),
                        overwrites,
                        ..Channel::default()
                    })
                };
                all.extend(
                    world
                        .categories
                        .iter()
                        .cloned()
                        .zip(of_categories.into_iter().map(category)),
                );
                all.extend(
                    world
                        .channels
                        .iter()
                        .cloned()
                        .zip(of_channels.into_iter().map(Attributes::Channel)),
                );
                all.extend(world.emoji.iter().cloned().zip(of_emoji));
                all.extend(stickers);
                all.extend(webhooks);
                let numbered = |(index, rule)| {
                    (
                        format!("automod.rule-{index}").parse().unwrap(),
                        Attributes::Automod(rule),
                    )
                };
                all.extend(rules.into_iter().enumerate().map(numbered));
                if let Some((screen, onboarding)) = greeting {
                    all.push((Address::WELCOME_SCREEN, Attributes::WelcomeScreen(screen)));
                    all.push((Address::ONBOARDING, Attributes::Onboarding(onboarding)));
                }
                all.extend(events);
                let resources = all
                    .into_iter()
                    .map(|(address, attributes)| {
                        (
                            address,
                            Resource {
                                attributes,
                                origin: None,
                            },
                        )
                    })
                    .collect();
                Configuration {
                    theme,
                    resources,
                    ..Configuration::default()
                }
            },
        )
    })
}

fn extra(world: &World, kind: Kind) -> impl Strategy<Value = Vec<(Address, Attributes)>> + use<> {
    let own = world.clone();
    keys(kind, 3).prop_flat_map(move |addresses| {
        let attributes = vec(small(&own, kind), addresses.len());
        attributes.prop_map(move |attributes| addresses.iter().cloned().zip(attributes).collect())
    })
}
