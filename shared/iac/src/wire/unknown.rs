//! Values of Discord that this version does not support.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::values::{Kind, Snowflake};

/// A value of Discord that this version does not support. The attribute is not managed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownValue {
    /// Kind of the resource.
    pub kind: Kind,
    /// Its id.
    pub id: Snowflake,
    /// The name that Discord shows; empty for a kind without names.
    pub name: String,
    /// Name of the attribute.
    pub field: String,
    /// The value, as Discord sent it.
    pub value: String,
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            id,
            name,
            field,
            value,
        } = self;
        let subject = kind.noun();
        write!(
            f,
            "{subject} `{name}` ({id}): the value of `{field}`, `{value}`, is unknown to this version of gaib; "
        )?;
        f.write_str(if *kind == Kind::Channel && field == "kind" {
            "the channel cannot be managed; references to it use its id"
        } else {
            "the attribute does not change"
        })
    }
}

/// Collects unknown values of one resource.
pub(crate) struct UnknownValues<'a> {
    kind: Kind,
    id: Snowflake,
    name: String,
    found: &'a mut Vec<UnknownValue>,
}

impl<'a> UnknownValues<'a> {
    pub(crate) fn of(kind: Kind, id: Snowflake, name: &str, found: &'a mut Vec<UnknownValue>) -> Self {
        let name = name.to_owned();
        Self { kind, id, name, found }
    }

    /// The value, if it is known; otherwise records the sent value as unknown.
    pub(crate) fn check<T>(&mut self, field: &str, understood: Option<T>, sent: impl fmt::Display) -> Option<T> {
        if understood.is_none() {
            self.found.push(self.value(field, sent));
        }
        understood
    }

    /// An unknown value of the resource.
    pub(crate) fn value(&self, field: &str, sent: impl fmt::Display) -> UnknownValue {
        UnknownValue {
            kind: self.kind,
            id: self.id,
            name: self.name.clone(),
            field: field.to_owned(),
            value: sent.to_string().chars().take(100).collect(),
        }
    }
}

/// A number as Discord's enumerations are numbered; `None` for a negative one.
pub(crate) fn number<T>(sent: super::Integer, understand: impl Fn(u64) -> Option<T>) -> Option<T> {
    understand(u64::try_from(sent).ok()?)
}
