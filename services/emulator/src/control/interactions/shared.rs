//! The `data` of a command that all members of a load run send.

use serde_json::Value;

use super::{InteractionRequest, Scene, command};
use crate::{
    control::answer::{ControlError, bad, missing},
    load::{Act, Place},
    world,
};

/// Validates a command, or an autocomplete request, for the first member. Returns the action of all members.
///
/// # Errors
/// When the command is unknown or an option does not fit; when `data` would differ from server to server.
pub(in crate::control) fn judge(
    state: &world::State,
    place: &Place,
    name: &str,
    options: Option<&Value>,
    focused: Option<&str>,
) -> Result<Act, ControlError> {
    let request = InteractionRequest {
        kind: "command".to_owned(),
        name: Some(name.to_owned()),
        options: options.cloned(),
        focused: focused.map(str::to_owned),
        force: true,
        ..InteractionRequest::default()
    };
    let gone = || missing("the first server of the load is gone", "try again");
    let scene = Scene {
        state,
        channel: state.channel(place.channel).ok_or_else(gone)?,
        user: place.user,
        force: true,
    };
    let new = command::run(&scene, &request, focused.is_some(), &command::Files::new())?;
    if new.data.get("resolved").is_some() || new.data.get("guild_id").is_some() {
        return Err(bad(
            format!("/{name} is not the same in every server"),
            "a load takes global commands whose options name no people, roles or channels",
        ));
    }
    Ok(Act::Interact {
        kind: new.kind,
        data: new.data,
        command: new.command,
    })
}
