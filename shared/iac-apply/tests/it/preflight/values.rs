//! Values that Discord refuses.

use super::*;

pub(super) fn cases() -> Vec<Case> {
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
