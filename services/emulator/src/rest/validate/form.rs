//! Reader of all forms: reads fields of a JSON object and collects errors.
//!
//! Owns the codes and texts of Discord's basic types (`BASE_TYPE_…`, `NUMBER_TYPE_…`, `STRING_TYPE_…` and so on), and no names
//! of fields. To add a type of value, add a method that returns [`FormField`].

use serde_json::{Map, Value};

use crate::{
    model::Permissions,
    rest::errors::{ApiResult, ErrorCode, FieldErrors},
};

/// A field of a partial form: absent, `null`, or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormField<T> {
    /// Not in the body: no change.
    Absent,
    /// `null`: reset to the default.
    Null,
    /// A valid value.
    Value(T),
}

impl<T> FormField<T> {
    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// A reference to the value, if there is one.
    pub const fn as_value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Whether the field is in the body.
    pub const fn is_given(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The same field with its value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> FormField<U> {
        match self {
            Self::Absent => FormField::Absent,
            Self::Null => FormField::Null,
            Self::Value(value) => FormField::Value(change(value)),
        }
    }

    /// New value of a nullable field: unchanged when absent, `None` when null.
    pub fn or_keep(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Absent => current,
            Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }

    /// New value of a field with a default: unchanged when absent, `default` when null.
    pub fn or_default(self, current: T, default: T) -> T {
        match self {
            Self::Absent => current,
            Self::Null => default,
            Self::Value(value) => value,
        }
    }
}

/// Bounds on the length of a string or list, in characters or entries.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    min: usize,
    max: usize,
}

impl Length {
    /// Between `min` and `max`, both included.
    pub const fn between(min: usize, max: usize) -> Self {
        Self { min, max }
    }

    /// At most `max`.
    pub const fn up_to(max: usize) -> Self {
        Self { min: 0, max }
    }

    /// Discord's code and text when `length` is out of bounds.
    pub fn refusal(self, length: usize) -> Option<(&'static str, String)> {
        if (self.min..=self.max).contains(&length) {
            None
        } else if self.min > 0 {
            Some((
                "BASE_TYPE_BAD_LENGTH",
                format!("Must be between {} and {} in length.", self.min, self.max),
            ))
        } else {
            Some((
                "BASE_TYPE_MAX_LENGTH",
                format!("Must be {} or fewer in length.", self.max),
            ))
        }
    }
}

/// A JSON object of a body, with its path in the body.
#[derive(Clone)]
pub struct Form<'a> {
    fields: &'a Map<String, Value>,
    path: Vec<String>,
    errors: &'a FieldErrors,
}

