//! The `data` of a command that all members of a load run send.

use serde_json::Value;

use super::{InteractionContext, InteractionRequest, command};
use crate::{
    control::response::{ControlError, bad, missing},
    load::{ActingMember, Action},
    world,
};

/// Validates a command, or an autocomplete request, for the first member. Returns the action of all members, who are in `servers`
/// servers.
///
/// # Errors
/// When the command is unknown or an option does not fit; when `data` would differ from server to server.
pub(in crate::control) fn validate(
    state: &world::State,
    (member, servers): (&ActingMember, usize),
    name: &str,
    options: Option<&Value>,
    focused: Option<&str>,
) -> Result<Action, ControlError> {
    let request = InteractionRequest {
        kind: "command".to_owned(),
        name: Some(name.to_owned()),
        options: options.cloned(),
        focused: focused.map(str::to_owned),
        force: true,
        ..InteractionRequest::default()
    };
    let gone = || missing("the first server of the load is gone", "try again");
    let context = InteractionContext {
        state,
        channel: state.channel(member.channel).ok_or_else(gone)?,
        user: member.user,
        force: true,
    };
    let new = command::run(&context, &request, focused.is_some(), &command::Files::new())?;
    if servers > 1 && (new.data.get("resolved").is_some() || new.data.get("guild_id").is_some()) {
        return Err(bad(
            format!("/{name} is not the same in every server"),
            "a load of several servers needs a global command whose options refer to no users, roles or channels",
        ));
    }
    Ok(Action::Interact {
        kind: new.kind,
        data: new.data,
        command: new.command,
    })
}
