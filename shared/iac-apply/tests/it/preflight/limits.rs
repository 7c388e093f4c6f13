//! How many of each kind a server may have.

use super::*;

pub(super) fn cases() -> Vec<Case> {
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
