//! Writes the plan's servers to the emulator: roles and channels of the theme, members with the roles of their tier.

use anyhow::Context as _;
use arrakis_db::{Admin, CommunityId, EvaluationInput, UserId};
use arrakis_domain::{Channel, ChannelKind, Overwrite, Role, RoleKey, RoleRule, Theme};
use arrakis_emulator_client::{Id, NewUser, SeedRequest};
use arrakis_themes::Registry;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::conversations;
use super::plan::{Member, Plan, Server, TOKEN_PROFILE};
use crate::platform::Emulator;

/// Id of a theme's role, by its index in the theme.
pub(super) fn role_id(guild: u64, index: usize) -> u64 {
    guild + 100_000 + index as u64
}

/// Creates every server of the plan, with the members' roles from Postgres, and the newcomers, who are in no server.
///
/// # Errors
/// When the emulator refuses, or the database cannot be reached.
pub(super) async fn write(
    emulator: &Emulator,
    admin: &Admin,
    plan: &Plan,
    themes: &Registry,
    now: OffsetDateTime,
) -> anyhow::Result<()> {
    for newcomer in &plan.newcomers {
        let user = NewUser {
            user_id: Some(Id(newcomer.user)),
            name: Some(newcomer.name.to_owned()),
            display: Some(capitalised(newcomer.name)),
            bot: false,
        };
        emulator.create_user(&user).await.with_context(|| newcomer.name)?;
    }
    for server in &plan.servers {
        let guild = match &server.community {
            Some(community) => {
                let theme = themes.theme(community.theme)?;
                let id = CommunityId::from_uuid(community.id);
                let roles = roles_of_members(admin, plan, (server, id), theme, now).await?;
                let mut guild = themed(server, theme, &roles);
                guild["messages"] = messages(server, community.theme);
                guild
            }
            None => bare(server),
        };
        let request = SeedRequest::Server { guild };
        emulator.seed(&request).await.context(server.name)?;
    }
    Ok(())
}

/// Names of the roles of each member, in the order of the members. Before the first sync, by the plan's ranking: it is what the sync
/// will read.
async fn roles_of_members(
    admin: &Admin,
    plan: &Plan,
    (server, community): (&Server, CommunityId),
    theme: &Theme,
    now: OffsetDateTime,
) -> anyhow::Result<Vec<Vec<String>>> {
    let token = TOKEN_PROFILE.parse()?;
    let mut tx = admin.tenant(community).await?;
    let rules = tx
        .communities()
        .get()
        .await?
        .context("the community is not in the database")?
        .rule_set;
    let ladder = theme
        .ladder(Some(&rules))
        .context("the theme does not have the community's rules")?;
    let is_synced = tx.eligibility().holder_count(&token).await? > 0;
    let mut names = Vec::new();
    for planned in &server.members {
        let user = UserId::new(planned.user)?;
        let EvaluationInput { member, facts, .. } = tx
            .profiles()
            .evaluation_input(&token, user, now, theme.early_member_limit())
            .await?
            .context("a member is not in the database")?;
        let standing = if is_synced {
            member.standing
        } else {
            plan.standing(planned.holder)
        };
        let evaluation = theme.evaluate(ladder, standing, &facts);
        let desired = theme.desired_roles(&evaluation, &facts);
        names.push(
            desired
                .iter()
                .filter_map(|key| theme.role(key))
                .map(|role| role.name.clone())
                .collect(),
        );
    }
    tx.rollback().await?;
    Ok(names)
}

