//! Removes fields with secrets from a response before a caller receives it.

use arrakis_discord_http::Response;
use bytes::Bytes;
use serde_json::Value;

/// Replaces a body that cannot be searched for secrets.
const NOT_JSON: &[u8] = br#"{"message":"Discord's response is not JSON; it is withheld, since responses of this route may contain secrets","code":0}"#;

/// Removes every field with one of these names, at any depth.
pub(crate) fn remove_fields(response: &mut Response, names: &[String]) {
    if names.is_empty() || response.body.is_empty() {
        return;
    }
    let redacted = serde_json::from_slice::<Value>(&response.body).and_then(|mut value| {
        remove(&mut value, names);
        serde_json::to_vec(&value)
    });
    response.body = redacted.map_or_else(|_| Bytes::from_static(NOT_JSON), Bytes::from);
}

fn remove(value: &mut Value, names: &[String]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(name));
            fields.values_mut().for_each(|value| remove(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| remove(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn redacted(body: &str) -> String {
        let mut response = Response {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        remove_fields(&mut response, &["token".to_owned(), "url".to_owned()]);
        String::from_utf8(response.body.to_vec()).unwrap()
    }

    #[test]
    fn secrets_are_removed_at_any_depth_and_other_fields_remain() {
        assert_eq!(
            redacted(r#"[{"id":"1","token":"s","url":"https://s"},{"webhook":{"token":null,"name":"n"}}]"#),
            r#"[{"id":"1"},{"webhook":{"name":"n"}}]"#
        );
        assert_eq!(redacted(""), "");
    }

    #[test]
    fn body_that_is_not_json_is_withheld() {
        let body = redacted(r#"{"token":"hunter2""#);
        assert!(!body.contains("hunter2") && body.contains("withheld"), "{body}");
    }
}
