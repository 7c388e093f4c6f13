//! Takes secrets out of an answer before a caller sees it.

use bytes::Bytes;
use serde_json::Value;

use crate::upstream::Answer;

/// What takes the place of an answer that cannot be searched: it may hold the secret.
const UNREADABLE: &[u8] =
    br#"{"message":"Discord's answer is no JSON; it is withheld, since answers of this route hold secrets","code":0}"#;

/// Removes every field of these names, at any depth.
pub(crate) fn hide(answer: &mut Answer, names: &[String]) {
    if names.is_empty() || answer.body.is_empty() {
        return;
    }
    let hidden = serde_json::from_slice::<Value>(&answer.body).and_then(|mut value| {
        remove(&mut value, names);
        serde_json::to_vec(&value)
    });
    answer.body = hidden.map_or_else(|_| Bytes::from_static(UNREADABLE), Bytes::from);
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

    fn hidden(body: &str) -> String {
        let mut answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        hide(&mut answer, &["token".to_owned(), "url".to_owned()]);
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    #[test]
    fn secrets_are_taken_out_at_any_depth_and_the_rest_stays() {
        assert_eq!(
            hidden(r#"[{"id":"1","token":"s","url":"https://s"},{"webhook":{"token":null,"name":"n"}}]"#),
            r#"[{"id":"1"},{"webhook":{"name":"n"}}]"#
        );
        assert_eq!(hidden(""), "");
    }

    #[test]
    fn what_cannot_be_searched_is_withheld() {
        let body = hidden(r#"{"token":"hunter2""#);
        assert!(!body.contains("hunter2") && body.contains("withheld"), "{body}");
    }
}
