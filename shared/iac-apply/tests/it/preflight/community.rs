//! Features of a community, rules of auto moderation, and onboarding.

use super::*;

pub(super) fn cases() -> Vec<Case> {
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
        case("channel-kind", "Community is enabled in the same plan", Allowed)
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
        case("community-deletion", "the rules channel is deleted", Refused)
            .before(&server(json!({})))
            .after(&[two[1].clone()]),
        case("community-deletion", "another channel is deleted", Allowed).before(&news("text")),
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
