//! What the bot may do: permissions, roles and their order.

use super::*;

pub(super) fn cases() -> Vec<Case> {
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
        case("channel-access", "a channel to which the bot gets access", Allowed)
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
        case("role-managed", "a role of another application is deleted", Refused)
            .spec(json!({ "name": "Carthag", "roles": [{ "name": "Other", "managed": true }] }))
            .adopted(&[("role.other", "Other")]),
        case("role-managed", "an ordinary role is deleted", Allowed)
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
        case(
            "bot-shut-out",
            "a bot closes a channel and grants itself access",
            Allowed,
        )
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
