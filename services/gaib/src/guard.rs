//! The second factor in front of deletions.
//!
//! A plan that deletes channels or roles of a server whose community the platform has needs a code of the person to whom the API key belongs.
//! [`Permit`] is the proof: only this module makes one, and `Execution::run`, the one place that executes plans, refuses a plan that its
//! permit does not cover. On a server without a community, and without an api of the platform, the confirmations of the command are the only protection:
//! the bot token is enough to delete there without gaib.

use arrakis_contracts::servers::{RequestGrant, ServerOperation, UseGrant};
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac::plan::{Action, Plan};
use arrakis_security::mfa::TypedCode;

use crate::arguments::platform::PlatformArguments;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::platform::Platform;

/// Advice where no code can be read.
const MFA_OPTION: &str = "add --mfa CODE, with the six digits of your authenticator app or a backup code";

/// The permission to execute a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit(Scope);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// Plans that delete no channel and no role.
    NoDeletions,
    /// The plan with this digest.
    Plan(String),
    /// All plans of a teardown.
    Teardown,
}

impl Permit {
    /// The permission of a plan that deletes nothing that is protected.
    #[must_use]
    pub const fn without_deletions() -> Self {
        Self(Scope::NoDeletions)
    }

    /// Whether the plan may be executed.
    #[must_use]
    pub fn covers(&self, plan: &Plan) -> bool {
        match &self.0 {
            Scope::NoDeletions => protected_deletion(plan).is_none(),
            Scope::Plan(digest) => *digest == plan.digest(),
            Scope::Teardown => true,
        }
    }
}

/// What the plan deletes that is protected; `None` when it deletes neither channels nor roles. A replacement deletes.
#[must_use]
pub fn protected_deletion(plan: &Plan) -> Option<ServerOperation> {
    let deletions = || {
        let deletions = plan.changes.iter();
        deletions.filter(|change| matches!(change.action, Action::Delete | Action::Replace))
    };
    if deletions().any(|change| matches!(change.address.kind(), Kind::Channel | Kind::Category)) {
        return Some(ServerOperation::DeleteChannels);
    }
    let deletes_role = deletions().any(|change| change.address.kind() == Kind::Role);
    deletes_role.then_some(ServerOperation::DeleteRoles)
}

/// The permission to execute a plan, for the code of `--mfa` or one that is typed.
///
/// # Errors
/// When the platform refuses the code, or cannot be reached: then it is not known whether the server has a community.
pub async fn permit(context: &Context, plan: &Plan, guild: Snowflake, code: Option<&str>) -> Result<Permit> {
    let Some(operation) = protected_deletion(plan) else {
        return Ok(Permit::without_deletions());
    };
    let digest = plan.digest();
    check(
        context,
        &PlatformArguments::default(),
        guild,
        (operation, &digest),
        code,
    )
    .await?;
    Ok(Permit(Scope::Plan(digest)))
}

/// The permission to execute the plans of a teardown. `digest` is the SHA-256 of what they delete.
///
/// # Errors
/// As [`permit`].
pub async fn permit_teardown(
    context: &Context,
    platform: &PlatformArguments,
    guild: Snowflake,
    digest: &str,
    code: Option<&str>,
) -> Result<Permit> {
    check(context, platform, guild, (ServerOperation::Teardown, digest), code).await?;
    Ok(Permit(Scope::Teardown))
}

/// Gets a grant for a code, and uses it.
async fn check(
    context: &Context,
    arguments: &PlatformArguments,
    guild: Snowflake,
    (operation, digest): (ServerOperation, &str),
    code: Option<&str>,
) -> Result<()> {
    let Some(address) = context.environment.platform(arguments)? else {
        return Ok(());
    };
    let platform = Platform::new(address, guild)?;
    let community = match platform.plan().await {
        Ok(plan) => plan.name,
        Err(error) if error.is_unknown_server() => return Ok(()),
        Err(error) => return Err(platform.failure(&format!("read the community of server {guild}"), &error)),
    };
    let code = match code {
        Some(code) => code.to_owned(),
        None => {
            let question = format!("The community {community} is protected: this deletion needs a second factor.");
            context.prompt.ask(&question, "Code: ", MFA_OPTION).await?
        }
    };
    check_form(&code)?;
    let request = RequestGrant {
        operation,
        plan_digest: digest.to_owned(),
        code,
    };
    let failure = |error| platform.failure("check the code of the second factor", &error);
    let granted = platform.request_grant(&request).await.map_err(failure)?;
    let used = UseGrant {
        grant: granted.grant,
        operation,
        plan_digest: digest.to_owned(),
    };
    let confirmed = platform.use_grant(&used).await.map_err(failure)?;
    if confirmed.operation == operation {
        return Ok(());
    }
    Err(Failure::new(
        "the api confirms another operation than the requested one; nothing was deleted",
    ))
}

/// Refuses a text that is no code. The platform would count it as a wrong one.
fn check_form(code: &str) -> Result<()> {
    if TypedCode::read(code).is_some() {
        return Ok(());
    }
    let failure = Failure::new(
        "the code of the second factor has another form: it is six digits, or a backup code such as abcd-efgh-ijkl-mnop; it was not \
         sent, and nothing was deleted",
    );
    Err(failure.help("run the same command again with such a code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_another_form_is_no_code() {
        for code in ["123456", "123 456", "abcd-efgh-ijkl-mnop"] {
            assert!(check_form(code).is_ok(), "{code}");
        }
        for text in ["", "12345", "1234567", "abcdef"] {
            let refused = check_form(text).unwrap_err();
            assert!(refused.summary().contains("it was not sent"), "{text}");
        }
    }
}