/// A server with the theme's roles and channels.
fn themed(server: &Server, theme: &Theme, roles: &[Vec<String>]) -> Value {
    let list: Vec<Value> = theme
        .roles
        .iter()
        .enumerate()
        .map(|(index, role)| role_json(role_id(server.guild, index), role))
        .collect();
    let mut next = server.guild + 200_000;
    let mut id = || {
        next += 1;
        next.to_string()
    };
    let mut channels = Vec::new();
    for category in &theme.categories {
        let inside: Vec<Value> = category
            .channels
            .iter()
            .map(|channel| channel_json(&id(), channel, theme))
            .collect();
        channels.push(json!({"id": id(), "name": category.name, "kind": "category", "channels": inside}));
    }
    let members: Vec<Value> = server
        .members
        .iter()
        .zip(roles)
        .map(|(member, roles)| member_json(member, roles))
        .collect();
    json!({
        "id": server.guild.to_string(), "name": server.name, "community": true,
        "owner": server.members.first().map(|member| &member.name),
        "roles": list, "channels": channels, "members": members,
    })
}

/// The messages of a server.
fn messages(server: &Server, theme: &str) -> Value {
    let lines = conversations::of_theme(theme);
    let messages = lines.iter().enumerate().filter_map(|(index, (author_index, channel, text))| {
        let author = &server.members.get(*author_index)?.name;
        Some(json!({
            "channel": channel, "author": author, "content": text, "minutes_ago": conversations::minutes_ago(index, lines.len()),
        }))
    });
    messages.collect()
}

/// A server that is not onboarded.
fn bare(server: &Server) -> Value {
    let members: Vec<Value> = server.members.iter().map(|member| member_json(member, &[])).collect();
    let channel = (server.guild + 200_001).to_string();
    json!({
        "id": server.guild.to_string(), "name": server.name,
        "owner": server.members.first().map(|member| &member.name),
        "channels": [{"id": channel, "name": "general", "topic": "Nobody has set this server up yet."}], "members": members,
    })
}

fn role_json(id: u64, role: &Role) -> Value {
    json!({
        "id": id.to_string(), "name": role.name, "color": role.color.to_string(), "hoist": role.hoist,
        "mentionable": role.mentionable, "permissions": role.permissions.to_string(),
    })
}

fn channel_json(id: &str, channel: &Channel, theme: &Theme) -> Value {
    let mut value = json!({
        "id": id, "name": channel.name, "topic": channel.topic,
        "overwrites": channel.access.overwrites().iter().map(|o| overwrite_json(o, theme)).collect::<Vec<_>>(),
    });
    match &channel.kind {
        ChannelKind::Text { slow_mode_seconds } => value["slow_mode"] = json!(slow_mode_seconds),
        ChannelKind::Announcement => value["kind"] = json!("announcement"),
        ChannelKind::Voice { bitrate, user_limit } => {
            value["kind"] = json!("voice");
            value["bitrate"] = json!(bitrate);
            value["user_limit"] = json!(user_limit);
        }
        ChannelKind::Stage { bitrate } => {
            value["kind"] = json!("stage");
            value["bitrate"] = json!(bitrate);
        }
        ChannelKind::Forum { .. } => value["kind"] = json!("forum"),
    }
    value
}

fn overwrite_json(overwrite: &Overwrite, theme: &Theme) -> Value {
    let name = |key: &RoleKey| {
        theme
            .role(key)
            .map_or_else(|| key.to_string(), |role| role.name.clone())
    };
    let role = overwrite.role.as_ref().map_or_else(|| "@everyone".to_owned(), name);
    json!({"role": role, "allow": overwrite.allow.to_string(), "deny": overwrite.deny.to_string()})
}

fn member_json(member: &Member, roles: &[String]) -> Value {
    json!({
        "user_id": member.user.to_string(), "name": member.name, "display": member.display, "roles": roles,
        "joined_days_ago": member.joined_days_ago,
    })
}

fn capitalised(name: &str) -> String {
    super::names::display(name)
}

/// Id of the role of a tier, as `role_id` counts.
pub fn role_of_tier(theme: &Theme, guild: u64, tier: &str) -> Option<u64> {
    let is_it = |role: &&Role| matches!(&role.given_to, RoleRule::Tier(of) if of.as_str() == tier);
    let index = theme.roles.iter().position(|role| is_it(&role))?;
    Some(role_id(guild, index))
}
