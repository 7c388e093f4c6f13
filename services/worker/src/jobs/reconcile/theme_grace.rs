//! The messages to the admins about the grace period of a theme: when it begins, and when another theme has taken its place.
//!
//! The job is stored in the transaction of what it is about. Running it twice, or two at once, is safe: each message is sent once. While
//! Discord accepts no messages, the next part waits. What became obsolete meanwhile (another plan, another theme) is not sent.

use std::collections::BTreeSet;
use std::time::Duration;

use arrakis_contracts::JobKind;
use arrakis_contracts::job::theme_grace_begins;
use arrakis_discord::Error;
use arrakis_domain::{RoleBindings, ThemeId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::channel::message::Embed;
use twilight_model::guild::{Member, Permissions, Role};
use twilight_model::id::Id;
use twilight_model::id::marker::{RoleMarker, UserMarker};

use super::super::{JobRequest, JobRun};
use super::{MESSAGES_LATER, enqueue_at};
use crate::direct_message::{DirectMessage, DirectOutcome};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::render::theme_grace as render;
use crate::services::Services;

/// Most admins who get a message.
const MAX_ADMINS: usize = 10;
/// Pause between two direct messages: Discord restricts bots that open many.
const MESSAGE_PAUSE: Duration = Duration::from_secs(2);
/// Most parts of the messages: they are given up after two days without Discord.
const MAX_PARTS: u32 = 288;

/// The payload of the job `reconcile` that sends the admins of a community a direct message about the grace period of its theme: that a plan
/// does not include the theme any more, or, at the end, which theme has taken its place. Stored as JSON in the job's row under
/// `theme_grace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThemeGrace {
    /// The theme that the plan does not include.
    theme: ThemeId,
    /// End of the grace period, in seconds since 1970.
    until: i64,
    /// The theme that has taken its place; `None`: the message is about the begin of the grace period.
    replaced_by: Option<ThemeId>,
}

/// The job that tells the admins that a grace period begins.
pub(crate) fn begun(theme: &ThemeId, until: OffsetDateTime) -> JobRequest {
    let (id, payload) = theme_grace_begins(theme.as_str(), until.unix_timestamp());
    JobRequest {
        id,
        kind: JobKind::Reconcile,
        payload,
    }
}

/// The job that tells the admins that another theme has taken the place of one whose grace period is over.
pub(crate) fn ended(theme: &ThemeId, replaced_by: &ThemeId, until: OffsetDateTime) -> JobRequest {
    let grace = ThemeGrace {
        theme: theme.clone(),
        until: until.unix_timestamp(),
        replaced_by: Some(replaced_by.clone()),
    };
    JobRequest {
        id: grace.id(),
        kind: JobKind::Reconcile,
        payload: json!({"theme_grace": grace}),
    }
}

/// Tells the admins, one by one.
pub(super) async fn tell_admins(run: &JobRun<'_>, grace: &ThemeGrace, part: u32) -> Result<(), Failure> {
    if !grace.is_present(run) {
        return Ok(());
    }
    let admins = match Box::pin(admins(run)).await {
        Ok(admins) => admins,
        Err(Failure::Retry(error)) => {
            tracing::warn!(%error, "the admins of a community cannot be read at the moment");
            return enqueue_next_part(run, grace, part + 1).await;
        }
        Err(failure) => return Err(failure),
    };
    let text = message(grace.render(run)?, Vec::new());
    for (done, user) in admins.iter().enumerate() {
        run.progress(done, Some(admins.len())).await?;
        let message = DirectMessage {
            services: run.services,
            community: run.community,
            key: &format!("{}:{user}", grace.id()),
            user: *user,
            text: &text,
        };
        if let DirectOutcome::Later(why) = message.send().await? {
            tracing::warn!(
                why,
                "Discord accepts no messages at the moment; the next part continues"
            );
            return enqueue_next_part(run, grace, part + 1).await;
        }
        tokio::time::sleep(MESSAGE_PAUSE).await;
    }
    run.progress(admins.len(), Some(admins.len())).await
}

/// Enqueues another attempt, which sends what was not sent.
async fn enqueue_next_part(run: &JobRun<'_>, grace: &ThemeGrace, part: u32) -> Result<(), Failure> {
    if part > MAX_PARTS {
        return Err(Failure::permanent(format!("not complete after {MAX_PARTS} parts")));
    }
    let request = JobRequest {
        id: format!("{}+{part}", grace.id()),
        kind: JobKind::Reconcile,
        payload: json!({"theme_grace": grace, "part": part}),
    };
    enqueue_at(run, &request, run.services.now() + MESSAGES_LATER).await
}

/// The owner of the server and the members who manage it.
async fn admins(run: &JobRun<'_>) -> Result<Vec<Id<UserMarker>>, Failure> {
    let calls = run.services.discord.bulk(Some(run.community.guild()));
    let guild = calls.guild(run.community.guild()).await.map_err(unreadable)?;
    let members = calls.members(run.community.guild(), None).await.map_err(unreadable)?;
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    Ok(selected(guild.owner_id, &guild.roles, &members, &bindings))
}

