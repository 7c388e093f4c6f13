//! `/admin-takeover`: an emergency. Freezes the community and gives the control of it to one admin; this admin ends it. Both are
//! confirmed by typing the community's name in a modal, which has a field for the code of a second factor, too.
//!
//! The change, its audit entry and the claim commit together. A second run finds the claim, changes nothing and sends the same reply.

use arrakis_db::{Actor, Community, NewAuditEntry, TenantTx, UserId, VersionCause};
use arrakis_security::mfa::ProtectedOperation;
use serde_json::json;
use twilight_model::guild::Permissions;
use twilight_util::builder::command::UserBuilder;

use super::{
    Command, CommandContext, CommandScope, ComponentRule, Definition, MfaRule, ResponseMode, component_user,
    outdated_component,
};
use crate::community::user_id;
use crate::configuration;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::reconcile;
use crate::render::admin_takeover::{self, BEGIN, END, NAME, REASON, TYPED_NAME};
use crate::render::text;

/// The first response to a modal: its reply is a message of its own, for the admin alone.
const ANSWER: ResponseMode = ResponseMode::Deferred { ephemeral: true };

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminTakeover;

impl Command for AdminTakeover {
    fn definition(&self) -> Definition {
        let admin = UserBuilder::new(
            "admin",
            "Who alone controls the community; left out by this admin, it ends",
        );
        Definition::new(
            NAME,
            "Emergency: freeze the community and give its control to one admin",
        )
        .option(admin)
        .permissions(Permissions::ADMINISTRATOR)
        .requires_mfa(MfaRule {
            operation: ProtectedOperation::AdminTakeover,
            reads: &[],
        })
        // A modal must be the first response.
        .response(ResponseMode::Modal)
        .component_rules(&[
            ComponentRule {
                argument: BEGIN,
                response: ANSWER,
                scope: CommandScope::Community,
            },
            ComponentRule {
                argument: END,
                response: ANSWER,
                scope: CommandScope::Community,
            },
        ])
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        let community = context.community()?;
        let name = &community.record.name;
        let Some((admin, shown)) = options.user("admin") else {
            check_taken_over(&community.record)?;
            return Ok(Reply::Modal(admin_takeover::end_modal(name, context.asks_for_codes())));
        };
        check_no_other_freeze(&community.record)?;
        let manages = Permissions::ADMINISTRATOR | Permissions::MANAGE_GUILD;
        if !options.permissions_of(admin).intersects(manages) {
            return Err(Refusal::new(
                format!(
                    "{} does not manage this server.",
                    shown.map_or_else(|| "That user".to_owned(), text::name)
                ),
                "Name a member with the permission Manage Server or Administrator.",
            )
            .into());
        }
        let modal = admin_takeover::begin_modal(name, admin.get(), context.asks_for_codes());
        Ok(Reply::Modal(modal))
    }

    async fn modal_submit(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        let InvocationData::ModalSubmit { fields, .. } = &context.invocation.data else {
            return Err(outdated_component().into());
        };
        let typed = |field: &str| fields.get(field).map_or("", |text| text.trim());
        check_name(context, typed(TYPED_NAME))?;
        match arguments {
            [BEGIN, admin] => {
                let (_, admin) = component_user(admin)?;
                begin(context, admin, typed(REASON)).await
            }
            [END] => end(context).await,
            _ => Err(outdated_component().into()),
        }
    }
}

/// Refuses another name than the community's.
fn check_name(context: &CommandContext<'_>, typed: &str) -> Result<(), CommandError> {
    let name = &context.community()?.record.name;
    if typed == name.trim() {
        return Ok(());
    }
    Err(Refusal::new(
        "The name that you typed is not the community's, so nothing was changed.",
        "Run `/admin-takeover` again, and type the name as the modal shows it.",
    )
    .into())
}

