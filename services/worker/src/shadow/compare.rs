//! The comparison of two answers: what a member sees and can press, without what Discord adds and without times.

use serde_json::{Map, Value};

use super::recorder::Answer;

/// Fields of a message and its parts that members see. Custom ids are left out: they contain ids of the interaction.
const SEEN: [&str; 17] = [
    "author",
    "color",
    "components",
    "content",
    "description",
    "disabled",
    "embeds",
    "fields",
    "footer",
    "label",
    "name",
    "options",
    "placeholder",
    "style",
    "text",
    "title",
    "value",
];
/// Flag of a message that only the member sees.
const EPHEMERAL: u64 = 1 << 6;

/// Where the answers differ first, as a JSON pointer without any content; `None` if they are alike.
pub(super) fn first_difference(ours: &Answer, theirs: &Value) -> Option<String> {
    let their_flags = theirs["flags"].as_u64().unwrap_or_default();
    // A deferred update (6) and an update (7) keep the flags of the message they change.
    let is_new = matches!(ours.kind, Some(4 | 5));
    if is_new && (ours.flags ^ their_flags) & EPHEMERAL != 0 {
        return Some("/flags".to_owned());
    }
    for key in ["content", "embeds", "components"] {
        let our = match ours.message.get(key).filter(|value| !value.is_null()) {
            Some(our) => our,
            // What a new message does not have is empty; what an update does not have stays as it was.
            None if is_new => &Value::Null,
            None => continue,
        };
        let path = format!("/{key}");
        let their = theirs.get(key).unwrap_or(&Value::Null);
        if let Some(place) = difference(&seen(our), &seen(their), path) {
            return Some(place);
        }
    }
    None
}

/// The parts that members see. What is empty is left out: Discord adds and removes it.
fn seen(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, _)| SEEN.contains(&key.as_str()));
            let kept = kept.map(|(key, value)| (key.clone(), seen(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(seen).collect()),
        Value::String(text) => Value::String(without_times(text.trim())),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// The text with every timestamp, `<t:1790000000:R>`, at the same time: two workers answer at different ones.
fn without_times(text: &str) -> String {
    let mut parts = text.split("<t:");
    let mut found = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        found.push_str("<t:");
        found.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
    }
    found
}

fn difference(ours: &Value, theirs: &Value, path: String) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key)));
            for key in keys {
                let (our, their) = (ours.get(key), theirs.get(key));
                let (our, their) = (our.unwrap_or(&Value::Null), their.unwrap_or(&Value::Null));
                if let Some(place) = difference(our, their, format!("{path}/{key}")) {
                    return Some(place);
                }
            }
            None
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let mut pairs = ours.iter().zip(theirs).enumerate();
            pairs.find_map(|(index, (our, their))| difference(our, their, format!("{path}/{index}")))
        }
        (ours, theirs) if ours == theirs || (is_empty(ours) && is_empty(theirs)) => None,
        _ => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(message: Value) -> Answer {
        Answer {
            kind: Some(5),
            flags: EPHEMERAL,
            message,
            is_opaque: false,
        }
    }

    fn theirs() -> Value {
        json!({
            "id": "1", "flags": 64, "content": "", "components": [],
            "embeds": [{"type": "rich", "title": "Rank 1", "description": "Since <t:1790000000:R>", "fields": []}],
        })
    }

    #[test]
    fn what_discord_adds_and_times_do_not_differ() {
        let ours = json!({"embeds": [{"title": "Rank 1", "description": "Since <t:1790000009:R>"}], "components": []});
        assert_eq!(first_difference(&answer(ours), &theirs()), None);
    }

    #[test]
    fn first_difference_is_named_without_its_content() {
        let ours = json!({"embeds": [{"title": "Rank 2", "description": "Since <t:1790000000:R>"}]});
        assert_eq!(
            first_difference(&answer(ours), &theirs()).as_deref(),
            Some("/embeds/0/title")
        );
        let ours = json!({"embeds": []});
        assert_eq!(first_difference(&answer(ours), &theirs()).as_deref(), Some("/embeds"));
        let mut ours = json!({"components": [{"components": [{"label": "Next", "style": 2}]}]});
        ours["embeds"] = theirs()["embeds"].clone();
        assert_eq!(
            first_difference(&answer(ours), &theirs()).as_deref(),
            Some("/components")
        );
    }

    #[test]
    fn part_that_a_new_message_lacks_differs_and_that_of_an_update_stays() {
        let ours = answer(json!({"content": ""}));
        assert_eq!(first_difference(&ours, &theirs()).as_deref(), Some("/embeds"));
        let update = Answer { kind: Some(7), ..ours };
        assert_eq!(first_difference(&update, &theirs()), None);
    }

    #[test]
    fn answer_that_others_would_see_differs() {
        let ours = Answer {
            flags: 0,
            ..answer(json!({}))
        };
        assert_eq!(first_difference(&ours, &theirs()).as_deref(), Some("/flags"));
    }
}
