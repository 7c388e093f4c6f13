//! Values that Discord accepts in more than one form.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::model::Id;

/// One id or a list of ids.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// One id.
    One(Id),
    /// Several.
    Many(Vec<Id>),
}

impl OneOrMany {
    /// The ids.
    pub(super) fn ids(&self) -> &[Id] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// A whole number: as an integer, with a fraction of zero (languages whose numbers are all floats write `5.0`), or as a string
/// of digits (languages whose numbers cannot hold 64 bits).
pub(super) fn whole_of(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be whole, positive and below 2^53 just before"
            )]
            (float.fract() == 0.0 && (0.0..9e15).contains(&float)).then_some(float as u64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Deserializes a field with [`whole_of`]; null is `None`.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => whole_of(&value)
            .map(Some)
            .ok_or_else(|| de::Error::custom(format!("{value} is not a whole number"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_read_in_three_forms() {
        for value in [json!(5), json!(5.0), json!("5")] {
            assert_eq!(whole_of(&value), Some(5), "{value}");
        }
        for value in [
            json!(-5),
            json!(5.5),
            json!("5.0"),
            json!("five"),
            json!(""),
            json!([5]),
            json!(true),
            json!(1e300),
        ] {
            assert_eq!(whole_of(&value), None, "{value}");
        }
    }

    #[test]
    fn ids_may_be_single_or_lists_of_strings_and_numbers() {
        for value in [json!("7"), json!(7), json!(["7"]), json!([7])] {
            assert_eq!(serde_json::from_value::<OneOrMany>(value).unwrap().ids(), [Id(7)]);
        }
        assert!(serde_json::from_value::<OneOrMany>(json!("x")).is_err());
    }
}
