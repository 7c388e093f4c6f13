//! `/admin-badge`: an admin gives a badge to a member, or takes it, with a reason. Only badges that no rule awards. A badge that the member
//! has shared on is refused: `/admin-water-share` revokes it with all that came from it.
//!
//! The change, its audit entry, the tier sync that follows and the claim commit together. A second run finds the claim, changes nothing
//! and sends the same reply.

use arrakis_db::{Actor, BadgeSource, NewAuditEntry, TenantTx, UserId};
use arrakis_domain::{Badge, BadgeRule, Role, RoleRule};
use serde_json::json;
use twilight_model::application::command::CommandOptionChoice;
use twilight_model::guild::Permissions;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;
use twilight_util::builder::command::{StringBuilder, UserBuilder};

use super::role_grant::RoleGranter;
use super::{Command, CommandContext, Definition, suggestions};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::InvocationData;
use crate::interaction::options::Options;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{JobRequest, tier_sync};
use crate::render::admin_badge::{self, AdminBadgeView};
use crate::render::profile;

const NAME: &str = "admin-badge";
const GIVE: &str = "give";
const TAKE: &str = "take";
/// Longest reason, in characters.
const MAX_REASON: u16 = 200;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminBadge;

/// What the admin typed.
struct Request<'a> {
    give: bool,
    member: Id<UserMarker>,
    name: &'a str,
    badge: &'a str,
    reason: &'a str,
}

impl Command for AdminBadge {
    fn definition(&self) -> Definition {
        let action =
            StringBuilder::new("action", "Give the badge, or take it").choices([("Give", GIVE), ("Take", TAKE)]);
        let badge = StringBuilder::new("badge", "One of the badges that are given by hand").autocomplete(true);
        let reason = StringBuilder::new("reason", "Why; it is kept in the audit log")
            .min_length(3)
            .max_length(MAX_REASON);
        Definition::new(NAME, "Give a badge to a member or take it, with a reason")
            .option(action.required(true))
            .option(UserBuilder::new("member", "Whose badge").required(true))
            .option(badge.required(true))
            .option(reason.required(true))
            .permissions(Permissions::MANAGE_GUILD)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let InvocationData::Command { options, .. } = &context.invocation.data else {
            return Err(Failure::permanent("a command without options").into());
        };
        let request = Request::read(options)?;
        let badge = badge(context, request.badge)?;
        let user = user_id(request.member)?;
        if request.give {
            check_roles(context, badge).await?;
        }
        let job = tier_sync::for_member(format!("tier-sync:badge:{}", context.invocation.id), request.member);
        let name = change(context, &request, badge, user, &job).await?;
        context.commit_and_publish(&job).await?;
        let embed = admin_badge::embed(&context.render_context()?, &request.view(badge, &name));
        Ok(Reply::Message(message(embed, Vec::new())))
    }

    async fn autocomplete(
        &self,
        context: &CommandContext<'_>,
        option: &str,
        typed: &str,
    ) -> Result<Vec<CommandOptionChoice>, Failure> {
        let Some(community) = context.community.filter(|_| option == "badge") else {
            return Ok(Vec::new());
        };
        let badges = community.theme.badges.iter().filter(|badge| !badge.earned_by.is_rule());
        let named = badges.map(|badge| (badge.id.as_str(), badge.name.clone()));
        Ok(suggestions::matching(named, typed))
    }
}

impl<'a> Request<'a> {
    fn read(options: &'a Options) -> Result<Self, CommandError> {
        let text = |name| options.string(name).map(str::trim);
        let (Some(action), Some((member, name)), Some(badge), Some(reason)) =
            (text("action"), options.user("member"), text("badge"), text("reason"))
        else {
            return Err(Failure::permanent("a required option is missing").into());
        };
        if reason.is_empty() {
            return Err(Refusal::new(
                "The reason is empty.",
                "Write for what the badge is given or taken; the audit log keeps it.",
            )
            .into());
        }
        Ok(Self {
            give: action == GIVE,
            member,
            name: name.unwrap_or("That user"),
            badge,
            reason,
        })
    }

