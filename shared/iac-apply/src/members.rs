//! Roles of members: read for a snapshot, and given back by a restore.

use std::collections::{BTreeMap, BTreeSet};

use arrakis_iac::model::Snowflake;
use arrakis_iac::snapshot::MemberRoles;
use http::Method;
use serde::Deserialize;

use crate::http::{CallError, Discord, Reason};

/// Members of one response, the maximum: <https://discord.com/developers/docs/resources/guild#list-guild-members>.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct ListedMember {
    user: ListedUser,
    roles: BTreeSet<Snowflake>,
}

#[derive(Deserialize)]
struct ListedUser {
    id: Snowflake,
}

/// The roles of all members. `None` when Discord refuses the list, because the application does not have the privileged intent
/// `GUILD_MEMBERS`.
///
/// # Errors
/// A call failed for another reason.
pub async fn member_roles(discord: &Discord, guild: Snowflake) -> Result<Option<Vec<MemberRoles>>, CallError> {
    let list = format!("/guilds/{guild}/members");
    let mut members = Vec::new();
    let mut after = 0;
    loop {
        let page: Vec<ListedMember> = match discord.get(&format!("{list}?limit={PAGE}&after={after}")).await {
            Err(CallError::Refused { status: 403, .. }) if members.is_empty() => return Ok(None),
            page => page?,
        };
        let is_last = page.len() < PAGE;
        after = page.iter().map(|member| member.user.id.get()).max().unwrap_or(after);
        members.extend(page.into_iter().map(|member| MemberRoles {
            user: member.user.id,
            roles: member.roles,
        }));
        if is_last {
            return Ok(Some(members));
        }
    }
}

/// A role that a member is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoleGrant {
    /// User id of the member.
    pub user: Snowflake,
    /// Id of the role.
    pub role: Snowflake,
}

/// The result of [`give_roles`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenRoles {
    /// Number of roles that members have now; those that they had before are included.
    pub given: usize,
    /// Users who are not members of the server.
    pub absent: BTreeSet<Snowflake>,
    /// Roles that the bot cannot assign, with Discord's reason.
    pub refused: BTreeMap<Snowflake, String>,
}

/// Gives roles to members, one request for each. A role that a member has already stays, so it can be repeated. `progress` receives
/// the number of completed grants.
///
/// # Errors
/// A call failed, other than by an unknown member or a role that the bot cannot assign.
pub async fn give_roles(
    discord: &Discord,
    guild: Snowflake,
    grants: &[RoleGrant],
    reason: &Reason,
    progress: &mut (dyn FnMut(usize) + Send),
) -> Result<GivenRoles, CallError> {
    let mut result = GivenRoles::default();
    for (done, RoleGrant { user, role }) in grants.iter().enumerate() {
        progress(done);
        if result.absent.contains(user) || result.refused.contains_key(role) {
            continue;
        }
        let path = format!("/guilds/{guild}/members/{user}/roles/{role}");
        match discord.write(Method::PUT, &path, None, reason).await {
            Ok(_) => result.given += 1,
            Err(error) if matches!(error.code(), Some(10_007 | 10_013)) => {
                result.absent.insert(*user);
            }
            Err(CallError::Refused {
                message,
                code: 10_011 | 50_001 | 50_013 | 50_028,
                ..
            }) => {
                result.refused.insert(*role, message);
            }
            Err(error) => return Err(error),
        }
    }
    progress(grants.len());
    Ok(result)
}
