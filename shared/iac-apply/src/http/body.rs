//! Bodies of requests: JSON, or a form with a file.

use bytes::Bytes;
use reqwest::RequestBuilder;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::SendError;

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// `application/json`.
    Json(Bytes),
    /// `multipart/form-data`.
    Form(Upload),
}

/// Text fields, and a file in the field `file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Text fields.
    pub fields: Vec<(&'static str, String)>,
    /// Name of the file, which Discord requires and does not keep.
    pub file_name: String,
    /// Media type of the file.
    pub media_type: &'static str,
    /// The file.
    pub file: Bytes,
}

impl Body {
    /// A JSON value.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::Json(Bytes::from(value.to_string()))
    }

    /// Adds the body and its `Content-Type` to a request.
    pub(super) fn attach(&self, request: RequestBuilder) -> Result<RequestBuilder, SendError> {
        match self {
            Self::Json(json) => Ok(request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(json.clone())),
            Self::Form(upload) => {
                let file = Part::bytes(upload.file.to_vec())
                    .file_name(upload.file_name.clone())
                    .mime_str(upload.media_type)
                    .map_err(|error| SendError::NotSent(error.to_string()))?;
                let fields = upload.fields.iter().cloned();
                let form = fields.fold(Form::new(), |form, (name, value)| form.text(name, value));
                Ok(request.multipart(form.part("file", file)))
            }
        }
    }
}
