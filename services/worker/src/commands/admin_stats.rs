//! `/admin-stats`: the health of the community for its admins: the ranking's age, jobs, failures, and what the bot lacks in the server. Its
//! buttons switch posts on and off, and one opens the status page.
//!
//! What is read from Discord is left out, and that is stated, when it does not respond in time. A switch, its audit entry and the claim
//! commit together; a second run finds the claim, changes nothing and sends the same reply.

use std::time::Duration;

use arrakis_db::{
    Actor, CommunityCounts, FailedJobs, NewAuditEntry, OpenJobs, Post, PostKind, RecordedProblem, SyncHealth,
    VersionCause,
};
use arrakis_domain::{RoleBindings, RoleKey, Theme};
use serde_json::json;
use twilight_model::guild::Permissions;

use super::{Command, CommandContext, Definition, outdated_component};
use crate::bot_access;
use crate::community::user_id;
use crate::configuration;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::notify::posts::channel_name;
use crate::render::admin_stats::{self, AdminStatsView, BotAccess};
use crate::render::post_switches::{self, NAME, OFF, ON, POST, PostChannel, PostLine};
use crate::status_link;

/// Each use may be three calls to Discord.
const COOLDOWN: Duration = Duration::from_secs(5);
/// Failures and recorded problems of this time are shown.
const WINDOW: time::Duration = time::Duration::days(7);

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminStats;

/// What is read from Postgres.
struct Stored {
    sync: SyncHealth,
    counts: CommunityCounts,
    open: OpenJobs,
    failed: Vec<FailedJobs>,
    problems: Vec<RecordedProblem>,
    bindings: RoleBindings,
    posts: Vec<(PostKind, Post)>,
}

impl Command for AdminStats {
    fn definition(&self) -> Definition {
        Definition::new(
            NAME,
            "Health of the community: ranking, jobs, failures, permissions; switches posts",
        )
        .permissions(Permissions::MANAGE_GUILD)
        .cooldown(COOLDOWN)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        show(context, None).await
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let (kind, enabled) = match arguments {
            [POST, kind, ON] => (*kind, true),
            [POST, kind, OFF] => (*kind, false),
            _ => return Err(outdated_component().into()),
        };
        let kind: PostKind = kind.parse().map_err(|_| outdated_component())?;
        switch(context, kind, enabled).await?;
        show(context, Some(&post_switches::switched(kind, enabled))).await
    }
}

/// Switches a post of the theme, once for each press. Nothing changes when it is in that state already.
async fn switch(context: &CommandContext<'_>, kind: PostKind, enabled: bool) -> Result<(), CommandError> {
    if channel_name(&context.community()?.theme, kind).is_none() {
        return Err(outdated_component().into());
    }
    let admin = user_id(context.invocation.author.id)?;
    {
        let mut tx = context.tx().await?;
        let is_first = tx.claim(&format!("{NAME}:{}", context.invocation.id)).await?;
        if is_first && tx.posts().get(kind).await?.enabled != enabled {
            tx.posts().set_enabled(kind, enabled).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(admin),
                action: "community.post",
                subject: kind.as_str(),
                reason: None,
                detail: json!({"enabled": enabled}),
            })
            .await?;
            let cause = VersionCause {
                cause: "posts",
                by: &admin.to_string(),
                at: context.services.now(),
            };
            configuration::record(&mut tx, &context.services.themes, cause).await?;
        }
    }
    // The reply states the change, so it is committed before.
    context.without_tx(std::future::ready(())).await
}

async fn show(context: &CommandContext<'_>, done: Option<&str>) -> CommandResult {
    let community = context.community()?;
    let stored = read(context).await?;
    // No connection is held during the calls to Discord.
    let reading = Box::pin(bot_access::read(context.services, community, &stored.bindings));
    let access = context.without_tx(reading).await?;
    if let Err(error) = &access {
        tracing::warn!(%error, "the bot's permissions could not be read for /admin-stats");
    }
    let unbound = unbound_roles(context, &stored.bindings)?;
    let posts = lines_of(&community.theme, &stored.posts, access.as_ref().ok());
    let view = AdminStatsView {
        community: &community.record.name,
        frozen: community.record.frozen.as_ref(),
        rule_set: &community.record.rule_set,
        plan: community.record.plan,
        onboarded_at: community.record.onboarded_at,
        now: context.services.now(),
        sync: &stored.sync,
        counts: &stored.counts,
        open: stored.open,
        failed: &stored.failed,
        problems: &stored.problems,
        unbound: &unbound,
        access: access.as_ref().ok(),
        theme_until: community.record.theme_grace_until,
        posts: &posts,
        done,
    };
    let embed = admin_stats::embed(&context.render_context()?, &view);
    let link = status_link::begin(context.services, community.id(), context.invocation.author.id.get()).await;
    Ok(Reply::Message(message(
        embed,
        admin_stats::components(&posts, link.as_deref()),
    )))
}

/// The posts that the theme has. `access` has the channels of the server; `None` if Discord did not respond.
fn lines_of<'a>(theme: &'a Theme, posts: &[(PostKind, Post)], access: Option<&BotAccess>) -> Vec<PostLine<'a>> {
    let line = |(kind, post): &(PostKind, Post)| {
        let name = channel_name(theme, *kind)?;
        Some(PostLine {
            kind: *kind,
            enabled: post.enabled,
            name,
            channel: channel_of(post, name, access),
            awaits_first_digest: *kind == PostKind::Digest && post.period.is_none(),
        })
    };
    posts.iter().filter_map(line).collect()
}

/// The channel of a post as the next message finds it: by its stored id, else by its name in the theme.
fn channel_of(post: &Post, name: &str, access: Option<&BotAccess>) -> PostChannel {
    let Some(access) = access else {
        return post.channel.map_or(PostChannel::NotRead, PostChannel::Found);
    };
    let channels = &access.channels;
    let stored = channels.iter().find(|(id, _)| Some(*id) == post.channel);
    let found = stored.or_else(|| channels.iter().find(|(_, of)| of == name));
    found.map_or(PostChannel::Missing, |(id, _)| PostChannel::Found(*id))
}

async fn read(context: &CommandContext<'_>) -> Result<Stored, CommandError> {
    let token = &context.community()?.record.token_profile;
    let now = context.services.now();
    let mut tx = context.tx().await?;
    let mut posts = Vec::new();
    for kind in PostKind::ALL {
        posts.push((kind, tx.posts().get(kind).await?));
    }
    Ok(Stored {
        sync: tx.eligibility().sync_health(token).await?,
        counts: tx.profiles().counts().await?,
        open: tx.open_jobs(now).await?,
        failed: tx.failed_jobs(now - WINDOW).await?,
        problems: tx.recorded_problems(now - WINDOW).await?,
        bindings: tx.communities().role_bindings().await?,
        posts,
    })
}

/// The theme's automatic roles without a role of the server.
fn unbound_roles(context: &CommandContext<'_>, bindings: &RoleBindings) -> Result<Vec<RoleKey>, CommandError> {
    let roles = context.community()?.theme.roles.iter();
    let unbound = roles.filter(|role| role.given_to.is_automatic() && !bindings.contains_key(&role.key));
    Ok(unbound.map(|role| role.key.clone()).collect())
}
