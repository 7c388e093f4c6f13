//! Effects of the texts in attributes: SQL, texts that are stored or shown, and anything else.
//!
//! An attribute that is known to have SQL is judged as a migration: `sql_attributes` in `policies/data.json`. In `stored_content` and in
//! descriptions nothing is run, so that an effect there is a warning. Every other text may be code of an unknown language.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::json::for_each_text;
use crate::protected;
use crate::sql::{self, Effect};

/// Attributes that are shown to people, of every type.
const DESCRIPTIONS: &[&str] = &["description", "comment", "notes", "tags", "tags_all", "labels"];

/// Attributes with SQL that run when their resource is deleted. The others ran when it was created.
const ON_DELETION: &[&str] = &["revert", "delete_script", "delete_sql", "migration"];

/// The type whose attribute is the body of a function.
const FUNCTION: &str = "postgresql_function";

/// Shortest text that is decoded as base64: shorter ones have no statement.
const MIN_ENCODED: usize = 16;

/// Effects of attributes.
#[derive(Debug, Default)]
pub(crate) struct AttributeEffects {
    /// Effects of texts that may be run.
    pub(crate) run: Vec<Effect>,
    /// Effects of texts that are stored or shown.
    pub(crate) stored: Vec<Effect>,
}

impl AttributeEffects {
    /// Adds the effects of the attributes of a resource that is created, changed or read.
    pub(crate) fn add(&mut self, kind: &str, attributes: &Value) {
        self.add_where(kind, attributes, |_| true);
    }

    /// Adds the effects of the attributes of a resource that is deleted.
    pub(crate) fn add_deleted(&mut self, kind: &str, attributes: &Value) {
        self.add_where(kind, attributes, |name| ON_DELETION.contains(&name));
    }

    /// Adds the effects of attributes. SQL in those that `runs` names is judged as a migration.
    fn add_where(&mut self, kind: &str, attributes: &Value, runs: fn(&str) -> bool) {
        let Value::Object(entries) = attributes else {
            add_texts(attributes, &mut self.run);
            return;
        };
        let kind = kind.to_ascii_lowercase();
        let sql = protected::sql_attributes(&kind);
        let stored = protected::stored_content(&kind);
        for (name, value) in entries {
            self.run.extend(sql::of_text(name));
            if sql.contains(name) && kind != FUNCTION && runs(name) {
                add_sql(value, &mut self.run);
                add_texts(value, &mut self.run);
            } else if stored.contains(name) || DESCRIPTIONS.contains(&name.as_str()) {
                add_texts(value, &mut self.stored);
            } else {
                add_texts(value, &mut self.run);
            }
        }
        if kind == FUNCTION && runs("body") {
            let text = |name: &str| entries.get(name).and_then(Value::as_str).unwrap_or_default();
            // The provider's default.
            let language = if text("language").is_empty() {
                "plpgsql"
            } else {
                text("language")
            };
            self.run.extend(sql::of_function(text("name"), language, text("body")));
        }
    }

    /// The effects without repetitions; one that is run is none of those that are stored.
    pub(crate) fn finish(mut self) -> Self {
        for effects in [&mut self.run, &mut self.stored] {
            effects.sort_unstable();
            effects.dedup();
        }
        self.stored.retain(|effect| !self.run.contains(effect));
        self
    }
}

/// Adds the effects of SQL: of each text, and of the texts of a list together.
fn add_sql(value: &Value, effects: &mut Vec<Effect>) {
    for_each_text(value, &mut |text| effects.extend(sql::of_attribute(text)));
    for_each_list(value, &mut |text| effects.extend(sql::of_attribute(text)));
}

/// Adds the effects of texts of unknown languages: of each text, of the texts of a list together, and of what is encoded as base64.
pub(crate) fn add_texts(value: &Value, effects: &mut Vec<Effect>) {
    for_each_text(value, &mut |text| {
        effects.extend(sql::of_text(text));
        if let Some(decoded) = decoded(text) {
            effects.extend(sql::of_text(&decoded));
        }
    });
    for_each_list(value, &mut |text| effects.extend(sql::of_text(text)));
}

/// Calls `found` with the texts of each list that has several, one after another: a command and its arguments.
fn for_each_list(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Array(items) => {
            let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            if texts.len() > 1 {
                found(&texts.join("\n"));
            }
            items.iter().for_each(|item| for_each_list(item, found));
        }
        Value::Object(object) => object.values().for_each(|item| for_each_list(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The text that a text of base64 has; `None` if it is none.
fn decoded(text: &str) -> Option<String> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    if text.len() < MIN_ENCODED || !text.bytes().all(is_digit) {
        return None;
    }
    let digits: Vec<_> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    String::from_utf8(STANDARD.decode(digits).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn effects(kind: &str, attributes: &Value) -> AttributeEffects {
        let mut effects = AttributeEffects::default();
        effects.add(kind, attributes);
        effects.finish()
    }

    #[test]
    fn texts_of_lists_and_of_base64_are_read() {
        let script = STANDARD.encode("psql -c 'alter table t disable row level security'");
        for (kind, attributes) in [
            ("aws_instance", json!({"user_data_base64": script})),
            (
                "aws_launch_template",
                json!({"user_data": format!("{}\n{}", &script[..20], &script[20..])}),
            ),
            (
                "kubernetes_job_v1",
                json!({"spec": [{"args": ["-c", "alter table t disable", "row level security"]}]}),
            ),
            (
                "postgresql_script",
                json!({"commands": ["alter table t disable", "row level security"]}),
            ),
        ] {
            let effects = effects(kind, &attributes);
            assert_eq!(effects.run, [Effect::RowSecurityDisabled], "{attributes}");
        }
        for text in [
            "c2hvcnQ=",
            "not base64 at all",
            "AAAAAAAAAAAAAAAA/w==",
            "abcdefghijklmnopq",
        ] {
            assert_eq!(
                decoded(text).filter(|text| text.is_ascii() && !text.contains('\0')),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn stored_content_and_descriptions_only_warn() {
        let prose = "runbook: to restore, drop database and recreate it";
        for (kind, name) in [("aws_s3_object", "content"), ("aws_instance", "description")] {
            let found = effects(kind, &json!({name: prose}));
            assert_eq!(
                (found.run.len(), found.stored),
                (0, vec![Effect::DatabaseDropped]),
                "{kind}"
            );
        }
        let both = effects("aws_s3_object", &json!({"content": prose, "bucket": prose}));
        assert_eq!((both.run, both.stored), (vec![Effect::DatabaseDropped], vec![]));
    }
}