/// Refuses the end of a takeover where there is none: the end of the freeze would end another freeze.
fn check_taken_over(community: &Community) -> Result<(), Refusal> {
    if community.controlled_by.is_some() {
        return Ok(());
    }
    Err(Refusal::new(
        "This community is not taken over.",
        "Name the admin who shall control it: `/admin-takeover admin:`.",
    ))
}

/// Refuses a takeover of a community that is frozen without one: the end of the takeover would end that freeze.
fn check_no_other_freeze(community: &Community) -> Result<(), Refusal> {
    match &community.frozen {
        Some(frozen) if community.controlled_by.is_none() => Err(Refusal::new(
            format!("This community is frozen already: {}.", text::name(&frozen.reason)),
            "Ask the operator of this bot, who froze it; nothing was changed.",
        )),
        _ => Ok(()),
    }
}

/// Locks the community and reads it again: another takeover may have begun or ended since the command began. Refuses an admin while another
/// one controls the community.
async fn locked(tx: &mut TenantTx, author: UserId) -> Result<Community, CommandError> {
    tx.communities().lock().await?;
    let record = tx.communities().get().await?;
    let record = record.ok_or_else(|| Failure::permanent("the community does not exist"))?;
    if let Some(controller) = record.controlled_by.filter(|controller| *controller != author) {
        let since = record.frozen.as_ref().map(|frozen| frozen.at);
        let (what, next) = admin_takeover::controlled(controller.get(), since);
        return Err(Refusal::new(what, next).into());
    }
    Ok(record)
}

/// Freezes the community and gives its control to the admin, once for each submission.
async fn begin(context: &CommandContext<'_>, admin: UserId, reason: &str) -> CommandResult {
    if reason.is_empty() {
        return Err(Refusal::new("The reason is empty.", "Run `/admin-takeover` again, and write why.").into());
    }
    let author = user_id(context.invocation.author.id)?;
    {
        let mut tx = context.tx().await?;
        if tx.claim(&format!("{NAME}:{}", context.invocation.id)).await? {
            let community = locked(&mut tx, author).await?;
            check_no_other_freeze(&community)?;
            tx.communities().take_over(admin, reason).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(author),
                action: "community.takeover",
                subject: &admin.to_string(),
                reason: Some(reason),
                detail: json!({"mfa": context.mfa}),
            })
            .await?;
            record(context, &mut tx, author).await?;
        }
    }
    // The reply states the change, so it is committed before.
    context.without_tx(std::future::ready(())).await?;
    let embed = admin_takeover::begun(&context.render_context()?, admin.get(), reason);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// Records the configuration, of which the freeze is a part: a community that is rebuilt is frozen, too.
async fn record(context: &CommandContext<'_>, tx: &mut TenantTx, author: UserId) -> Result<(), CommandError> {
    let cause = VersionCause {
        cause: "takeover",
        by: &author.to_string(),
        at: context.services.now(),
    };
    configuration::record(tx, &context.services.themes, cause).await?;
    Ok(())
}

/// Ends the takeover and enqueues a reconcile, once for each submission. Only the admin who has the control reaches it.
async fn end(context: &CommandContext<'_>) -> CommandResult {
    let interaction = context.invocation.id;
    let author = user_id(context.invocation.author.id)?;
    let job = reconcile::request(&format!("reconcile:takeover:{interaction}"));
    {
        let mut tx = context.tx().await?;
        if tx.claim(&format!("{NAME}:{interaction}")).await? {
            check_taken_over(&locked(&mut tx, author).await?)?;
            tx.communities().set_frozen(None).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(author),
                action: "community.takeover_end",
                subject: &author.to_string(),
                reason: None,
                detail: json!({"mfa": context.mfa}),
            })
            .await?;
            record(context, &mut tx, author).await?;
            tx.jobs().enqueue(&job.row(context.services.now())).await?;
        }
    }
    context.commit_and_publish(&job).await?;
    let embed = admin_takeover::ended(&context.render_context()?);
    Ok(Reply::Message(message(embed, Vec::new())))
}
