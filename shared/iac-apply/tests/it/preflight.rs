//! Preflight against the emulator, rule by rule: what it lets through is applied, and what it refuses Discord refuses.
//!
//! Each case makes a server as an administrator, then takes the bot's permissions away that it should not have, and plans
//! the change. Every row of the table of rules has a case on each side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrakis_iac::import::import;
use arrakis_iac::model::{Address, Snowflake};
use arrakis_iac::plan::{Mode, Options, RULES, plan, preflight};
use arrakis_iac_apply::store::{Backend, LockHolder, WorkspaceName};
use arrakis_iac_apply::{ImageFolder, all_kinds, unusable_images};
use discord_emulator::model::Permissions;
use discord_emulator::world::Cause;
use serde_json::{Value, json};

use crate::bench::{Bench, configuration};

/// An image of one pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00";

type Resources = Vec<(String, Value)>;

/// The findings of preflight, and the response of the emulator when the plan is applied nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing is reported, and the plan is applied.
    Allowed,
    /// It is reported, and the emulator refuses it.
    Refused,
    /// It is reported; the emulator is more lenient than Discord's documentation, or the rule is gaib's own.
    Reported,
    /// A warning; the plan is applied.
    Warned,
}

struct Case {
    rule: &'static str,
    what: &'static str,
    spec: Value,
    /// Made by an administrator.
    before: Resources,
    /// Roles of the server that are imported, by address and name.
    adopted: Vec<(&'static str, &'static str)>,
    /// The bot's permissions afterwards; all when absent.
    bot: Option<Vec<&'static str>>,
    /// The boost level afterwards.
    tier: u8,
    after: Resources,
    verdict: Verdict,
}