/// The failure of reading a server. One that the bot has left has no admins to tell.
fn unreadable(error: Error) -> Failure {
    if error.may_succeed_later() {
        Failure::retry(error)
    } else {
        Failure::drop(format!("the admins of the server cannot be read: {error}"))
    }
}

/// The owner, then members who manage the server by a role that no rule of the theme gives. The holders of such a role change with the
/// ranking.
fn selected(owner: Id<UserMarker>, roles: &[Role], members: &[Member], bindings: &RoleBindings) -> Vec<Id<UserMarker>> {
    let manages = Permissions::ADMINISTRATOR | Permissions::MANAGE_GUILD;
    let is_bound = |role: &Role| bindings.values().any(|bound| bound.0 == role.id.get());
    let of_admins: BTreeSet<Id<RoleMarker>> = roles
        .iter()
        .filter(|role| role.permissions.intersects(manages) && !is_bound(role))
        .map(|role| role.id)
        .collect();
    let is_admin = |member: &&Member| {
        let others = !member.user.bot && member.user.id != owner;
        others && member.roles.iter().any(|role| of_admins.contains(role))
    };
    let others = members.iter().filter(is_admin).map(|member| member.user.id);
    std::iter::once(owner).chain(others).take(MAX_ADMINS).collect()
}

impl ThemeGrace {
    /// The same for each part.
    fn id(&self) -> String {
        let event = if self.replaced_by.is_some() { "ended" } else { "begun" };
        format!("theme-grace:{}:{event}", self.until)
    }

    /// Whether the community is still in the state that the messages are about.
    fn is_present(&self, run: &JobRun<'_>) -> bool {
        let record = &run.community.record;
        match &self.replaced_by {
            None => record.theme_grace_until.map(OffsetDateTime::unix_timestamp) == Some(self.until),
            Some(theme) => record.theme == *theme,
        }
    }

    fn render(&self, run: &JobRun<'_>) -> Result<Embed, Failure> {
        let (services, record) = (run.services, &run.community.record);
        let context = run.community.render_context(services)?;
        let theme = name(services, &self.theme);
        if let Some(replacement) = &self.replaced_by {
            let replacement = name(services, replacement);
            return Ok(render::ended(&context, &record.name, &theme, &replacement));
        }
        let replacement = services.themes.fallback(record.plan).map(|theme| theme.name.as_str());
        let until = OffsetDateTime::from_unix_timestamp(self.until).map_err(Failure::permanent)?;
        let view = render::GraceView {
            community: &record.name,
            plan: record.plan,
            theme: &theme,
            replacement,
            until,
        };
        Ok(render::begun(&context, &view))
    }
}

/// The name of a theme; its id if it does not exist any more.
fn name(services: &Services, theme: &ThemeId) -> String {
    let found = services.themes.theme(theme.as_str());
    found.map_or_else(|_| theme.to_string(), |theme| theme.name.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn role(id: u64, permissions: Permissions) -> Role {
        let role = json!({
            "id": id.to_string(), "name": "role", "color": 0, "hoist": false, "managed": false, "mentionable": false,
            "permissions": permissions.bits().to_string(), "position": 1, "flags": 0,
            "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
        });
        serde_json::from_value(role).unwrap()
    }

    fn member(user: u64, is_bot: bool, roles: &[u64]) -> Member {
        let roles: Vec<String> = roles.iter().map(u64::to_string).collect();
        let member = json!({
            "user": {"id": user.to_string(), "username": "name", "discriminator": "0", "avatar": Value::Null, "bot": is_bot},
            "roles": roles, "joined_at": "2026-01-01T00:00:00.000000+00:00", "deaf": false, "mute": false, "flags": 0,
        });
        serde_json::from_value(member).unwrap()
    }

    #[test]
    fn every_part_about_a_grace_period_has_the_id_of_the_first() {
        let (sietch, basic) = ("sietch".parse().unwrap(), "basic".parse().unwrap());
        let until = OffsetDateTime::UNIX_EPOCH + time::Duration::DAY;
        for request in [begun(&sietch, until), ended(&sietch, &basic, until)] {
            let grace = ThemeGrace::deserialize(&request.payload["theme_grace"]).unwrap();
            assert_eq!(grace.id(), request.id);
        }
    }

    #[test]
    fn owner_and_those_who_manage_the_server_are_told_and_holders_of_bound_roles_are_not() {
        let roles = [
            role(1, Permissions::MANAGE_GUILD),
            role(2, Permissions::ADMINISTRATOR),
            role(3, Permissions::SEND_MESSAGES),
        ];
        // The theme gives Naib the permission of administrators.
        let bindings = RoleBindings::from([("naib".parse().unwrap(), arrakis_domain::RoleId(2))]);
        let members = [
            member(10, false, &[1]),
            member(11, false, &[1, 3]),
            member(12, false, &[2]),
            member(13, false, &[3]),
            member(14, true, &[1]),
        ];
        let told = selected(Id::new(11), &roles, &members, &bindings);
        assert_eq!(told, [Id::new(11), Id::new(10)]);
        let many: Vec<Member> = (20..40).map(|user| member(user, false, &[1])).collect();
        assert_eq!(selected(Id::new(11), &roles, &many, &bindings).len(), MAX_ADMINS);
    }
}
