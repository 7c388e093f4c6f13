//! The refusal of a second workspace, and what its user can do.

use arrakis_iac::grammar::counted;
use arrakis_iac::model::Snowflake;

use super::owner::{OtherState, OtherWorkspace};
use crate::error::Failure;
use crate::workspace::{Workspace, shell_quoted};

/// The error for a server that another workspace manages.
pub(super) fn refusal(workspace: &Workspace, guild: Snowflake, other: &OtherWorkspace) -> Failure {
    let (folder, command) = match &other.folder {
        Some(folder) => (
            format!(" in {}", folder.display()),
            format!("gaib -C {} server", shell_quoted(folder)),
        ),
        None => (String::new(), workspace.server_command()),
    };
    let (name, own) = (&other.name, &workspace.name);
    let here = workspace.server_command();
    match &other.state {
        OtherState::Newer { serial, own_serial } => Failure::new(format!(
            "the state of workspace {own} is an old copy (serial {own_serial}): workspace {name}{folder} has the same state with \
             serial {serial}"
        ))
        .help(format!(
            "use that workspace, or copy its state: `{command} state pull --workspace {name} > newer.json`, then `{here} state push \
             newer.json --workspace {own}`"
        )),
        OtherState::Unreadable(reason) => Failure::new(format!(
            "server {guild} is managed by workspace {name}{folder}, whose state {reason}"
        ))
        .help(format!(
            "restore a copy of that state: `{command} state push FILE --workspace {name}`; or end the ownership: `{here} state \
             release --guild {guild}`"
        )),
        OtherState::Manages(resources) => Failure::new(format!(
            "server {guild} is managed by workspace {name}{folder} ({}), not by workspace {own}; a second workspace would create \
             every resource again",
            counted(*resources, "resource")
        ))
        .help(alternatives(workspace, other, &command)),
    }
}

/// Advice after a refusal: use the other workspace, move the server into this one, or end the other's ownership.
fn alternatives(workspace: &Workspace, other: &OtherWorkspace, command: &str) -> String {
    let (name, own, here) = (&other.name, &workspace.name, workspace.server_command());
    let file = match &workspace.configuration_file {
        Some(file) => format!(" --file {}", shell_quoted(file)),
        None => String::new(),
    };
    let use_other = match &other.folder {
        Some(_) => format!("use that workspace: `{command} apply --workspace {name}{file}`"),
        None => format!(
            "use that workspace: add `--workspace {name}` to this command (`{command} apply --workspace {name}{file}`), or select \
             it: `{command} workspace select {name}`"
        ),
    };
    format!(
        "{use_other}; or move the server into this workspace: `{command} state pull --workspace {name} > moved.json`, then `{here} \
         state push moved.json --workspace {own}`; or end the ownership, without a change of the server: `{command} state rm --all \
         --workspace {name}`"
    )
}
