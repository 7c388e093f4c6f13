//! `/admin-migrate`: members bring an equivalent tier from another tool, by a role of that tool or a CSV file.
//!
//! The preview stores what it shows, so that exactly this is applied. A press commits the tiers, the audit entry, the job and the claim
//! together; a second run finds the claim, changes nothing and sends the same reply.

use std::collections::BTreeSet;

use arrakis_db::{Actor, NewAuditEntry, TierImport, TierImportState, UserId};
use arrakis_domain::{Role, RoleId, RoleRule, TierId, TierRoles};
use arrakis_security::mfa::ProtectedOperation;
use serde_json::json;
use twilight_model::application::command::CommandOptionChoice;
use twilight_model::guild::Permissions;
use twilight_model::http::attachment::Attachment;
use twilight_model::id::Id;
use twilight_model::id::marker::{RoleMarker, UserMarker};
use twilight_util::builder::command::{AttachmentBuilder, IntegerBuilder, RoleBuilder, StringBuilder};

use super::job_progress::latest_part;
use super::role_grant::RoleGranter;
use super::{Command, CommandContext, Definition, MfaRule, outdated_component, suggestions};
use crate::attached_file;
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::options::{AttachedFile, Options};
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{JobRequest, tier_sync};
use crate::member_list;
use crate::render::admin_migrate::{self, APPLY, KEEP, NAME, PROGRESS, UNDO};
use crate::render::{admin_roles, text};

/// Days for which an imported tier counts, unless the admin sets another number.
const DAYS: i64 = 14;
/// Most days.
const MAX_DAYS: i64 = 90;
/// With more members than this, the tier sync is of the whole community, so that its payload stays small.
const MAX_LISTED: usize = 1_000;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminMigrate;

impl Command for AdminMigrate {
    fn definition(&self) -> Definition {
        let tier = StringBuilder::new("tier", "The tier that the holders of the role keep");
        let days = IntegerBuilder::new("days", "For how long at most; 14 when left out");
        Definition::new(NAME, "Bring members over from another tool; a preview is shown first")
            .option(RoleBuilder::new("role", "A role that the other tool gave"))
            .option(tier.autocomplete(true).max_length(50))
            .option(AttachmentBuilder::new("file", "A CSV file: user_id,tier in each line"))
            .option(days.min_value(1).max_value(MAX_DAYS))
            .option(StringBuilder::new("undo", "The id of a migration that is taken back").max_length(20))
            .permissions(Permissions::MANAGE_GUILD)
            .requires_mfa(MfaRule {
                operation: ProtectedOperation::AdminMigrate,
                reads: &[KEEP, PROGRESS],
            })
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        check_frozen(context)?;
        if let Some(id) = options.string("undo") {
            return preview_undo(context, id.trim()).await;
        }
        let (source, members) = read_source(context, options).await?;
        check_roles(context, &members).await?;
        let days = options.integer("days").unwrap_or(DAYS);
        let import = TierImport {
            id: context.invocation.id.get(),
            state: TierImportState::Previewed,
            source,
            days: u16::try_from(days).map_err(Failure::permanent)?,
            members,
            created_by: user_id(context.invocation.author.id)?,
        };
        preview(context, &import).await
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [APPLY, id] => apply(context, id).await,
            [UNDO, id] => undo(context, id).await,
            [PROGRESS, id] => progress(context, id).await,
            [KEEP] => Ok(Reply::Message(message(
                admin_migrate::kept(&context.render_context()?),
                Vec::new(),
            ))),
            _ => Err(outdated_component().into()),
        }
    }

    async fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        let Some(community) = context.community.filter(|_| option == "tier") else {
            return Ok(Vec::new());
        };
        let rungs = community.ladder()?.rungs().iter();
        let tiers = rungs.filter_map(|rung| community.theme.tier(&rung.tier));
        let named = tiers.map(|tier| (tier.id.as_str(), tier.name.clone()));
        Ok(suggestions::matching(named, typed))
    }
}

/// Refuses while the community is frozen: no job would change roles.
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

