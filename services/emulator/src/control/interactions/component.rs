//! Buttons and selects of a message.

use serde_json::{Value, json};

use super::{InteractionContext, InteractionRequest, resolve::Resolved};
use crate::{
    control::response::{ControlError, bad, missing},
    model::{Id, InteractionKind},
    world::NewInteraction,
};

/// Builds the interaction of a pressed button or of a selection.
pub(super) fn press(
    context: &InteractionContext<'_>,
    request: &InteractionRequest,
) -> Result<NewInteraction, ControlError> {
    let custom_id = request
        .custom_id
        .as_deref()
        .ok_or_else(|| bad("custom_id is missing", "name the component"))?;
    let id = request
        .message_id
        .ok_or_else(|| bad("message_id is missing", "name the message that has the component"))?;
    let message = context.state.message(context.channel.id, id);
    let message = message
        .filter(|message| message.visible_to.is_none_or(|only| only == context.user))
        .ok_or_else(|| {
            missing(
                format!("the member sees no message {id} here"),
                "GET …/messages?viewer= lists the visible messages",
            )
        })?;
    let data = data(
        context,
        &message.components,
        custom_id,
        request.values.as_deref().unwrap_or_default(),
    )?;
    let answered: Option<Id> = message
        .interaction_metadata
        .as_ref()
        .and_then(|metadata| metadata["id"].as_str()?.parse().ok());
    let command = answered.and_then(|id| context.state.interactions.get(&id)?.command.clone());
    Ok(NewInteraction {
        kind: InteractionKind::Component,
        channel_id: context.channel.id,
        user_id: context.user,
        data,
        command,
        message_id: Some(id),
    })
}

/// `data` of the interaction, when the component accepts these values.
fn data(
    context: &InteractionContext<'_>,
    components: &[Value],
    custom_id: &str,
    values: &[String],
) -> Result<Value, ControlError> {
    let mut known = Vec::new();
    walk(components, &mut known);
    let component = known.iter().find(|component| component["custom_id"] == custom_id);
    let Some(component) = component else {
        let ids: Vec<&str> = known
            .iter()
            .filter_map(|component| component["custom_id"].as_str())
            .collect();
        context.refuse(
            format!("the message has no component {custom_id:?}"),
            format!("it has: {}", ids.join(", ")),
        )?;
        return Ok(json!({"custom_id": custom_id, "component_type": 2}));
    };
    check(context, component, values)?;
    let kind = component["type"].as_u64().unwrap_or(2);
    let mut data = json!({"custom_id": custom_id, "component_type": kind});
    if let Some(id) = component.get("id") {
        data["id"] = id.clone();
    }
    if kind != 2 {
        data["values"] = json!(values);
        resolve(context, kind, values)?.into_data(&mut data);
    }
    Ok(data)
}

/// All components, with those nested in rows, sections and containers.
pub(super) fn walk<'a>(components: &'a [Value], found: &mut Vec<&'a Value>) {
    for component in components {
        found.push(component);
        if let Some(inner) = component["components"].as_array() {
            walk(inner, found);
        }
        for single in ["accessory", "component"] {
            if let Some(inner) = component.get(single) {
                walk(std::slice::from_ref(inner), found);
            }
        }
    }
}

fn check(context: &InteractionContext<'_>, component: &Value, values: &[String]) -> Result<(), ControlError> {
    let name = component["custom_id"].as_str().unwrap_or_default();
    if component["disabled"] == true {
        context.refuse(format!("{name} is disabled"), "the bot must enable it first")?;
    }
    let kind = component["type"].as_u64().unwrap_or(0);
    match kind {
        2 => Ok(()),
        3 | 5..=8 => choice(context, component, values),
        _ => context.refuse(format!("{name} cannot be pressed"), "buttons and selects can"),
    }
}

/// Checks the number and the values of a selection.
pub(super) fn choice(
    context: &InteractionContext<'_>,
    component: &Value,
    values: &[String],
) -> Result<(), ControlError> {
    let name = component["custom_id"].as_str().unwrap_or_default();
    let (least, most) = (
        component["min_values"].as_u64().unwrap_or(1),
        component["max_values"].as_u64().unwrap_or(1),
    );
    let count = values.len() as u64;
    if !(least..=most).contains(&count) {
        context.refuse(
            format!("{count} values for {name}"),
            format!("choose {least} to {most}: \"values\": […]"),
        )?;
    }
    let Some(options) = component["options"].as_array() else {
        return Ok(());
    };
    let known: Vec<&str> = options.iter().filter_map(|option| option["value"].as_str()).collect();
    match values.iter().find(|value| !known.contains(&value.as_str())) {
        Some(unknown) => context.refuse(
            format!("{name} has no option {unknown:?}"),
            format!("it has: {}", known.join(", ")),
        ),
        None => Ok(()),
    }
}

/// Resolves the values of a select of users, roles, mentionables or channels.
pub(super) fn resolve<'a>(
    context: &InteractionContext<'a>,
    kind: u64,
    values: &[String],
) -> Result<Resolved<'a>, ControlError> {
    let mut resolved = Resolved::new(context.state, context.channel.guild_id);
    if !(5..=8).contains(&kind) {
        return Ok(resolved);
    }
    for value in values {
        let id: Id = value
            .parse()
            .map_err(|_| bad(format!("{value:?} is not an id"), "this select takes ids"))?;
        let known = match kind {
            5 => resolved.user(id),
            6 => resolved.role(id),
            7 => resolved.role(id) || resolved.user(id),
            _ => resolved.channel(id, context.user).is_some(),
        };
        if !known {
            context.refuse(
                format!("{id} cannot be selected"),
                "name a member, role or channel of this server",
            )?;
        }
    }
    Ok(resolved)
}