/// Reads the whole body as a form with `read`.
///
/// # Errors
/// 50035 with nested field errors; 50109 when the body is not an object.
pub fn read_body<T>(body: &Value, read: impl FnOnce(&Form<'_>) -> T) -> ApiResult<T> {
    let errors = FieldErrors::default();
    let Some(fields) = body.as_object() else {
        return Err(ErrorCode::InvalidJson.into());
    };
    let value = read(&Form {
        fields,
        path: Vec::new(),
        errors: &errors,
    });
    errors.finish(value)
}

/// Reads a body that is a list of forms; errors have the index in their path.
///
/// # Errors
/// 50035 with nested field errors; 50109 when the body is not a list.
pub fn read_list<T>(body: &Value, length: Length, read: impl Fn(&Form<'_>) -> T) -> ApiResult<Vec<T>> {
    let errors = FieldErrors::default();
    let Some(entries) = body.as_array() else {
        return Err(ErrorCode::InvalidJson.into());
    };
    if let Some((code, message)) = length.refusal(entries.len()) {
        errors.add(&[], code, message);
    }
    let mut values = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let path = vec![index.to_string()];
        match entry.as_object() {
            Some(fields) => values.push(read(&Form {
                fields,
                path,
                errors: &errors,
            })),
            None => errors.add(
                &path,
                "MODEL_TYPE_CONVERT",
                "Only dictionaries may be used in a ModelType",
            ),
        }
    }
    errors.finish(values)
}

impl<'a> Form<'a> {
    /// The raw value of `key`.
    pub fn raw(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key)
    }

    /// Whether `key` has a value other than `null`.
    pub fn has(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|value| !value.is_null())
    }

    /// Collected errors.
    pub const fn errors(&self) -> &'a FieldErrors {
        self.errors
    }

    /// The path of `key` within the body; an empty key is the form itself.
    pub fn path_of(&self, key: &str) -> Vec<String> {
        let mut path = self.path.clone();
        if !key.is_empty() {
            path.extend(key.split('.').map(str::to_owned));
        }
        path
    }

    /// Adds an error at `key` (dots separate levels, an empty key is the form itself).
    pub fn refuse(&self, key: &str, code: &str, message: impl Into<String>) {
        self.errors.add(&self.path_of(key), code, message);
    }

    /// Adds an error when `key` is absent. Returns whether it is present.
    pub fn require(&self, key: &str) -> bool {
        let there = match self.raw(key) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.trim().is_empty(),
            Some(_) => true,
        };
        if !there {
            self.refuse(key, "BASE_TYPE_REQUIRED", "This field is required");
        }
        there
    }

    /// A string. Its length counts after white space at its ends is trimmed, as at Discord. Numbers become strings.
    pub fn text(&self, key: &str, length: Length) -> FormField<String> {
        let text = match self.raw(key) {
            None => return FormField::Absent,
            Some(Value::Null) => return FormField::Null,
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            Some(other) => {
                self.refuse(
                    key,
                    "STRING_TYPE_CONVERT",
                    format!("Could not interpret \"{other}\" as string."),
                );
                return FormField::Absent;
            }
        };
        if let Some((code, message)) = length.refusal(text.chars().count()) {
            self.refuse(key, code, message);
            return FormField::Absent;
        }
        FormField::Value(text)
    }

    /// A required string.
    pub fn required_text(&self, key: &str, length: Length) -> String {
        if self.require(key) {
            self.text(key, length).value().unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// A URL.
    pub fn url(&self, key: &str, max: usize, schemes: &[&str]) -> FormField<String> {
        let FormField::Value(text) = self.text(key, Length::up_to(max)) else {
            return if matches!(self.raw(key), Some(Value::Null)) {
                FormField::Null
            } else {
                FormField::Absent
            };
        };
        if text.is_empty() {
            return FormField::Null;
        }
        match url::Url::parse(&text) {
            Err(_) => self.refuse(key, "URL_TYPE_INVALID_URL", "Not a well formed URL."),
            Ok(address) if !schemes.contains(&address.scheme()) => {
                let names: Vec<String> = schemes.iter().map(|scheme| format!("'{scheme}'")).collect();
                self.refuse(
                    key,
                    "URL_TYPE_INVALID_SCHEME",
                    format!(
                        "Scheme \"{}\" is not supported. Scheme must be one of ({}).",
                        address.scheme(),
                        names.join(", ")
                    ),
                );
            }
            Ok(_) => return FormField::Value(text),
        }
        FormField::Absent
    }

    /// A whole number within bounds; a string of digits is accepted, as at Discord.
    pub fn integer(&self, key: &str, min: i64, max: i64) -> FormField<i64> {
        let number = match self.raw(key) {
            None => return FormField::Absent,
            Some(Value::Null) => return FormField::Null,
            Some(value) => match whole_number(value) {
                Some(number) => number,
                None => {
                    self.refuse(key, "NUMBER_TYPE_COERCE", format!("Value {value} is not int."));
                    return FormField::Absent;
                }
            },
        };
        if number < min {
            self.refuse(
                key,
                "NUMBER_TYPE_MIN",
                format!("int value should be greater than or equal to {min}."),
            );
            return FormField::Absent;
        }
        if number > max {
            self.refuse(
                key,
                "NUMBER_TYPE_MAX",
                format!("int value should be less than or equal to {max}."),
            );
            return FormField::Absent;
        }
        FormField::Value(number)
    }

    /// A whole number that is one of `choices`.
    pub fn choice(&self, key: &str, choices: &[i64]) -> FormField<i64> {
        match self.integer(key, i64::MIN, i64::MAX) {
            FormField::Value(number) if !choices.contains(&number) => {
                let names: Vec<String> = choices.iter().map(ToString::to_string).collect();
                self.refuse(
                    key,
                    "BASE_TYPE_CHOICES",
                    format!("Value must be one of {{{}}}.", names.join(", ")),
                );
                FormField::Absent
            }
            given => given,
        }
    }

    /// A boolean.
    pub fn flag(&self, key: &str) -> FormField<bool> {
        match self.raw(key) {
            None => FormField::Absent,
            Some(Value::Null) => FormField::Null,
            Some(Value::Bool(flag)) => FormField::Value(*flag),
            Some(_) => {
                self.refuse(key, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.");
                FormField::Absent
            }
        }
    }

    /// A snowflake, as a string or a number.
    pub fn snowflake(&self, key: &str) -> FormField<u64> {
        match self.raw(key) {
            None => FormField::Absent,
            Some(Value::Null) => FormField::Null,
            Some(value) => match snowflake(value) {
                Some(id) => FormField::Value(id),
                None => {
                    self.refuse(
                        key,
                        "NUMBER_TYPE_COERCE",
                        format!("Value {} is not snowflake.", quoted(value)),
                    );
                    FormField::Absent
                }
            },
        }
    }

    /// Permission bits, as a string of digits or a number. Unknown bits are dropped.
    pub fn permissions(&self, key: &str) -> FormField<Permissions> {
        match self.raw(key) {
            None => FormField::Absent,
            Some(Value::Null) => FormField::Null,
            Some(value) => match snowflake(value) {
                Some(bits) => FormField::Value(Permissions::from_bits_truncate(bits)),
                None => {
                    self.refuse(
                        key,
                        "NUMBER_TYPE_COERCE",
                        format!("Value {} is not int.", quoted(value)),
                    );
                    FormField::Absent
                }
            },
        }
    }

    /// A list of snowflakes.
    pub fn snowflakes(&self, key: &str, length: Length) -> FormField<Vec<u64>> {
        let entries = match self.entries(key, length) {
            FormField::Absent => return FormField::Absent,
            FormField::Null => return FormField::Null,
            FormField::Value(entries) => entries,
        };
        let mut ids = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match snowflake(entry) {
                Some(id) => ids.push(id),
                None => self.refuse(
                    &format!("{key}.{index}"),
                    "NUMBER_TYPE_COERCE",
                    format!("Value {} is not snowflake.", quoted(entry)),
                ),
            }
        }
        FormField::Value(ids)
    }

    /// A list of any values.
    pub fn entries(&self, key: &str, length: Length) -> FormField<&'a Vec<Value>> {
        match self.raw(key) {
            None => FormField::Absent,
            Some(Value::Null) => FormField::Null,
            Some(Value::Array(entries)) => {
                if let Some((code, message)) = length.refusal(entries.len()) {
                    self.refuse(key, code, message);
                    return FormField::Absent;
                }
                FormField::Value(entries)
            }
            Some(_) => {
                self.refuse(key, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
                FormField::Absent
            }
        }
    }

    /// A list of forms.
    pub fn forms(&self, key: &str, length: Length) -> FormField<Vec<Form<'a>>> {
        self.entries(key, length).map(|entries| {
            let mut forms = Vec::with_capacity(entries.len());
            for (index, entry) in entries.iter().enumerate() {
                let path = self.path_of(&format!("{key}.{index}"));
                match entry.as_object() {
                    Some(fields) => forms.push(Form {
                        fields,
                        path,
                        errors: self.errors,
                    }),
                    None => {
                        self.errors.add(
                            &path,
                            "MODEL_TYPE_CONVERT",
                            "Only dictionaries may be used in a ModelType",
                        );
                    }
                }
            }
            forms
        })
    }

    /// A form within this form.
    pub fn form(&self, key: &str) -> FormField<Form<'a>> {
        match self.raw(key) {
            None => FormField::Absent,
            Some(Value::Null) => FormField::Null,
            Some(Value::Object(fields)) => FormField::Value(Form {
                fields,
                path: self.path_of(key),
                errors: self.errors,
            }),
            Some(_) => {
                self.refuse(
                    key,
                    "MODEL_TYPE_CONVERT",
                    "Only dictionaries may be used in a ModelType",
                );
                FormField::Absent
            }
        }
    }

    /// An empty form with the path of `key`, for an absent part.
    pub fn empty_below<'b>(&self, key: &str, empty: &'b Map<String, Value>) -> Form<'b>
    where
        'a: 'b,
    {
        Form {
            fields: empty,
            path: self.path_of(key),
            errors: self.errors,
        }
    }

    /// The fields of this form, in the order of the body.
    pub const fn fields(&self) -> &'a Map<String, Value> {
        self.fields
    }
}

