//! What members see of a server, by names: a server that was recovered has other ids.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

use super::Emulator;

/// Roles, channels and members of a server of the emulator, without ids of roles and channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// Name, colours, permissions and more of each role.
    pub roles: BTreeSet<String>,
    /// Name, kind, category, topic and overwrites of each channel.
    pub channels: BTreeSet<String>,
    /// Names of the roles of each member, by user id.
    pub members: BTreeMap<String, BTreeSet<String>>,
}

impl ServerView {
    /// Reads a server by the control API.
    ///
    /// # Errors
    /// When a request fails, or a response has an unknown form.
    pub async fn read(discord: &Emulator, guild: u64) -> anyhow::Result<Self> {
        let (view, members) = (discord.guild(guild).await?, discord.members(guild).await?);
        Self::of(&view, &members)
    }

    fn of(view: &Value, members: &[Value]) -> anyhow::Result<Self> {
        let (roles, channels) = (list(view, "roles")?, list(view, "channels")?);
        let names: BTreeMap<&str, &str> = roles
            .iter()
            .chain(channels)
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
        let role = |role: &Value| {
            let (name, colors) = (&role["name"], &role["colors"]);
            format!("{name} {colors} {} {}", role["permissions"], role["hoist"])
        };
        let channel = |channel: &Value| {
            let category = name(&channel["parent_id"]);
            let (name, kind, topic) = (&channel["name"], &channel["type"], &channel["topic"]);
            format!("{name} {kind} {category} {topic} {:?}", overwrites(channel))
        };
        let member = |member: &Value| {
            let roles = member["roles"].as_array().into_iter().flatten().map(name).collect();
            (text(&member["user"], "id").to_owned(), roles)
        };
        Ok(Self {
            roles: roles.iter().map(role).collect(),
            channels: channels.iter().map(channel).collect(),
            members: members.iter().map(member).collect(),
        })
    }
}

fn list<'a>(view: &'a Value, kind: &str) -> anyhow::Result<&'a Vec<Value>> {
    view[kind]
        .as_array()
        .with_context(|| format!("the view of a server has no list of {kind}"))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