fn resources(list: &[(&str, Value)]) -> Resources {
    list.iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

fn case(rule: &'static str, what: &'static str, verdict: Verdict) -> Case {
    Case {
        rule,
        what,
        spec: json!({ "name": "Carthag", "community": true }),
        before: Vec::new(),
        adopted: Vec::new(),
        bot: None,
        tier: 0,
        after: Vec::new(),
        verdict,
    }
}

impl Case {
    fn spec(mut self, spec: Value) -> Self {
        self.spec = spec;
        self
    }

    fn plain(self) -> Self {
        self.spec(json!({ "name": "Carthag", "community": false }))
    }

    fn before(mut self, list: &[(&str, Value)]) -> Self {
        self.before = resources(list);
        self
    }

    fn adopted(mut self, list: &[(&'static str, &'static str)]) -> Self {
        self.adopted = list.to_vec();
        self
    }

    fn bot(mut self, permissions: &[&'static str]) -> Self {
        self.bot = Some(permissions.to_vec());
        self
    }

    fn after(mut self, list: &[(&str, Value)]) -> Self {
        self.after = resources(list);
        self
    }
}

fn text(name: &str, more: &Value) -> Value {
    let mut value = json!({ "kind": "text", "name": name, "category": "none" });
    for (key, given) in more.as_object().unwrap() {
        value[key] = given.clone();
    }
    value
}

/// A resource by its number: address and value.
type ResourceOf = fn(usize) -> (String, Value);

fn many(count: usize, each: impl Fn(usize) -> (String, Value)) -> Resources {
    (0..count).map(each).collect()
}

fn permissions() -> Vec<Case> {
    use Verdict::{Allowed, Refused, Reported};
    let renamed = [("channel.gate", text("wall", &json!({})))];
    let gate = |overwrites: Value| [("channel.gate", text("gate", &json!({ "overwrites": overwrites })))];
    let (open, mute) = (gate(json!({})), gate(json!({ "everyone": { "deny": ["SPEAK"] } })));
    let closed = gate(json!({ "everyone": { "deny": ["VIEW_CHANNEL"] } }));
    let let_in = gate(json!({ "everyone": { "deny": ["VIEW_CHANNEL"] },
        "bot": { "allow": ["VIEW_CHANNEL", "MANAGE_CHANNELS"] } }));
    let managed_here = gate(json!({ "bot": { "allow": ["MANAGE_ROLES"] } }));
    let managed_here_too = gate(
        json!({ "everyone": { "deny": ["SPEAK", "BAN_MEMBERS", "MANAGE_ROLES"] }, "bot": { "allow": ["MANAGE_ROLES"] } }),
    );
    let withheld = gate(json!({ "everyone": { "deny": ["MANAGE_ROLES"] } }));
    let may = ["VIEW_CHANNEL", "MANAGE_CHANNELS", "MANAGE_ROLES"];
    let role = |more: Value| {
        let mut value = json!({ "name": "Judge", "permissions": [] });
        for (key, given) in more.as_object().unwrap() {
            value[key] = given.clone();
        }
        [("role.judge", value)]
    };
    let ban = role(json!({ "permissions": ["BAN_MEMBERS"] }));
    let hall = |allow: Value, overwrites: Value| {
        [
            (
                "category.rock",
                json!({ "kind": "category", "name": "Rock", "overwrites": { "bot": { "allow": allow } } }),
            ),
            (
                "channel.gate",
                json!({ "kind": "text", "name": "gate", "category": "category.rock", "overwrites": overwrites }),
            ),
        ]
    };
    vec![
        case("bot-permissions", "no permission on the server", Refused)
            .bot(&["VIEW_CHANNEL"])
            .after(&role(json!({}))),
        case("bot-permissions", "permission on the server", Allowed)
            .bot(&may)
            .after(&role(json!({}))),
        case("bot-permissions", "no permission in the channel", Refused)
            .before(&gate(json!({ "bot": { "deny": ["MANAGE_CHANNELS"] } })))
            .bot(&may)
            .after(&renamed),
        case("bot-permissions", "permission in the channel alone", Allowed)
            .before(&gate(json!({ "bot": { "allow": ["MANAGE_CHANNELS"] } })))
            .bot(&["VIEW_CHANNEL"])
            .after(&renamed),
        case("channel-access", "a channel that the bot does not see", Refused)
            .before(&closed)
            .bot(&may)
            .after(&renamed),
        case("channel-access", "a channel that the bot is let into", Allowed)
            .before(&let_in)
            .bot(&["VIEW_CHANNEL"])
            .after(&renamed),
        case("role-hierarchy", "a role above the bot's", Refused)
            .spec(json!({ "name": "Carthag", "roles": [{ "name": "Baron" }], "bot": { "below": "Baron" } }))
            .adopted(&[("role.baron", "Baron")])
            .after(&[("role.baron", json!({ "name": "Count" }))]),
        case("role-hierarchy", "a role below the bot's", Allowed)
            .spec(json!({ "name": "Carthag", "roles": [{ "name": "Baron" }] }))
            .adopted(&[("role.baron", "Baron")])
            .after(&[("role.baron", json!({ "name": "Count" }))]),
        case("role-managed", "a role of another application goes", Refused)
            .spec(json!({ "name": "Carthag", "roles": [{ "name": "Other", "managed": true }] }))
            .adopted(&[("role.other", "Other")]),
        case("role-managed", "an ordinary role goes", Allowed)
            .spec(json!({ "name": "Carthag", "roles": [{ "name": "Other" }] }))
            .adopted(&[("role.other", "Other")]),
        case("role-grant", "a permission that the bot lacks is given", Refused)
            .bot(&may)
            .after(&ban),
        case("role-grant", "a permission that the bot lacks is taken", Refused)
            .before(&ban)
            .bot(&may)
            .after(&role(json!({}))),
        case(
            "role-grant",
            "a role with a permission that the bot lacks is painted",
            Allowed,
        )
        .before(&ban)
        .bot(&may)
        .after(&role(json!({ "permissions": ["BAN_MEMBERS"], "color": "#112233" }))),
        case("overwrite-grant", "a permission that the bot lacks", Refused)
            .before(&open)
            .bot(&may)
            .after(&mute),
        case(
            "overwrite-grant",
            "a permission that the bot lacks, in a new channel",
            Refused,
        )
        .bot(&may)
        .after(&mute),
        case("overwrite-grant", "a permission that the bot has", Allowed)
            .before(&open)
            .bot(&["VIEW_CHANNEL", "MANAGE_ROLES", "SPEAK"])
            .after(&mute),
        case(
            "overwrite-grant",
            "a permission that the bot has in the category",
            Allowed,
        )
        .before(&hall(json!(["SPEAK"]), json!({})))
        .bot(&may)
        .after(&hall(json!(["SPEAK"]), json!({ "everyone": { "deny": ["SPEAK"] } }))),
        case(
            "overwrite-grant",
            "any permission by MANAGE_ROLES in the channel",
            Allowed,
        )
        .before(&managed_here)
        .bot(&["VIEW_CHANNEL"])
        .after(&managed_here_too),
        case(
            "overwrite-grant",
            "an overwrite with a permission that the bot lacks stays",
            Allowed,
        )
        .before(&gate(json!({ "everyone": { "deny": ["BAN_MEMBERS"] } })))
        .bot(&may)
        .after(&gate(
            json!({ "everyone": { "deny": ["BAN_MEMBERS", "MANAGE_CHANNELS"] } }),
        )),
        case("overwrite-manage-roles", "MANAGE_ROLES in a new channel", Refused)
            .bot(&may)
            .after(&withheld),
        case(
            "overwrite-manage-roles",
            "MANAGE_ROLES in a new channel, by an administrator",
            Allowed,
        )
        .after(&withheld),
        case(
            "overwrite-manage-roles",
            "MANAGE_ROLES in a channel that is there",
            Allowed,
        )
        .before(&open)
        .bot(&may)
        .after(&gate(json!({ "bot": { "allow": ["MANAGE_ROLES"] } }))),
        case("reference", "a category of another server", Refused).after(&[(
            "channel.gate",
            json!({ "kind": "text", "name": "gate", "category": "4711" }),
        )]),
        case("reference", "an overwrite for a role of another server", Refused)
            .after(&gate(json!({ "role:4711": { "deny": ["SPEAK"] } }))),
        case("reference", "a role of this plan", Allowed).after(&[
            ("role.judge", json!({ "name": "Judge", "permissions": [] })),
            (
                "channel.gate",
                text(
                    "gate",
                    &json!({ "overwrites": { "role.judge": { "deny": ["SPEAK"] } } }),
                ),
            ),
        ]),
        case("bot-shut-out", "a bot closes a channel to itself", Reported)
            .bot(&may)
            .after(&closed),
        case("bot-shut-out", "a bot closes a channel and lets itself in", Allowed)
            .bot(&may)
            .after(&let_in),
        case("automod-timeout", "a timeout by a bot that may not time out", Reported)
            .bot(&["MANAGE_GUILD"])
            .after(&[(
                "automod.a",
                automod("keyword", &json!([{ "type": "timeout", "seconds": 60 }])),
            )]),
        case("automod-timeout", "a timeout by a bot that may", Allowed)
            .bot(&["MANAGE_GUILD", "MODERATE_MEMBERS"])
            .after(&[(
                "automod.a",
                automod("keyword", &json!([{ "type": "timeout", "seconds": 60 }])),
            )]),
    ]
}

fn automod(trigger: &str, actions: &Value) -> Value {
    let trigger = match trigger {
        "keyword" => json!({ "type": "keyword", "keywords": ["spice"] }),
        other => json!({ "type": other }),
    };
    json!({ "name": "a", "trigger": trigger, "actions": actions })
}

fn community() -> Vec<Case> {
    use Verdict::{Allowed, Refused, Reported, Warned};
    let two = [
        ("channel.rules", text("rules", &json!({}))),
        ("channel.staff", text("staff", &json!({}))),
    ];
    let server = |more: Value| {
        let mut value = json!({ "rules_channel": "channel.rules", "public_updates_channel": "channel.staff" });
        for (key, given) in more.as_object().unwrap() {
            value[key] = given.clone();
        }
        let mut list = vec![("server", value)];
        list.extend(two.clone());
        list
    };
    let safe = json!({ "community": true, "verification_level": "low", "explicit_content_filter": "all_members" });
    let news = |kind: &str| {
        [(
            "channel.news",
            json!({ "kind": kind, "name": "news", "category": "none" }),
        )]
    };
    let hall = [(
        "channel.hall",
        json!({ "kind": "voice", "name": "hall", "category": "none" }),
    )];
    let mut afk_voice = vec![("server", json!({ "afk_channel": "channel.hall" }))];
    afk_voice.extend(hall.clone());
    let mut afk_text = vec![("server", json!({ "afk_channel": "channel.rules" }))];
    afk_text.extend(two.clone());
    let mut rules_are_news = server(json!({}));
    rules_are_news[1].1["kind"] = json!("announcement");
    let mut rules_are_lost = server(json!({}));
    rules_are_lost[0].1["rules_channel"] = json!("none");
    let mut becoming = server(safe.clone());
    becoming.push((
        "channel.news",
        json!({ "kind": "announcement", "name": "news", "category": "none" }),
    ));
    let screen = [("welcome_screen", json!({ "enabled": true, "description": "walk" }))];
    let shown = |count: usize| {
        let mut list = many(count, |index| {
            (format!("channel.c{index}"), text(&format!("c{index}"), &json!({})))
        });
        let names: Vec<String> = list.iter().map(|(key, _)| key.clone()).collect();
        list.push((
            "onboarding".to_owned(),
            json!({ "enabled": true, "mode": "default", "default_channels": names, "prompts": [] }),
        ));
        list
    };
    let mut few = case("onboarding-channels", "onboarding with six channels", Refused);
    few.after = shown(6);
    let mut enough = case("onboarding-channels", "onboarding with seven channels", Allowed);
    enough.after = shown(7);
    vec![
        case("channel-kind", "an announcement channel without Community", Refused)
            .plain()
            .after(&news("announcement")),
        case("channel-kind", "an announcement channel with Community", Allowed).after(&news("announcement")),
        case(
            "channel-kind",
            "a text channel becomes one for announcements without Community",
            Refused,
        )
        .plain()
        .before(&news("text"))
        .after(&news("announcement")),
        case("channel-kind", "Community comes in the same plan", Allowed)
            .plain()
            .after(&becoming),
        case(
            "channel-conversion",
            "the rules channel becomes one for announcements",
            Refused,
        )
        .before(&server(json!({})))
        .after(&rules_are_news),
        case(
            "channel-conversion",
            "another channel becomes one for announcements",
            Allowed,
        )
        .before(&news("text"))
        .after(&news("announcement")),
        case("community-switch", "by a bot that is no administrator", Refused)
            .plain()
            .before(&two)
            .bot(&["MANAGE_GUILD", "VIEW_CHANNEL"])
            .after(&server(safe.clone())),
        case("community-switch", "by an administrator", Allowed)
            .plain()
            .after(&server(safe.clone())),
        case("community-channels", "no rules channel, no updates channel", Refused)
            .plain()
            .after(&[("server", safe.clone())]),
        case("community-channels", "the rules channel is taken away", Reported)
            .before(&server(json!({})))
            .after(&rules_are_lost),
        case("community-channels", "channels that the server names already", Allowed)
            .plain()
            .before(&server(json!({})))
            .after(&server(safe.clone())),
        case("community-safety", "no verification, no filter", Warned)
            .plain()
            .after(&server(json!({ "community": true }))),
        case("community-safety", "verification and filter", Allowed)
            .plain()
            .after(&server(safe)),
        case("community-deletion", "the rules channel goes", Refused)
            .before(&server(json!({})))
            .after(&[two[1].clone()]),
        case("community-deletion", "another channel goes", Allowed).before(&news("text")),
        case("community-only", "a welcome screen without Community", Refused)
            .plain()
            .after(&screen),
        case("community-only", "a welcome screen with Community", Allowed).after(&screen),
        case("server-channel", "an AFK channel for text", Refused).after(&afk_text),
        case("server-channel", "an AFK channel for voices", Allowed).after(&afk_voice),
        few,
        enough,
    ]
}

fn limits() -> Vec<Case> {
    use Verdict::{Allowed, Refused};
    let mut cases = Vec::new();
    // So many of the server's own, and one more.
    for (count, verdict) in [(249, Refused), (248, Allowed)] {
        let roles: Vec<Value> = (0..count - 1)
            .map(|index| json!({ "name": format!("R{index}") }))
            .collect();
        cases.push(
            case("roles-limit", "one more role", verdict)
                .spec(json!({ "name": "Carthag", "roles": roles }))
                .after(&[("role.new", json!({ "name": "New" }))]),
        );
    }
    for (count, verdict) in [(500, Refused), (499, Allowed)] {
        let channels: Vec<Value> = (0..count).map(|index| json!({ "name": format!("c{index}") })).collect();
        cases.push(
            case("channels-limit", "one more channel", verdict)
                .spec(json!({ "name": "Carthag", "channels": channels }))
                .after(&[("channel.new", text("new", &json!({})))]),
        );
    }
    let rock = (
        "category.rock".to_owned(),
        json!({ "kind": "category", "name": "Rock" }),
    );
    let inside = |index: usize| {
        let value = json!({ "kind": "text", "name": format!("c{index}"), "category": "category.rock" });
        (format!("channel.c{index}"), value)
    };
    for (count, verdict) in [(51, Refused), (50, Allowed)] {
        let mut one = case("category-limit", "channels in a category", verdict);
        one.after = vec![rock.clone()];
        one.after.extend(many(count, inside));
        cases.push(one);
    }
    let numbered: [(&'static str, usize, ResourceOf); 5] = [
        ("stickers-limit", 5, |index| {
            let value = json!({ "name": format!("s{index}"), "tags": "fire", "image": { "path": "spice.png" } });
            (format!("sticker.s{index}"), value)
        }),
        ("emoji-limit", 50, |index| {
            (
                format!("emoji.e{index}"),
                json!({ "name": format!("e{index}"), "image": { "path": "spice.png" } }),
            )
        }),
        ("webhooks-limit", 15, |index| {
            (
                format!("webhook.w{index}"),
                json!({ "name": format!("W{index}"), "channel": "channel.gate" }),
            )
        }),
        ("automod-limit", 6, |index| {
            (
                format!("automod.a{index}"),
                automod("keyword", &json!([{ "type": "block_message" }])),
            )
        }),
        ("events-limit", 100, |index| {
            let value = json!({ "name": format!("E{index}"), "start": "2099-01-01T18:00:00Z", "end": "2099-01-01T20:00:00Z",
                "place": { "external": "here" } });
            (format!("event.e{index}"), value)
        }),
    ];
    for (rule, most, each) in numbered {
        for (count, verdict) in [(most + 1, Refused), (most, Allowed)] {
            let mut one = case(rule, "as many as there may be, or one more", verdict);
            one.after = vec![("channel.gate".to_owned(), text("gate", &json!({})))];
            one.after.extend(many(count, each));
            cases.push(one);
        }
    }
    cases
}

fn values() -> Vec<Case> {
    use Verdict::{Allowed, Refused};
    let hall = |name: &str, bitrate: u32| {
        [(
            "channel.hall",
            json!({ "kind": "voice", "name": name, "category": "none", "bitrate": bitrate }),
        )]
    };
    let stage = |bitrate: u32| {
        [(
            "channel.hall",
            json!({ "kind": "stage", "name": "hall", "category": "none", "bitrate": bitrate }),
        )]
    };
    let role = |more: Value| [("role.judge", more)];
    let icon = role(json!({ "name": "Judge", "unicode_emoji": "🔥" }));
    let gradient = role(json!({ "name": "Judge", "color": "#112233", "secondary_color": "#445566" }));
    let with = |feature: &str| json!({ "name": "Carthag", "features": [feature] });
    let webhook = |name: &str| {
        [
            ("channel.gate", text("gate", &json!({}))),
            ("webhook.w", json!({ "name": name, "channel": "channel.gate" })),
        ]
    };
    let boosted = json!({ "name": "Carthag", "premium_tier": 2 });
    let emoji = |name: &str, image: Value| {
        let mut value = json!({ "name": name });
        if !image.is_null() {
            value["image"] = json!({ "path": image });
        }
        [("emoji.spice", value)]
    };
    let sticker = |image: Value| {
        let mut value = json!({ "name": "spice", "tags": "fire", "description": "" });
        if !image.is_null() {
            value["image"] = json!({ "path": image });
        }
        [("sticker.s", value)]
    };
    let avatar = |file: &str| {
        [
            ("channel.gate", text("gate", &json!({}))),
            (
                "webhook.w",
                json!({ "name": "News", "channel": "channel.gate", "avatar": { "path": file } }),
            ),
        ]
    };
    let event = |file: &str| {
        [(
            "event.moot",
            json!({ "name": "Moot", "start": "2999-01-01T18:00:00Z", "end": "2999-01-01T20:00:00Z",
            "place": { "external": "the great bled" }, "image": { "path": file } }),
        )]
    };
    vec![
        case("image", "an emoji without an image", Refused).after(&emoji("spice", Value::Null)),
        case("image", "an emoji whose file is absent", Refused).after(&emoji("spice", json!("absent.png"))),
        case("image", "an emoji whose file is no image", Refused).after(&emoji("spice", json!("drawing.svg"))),
        case("image", "an emoji of more than 256 KiB", Refused).after(&emoji("spice", json!("257kib.png"))),
        case("image", "an emoji of 256 KiB", Allowed).after(&emoji("spice", json!("256kib.png"))),
        case("image", "an emoji that exists is renamed without its file", Allowed)
            .before(&emoji("spice", json!("spice.png")))
            .after(&emoji("melange", Value::Null)),
        case("image", "an avatar of more than 8 MiB", Refused).after(&avatar("8193kib.png")),
        case("image", "an avatar of 8 MiB", Allowed).after(&avatar("8192kib.png")),
        case("image", "an avatar whose file is absent", Refused).after(&avatar("absent.png")),
        case("image", "an event with an image of more than 10 MiB", Refused).after(&event("10241kib.png")),
        case("image", "an event with an image of 10 MiB", Allowed).after(&event("10240kib.png")),
        case("bitrate", "more than the boost level gives", Refused).after(&hall("hall", 128_000)),
        case("bitrate", "what the boost level gives", Allowed).after(&hall("hall", 96_000)),
        case("bitrate", "boosts are lost and the channel is renamed", Allowed)
            .spec(boosted.clone())
            .before(&hall("hall", 256_000))
            .after(&hall("cave", 256_000)),
        case("bitrate", "boosts are lost and the bitrate grows", Refused)
            .spec(boosted)
            .before(&hall("hall", 128_000))
            .after(&hall("hall", 256_000)),
        case("bitrate", "a stage with more than a stage has", Refused).after(&stage(96_000)),
        case("bitrate", "a stage with what a stage has", Allowed).after(&stage(64_000)),
        case("role-icon", "no icons here", Refused).after(&icon),
        case("role-icon", "icons here", Allowed)
            .spec(with("ROLE_ICONS"))
            .after(&icon),
        case("role-gradient", "no gradients here", Refused).after(&gradient),
        case("role-gradient", "gradients here", Allowed)
            .spec(with("ENHANCED_ROLE_COLORS"))
            .after(&gradient),
        case("webhook-name", "a reserved word", Refused).after(&webhook("My DisCord news")),
        case("webhook-name", "another word", Allowed).after(&webhook("News")),
        case("image", "a sticker without an image", Refused).after(&sticker(Value::Null)),
        case("image", "a sticker of more than 512 KiB", Refused).after(&sticker(json!("513kib.png"))),
        case("image", "a sticker of 512 KiB", Allowed).after(&sticker(json!("512kib.png"))),
        case("sticker-lottie", "a Lottie file in a usual server", Refused).after(&sticker(json!("worm.json"))),
        case("sticker-lottie", "a Lottie file in a partnered server", Allowed)
            .spec(with("PARTNERED"))
            .after(&sticker(json!("worm.json"))),
    ]
}

struct Outcome {
    findings: Vec<arrakis_iac::plan::Finding>,
    error: Option<String>,
}

/// Files that the case names: `257kib.png` is an image of so many KiB.
fn write_images(folder: &Path, case: &Case) {
    std::fs::write(folder.join("spice.png"), PNG).unwrap();
    std::fs::write(folder.join("drawing.svg"), "<svg/>").unwrap();
    let lottie = r#"{ "v": "5.5", "w": 320, "h": 320, "fr": 30, "ip": 0, "op": 30, "layers": [] }"#;
    std::fs::write(folder.join("worm.json"), lottie).unwrap();
    let named = case
        .after
        .iter()
        .flat_map(|(_, value)| [&value["image"]["path"], &value["avatar"]["path"]]);
    for file in named.filter_map(Value::as_str) {
        let Some(kib) = file.strip_suffix("kib.png") else {
            continue;
        };
        let mut bytes = PNG.to_vec();
        bytes.resize(kib.parse::<usize>().unwrap() * 1_024, 0);
        std::fs::write(folder.join(file), bytes).unwrap();
    }
}

async fn run(case: &Case) -> Outcome {
    let mut bench = Bench::start(case.spec.clone()).await;
    write_images(bench.folder.path(), case);
    bench.kinds = all_kinds();
    let list = |resources: &Resources| -> arrakis_iac::model::Configuration {
        let borrowed: Vec<(&str, Value)> = resources
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        configuration(&borrowed)
    };
    let fail = |error| panic!("{} ({}): {error}", case.rule, case.what);
    if !case.before.is_empty() {
        bench.apply(&list(&case.before)).await.map_err(fail).ok();
    }
    import_resources(&bench, &case.adopted).await;
    restrict(&bench, case);
    // Without MANAGE_WEBHOOKS or MANAGE_GUILD some lists cannot be read: as in `gaib`, only the kinds of the configuration are read.
    let kinds: BTreeSet<_> = list(&case.after).resources.keys().map(Address::kind).collect();
    bench.kinds = kinds;
    let (state, live) = (bench.state().await, bench.live().await);
    let options = Options {
        mode: Mode::Apply,
        allow_replace: true,
        ..Options::default()
    };
    let plan = plan(&list(&case.after), &state, &live, &options).unwrap();
    let mut findings = preflight(&plan, &live, &state);
    findings.extend(unusable_images(&plan, &ImageFolder(bench.folder.path().to_owned())));
    let (discord, _) = bench.server.client();
    let error = bench.carry_out(&discord, &plan, &live).await.err();
    Outcome {
        findings,
        error: error.map(|error| error.to_string()),
    }
}

/// Takes roles of the server into the state, also those that `gaib` would not take in.
async fn import_resources(bench: &Bench, adopted: &[(&str, &str)]) {
    if adopted.is_empty() {
        return;
    }
    let (mut state, mut live) = (bench.state().await, bench.live().await);
    for (address, name) in adopted {
        let address: Address = address.parse().unwrap();
        let id = Snowflake::new(bench.server.made.roles[*name].0).unwrap();
        live.get_mut(address.kind(), id).unwrap().managed = false;
        import(&address, id, None, &mut state, &live).unwrap();
    }
    let holder = LockHolder {
        who: "stilgar".to_owned(),
        host: "arrakeen".to_owned(),
        operation: "import".to_owned(),
    };
    let mut guard = bench.store.lock(&WorkspaceName::default(), &holder).await.unwrap();
    guard.write(&state.advance()).await.unwrap();
    guard.release().await.unwrap();
}

/// Takes permissions from the bot, and boosts from the server.
fn restrict(bench: &Bench, case: &Case) {
    let (guild, owner) = (bench.server.made.guild_id, Cause::by(bench.server.made.owner_id));
    let own = bench.server.made.bot_role_id;
    let change = |found: &mut discord_emulator::model::Guild| {
        if let Some(names) = &case.bot {
            let of = |id| found.roles.get(&id).cloned().unwrap();
            let (mut role, mut everyone) = (of(own), of(guild));
            role.permissions = Permissions::from_names(names.iter().copied()).unwrap();
            everyone.permissions = Permissions::empty();
            found.roles.insert(own, role);
            found.roles.insert(guild, everyone);
        }
        found.premium_tier = case.tier;
    };
    bench
        .server
        .emulator
        .app()
        .world
        .write(|world| world.update_guild(guild, change, &owner));
}

#[tokio::test]
async fn preflight_agrees_with_the_server() {
    let cases: Vec<Case> = [permissions(), community(), limits(), values()]
        .into_iter()
        .flatten()
        .collect();
    let mut sides: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let Outcome { findings, error } = run(case).await;
        let found = findings.iter().find(|finding| finding.rule == case.rule);
        let fits = match case.verdict {
            Verdict::Allowed => findings.is_empty() && error.is_none(),
            Verdict::Refused => found.is_some_and(|finding| finding.blocking) && error.is_some(),
            Verdict::Reported => found.is_some_and(|finding| finding.blocking),
            Verdict::Warned => found.is_some_and(|finding| !finding.blocking) && error.is_none(),
        };
        if !fits {
            wrong.push(format!(
                "{} ({}): {:?}: {findings:#?} {error:?}",
                case.rule, case.what, case.verdict
            ));
        }
        sides
            .entry(case.rule)
            .or_default()
            .insert(case.verdict == Verdict::Allowed);
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    for rule in RULES {
        // Values and members are checked by what reads the configuration and the members: their tests are with those. What is
        // unknown of a server is in `lost` and `unreadable`.
        let elsewhere = ["value", "absent-member", "outcome-unknown", "doubled", "unreadable"];
        let elsewhere = elsewhere.contains(&rule.id);
        let both = elsewhere || sides.get(rule.id).is_some_and(|sides| sides.len() == 2);
        assert!(both, "the rule `{}` lacks a case on one side", rule.id);
    }
}
