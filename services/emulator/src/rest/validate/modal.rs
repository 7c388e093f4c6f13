//! Modals: title, custom id and text inputs, in action rows or labels.
//!
//! Source: <https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object-modal>.

use serde_json::{Map, Value, json};

use super::{
    component::{ComponentCounts, insert_some, kind, read_kind, read_part},
    component_v2::read_text,
    form::{Form, FormField, Length},
};

/// Reads the `data` of a modal callback into the form that clients receive.
pub fn read_modal(form: &Form<'_>) -> Value {
    let mut counts = ComponentCounts::default();
    let mut modal = Map::new();
    modal.insert(
        "custom_id".to_owned(),
        json!(form.required_text("custom_id", Length::between(1, 100))),
    );
    modal.insert(
        "title".to_owned(),
        json!(form.required_text("title", Length::between(1, 45))),
    );
    if form.require("components")
        && let FormField::Value(parts) = form.forms("components", Length::between(1, 5))
    {
        let read: Vec<Value> = parts
            .iter()
            .filter_map(|part| read_modal_part(part, &mut counts))
            .map(Value::Object)
            .collect();
        modal.insert("components".to_owned(), Value::Array(read));
    }
    Value::Object(modal)
}

fn read_modal_part(form: &Form<'_>, counts: &mut ComponentCounts) -> Option<Map<String, Value>> {
    match read_kind(form, &[kind::ACTION_ROW, kind::TEXT_DISPLAY, kind::LABEL])? {
        kind::ACTION_ROW => {
            let mut row = counts.begin(form, kind::ACTION_ROW);
            if form.require("components")
                && let FormField::Value(inputs) = form.forms("components", Length::between(1, 1))
            {
                let read: Vec<Value> = inputs
                    .iter()
                    .filter(|input| read_kind(input, &[kind::TEXT_INPUT]).is_some())
                    .map(|input| Value::Object(read_text_input(input, true, counts)))
                    .collect();
                row.insert("components".to_owned(), Value::Array(read));
            }
            Some(row)
        }
        kind::LABEL => Some(read_label(form, counts)),
        _ => Some(read_text(form, counts)),
    }
}

fn read_label(form: &Form<'_>, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut label = counts.begin(form, kind::LABEL);
    label.insert(
        "label".to_owned(),
        json!(form.required_text("label", Length::between(1, 45))),
    );
    insert_some(
        &mut label,
        "description",
        form.text("description", Length::up_to(100)).value().map(Value::from),
    );
    if form.require("component")
        && let FormField::Value(inner) = form.form("component")
    {
        let allowed = [
            kind::STRING_SELECT,
            kind::TEXT_INPUT,
            kind::USER_SELECT,
            kind::ROLE_SELECT,
            kind::MENTIONABLE_SELECT,
            kind::CHANNEL_SELECT,
        ];
        if let Some(found) = read_kind(&inner, &allowed) {
            let read = if found == kind::TEXT_INPUT {
                Some(read_text_input(&inner, false, counts))
            } else {
                read_part(&inner, found, counts)
            };
            insert_some(&mut label, "component", read.map(Value::Object));
        }
    }
    label
}

fn read_text_input(form: &Form<'_>, needs_label: bool, counts: &mut ComponentCounts) -> Map<String, Value> {
    let mut input = counts.begin(form, kind::TEXT_INPUT);
    counts.custom_id(form, &mut input);
    if form.require("style") {
        insert_some(
            &mut input,
            "style",
            form.choice("style", &[1, 2]).value().map(Value::from),
        );
    }
    if needs_label {
        input.insert(
            "label".to_owned(),
            json!(form.required_text("label", Length::between(1, 45))),
        );
    }
    let min = form.integer("min_length", 0, 4_000).value();
    let max = form.integer("max_length", 1, 4_000).value();
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        form.refuse(
            "min_length",
            "TEXT_INPUT_COMPONENT_MIN_LENGTH_GREATER_THAN_MAX",
            "The min length cannot be greater than the max length",
        );
    }
    insert_some(&mut input, "min_length", min.map(Value::from));
    insert_some(&mut input, "max_length", max.map(Value::from));
    insert_some(
        &mut input,
        "placeholder",
        form.text("placeholder", Length::up_to(100)).value().map(Value::from),
    );
    insert_some(
        &mut input,
        "value",
        form.text("value", Length::up_to(4_000)).value().map(Value::from),
    );
    input.insert(
        "required".to_owned(),
        json!(form.flag("required").value().unwrap_or(true)),
    );
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::validate::form::read_body;

    #[test]
    fn inputs_in_rows_and_labels_are_read() {
        let body = json!({"custom_id": "m", "title": "Wallet", "components": [
            {"type": 1, "components": [{"type": 4, "custom_id": "a", "style": 1, "label": "Address"}]},
            {"type": 18, "label": "Why", "component": {"type": 4, "custom_id": "b", "style": 2, "required": false}},
        ]});
        let modal = read_body(&body, read_modal).unwrap();
        assert_eq!(modal["components"][0]["components"][0]["required"], true);
        assert_eq!(modal["components"][1]["component"]["required"], false);
    }

    #[test]
    fn missing_and_too_long_fields_are_listed() {
        let body = json!({"title": "x".repeat(46), "components": [
            {"type": 1, "components": [{"type": 2, "style": 1, "custom_id": "a", "label": "no"}]}]});
        let errors = read_body(&body, read_modal).unwrap_err().errors.unwrap();
        assert_eq!(errors["custom_id"]["_errors"][0]["code"], "BASE_TYPE_REQUIRED");
        assert_eq!(errors["title"]["_errors"][0]["code"], "BASE_TYPE_BAD_LENGTH");
        assert_eq!(
            errors["components"]["0"]["components"]["0"]["type"]["_errors"][0]["code"],
            "BASE_TYPE_CHOICES"
        );
    }
}
