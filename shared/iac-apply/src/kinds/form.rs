//! The body of a request, with only the fields that are wanted in it.

use arrakis_iac::model::{Address, Image};
use serde_json::{Map, Value};

use super::Context;
use crate::picture::data_uri;

/// What keeps a request from being made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// An address that is not in the state.
    #[error("`{0}` does not exist yet, and no earlier step of the plan creates it; create the plan again")]
    Unresolved(Address),
    /// An answer without what has to be sent back whole.
    #[error(
        "Discord's answer to `{call}` has no `{field}`, so the change would remove what it contains; nothing was changed: try again later"
    )]
    Unread {
        /// The call.
        call: &'static str,
        /// What it lacks.
        field: &'static str,
    },
    /// An attribute without which Discord makes nothing.
    #[error("the attribute `{0}` is required to create it")]
    Missing(&'static str),
    /// A picture.
    #[error("the image {path}: {why}")]
    Picture {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Something that cannot be done.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl FormError {
    /// The creation of a kind of which a server has exactly one.
    pub(crate) const SINGLE: Self =
        Self::Unsupported("every server has exactly one of it, which is changed and never created");
}

/// Names of the attributes to send; `None` is all that are given.
pub(crate) type FieldFilter<'a> = Option<&'a [String]>;

/// A JSON object in the making.
#[derive(Debug, Default)]
pub(crate) struct Form(Map<String, Value>);

impl Form {
    /// Puts in what always goes.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Puts in an attribute that is given and wanted.
    pub(crate) fn put<T>(
        &mut self,
        wanted: FieldFilter<'_>,
        field: &str,
        key: &str,
        value: Option<&T>,
        json: impl Fn(&T) -> Value,
    ) {
        if let Some(value) = value
            && is_wanted(wanted, field)
        {
            self.set(key, json(value));
        }
    }

    /// The same, where finding the value may fail.
    pub(crate) fn try_put<T>(
        &mut self,
        wanted: FieldFilter<'_>,
        field: &str,
        key: &str,
        value: Option<&T>,
        json: impl Fn(&T) -> Result<Value, FormError>,
    ) -> Result<(), FormError> {
        if let Some(value) = value
            && is_wanted(wanted, field)
        {
            self.set(key, json(value)?);
        }
        Ok(())
    }
}

impl From<Form> for Value {
    fn from(form: Form) -> Self {
        Self::Object(form.0)
    }
}

pub(crate) fn is_wanted(wanted: FieldFilter<'_>, field: &str) -> bool {
    wanted.is_none_or(|names| names.iter().any(|name| name == field))
}

/// A text where empty means none.
pub(crate) fn text_or_null(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        Value::from(text)
    }
}

/// An image as Discord takes it.
pub(crate) fn picture(image: &Image, context: &Context<'_>) -> Result<Value, FormError> {
    let bytes = context.pictures.bytes(image);
    let uri = bytes.and_then(|bytes| data_uri(&bytes));
    uri.map(Value::from).map_err(|why| FormError::Picture {
        path: image.path.clone(),
        why,
    })
}
