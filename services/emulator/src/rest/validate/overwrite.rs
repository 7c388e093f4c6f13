//! Permission overwrites in forms.
//!
//! Source: <https://discord.com/developers/docs/resources/channel#overwrite-object>.

use super::form::{Form, FormField, Length};
use crate::model::Permissions;

/// Form of an overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverwriteForm {
    /// Role or user.
    pub id: u64,
    /// 0 role, 1 member.
    pub kind: u8,
    /// Bits allowed.
    pub allow: Permissions,
    /// Bits denied.
    pub deny: Permissions,
}

/// Largest number of overwrites of a request.
pub const MAX_OVERWRITES: usize = 100;

/// Reads `permission_overwrites`. A list with the same id twice keeps the last, as Discord does.
pub fn read_overwrites(form: &Form<'_>) -> FormField<Vec<OverwriteForm>> {
    form.forms("permission_overwrites", Length::up_to(MAX_OVERWRITES))
        .map(|entries| {
            let mut overwrites: Vec<OverwriteForm> = Vec::with_capacity(entries.len());
            for entry in &entries {
                if !entry.require("id") {
                    continue;
                }
                let FormField::Value(id) = entry.snowflake("id") else {
                    continue;
                };
                let overwrite = read_bits(entry, id);
                overwrites.retain(|known| known.id != id);
                overwrites.push(overwrite);
            }
            overwrites
        })
}

/// Reads the body of `PUT /channels/{channel}/permissions/{id}`.
///
/// `type` is documented as required, while Discord's OpenAPI document allows null and absence: then it is `default`.
pub fn read_overwrite(form: &Form<'_>, id: u64, default: u8) -> OverwriteForm {
    OverwriteForm {
        kind: if form.has("type") {
            read_bits(form, id).kind
        } else {
            default
        },
        ..read_bits(form, id)
    }
}

fn read_bits(form: &Form<'_>, id: u64) -> OverwriteForm {
    // Old clients send the type as a string.
    let kind = match form.raw("type").and_then(serde_json::Value::as_str) {
        Some("role") => 0,
        Some("member") => 1,
        _ => form.choice("type", &[0, 1]).value().unwrap_or(0),
    };
    OverwriteForm {
        id,
        kind: u8::from(kind == 1),
        allow: form.permissions("allow").value().unwrap_or_default(),
        deny: form.permissions("deny").value().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::validate::form::read_body;

    #[test]
    fn bits_are_texts_or_numbers_and_the_last_of_two_wins() {
        let body = json!({"permission_overwrites": [
            {"id": "5", "type": 0, "allow": "1024", "deny": 0}, {"id": 5, "type": "role", "deny": "2048"}]});
        let overwrites = read_body(&body, read_overwrites).unwrap().value().unwrap();
        assert_eq!(
            overwrites,
            [OverwriteForm {
                id: 5,
                kind: 0,
                allow: Permissions::empty(),
                deny: Permissions::SEND_MESSAGES
            }]
        );
    }

    #[test]
    fn more_than_a_hundred_and_unknown_kinds_are_refused() {
        let many: Vec<_> = (1..=101).map(|id| json!({"id": id.to_string(), "type": 0})).collect();
        let body = json!({ "permission_overwrites": many });
        assert!(read_body(&body, read_overwrites).is_err());
        let errors = read_body(&json!({"permission_overwrites": [{"id": "1", "type": 7}]}), |form| {
            read_overwrites(form)
        })
        .unwrap_err()
        .errors
        .unwrap();
        assert_eq!(
            errors["permission_overwrites"]["0"]["type"]["_errors"][0]["code"],
            "BASE_TYPE_CHOICES"
        );
    }
}
