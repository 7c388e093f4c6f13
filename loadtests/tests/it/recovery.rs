//! A server is torn down and recovered by gaib while the whole platform runs: export, checkpoint, apply, restore. Compared is what the
//! emulator has, by names: ids differ.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_config::Secret;
use loadtests::platform::{Platform, PlatformServices};
use loadtests::seed;
use serde_json::Value;

/// What members see of a server.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Name, colour, permissions and more of each role.
    roles: BTreeSet<String>,
    /// Name, kind, category and overwrites of each channel.
    channels: BTreeSet<String>,
    /// Names of the roles of each member.
    members: BTreeMap<String, BTreeSet<String>>,
}

impl Seen {
    async fn read(platform: &Platform, guild: u64) -> Self {
        let view = platform.discord.guild(guild).await.unwrap();
        let list = |kind: &str| view[kind].as_array().unwrap().clone();
        let (roles, channels) = (list("roles"), list("channels"));
        let names: BTreeMap<&str, &str> = roles
            .iter()
            .chain(&channels)
            .map(|one| (text(one, "id"), text(one, "name")))
            .collect();
        let name = |id: &Value| {
            let id = id.as_str().unwrap_or_default();
            names.get(id).copied().unwrap_or(id).to_owned()
        };
        let overwrites = |channel: &Value| {
            let all = channel["permission_overwrites"].as_array().into_iter().flatten();
            let all = all.map(|one| format!("{} {} {}", name(&one["id"]), one["allow"], one["deny"]));
            all.collect::<BTreeSet<String>>()
        };
        let members = platform.discord.members(guild).await.unwrap();
        Self {
            roles: roles
                .iter()
                .map(|role| {
                    format!(
                        "{} {} {} {}",
                        role["name"], role["colors"], role["permissions"], role["hoist"]
                    )
                })
                .collect(),
            channels: channels
                .iter()
                .map(|channel| {
                    let category = name(&channel["parent_id"]);
                    format!(
                        "{} {} {category} {} {:?}",
                        channel["name"],
                        channel["type"],
                        channel["topic"],
                        overwrites(channel)
                    )
                })
                .collect(),
            members: members
                .iter()
                .map(|member| {
                    let roles = member["roles"].as_array().into_iter().flatten().map(name).collect();
                    (text(&member["user"], "id").to_owned(), roles)
                })
                .collect(),
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The words after `before` in an output.
fn after<'a>(output: &'a str, before: &str) -> &'a str {
    let (_, rest) = output
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before:?} in {output}"));
    rest.split_whitespace().next().unwrap()
}

#[tokio::test]
async fn torn_down_server_is_recovered_with_the_tier_roles_of_its_members() {
    arrakis_runtime::install_crypto_provider();
    let services = PlatformServices::of_the_environment().await;
    let mut platform = Platform::prepare_on(services, &["--rate-limits", "off"]).await.unwrap();
    let admin_url = Secret::new(platform.database().admin_url());
    let plan = seed::run(&platform.discord, &admin_url, 1).await.unwrap();
    platform.start().await.unwrap();
    platform.start_api().await.unwrap();
    let tabr = &plan.servers[0];
    let guild = tabr.guild.to_string();
    let scopes = "servers:read,servers:write";
    let key = [
        "api-key", "create", "--name", "gaib", "--by", "stilgar", "--guild", &guild, "--scope", scopes,
    ];
    let key = platform.worker_task(&key).await.unwrap();
    let key = key
        .split_whitespace()
        .find(|word| word.starts_with("arrakis_"))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let gaib =
        async |arguments: &[&str], answers: &str| platform.gaib(folder.path(), key, arguments, answers).await.unwrap();
    let before = Seen::read(&platform, tabr.guild).await;

    let answers = format!("yes\nyes\n{}\n{guild}\n", tabr.name);
    let torn = gaib(
        &["server", "teardown", "--confirm-teardown", "--guild", &guild],
        &answers,
    )
    .await;
    let empty = Seen::read(&platform, tabr.guild).await;
    assert_eq!((empty.roles.len(), empty.channels.len()), (2, 0), "{empty:?}");
    let has_no_role = |roles: &BTreeSet<String>| {
        roles
            .iter()
            .all(|role| empty.roles.iter().any(|kept| kept.contains(role)))
    };
    assert!(empty.members.values().all(has_no_role), "{empty:?}");

    let export = after(&torn, "apply -f ");
    gaib(
        &["server", "apply", "-f", export, "--guild", &guild, "--auto-approve"],
        "",
    )
    .await;
    let checkpoint = after(&torn, "gaib restore exec --checkpoint ");
    let restored = gaib(
        &[
            "restore",
            "exec",
            "--checkpoint",
            checkpoint,
            "--guild",
            &guild,
            "--auto-approve",
        ],
        "",
    )
    .await;
    assert!(!restored.contains("Not restored:"), "{restored}");
    let recovered = platform
        .discord
        .until("the members' roles", async || {
            Ok((Seen::read(&platform, tabr.guild).await == before).then_some(()))
        })
        .await;
    if recovered.is_err() {
        assert_eq!(Seen::read(&platform, tabr.guild).await, before);
    }
    platform.stop().await;
}
