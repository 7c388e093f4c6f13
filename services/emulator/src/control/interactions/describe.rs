//! The values that an option of a command accepts, in words.

use crate::model::CommandOption;

/// Describes the values that an option accepts.
pub(super) fn describe(known: &CommandOption) -> String {
    let kind = match known.kind {
        3 => text_of(known.min_length, known.max_length),
        4 => "an integer".to_owned(),
        5 => "true or false".to_owned(),
        10 => "a number".to_owned(),
        _ => "a value".to_owned(),
    };
    let mut text = format!("it takes {kind}");
    let limits = [("at least", &known.min_value), ("at most", &known.max_value)];
    for (word, limit) in limits
        .into_iter()
        .filter_map(|(word, limit)| Some((word, limit.as_ref()?)))
    {
        text.push_str(&format!(", {word} {limit}"));
    }
    if !known.choices.is_empty() {
        let values: Vec<String> = known.choices.iter().map(|choice| choice.value.to_string()).collect();
        text.push_str(&format!(", one of {}", values.join(", ")));
    }
    text
}

/// Describes a text of at least `min` and at most `max` characters.
fn text_of(min: Option<u32>, max: Option<u32>) -> String {
    match (min, max) {
        (Some(min), Some(max)) if min == max => format!("text of {min} characters"),
        (Some(min), Some(max)) => format!("text of {min} to {max} characters"),
        (Some(min), None) => format!("text of at least {min} characters"),
        (None, Some(max)) => format!("text of at most {max} characters"),
        (None, None) => "text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_of_a_text_is_described_in_one_phrase() {
        assert_eq!(text_of(Some(36), Some(36)), "text of 36 characters");
        assert_eq!(text_of(Some(1), Some(36)), "text of 1 to 36 characters");
        assert_eq!(text_of(None, Some(100)), "text of at most 100 characters");
        assert_eq!(text_of(None, None), "text");
    }
}