/// A JSON value in the form of Discord's errors: in quotes, strings without a second pair.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        other => format!("\"{other}\""),
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be whole and small just before"
            )]
            (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A snowflake or bit set in JSON; strings and numbers are accepted, as at Discord.
pub fn snowflake(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wrong_field_is_named_in_one_answer() {
        let body = json!({"name": "", "count": "many", "id": "x", "on": 3, "list": {}, "size": 30_000});
        let error = read_body(&body, |form| {
            form.required_text("name", Length::between(1, 5));
            form.integer("count", 0, 5);
            form.snowflake("id");
            form.flag("on");
            form.entries("list", Length::up_to(2));
            form.integer("size", 0, 21_600);
        })
        .unwrap_err();
        let errors = error.errors.unwrap();
        let code = |field: &str| errors[field]["_errors"][0]["code"].as_str().unwrap().to_owned();
        assert_eq!(code("name"), "BASE_TYPE_REQUIRED");
        assert_eq!(code("count"), "NUMBER_TYPE_COERCE");
        assert_eq!(code("id"), "NUMBER_TYPE_COERCE");
        assert_eq!(errors["id"]["_errors"][0]["message"], "Value \"x\" is not snowflake.");
        assert_eq!(code("on"), "BOOLEAN_TYPE_CONVERT");
        assert_eq!(code("list"), "LIST_TYPE_CONVERT");
        assert_eq!(code("size"), "NUMBER_TYPE_MAX");
    }

    #[test]
    fn absent_null_and_value_are_distinguished() {
        let body = json!({"topic": null, "name": "  lobby  "});
        let (topic, name, other) = read_body(&body, |form| {
            (
                form.text("topic", Length::up_to(10)),
                form.text("name", Length::up_to(5)),
                form.text("other", Length::up_to(10)),
            )
        })
        .unwrap();
        assert_eq!(
            (topic, name, other),
            (FormField::Null, FormField::Value("lobby".to_owned()), FormField::Absent)
        );
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        let body = json!({"name": "ääää"});
        assert!(read_body(&body, |form| form.text("name", Length::up_to(4))).is_ok());
        assert!(read_body(&body, |form| form.text("name", Length::up_to(3))).is_err());
    }
}