    fn view(&'a self, badge: &'a Badge, name: &'a str) -> AdminBadgeView<'a> {
        AdminBadgeView {
            badge,
            name,
            given: self.give,
            reason: self.reason,
        }
    }
}

/// The badge of this id or name, or the refusal of one that is not given by hand.
fn badge<'a>(context: &'a CommandContext<'_>, typed: &str) -> Result<&'a Badge, CommandError> {
    let badges = &context.community()?.theme.badges;
    let lower = typed.to_lowercase();
    let found = badges
        .iter()
        .find(|badge| badge.id.as_str() == lower || badge.name.to_lowercase() == lower);
    match found {
        Some(badge) if !badge.earned_by.is_rule() => Ok(badge),
        other => {
            let (what, next) = admin_badge::not_given(&context.render_context()?, typed, other);
            Err(Refusal::new(what, next).into())
        }
    }
}

/// Refuses a badge by which a member may get a role with permissions that the admin lacks.
async fn check_roles(context: &CommandContext<'_>, badge: &Badge) -> Result<(), CommandError> {
    let community = context.community()?;
    let depends = |role: &&Role| match &role.given_to {
        RoleRule::Badge(id) => *id == badge.id,
        RoleRule::Badges { .. } => true,
        _ => false,
    };
    let roles: Vec<&Role> = community.theme.roles.iter().filter(depends).collect();
    RoleGranter::check_roles(context, &roles).await
}

/// Gives or takes the badge, once for each interaction. Returns the member's name.
async fn change(
    context: &CommandContext<'_>,
    request: &Request<'_>,
    badge: &Badge,
    user: UserId,
    job: &JobRequest,
) -> Result<String, CommandError> {
    let (admin, now) = (user_id(context.invocation.author.id)?, context.services.now());
    let mut tx = context.tx().await?;
    let profile = tx.profiles().by_user(user).await?;
    // Who has left may lose a badge and not gain one.
    let Some(profile) = profile.filter(|profile| profile.left_at.is_none() || !request.give) else {
        let (what, next) = profile::unknown_member(request.name, false);
        return Err(Refusal::new(what, next).into());
    };
    if !tx.claim(&format!("{NAME}:{}", context.invocation.id)).await? {
        return Ok(profile.display_name);
    }
    let reason = Some(request.reason);
    let changed = if request.give {
        let source = BadgeSource::Admin(admin);
        tx.badges().award(user, &badge.id, source, now, reason).await?
    } else {
        let lost = take(&mut tx, badge, user, admin, request.reason).await?;
        if lost > 1 {
            // The transaction is rolled back.
            let (what, next) = admin_badge::shared_on(&request.view(badge, &profile.display_name), lost - 1);
            return Err(Refusal::new(what, next).into());
        }
        lost == 1
    };
    if !changed {
        let (what, next) = admin_badge::unchanged(&request.view(badge, &profile.display_name));
        return Err(Refusal::new(what, next).into());
    }
    let entry = NewAuditEntry {
        actor: Actor::Member(admin),
        action: if request.give { "badge.give" } else { "badge.revoke" },
        subject: &user.to_string(),
        reason,
        detail: json!({"badge": badge.id.as_str()}),
    };
    tx.audit(&entry).await?;
    tx.jobs().enqueue(&job.row(now)).await?;
    Ok(profile.display_name)
}

/// Takes the badge; returns how many members lose it. A shared badge is taken with all that came from it, so that none is left without its
/// origin.
async fn take(
    tx: &mut TenantTx,
    badge: &Badge,
    user: UserId,
    admin: UserId,
    reason: &str,
) -> Result<usize, CommandError> {
    if badge.earned_by == BadgeRule::Shared {
        return Ok(tx.badges().revoke_branch(user, &badge.id, admin, reason).await?.len());
    }
    let is_taken = tx.badges().revoke(user, &badge.id, Some(admin), reason).await?;
    Ok(usize::from(is_taken))
}
