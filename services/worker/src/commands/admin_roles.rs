//! `/admin-roles`: the role policy of the community, its change by a previewed job, and the removal of a member's tier roles.
//!
//! A press commits the change, its audit entry, the job and the claim together. A second run finds the claim, changes nothing and sends
//! the same reply.

use arrakis_db::{Actor, NewAuditEntry, Profile, UserId, VersionCause};
use arrakis_domain::TierRoles;
use serde_json::json;
use twilight_model::guild::Permissions;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;
use twilight_util::builder::command::{StringBuilder, UserBuilder};

use super::job_progress::latest_part;
use super::{Command, CommandContext, Definition, component_user, outdated_component};
use crate::community::user_id;
use crate::configuration;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{JobRequest, tier_sync};
use crate::render::admin_roles::{
    self, APPLY, KEEP, NAME, OF_THEME, PROGRESS, PolicyPreview, REMOVE, RETURN, RolesView,
};
use crate::render::profile;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminRoles;

impl Command for AdminRoles {
    fn definition(&self) -> Definition {
        let policy = StringBuilder::new("policy", "Which tier roles a member has; a preview is shown first").choices([
            (
                "Exclusive: the role of their own tier only",
                TierRoles::Exclusive.as_str(),
            ),
            (
                "Cumulative: also those of all tiers below",
                TierRoles::Cumulative.as_str(),
            ),
            ("As the theme has it", OF_THEME),
        ]);
        let member = UserBuilder::new(
            "member",
            "A member whose tier roles are all removed, or given back to the rules",
        );
        Definition::new(NAME, "See and change which tier roles members have")
            .option(policy)
            .option(member)
            .permissions(Permissions::MANAGE_GUILD)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        match (options.string("policy"), options.user("member")) {
            (None, None) => settings(context),
            (Some(policy), None) => preview(context, policy).await,
            (None, Some((member, name))) => ask(context, member, name).await,
            (Some(_), Some(_)) => Err(Refusal::new(
                "These are two different changes.",
                "Run `/admin-roles` with `policy`, and again with `member`.",
            )
            .into()),
        }
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [APPLY, policy] => apply(context, policy).await,
            [KEEP] => Ok(Reply::Message(message(
                admin_roles::kept(&context.render_context()?),
                Vec::new(),
            ))),
            [PROGRESS, interaction] => progress(context, interaction.parse().map_err(|_| outdated_component())?).await,
            [REMOVE, member] => change_member(context, member, true).await,
            [RETURN, member] => change_member(context, member, false).await,
            _ => Err(outdated_component().into()),
        }
    }
}

fn settings(context: &CommandContext<'_>) -> CommandResult {
    let community = context.community()?;
    let view = RolesView {
        policy: community.theme.tier_roles,
        chosen: community.record.tier_roles.is_some(),
        plan: community.record.plan,
        theme_until: community.record.theme_grace_until,
    };
    let embed = admin_roles::settings(&context.render_context()?, &view);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// The policy that is stored for this argument, and the one that then applies.
fn policy(context: &CommandContext<'_>, argument: &str) -> Result<(Option<TierRoles>, TierRoles), CommandError> {
    if argument == OF_THEME {
        let theme = &context.community()?.record.theme;
        let theme = context
            .services
            .themes
            .theme(theme.as_str())
            .map_err(Failure::permanent)?;
        return Ok((None, theme.tier_roles));
    }
    let policy = argument.parse::<TierRoles>().map_err(|_| outdated_component())?;
    Ok((Some(policy), policy))
}

/// Refuses a change of roles while the community is frozen: no job would make it.
fn check_frozen(context: &CommandContext<'_>) -> Result<(), CommandError> {
    if context.community()?.is_frozen() {
        return Err(Refusal::new(
            "The community is frozen, so no roles are changed.",
            "Run the command again when the freeze has ended.",
        )
        .into());
    }
    Ok(())
}

async fn preview(context: &CommandContext<'_>, argument: &str) -> CommandResult {
    check_frozen(context)?;
    let (_, after) = policy(context, argument)?;
    let counts = context.tx().await?.profiles().counts().await?;
    let view = PolicyPreview {
        before: context.community()?.theme.tier_roles,
        after,
        by_tier: &counts.by_tier,
    };
    let (embed, buttons) = admin_roles::preview(&context.render_context()?, &view, argument);
    Ok(Reply::Message(message(embed, buttons)))
}

fn policy_job(interaction: u64) -> String {
    format!("tier-sync:policy:{interaction}")
}

/// Changes the policy, once for each press.
async fn apply(context: &CommandContext<'_>, argument: &str) -> CommandResult {
    check_frozen(context)?;
    let (stored, effective) = policy(context, argument)?;
    let interaction = context.invocation.id.get();
    let job = tier_sync::for_community(policy_job(interaction));
    let admin = user_id(context.invocation.author.id)?;
    {
        let mut tx = context.tx().await?;
        if tx.claim(&format!("{NAME}:{interaction}")).await? {
            tx.communities().set_tier_roles(stored).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(admin),
                action: "community.tier_roles",
                subject: effective.as_str(),
                reason: None,
                detail: json!({"before": context.community()?.theme.tier_roles.as_str(), "chosen": stored.is_some()}),
            })
            .await?;
            let cause = VersionCause {
                cause: "role-policy",
                by: &admin.to_string(),
                at: context.services.now(),
            };
            configuration::record(&mut tx, &context.services.themes, cause).await?;
            tx.jobs().enqueue(&job.row(context.services.now())).await?;
        }
    }
    context.commit_and_publish(&job).await?;
    let (embed, buttons) = admin_roles::changed(&context.render_context()?, effective, interaction);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Shows the progress of the job.
