//! One call, ready to be sent to any replica.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::error::Error;

/// Whether a call may be sent again when its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice has the effect of once: reads, role PUTs, edits, and interaction callbacks, where the second is answered 40060.
    Harmless,
    /// Twice would do it twice: creations, follow-ups.
    Never,
}

/// Method, path, body and what to do about a lost answer.
#[derive(Debug)]
pub(crate) struct Request {
    /// Route with its ids left out, for spans and metrics: `PUT /guilds/{guild}/members/{user}/roles/{role}`.
    pub(crate) route: &'static str,
    pub(crate) repeat: Repeat,
    pub(crate) method: Method,
    /// From the base of the API on: `guilds/1/roles`.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// Takes over what twilight built and checked.
    ///
    /// # Errors
    /// [`Error::Invalid`] with twilight's reason.
    pub(crate) fn built(
        route: &'static str,
        repeat: Repeat,
        built: Result<twilight_http::request::Request, twilight_http::Error>,
    ) -> Result<Self, Error> {
        let built = built?;
        let mut headers = built.headers().cloned().unwrap_or_default();
        let (content_type, body) = match (built.form(), built.body()) {
            (Some(form), _) => (Some(form.content_type()), form.clone().build()),
            (None, Some(body)) => (Some(b"application/json".to_vec()), body.to_vec()),
            (None, None) => (None, Vec::new()),
        };
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_bytes(&content_type).map_err(Error::unsendable)?;
            headers.insert(header::CONTENT_TYPE, value);
        }
        Ok(Self {
            route,
            repeat,
            method: Method::from_bytes(built.method().name().as_bytes()).map_err(Error::unsendable)?,
            path: built.path().to_owned(),
            headers,
            body: body.into(),
        })
    }
}
