use serde_json::{Value, json};

use crate::support::{Emu, INTENTS};

#[tokio::test]
async fn lively_server_is_the_same_in_every_run() {
    let (one, other) = (Emu::start().await, Emu::start().await);
    let seeded = one.post("seed", json!({"kind": "lively"})).await;
    assert_eq!(seeded, other.post("seed", json!({"kind": "lively"})).await);
    let tabr = &seeded["guilds"][0];
    assert_eq!(tabr["guild_id"], "1200000000000000000");
    let tiers = [
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
    for (name, n) in tiers.iter().zip(101..) {
        assert_eq!(tabr["roles"][*name], format!("1200000000000000{n}"), "{name}");
    }
    assert_eq!(tabr["members"]["stilgar"], "1000000000000000001");
    let roles = |full: &Value| -> Vec<Value> {
        full["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["roles"].clone())
            .collect()
    };
    let (one, other) = (
        one.get("guilds/Sietch%20Tabr").await,
        other.get("guilds/Sietch%20Tabr").await,
    );
    assert_eq!(roles(&one), roles(&other));
}

#[tokio::test]
async fn the_bots_role_stands_above_the_tiers_in_their_order() {
    let emu = Emu::lively().await;
    let full = emu.get("guilds/Sietch%20Tabr").await;
    let names: Vec<&str> = full["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["name"].as_str().unwrap())
        .collect();
    assert_eq!(names[..4], ["Arrakis", "Naib", "Fedaykin", "Usul"]);
    assert_eq!(names.last(), Some(&"@everyone"));
    let bot = &full["roles"][0];
    assert_eq!(
        (&bot["managed"], &bot["tags"]["bot_id"]),
        (&json!(true), &json!(emu.application().await))
    );
}

#[tokio::test]
async fn seeding_twice_is_refused_and_changes_nothing() {
    let emu = Emu::lively().await;
    let before = emu.get("guilds").await;
    let (status, error) = emu.refused("seed", json!({"kind": "lively"})).await;
    assert_eq!(status, 409);
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(emu.get("guilds").await, before);
}

#[tokio::test]
async fn a_described_server_takes_the_ids_that_are_chosen() {
    let emu = Emu::lively().await;
    let made = emu
        .post(
            "seed",
            json!({"kind": "server", "guild": {
                "id": "900", "name": "Carthag", "community": true, "owner": "rabban",
                "bot": {"role_id": "903", "permissions": ["MANAGE_ROLES"], "below": "Baron"},
                "roles": [{"id": "901", "name": "Baron", "color": "#112233", "permissions": ["ADMINISTRATOR"]}, {"id": "902", "name": "Guard"}],
                "channels": [{"id": "910", "name": "KEEP", "visible_to": ["Guard"], "channels": [
                    {"id": "911", "name": "gate"}, {"id": "912", "name": "halls", "kind": "voice", "writable_by": []}]}],
                "members": [{"user_id": "920", "name": "rabban", "roles": ["Baron"]}, {"name": "stilgar", "nick": "The Spy"}],
            }}),
        )
        .await;
    let guild = &made["guild"];
    assert_eq!(
        (&guild["guild_id"], &guild["owner_id"], &guild["bot_role_id"]),
        (&json!("900"), &json!("920"), &json!("903"))
    );
    // An existing user joins with the same id.
    assert_eq!(
        guild["members"],
        json!({"rabban": "920", "stilgar": "1000000000000000001"})
    );
    let full = emu.get("guilds/900").await;
    let order: Vec<_> = full["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["id"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["901", "903", "902", "900"]);
    let channel = |id: &str| {
        full["channels"]
            .as_array()
            .unwrap()
            .iter()
            .find(|channel| channel["id"] == id)
            .unwrap()
            .clone()
    };
    // A channel without access fields has its category's overwrites.
    assert_eq!(
        channel("911")["permission_overwrites"],
        channel("910")["permission_overwrites"]
    );
    let overwrites = channel("910")["permission_overwrites"].clone();
    assert_eq!(
        overwrites[0],
        json!({"id": "900", "type": 0, "allow": "0", "deny": "1024"})
    );
    assert_eq!(channel("912")["type"], 2);
}

#[tokio::test]
async fn invalid_description_is_refused_with_its_location() {
    let emu = Emu::start().await;
    let server = |guild: Value| json!({"kind": "server", "guild": guild});
    for (body, word) in [
        (server(json!({"name": "x"})), "2 to 100"),
        (
            server(json!({"name": "xx", "roles": [{"name": "A", "color": "gold"}]})),
            "role \"A\"",
        ),
        (
            server(json!({"name": "xx", "roles": [{"name": "A", "permissions": ["FLY"]}]})),
            "FLY",
        ),
        (
            server(json!({"name": "xx", "roles": [{"name": "A"}, {"name": "A"}]})),
            "exists already",
        ),
        (
            server(json!({"name": "xx", "members": [{"name": "a", "roles": ["B"]}]})),
            "\"B\"",
        ),
        (
            server(json!({"name": "xx", "channels": [{"name": "a", "kind": "cave"}]})),
            "kind",
        ),
        (
            server(json!({"name": "xx", "channels": [{"name": "a", "visible_to": ["C"]}]})),
            "\"C\"",
        ),
        (server(json!({"name": "xx", "owner": "nobody"})), "\"nobody\""),
        (json!({"kind": "load", "guilds": 10_000_000_u64}), "too many"),
        (json!({"kind": "load"}), "guilds"),
        (json!({"kind": "other"}), "other"),
    ] {
        let (_, error) = emu.refused("seed", body.clone()).await;
        assert!(error.contains(word), "{body}: {error}");
    }
    assert_eq!(emu.get("guilds").await, json!([]));
}

#[tokio::test]
async fn new_server_is_dispatched_to_a_connected_bot() {
    let emu = Emu::start().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    emu.post("seed", json!({"kind": "lively"})).await;
    assert_eq!(client.event("GUILD_CREATE").await["name"], "Sietch Tabr");
    assert_eq!(client.event("GUILD_CREATE").await["name"], "Arrakeen Market");
}

#[tokio::test]
async fn page_opens_on_the_channel_with_the_most_messages_that_the_member_may_write_in() {
    let emu = Emu::start().await;
    let said = |channel: &str, minutes_ago: u64| json!({"channel": channel, "author": "ani", "content": "hello", "minutes_ago": minutes_ago});
    emu.post(
        "seed",
        json!({"kind": "server", "guild": {
            "name": "Sietch",
            "channels": [
                {"name": "empty"},
                {"name": "news", "writable_by": []},
                {"name": "few"},
                {"name": "lively"},
                {"name": "hidden", "visible_to": []},
            ],
            "members": [{"name": "ani"}],
            "messages": [
                said("news", 1), said("news", 2), said("news", 3), said("few", 1), said("lively", 2), said("lively", 1),
                said("hidden", 5), said("hidden", 5), said("hidden", 5), said("hidden", 5),
            ],
        }}),
    )
    .await;
    let view = emu.page("view").await;
    assert_eq!(view["channel"]["title"], "#lively");
    let messages = view["channel"]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert!(
        messages[0]["timestamp"].as_str() < messages[1]["timestamp"].as_str(),
        "{messages:?}"
    );
    let wrong = json!({"kind": "server", "guild": {"name": "Other", "members": [{"name": "ani"}], "messages": [said("nowhere", 1)]}});
    let (status, why) = emu.refused("seed", wrong).await;
    assert!(
        status == 400 && why.contains("guild.messages[0].channel"),
        "{status} {why}"
    );
}

#[tokio::test]
async fn page_ships_an_emoji_font_with_its_licence() {
    let emu = Emu::start().await;
    let page = &emu.emulator.addresses().page;
    let get = async |path: &str| reqwest::get(format!("{page}{path}")).await.unwrap();
    let font = get("assets/emoji.woff2").await;
    assert_eq!(font.headers()["content-type"], "font/woff2");
    assert_eq!(&font.bytes().await.unwrap()[..4], b"wOF2");
    let licence = get("assets/emoji-font-license.txt").await.text().await.unwrap();
    assert!(licence.contains("SIL OPEN FONT LICENSE"));
    assert!(
        get("assets/app.css")
            .await
            .text()
            .await
            .unwrap()
            .contains("/assets/emoji.woff2")
    );
}

/// The display of long names was checked in a browser; this test checks that its style rules exist.
#[tokio::test]
async fn long_names_on_the_page_are_truncated() {
    let emu = Emu::start().await;
    let control = &emu.emulator.addresses().control;
    let get = async |path: &str| {
        reqwest::get(format!("{control}/assets/{path}"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let sheet = get("app.css").await;
    let rule = sheet.lines().find(|line| line.contains(".channel .name {")).unwrap();
    assert!(
        rule.contains("min-width: 0") && rule.contains("text-overflow: ellipsis"),
        "{rule}"
    );
    assert!(get("app.js").await.contains(r#"class: "name", title: item.name"#));
}
