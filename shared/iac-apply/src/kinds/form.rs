//! The body of a request with a selection of attributes.

use arrakis_iac::model::{Address, Image};
use serde_json::{Map, Value};

use super::Context;
use crate::image::data_uri;

/// A request that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A reference to an address that is not in the state.
    #[error("`{0}` does not exist yet, and no earlier step of the plan creates it; create the plan again")]
    Unresolved(Address),
    /// A response without the list that must be sent again.
    #[error(
        "Discord's response to `{call}` has no `{field}`, so the change would remove what it contains; nothing was changed: try again later"
    )]
    Unread {
        /// Method and path.
        call: &'static str,
        /// Name of the list.
        field: &'static str,
    },
    /// An attribute that the creation requires is absent.
    #[error("the attribute `{0}` is required to create it")]
    Missing(&'static str),
    /// An unusable image file.
    #[error("the image {path}: {why}")]
    Image {
        /// Path of the file.
        path: String,
        /// The reason.
        why: String,
    },
    /// An operation that Discord does not have.
    #[error("{0}")]
    Unsupported(&'static str),
}

impl FormError {
    /// The creation of a kind that every server has exactly once.
    pub(crate) const SINGLE: Self =
        Self::Unsupported("every server has exactly one of it, which is changed and never created");
}

/// Names of the attributes to send; `None` for all that are set.
pub(crate) type FieldFilter<'a> = Option<&'a [String]>;

/// A JSON object that is being built.
#[derive(Debug, Default)]
pub(crate) struct Form(Map<String, Value>);

impl Form {
    /// Adds a field unconditionally.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Adds an attribute that is set and selected.
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

    /// Adds an attribute whose conversion may fail.
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

/// A text; `null` if it is empty.
pub(crate) fn text_or_null(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        Value::from(text)
    }
}

/// An image as a data URI; `null` for none.
pub(crate) fn image_data(image: &Image, context: &Context<'_>) -> Result<Value, FormError> {
    let bytes = context.images.bytes(image);
    let uri = bytes.and_then(|bytes| data_uri(&bytes));
    uri.map(Value::from).map_err(|why| FormError::Image {
        path: image.path.clone(),
        why,
    })
}
