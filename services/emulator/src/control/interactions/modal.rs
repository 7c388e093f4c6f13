//! Submission of modals that the bot opened.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    InteractionContext, InteractionRequest,
    component::{choice, walk},
};
use crate::{
    control::response::{ControlError, bad, missing},
    model::{Interaction, InteractionKind},
    world::NewInteraction,
};

const TEXT_INPUT: u64 = 4;

/// Builds the interaction of a modal submission.
pub(super) fn submit(
    context: &InteractionContext<'_>,
    request: &InteractionRequest,
) -> Result<NewInteraction, ControlError> {
    let opener = opener(context, request)?;
    let modal = opener
        .modal
        .as_ref()
        .ok_or_else(|| missing("no modal is open", "the bot opens one with callback type 9"))?;
    let given = fields(request.fields.as_ref())?;
    let mut parts = Vec::new();
    let components = modal["components"].as_array().map_or(&[][..], Vec::as_slice);
    walk(components, &mut parts);
    let known: Vec<&str> = parts.iter().filter_map(|part| part["custom_id"].as_str()).collect();
    if let Some(unknown) = given.keys().find(|name| !known.contains(&name.as_str())) {
        context.refuse(
            format!("the modal has no field {unknown:?}"),
            format!("it has: {}", known.join(", ")),
        )?;
    }
    let filled: Result<Vec<Value>, ControlError> = components.iter().map(|part| fill(context, part, &given)).collect();
    let data = json!({"custom_id": modal["custom_id"], "components": filled?});
    Ok(NewInteraction {
        kind: InteractionKind::Modal,
        channel_id: context.channel.id,
        user_id: context.user,
        data,
        command: opener.command.clone(),
        message_id: opener.message_id,
    })
}

/// Finds the interaction whose response opened the modal.
fn opener<'a>(context: &InteractionContext<'a>, request: &InteractionRequest) -> Result<&'a Interaction, ControlError> {
    let custom_id = request.custom_id.as_deref();
    let fits = |earlier: &&Interaction| {
        let modal = earlier.modal.as_ref();
        let is_meant = modal.is_some_and(|modal| custom_id.is_none_or(|id| modal["custom_id"] == id));
        earlier.user_id == context.user && is_meant
    };
    let known = &context.state.interactions;
    let found = match request.interaction_id {
        Some(id) => known.get(&id).filter(fits),
        None => known.values().rev().find(fits),
    };
    found.ok_or_else(|| {
        missing(
            "this member has no such modal open",
            "run the command or press the button that opens it first",
        )
    })
}

/// Values by custom id. Texts are lists of one value.
fn fields(fields: Option<&Value>) -> Result<BTreeMap<String, Vec<String>>, ControlError> {
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::Null => Vec::new(),
            Value::String(text) => vec![text.clone()],
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            other => vec![other.to_string()],
        }
    };
    match fields {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => Ok(map.iter().map(|(name, value)| (name.clone(), texts(value))).collect()),
        Some(Value::Array(list)) => Ok(list
            .iter()
            .map(|field| {
                let value = field
                    .get("values")
                    .or_else(|| field.get("value"))
                    .unwrap_or(&Value::Null);
                (field["custom_id"].as_str().unwrap_or_default().to_owned(), texts(value))
            })
            .collect()),
        Some(_) => Err(bad(
            "fields is neither an object nor a list",
            "write {\"custom_id\": \"text\"}",
        )),
    }
}

/// A component of the modal in the form of a submission.
fn fill(
    context: &InteractionContext<'_>,
    part: &Value,
    given: &BTreeMap<String, Vec<String>>,
) -> Result<Value, ControlError> {
    let mut out = json!({"type": part["type"]});
    if let Some(id) = part.get("id") {
        out["id"] = id.clone();
    }
    if let Some(inner) = part["components"].as_array() {
        let filled: Result<Vec<Value>, ControlError> = inner.iter().map(|part| fill(context, part, given)).collect();
        out["components"] = filled?.into();
    }
    if let Some(inner) = part.get("component") {
        out["component"] = fill(context, inner, given)?;
    }
    let Some(name) = part["custom_id"].as_str() else {
        return Ok(out);
    };
    out["custom_id"] = name.into();
    let values = given.get(name).cloned().unwrap_or_default();
    if part["type"] == TEXT_INPUT {
        let text = values.into_iter().next().unwrap_or_default();
        check_text(context, part, name, &text)?;
        out["value"] = text.into();
    } else {
        let required = part["required"].as_bool().unwrap_or(true);
        if required || !values.is_empty() {
            choice(context, part, &values)?;
        }
        out["values"] = values.into();
    }
    Ok(out)
}

fn check_text(context: &InteractionContext<'_>, part: &Value, name: &str, text: &str) -> Result<(), ControlError> {
    let length = text.chars().count() as u64;
    if length == 0 && !part["required"].as_bool().unwrap_or(true) {
        return Ok(());
    }
    let (least, most) = (
        part["min_length"].as_u64().unwrap_or(0).max(1),
        part["max_length"].as_u64().unwrap_or(4_000),
    );
    if (least..=most).contains(&length) {
        return Ok(());
    }
    context.refuse(
        format!("{length} characters for {name}"),
        format!("it takes {least} to {most}"),
    )
}