/// The members with their tiers, and where they come from.
async fn read_source(
    context: &CommandContext<'_>,
    options: &Options,
) -> Result<(String, Vec<(UserId, TierId)>), CommandError> {
    match (options.role("role"), options.file("file"), options.string("tier")) {
        (Some((role, name)), None, Some(tier)) => {
            let source = format!("The role {}", name.unwrap_or("that you chose"));
            Ok((source, holders(context, role, tier.trim()).await?))
        }
        (None, Some(file), None) => Ok((format!("The file {}", file.name), listed(context, file).await?)),
        _ => Err(Refusal::new(
            "A migration needs a role with a tier, or a file.",
            "Run `/admin-migrate` with `role` and `tier`, or with `file`; `undo` takes a migration back.",
        )
        .into()),
    }
}

/// The members with a role of another tool. All of them keep the same tier.
async fn holders(
    context: &CommandContext<'_>,
    role: Id<RoleMarker>,
    tier: &str,
) -> Result<Vec<(UserId, TierId)>, CommandError> {
    let community = context.community()?;
    let Some(tier) = member_list::find_tier(tier, &community.theme, community.ladder()?) else {
        return Err(Refusal::new(
            format!("There is no tier \"{}\" here.", text::name(tier)),
            "Choose one of the suggestions.",
        )
        .into());
    };
    let bindings = context.tx().await?.communities().role_bindings().await?;
    if bindings.values().any(|bound| *bound == RoleId(role.get())) {
        return Err(Refusal::new(
            "This role is one of the theme's: its rules decide who has it.",
            "Choose the role that the other tool gave.",
        )
        .into());
    }
    let calls = context.services.discord.bulk(Some(community.guild()));
    let reading = Box::pin(calls.members(community.guild(), None));
    let members = context.without_tx(reading).await??;
    let mut found = Vec::new();
    for member in members
        .iter()
        .filter(|member| !member.user.bot && member.roles.contains(&role))
    {
        found.push((user_id(member.user.id)?, tier.clone()));
    }
    if found.is_empty() {
        return Err(Refusal::new("No member has this role.", "Choose the role that the other tool gave.").into());
    }
    Ok(found)
}

/// The members of a CSV file.
async fn listed(context: &CommandContext<'_>, file: &AttachedFile) -> Result<Vec<(UserId, TierId)>, CommandError> {
    let community = context.community()?;
    let reading = attached_file::text(file, context.services.admin_commands_without_mfa);
    let text = context.without_tx(Box::pin(reading)).await??;
    member_list::read(&text, &community.theme, community.ladder()?).map_err(|error| {
        Refusal::new(
            format!("The file cannot be used: {error}."),
            "Correct it, and attach it again. Each line is `user_id,tier`.",
        )
        .into()
    })
}

/// Refuses tiers by which members would get roles with permissions that the admin lacks.
async fn check_roles(context: &CommandContext<'_>, members: &[(UserId, TierId)]) -> Result<(), CommandError> {
    let community = context.community()?;
    let ladder = community.ladder()?;
    let tiers: BTreeSet<&TierId> = members.iter().map(|(_, tier)| tier).collect();
    let is_given = |of: &TierId| match community.theme.tier_roles {
        TierRoles::Exclusive => tiers.contains(of),
        TierRoles::Cumulative => tiers.iter().any(|tier| ladder.compare(Some(*tier), Some(of)).is_ge()),
    };
    let roles = community.theme.roles.iter();
    let roles: Vec<&Role> = roles
        .filter(|role| matches!(&role.given_to, RoleRule::Tier(of) if is_given(of)))
        .collect();
    RoleGranter::check_roles(context, &roles).await
}

async fn preview(context: &CommandContext<'_>, import: &TierImport) -> CommandResult {
    let now = context.services.now();
    let users: Vec<UserId> = import.members.iter().map(|(user, _)| *user).collect();
    let counts = {
        let mut tx = context.tx().await?;
        tx.tier_imports().preview(import).await?;
        tx.tier_imports().counts(&users, now).await?
    };
    // The button of the reply needs the stored preview.
    context.without_tx(std::future::ready(())).await?;
    let (embed, buttons) = admin_migrate::preview(&context.render_context()?, import, &counts, now);
    Ok(Reply::Message(message(embed, buttons)))
}

fn job_id(import: u64) -> String {
    format!("tier-sync:migrate:{import}")
}

/// The tier sync of these members.
fn job(id: String, users: &[UserId]) -> JobRequest {
    if users.len() > MAX_LISTED {
        return tier_sync::for_community(id);
    }
    let users: Vec<Id<UserMarker>> = users.iter().filter_map(|user| Id::new_checked(user.get())).collect();
    tier_sync::for_members(id, &users)
}

