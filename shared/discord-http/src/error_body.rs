//! Discord's error body: <https://discord.com/developers/docs/reference#error-messages>

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Field errors that are returned at most.
const MAX_FIELDS: usize = 20;
/// Bytes of a key and levels of nesting in `errors`. What exceeds them is not Discord's and is ignored: each field error holds its
/// whole path, so without bounds a small body could grow to gigabytes.
const MAX_KEY: usize = 100;
const MAX_DEPTH: usize = 16;

/// The fields of an error body. A field that is missing or has another type is `None`.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorBody {
    /// Discord's error code; 0 for a general HTTP error.
    #[serde(default, deserialize_with = "lenient")]
    pub code: Option<u64>,
    /// Discord's text.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
    /// Errors of a form, nested by field; see [`ErrorBody::field_errors`].
    #[serde(default)]
    errors: Value,
    /// Of a 429: seconds to wait, with fractions.
    #[serde(default, deserialize_with = "lenient")]
    pub retry_after: Option<f64>,
    /// Of a 429: whether the global limit was exceeded.
    #[serde(default, deserialize_with = "lenient")]
    global: Option<bool>,
}

/// An error of one field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, as in `embeds.0.title`.
    pub path: String,
    /// Discord's code, such as `BASE_TYPE_MAX_LENGTH`; empty where it is missing.
    pub code: String,
    /// Discord's text; empty where it is missing.
    pub message: String,
}

fn lenient<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

impl ErrorBody {
    /// Reads a body. Every field is `None` when it is not a JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The code of a body in Discord's error form, an object with a number `code` and a text `message`; `None` for every other
    /// body, which an intermediary made.
    #[must_use]
    pub fn discord_code(&self) -> Option<u64> {
        self.code.filter(|_| self.message.is_some())
    }

    /// Of a 429: whether the global limit was exceeded.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.global == Some(true)
    }

    /// The first 20 errors of a form. In `errors`, a leaf is `{"_errors": [{"code": …, "message": …}]}`.
    #[must_use]
    pub fn field_errors(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        collect(&self.errors, &mut Vec::new(), &mut found);
        found
    }
}

fn collect<'a>(value: &'a Value, path: &mut Vec<&'a str>, found: &mut Vec<FieldError>) {
    let Value::Object(fields) = value else { return };
    for (key, inner) in fields {
        if found.len() >= MAX_FIELDS {
            return;
        }
        if key == "_errors" {
            let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
            let errors = inner.as_array().into_iter().flatten();
            found.extend(errors.take(MAX_FIELDS - found.len()).map(|error| FieldError {
                path: path.join("."),
                code: text(error, "code"),
                message: text(error, "message"),
            }));
        } else if key.len() <= MAX_KEY && path.len() < MAX_DEPTH {
            path.push(key);
            collect(inner, path, found);
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_counts_only_in_discords_form() {
        for (body, code) in [
            (r#"{"message":"401: Unauthorized","code":0}"#, Some(0)),
            (r#"{"message":"Unknown Role","code":10011}"#, Some(10_011)),
            (r#"{"code":10011}"#, None),
            (r#"{"code":"10011","message":"x"}"#, None),
            (r#"["message"]"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(ErrorBody::read(body.as_bytes()).discord_code(), code, "{body}");
        }
    }

    #[test]
    fn malformed_field_does_not_hide_the_others() {
        let body = ErrorBody::read(br#"{"code":"x","retry_after":1.5,"global":true}"#);
        assert_eq!((body.code, body.retry_after, body.is_global()), (None, Some(1.5), true));
    }

    #[test]
    fn nested_field_errors_have_their_paths() {
        let body = br#"{"code":50035,"errors":{"embeds":{"0":{"title":{"_errors":
            [{"code":"BASE_TYPE_MAX_LENGTH","message":"Must be 256 or fewer in length."}]}}}}}"#;
        let wanted = FieldError {
            path: "embeds.0.title".to_owned(),
            code: "BASE_TYPE_MAX_LENGTH".to_owned(),
            message: "Must be 256 or fewer in length.".to_owned(),
        };
        assert_eq!(ErrorBody::read(body).field_errors(), [wanted]);
    }

    #[test]
    fn field_errors_are_bounded() {
        let leaf = r#"{"_errors":[{"message":"m"},{"message":"m"}]}"#;
        let many: Vec<_> = (0..100).map(|at| format!("\"{at}\":{leaf}")).collect();
        let body = format!(r#"{{"errors":{{{}}}}}"#, many.join(","));
        assert_eq!(ErrorBody::read(body.as_bytes()).field_errors().len(), MAX_FIELDS);
        let body = format!(r#"{{"errors":{{"{}":{leaf}}}}}"#, "k".repeat(MAX_KEY + 1));
        assert!(ErrorBody::read(body.as_bytes()).field_errors().is_empty());
    }
}
