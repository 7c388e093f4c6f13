//! Values at the limits of the document, for requests of tests.

use serde_json::{Map, Value};

use super::Checker;

/// Longest string that is generated.
const LONGEST: u64 = 5_000;

/// A value that the document allows for one field of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The field.
    pub field: String,
    /// The value.
    pub value: Value,
}

/// Values from the document's schema of a request body.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Values for single fields: null where it is allowed, the limits of ranges and lengths, each value of an enumeration, an
    /// empty list.
    pub samples: Vec<Sample>,
    /// Required fields.
    pub required: Vec<String>,
}

impl Checker {
    /// The values and required fields of the JSON body of a call. `variant` selects the schema where a route takes one of
    /// several bodies. `None` when the document has no such body.
    #[must_use]
    pub fn body(&self, method: &str, template: &str, variant: Option<&str>) -> Option<Body> {
        let operation = &self.document["paths"][template][method.to_ascii_lowercase()];
        let content = operation["requestBody"]["content"].as_object()?;
        let first = content.get("application/json").or_else(|| content.values().next())?;
        let schema = match variant {
            Some(name) => &self.document["components"]["schemas"][name],
            None => self.resolve(&first["schema"]),
        };
        let fields = schema["properties"].as_object()?;
        let mut body = Body {
            required: texts(&schema["required"]),
            ..Body::default()
        };
        for (field, schema) in fields {
            let mut values = Vec::new();
            self.values(schema, &mut values);
            values.dedup();
            body.samples.extend(values.into_iter().map(|value| Sample {
                field: field.clone(),
                value,
            }));
        }
        Some(body)
    }

    fn values(&self, schema: &Value, values: &mut Vec<Value>) {
        let schema = self.resolve(schema);
        let Some(fields) = schema.as_object() else { return };
        if let Some(value) = fields.get("const") {
            values.push(value.clone());
            return;
        }
        if let Some(choices) = fields.get("enum").and_then(Value::as_array) {
            values.extend(choices.iter().cloned());
            return;
        }
        let variants = ["oneOf", "anyOf"]
            .iter()
            .filter_map(|key| fields.get(*key)?.as_array())
            .flatten();
        let before = values.len();
        for variant in variants {
            self.values(variant, values);
        }
        // The type of an enumeration adds no value to its constants.
        if values.len() == before {
            typed(fields, values);
        }
    }
}

/// Values of a plain type.
fn typed(schema: &Map<String, Value>, values: &mut Vec<Value>) {
    let number = |key: &str| schema.get(key).and_then(Value::as_u64);
    let types = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    for name in types {
        match name {
            "null" => values.push(Value::Null),
            "boolean" => values.extend([true.into(), false.into()]),
            "integer" => {
                values.push(schema.get("minimum").cloned().unwrap_or_else(|| 0.into()));
                values.extend(schema.get("maximum").cloned());
            }
            "array" if number("minItems").unwrap_or(0) == 0 => values.push(Value::Array(Vec::new())),
            // Ids, times, URLs and images have formats that are not generated.
            "string"
                if !["format", "contentEncoding", "pattern"]
                    .iter()
                    .any(|key| schema.contains_key(*key)) =>
            {
                let ends = [
                    number("minLength"),
                    number("maxLength").filter(|length| *length <= LONGEST),
                ];
                values.extend(ends.into_iter().flatten().map(text));
            }
            _ => {}
        }
    }
}

fn text(length: u64) -> Value {
    "x".repeat(usize::try_from(length).unwrap_or(0)).into()
}

fn texts(value: &Value) -> Vec<String> {
    let entries = value.as_array().into_iter().flatten();
    entries.filter_map(|entry| entry.as_str().map(str::to_owned)).collect()
}
