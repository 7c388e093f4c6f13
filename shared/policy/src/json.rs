//! Reading JSON of unknown origin with bounds: entries of an object, values with a limited number of nodes, all strings.
//!
//! `serde_json` limits nesting to 128 levels and skips unread parts without recursion. What it does not limit is how much memory
//! a small text needs: `[0,0,0]` is 2 bytes for each number in the text, and 32 or more in memory.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The entries of a JSON object, unparsed. An object with a repeated key is refused: programs differ in which one they read.
pub(crate) fn entries(text: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = deserializer.deserialize_map(Entries)?;
    deserializer.end()?;
    Ok(entries)
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<(String, &RawValue)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.len() >= MAX_KEYS {
                return Err(A::Error::custom("an object has too many keys"));
            }
            if entries.iter().any(|(other, _)| *other == key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(entries)
    }
}

/// Keys of an object whose entries are read one by one. Plans have about 15.
const MAX_KEYS: usize = 200;

/// The items of a JSON array, unparsed; none for `null`.
pub(crate) fn items(text: &str) -> serde_json::Result<Vec<&RawValue>> {
    let items: Option<Vec<&RawValue>> = serde_json::from_str(text)?;
    Ok(items.unwrap_or_default())
}

/// The number of JSON values that may still be read into memory: each object, array and scalar counts as one.
#[derive(Debug)]
pub(crate) struct Budget(Cell<usize>);

impl Budget {
    pub(crate) const fn new(values: usize) -> Self {
        Self(Cell::new(values))
    }

    /// Reads a value, and takes it and every value in it from the budget.
    ///
    /// # Errors
    /// The text is no JSON, an object has a repeated key, or the budget is used up.
    pub(crate) fn read(&self, text: &str) -> serde_json::Result<Value> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Bounded(self).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// Takes one value from the budget.
    pub(crate) fn take<E: Error>(&self) -> Result<(), E> {
        let left = self.0.get().checked_sub(1);
        let left = left.ok_or_else(|| E::custom("the document has too many values"))?;
        self.0.set(left);
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Bounded<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.take()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Calls `found` with every text in a value, keys of objects too.
pub(crate) fn for_each_text(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| for_each_text(item, found)),
        Value::Object(object) => {
            for (key, item) in object {
                found(key);
                for_each_text(item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A value of a field, or the default for an absent field and for `null`.
pub(crate) fn field<'a, T: serde::Deserialize<'a> + Default>(
    entries: &[(String, &'a RawValue)],
    name: &str,
) -> Result<T, String> {
    let Some((_, raw)) = entries.iter().find(|(key, _)| key == name) else {
        return Ok(T::default());
    };
    let value = Option::<T>::deserialize(*raw).map_err(|error| format!("{name}: {error}"))?;
    Ok(value.unwrap_or_default())
}

/// The unparsed text of a field; `None` for an absent field and for `null`.
pub(crate) fn raw_field<'a>(entries: &[(String, &'a RawValue)], name: &str) -> Option<&'a str> {
    let raw = entries.iter().find(|(key, _)| key == name).map(|(_, raw)| raw.get());
    raw.filter(|text| *text != "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_are_refused_at_every_level() {
        assert!(entries(r#"{"a":1,"a":2}"#).is_err());
        assert!(Budget::new(100).read(r#"{"x":[{"a":1,"a":2}]}"#).is_err());
        assert!(entries(r#"{"a":1,"\u0061":2}"#).is_err());
    }

    #[test]
    fn budget_ends_before_memory_does() {
        let text = format!("[{}0]", "0,".repeat(1_000));
        assert!(Budget::new(1_002).read(&text).is_ok());
        assert!(Budget::new(1_001).read(&text).is_err());
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Budget::new(1_000_000).read(&text).is_err());
        let entry = format!("{{\"ignored\":{text}}}");
        assert_eq!(entries(&entry).unwrap().len(), 1);
    }

    #[test]
    fn trailing_text_is_refused() {
        assert!(entries(r#"{"a":1} {"b":2}"#).is_err());
    }
}
