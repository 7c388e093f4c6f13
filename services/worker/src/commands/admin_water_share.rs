//! `/admin-water-share`: the lineage of the shared badge as a tree, and the revocation of a branch after its reason was given.
//!
//! The revocation, its audit entry, the tier sync that follows and the claim commit together. A second run of one submission finds the
//! claim, changes nothing and shows the tree as it is.

use arrakis_db::{Actor, NewAuditEntry, UserId};
use serde_json::json;
use twilight_model::guild::Permissions;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;
use twilight_util::builder::command::UserBuilder;

use super::water_share::badge;
use super::{
    Command, CommandContext, CommandScope, ComponentRule, Definition, ResponseMode, component_user, outdated_component,
};
use crate::community::user_id;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{JobRequest, tier_sync};
use crate::render::admin_water_share::{self, ASK, LineageView, NAME, REASON, REVOKE};
use crate::render::profile;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminWaterShare;

impl Command for AdminWaterShare {
    fn definition(&self) -> Definition {
        Definition::new(NAME, "Who shared the badge with whom, as a tree; revoke a branch")
            .option(UserBuilder::new(
                "member",
                "Whose branch; the whole lineage when left out",
            ))
            .permissions(Permissions::MANAGE_GUILD)
            // A modal must be the first response.
            .component_rules(&[ComponentRule {
                argument: ASK,
                response: ResponseMode::Modal,
                scope: CommandScope::Community,
            }])
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let selected = match &context.invocation.data {
            InvocationData::Command { options, .. } => options.user("member"),
            _ => None,
        };
        match selected {
            Some((member, name)) => show(context, Some((user_id(member)?, name)), None).await,
            None => show(context, None, None).await,
        }
    }

    async fn component(&self, _: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [ASK, member] => {
                let (member, _) = component_user(member)?;
                Ok(Reply::Modal(admin_water_share::reason_modal(member.get())))
            }
            _ => Err(outdated_component().into()),
        }
    }

    async fn modal_submit(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let ([REVOKE, member], InvocationData::ModalSubmit { fields, .. }) = (arguments, &context.invocation.data)
        else {
            return Err(outdated_component().into());
        };
        let (_, member) = component_user(member)?;
        let reason = fields.get(REASON).map_or("", |reason| reason.trim());
        if reason.is_empty() {
            return Err(Refusal::new(
                "The reason is empty.",
                "Press the button again and write why the branch is revoked.",
            )
            .into());
        }
        let revoked = match revoke(context, member, reason).await? {
            Some((users, job)) => {
                context.commit_and_publish(&job).await?;
                Some(users)
            }
            None => None,
        };
        show(context, Some((member, None)), revoked).await
    }
}

/// Shows the lineage of a member's badge, or all of it.
async fn show(
    context: &CommandContext<'_>,
    member: Option<(UserId, Option<&str>)>,
    revoked: Option<usize>,
) -> CommandResult {
    let badge = badge(context)?;
    let (entries, name) = {
        let mut tx = context.tx().await?;
        let entries = tx.badges().lineage(member.map(|(user, _)| user), &badge.id).await?;
        let name = match member {
            Some((user, typed)) => {
                let profile = tx.profiles().by_user(user).await?;
                let (what, next) = profile::unknown_member(typed.unwrap_or("That user"), false);
                let profile = profile.ok_or_else(|| Refusal::new(what, next))?;
                Some((user.get(), profile.display_name))
            }
            None => None,
        };
        (entries, name)
    };
    let view = LineageView {
        badge,
        entries: &entries,
        member: name.as_ref().map(|(user, name)| (*user, name.as_str())),
        revoked,
    };
    let (embed, buttons) = admin_water_share::lineage(&context.render_context()?, &view);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Revokes the branch, once for each submission. Returns how many lost the badge, and the job that takes their roles; `None` when an
/// earlier run has done it.
async fn revoke(
    context: &CommandContext<'_>,
    member: UserId,
    reason: &str,
) -> Result<Option<(usize, JobRequest)>, CommandError> {
    let badge = badge(context)?;
    let admin = user_id(context.invocation.author.id)?;
    let mut tx = context.tx().await?;
    if !tx.claim(&format!("{NAME}:{}", context.invocation.id)).await? {
        return Ok(None);
    }
    let users = tx.badges().revoke_branch(member, &badge.id, admin, reason).await?;
    if users.is_empty() {
        return Err(Refusal::new(
            format!("This member does not hold **{}** any more.", badge.name),
            "Run `/admin-water-share` again for the present lineage.",
        )
        .into());
    }
    let members: Vec<String> = users.iter().map(ToString::to_string).collect();
    let entry = NewAuditEntry {
        actor: Actor::Member(admin),
        action: "badge.revoke_branch",
        subject: &member.to_string(),
        reason: Some(reason),
        detail: json!({"badge": badge.id.as_str(), "members": members}),
    };
    tx.audit(&entry).await?;
    let ids: Vec<Id<UserMarker>> = users.iter().filter_map(|user| Id::new_checked(user.get())).collect();
    let job = tier_sync::for_members(format!("tier-sync:branch:{}", context.invocation.id), &ids);
    tx.jobs().enqueue(&job.row(context.services.now())).await?;
    Ok(Some((users.len(), job)))
}