async fn progress(context: &CommandContext<'_>, interaction: u64) -> CommandResult {
    let id = policy_job(interaction);
    let (job, before) = latest_part(context, &id).await?;
    let button = format!("{NAME}:{PROGRESS}:{interaction}");
    let render = context.render_context()?;
    let (embed, buttons) = admin_roles::progress(&render, (&job, before), button, context.services.now());
    Ok(Reply::Message(message(embed, buttons)))
}

/// A member's profile, or the refusal of one who is not here.
async fn profile_of(context: &CommandContext<'_>, user: UserId, name: Option<&str>) -> Result<Profile, CommandError> {
    let profile = context.tx().await?.profiles().by_user(user).await?;
    profile.filter(|profile| profile.left_at.is_none()).ok_or_else(|| {
        let (what, next) = profile::unknown_member(name.unwrap_or("That user"), false);
        Refusal::new(what, next).into()
    })
}

async fn ask(context: &CommandContext<'_>, member: Id<UserMarker>, name: Option<&str>) -> CommandResult {
    check_frozen(context)?;
    let profile = profile_of(context, user_id(member)?, name).await?;
    let render = context.render_context()?;
    let (embed, buttons) = admin_roles::member(&render, &profile.display_name, member.get(), profile.protected);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Removes the tier roles of a member and protects the member, or lets rules apply again; once for each press.
async fn change_member(context: &CommandContext<'_>, member: &str, remove: bool) -> CommandResult {
    check_frozen(context)?;
    let (member, user) = component_user(member)?;
    let interaction = context.invocation.id;
    let profile = profile_of(context, user, None).await?;
    let job: JobRequest = if remove {
        tier_sync::removal_of_tier_roles(format!("tier-sync:removal:{interaction}"), member)
    } else {
        tier_sync::for_member(format!("tier-sync:return:{interaction}"), member)
    };
    let admin = user_id(context.invocation.author.id)?;
    {
        let mut tx = context.tx().await?;
        if tx.claim(&format!("{NAME}:{interaction}")).await? {
            tx.profiles().set_protected(user, remove).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(admin),
                action: if remove {
                    "roles.remove_of_tiers"
                } else {
                    "roles.return_to_rules"
                },
                subject: &user.to_string(),
                reason: None,
                detail: json!({}),
            })
            .await?;
            tx.jobs().enqueue(&job.row(context.services.now())).await?;
        }
    }
    context.commit_and_publish(&job).await?;
    let community = context.community()?.id();
    context.services.uncache_profile(community, user).await;
    let embed = admin_roles::member_changed(&context.render_context()?, &profile.display_name, remove);
    Ok(Reply::Message(message(embed, Vec::new())))
}
