//! Sensitive values of a plan. `terraform show -json` prints them in clear and marks them beside (`*_sensitive`).

use serde_json::Value;

/// What stands for a sensitive value.
pub const MASKED: &str = "(sensitive)";

/// Replaces the values that `marks` marks with `true`. A mark that has another shape than the value masks the whole value.
pub(crate) fn mask(value: &mut Value, marks: &Value) {
    match (marks, value) {
        (Value::Null | Value::Bool(false), _) | (_, Value::Null) => {}
        (Value::Object(marks), Value::Object(object)) => {
            for (key, mark) in marks {
                if let Some(inner) = object.get_mut(key) {
                    mask(inner, mark);
                }
            }
        }
        (Value::Array(marks), Value::Array(items)) => {
            for (item, mark) in items.iter_mut().zip(marks) {
                mask(item, mark);
            }
            // A set of another length: which item a mark belongs to is unknown.
            if items.len() > marks.len() && marks.iter().any(is_marked) {
                items.iter_mut().skip(marks.len()).for_each(|item| *item = masked());
            }
        }
        (mark, value) => {
            if is_marked(mark) {
                *value = masked();
            }
        }
    }
}

fn masked() -> Value {
    Value::String(MASKED.to_owned())
}

fn is_marked(mark: &Value) -> bool {
    match mark {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => items.iter().any(is_marked),
        Value::Object(object) => object.values().any(is_marked),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_masked(value: Value, marks: &Value, expected: &Value) {
        let mut value = value;
        mask(&mut value, marks);
        assert_eq!(&value, expected);
    }

    #[test]
    fn marked_values_are_replaced() {
        assert_masked(
            json!({"a": 1, "b": {"c": "x"}}),
            &json!({"b": {"c": true}}),
            &json!({"a": 1, "b": {"c": MASKED}}),
        );
        assert_masked(json!(["x", "y"]), &json!([false, true]), &json!(["x", MASKED]));
        assert_masked(json!({"a": 1}), &json!(true), &json!(MASKED));
        assert_masked(json!({"a": 1}), &json!(false), &json!({"a": 1}));
    }

    #[test]
    fn marks_of_another_shape_mask_everything() {
        assert_masked(json!("secret"), &json!({"a": true}), &json!(MASKED));
        assert_masked(json!({"a": 1}), &json!([true]), &json!(MASKED));
        assert_masked(json!(["x", "y"]), &json!([true]), &json!([MASKED, MASKED]));
        assert_masked(json!("open"), &json!({"a": {}}), &json!("open"));
    }
}
