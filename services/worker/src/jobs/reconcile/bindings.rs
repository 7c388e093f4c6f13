//! Role bindings: whether the bound roles exist and the bot can assign them.

use arrakis_domain::RoleBindings;
use twilight_model::guild::{Member, Permissions, Role};
use twilight_model::id::Id;
use twilight_model::id::marker::RoleMarker;

use super::super::JobRun;
use crate::failure::Failure;
use crate::reconcile_report::ReconcileReport;
use crate::roles::{self, BrokenRole};

/// The stored bindings.
pub(super) async fn stored(run: &JobRun<'_>) -> Result<RoleBindings, Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    Ok(bindings)
}

/// Records bound roles that do not exist or that the bot cannot assign; returns the bindings to existing roles. `bindings` were read before
/// `roles` and `members`.
pub(super) async fn check(
    run: &JobRun<'_>,
    mut bindings: RoleBindings,
    roles: &[Role],
    members: &[Member],
    report: &mut ReconcileReport,
) -> Result<RoleBindings, Failure> {
    // The bot's user id equals the application id, except for applications older than 2016.
    let bot = run.services.discord.application().get();
    let bot = members.iter().find(|member| member.user.id.get() == bot);
    let mut broken = Vec::new();
    for (key, role) in &bindings {
        let (reason, deleted) = match roles.iter().find(|candidate| candidate.id.get() == role.0) {
            None => ("the role was deleted in the server".to_owned(), true),
            Some(role) => match bot.and_then(|bot| obstacle(role, bot, roles, run.community.guild().cast())) {
                Some(reason) => (reason, false),
                None => continue,
            },
        };
        broken.push(BrokenRole {
            key: key.clone(),
            role: Some(*role),
            reason,
            deleted,
        });
    }
    for broken in &broken {
        report.add_broken(role_name(run, &broken.key), &broken.reason);
    }
    let automatic = run
        .community
        .theme
        .roles
        .iter()
        .filter(|role| role.given_to.is_automatic());
    for role in automatic.filter(|role| !bindings.contains_key(&role.key)) {
        report.add_broken(format!("role {}", role.name), "no role of this server is bound to it");
    }
    roles::record_broken(run.services, run.community, &broken).await?;
    for deleted in broken.iter().filter(|role| role.deleted) {
        bindings.remove(&deleted.key);
    }
    Ok(bindings)
}

/// Why the bot cannot assign a role; `None` if it can. `everyone` is the id of @everyone, which equals the server's id.
pub(crate) fn obstacle(role: &Role, bot: &Member, roles: &[Role], everyone: Id<RoleMarker>) -> Option<String> {
    let has = |role: &&Role| role.id == everyone || bot.roles.contains(&role.id);
    let permissions = roles
        .iter()
        .filter(has)
        .fold(Permissions::empty(), |all, role| all | role.permissions);
    if role.managed {
        return Some("it is managed by an integration and cannot be assigned".to_owned());
    }
    if !permissions.intersects(Permissions::MANAGE_ROLES | Permissions::ADMINISTRATOR) {
        return Some("the bot lacks the permission Manage Roles".to_owned());
    }
    // `Role` is ordered by position: the higher role is the greater.
    let highest = roles.iter().filter(has).max();
    if highest.is_some_and(|highest| highest > role) {
        return None;
    }
    Some(format!(
        "it is above the bot's highest role; move the bot's role above \"{}\"",
        role.name
    ))
}

/// The role's name in the theme, for an admin.
fn role_name(run: &JobRun<'_>, key: &arrakis_domain::RoleKey) -> String {
    let name = run
        .community
        .theme
        .role(key)
        .map_or(key.as_str(), |role| role.name.as_str());
    format!("role {name}")
}