/// The import of this id, or the refusal of an id that is none.
async fn import_of(context: &CommandContext<'_>, id: &str) -> Result<TierImport, CommandError> {
    let import = match id.parse() {
        Ok(id) => context.tx().await?.tier_imports().get(id).await?,
        Err(_) => None,
    };
    import.ok_or_else(|| {
        Refusal::new(
            format!("There is no migration \"{}\" here.", text::name(id)),
            "The reply to a migration and its undo file name the id.",
        )
        .into()
    })
}

/// Applies the import, once. The reply has the undo file.
async fn apply(context: &CommandContext<'_>, id: &str) -> CommandResult {
    check_frozen(context)?;
    let import = import_of(context, id).await?;
    if import.state == TierImportState::Undone {
        return Err(Refusal::new(
            "This migration was taken back.",
            "Run `/admin-migrate` again for another preview.",
        )
        .into());
    }
    // Another admin may have made the preview.
    check_roles(context, &import.members).await?;
    let now = context.services.now();
    let admin = user_id(context.invocation.author.id)?;
    let tiers = {
        let mut tx = context.tx().await?;
        if tx.claim(&format!("{NAME}:{}:apply", import.id)).await? {
            let users = tx.tier_imports().apply(&import, now).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(admin),
                action: "tiers.import",
                subject: &import.id.to_string(),
                reason: None,
                detail: json!({"source": import.source, "members": users.len(), "days": import.days, "mfa": context.mfa}),
            })
            .await?;
            tx.jobs().enqueue(&job(job_id(import.id), &users).row(now)).await?;
        }
        tx.tier_imports().tiers_of(import.id).await?
    };
    context.commit_and_publish(&job(job_id(import.id), &[])).await?;
    let (embed, buttons) = admin_migrate::applied(&context.render_context()?, &import, tiers.len());
    let file = member_list::write(&tiers).into_bytes();
    let mut reply = message(embed, buttons);
    reply.attachments = Some(vec![Attachment::from_bytes(
        format!("migration-{}.csv", import.id),
        file,
        0,
    )]);
    Ok(Reply::Message(reply))
}

/// Refuses the undo of an import that was not applied.
fn check_applied(import: &TierImport) -> Result<(), Refusal> {
    if import.state == TierImportState::Previewed {
        return Err(Refusal::new(
            "This migration was not applied, so there is nothing to take back.",
            "Its preview has the button that applies it.",
        ));
    }
    Ok(())
}

/// Shows what the undo would do, with the button that carries it out.
async fn preview_undo(context: &CommandContext<'_>, id: &str) -> CommandResult {
    let import = import_of(context, id).await?;
    check_applied(&import)?;
    let (embed, buttons) = admin_migrate::undo_preview(&context.render_context()?, &import);
    Ok(Reply::Message(message(embed, buttons)))
}

/// Takes the import back, once.
async fn undo(context: &CommandContext<'_>, id: &str) -> CommandResult {
    check_frozen(context)?;
    let import = import_of(context, id).await?;
    check_applied(&import)?;
    let now = context.services.now();
    let admin = user_id(context.invocation.author.id)?;
    let undo_id = format!("tier-sync:migrate-undo:{}", import.id);
    {
        let mut tx = context.tx().await?;
        if tx.claim(&format!("{NAME}:{}:undo", import.id)).await? {
            let users = tx.tier_imports().undo(import.id).await?;
            tx.audit(&NewAuditEntry {
                actor: Actor::Member(admin),
                action: "tiers.import_undo",
                subject: &import.id.to_string(),
                reason: None,
                detail: json!({"source": import.source, "members": users.len(), "mfa": context.mfa}),
            })
            .await?;
            tx.jobs().enqueue(&job(undo_id.clone(), &users).row(now)).await?;
        }
    }
    context.commit_and_publish(&job(undo_id, &[])).await?;
    let embed = admin_migrate::undone(&context.render_context()?);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// Shows the progress of the job that changes the roles.
async fn progress(context: &CommandContext<'_>, id: &str) -> CommandResult {
    let import: u64 = id.parse().map_err(|_| outdated_component())?;
    let (job, before) = latest_part(context, &job_id(import)).await?;
    let button = format!("{NAME}:{PROGRESS}:{import}");
    let render = context.render_context()?;
    let (embed, buttons) = admin_roles::progress(&render, (&job, before), button, context.services.now());
    Ok(Reply::Message(message(embed, buttons)))
}
