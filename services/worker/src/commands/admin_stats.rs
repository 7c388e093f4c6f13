//! `/admin-stats`: the health of the community for its admins: the ranking's age, jobs, failures, and what the bot lacks in the server.
//!
//! Only reads. What Discord is asked for is left out, and that is stated, when it does not respond in time.

use std::time::Duration;

use arrakis_db::{CommunityCounts, FailedJobs, OpenJobs, RecordedProblem, SyncHealth};
use arrakis_domain::{RoleBindings, RoleKey};
use async_trait::async_trait;
use twilight_model::guild::Permissions;

use super::{Command, CommandContext, Definition};
use crate::bot_access;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::admin_stats::{self, AdminStatsView};

const NAME: &str = "admin-stats";
/// Each use may be two calls to Discord.
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
}

#[async_trait]
impl Command for AdminStats {
    fn definition(&self) -> Definition {
        Definition::new(
            NAME,
            "Health of the community: ranking, jobs, failures, missing permissions",
        )
        .permissions(Permissions::MANAGE_GUILD)
        .cooldown(COOLDOWN)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let community = context.community()?;
        let stored = read(context).await?;
        // No connection is held during the calls to Discord.
        let reading = Box::pin(bot_access::read(context.services, community, &stored.bindings));
        let access = context.without_tx(reading).await?;
        if let Err(error) = &access {
            tracing::warn!(%error, "the bot's permissions could not be read for /admin-stats");
        }
        let unbound = unbound_roles(context, &stored.bindings)?;
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
        };
        let embed = admin_stats::embed(&context.render_context()?, &view);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}

async fn read(context: &CommandContext<'_>) -> Result<Stored, CommandError> {
    let token = &context.community()?.record.token_profile;
    let now = context.services.now();
    let mut tx = context.tx().await?;
    Ok(Stored {
        sync: tx.eligibility().sync_health(token).await?,
        counts: tx.profiles().counts().await?,
        open: tx.open_jobs(now).await?,
        failed: tx.failed_jobs(now - WINDOW).await?,
        problems: tx.recorded_problems(now - WINDOW).await?,
        bindings: tx.communities().role_bindings().await?,
    })
}

/// The theme's automatic roles without a role of the server.
fn unbound_roles(context: &CommandContext<'_>, bindings: &RoleBindings) -> Result<Vec<RoleKey>, CommandError> {
    let roles = context.community()?.theme.roles.iter();
    let unbound = roles.filter(|role| role.given_to.is_automatic() && !bindings.contains_key(&role.key));
    Ok(unbound.map(|role| role.key.clone()).collect())
}
