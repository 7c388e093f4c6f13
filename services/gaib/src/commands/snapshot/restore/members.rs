//! Roles of members: what a restore gives back. It takes no role away.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_iac::grammar::counted;
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac::snapshot::{MembersRecord, Restoration};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::{Discord, Reason};
use arrakis_iac_apply::{GivenRoles, RoleGrant, give_roles, member_roles};
use serde_json::json;

use crate::connection;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;

/// Grants between two lines of progress.
const PROGRESS: usize = 50;

/// The roles of members in a snapshot, and those that members have now.
#[derive(Debug, Default)]
pub(super) struct MembersToRestore {
    /// `None` where the snapshot has none, or they are to stay as they are.
    record: Option<MembersRecord>,
    /// Roles by member; `None` where Discord refuses the list, or it is not needed.
    present: Option<BTreeMap<Snowflake, BTreeSet<Snowflake>>>,
}

impl MembersToRestore {
    /// Reads the present roles, where there are roles to give back.
    pub(super) async fn read(
        context: &Context,
        discord: &Discord,
        guild: Snowflake,
        record: Option<MembersRecord>,
    ) -> Result<Self> {
        let Some(record) = record.filter(|record| !record.members.is_empty()) else {
            return Ok(Self::default());
        };
        let listed = member_roles(discord, guild).await;
        let listed = listed.map_err(|error| connection::read_failure(context, "members", &error.into()))?;
        if listed.is_none() {
            context.printer.diagnostic(
                Severity::Warning,
                "Discord refuses the list of members, so every role of the snapshot is given again to its members",
                Some("this takes longer, and changes nothing else; the Server Members Intent of the application permits the list"),
            );
        }
        let present = listed.map(|members| members.into_iter().map(|member| (member.user, member.roles)).collect());
        Ok(Self {
            record: Some(record),
            present,
        })
    }

    /// Whether there is nothing to give back, independent of the server.
    pub(super) const fn is_empty(&self) -> bool {
        self.record.is_none()
    }

    /// Number of roles that are given back, and of members of the snapshot who left.
    pub(super) fn counts(&self, restoration: &Restoration) -> (usize, usize) {
        let grants = self.missing(restoration, &restoration.state).count();
        let members = self.record.iter().flat_map(|record| &record.members);
        let absent = members.filter(|member| self.is_absent(member.user)).count();
        (grants, absent)
    }

    fn is_absent(&self, user: Snowflake) -> bool {
        self.present
            .as_ref()
            .is_some_and(|present| !present.contains_key(&user))
    }

    /// The roles that members of the server lack: user, recorded id, present id where the role exists.
    fn missing<'a>(
        &'a self,
        restoration: &'a Restoration,
        working: &'a State,
    ) -> impl Iterator<Item = (Snowflake, Snowflake, Option<Snowflake>)> + 'a {
        let members = self.record.iter().flat_map(|record| &record.members);
        let members = members.filter(move |member| !self.is_absent(member.user));
        members.flat_map(move |member| {
            let held = self.present.as_ref().and_then(|present| present.get(&member.user));
            let roles = member.roles.iter().copied();
            roles.filter_map(move |role| {
                if !restoration.is_restored(Kind::Role, role) {
                    return None;
                }
                let id = restoration.id(working, Kind::Role, role);
                let is_held = id.zip(held).is_some_and(|(id, held)| held.contains(&id));
                (!is_held).then_some((member.user, role, id))
            })
        })
    }

    /// Gives the roles back. Reports members who left, and roles that the bot cannot assign.
    pub(super) async fn give(
        &self,
        context: &Context,
        discord: &Discord,
        restoration: &Restoration,
        working: &State,
        reason: &Reason,
    ) -> Result<GivenRoles> {
        let Some(guild) = working.guild_id.filter(|_| self.record.is_some()) else {
            return Ok(GivenRoles::default());
        };
        let missing = self.missing(restoration, working);
        let grants: Vec<RoleGrant> = missing
            .filter_map(|(user, _, id)| Some(RoleGrant { user, role: id? }))
            .collect();
        let total = grants.len();
        let printer = context.printer;
        let mut progress = move |done: usize| {
            if total > 0 && (done.is_multiple_of(PROGRESS) || done == total) {
                let message = json!({"type": "progress", "operation": "restore", "step": "members", "done": done, "total": total});
                printer.message(&message);
                printer.note(&format!("Roles of members: {done} of {total} given."));
            }
        };
        let given = give_roles(discord, guild, &grants, reason, &mut progress).await;
        let given = given.map_err(|error| {
            Failure::new(format!(
                "the server is restored, and the roles of members are not all given: {error}"
            ))
            .help("the same command continues from there")
        })?;
        for (role, why) in &given.refused {
            let held = grants.iter().filter(|grant| grant.role == *role).count();
            let summary = format!("the role {role} was not given to {}: {why}", counted(held, "member"));
            let help = "drag the bot's role above it (Server Settings, Roles), and run the same command again";
            printer.diagnostic(Severity::Warning, &summary, Some(help));
        }
        Ok(given)
    }
}
